/** `indelible append`: the events of a file, in batches. */
import { Command, Option } from 'commander';
import { ClientError } from '../client/error.ts';
import type { AppendOptions, AppendResult, LogClient } from '../client/log-client.ts';
import type { Ack } from '../client/replies.ts';
import { parseHeader } from '../proofs/leaf.ts';
import { type FileLine, openLineFile } from './line-file.ts';
import { type LogFlags, openLog, openMemory, withLogOptions } from './options.ts';
import { EXIT_CODES, note, printable, run, Stopped, say } from './output.ts';
import { startProgress } from './progress.ts';

interface AppendFlags extends LogFlags {
  readonly idPointer?: string;
  readonly idempotencyKey?: string;
  readonly ack?: Ack;
}

/** Most events and bytes of one request. A longer event travels alone. */
const MAX_BATCH = 1000;
const MAX_BATCH_SIZE = 8_388_608;
/** Bad lines that are printed one by one. */
const MAX_SHOWN = 20;
/** Enough for a server that is restarted or busy for half a minute. */
const RETRIES = { attempts: 10, firstDelay: 250, maxDelay: 8000 };

interface Counts {
  appended: number;
  replayed: number;
  /** Appended without an id: a second run appends them again. */
  unprotected: number;
  first: number | undefined;
  last: number | undefined;
  ack: Ack | undefined;
}

export function appendCommand(): Command {
  return withLogOptions(
    new Command('append')
      .description('append the events of a file, one JSON object a line (NDJSON), gzip accepted; - is stdin')
      .argument('<FILE>', 'the file')
      .option('--id-pointer <POINTER>', 'JSON pointer to the id in each event: with it, a second run adds nothing')
      .addOption(
        new Option(
          '--idempotency-key <KEY>',
          'for events without ids: with the same key and the same file, a second run adds nothing',
        ).conflicts('idPointer'),
      )
      .addOption(new Option('--ack <LEVEL>', 'level to wait for').choices(['durable', 'signed', 'witnessed'])),
  )
    .addHelpText(
      'after',
      `
Every leaf is rebuilt from the events as they are in the file; with --ack signed, proofs and signatures are verified too.
A batch with a bad line is not stored at all; the batches before it are.
${EXIT_CODES}

Examples:
  $ export INDELIBLE_URL=http://127.0.0.1:8080/logs/main INDELIBLE_KEY=ind_…
  $ indelible append cloudtrail.ndjson.gz --id-pointer /eventID
  $ journalctl -o json | indelible append -`,
    )
    .action((path: string, flags: AppendFlags) => run(flags.json === true, () => append(path, flags)));
}

async function append(path: string, flags: AppendFlags): Promise<undefined> {
  const file = await openLineFile(path);
  const client = await openLog(flags, openMemory(), { retries: RETRIES });
  if (flags.idPointer === undefined && flags.idempotencyKey === undefined)
    note(
      'without --id-pointer or --idempotency-key a second run appends everything again, and a broken connection can not be retried',
    );
  const counts: Counts = {
    appended: 0,
    replayed: 0,
    unprotected: 0,
    first: undefined,
    last: undefined,
    ack: undefined,
  };
  let number = 0;
  const progress = startProgress('appending', file.size, flags.json === true);
  try {
    for await (const batch of batches(file.lines())) {
      count(counts, await appendBatch(client, batch, optionsOf(flags, ++number), counts));
      progress.update(file.read(), counts.appended + counts.replayed);
    }
  } catch (error) {
    // A bad batch says itself what was done. Whatever else ends a run, it must be said too.
    throw error instanceof Stopped ? error : new Stopped(error, [summary(counts)], membersOf(counts));
  } finally {
    progress.stop();
  }
  if (flags.ack !== undefined && counts.ack !== undefined && isBelow(counts.ack, flags.ack))
    note(shortfall(flags.ack, counts.ack, flags.policy));
  if (flags.idPointer !== undefined && counts.unprotected > 0)
    note(`${counts.unprotected} events have nothing at ${flags.idPointer}; a second run appends them again`);
  say(flags.json === true ? JSON.stringify({ ok: true, ...membersOf(counts) }) : summary(counts));
  return undefined;
}

/** Each batch is a request of its own, so each has a key of its own. */
function optionsOf({ ack, idPointer, idempotencyKey }: AppendFlags, batch: number): AppendOptions {
  return { ack, idPointer, idempotencyKey: idempotencyKey === undefined ? undefined : `${idempotencyKey}/${batch}` };
}

async function* batches(lines: AsyncIterable<FileLine>): AsyncGenerator<FileLine[], void, undefined> {
  let batch: FileLine[] = [];
  let size = 0;
  for await (const line of lines) {
    const { length } = line.bytes;
    if (batch.length === MAX_BATCH || (batch.length > 0 && size + length + 1 > MAX_BATCH_SIZE)) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(line);
    size += length + 1;
  }
  if (batch.length > 0) yield batch;
}

