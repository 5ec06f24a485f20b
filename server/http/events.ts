/** Events: appended one or many at a time, read one with its proof or many without. */
import { formatMicros } from '../../proofs/time.ts';
import { type AppendedEntryMessage, encodeAppendReply, encodeEntry } from '../../proto/messages.ts';
import { leafHash } from '../../tree/hash.ts';
import { type Appended, ConflictError, type ExactlyOnce } from '../append.ts';
import type { StoredEntry } from '../entry.ts';
import { ServerError } from '../errors.ts';
import { eventId, parsePointer } from '../ingest/event-id.ts';
import { checkEvent } from '../ingest/json-event.ts';
import { readBatch } from '../ingest/ndjson.ts';
import { readProtobufBatch } from '../ingest/protobuf-batch.ts';
import { inclusionProof, inclusionProofs } from '../prover.ts';
import type { LogCall } from './call.ts';
import { negotiatedText, PROTOBUF, prefersProtobuf, protobuf, varied } from './negotiation.ts';
import { type Code, problem } from './problem.ts';
import { asciiText, base64, base64Each, hashesText, headTexts, renderEntry } from './render.ts';
import { jsonText, REPLAYED, type Reply, withHeaders } from './reply.ts';
import { idempotencyKey, mediaType, Query, readBody } from './request.ts';
import { signedIndex, waitUntilSigned } from './signed.ts';

type Ack = 'durable' | 'signed' | 'witnessed';

/**
 * POST events: one event as application/json, or a batch as application/x-ndjson or as an AppendRequest in application/x-protobuf; all of
 * it is stored or nothing.
 */
export async function append(call: LogCall): Promise<Reply> {
  const { log, server } = call;
  if (log.name.startsWith('_')) throw new ServerError('forbidden', 'only the server writes there');
  const query = new Query(call.search, ['ack', 'id_pointer']);
  const ack = parseAck(query.text('ack'));
  if (ack === 'witnessed' && !server.hasWitnesses(log))
    throw new ServerError(
      'bad_parameter',
      'ack=witnessed needs witnesses, and no policy of this server names any for this log',
    );
  const once = exactlyOnce(call, query.text('id_pointer'));
  // The body ends with that call: until a head is signed there is time for more bodies than memory has room for.
  const stored = await store(call, once);
  if ('refusal' in stored) return stored.refusal;
  const { receipts } = stored;
  const reply = await acknowledge(call, ack, receipts);
  return once?.kind === 'key' && receipts.some(({ replayed }) => replayed) ? withHeaders(reply, REPLAYED) : reply;
}

/** Reads the events of a request and appends them. Resolves with what an answer says of each. */
async function store(
  call: LogCall,
  once: ExactlyOnce | undefined,
): Promise<{ readonly receipts: readonly AppendedEntryMessage[] } | Refusal> {
  const { log, req, limits, server, key } = call;
  const type = mediaType(req);
  if (type !== 'application/json' && type !== 'application/x-ndjson' && type !== PROTOBUF) {
    throw new ServerError(
      'unsupported_media_type',
      `send one event as application/json, or a batch as application/x-ndjson or ${PROTOBUF}`,
    );
  }
  const body = await readBody(call, limits.maxBodySize);
  server.sequencer.checkRoom();
  const events: { readonly event: Uint8Array; readonly id: string | undefined }[] = [];
  const take = (event: Uint8Array): void => {
    const id = once?.kind === 'pointer' ? eventId(event, once.pointer) : undefined;
    events.push({ event, id: id?.kind === 'id' ? id.jcs : undefined });
  };
  let place: ((position: number) => Place) | undefined;
  if (type === 'application/json') {
    take(checkEvent(body, limits));
  } else if (type === PROTOBUF) {
    const batch = readProtobufBatch(body, limits, take);
    place = (position) => ({ position });
    if (batch.kind === 'bad')
      return refuseEvents(batch.bad.map((bad) => ({ ...bad, place: { position: bad.position } })));
  } else {
    const batch = readBatch(body, limits, take);
    if (batch.kind === 'bad') return refuseEvents(batch.bad.map((bad) => ({ ...bad, place: { line: bad.line } })));
    const { lines } = batch;
    place = (position) => ({ line: lines[position] as number });
  }

  // The route needs the scope, so there is a key.
  const sender = key as NonNullable<typeof key>;
  const { id: by, name: source } = sender;
  const tooMuch = call.rates?.entries(sender, events.length);
  if (tooMuch !== undefined) throw tooMuch;
  let appended: Appended[];
  try {
    appended = await server.sequencer.append({ log, events, by, source, via: 'events', once });
  } catch (error) {
    if (place === undefined || !(error instanceof ConflictError)) throw error;
    const at = place;
    return refuseEvents(error.conflicts.map(({ position, ...rest }) => ({ ...rest, place: at(position) })));
  }
  call.metrics.replayed(appended.filter(({ replayed }) => replayed).length);
  return { receipts: appended.map(receiptOf) };
}

