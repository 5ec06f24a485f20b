/**
 * What logs have signed and should not have, kept for whoever has to prove it: a JSON file each in `evidence/`, named by kind, log and text.
 *
 * Only the owner of a log's key can make the first two kinds. The third, a head that nobody could connect with ours, proves nothing by
 * itself: a genuine head sent with a wrong proof looks the same. So each kind has its own bound for each log, the oldest stay, and
 * nobody can push a proof out with what is none.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#sha256';
import { originHash } from '../../proofs/add-checkpoint.ts';
import { formatMicros } from '../../proofs/time.ts';
import { toBase64, toHex, utf8 } from '../../tree/bytes.ts';
import type { TreeHash } from '../../tree/hash.ts';
import { createWhole, makeDirectory } from '../files.ts';

/** `split_view`: two roots of one size. `impossible`: an empty tree with a root that it cannot have. `unproven`: a proof failed. */
export type EvidenceKind = 'split_view' | 'impossible' | 'unproven';

/** Files of one kind and log that are kept at most. */
const MOST = 16;

export interface Finding {
  readonly kind: EvidenceKind;
  readonly origin: string;
  /** What the log signed. */
  readonly text: string;
  /** The same as a note, with the log's signatures. */
  readonly received: string;
  /** What was cosigned before, as a note. */
  readonly cosigned: string | undefined;
  readonly oldSize: number;
  readonly proof: readonly TreeHash[];
}

/** Whether a finding was written now, stands there already, or was one too many. */
export type Kept = 'new' | 'known' | 'full';

export class Evidence {
  readonly path: string;
  readonly #names: Set<string>;

  private constructor(path: string, names: Set<string>) {
    this.path = path;
    this.#names = names;
  }

  /** Opens the folder, which is made where it is not there. */
  static open(path: string): Evidence {
    makeDirectory(path, 0o700);
    return new Evidence(path, new Set(readdirSync(path)));
  }

  /** Keeps a finding; `now` in microseconds since the Unix epoch. Throws what the file system throws. */
  keep({ kind, origin, text, received, cosigned, oldSize, proof }: Finding, now: number): Kept {
    const group = `${kind}-${originHash(origin).slice(0, 16)}-`;
    const name = `${group}${toHex(sha256(utf8(text))).slice(0, 16)}.json`;
    if (this.#names.has(name)) return 'known';
    const others = [...this.#names].filter((other) => other.startsWith(group) && other.endsWith('.json'));
    if (others.length >= MOST) return 'full';
    const members = {
      kind,
      origin,
      received_at: formatMicros(now),
      cosigned: cosigned ?? null,
      received,
      old_size: oldSize,
      proof: proof.map(toBase64),
    };
    createWhole(join(this.path, name), () => utf8(`${JSON.stringify(members, undefined, 2)}\n`));
    this.#names.add(name);
    return 'new';
  }
}
