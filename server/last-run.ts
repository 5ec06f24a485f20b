/**
 * How the last run over a data directory ended: DIR/run holds `starting` or `running` while there is one, and is removed at a clean end.
 *
 * LevelDB ends the process where it meets certain damage of a table: no exception, no word about which table it was, and the same again at
 * the next start. The bulk of the tables is not read before a start (storage/table-scan.ts), because hashes vouch for it. So after a run
 * that ended in its start all of it is read first, and after one that ended later, in the background.
 *
 * Nothing depends on this file being right: it costs a look too many, or saves one too few. So it is neither synced nor insisted upon.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type LastEnd =
  /** By a signal, or by an exit that said why. */
  | 'clean'
  /** Before it accepted requests. */
  | 'starting'
  /** After that. */
  | 'running';

const NAME = 'run';

/** A run begins; returns how the last one ended. */
export function beginRun(path: string): LastEnd {
  let text = '';
  try {
    text = readFileSync(join(path, NAME), 'utf8').trim();
  } catch {}
  note(path, 'starting');
  return text === 'starting' || text === 'running' ? text : 'clean';
}

/** The start is over. */
export function runStarted(path: string): void {
  note(path, 'running');
}

/** The run ends, and whoever started it knows why. */
export function endRun(path: string): void {
  try {
    rmSync(join(path, NAME), { force: true });
  } catch {}
}

function note(path: string, state: Exclude<LastEnd, 'clean'>): void {
  try {
    writeFileSync(join(path, NAME), `${state}\n`, { mode: 0o600 });
  } catch {}
}
