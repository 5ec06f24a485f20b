/**
 * strace around a server: it records what the server does to the files of its data directory, and makes some of these calls fail.
 *
 * strace counts the calls of each thread apart. So the server gets one worker thread (SERVER_ENV), which LevelDB's writes and the guard's go
 * through one after the other, and temporary files with names that are known beforehand. Only calls about given paths are touched:
 * a write to one of Node's own pipes that fails would end the process for no reason of ours.
 */
import { spawnSync } from 'node:child_process';
import { relative } from 'node:path';

/** What changes files or their names; the names of both older and newer architectures. */
export const SYSCALLS = [
  ...[
    'open',
    'openat',
    'creat',
    'write',
    'pwrite64',
    'writev',
    'pwritev',
    'fdatasync',
    'fsync',
    'ftruncate',
    'fallocate',
  ],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir', 'mkdir', 'mkdirat', 'link', 'linkat'],
  ...['chmod', 'fchmod', 'fchmodat'],
] as const;

const WRITES = new Set(['write', 'pwrite64', 'writev', 'pwritev']);

/** How long the server has been running when it makes a call. */
export type Stage = 'start' | 'running' | 'stop';

export interface Call {
  readonly thread: string;
  readonly name: string;
  /** Files that it is about, as paths in the data directory; `` for the directory itself. */
  readonly files: readonly string[];
  /** Of a write: its first byte in the file, and how many it wants to write. */
  readonly range: { readonly offset: number; readonly size: number } | undefined;
  readonly stage: Stage;
  /** Whether strace let it fail, or the file had reached its largest size. */
  readonly failed: boolean;
}

/** What becomes of a call: an error of the disk, or an end of the process instead of the call. */
export type Effect = 'EIO' | 'ENOSPC' | 'kill';

export interface Injection {
  readonly name: string;
  readonly effect: Effect;
  /** The call of that name, counted from 1 in each thread; with `+`, all after it too. */
  readonly when: string;
}

/** For the server that is traced: one worker thread, and names of temporary files that no earlier start in the directory used. */
export function tracedEnv(start: number): Record<string, string> {
  return { UV_THREADPOOL_SIZE: '1', PREDICTABLE_NAMES: String(start) };
}

/** Flags of Node for the server that is traced. */
export const TRACED_NODE_FLAGS = ['--import', new URL('predictable-names.js', import.meta.url).href];

// -D: strace is a child of the server instead of its parent, so that signals and exit codes are the server's own.
const STRACE = ['strace', '-D', '-f', '-qq', '-y'];
/** Stops at the calls that are traced, and lets all others pass at their usual speed. */
const FAST = '--seccomp-bpf';

/** Command that writes down what a server does. */
export function recorder(output: string): string[] {
  // Twelve bytes of what is written are enough to recognise the line that says that it listens.
  return [...STRACE, FAST, '-s', '12', '-o', output, '-e', `trace=${SYSCALLS.map((name) => `?${name}`).join(',')}`];
}

/** Command that makes calls about `paths` fail. */
export function injector(output: string, paths: readonly string[], injections: readonly Injection[]): string[] {
  // Where a filter stopped the process, a signal would get lost: killing needs the slow way.
  const fast = injections.every(({ effect }) => effect !== 'kill') ? [FAST] : [];
  const limits = paths.flatMap((path) => ['-P', path]);
  const faults = injections.flatMap(({ name, effect, when }) => [
    '-e',
    `inject=${name}:${effect === 'kill' ? 'signal=KILL' : `error=${effect}`}:when=${when}`,
  ]);
  const traced = [...new Set(injections.map(({ name }) => name))].join(',');
  return [...STRACE, ...fast, '-s', '0', '-o', output, ...limits, '-e', `trace=${traced}`, ...faults];
}

/**
 * Command that lets no file grow beyond `size` bytes: a write that reaches it is short, and what follows fails with EFBIG. It is the one
 * way to a write that is really short: strace can only say so of one that was not made.
 */
