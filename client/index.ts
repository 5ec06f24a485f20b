/**
 * The public names of the package: append events to an Indelible log, read them back, and verify whatever it says.
 *
 * ```ts
 * const log = new LogClient({ url: 'http://127.0.0.1:8080/logs/main', key: 'ind_…', memory });
 * const { entries } = await log.append([new TextEncoder().encode('{"id":"e-1"}')], { idPointer: '/id', ack: 'signed' });
 * const { event } = await log.event(entries[0].leafIndex);
 * ```
 * Runs in Node and in browsers: needs `fetch` and nothing else. Everything of `indelible/verify` is here too. docs/sdk.md has more.
 */

export { AdminClient, type KeyInfo, type NewKey, type NewLog, type Scope } from './admin-client.ts';
export { type AuditOptions, auditLog } from './audit.ts';
export {
  type AuditedHead,
  type AuditHeadsOptions,
  type AuditProblem,
  type AuditProblemCode,
  type AuditReport,
  auditHeads,
  type PeriodEnd,
} from './audit-heads.ts';
export { type CheckedLog, type CheckLogOptions, checkTiledLog, type Difference } from './check-log.ts';
export type { ClientClock } from './clock.ts';
export {
  type Advance,
  type AppendedEntry,
  type AppendOptions,
  type AppendResult,
  type EntriesOptions,
  LogClient,
  type LogClientOptions,
  type ProvenInclusion,
} from './log-client.ts';
export { type HeadMemory, inMemoryHeads } from './memory.ts';
export type { Ack, LogInfo } from './replies.ts';
export type { RetryLimits } from './retry.ts';
export { type Fetch, Transport, type TransportOptions } from './transport.ts';
export * from './verify.ts';
