/** What commands print and how they end. Results go to stdout, everything else to stderr. */
import { ClientError } from '../client/error.ts';
import { LogError, NoteError, ProofError } from '../proofs/error.ts';

/** Exit codes of the commands that do one thing and end; `serve` has its own. */
export const EXIT_GOOD = 0;
export const EXIT_WRONG = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNREACHABLE = 3;
/** A bug of ours. */
const EXIT_BUG = 70;

/** The lines about exit codes that end each help text. */
export const EXIT_CODES = `
Exit codes: 0 good, 1 a proof, a signature or the tree is wrong, 2 usage, or the server refused the request (status 4xx),
3 unreachable, or the server failed (status 5xx).`;

/**
 * `usage`: the command can not be meant. `event_differs`: the log holds other bytes than the given file. `malformed_rules`: a file of watch
 * rules can not be meant.
 */
export class CliError extends LogError<'usage' | 'event_differs' | 'malformed_rules'> {}

/** An error, and what a command had done before it: `lines` for people, `members` for --json. */
export class Stopped extends Error {
  override readonly cause: unknown;
  readonly lines: readonly string[];
  readonly members: Readonly<Record<string, unknown>>;

  constructor(cause: unknown, lines: readonly string[], members: Readonly<Record<string, unknown>>) {
    super('stopped', { cause });
    this.cause = cause;
    this.lines = lines;
    this.members = members;
  }
}

export function usage(message: string, cause?: unknown): CliError {
  return new CliError('usage', message, { cause });
}

/** A line on stdout. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line on stderr. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Text from a server, fit for a terminal: control characters, which could rewrite what stands there, are spelled out. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Columns of equal width, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** The stable code of an error; undefined for a bug. */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof ClientError && error.code === 'http') return error.problem?.code ?? 'http';
  if (error instanceof LogError) return error.code;
  return isSystemError(error) ? error.code : undefined;
}

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Stopped) return exitCodeOf(error.cause);
  if (error instanceof ProofError || error instanceof NoteError) return EXIT_WRONG;
  if (error instanceof CliError) return error.code === 'event_differs' ? EXIT_WRONG : EXIT_USAGE;
  // A file that can not be read or written.
  if (isSystemError(error)) return EXIT_USAGE;
  if (!(error instanceof ClientError)) return EXIT_BUG;
  switch (error.code) {
    case 'bad_argument':
    case 'unpinned':
      return EXIT_USAGE;
    case 'unreachable':
    case 'outcome_unknown':
      return EXIT_UNREACHABLE;
    case 'http':
      return (error.status ?? 500) < 500 ? EXIT_USAGE : EXIT_UNREACHABLE;
    default:
      return EXIT_WRONG;
  }
}

/** One line for people. */
export function describeError(error: unknown): string {
  const code = errorCode(error);
  if (!(error instanceof Error)) return printable(String(error));
  // Usage errors and those of the file system say it in words; the server's own code is in the message already.
  if (code === undefined || code === 'usage' || isSystemError(error)) return printable(error.message);
  if (error instanceof ClientError && error.code === 'http') return printable(`the server refuses: ${error.message}`);
  return printable(`${code}: ${error.message}`);
}

/** Members for --json. */
export function errorMembers(error: unknown): Record<string, unknown> {
  const members: Record<string, unknown> = {
    ok: false,
    code: errorCode(error) ?? 'bug',
    message: error instanceof Error ? error.message : String(error),
  };
  if (error instanceof ClientError && error.status !== undefined) members['status'] = error.status;
  // The two signed heads are the evidence against the log: whoever sees this must be able to keep it.
  if (error instanceof ClientError && error.heads !== undefined) members['heads'] = error.heads;
  return members;
}

/** Runs a command to its exit code; errors are printed, with --json as an object on stdout too. */
export async function run(json: boolean, command: () => Promise<number | undefined>): Promise<void> {
  try {
    process.exitCode = (await command()) ?? EXIT_GOOD;
  } catch (error) {
    report(error, json);
    process.exitCode = exitCodeOf(error);
  }
}

function report(error: unknown, json: boolean): void {
  const stopped = error instanceof Stopped ? error : undefined;
  const cause = stopped?.cause ?? error;
  if (json) say(JSON.stringify({ ...errorMembers(cause), ...stopped?.members }));
  note(`indelible: ${describeError(cause)}`);
  for (const line of stopped?.lines ?? []) note(line);
  if (!json && cause instanceof ClientError && cause.heads !== undefined)
    note(`remembered:\n${printableNote(cause.heads.remembered)}received:\n${printableNote(cause.heads.received)}`);
  if (exitCodeOf(cause) === EXIT_BUG && cause instanceof Error) note(cause.stack ?? '');
}

/** A signed note has newlines and no other control character below 0x20. */
function printableNote(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string';
}
