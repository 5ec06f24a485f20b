/**
 * The one table of routes. Hot routes are dispatched before express, which serves the others; both take methods, rights and
 * handlers from here, so that they cannot drift apart.
 */
import type { Scope } from '../access.ts';
import type { LogKind } from '../log.ts';
import * as admin from './admin.ts';
import type { Call, LogCall } from './call.ts';
import * as ct from './ct.ts';
import * as events from './events.ts';
import * as heads from './heads.ts';
import * as health from './health.ts';
import * as raw from './raw.ts';
import type { Reply } from './reply.ts';
import { rotations } from './rotations.ts';
import * as tiles from './tiles.ts';
import * as witness from './witness.ts';

interface Common {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Segments; `:x` stands for one, a final `*` for the rest. */
  readonly path: string;
  /** Dispatched before express. */
  readonly hot?: boolean;
}

/** A route of one log, below /logs/:log. */
export interface LogRoute extends Common {
  readonly for: 'log';
  readonly scope: Scope;
  /** No key is needed where the log has public reads. */
  readonly public?: boolean;
  readonly kind?: LogKind;
  handle(call: LogCall): Reply | Promise<Reply>;
}

/** A route of the server: open to everybody, or with a scope over all logs. */
export interface ServerRoute extends Common {
  readonly for: 'server';
  readonly scope: Scope | undefined;
  handle(call: Call): Reply | Promise<Reply>;
}

export type Route = LogRoute | ServerRoute;

const append = { for: 'log', method: 'POST', scope: 'append' } as const;
const read = { for: 'log', method: 'GET', scope: 'read' } as const;
const publicRead = { ...read, public: true } as const;
const adminOnly = { for: 'server', scope: 'admin' } as const;
const open = { for: 'server', method: 'GET', scope: undefined } as const;

export const ROUTES: readonly Route[] = [
  { ...append, path: '/logs/:log/events', kind: 'events', hot: true, handle: events.append },
  { ...append, path: '/logs/:log/add', kind: 'raw', hot: true, handle: raw.add },
  { ...append, path: '/logs/:log/add-batch', kind: 'raw', hot: true, handle: raw.addBatch },
  { ...read, path: '/logs/:log/events', kind: 'events', hot: true, handle: events.list },
  { ...read, path: '/logs/:log/events/:index', kind: 'events', hot: true, handle: events.show },
  { ...publicRead, path: '/logs/:log/checkpoint', hot: true, handle: heads.checkpoint },
  { ...publicRead, path: '/logs/:log/tile/*', hot: true, handle: tiles.show },
  { ...publicRead, path: '/logs/:log/proofs/inclusion', hot: true, handle: heads.inclusion },
  { ...publicRead, path: '/logs/:log/proofs/consistency', hot: true, handle: heads.consistency },
  { ...publicRead, path: '/logs/:log/proofs/:file', handle: heads.tlogProof },
  { ...publicRead, path: '/logs/:log', handle: admin.showLog },
  { ...publicRead, path: '/logs/:log/tree-head', handle: heads.treeHead },
  { ...publicRead, path: '/logs/:log/tree-heads', handle: heads.treeHeads },
  { ...publicRead, path: '/logs/:log/rotations', handle: rotations },
  { ...publicRead, path: '/logs/:log/ct/v1/get-sth', handle: ct.getSth },
  { ...publicRead, path: '/logs/:log/ct/v1/get-sth-consistency', handle: ct.getSthConsistency },
  { ...publicRead, path: '/logs/:log/ct/v1/get-proof-by-hash', handle: ct.getProofByHash },
  { ...publicRead, path: '/logs/:log/ct/v1/get-entries', handle: ct.getEntries },
  { ...publicRead, path: '/logs/:log/ct/v1/get-entry-and-proof', handle: ct.getEntryAndProof },
  { ...adminOnly, method: 'GET', path: '/admin/logs', handle: admin.listLogs },
  { ...adminOnly, method: 'POST', path: '/admin/logs', handle: admin.createLog },
  { ...adminOnly, method: 'PATCH', path: '/admin/logs/:name', handle: admin.changeSettings },
  { ...adminOnly, method: 'POST', path: '/admin/logs/:name/freeze', handle: admin.freezeLog },
  { ...adminOnly, method: 'DELETE', path: '/admin/logs/:name', handle: admin.deleteLog },
  { ...adminOnly, method: 'POST', path: '/admin/logs/:name/rotation', handle: admin.rotateKey },
  { ...adminOnly, method: 'DELETE', path: '/admin/logs/:name/rotation', handle: admin.endRotation },
  { ...adminOnly, method: 'GET', path: '/admin/keys', handle: admin.listKeys },
  { ...adminOnly, method: 'POST', path: '/admin/keys', handle: admin.createKey },
  { ...adminOnly, method: 'DELETE', path: '/admin/keys/:id', handle: admin.revokeKey },
  { ...adminOnly, method: 'POST', path: '/admin/clock', handle: admin.acceptClock },
  { ...open, method: 'POST', path: '/witness/add-checkpoint', handle: witness.addCheckpoint },
  { ...open, path: '/witness/:hash/checkpoint', handle: witness.cosignedCheckpoint },
  { ...open, path: '/healthz', handle: health.healthz },
  { ...open, path: '/readyz', handle: health.readyz },
  { ...open, path: '/metrics', handle: health.metrics },
];
