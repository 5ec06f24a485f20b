/**
 * Verdicts of the built verifying half over a list of cases. The same file runs in a page, where an import map resolves the name, and in
 * Node, where package.json does; a verdict is a text, so that the two can be compared.
 */
import {
  asLeafHash,
  asTreeHash,
  fromBase64,
  openCheckpoint,
  openEventReply,
  openTlogProof,
  parseVerifierKey,
  toBase64,
  verifyConsistency,
  verifyInclusion,
} from 'indelible/verify';

const JUDGES = {
  reply: ({ reply, vkey }) => shown(openEventReply(fromBase64(reply), parseVerifierKey(vkey))),
  tlogProof: ({ proof, reply, vkey }) => {
    const key = parseVerifierKey(vkey);
    return shown(openTlogProof(fromBase64(proof), openEventReply(fromBase64(reply), key), key));
  },
  checkpoint: ({ note, vkey }) => {
    const { origin, treeSize, rootHash } = openCheckpoint(fromBase64(note), parseVerifierKey(vkey));
    return `${origin} ${treeSize} ${toBase64(rootHash)}`;
  },
  key: ({ vkey }) => String(parseVerifierKey(vkey).keyId),
  inclusion: ({ leafHash, leafIndex, treeSize, rootHash, proof }) => {
    verifyInclusion({
      leafHash: asLeafHash(fromBase64(leafHash)),
      leafIndex,
      treeSize,
      rootHash: asTreeHash(fromBase64(rootHash)),
      proof: proof.map((hash) => asTreeHash(fromBase64(hash))),
    });
    return '';
  },
  consistency: ({ first, second, firstRoot, secondRoot, proof }) => {
    verifyConsistency({
      first,
      second,
      firstRoot: asTreeHash(fromBase64(firstRoot)),
      secondRoot: asTreeHash(fromBase64(secondRoot)),
      proof: proof.map((hash) => asTreeHash(fromBase64(hash))),
    });
    return '';
  },
};

function shown({ leafIndex, event, leafHash, checkpoint }) {
  return `${leafIndex} ${toBase64(event)} ${toBase64(leafHash)} ${checkpoint.treeSize}`;
}

/** For each case `accepted`, with what was read, or the class and code of the error. */
export function judge(cases) {
  return cases.map((each) => {
    try {
      return `accepted ${JUDGES[each.kind](each)}`.trim();
    } catch (error) {
      return `${error.name} ${error.code ?? error.message}`;
    }
  });
}
