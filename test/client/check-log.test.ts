/** The check of a tiles log over HTTP, against tiles made from the definitions of RFC 6962: sizes, limits, and how it ends. */
import { describe, expect, test } from '@jest/globals';
import { type CheckedLog, type CheckLogOptions, checkTiledLog, type Difference } from '../../client/check-log.ts';
import { Transport } from '../../client/transport.ts';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { ed25519Signer } from '../../proofs/key.ts';
import { numberedLeaves, ReferenceTree } from '../support/reference-tree.ts';
import { problem } from './fake-log.ts';

const signer = ed25519Signer('example.com/log', new Uint8Array(32).fill(3));

/** All files of a log of that size, by path. */
function filesOf(size: number): Map<string, Uint8Array> {
  const leaves = numberedLeaves(size);
  const tree = new ReferenceTree(leaves);
  const files = new Map<string, Uint8Array>();
  const name = (n: number, width: number): string =>
    `${String(n).padStart(3, '0')}${width === 256 ? '' : `.p/${width}`}`;
  for (let level = 0; 256 ** level <= size; level++) {
    const span = 256 ** level;
    const hashes = Math.floor(size / span);
    for (let first = 0; first < hashes; first += 256) {
      const width = Math.min(256, hashes - first);
      const parts = Array.from({ length: width }, (_, i) => tree.hash((first + i) * span, (first + i + 1) * span));
      files.set(`tile/${level}/${name(first / 256, width)}`, new Uint8Array(Buffer.concat(parts)));
      if (level > 0) continue;
      const bundle = leaves.slice(first, first + width).flatMap((leaf) => [Buffer.from([0, leaf.length]), leaf]);
      files.set(`tile/entries/${name(first / 256, width)}`, new Uint8Array(Buffer.concat(bundle)));
    }
  }
  const note = signCheckpoint({ origin: 'example.com/log', treeSize: size, rootHash: tree.root(size) }, signer);
  files.set('checkpoint', new TextEncoder().encode(note));
  return files;
}

interface Ran extends CheckedLog {
  readonly told: readonly Difference[];
  readonly asked: readonly string[];
  /** Most requests that were under way at once. */
  readonly most: number;
}

type Answer = (path: string, asked: readonly string[]) => Response | undefined;

async function check(
  files: ReadonlyMap<string, Uint8Array>,
  more: Partial<CheckLogOptions> = {},
  answer: Answer = () => undefined,
): Promise<Ran> {
  const told: Difference[] = [];
  const asked: string[] = [];
  let running = 0;
  let most = 0;
  const transport = new Transport({
    url: 'http://x.example/log/',
    clock: { now: () => 0, sleep: async () => undefined },
    fetch: async (url) => {
      const path = url.slice('http://x.example/log/'.length);
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      const own = answer(path, asked);
      asked.push(path);
      const bytes = files.get(path);
      return own ?? (bytes === undefined ? new Response(null, { status: 404 }) : new Response(bytes.slice()));
    },
  });
  const { verifierKey } = signer;
  const checked = await checkTiledLog({ transport, verifierKey, onDifference: (one) => told.push(one), ...more });
  return { ...checked, told, asked, most };
}

describe('a log', () => {
  test.each([0, 1, 2, 255, 256, 257, 511, 512, 700, 2600])(
    'of size %d is right, and each file is read once',
    async (size) => {
      const files = filesOf(size);
      const seen: number[] = [];
      const { told, asked, most, ...checked } = await check(files, { onProgress: (done) => seen.push(done) });
      expect(told).toEqual([]);
      expect(checked).toMatchObject({ signed: true, differences: 0, complete: true, checkpoint: { treeSize: size } });
      expect(asked.slice().sort()).toEqual([...files.keys()].sort());
      expect(most).toBeLessThanOrEqual(17);
      expect(seen.at(-1) ?? 0).toBe(size);
    },
  );

  test('is read no further ahead than it may be', async () => {
    expect((await check(filesOf(2600), { concurrency: 1 })).most).toBeLessThanOrEqual(2);
  });

  test('one changed byte anywhere is one difference, in that file', async () => {
    const files = filesOf(700);
    for (const path of [...files.keys()].filter((name) => name !== 'checkpoint')) {
      const changed = (files.get(path) as Uint8Array).slice();
      const at = path.includes('entries') ? 4 : 40 % changed.length;
      changed[at] = ((changed[at] as number) + 1) % 256;
      const { told } = await check(new Map([...files, [path, changed]]));
      expect([path, told.map((one) => [one.path, one.problem])]).toEqual([path, [[path, 'differs']]]);
    }
  });

  test('anything after what a file must hold is told, of partial ones as of full ones', async () => {
    const files = filesOf(700);
    for (const path of [...files.keys()].filter((name) => name !== 'checkpoint')) {
      const more = path.includes('entries') ? Uint8Array.of(0, 1, 9) : new Uint8Array(32);
      const { told } = await check(new Map([...files, [path, Buffer.concat([files.get(path) as Uint8Array, more])]]));
      expect(told[0]).toMatchObject({ path, problem: 'malformed' });
    }
  });

  test('where partial files are gone, the beginning of the full ones is what they were', async () => {
    const files = new Map([...filesOf(65_536), ['checkpoint', filesOf(700).get('checkpoint') as Uint8Array]]);
    const { told, asked } = await check(files);
    expect(told).toEqual([]);
    expect(asked.filter((path) => path.includes('.p/'))).toEqual([
      'tile/entries/002.p/188',
      'tile/0/002.p/188',
      'tile/1/000.p/2',
    ]);
  });

  test('another root, rightly signed, is the checkpoint’s difference', async () => {
    const files = filesOf(700);
    const other = new ReferenceTree(numberedLeaves(9)).root(9);
    const note = signCheckpoint({ origin: 'example.com/log', treeSize: 700, rootHash: other }, signer);
    const { told, signed } = await check(new Map([...files, ['checkpoint', new TextEncoder().encode(note)]]));
    expect([signed, told.map(({ path, problem }) => [path, problem])]).toEqual([true, [['checkpoint', 'differs']]]);
  });
});

