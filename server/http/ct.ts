/**
 * The read verbs of RFC 6962 §4, for tools that speak it, over both kinds of logs. `leaf_input` is the leaf as it is
 * hashed and `extra_data` is empty. Parameters that nobody knows are ignored here, as the RFC has it; sizes are any up
 * to the newest published one. What is out of range is 400, as other logs answer.
 */
import { ServerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { consistencyProof, inclusionProof } from '../prover.ts';
import type { LogCall } from './call.ts';
import { findLeaf, hashFromBase64 } from './leaf-hash.ts';
import { base64, renderProof } from './render.ts';
import { json, type Reply } from './reply.ts';
import { Query } from './request.ts';

/** GET ct/v1/get-sth: the newest signed tree head. */
export async function getSth({ log, server, search }: LogCall): Promise<Reply> {
  parameters(search, []);
  const { treeSize, rootHash, time, signature } = await server.treeHeadSigner.newest(log);
  return json(200, {
    tree_size: treeSize,
    timestamp: time,
    sha256_root_hash: base64(rootHash),
    tree_head_signature: base64(signature),
  });
}

/** GET ct/v1/get-sth-consistency?first=&second=. */
export async function getSthConsistency({ log, server, search }: LogCall): Promise<Reply> {
  const query = parameters(search, ['first', 'second']);
  const first = query.required('first');
  const second = query.required('second');
  if (first > second) throw new ServerError('bad_parameter', 'first is at most second');
  checkSize(log, second);
  const proof = first === 0 || first === second ? [] : await consistencyProof(server.reader, log, first, second);
  return json(200, { consistency: renderProof(proof) });
}

/** GET ct/v1/get-proof-by-hash?hash=&tree_size=: of equal leaves, the first. What is not in such a tree is 404, as is a tree not published. */
export async function getProofByHash(call: LogCall): Promise<Reply> {
  const { log, server, search } = call;
  const query = parameters(search, ['hash', 'tree_size']);
  const text = query.text('hash');
  if (text === undefined) throw new ServerError('bad_parameter', 'the parameter hash is missing');
  const hash = hashFromBase64(text, 'hash');
  const treeSize = query.required('tree_size');
  if (treeSize === 0) throw new ServerError('bad_parameter', 'a tree of 0 leaves has no proofs');
  if (treeSize > log.published.treeSize) {
    throw new ServerError('tree_size_not_signed', `the newest signed head has ${log.published.treeSize} leaves`, {
      details: { tree_size: log.published.treeSize },
    });
  }
  const leafIndex = await findLeaf(call, hash, treeSize);
  const proof = await inclusionProof(server.reader, log, leafIndex, treeSize);
  return json(200, { leaf_index: leafIndex, audit_path: renderProof(proof) });
}

/** Entries of one reply, and bytes of leaves after which it ends early. */
const MAX_ENTRIES = 1000;
const MAX_BYTES = 4 * 1_048_576;
/** Leaves read at a time: one bundle. */
const STEP = 256;

/** GET ct/v1/get-entries?start=&end=, both inclusive: contiguous from start, at least one, and fewer where that is too much (RFC 6962 §4.6). */
export async function getEntries({ log, server, search, replies }: LogCall): Promise<Reply> {
  const query = parameters(search, ['start', 'end']);
  const start = query.required('start');
  const last = query.required('end');
  if (start > last) throw new ServerError('bad_parameter', 'start is at most end');
  const { treeSize } = log.published;
  if (start >= treeSize) {
    throw new ServerError('bad_parameter', `the newest signed head has ${treeSize} leaves, no leaf ${start}`, {
      details: { tree_size: treeSize },
    });
  }
  const { state } = log;
  const end = Math.min(last + 1, treeSize, start + MAX_ENTRIES);
  const entries: { readonly leaf_input: string; readonly extra_data: string }[] = [];
  await replies.inTurn(async () => {
    const most = replies.most(MAX_BYTES);
    for (let at = start, bytes = 0; at < end && bytes < most; ) {
      const next = Math.min(end, at - (at % STEP) + STEP);
      for (const leaf of await server.reader.leaves(log, state, at, next)) {
        if (bytes >= most) break;
        bytes += leaf.length;
        entries.push({ leaf_input: base64(leaf), extra_data: '' });
      }
      at = next;
    }
  });
  return json(200, { entries });
}

/** GET ct/v1/get-entry-and-proof?leaf_index=&tree_size=. */
export async function getEntryAndProof({ log, server, search, replies }: LogCall): Promise<Reply> {
  const query = parameters(search, ['leaf_index', 'tree_size']);
  const leafIndex = query.required('leaf_index');
  const treeSize = query.required('tree_size');
  if (leafIndex >= treeSize)
    throw new ServerError('bad_parameter', `a tree of ${treeSize} leaves has no leaf ${leafIndex}`);
  checkSize(log, treeSize);
  // Of a raw log that is a bundle of up to 16 MiB.
  const [leaf] = await replies.inTurn(() => server.reader.leaves(log, log.state, leafIndex, leafIndex + 1));
  const proof = await inclusionProof(server.reader, log, leafIndex, treeSize);
  return json(200, { leaf_input: base64(leaf as Uint8Array), extra_data: '', audit_path: renderProof(proof) });
}

function parameters(search: string, known: readonly string[]): Query {
  return new Query(search, known, 'ignored');
}

/** Refuses a size that no published head covers. */
function checkSize({ published }: Log, treeSize: number): void {
  if (treeSize > published.treeSize) {
    throw new ServerError('bad_parameter', `the newest signed head has ${published.treeSize} leaves`, {
      details: { tree_size: published.treeSize },
    });
  }
}
