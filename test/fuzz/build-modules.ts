/** The code under test, taken from a build and not from the sources: so a bug that was planted in a copy of the build is found or is not. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Modules {
  readonly bytes: typeof import('../../tree/bytes.ts');
  readonly hash: typeof import('../../tree/hash.ts');
  readonly bundles: typeof import('../../tree/bundles.ts');
  readonly tiles: typeof import('../../tree/tiles.ts');
  readonly errors: typeof import('../../proofs/error.ts');
  readonly key: typeof import('../../proofs/key.ts');
  readonly note: typeof import('../../proofs/note.ts');
  readonly checkpoint: typeof import('../../proofs/checkpoint.ts');
  readonly cosignature: typeof import('../../proofs/cosignature.ts');
  readonly ed25519: typeof import('../../proofs/ed25519.ts');
  readonly entry: typeof import('../../proofs/entry.ts');
  readonly inclusion: typeof import('../../proofs/inclusion.ts');
  readonly consistency: typeof import('../../proofs/consistency.ts');
  readonly leaf: typeof import('../../proofs/leaf.ts');
  readonly time: typeof import('../../proofs/time.ts');
  readonly tlogProof: typeof import('../../proofs/tlog-proof.ts');
  readonly fraudProof: typeof import('../../proofs/fraud-proof.ts');
  readonly policy: typeof import('../../proofs/policy.ts');
  readonly witnessed: typeof import('../../proofs/witnessed.ts');
  readonly addCheckpoint: typeof import('../../proofs/add-checkpoint.ts');
  readonly rotation: typeof import('../../proofs/rotation.ts');
  readonly treeHead: typeof import('../../proofs/tree-head-signature.ts');
  readonly appendBody: typeof import('../../client/append-body.ts');
  readonly checkReply: typeof import('../../client/check-reply.ts');
  readonly checkLog: typeof import('../../client/check-log.ts');
  readonly clientError: typeof import('../../client/error.ts');
  readonly json: typeof import('../../client/json.ts');
  readonly replies: typeof import('../../client/replies.ts');
  readonly followRotation: typeof import('../../client/follow-rotation.ts');
  readonly retry: typeof import('../../client/retry.ts');
  readonly monitorState: typeof import('../../client/monitor/state.ts');
  readonly monitorRules: typeof import('../../client/monitor/rules.ts');
  readonly treeReader: typeof import('../../client/tree-reader.ts');
  readonly transport: typeof import('../../client/transport.ts');
  readonly messages: typeof import('../../proto/messages.ts');
  readonly access: typeof import('../../server/access.ts');
  readonly configFile: typeof import('../../server/config-file.ts');
  readonly serverErrors: typeof import('../../server/errors.ts');
  readonly guard: typeof import('../../server/guard.ts');
  readonly log: typeof import('../../server/log.ts');
  readonly readConfig: typeof import('../../server/read-config.ts');
  readonly secrets: typeof import('../../server/secrets.ts');
  readonly runs: typeof import('../../server/by-hash/runs.ts');
  readonly storeRow: typeof import('../../server/by-hash/store-row.ts');
  readonly leafHashText: typeof import('../../server/http/leaf-hash.ts');
  readonly negotiation: typeof import('../../server/http/negotiation.ts');
  readonly request: typeof import('../../server/http/request.ts');
  readonly proxies: typeof import('../../server/http/trusted-proxies.ts');
  readonly eventId: typeof import('../../server/ingest/event-id.ts');
  readonly jsonEvent: typeof import('../../server/ingest/json-event.ts');
  readonly ndjson: typeof import('../../server/ingest/ndjson.ts');
  readonly protobufBatch: typeof import('../../server/ingest/protobuf-batch.ts');
  readonly checkedJson: typeof import('../../server/storage/checked-json.ts');
  readonly commitRecord: typeof import('../../server/storage/commit-record.ts');
  readonly logFormat: typeof import('../../server/storage/log-format.ts');
  readonly manifest: typeof import('../../server/storage/manifest.ts');
  readonly rows: typeof import('../../server/storage/rows.ts');
  readonly snappy: typeof import('../../server/storage/snappy.ts');
  readonly store: typeof import('../../server/storage/store.ts');
  readonly tableScan: typeof import('../../server/storage/table-scan.ts');
  readonly walScan: typeof import('../../server/storage/wal-scan.ts');
  readonly cosignedHead: typeof import('../../server/witness/cosigned-head.ts');
  readonly checkOrder: typeof import('../../server/witness/check-order.ts');
  readonly witnessedLogs: typeof import('../../server/witness/witnessed-logs.ts');
  readonly ownSignatures: typeof import('../../server/own-signatures.ts');
  readonly memoryFile: typeof import('../../cli/memory-file.ts');
  readonly lineFile: typeof import('../../cli/line-file.ts');
  readonly output: typeof import('../../cli/output.ts');
  readonly rulesFile: typeof import('../../cli/monitoring/rules-file.ts');
  readonly webhook: typeof import('../../cli/monitoring/webhook.ts');
  readonly auditCommand: typeof import('../../cli/audit.ts');
}

const FILES: Readonly<Record<keyof Modules, string>> = {
  bytes: 'tree/bytes',
  hash: 'tree/hash',
  bundles: 'tree/bundles',
  tiles: 'tree/tiles',
  errors: 'proofs/error',
  key: 'proofs/key',
  note: 'proofs/note',
  checkpoint: 'proofs/checkpoint',
  cosignature: 'proofs/cosignature',
  ed25519: 'proofs/ed25519',
  entry: 'proofs/entry',
  inclusion: 'proofs/inclusion',
  consistency: 'proofs/consistency',
  leaf: 'proofs/leaf',
  time: 'proofs/time',
  tlogProof: 'proofs/tlog-proof',
  fraudProof: 'proofs/fraud-proof',
  policy: 'proofs/policy',
  witnessed: 'proofs/witnessed',
  addCheckpoint: 'proofs/add-checkpoint',
  rotation: 'proofs/rotation',
  treeHead: 'proofs/tree-head-signature',
  appendBody: 'client/append-body',
  checkReply: 'client/check-reply',
  checkLog: 'client/check-log',
  clientError: 'client/error',
  json: 'client/json',
  replies: 'client/replies',
  followRotation: 'client/follow-rotation',
  retry: 'client/retry',
  monitorState: 'client/monitor/state',
  monitorRules: 'client/monitor/rules',
  treeReader: 'client/tree-reader',
  transport: 'client/transport',
  messages: 'proto/messages',
  access: 'server/access',
  configFile: 'server/config-file',
  serverErrors: 'server/errors',
  guard: 'server/guard',
  log: 'server/log',
  readConfig: 'server/read-config',
  secrets: 'server/secrets',
  runs: 'server/by-hash/runs',
  storeRow: 'server/by-hash/store-row',
  leafHashText: 'server/http/leaf-hash',
  negotiation: 'server/http/negotiation',
  request: 'server/http/request',
  proxies: 'server/http/trusted-proxies',
  eventId: 'server/ingest/event-id',
  jsonEvent: 'server/ingest/json-event',
  ndjson: 'server/ingest/ndjson',
  protobufBatch: 'server/ingest/protobuf-batch',
  checkedJson: 'server/storage/checked-json',
  commitRecord: 'server/storage/commit-record',
  logFormat: 'server/storage/log-format',
  manifest: 'server/storage/manifest',
  rows: 'server/storage/rows',
  snappy: 'server/storage/snappy',
  store: 'server/storage/store',
  tableScan: 'server/storage/table-scan',
  walScan: 'server/storage/wal-scan',
  cosignedHead: 'server/witness/cosigned-head',
  checkOrder: 'server/witness/check-order',
  witnessedLogs: 'server/witness/witnessed-logs',
  ownSignatures: 'server/own-signatures',
  memoryFile: 'cli/memory-file',
  lineFile: 'cli/line-file',
  output: 'cli/output',
  rulesFile: 'cli/monitoring/rules-file',
  webhook: 'cli/monitoring/webhook',
  auditCommand: 'cli/audit',
};

/** Loads them from the folder of a build. */
export async function loadModules(build: string): Promise<Modules> {
  const loaded: Partial<Record<keyof Modules, unknown>> = {};
  for (const [name, file] of Object.entries(FILES) as [keyof Modules, string][])
    loaded[name] = await import(pathToFileURL(join(build, `${file}.js`)).href);
  return loaded as Modules;
}