describe('entries only', () => {
  test.each([0, 1, 255, 256, 700, 2600])('of a log of size %d: every bundle is read, and no tile', async (size) => {
    const files = filesOf(size);
    const { told, asked, most, ...checked } = await check(files, { entriesOnly: true });
    expect(told).toEqual([]);
    expect(checked).toMatchObject({ signed: true, differences: 0, complete: true, checkpoint: { treeSize: size } });
    expect(asked.slice().sort()).toEqual([...files.keys()].filter((path) => !/^tile\/\d/.test(path)).sort());
    expect(most).toBeLessThanOrEqual(8);
  });

  test('a changed byte of any entry makes another root; a bundle that is gone or malformed is named', async () => {
    const files = filesOf(700);
    for (const path of [...files.keys()].filter((name) => name.includes('entries'))) {
      const bundle = files.get(path) as Uint8Array;
      const found = async (bytes: Uint8Array | undefined): Promise<unknown> => {
        const others = [...files].filter(([name]) => name !== path);
        const changed = new Map(bytes === undefined ? others : [...others, [path, bytes] as const]);
        return (await check(changed, { entriesOnly: true })).told.map((one) => [one.path, one.problem]);
      };
      for (const at of [2, bundle.length - 1])
        expect(await found(bundle.with(at, 255 - (bundle[at] as number)))).toEqual([['checkpoint', 'differs']]);
      expect(await found(bundle.subarray(0, -1))).toEqual([
        [path, 'malformed'],
        [path, 'missing'],
      ]);
      expect(await found(undefined)).toEqual([
        [path, 'missing'],
        [path, 'missing'],
      ]);
    }
  });
});

describe('what goes wrong on the way', () => {
  test('a claim of many entries that are not there ends at the limit', async () => {
    const note = signCheckpoint(
      { origin: 'example.com/log', treeSize: 2 ** 50, rootHash: new ReferenceTree(numberedLeaves(9)).root(9) },
      signer,
    );
    const files = new Map([['checkpoint', new TextEncoder().encode(note)]]);
    const { complete, differences } = await check(files, { maxDifferences: 50 });
    expect([complete, differences]).toEqual([false, 50]);
  });

  test('statuses that pass are asked again; others end the check, but for the server’s own word of damage', async () => {
    const files = filesOf(300);
    const once =
      (status: number): Answer =>
      (path, asked) =>
        path === 'tile/0/000' && !asked.includes(path) ? new Response(null, { status }) : undefined;
    for (const status of [429, 500, 502, 503, 504]) expect((await check(files, {}, once(status))).differences).toBe(0);
    for (const status of [400, 401, 403, 410, 501])
      await expect(check(files, {}, once(status))).rejects.toMatchObject({ code: 'http', status });
    const { status, body, headers = {} } = problem(500, 'damaged');
    const damaged: Answer = (path) => (path === 'tile/0/000' ? new Response(body, { status, headers }) : undefined);
    const { told } = await check(files, {}, damaged);
    expect(told).toEqual([{ path: 'tile/0/000', problem: 'malformed', message: expect.stringContaining('damaged') }]);
  });

  test('an answer without end is cut off', async () => {
    const endless: Answer = (path) =>
      path.startsWith('tile/0')
        ? new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(4096)) }))
        : undefined;
    const { told } = await check(filesOf(256), {}, endless);
    expect(told).toEqual([
      { path: 'tile/0/000', problem: 'malformed', message: 'the answer is longer than 8192 bytes' },
    ]);
  });

  test('a signal ends it', async () => {
    const stop = new AbortController();
    const running = check(filesOf(700), {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await expect(running).rejects.toThrow('enough');
  });
});
