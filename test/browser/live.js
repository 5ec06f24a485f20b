/** What a page does with a log of its own, or of somebody else: the whole client, in a browser. Answers are plain values. */
import {
  auditLog,
  decodeBundle,
  LogClient,
  leafHash,
  openCheckpoint,
  parseVerifierKey,
  toBase64,
  verifyInclusion,
} from 'indelible';

const NO_RETRIES = { attempts: 1 };

/** The code of what a promise fails with, and more of it where it says more; `fulfilled` if it does not fail. */
async function failure(promise) {
  try {
    await promise;
    return 'fulfilled';
  } catch (error) {
    const { name, code, status, problem } = error;
    return [name, code, status, problem?.code].filter((part) => part !== undefined).join(' ');
  }
}

/** Reads a log with public reads from another origin, without a key. */
export async function readPublic({ url, vkey }) {
  const log = new LogClient({ url, verifierKey: vkey, retries: NO_RETRIES });
  const { origin } = await log.info();
  const checkpoint = await log.checkpoint();
  const { treeSize, rootHash } = (await log.treeHead()).checkpoint;
  const proven = [];
  for (let leafIndex = 0; leafIndex < treeSize; leafIndex++) {
    const found = await log.inclusion({ leafIndex });
    proven.push(toBase64(found.leafHash));
  }
  const older = await log.inclusion({ leafIndex: 0 }, { treeSize: 3 });
  const consistency = await log.consistency(older, checkpoint);
  return {
    origin,
    treeSize,
    rootHash: toBase64(rootHash),
    proven,
    consistency: consistency.map(toBase64),
    missing: await failure(log.inclusion({ leafIndex: treeSize })),
  };
}

/** Takes tile, bundle and checkpoint as files, with nothing but fetch and the verifying half. */
export async function readTiles({ url, vkey }) {
  const bytesOf = async (path) => {
    const answer = await fetch(`${url}/${path}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
  const { treeSize, rootHash } = openCheckpoint(await bytesOf('checkpoint'), parseVerifierKey(vkey));
  const tile = await bytesOf(`tile/0/000.p/${treeSize}`);
  const hashes = decodeBundle(await bytesOf(`tile/entries/000.p/${treeSize}`), treeSize).map(leafHash);
  for (const [leafIndex, hash] of hashes.entries()) {
    const answer = await fetch(`${url}/proofs/inclusion?index=${leafIndex}&tree_size=${treeSize}`);
    const proof = (await answer.json()).proof.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    verifyInclusion({ leafHash: hash, leafIndex, treeSize, rootHash, proof });
  }
  const beyond = await fetch(`${url}/tile/0/001`);
  return {
    leafHashes: hashes.map(toBase64),
    tile: toBase64(tile),
    beyond: `${beyond.status} ${(await beyond.json()).code}`,
  };
}

/** What the browser does not let a page of another origin do. */
export async function tryAcrossOrigins({ url, privateUrl, key, vkey }) {
  const withKey = new LogClient({ url, key, verifierKey: vkey, retries: NO_RETRIES });
  const noKey = new LogClient({ url: privateUrl, verifierKey: vkey, retries: NO_RETRIES });
  return {
    eventWithKey: await failure(withKey.event(0)),
    headWithKey: await failure(withKey.checkpoint()),
    appendWithKey: await failure(withKey.append([new TextEncoder().encode('{"id":"x"}')], { idPointer: '/id' })),
    privateWithoutKey: await failure(noKey.checkpoint()),
  };
}

/** Everything, with a key, where page and log have one origin. */
export async function useSameOrigin({ path, key, vkey }) {
  const log = new LogClient({ url: `${location.origin}${path}`, key, verifierKey: vkey, retries: NO_RETRIES });
  const event = new TextEncoder().encode('{"id":"from a page","ä":"€"}');
  const appended = [];
  for (let time = 0; time < 2; time++) {
    const { ack, entries } = await log.append([event], { idPointer: '/id', ack: 'signed' });
    appended.push({ ack, leafIndex: entries[0].leafIndex, replayed: entries[0].replayed });
  }
  const proven = await log.event(appended[0].leafIndex);
  const listed = [];
  for await (const entry of log.entries()) listed.push(toBase64(entry.leafHash));
  return {
    appended,
    event: new TextDecoder().decode(proven.event),
    listed,
    audited: (await auditLog(log)).treeSize,
    wrongKey: await failure(
      new LogClient({ url: log.url, key: 'ind_x', verifierKey: vkey, retries: NO_RETRIES }).event(0),
    ),
    moved: await new LogClient({ url: `${location.origin}/moved${path}`, verifierKey: vkey, retries: NO_RETRIES })
      .checkpoint()
      .catch((error) => error.message),
  };
}
