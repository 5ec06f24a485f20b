/** Heads that are read back: which one counts, which are listed, and what is damage. */
import { describe, expect, test } from '@jest/globals';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { ed25519Signer } from '../../proofs/key.ts';
import { signTreeHead } from '../../proofs/tree-head-signature.ts';
import { listHeads, readHead } from '../../server/heads.ts';
import { headKey, refreshKey } from '../../server/storage/keys.ts';
import { MemoryStore } from '../../server/storage/memory.ts';
import { encodeHeadRow } from '../../server/storage/rows.ts';
import { asTreeHash } from '../../tree/hash.ts';

const ORIGIN = 'example.com/logs/main';
const signer = ed25519Signer(ORIGIN, new Uint8Array(32).fill(7));
const key = signer.verifierKey;
const TIME = 1_700_000_000_000;

const headOf = (treeSize: number) => ({ treeSize, rootHash: asTreeHash(new Uint8Array(32).fill(treeSize)) });

/** Row of a head of that size, signed at TIME plus `later`. */
function row(treeSize: number, later = 0, signature?: Uint8Array): Uint8Array {
  const checkpoint = signCheckpoint({ origin: ORIGIN, ...headOf(treeSize) }, signer);
  return encodeHeadRow(
    signature === undefined ? { checkpoint, time: TIME + later } : { checkpoint, time: TIME + later, signature },
  );
}

const signatureOf = (treeSize: number, later = 0): Uint8Array =>
  signTreeHead({ timestamp: TIME + later, ...headOf(treeSize) }, signer);

const storeOf = (rows: Record<string, Uint8Array>): MemoryStore => new MemoryStore(new Map(Object.entries(rows)));

const three = {
  [headKey('main', 1)]: row(1),
  [headKey('main', 2)]: row(2, 10),
  [headKey('main', 5)]: row(5, 20),
};

describe('the newest head', () => {
  const newest = (rows: Record<string, Uint8Array>, treeSize: number, later: number) =>
    readHead(storeOf(rows), 'main', [key], { treeSize, time: TIME + later });

  test('is the one of the largest size', async () => {
    expect(await newest(three, 5, 20)).toMatchObject({ ...headOf(5), time: TIME + 20 });
  });

  test('or its refresh', async () => {
    const rows = { ...three, [refreshKey('main', 5, TIME + 30)]: row(5, 30) };
    expect(await newest(rows, 5, 30)).toMatchObject({ ...headOf(5), time: TIME + 30 });
    await expect(newest(rows, 5, 20)).rejects.toMatchObject({ code: 'damaged' });
  });

  test('is damage where it is not the one that the edge names, by size and time', async () => {
    await expect(newest(three, 5, 21)).rejects.toMatchObject({ code: 'damaged' });
    await expect(newest(three, 4, 20)).rejects.toMatchObject({ code: 'damaged' });
    await expect(newest(three, 6, 20)).rejects.toMatchObject({ code: 'damaged' });
    await expect(newest({}, 0, 0)).rejects.toMatchObject({ code: 'damaged', message: expect.stringContaining('none') });
  });

  test('comes with its tree head signature, if that is of this very head', async () => {
    const good = { [headKey('main', 5)]: row(5, 20, signatureOf(5, 20)) };
    expect((await newest(good, 5, 20)).signature).toEqual(signatureOf(5, 20));
    expect(await newest(three, 5, 20)).not.toHaveProperty('signature');
    for (const wrong of [signatureOf(5, 21), signatureOf(4, 20), new Uint8Array(68)]) {
      const rows = { [headKey('main', 5)]: row(5, 20, wrong) };
      const error = await newest(rows, 5, 20).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'damaged', message: expect.stringContaining(headKey('main', 5)) });
      expect((error as Error).cause).toBeDefined();
    }
  });
});

describe('the list', () => {
  const sizes = async (rows: Record<string, Uint8Array>, from: number, limit: number): Promise<number[]> =>
    (await listHeads(storeOf(rows), 'main', [key], from, limit)).map(({ treeSize }) => treeSize);

  test('has the first head of each size, from one on and no more than asked for', async () => {
    const rows = {
      ...three,
      [refreshKey('main', 1, TIME + 5)]: row(1, 5),
      [refreshKey('main', 2, TIME + 15)]: row(2, 15),
    };
    expect(await sizes(rows, 0, 10)).toEqual([1, 2, 5]);
    expect(await sizes(rows, 2, 10)).toEqual([2, 5]);
    expect(await sizes(rows, 3, 10)).toEqual([5]);
    expect(await sizes(rows, 6, 10)).toEqual([]);
    for (const limit of [0, 1, 2, 3]) expect(await sizes(rows, 0, limit)).toEqual([1, 2, 5].slice(0, limit));
    const [first, second] = await listHeads(storeOf(rows), 'main', [key], 0, 2);
    expect([first?.time, second?.time]).toEqual([TIME, TIME + 10]);
  });

  test('is damage where one of them stands under another size, or is by another key', async () => {
    await expect(sizes({ ...three, [headKey('main', 3)]: row(2) }, 0, 10)).rejects.toMatchObject({ code: 'damaged' });
    const foreign = ed25519Signer(ORIGIN, new Uint8Array(32).fill(8)).verifierKey;
    await expect(listHeads(storeOf(three), 'main', [foreign], 0, 10)).rejects.toMatchObject({ code: 'damaged' });
  });
});
