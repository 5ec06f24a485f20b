/**
 * A witness in a few lines, for tests of those who ask one: it keeps the newest head of each origin and checks the consistency proof. It can be told to
 * be away, to lie, or to lack the monitoring path.
 */

import { sha256 } from '#sha256';
import { parseAddCheckpoint } from '../../proofs/add-checkpoint.ts';
import { openCheckpoint } from '../../proofs/checkpoint.ts';
import { verifyConsistency } from '../../proofs/consistency.ts';
import { type Cosigner, cosigner } from '../../proofs/cosignature.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { formatSignatureLines } from '../../proofs/note.ts';
import type { WitnessReply, WitnessTransport } from '../../server/cosigning/conversation.ts';
import { toHex, utf8 } from '../../tree/bytes.ts';
import { emptyRoot, type TreeHash } from '../../tree/hash.ts';

interface Held {
  readonly treeSize: number;
  readonly rootHash: TreeHash;
  readonly note: string;
}

export class PlainWitness {
  readonly signer: Cosigner;
  readonly url: string;
  readonly held = new Map<string, Held>();
  readonly requests: string[] = [];
  /** Does not answer at all. */
  away = false;
  /** Has no monitoring path, as litewitness. */
  hidden = false;
  /** What it answers instead. */
  answer: ((method: string, path: string) => WitnessReply | undefined) | undefined;
  readonly #keys: () => readonly VerifierKey[];

  constructor(name: string, keys: () => readonly VerifierKey[]) {
    this.signer = cosigner(`witness.test/${name}`, utf8(name.padEnd(32, '.')));
    this.url = `http://${name}.test`;
    this.#keys = keys;
  }

  /** Its line in a policy. */
  policyLine(name: string): string {
    return `witness ${name} ${this.signer.verifierKey.text} ${this.url}\n`;
  }

  take(method: string, path: string, body: string): WitnessReply {
    this.requests.push(`${method} ${path}`);
    const other = this.answer?.(method, path);
    if (other !== undefined) return other;
    if (method === 'GET') {
      const [, hash] = path.split('/');
      const found = [...this.held].find(([origin]) => toHex(sha256(utf8(origin))) === hash);
      return this.hidden || found === undefined ? reply(404) : reply(200, found[1].note);
    }
    const { oldSize, proof, checkpoint } = parseAddCheckpoint(utf8(body));
    const [origin = ''] = checkpoint.split('\n', 1);
    const key = this.#keys().find(({ name }) => name === origin);
    if (key === undefined) return reply(404);
    const { treeSize, rootHash } = openCheckpoint(checkpoint, key);
    const last = this.held.get(origin) ?? { treeSize: 0, rootHash: emptyRoot() };
    if (oldSize !== last.treeSize) return { ...reply(409, `${last.treeSize}\n`), contentType: 'text/x.tlog.size' };
    verifyConsistency({
      first: oldSize,
      second: treeSize,
      firstRoot: last.rootHash,
      secondRoot: rootHash,
      proof: [...proof],
    });
    const text = checkpoint.slice(0, checkpoint.lastIndexOf('\n\n') + 1);
    const { name, keyId } = this.signer.verifierKey;
    const line = formatSignatureLines([{ name, keyId, signature: this.signer.cosign(text, 1_767_225_600) }]);
    this.held.set(origin, { treeSize, rootHash, note: checkpoint + line });
    return reply(200, line);
  }
}

export function reply(status: number, text = ''): WitnessReply {
  return { status, contentType: 'text/plain', body: utf8(text) };
}

/** The network between a server and these witnesses. */
export function networkOf(witnesses: readonly PlainWitness[]): WitnessTransport {
  return async ({ method, url, body = '', signal }) => {
    const witness = witnesses.find((candidate) => url.startsWith(`${candidate.url}/`));
    if (witness === undefined) throw new Error(`${url}: getaddrinfo ENOTFOUND`);
    if (witness.away) {
      await new Promise<never>((_, fail) => {
        signal.addEventListener('abort', () => fail(new Error(`${url}: no answer in time`)));
      });
    }
    return witness.take(method, url.slice(witness.url.length), body);
  };
}
