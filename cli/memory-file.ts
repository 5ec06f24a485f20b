/**
 * What the commands remember between runs, in one JSON file: the newest head of each log and key, and the verifier key pinned for each
 * URL. Deleting it forgets what a log has shown, so a damaged one is an error and never replaced by an empty one.
 */
import { mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HeadMemory, headName } from '../client/memory.ts';
import { replaceWhole } from '../server/files.ts';
import { usage } from './output.ts';

interface State {
  /** Checkpoints (signed notes) by origin and key ID. */
  readonly heads: Record<string, string>;
  /** Verifier keys by base URL of the log. */
  readonly pins: Record<string, string>;
}

export interface MemoryFile extends HeadMemory {
  readonly path: string;
  /** All pins: base URL of the log, verifier key. */
  pins(): Promise<[string, string][]>;
}

/** Number in the file; a higher one was made by a newer version. */
const FORMAT = 1;
/** A lock this old, in milliseconds, was left behind: writing takes a few milliseconds. */
const STALE_LOCK = 10_000;

/** Where the file is: INDELIBLE_STATE, else the state directory of the XDG base directory specification. */
export function memoryPath(env: NodeJS.ProcessEnv): string {
  const { INDELIBLE_STATE: own, XDG_STATE_HOME: state } = env;
  if (own !== undefined && own !== '') return own;
  // A relative XDG path is to be ignored, says the specification.
  const base = state?.startsWith('/') ? state : join(homedir(), '.local', 'state');
  return join(base, 'indelible', 'heads.json');
}

/** Opens nothing yet: the file is read at each question, since other commands may run at the same time. */
export function memoryFile(path: string): MemoryFile {
  return {
    path,
    read: async (origin, keyId) => (await load(path)).heads[headName(origin, keyId)],
    write: async (origin, keyId, note, previous) =>
      await update(path, (state) => {
        const name = headName(origin, keyId);
        if (state.heads[name] !== previous) return false;
        state.heads[name] = note;
        return true;
      }),
    readPin: async (url) => (await load(path)).pins[url],
    writePin: async (url, verifierKey) => {
      await update(path, ({ pins }) => {
        pins[url] = verifierKey;
        return true;
      });
    },
    pins: async () => Object.entries((await load(path)).pins),
  };
}

async function load(path: string): Promise<State> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { heads: emptyRecord(), pins: emptyRecord() };
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, cause);
  }
  const { format, heads, pins } = (value ?? {}) as Record<string, unknown>;
  if (typeof format === 'number' && format > FORMAT) throw usage(`${path} was made by a newer version`);
  if (format !== FORMAT || !isTexts(heads) || !isTexts(pins)) throw damaged(path);
  return { heads: Object.assign(emptyRecord(), heads), pins: Object.assign(emptyRecord(), pins) };
}

/** Changes the file under a lock. A crash at any line leaves the old or the new file, whole. */
async function update(path: string, change: (state: State) => boolean): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const lock = `${path}.lock`;
  await takeLock(lock);
  try {
    const state = await load(path);
    if (!change(state)) return false;
    await replaceWhole(path, `${JSON.stringify({ format: FORMAT, ...state }, undefined, 2)}\n`);
    return true;
  } finally {
    await unlink(lock).catch(() => undefined);
  }
}

async function takeLock(lock: string): Promise<void> {
  for (;;) {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const made = await stat(lock).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
    if (made !== undefined && Date.now() - made > STALE_LOCK) await unlink(lock).catch(() => undefined);
    await sleep(10);
  }
}

/** Names come from servers; an object without prototype has no member that was not put there. */
function emptyRecord(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

function isTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((member) => typeof member === 'string')
  );
}

function damaged(path: string, cause?: unknown) {
  return usage(
    `${path} is damaged. It remembers what logs have shown; restore it, or move it away and begin to trust anew.`,
    cause,
  );
}
