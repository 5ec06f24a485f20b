/** The audit of a period: what it reads, what it says, and every way in which a list of heads can be wrong. */
import { describe, expect, test } from '@jest/globals';
import { type AuditHeadsOptions, type AuditReport, auditHeads } from '../../client/audit-heads.ts';
import { Transport } from '../../client/transport.ts';
import { parseFraudProof, verifyFraudProof } from '../../proofs/fraud-proof.ts';
import { parseVerifierKey } from '../../proofs/key.ts';
import { toBase64, utf8 } from '../../tree/bytes.ts';
import { API_KEY, codeOfAsync, FakeLog, problem } from './fake-log.ts';
import { fork, policyOf, START, TestWitness } from './monitor/watched.ts';

const makeLog = (): FakeLog => new FakeLog();

/** A log with a head a minute, at these sizes. */
function logWith(sizes: readonly number[], size = sizes.at(-1) ?? 0): FakeLog {
  const log = makeLog().fill(size);
  log.heads = sizes.map((each, i) => log.headJson(each, START + 60_000 * i));
  return log;
}

function audit(log: FakeLog, options: Partial<AuditHeadsOptions> = {}): Promise<AuditReport> {
  const clock = { now: () => 0, sleep: async () => undefined };
  const transport = new Transport({ url: 'http://x.example/logs/main', key: API_KEY, fetch: log.fetch, clock });
  return auditHeads({ transport, key: parseVerifierKey(log.vkey), ...options });
}

const codes = ({ problems }: AuditReport) => problems.map(({ code, treeSize }) => `${code} ${treeSize}`);

const SIZES = [0, 1, 3, 4, 255, 256, 257, 300, 700];

describe('a log that is right', () => {
  test('is good, with everything that was looked at', async () => {
    const log = logWith(SIZES, 720);
    const seen: number[] = [];
    const report = await audit(log, { onProgress: (_, treeSize) => seen.push(treeSize) });
    expect(codes(report)).toEqual([]);
    expect(report).toMatchObject({
      origin: log.origin,
      first: { treeSize: 0, time: START, timeSigned: true },
      last: { treeSize: 700, time: START + 60_000 * 8 },
      newest: { treeSize: 720 },
      heads: 9,
      cosigned: undefined,
      entries: 700,
      received: { first: log.entries[0]?.receivedAt, last: log.entries[699]?.receivedAt },
      longestGap: 60_000,
      problemCount: 0,
      frauds: [],
    });
    expect(seen).toEqual(SIZES);
  });

  test.each([
    [{ treeSize: 3 }, { treeSize: 256 }, [3, 256], 253],
    [{ treeSize: 2 }, { treeSize: 299 }, [3, 257], 254],
    [{ treeSize: 700 }, undefined, [700, 700], 0],
    [undefined, { treeSize: 0 }, [0, 0], 0],
    [{ time: START + 60_000 }, { time: START + 120_000 }, [1, 3], 2],
    [{ time: START + 60_001 }, { time: START + 300_000 }, [3, 256], 253],
    [{ time: 0 }, { time: START + 10 ** 9 }, [0, 700], 700],
    [{ time: START + 480_000 }, undefined, [700, 700], 0],
  ])('from %j to %j', async (from, to, [first, last], entries) => {
    const report = await audit(logWith(SIZES, 720), { from, to });
    expect([codes(report), report.first.treeSize, report.last.treeSize, report.entries]).toEqual([
      [],
      first,
      last,
      entries,
    ]);
  });

  test('reads a list of many pages, and each bundle once', async () => {
    const log = logWith(Array.from({ length: 601 }, (_, i) => i));
    const report = await audit(log);
    expect([codes(report), report.heads]).toEqual([[], 601]);
    const asked = log.requests.map(({ path }) => path);
    expect(asked.filter((path) => path === 'tree-heads')).toHaveLength(2);
    expect(asked.filter((path) => path.startsWith('tile/entries/'))).toHaveLength(3);
  });

  test('heads without a signature of their time are right too, and the report says so', async () => {
    const log = logWith([3, 5]);
    log.heads = log.heads?.map((head) => ({ ...head, signature: null }));
    expect(await audit(log)).toMatchObject({ problemCount: 0, first: { timeSigned: false } });
  });

  test('the quorum is counted', async () => {
    const [a, b] = [new TestWitness('a', 60), new TestWitness('b', 61)] as const;
    const log = logWith([3, 5, 7]);
    log.heads = [
      log.headJson(3, START, a.cosign(log.checkpoint(3))),
      log.headJson(5, START + 1, b.cosign(a.cosign(log.checkpoint(5)))),
      log.headJson(7, START + 2),
    ];
    const any = await audit(log, { policy: policyOf([a, b], 'any') });
    expect([any.cosigned, codes(any)]).toEqual([2, ['quorum_not_met 7']]);
    const all = await audit(log, { policy: policyOf([a, b], 'all') });
    expect([all.cosigned, codes(all)]).toEqual([1, ['quorum_not_met 3', 'quorum_not_met 7']]);
  });
});

