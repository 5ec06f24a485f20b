/** Heads and proofs: what the log has promised in public. Nothing beyond the newest published head is shown. */
import { formatTlogProof } from '../../proofs/tlog-proof.ts';
import { encodeConsistencyProof, encodeInclusionProof, encodeSignedTreeHead } from '../../proto/messages.ts';
import { ServerError } from '../errors.ts';
import type { Published } from '../log.ts';
import { consistencyProof, inclusionProof, provenLeaf, rootAt } from '../prover.ts';
import { tagged, unlessKnown } from './caching.ts';
import type { LogCall } from './call.ts';
import { findLeaf, hashFromText } from './leaf-hash.ts';
import { negotiated, negotiatedText } from './negotiation.ts';
import { base64, hashesText, headTexts, renderHead } from './render.ts';
import { json, type Reply } from './reply.ts';
import { Query } from './request.ts';
import { signedIndex } from './signed.ts';

const CHECKPOINT = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };

/** GET checkpoint: the newest published head as a signed note (C2SP tlog-checkpoint). */
export function checkpoint({ log, req }: LogCall): Reply {
  return unlessKnown(req, tagged(CHECKPOINT, Buffer.from(log.published.checkpoint)));
}

/** GET tree-head: the same as JSON, with its RFC 6962 signature. */
export async function treeHead({ log, server, search, req }: LogCall): Promise<Reply> {
  new Query(search, []);
  const head = await server.treeHeadSigner.newest(log).catch((error: unknown) => {
    // Nothing is signed while the clock is unsafe; the head itself and its checkpoint are as good as ever.
    if (error instanceof ServerError && error.code === 'clock_unsafe') return log.published;
    throw error;
  });
  const { origin } = log.definition;
  return negotiated(
    req,
    () => renderHead(origin, head),
    () => {
      const { time, signature, ...rest } = head;
      return encodeSignedTreeHead({ origin, ...rest, timestamp: time * 1000, ...(signature && { signature }) });
    },
  );
}

/** GET tree-heads?from=&limit=: signed heads, one a size, oldest first. */
export async function treeHeads({ log, server, search, replies }: LogCall): Promise<Reply> {
  const query = new Query(search, ['from', 'limit']);
  const limit = query.limit(100, 1000);
  // A head, or its RFC 6962 signature, can be in the store a moment before it is promised by the guard and published.
  const { published } = log;
  const from = query.number('from') ?? 0;
  // Each signature is verified: hundreds of such lists at once would leave nobody else a turn.
  const stored = await replies.inTurn(() => server.heads(log, from, limit + 1));
  const heads = stored
    .filter((head) => head.treeSize <= published.treeSize)
    .map((head) => (head.time === published.time ? published : head));
  return json(200, {
    tree_heads: heads.slice(0, limit).map((head) => renderHead(log.definition.origin, head)),
    next: heads[limit]?.treeSize ?? null,
  });
}

/** GET proofs/inclusion?index=[&tree_size=], or leaf_hash= instead of the index. */
export async function inclusion(call: LogCall): Promise<Reply> {
  const { log, server, search, req } = call;
  const query = new Query(search, ['index', 'leaf_hash', 'tree_size']);
  const named = query.text('leaf_hash');
  if (named !== undefined && query.text('index') !== undefined)
    throw new ServerError('bad_parameter', 'give index or leaf_hash, not both');
  const { published } = log;
  const asked = named === undefined ? query.required('index') : hashFromText(named, 'leaf_hash');
  const treeSize = signedSize(published, query.number('tree_size') ?? published.treeSize);
  const leafIndex = typeof asked === 'number' ? asked : await findLeaf(call, asked, treeSize);
  if (leafIndex >= treeSize) {
    throw new ServerError('bad_parameter', `a tree of ${treeSize} leaves has no leaf ${leafIndex}`, {
      details: { tree_size: treeSize },
    });
  }
  const { leafHash, proof } = await provenLeaf(server.reader, log, leafIndex, treeSize);
  const head = treeSize === published.treeSize ? published : await server.headAt(log, treeSize);
  const rootHash = head?.rootHash ?? (await rootAt(server.reader, log, treeSize));
  return negotiatedText(
    req,
    () => {
      const texts = head === undefined ? { rootHash: `"${base64(rootHash)}"`, checkpoint: 'null' } : headTexts(head);
      return `{"leaf_index":${leafIndex},"leaf_hash":"${base64(leafHash)}","tree_size":${treeSize},"root_hash":${texts.rootHash},"proof":${hashesText(proof)},"checkpoint":${texts.checkpoint}}`;
    },
    () =>
      encodeInclusionProof({
        leafIndex,
        leafHash,
        treeSize,
        rootHash,
        proof,
        checkpoint: head?.checkpoint ?? '',
      }),
  );
}

/** GET proofs/7.tlog-proof: inclusion under the newest head as one text file, for offline verification (C2SP tlog-proof). */
export async function tlogProof(call: LogCall): Promise<Reply> {
  const { log, server, params } = call;
  const name = params['file'] as string;
  if (!name.endsWith('.tlog-proof')) throw new ServerError('not_found', 'there is nothing here for you');
  const leafIndex = await signedIndex(call, name.slice(0, -'.tlog-proof'.length));
  const { treeSize, checkpoint } = log.published;
  const proof = await inclusionProof(server.reader, log, leafIndex, treeSize);
  return {
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
    body: formatTlogProof({ leafIndex, proof, checkpoint }),
  };
}

/** GET proofs/consistency?first=&second=. */
export async function consistency({ log, server, search, req }: LogCall): Promise<Reply> {
  const query = new Query(search, ['first', 'second']);
  const first = query.required('first');
  const second = query.required('second');
  if (first > second) throw new ServerError('bad_parameter', 'first is at most second');
  signedSize(log.published, second);
  const proof = first === 0 || first === second ? [] : await consistencyProof(server.reader, log, first, second);
  return negotiatedText(
    req,
    () => `{"first":${first},"second":${second},"proof":${hashesText(proof)}}`,
    () => encodeConsistencyProof({ first, second, proof }),
  );
}

function signedSize(published: Published, treeSize: number): number {
  if (treeSize > published.treeSize) {
    throw new ServerError('tree_size_not_signed', `the newest signed head has ${published.treeSize} leaves`, {
      details: { tree_size: published.treeSize },
    });
  }
  return treeSize;
}
