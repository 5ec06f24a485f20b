/**
 * Fuzzes every parser and verifier of a build: first all small changes of what was signed or proven, then altered inputs without end for
 * the whole table of targets.
 */

import { seededRandom } from '../support/random.ts';
import { temporaryFolder } from '../support/spawn-server.ts';
import { loadModules } from './build-modules.ts';
import { allForgeries, type Thoroughness, type Verdict } from './forgeries.ts';
import type { Random } from './mutator.ts';
import { tableFaults } from './readers.ts';
import { makeSignedLog } from './signed.ts';
import { inputFor, show, type Target, Wrong } from './target.ts';
import { clientTargets } from './targets/client.ts';
import { ingestTargets } from './targets/ingest.ts';
import { proofTargets } from './targets/proofs.ts';
import { serverTargets } from './targets/server.ts';
import { storageTargets } from './targets/storage.ts';
import { treeTargets } from './targets/tree.ts';
import { trustTargets } from './targets/trust.ts';

export interface ParserRun {
  /** Folder of the build. */
  readonly build: string;
  /** Altered inputs, besides the forgeries. */
  readonly count: number;
  readonly seed: number;
  /** How thoroughly things are forged. */
  readonly how: Thoroughness;
  readonly progress?: (done: number, text: string) => void;
}

export interface ParserReport {
  readonly forgeries: number;
  readonly inputs: number;
  readonly verdicts: ReadonlyMap<Verdict, number>;
  readonly accepted: number;
  readonly targets: number;
  readonly violations: readonly string[];
}

/** After so many violations the run ends: one bug makes thousands. */
const ENOUGH = 5;
/** Longest time for one cheap input, in milliseconds, beyond which something is wrong with it and not with the machine. */
const TOO_LONG = 2000;

export async function fuzzParsers({ build, count, seed, how, progress }: ParserRun): Promise<ParserReport> {
  const { path, remove } = temporaryFolder('fuzz');
  const violations: string[] = [];
  const verdicts = new Map<Verdict, number>();
  let forgeries = 0;
  let inputs = 0;
  let accepted = 0;
  try {
    const modules = await loadModules(build);
    const log = makeSignedLog(modules);
    const targets = [
      ...treeTargets(modules),
      ...proofTargets(modules, log),
      ...trustTargets(modules, log),
      ...clientTargets(modules, log, path),
      ...ingestTargets(modules),
      ...(await storageTargets(modules, log, path)),
      ...serverTargets(modules, path),
    ];
    violations.push(...tableFaults(targets.flatMap(({ covers }) => covers)));
    violations.push(...(await refusedGood(targets)));

    for (const forgery of allForgeries(modules, log, how, seededRandom(seed))) {
      if (violations.length >= ENOUGH) break;
      forgeries++;
      try {
        const verdict = forgery.try();
        verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
      } catch (error) {
        violations.push(`forged ${forgery.name}: ${reason(error)}: ${show(forgery.input)}`);
      }
      if (forgeries % 1000 === 0) progress?.(0, `${forgeries} forgeries`);
    }

    const choose = chooser(targets);
    for (; inputs < count && violations.length < ENOUGH; inputs++) {
      // A generator each: an input depends on its number alone, and not on how often the ones before it asked for a number.
      const random = seededRandom(seed * 1_000_003 + inputs * 7919);
      const target = choose(random);
      const input = inputFor(target, random);
      const began = performance.now();
      try {
        // Most do not wait, and a turn of the loop for each would take longer than all the rest.
        const done = target.read(input, random);
        if (done !== undefined) await done;
        accepted++;
      } catch (error) {
        if (error instanceof Wrong || !target.isRefusal(error))
          violations.push(`input ${inputs}, ${target.name}: ${reason(error)}: ${show(input)}`);
      }
      if (performance.now() - began > TOO_LONG)
        violations.push(
          `input ${inputs}, ${target.name}: it took ${Math.round(performance.now() - began)} ms: ${show(input)}`,
        );
      if (inputs % 5000 === 0) progress?.(inputs, target.name);
    }
    return { forgeries, inputs, verdicts, accepted, targets: targets.length, violations };
  } finally {
    remove();
  }
}

/** Good inputs that are refused: a corpus that nobody accepts shows nothing. */
async function refusedGood(targets: readonly Target[]): Promise<string[]> {
  const faults: string[] = [];
  for (const { name, good, beginnings, read } of targets) {
    if (beginnings) continue;
    for (const input of good) {
      try {
        await read(input, () => 0.5);
      } catch (error) {
        faults.push(`a good input of ${name}: ${reason(error)}: ${show(input)}`);
      }
    }
  }
  return faults;
}

/** Picks targets so that none takes all the time, and the slow ones get their turn all the same. */
function chooser(targets: readonly Target[]): (random: Random) => Target {
  const weights = targets.map(({ cost }) => cost ** -0.75);
  const sums: number[] = [];
  for (const weight of weights) sums.push((sums.at(-1) ?? 0) + weight);
  const total = sums.at(-1) as number;
  return (random) => {
    const at = random() * total;
    return targets[sums.findIndex((sum) => at < sum)] as Target;
  };
}

function reason(error: unknown): string {
  if (error instanceof Wrong) return error.message;
  const { name, message, stack = '' } = error as Error;
  const code = (error as { readonly code?: unknown }).code;
  const place = stack.split('\n').find((line) => line.includes('.js')) ?? '';
  return `it throws ${name}${code === undefined ? '' : ` ${String(code)}`}: ${message} ${place.trim()}`;
}