async function appendBatch(
  client: LogClient,
  batch: readonly FileLine[],
  options: AppendOptions,
  counts: Counts,
): Promise<AppendResult> {
  try {
    return await client.append(
      batch.map(({ bytes }) => bytes),
      options,
    );
  } catch (error) {
    const from = batch[0]?.line ?? 0;
    const to = batch.at(-1)?.line ?? 0;
    const range = from === to ? `line ${from}` : `lines ${from} to ${to}`;
    const refused = error instanceof ClientError && error.code === 'http' && (error.status ?? 500) < 500;
    const errors = error instanceof ClientError ? badLines(error, batch) : [];
    const lines = errors
      .slice(0, MAX_SHOWN)
      .map(({ line, code, detail }) => `line ${line}: ${printable(`${code}: ${detail}`)}`);
    if (errors.length > MAX_SHOWN) lines.push(`and ${errors.length - MAX_SHOWN} more bad lines`);
    lines.push(
      `${range}: ${refused ? 'nothing of them was stored' : whatIsKnown(error, (options.idPointer ?? options.idempotencyKey) !== undefined)}`,
    );
    lines.push(`before that: ${summary(counts)}`);
    throw new Stopped(error, lines, { ...membersOf(counts), errors, from_line: from, to_line: to });
  }
}

function whatIsKnown(error: unknown, repeatable: boolean): string {
  if (!(error instanceof ClientError)) return 'stored perhaps, but not as the answer says';
  if (error.code === 'unreachable' || error.code === 'http')
    return repeatable ? 'not acknowledged; run it again to go on' : 'not stored';
  if (error.code === 'outcome_unknown') return 'stored or not, nobody knows; look before you run it again';
  return 'stored perhaps, but the answer can not be believed';
}

interface BadLine {
  readonly line: number;
  readonly code: string;
  readonly detail: string;
}

/** The lines that a server names count within the request; these are the lines of the file. */
function badLines({ problem, message }: ClientError, batch: readonly FileLine[]): BadLine[] {
  if (problem === undefined) return [];
  const { errors, line } = problem.members;
  const whole = { line, code: problem.code, detail: problem.detail };
  // One event alone travels as JSON, and then no line is named.
  const [only] = batch;
  const named = Array.isArray(errors) ? errors : batch.length === 1 ? [{ ...whole, line: 1 }] : [whole];
  return named.flatMap((entry: unknown) => {
    const bad = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
    const place = batch.length === 1 ? only : typeof bad['line'] === 'number' ? batch[bad['line'] - 1] : undefined;
    if (place === undefined) return [];
    const { code, detail } = bad;
    return [
      {
        line: place.line,
        code: typeof code === 'string' ? code : (problem.code ?? 'refused'),
        detail: typeof detail === 'string' ? detail : (problem.detail ?? message),
      },
    ];
  });
}

function count(counts: Counts, { ack, entries }: AppendResult): void {
  for (const { replayed, leafIndex, header } of entries) {
    if (replayed) counts.replayed++;
    else {
      counts.appended++;
      const { id_pointer, idempotency_key } = parseHeader(header);
      if (id_pointer === undefined && idempotency_key === undefined) counts.unprotected++;
    }
    counts.first = Math.min(counts.first ?? leafIndex, leafIndex);
    counts.last = Math.max(counts.last ?? leafIndex, leafIndex);
  }
  // The lowest level is what holds for the whole file.
  if (counts.ack === undefined || isBelow(ack, counts.ack)) counts.ack = ack;
}

const LEVELS: readonly Ack[] = ['durable', 'signed', 'witnessed'];

function isBelow(ack: Ack, other: Ack): boolean {
  return LEVELS.indexOf(ack) < LEVELS.indexOf(other);
}

function shortfall(wanted: Ack, reached: Ack, policy: string | undefined): string {
  if (reached === 'durable') return 'not everything was signed in time; it is durable, and will be signed';
  return policy === undefined
    ? `whether it is ${wanted} cannot be verified without --policy; it is signed`
    : `not everything was ${wanted} in time; it is signed`;
}

function summary({ appended, replayed, first, last }: Counts): string {
  const where = first === undefined ? '' : `, leaf index ${first} to ${last}`;
  return `appended ${appended}, replayed ${replayed}${where}`;
}

function membersOf({ appended, replayed, unprotected, first, last, ack }: Counts): Record<string, unknown> {
  return {
    appended,
    replayed,
    without_id: unprotected,
    first_leaf_index: first ?? null,
    last_leaf_index: last ?? null,
    ack: ack ?? null,
  };
}
