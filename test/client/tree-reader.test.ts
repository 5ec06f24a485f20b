/** Reading leaves and nodes at one tree size: what a file must hold, no less and no more, and which other file may stand for it. */
import { describe, expect, test } from '@jest/globals';
import { Transport } from '../../client/transport.ts';
import { NodeReader, readLeaves, type TreeReaderOptions } from '../../client/tree-reader.ts';
import { encodeBundle } from '../../tree/bundles.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';

const leaves = numberedLeaves(256);
const tree = new ReferenceTree(leaves);
const hashes = (count: number): Uint8Array =>
  Buffer.concat(Array.from({ length: count }, (_, i) => tree.hash(i, i + 1)));

function readerOf(files: Readonly<Record<string, Uint8Array>>): TreeReaderOptions {
  const fetch = async (url: string): Promise<Response> => {
    const bytes = files[url.slice('http://log.example/'.length)];
    return bytes === undefined ? new Response(null, { status: 404 }) : new Response(new Uint8Array(bytes));
  };
  return { transport: new Transport({ url: 'http://log.example', fetch }), treeSize: 70 };
}

const bundle = (count: number) => encodeBundle(leaves.slice(0, count));

describe.each([
  {
    what: 'leaves',
    path: 'tile/entries/000',
    file: bundle,
    read: async (options: TreeReaderOptions): Promise<number> => {
      let count = 0;
      for await (const run of readLeaves({ ...options, from: 0 })) count += run.count;
      return count;
    },
  },
  {
    what: 'nodes',
    path: 'tile/0/000',
    file: hashes,
    read: async (options: TreeReaderOptions): Promise<number> => {
      const nodes = new NodeReader(options);
      await nodes.load([{ level: 0, index: 69 }]);
      expect(nodes.node({ level: 0, index: 69 })).toEqual(tree.hash(69, 70));
      return 70;
    },
  },
])('$what', ({ path, file, read }) => {
  test('come from the partial file, and where that is gone from the full one', async () => {
    expect(await read(readerOf({ [`${path}.p/70`]: file(70) }))).toBe(70);
    expect(await read(readerOf({ [path]: file(256) }))).toBe(70);
  });

  test.each([69, 71, 256])('do not come from a partial file that holds %d of 70', async (count) => {
    await expect(read(readerOf({ [`${path}.p/70`]: file(count), [path]: file(256) }))).rejects.toMatchObject({
      code: 'bad_reply',
    });
  });

  test('are missed where neither is there', async () => {
    await expect(read(readerOf({}))).rejects.toMatchObject({ code: 'missing_entries' });
  });
});
