/**
 * The public names of the package: append events to an Indelible log, read them back, and verify whatever it says.
 *
 * ```ts
 * const log = new LogClient({ url: 'http://127.0.0.1:8080/logs/main', key: 'ind_…', memory });
 * const { entries } = await log.append([new TextEncoder().encode('{"id":"e-1"}')], { idPointer: '/id', ack: 'signed' });
 * const { event } = await log.event(entries[0].leafIndex);
 * ```
 * Runs in Node and in browsers: needs `fetch` and nothing else.
 */

export { type Checkpoint, openCheckpoint, type TreeHead } from '../proofs/checkpoint.ts';
export { type EventEntry, verifyEntry } from '../proofs/entry.ts';
export { LogError, NoteError, type NoteErrorCode, ProofError, type ProofErrorCode } from '../proofs/error.ts';
export { parseVerifierKey, type VerifierKey } from '../proofs/key.ts';
export { type EventHeader, parseHeader } from '../proofs/leaf.ts';
export { formatMicros, parseMicros } from '../proofs/time.ts';
export { type TimedTreeHead, verifyTreeHeadSignature } from '../proofs/tree-head-signature.ts';
export { AdminClient, type KeyInfo, type NewKey, type NewLog, type Scope } from './admin-client.ts';
export { type AuditOptions, auditLog } from './audit.ts';
export { type LoggedEntry, openEventReply, openTlogProof, type ProvenEntry } from './check-reply.ts';
export type { ClientClock } from './clock.ts';
export { ClientError, type ClientErrorCode, type HeadPair, type Problem } from './error.ts';
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
export type { Fetch, TransportOptions } from './transport.ts';