function receiptOf(appended: Appended): AppendedEntryMessage {
  const { leafIndex, receivedAt, leaf, leafHash: known, salt, header, replayed } = appended;
  return { leafIndex, receivedAt, leafHash: known ?? leafHash(leaf), salt, header, replayed };
}

/** What makes this append exactly-once: its Idempotency-Key, or the pointer to its events' ids, its own or the log's. */
function exactlyOnce({ req, log }: LogCall, asked: string | undefined): ExactlyOnce | undefined {
  const key = idempotencyKey(req);
  const pointer = asked ?? log.definition.idPointer;
  if (key === undefined) return pointer === null ? undefined : { kind: 'pointer', pointer: parsePointer(pointer) };
  if (pointer === null) return { kind: 'key', idempotencyKey: key };
  const where =
    asked === undefined ? `this log has the id_pointer ${pointer} for all appends` : 'id_pointer is given too';
  throw new ServerError(
    'bad_parameter',
    `an append is exactly-once by Idempotency-Key or by id pointer, not both: ${where}`,
  );
}

/** The answer to an append that is durable: at the level that was asked for, if that is reached in time. */
async function acknowledge(call: LogCall, ack: Ack, appended: readonly AppendedEntryMessage[]): Promise<Reply> {
  const { log, server, limits, req } = call;
  if (ack !== 'durable') {
    const needed = appended.reduce((size, { leafIndex }) => Math.max(size, leafIndex + 1), 0);
    const { publisher } = server;
    const witnessed = ack === 'witnessed';
    const reached =
      (await publisher.waitFor(log, needed, limits.ackTimeout, { witnessed, weight: appended.length })) ||
      log.published.treeSize >= needed;
    // Whatever happens from here on, the entries are durable: the answer names the level that was reached, never an error.
    const reply = reached ? await signedReply(call, appended).catch(() => undefined) : undefined;
    if (reply !== undefined) return reply;
  }
  return negotiatedText(
    req,
    () => `{"ack":"durable","entries":[${appendedTexts(appended).join(',')}]}`,
    () => encodeAppendReply({ ack: 'durable', entries: appended }),
  );
}

async function signedReply({ log, server, req }: LogCall, appended: readonly AppendedEntryMessage[]): Promise<Reply> {
  const { treeSize, checkpoint, witnessed } = log.published;
  const ack = witnessed === true ? 'witnessed' : 'signed';
  const leafIndexes = appended.map(({ leafIndex }) => leafIndex);
  const proofs = await inclusionProofs(server.reader, log, leafIndexes, treeSize);
  return negotiatedText(
    req,
    () => {
      const entries = appendedTexts(appended, proofs).join(',');
      return `{"ack":"${ack}","entries":[${entries}],"tree_size":${treeSize},"checkpoint":${asciiText(checkpoint)}}`;
    },
    () => {
      const entries = appended.map((entry, i) => ({ ...entry, proof: proofs[i] ?? [] }));
      return encodeAppendReply({ ack, entries, treeSize, checkpoint });
    },
  );
}

/**
 * Appended entries as JSON texts, with their proofs where there are any. Written by hand: through objects and JSON.stringify the reply took
 * a quarter of all that a batch cost. Time and header are those of the entry before, nearly always.
 */
