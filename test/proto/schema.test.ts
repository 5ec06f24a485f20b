/** The schema says what the JSON says: the same members, bytes for base64, and nothing twice. */
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import { ROOT } from '../support/spawn-server.ts';

const schema = protobuf.loadSync(join(ROOT, 'proto/indelible.proto'));

/** Members of the JSON replies (docs/api.md), by message. `event_base64` and `header_base64` are bytes here. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  AppendRequest: ['events'],
  AppendReply: ['ack', 'entries', 'tree_size', 'checkpoint'],
  AppendedEntry: ['leaf_index', 'received_at', 'leaf_hash', 'salt', 'header', 'replayed', 'proof'],
  Entry: [
    'leaf_index',
    'received_at',
    'event',
    'header',
    'salt',
    'leaf',
    'leaf_hash',
    'tree_size',
    'proof',
    'checkpoint',
  ],
  SignedTreeHead: ['origin', 'tree_size', 'root_hash', 'timestamp', 'checkpoint', 'signature'],
  InclusionProof: ['leaf_index', 'leaf_hash', 'tree_size', 'root_hash', 'proof', 'checkpoint'],
  ConsistencyProof: ['first', 'second', 'proof'],
};

describe('indelible.proto', () => {
  test.each(Object.entries(MEMBERS))('%s', (name, members) => {
    const type = schema.lookupType(`indelible.v1.${name}`);
    const fields = Object.values(type.fields).map((field) => field.resolve());
    expect(fields.map((field) => snake(field.name))).toEqual(members);
    expect(fields.map((field) => field.id)).toEqual(members.map((_, i) => i + 1));
    const hashes = fields.filter((field) =>
      /hash|^salt$|^leaf$|^header$|^event$|^proof$|^events$|^signature$/.test(snake(field.name)),
    );
    expect(hashes.every((field) => field.type === 'bytes')).toBe(true);
  });

  test('there are no other messages', () => {
    const namespace = schema.lookup('indelible.v1') as protobuf.Namespace;
    expect(Object.keys(namespace.nested ?? {}).sort()).toEqual(Object.keys(MEMBERS).sort());
  });
});

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