describe('a log that is wrong', () => {
  test('a head in the period that contradicts the newest is proven', async () => {
    for (const size of [3, 256, 257]) {
      const log = logWith(SIZES);
      const other = fork(log, size - 1, size, makeLog);
      const at = SIZES.indexOf(size);
      log.heads = log.heads?.map((head, i) => (i === at ? other.headJson(size, START + 60_000 * i) : head)) ?? [];
      const report = await audit(log);
      expect(codes(report)).toEqual([`root_mismatch ${size}`, `split_view ${size}`]);
      const [text = ''] = report.frauds;
      const proven = verifyFraudProof(parseFraudProof(utf8(text)), [parseVerifierKey(log.vkey)]);
      expect([proven.first.treeSize, proven.second.treeSize]).toEqual([size, 700]);
    }
  });

  test('as the first head of the period it is proven as well, and the next one is the beginning', async () => {
    const log = logWith(SIZES);
    log.heads = [fork(log, 0, 3, makeLog).headJson(3, START), ...(log.heads?.slice(3) ?? [])];
    const report = await audit(log);
    expect(codes(report)).toEqual(['split_view 3', 'root_mismatch 3']);
    expect(report.entries).toBe(696);
  });

  test('two heads of one size are proven', async () => {
    const log = logWith([3, 5]);
    log.heads?.push(fork(log, 2, 5, makeLog).headJson(5, START + 10 ** 6));
    const report = await audit(log);
    expect(codes(report)).toContain('bad_order 5');
    expect(codes(report)).toContain('split_view 5');
    expect(report.frauds.length).toBeGreaterThan(0);
  });

  test('time that goes back between heads, sizes that do not grow, and a head larger than the newest', async () => {
    const log = logWith([3, 5, 9]);
    const [three, five, nine] = log.heads as [object, object, object];
    log.heads = [three, nine, five] as never;
    expect(codes(await audit(log))).toEqual(['bad_order 5', 'bad_order 5']);
    log.heads = [log.headJson(3, START), log.headJson(5, START - 1)];
    expect(codes(await audit(log))).toEqual(['bad_order 5']);
    log.heads = [three, five, nine] as never;
    log.signed = 5;
    expect(codes(await audit(log))).toEqual(['missing_entries 9', 'bad_order 9']);
  });

  test.each([
    [
      'a head by somebody else',
      (log: FakeLog) => log.headJson(5, START + 1, new FakeLog('main', 2).fill(5).checkpoint()),
    ],
    ['a time that is not the signed one', (log: FakeLog) => ({ ...log.headJson(5, START + 1), timestamp: START + 2 })],
    ['another size beside it', (log: FakeLog) => ({ ...log.headJson(5, START + 1), tree_size: 6 })],
    [
      'another root beside it',
      (log: FakeLog) => ({ ...log.headJson(5, START + 1), root_hash: toBase64(log.tree().root(4)) }),
    ],
    [
      'another origin beside it',
      (log: FakeLog) => ({ ...log.headJson(5, START + 1), origin: 'example.com/logs/other' }),
    ],
    ['no note', (log: FakeLog) => ({ ...log.headJson(5, START + 1), checkpoint: 'hello' })],
  ])('%s is a bad head, and the others are judged all the same', async (_, make) => {
    const log = logWith([3, 5, 9]);
    (log.heads as object[])[1] = make(log);
    log.heads?.splice(2, 1, log.headJson(9, START + 3));
    const report = await audit(log);
    expect(report.problems.map(({ code }) => code)).toEqual(['bad_head']);
    expect([report.heads, report.last.treeSize, report.entries]).toEqual([3, 9, 6]);
  });

  test('entries: changed, kept back, malformed, of another kind, out of order', async () => {
    const changed = logWith([3, 300]);
    changed.tamperBytes = ({ path }, bytes) =>
      path === 'tile/entries/000' ? bytes.with(-1, 255 - (bytes.at(-1) as number)) : bytes;
    expect(codes(await audit(changed))).toEqual(['root_mismatch 300']);
    const kept = logWith([3, 300]);
    const handle = kept.handle.bind(kept);
    kept.handle = (method, url, headers, body) =>
      url.pathname.endsWith('tile/entries/000') ? problem(404, 'no_such_tile') : handle(method, url, headers, body);
    expect(codes(await audit(kept))).toEqual(['missing_entries 300']);
    const malformed = logWith([3, 300]);
    malformed.tamperBytes = ({ path }, bytes) => (path.includes('entries') ? bytes.subarray(1) : bytes);
    expect(codes(await audit(malformed))).toEqual(['unparsable_entry 300']);
    const back = makeLog().fill(10);
    back.addAt('{"id":"x"}', 1);
    back.heads = [back.headJson(3, START), back.headJson(11, START + 1)];
    expect(codes(await audit(back))).toEqual(['received_at_decreased 11']);
  });

  test('of very many problems the first hundred are listed and all are counted', async () => {
    const log = makeLog().fill(1);
    for (let i = 1; i < 150; i++) log.addAt(`{"id":"x-${i}"}`, 1_000_000 - i);
    log.heads = [log.headJson(1, START), log.headJson(150, START + 1)];
    const report = await audit(log);
    expect([report.problems.length, report.problemCount]).toEqual([100, 148]);
  });
});

