/**
 * The two routes of a witness (C2SP tlog-witness), the same by itself and in a server. Who asks is nobody's business: what counts is the
 * log's signature.
 */
import { MAX_ADD_CHECKPOINT_SIZE, parseAddCheckpoint, SIZE_CONTENT_TYPE } from '../../proofs/add-checkpoint.ts';
import { NoteError } from '../../proofs/error.ts';
import { ServerError } from '../errors.ts';
import type { Witness } from '../witness/witness.ts';
import { type Reply, text } from './reply.ts';
import { type BodySource, receiveOpenBody } from './request.ts';
import { NOT_FOUND } from './site.ts';

/** What these handlers need of a call. */
export interface WitnessCall extends BodySource {
  readonly witness: Witness | undefined;
  readonly params: Readonly<Record<string, string>>;
}

/** `POST add-checkpoint`: signature lines, or 409 with the size that is known. */
export async function addCheckpoint(call: WitnessCall): Promise<Reply> {
  const witness = witnessOf(call);
  const body = await new Promise<Uint8Array>((resolve, reject) =>
    receiveOpenBody(call, MAX_ADD_CHECKPOINT_SIZE, resolve, reject),
  );
  const answer = await witness.addCheckpoint(parseBody(body));
  // Clients believe the size only under exactly this type, with no parameters.
  return answer.status === 200 ? text(200, answer.lines) : text(409, `${answer.treeSize}\n`, SIZE_CONTENT_TYPE);
}

/** `GET <hex of the origin's hash>/checkpoint`: the newest one that was cosigned, with the log's signature and ours. */
export function cosignedCheckpoint(call: WitnessCall): Reply {
  const note = witnessOf(call).checkpoint(call.params['hash'] as string);
  if (note === undefined) throw new ServerError('not_cosigned', 'nothing was ever cosigned for an origin of that hash');
  return text(200, note);
}

function witnessOf({ witness }: WitnessCall): Witness {
  if (witness === undefined) throw new ServerError('not_found', NOT_FOUND);
  return witness;
}

function parseBody(body: Uint8Array): ReturnType<typeof parseAddCheckpoint> {
  try {
    return parseAddCheckpoint(body);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    throw new ServerError('malformed_request', cause.message, { cause });
  }
}
