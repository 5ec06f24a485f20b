/** The committed code is what the schema gives, and it encodes numbers and bytes as another reader of the schema decodes them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import {
  decodeAppendRequest,
  encodeAppendReply,
  encodeConsistencyProof,
  encodeEntry,
  encodeInclusionProof,
  encodeSignedTreeHead,
} from '../../proto/messages.ts';
import { ROOT, temporaryFolder } from '../support/spawn-server.ts';

const GENERATED = 'proto/generated/indelible.ts';
const folder = temporaryFolder('proto');
afterAll(() => folder.remove());

const schema = protobuf.loadSync(join(ROOT, 'proto/indelible.proto'));

/** Members as the schema alone decodes them: numbers as decimal texts, bytes as hex. */
function decode(name: string, bytes: Uint8Array): unknown {
  const type = schema.lookupType(`indelible.v1.${name}`);
  const plain = type.toObject(type.decode(bytes), { longs: String, bytes: Array });
  return JSON.parse(JSON.stringify(plain));
}

const hash = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const list = (bytes: Uint8Array): number[] => Array.from(bytes);

test('npm run proto makes the same bytes again', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { proto: string } };
  const out = join(folder.path, 'indelible.ts');
  const command = scripts.proto.replace(GENERATED, out);
  expect(command).toContain(out);
  const path = `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH']}`;
  const { status, stderr } = spawnSync('sh', ['-c', command], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  const text = readFileSync(out, 'utf8');
  expect(text).toBe(readFileSync(join(ROOT, GENERATED), 'utf8'));
  expect(text).not.toContain(ROOT);
}, 60_000);

describe('messages', () => {
  test.each([0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 1_767_225_600_123_456, 2 ** 53 - 1])(
    'the number %d is exact',
    (n) => {
      const reply = decode('ConsistencyProof', encodeConsistencyProof({ first: 1, second: n, proof: [] }));
      expect(reply).toEqual(n === 0 ? { first: '1' } : { first: '1', second: String(n) });
      // The varint by hand, in BigInt.
      let rest = BigInt(n);
      const expected = [8, 1];
      if (n > 0) expected.push(16);
      while (rest > 0n) {
        expected.push(Number(rest % 128n) + (rest >= 128n ? 128 : 0));
        rest /= 128n;
      }
      expect(list(encodeConsistencyProof({ first: 1, second: n, proof: [] }))).toEqual(expected);
    },
  );

  test('a consistency proof', () => {
    const proof = [hash(1), hash(2)];
    expect(decode('ConsistencyProof', encodeConsistencyProof({ first: 3, second: 9, proof }))).toEqual({
      first: '3',
      second: '9',
      proof: proof.map(list),
    });
  });

  test('an inclusion proof', () => {
    const message = { leafIndex: 7, leafHash: hash(1), treeSize: 9, rootHash: hash(2), proof: [hash(3)] };
    const expected = {
      leafIndex: '7',
      leafHash: list(hash(1)),
      treeSize: '9',
      rootHash: list(hash(2)),
      proof: [list(hash(3))],
    };
    expect(decode('InclusionProof', encodeInclusionProof({ ...message, checkpoint: 'é\n' }))).toEqual({
      ...expected,
      checkpoint: 'é\n',
    });
    expect(decode('InclusionProof', encodeInclusionProof({ ...message, checkpoint: '' }))).toEqual(expected);
  });

  test('a signed tree head', () => {
    const message = { origin: 'o', treeSize: 1, rootHash: hash(1), timestamp: 1_767_225_600_123_000, checkpoint: 'c' };
    expect(decode('SignedTreeHead', encodeSignedTreeHead({ ...message, signature: hash(9) }))).toEqual({
      origin: 'o',
      treeSize: '1',
      rootHash: list(hash(1)),
      timestamp: '1767225600123000',
      checkpoint: 'c',
      signature: list(hash(9)),
    });
    expect(decode('SignedTreeHead', encodeSignedTreeHead(message))).not.toHaveProperty('signature');
  });

  test('an entry', () => {
    const message = {
      leafIndex: 4_294_967_296,
      receivedAt: 5,
      event: Uint8Array.of(0x7b, 0x7d),
      header: Uint8Array.of(),
      salt: hash(1),
      leaf: Uint8Array.of(1),
      leafHash: hash(2),
      treeSize: 4_294_967_297,
      proof: [],
      checkpoint: 'c',
    };
    expect(decode('Entry', encodeEntry(message))).toEqual({
      leafIndex: '4294967296',
      receivedAt: '5',
      event: [0x7b, 0x7d],
      salt: list(hash(1)),
      leaf: [1],
      leafHash: list(hash(2)),
      treeSize: '4294967297',
      checkpoint: 'c',
    });
  });

  test('an append reply, first entry and repeated ones included', () => {
    const entry = { leafIndex: 0, receivedAt: 9, leafHash: hash(1), salt: hash(2), header: hash(3), replayed: false };
    const rendered = { receivedAt: '9', leafHash: list(hash(1)), salt: list(hash(2)), header: list(hash(3)) };
    const entries = [entry, { ...entry, leafIndex: 1, replayed: true, proof: [hash(4), hash(5)] }];
    expect(decode('AppendReply', encodeAppendReply({ ack: 'signed', entries, treeSize: 2, checkpoint: 'c' }))).toEqual({
      ack: 'signed',
      entries: [rendered, { ...rendered, leafIndex: '1', replayed: true, proof: [hash(4), hash(5)].map(list) }],
      treeSize: '2',
      checkpoint: 'c',
    });
    expect(decode('AppendReply', encodeAppendReply({ ack: 'durable', entries: [] }))).toEqual({ ack: 'durable' });
  });

  test('an append request', () => {
    const type = schema.lookupType('indelible.v1.AppendRequest');
    const events = [Uint8Array.of(0x7b, 0x7d), Uint8Array.of(), new Uint8Array(300).fill(0x20)];
    expect(decodeAppendRequest(type.encode({ events }).finish()).map(list)).toEqual(events.map(list));
  });
});
