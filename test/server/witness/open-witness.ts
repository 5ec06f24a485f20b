/** A witness in this process, over a folder of its own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cosignatureTime } from '../../../proofs/cosignature.ts';
import { openNote, parseSignatureLines } from '../../../proofs/note.ts';
import { replaceWhole } from '../../../server/files.ts';
import type { EvidenceKind, Kept } from '../../../server/witness/evidence.ts';
import { Witness, type WitnessOptions } from '../../../server/witness/witness.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import type { WitnessedLog } from '../../support/witnessed-log.ts';

export const NAME = 'witness.example.com/w1';

const all = new Set<OpenWitness>();

/** Closes and removes what was opened; for `afterEach` or `afterAll`. */
export async function closeWitnesses(): Promise<void> {
  for (const opened of all) await opened.end();
  all.clear();
}

export class OpenWitness {
  readonly path: string;
  readonly clock: ManualClock;
  witness: Witness;
  readonly fatal: unknown[] = [];
  readonly findings: { kind: EvidenceKind; kept: Kept }[] = [];
  readonly clockAlarms: string[] = [];
  /** Runs instead of the replacement of a head's file. */
  replace: typeof replaceWhole = replaceWhole;
  readonly #logs: readonly WitnessedLog[];

  private constructor(path: string, clock: ManualClock, logs: readonly WitnessedLog[]) {
    this.path = path;
    this.clock = clock;
    this.#logs = logs;
    this.witness = undefined as unknown as Witness;
  }

  static async of(logs: readonly WitnessedLog[], more: Partial<WitnessOptions> = {}): Promise<OpenWitness> {
    const path = mkdtempSync(join(tmpdir(), 'indelible-witness-'));
    const opened = new OpenWitness(join(path, 'w'), new ManualClock(), logs);
    await opened.open(more);
    all.add(opened);
    return opened;
  }

  async open(more: Partial<WitnessOptions> = {}): Promise<void> {
    this.witness = await Witness.open({
      path: this.path,
      name: NAME,
      logs: this.#logs.map((log) => log.asPolicyLog),
      clock: this.clock,
      replace: (path, bytes) => this.replace(path, bytes),
      observer: {
        onFinding: ({ kind, kept }) => this.findings.push({ kind, kept }),
        onClockAlarm: ({ kind }) => this.clockAlarms.push(kind),
      },
      onFatal: (error) => this.fatal.push(error),
      ...more,
    });
  }

  async restart(more: Partial<WitnessOptions> = {}): Promise<void> {
    await this.witness.close();
    await this.open(more);
  }

  async end(): Promise<void> {
    await this.witness.close();
    rmSync(join(this.path, '..'), { recursive: true });
  }

  /** What a request is answered: the time of the cosignature, verified over the very text that was sent; `conflict N`; or a code. */
  async ask(request: Parameters<Witness['addCheckpoint']>[0]): Promise<number | string> {
    try {
      const answer = await this.witness.addCheckpoint(request);
      return answer.status === 200 ? this.time(request.checkpoint, answer.lines) : `conflict ${answer.treeSize}`;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === undefined) throw error;
      return code;
    }
  }

  /** The time of a cosignature, once it is known to be one of this note by this witness. */
  time(note: string, lines: string): number {
    const [line, ...more] = parseSignatureLines(lines);
    if (line === undefined || more.length > 0) throw new Error('a witness answers with its own line alone');
    openNote(note.slice(0, note.indexOf('\n\n') + 2) + lines, [this.witness.verifierKey]);
    return cosignatureTime(line.signature);
  }

  /** Files of evidence, and what stands in them. */
  evidence(): Record<string, unknown>[] {
    const folder = join(this.path, 'evidence');
    return readdirSync(folder)
      .sort()
      .map((name) => ({ name, ...(JSON.parse(readFileSync(join(folder, name), 'utf8')) as object) }));
  }
}
