/** Logs and API keys: made, listed, revoked. Each change is a commit, recorded in the log `_system`. */
import { z } from 'zod';
import { fromUtf8 } from '../../tree/bytes.ts';
import { type ApiKey, SCOPES } from '../access.ts';
import { ServerError } from '../errors.ts';
import { parsePointer } from '../ingest/event-id.ts';
import { checkEvent } from '../ingest/json-event.ts';
import type { Log, LogKind } from '../log.ts';
import { hideSecrets } from '../secrets.ts';
import type { Call, LogCall } from './call.ts';
import { renderLog } from './render.ts';
import { json, type Reply } from './reply.ts';
import { mediaType, Query, readBody } from './request.ts';

const ADMIN_BODY = 65_536;

async function readJson<T>(call: Call, schema: z.ZodType<T>): Promise<T> {
  new Query(call.search, []);
  if (mediaType(call.req) !== 'application/json')
    throw new ServerError('unsupported_media_type', 'send application/json');
  // Held to the rules of an event: of two scopes in one body, nobody should have to know which one counts.
  const body = checkEvent(await readBody(call, ADMIN_BODY), { maxEventSize: ADMIN_BODY });
  const parsed = schema.safeParse(JSON.parse(fromUtf8(body)));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  // Names of members are repeated, and one of them may be a key that somebody put in the wrong place.
  throw new ServerError('bad_request', faults.map(hideSecrets).join('; '));
}

function by({ key }: Call): string {
  return (key as ApiKey).id;
}

function checkIdPointer(idPointer: string | null, kind: LogKind): void {
  if (idPointer === null) return;
  parsePointer(idPointer);
  if (kind === 'raw') throw new ServerError('wrong_log_kind', 'a raw log has no events, so no id pointer');
}

const NewLogBody = z.strictObject({
  name: z.string(),
  kind: z.enum(['events', 'raw']).default('events'),
  public_reads: z.boolean().default(false),
  id_pointer: z.string().nullable().default(null),
});

/** POST /admin/logs. */
export async function createLog(call: Call): Promise<Reply> {
  const { name, kind, public_reads: publicReads, id_pointer: idPointer } = await readJson(call, NewLogBody);
  checkIdPointer(idPointer, kind);
  const log = await call.server.createLog({ name, kind, publicReads, idPointer }, by(call));
  return json(201, renderLog(log));
}

const SettingsBody = z
  .strictObject({ public_reads: z.boolean().optional(), id_pointer: z.string().nullable().optional() })
  .refine((body) => Object.keys(body).length > 0, 'give public_reads or id_pointer');

/** PATCH /admin/logs/x: settings, in force for the next request. */
export async function changeSettings(call: Call): Promise<Reply> {
  const log = namedLog(call);
  const { public_reads: publicReads, id_pointer: idPointer } = await readJson(call, SettingsBody);
  if (idPointer !== undefined) checkIdPointer(idPointer, log.definition.kind);
  const settings = {
    ...(publicReads === undefined ? {} : { publicReads }),
    ...(idPointer === undefined ? {} : { idPointer }),
  };
  await call.server.changeSettings(log, settings, by(call));
  return json(200, renderLog(log));
}

/** POST /admin/logs/x/freeze: for ever. Answers with the last head, or with `checkpoint` null while that is not signed yet. */
export async function freezeLog(call: Call): Promise<Reply> {
  new Query(call.search, []);
  const { server, limits } = call;
  const log = namedLog(call);
  await server.freezeLog(log, by(call));
  const signed = await server.publisher.waitFor(log, log.state.treeSize, limits.ackTimeout);
  return json(200, { ...renderLog(log), checkpoint: signed ? log.published.checkpoint : null });
}

/** DELETE /admin/logs/x: only a frozen one. */
export async function deleteLog(call: Call): Promise<Reply> {
  new Query(call.search, []);
  const log = namedLog(call);
  await call.server.deleteLog(log, by(call));
  return json(200, renderLog(log));
}

/** POST /admin/logs/x/rotation: from the next head on a new key signs beside the old one. */
export async function rotateKey(call: Call): Promise<Reply> {
  new Query(call.search, []);
  const log = namedLog(call);
  await call.server.rotateKey(log, by(call));
  return json(200, renderLog(log));
}

/** DELETE /admin/logs/x/rotation: the old key signs nothing more. */
export async function endRotation(call: Call): Promise<Reply> {
  new Query(call.search, []);
  const log = namedLog(call);
  await call.server.endRotation(log, by(call));
  return json(200, renderLog(log));
}

function namedLog({ server, params }: Call): Log {
  const log = server.log(params['name'] as string);
  if (log === undefined) throw new ServerError('not_found', 'there is no such log');
  return log;
}

/** GET /admin/logs: deleted ones too, since their names are taken for ever. */
export function listLogs({ server, search }: Call): Reply {
  new Query(search, []);
  return json(200, { logs: server.logs().map(renderLog) });
}

/** GET /logs/x. */
export function showLog({ log, search }: LogCall): Reply {
  new Query(search, []);
  return json(200, renderLog(log));
}

const NewKeyBody = z
  .strictObject({
    name: z
      .string()
      .regex(/^[ -~]{1,128}$/, 'a source name has 1 to 128 printable ASCII characters')
      .optional(),
    scope: z.enum(SCOPES).optional(),
    scopes: z.array(z.enum(SCOPES)).min(1).optional(),
    log: z.string().nullable().default(null),
  })
  .refine(({ scope, scopes }) => (scope === undefined) !== (scopes === undefined), 'give scope or scopes');

function renderKey({ id, name, scopes, log, createdAt, revokedAt }: ApiKey): Record<string, unknown> {
  return { id, name, scopes, log, created_at: createdAt, revoked_at: revokedAt };
}

/** POST /admin/keys: the only reply that ever shows the key. */
export async function createKey(call: Call): Promise<Reply> {
  const { name, scope, scopes, log } = await readJson(call, NewKeyBody);
  const wanted = scope === undefined ? (scopes ?? []) : [scope];
  const { key, text } = await call.server.createKey({ name, scopes: [...new Set(wanted)], log }, by(call));
  return json(201, { ...renderKey(key), key: text });
}

/** GET /admin/keys. */
export function listKeys({ server, search }: Call): Reply {
  new Query(search, []);
  return json(200, { keys: server.apiKeys.list().map(renderKey) });
}

/** DELETE /admin/keys/:id. */
export async function revokeKey(call: Call): Promise<Reply> {
  new Query(call.search, []);
  return json(200, renderKey(await call.server.revokeKey(call.params['id'] as string, by(call))));
}

/** POST /admin/clock: the operator says that the wall clock is right. */
export async function acceptClock(call: Call): Promise<Reply> {
  new Query(call.search, []);
  const step = await call.server.acceptClock(by(call));
  call.witness?.acceptClock();
  return json(200, { step_microseconds: step });
}