describe('a log that cannot be audited', () => {
  test('without heads in the period', async () => {
    for (const options of [{ from: { treeSize: 8 } }, { to: { time: START - 1 } }, { from: { time: START + 10 ** 9 } }])
      expect(await codeOfAsync(() => audit(logWith([3, 7]), options))).toBe('bad_argument');
  });

  test('without the list of heads, or with one of another shape', async () => {
    const without = makeLog().fill(3);
    expect(await codeOfAsync(() => audit(without))).toBe('http');
    for (const change of [{ tree_heads: 7 }, { tree_heads: [7] }, { next: 'x' }, { tree_heads: [{}] }]) {
      const log = logWith([3, 7]);
      log.tamper = (request, reply) => (request.path === 'tree-heads' ? { ...reply, ...change } : reply);
      expect(await codeOfAsync(() => audit(log))).toBe('bad_reply');
    }
  });

  test('with a list that goes round in circles', async () => {
    const log = logWith([3, 7]);
    log.tamper = (request, reply) => (request.path === 'tree-heads' ? { ...reply, next: 3 } : reply);
    expect(await codeOfAsync(() => audit(log, { from: { treeSize: 3 } }))).toBe('bad_reply');
  });

  test('with a newest head that is not signed', async () => {
    const log = logWith([3, 7]);
    log.tamperText = () => new FakeLog('main', 2).fill(7).checkpoint();
    expect(await codeOfAsync(() => audit(log))).toBe('unknown_signer');
  });
});
