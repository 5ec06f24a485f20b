/** What a whole store of ours cannot show: leaves that agree with everything and are wrong among themselves. */
import { expect, test } from '@jest/globals';
import { commitment, encodeEventLeaf } from '../../../proofs/leaf.ts';
import { makeEventsCheck } from '../../../server/check/events.ts';
import { type Fault, faultText } from '../../../server/check/fault.ts';
import { makeReads } from '../../../server/check/reads.ts';
import { eventKey } from '../../../server/storage/keys.ts';
import { MemoryStore } from '../../../server/storage/memory.ts';
import { encodeEventRow } from '../../../server/storage/rows.ts';
import { utf8 } from '../../../tree/bytes.ts';
import { leafHash } from '../../../tree/hash.ts';

const ORIGIN = 'example.com/logs/x';

/** Checks a log of entries that came at these times, all else right; `header` of each as given. */
async function check(times: readonly number[], header = '{"by":"system","via":"system"}') {
  const rows: [string, Uint8Array][] = [];
  const leaves = times.map((receivedAt, i) => {
    const row = { salt: new Uint8Array(32).fill(i), header: utf8(header), event: utf8(`{"n":${i}}`) };
    rows.push([eventKey('x', i), encodeEventRow(row)]);
    const leaf = encodeEventLeaf({ receivedAt, commitment: commitment({ origin: ORIGIN, ...row }) });
    return { leaf, hash: leafHash(leaf), key: `leaf ${i}` };
  });
  const faults: Fault[] = [];
  const report = (found: Fault): void => void faults.push(found);
  const seen: (number | undefined)[] = [];
  const events = makeEventsCheck({
    log: 'x',
    origin: ORIGIN,
    treeSize: times.length,
    reads: makeReads({ store: new MemoryStore(rows), report, pace: async () => {} }),
    report,
    growing: false,
    onEntries: async (first, entries) => void seen.push(...entries.map((entry, i) => entry && first + i)),
  });
  await events.entries(0, leaves);
  return { faults, seen, last: await events.finish() };
}

test('times that stay and rise are right, and the last one is known', async () => {
  const times = Array.from({ length: 100 }, (_, i) => 1000 + Math.floor(i / 3));
  expect(await check(times)).toEqual({ faults: [], seen: [...times.keys()], last: 1033 });
  expect(await check([])).toEqual({ faults: [], seen: [], last: 0 });
});

test('a time that goes back is named with its leaf', async () => {
  const { faults, last } = await check([1000, 1005, 1004, 1006]);
  expect(faults.map(faultText)).toEqual([
    'log x: entry bundle 2 (leaf 2) differs: stored receivedAt 1004, derived 1005 or later, as of the leaf before',
  ]);
  expect(last).toBe(1006);
});

test('a header that does not read is named, though the leaf commits to it', async () => {
  const { faults, seen } = await check([1, 2], '{"by":7,"via":"x"}');
  expect(faults.map(({ kind, problem, index }) => [kind, problem, index])).toEqual([
    ['event', 'malformed', 0],
    ['event', 'malformed', 1],
  ]);
  expect(seen).toEqual([undefined, undefined]);
});