export function limiter(output: string, size: number): string[] {
  // strace outside: its own file must grow.
  return [
    ...STRACE,
    ...[FAST, '-s', '0', '-o', output, '-e', `trace=${[...WRITES].join(',')}`],
    ...['prlimit', `--fsize=${size}`],
  ];
}

/** What a trace says of the files in the data directory, in its order. */
export function parseTrace(trace: string, dataDir: string): Call[] {
  const calls: { -readonly [field in keyof Call]: Call[field] }[] = [];
  const ends = new Map<string, number>();
  /** By thread, the call whose result stands in a later line, because another thread did something meanwhile. */
  const unfinished = new Map<string, (typeof calls)[number]>();
  let stage: Stage = 'start';
  for (const line of trace.split('\n')) {
    if (/^[0-9]+ +write\(1<[^>]*>, "listening on/.test(line)) stage = 'running';
    if (/^[0-9]+ +--- SIGTERM /.test(line)) stage = 'stop';
    const resumed = /^([0-9]+) +<\.\.\. .* resumed>(.*)$/.exec(line);
    const before = unfinished.get(resumed?.[1] ?? '');
    if (before !== undefined) {
      before.failed = hasFailed(resumed?.[2] ?? '');
      unfinished.delete(before.thread);
    }
    const match = /^([0-9]+) +([a-z0-9]+)\((.*)$/.exec(line);
    if (match === null) continue;
    const [, thread, name, rest] = match as unknown as [string, string, string, string];
    const files = filesIn(rest, dataDir);
    if (files.length === 0) continue;
    const file = files[0] as string;
    if (rest.includes('O_TRUNC')) ends.set(file, 0);
    const range = WRITES.has(name) ? rangeOf(rest, ends.get(file) ?? 0) : undefined;
    if (range !== undefined) ends.set(file, Math.max(ends.get(file) ?? 0, range.offset + range.size));
    const call = { thread, name, files, range, stage, failed: hasFailed(rest) };
    if (rest.endsWith('<unfinished ...>')) unfinished.set(thread, call);
    calls.push(call);
  }
  return calls;
}

function hasFailed(result: string): boolean {
  return / = -1 [A-Z]+ .*\(INJECTED\)$| = -1 EFBIG /.test(result);
}

/** Paths in the arguments: of open files in angle brackets, of others as text. */
function filesIn(rest: string, dataDir: string): string[] {
  const paths = [...rest.matchAll(/<(\/[^<>]*)>|"(\/[^"]*)"/g)].map((match) => (match[1] ?? match[2]) as string);
  const inside = paths.filter((path) => path === dataDir || path.startsWith(`${dataDir}/`));
  return [...new Set(inside.map((path) => relative(dataDir, path)))];
}

/** `end`: where a write goes that does not say so itself. */
function rangeOf(rest: string, end: number): Call['range'] {
  const match = /"\.*, ([0-9]+)(?:, ([0-9]+))?(?:\)| <unfinished)/.exec(rest);
  if (match === null) return undefined;
  return { offset: match[2] === undefined ? end : Number(match[2]), size: Number(match[1]) };
}

/** Why strace cannot do this here, or `undefined`. */
export function straceMissing(): string | undefined {
  const harmless = ['-P', '/nowhere', '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO:when=1', 'true'];
  // Without -D, so that the exit code is strace's own where it may not trace.
  const strace = spawnSync('strace', ['-f', '-qq', FAST, ...harmless], { encoding: 'utf8' });
  if (strace.status !== 0) return `strace does not work here: ${strace.error?.message ?? strace.stderr.trim()}`;
  const prlimit = spawnSync('prlimit', ['--fsize=1', 'true'], { encoding: 'utf8' });
  if (prlimit.status !== 0) return `prlimit does not work here: ${prlimit.error?.message ?? prlimit.stderr.trim()}`;
  return undefined;
}
