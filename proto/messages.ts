/**
 * The messages of indelible.proto, with types. The generated code has none: it would need five times as many lines for them, and a
 * declaration file beside it.
 *
 * Numbers are integers from 0 to 2^53 - 1, times microseconds since the Unix epoch.
 */
import { indelible } from './generated/indelible.ts';

export interface AppendedEntryMessage {
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly leafHash: Uint8Array;
  readonly salt: Uint8Array;
  readonly header: Uint8Array;
  readonly replayed: boolean;
  readonly proof?: readonly Uint8Array[];
}

export interface AppendReplyMessage {
  readonly ack: string;
  readonly entries: readonly AppendedEntryMessage[];
  readonly treeSize?: number;
  readonly checkpoint?: string;
}

export interface EntryMessage {
  readonly leafIndex: number;
  readonly receivedAt: number;
  readonly event: Uint8Array;
  readonly header: Uint8Array;
  readonly salt: Uint8Array;
  readonly leaf: Uint8Array;
  readonly leafHash: Uint8Array;
  readonly treeSize: number;
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: string;
}

export interface SignedTreeHeadMessage {
  readonly origin: string;
  readonly treeSize: number;
  readonly rootHash: Uint8Array;
  readonly timestamp: number;
  readonly checkpoint: string;
  readonly signature?: Uint8Array;
}

export interface InclusionProofMessage {
  readonly leafIndex: number;
  readonly leafHash: Uint8Array;
  readonly treeSize: number;
  readonly rootHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly checkpoint?: string;
}

export interface ConsistencyProofMessage {
  readonly first: number;
  readonly second: number;
  readonly proof: readonly Uint8Array[];
}

/** What the generated code has for a message that is written here. */
interface Encoder<Message> {
  encode(message: Message): { finish(): Uint8Array };
}

interface Generated {
  readonly AppendRequest: { decode(bytes: Uint8Array): { readonly events: Uint8Array[] } };
  readonly AppendReply: Encoder<AppendReplyMessage>;
  readonly Entry: Encoder<EntryMessage>;
  readonly SignedTreeHead: Encoder<SignedTreeHeadMessage>;
  readonly InclusionProof: Encoder<InclusionProofMessage>;
  readonly ConsistencyProof: Encoder<ConsistencyProofMessage>;
}

const { v1 } = indelible as unknown as { readonly v1: Generated };

/** The events of an AppendRequest, as views of its bytes. Throws an Error on what is not one. */
export function decodeAppendRequest(bytes: Uint8Array): Uint8Array[] {
  return v1.AppendRequest.decode(bytes).events;
}

export function encodeAppendReply(message: AppendReplyMessage): Uint8Array {
  return v1.AppendReply.encode(message).finish();
}

export function encodeEntry(message: EntryMessage): Uint8Array {
  return v1.Entry.encode(message).finish();
}

export function encodeSignedTreeHead(message: SignedTreeHeadMessage): Uint8Array {
  return v1.SignedTreeHead.encode(message).finish();
}

export function encodeInclusionProof(message: InclusionProofMessage): Uint8Array {
  return v1.InclusionProof.encode(message).finish();
}

export function encodeConsistencyProof(message: ConsistencyProofMessage): Uint8Array {
  return v1.ConsistencyProof.encode(message).finish();
}