function appendedTexts(
  appended: readonly AppendedEntryMessage[],
  proofs?: readonly (readonly Uint8Array[])[],
): string[] {
  const hashes = base64Each(appended.map((entry) => entry.leafHash));
  const salts = base64Each(appended.map(({ salt }) => salt));
  let last: AppendedEntryMessage | undefined;
  let time = '';
  let text = '';
  return appended.map((entry, i) => {
    if (entry.receivedAt !== last?.receivedAt) time = formatMicros(entry.receivedAt);
    if (entry.header !== last?.header) text = base64(entry.header);
    last = entry;
    const proof = proofs === undefined ? '' : `,"proof":${hashesText(proofs[i] ?? [])}`;
    return `{"leaf_index":${entry.leafIndex},"received_at":"${time}","leaf_hash":"${hashes[i]}","salt":"${salts[i]}","header_base64":"${text}","replayed":${entry.replayed}${proof}}`;
  });
}

function parseAck(text: string | undefined): Ack {
  if (text === undefined || text === 'durable') return 'durable';
  if (text === 'signed' || text === 'witnessed') return text;
  throw new ServerError('bad_parameter', 'ack is durable, signed or witnessed');
}

/** Where in a batch an event is: its line of NDJSON, from 1, or its position in a protobuf request, from 0. */
type Place = { readonly line: number } | { readonly position: number };

/** Why nothing of a batch was stored. */
interface Refusal {
  readonly refusal: Reply;
}

/** An event of a batch that keeps the whole of it out. */
interface RefusedEvent {
  readonly place: Place;
  readonly code: Code;
  readonly message: string;
  readonly leafIndex?: number | undefined;
}

/** One bad event refuses the whole batch; the reply lists every bad one, and its code is that of the first. */
function refuseEvents(bad: readonly RefusedEvent[]): Refusal {
  const { place, code, message, leafIndex } = bad[0] as RefusedEvent;
  const where = 'line' in place ? `line ${place.line}` : `position ${place.position}`;
  const refusal = problem(code, `${where}: ${message}; nothing of the batch was stored`, {
    ...place,
    ...(leafIndex === undefined ? {} : { leaf_index: leafIndex }),
    errors: bad.map(({ place, code, message, leafIndex }) => ({
      ...place,
      code,
      detail: message,
      leaf_index: leafIndex,
    })),
  });
  return { refusal };
}

/** GET events/7: one entry with its inclusion proof under the newest head. */
export async function show(call: LogCall): Promise<Reply> {
  const { log, params, server, req } = call;
  new Query(call.search, []);
  const leafIndex = await signedIndex(call, params['index'] as string);
  const { published } = log;
  const { treeSize, checkpoint } = published;
  const [entry] = (await server.entries(log, leafIndex, leafIndex + 1)) as [StoredEntry];
  const proof = await inclusionProof(server.reader, log, leafIndex, treeSize);
  if (prefersProtobuf(req.headers.accept)) {
    return varied(protobuf(encodeEntry({ ...entry, leafHash: leafHash(entry.leaf), treeSize, proof, checkpoint })));
  }
  const text = renderEntry(entry, treeSize, false);
  return varied(jsonText(200, `${text},"proof":${hashesText(proof)},"checkpoint":${headTexts(published).checkpoint}}`));
}

/** Entries read from the store at a time, and bytes after which a list ends early. */
const LIST_STEP = 32;
const LIST_BYTES = 8 * 1_048_576;

/** GET events?from=0&limit=100: entries under the newest head as NDJSON. */
export async function list(call: LogCall): Promise<Reply> {
  const { log } = call;
  const query = new Query(call.search, ['from', 'limit']);
  const from = query.number('from') ?? 0;
  const limit = query.limit(100, 1000);
  if (from < log.state.treeSize) await waitUntilSigned(call, from + 1);
  const { treeSize } = log.published;
  const end = Math.min(from + limit, treeSize);
  const lines = await call.replies.inTurn(() => linesOf(call, from, end, treeSize));
  return {
    status: 200,
    headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
    body: lines.join(''),
  };
}

async function linesOf(
  { log, server, replies }: LogCall,
  from: number,
  end: number,
  treeSize: number,
): Promise<string[]> {
  const most = replies.most(LIST_BYTES);
  const lines: string[] = [];
  let bytes = 0;
  for (let at = from; at < end && bytes < most; at += LIST_STEP) {
    for (const entry of await server.entries(log, at, Math.min(at + LIST_STEP, end))) {
      if (bytes >= most) break;
      const line = `${renderEntry(entry, treeSize, true)}}\n`;
      bytes += line.length;
      lines.push(line);
    }
  }
  return lines;
}
