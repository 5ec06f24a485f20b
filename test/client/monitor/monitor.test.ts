/** The monitor against logs that are honest, and against every kind of one that is not. */
import { describe, expect, test } from '@jest/globals';
import { formatState } from '../../../client/monitor/state.ts';
import { entryLeaf } from '../../../proofs/entry.ts';
import { encodeEventLeaf } from '../../../proofs/leaf.ts';
import { equalBytes } from '../../../tree/bytes.ts';
import { FakeLog, problem } from '../fake-log.ts';
import { fork, START, TestWitness, Watched } from './watched.ts';

const makeLog = (): FakeLog => new FakeLog();

/** An entry of a log gets another receivedAt, and so another leaf. */
function receive(log: FakeLog, leafIndex: number, receivedAt: number): void {
  const entry = log.entries[leafIndex];
  if (entry === undefined) throw new Error('no such entry');
  const changed = { ...entry, receivedAt };
  log.entries[leafIndex] = { ...changed, leaf: entryLeaf(changed, log.origin) };
}

describe('an honest log', () => {
  test.each([0, 1, 2, 7, 255, 256, 257, 700])('of %d entries is followed, and nothing is told', async (size) => {
    const watched = new Watched(makeLog().fill(size));
    expect(await watched.look()).toMatchObject({ shown: size, verified: size, read: size, told: [] });
    const { head, tree } = watched.state();
    expect(head?.treeSize).toBe(size);
    expect(equalBytes(watched.log.tree().root(size), head?.rootHash ?? new Uint8Array())).toBe(true);
    expect(tree.size).toBe(size);
  });

  test('that grows is followed from where it was, and each leaf is read once', async () => {
    const watched = new Watched(makeLog().fill(3));
    await watched.look();
    for (const size of [4, 4, 255, 256, 300, 301, 513]) {
      const before = watched.state().tree.size;
      watched.log.requests.length = 0;
      watched.log.fill(size);
      expect(await watched.look()).toMatchObject({ verified: size, read: size - before, told: [] });
      const bundles = watched.log.requests.filter(({ path }) => path.startsWith('tile/entries/'));
      expect(bundles).toHaveLength(size === before ? 0 : Math.ceil(size / 256) - Math.floor(before / 256));
    }
  });

  test('is read in parts, when there is much: every part is committed and none is read twice', async () => {
    const watched = new Watched(makeLog().fill(1000));
    watched.options.limits = { readFor: 0 };
    const sizes: number[] = [];
    for (;;) {
      const { read, told } = await watched.look();
      expect(told).toEqual([]);
      const { progress, tree } = watched.state();
      sizes.push((progress ?? tree).size);
      expect(read).toBe(sizes.length === 1 ? 256 : (sizes.at(-1) as number) - (sizes.at(-2) as number));
      if (progress === undefined) break;
    }
    expect(sizes).toEqual([256, 512, 768, 1000]);
  });

  test('of bytes is followed too, whatever they are', async () => {
    const watched = new Watched(makeLog().fill(20));
    watched.log.entries.forEach((entry, i) => {
      watched.log.entries[i] = { ...entry, leaf: new Uint8Array(i).fill(i) };
    });
    watched.log.tamper = (request, reply) => (request.path === '' ? { ...reply, kind: 'raw' } : reply);
    expect(await watched.look()).toMatchObject({ verified: 20, told: [] });
    expect(watched.state().kind).toBe('raw');
  });

  test('of other people, without a page of its own, is one of bytes', async () => {
    const watched = new Watched(makeLog().fill(5));
    const { log } = watched;
    const handle = log.handle.bind(log);
    log.handle = (method, url, headers, body) =>
      url.pathname === '/logs/main' ? problem(404, 'not_found') : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ verified: 5, told: [] });
    expect(watched.state().kind).toBe('raw');
  });

  test.each([
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [429, 'too_many_requests'],
    [503, 'not_ready'],
    [200, undefined],
  ])('whose page cannot be had now (%d) is not taken for one of bytes, but asked again', async (status, code) => {
    const watched = new Watched(makeLog().fill(5));
    receive(watched.log, 3, 1);
    const { log } = watched;
    const handle = log.handle.bind(log);
    const refusal = code === undefined ? { status, body: '{"not":"the page"}' } : problem(status, code);
    log.handle = (method, url, headers, body) =>
      url.pathname === '/logs/main' ? refusal : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ shown: 5, verified: 0, told: ['raised log_unreachable'] });
    expect(watched.state().kind).toBeUndefined();
    log.handle = handle;
    expect(await watched.look()).toMatchObject({
      verified: 5,
      told: ['happened received_at_decreased 3', 'cleared log_unreachable'],
    });
    expect(watched.state().kind).toBe('events');
  });

  test('whose kind is given needs no such page', async () => {
    const watched = new Watched(makeLog().fill(5));
    const { log } = watched;
    const handle = log.handle.bind(log);
    watched.options.kind = 'raw';
    log.handle = (method, url, headers, body) =>
      url.pathname === '/logs/main' ? problem(403, 'forbidden') : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ verified: 5, told: [] });
  });

  test('whose partial bundle is gone is read from the full one', async () => {
    const watched = new Watched(makeLog().fill(300));
    const { log } = watched;
    const handle = log.handle.bind(log);
    const shown = log.checkpoint(300);
    // Between the checkpoint and the bundles the log has grown, and keeps full ones only.
    log.fill(512).tamperText = () => shown;
    log.handle = (method, url, headers, body) =>
      url.pathname.includes('.p/') ? problem(404, 'no_such_tile') : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ shown: 300, verified: 300, told: [] });
  });
});

describe('two histories under one key', () => {
  test('of one size, shown one after the other, are told at the next look, with a proof', async () => {
    const honest = makeLog().fill(7);
    const watched = new Watched(honest);
    await watched.look();
    watched.log = fork(honest, 3, 7, makeLog);
    const look = await watched.look();
    expect(look.told).toEqual(['raised split_view log']);
    const { first, second } = watched.provenFraud();
    expect([first.treeSize, second.treeSize]).toEqual([7, 7]);
    expect(equalBytes(first.rootHash, second.rootHash)).toBe(false);
    // The tree that was verified first is what is held on to.
    expect(equalBytes(watched.state().head?.rootHash ?? new Uint8Array(), honest.tree().root(7))).toBe(true);
    expect((await watched.look()).told).toEqual([]);
    expect(look.alerts[0]?.details).toMatchObject({ evidence: 'evidence-1', fraud_proof: watched.evidence[0] });
  });

  test.each([
    [1, 0, 2],
    [2, 1, 3],
    [4, 3, 8],
    [7, 3, 10],
    [8, 0, 9],
    [8, 7, 300],
    [256, 255, 257],
    [300, 299, 700],
  ])(
    'of which the second, after %d entries, is equal up to %d and has %d, are told with a proof',
    async (size, same, second) => {
      const honest = makeLog().fill(size);
      const watched = new Watched(honest);
      await watched.look();
      watched.log = fork(honest, same, second, makeLog);
      expect((await watched.look()).told).toEqual(['raised split_view log']);
      const proven = watched.provenFraud();
      expect([proven.first.treeSize, proven.second.treeSize]).toEqual([size, second]);
      expect(equalBytes(proven.otherRoot, watched.log.tree().root(size))).toBe(true);
      expect(watched.state().tree.size).toBe(size);
      // It goes on growing over there: nothing new is told, and its entries are not read again.
      watched.log.fill(second + 5);
      watched.log.requests.length = 0;
      expect(await watched.look()).toMatchObject({ told: [], read: 0 });
      expect(watched.log.requests.some(({ path }) => path.startsWith('tile/entries/'))).toBe(false);
    },
  );

  test('of which the witness has seen the other, of the same size, are told at the first look', async () => {
    const honest = makeLog().fill(7);
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(fork(honest, 3, 7, makeLog), [witness]);
    witness.shown = witness.cosign(honest.checkpoint());
    watched.log.tamperText = (_, text) => witness.cosign(text);
    expect((await watched.look()).told).toEqual(['raised split_view log']);
    expect(watched.provenFraud().first.treeSize).toBe(7);
  });

  test.each([
    [7, 10],
    [8, 300],
    [1, 2],
  ])('of which the witness has seen the other at size %d, and the log shows %d', async (seen, size) => {
    const honest = makeLog().fill(seen);
    const witness = new TestWitness('w1', 50);
    witness.shown = witness.cosign(honest.checkpoint());
    const watched = new Watched(fork(honest, seen - 1, size, makeLog), [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text);
    const { told, verified } = await watched.look();
    expect([told, verified]).toEqual([['raised split_view w1'], size]);
    expect(watched.provenFraud()).toMatchObject({ first: { treeSize: seen }, second: { treeSize: size } });
  });

  test('of which the witness has seen the larger: told when the log gets there', async () => {
    const honest = makeLog().fill(12);
    const witness = new TestWitness('w1', 50);
    witness.shown = witness.cosign(honest.checkpoint());
    const watched = new Watched(fork(honest, 3, 10, makeLog), [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text);
    expect((await watched.look()).told).toEqual([]);
    while (watched.log.entries.length < 12) watched.log.add(`{"id":"other-${watched.log.entries.length}"}`);
    expect((await watched.look()).told).toEqual(['raised split_view log']);
    expect(watched.provenFraud().first.treeSize).toBe(12);
  });

  test('a witness whose head is older, and right, is no contradiction, and is compared once', async () => {
    const honest = makeLog().fill(9);
    const witness = new TestWitness('w1', 50);
    witness.shown = witness.cosign(honest.checkpoint(5));
    const watched = new Watched(honest, [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text);
    expect((await watched.look()).told).toEqual([]);
    watched.log.requests.length = 0;
    expect((await watched.look()).told).toEqual([]);
    expect(watched.log.requests.map(({ path }) => path)).toEqual(['checkpoint']);
  });

  test.each([
    ['cut off', (bytes: Uint8Array) => bytes.subarray(0, -1), 'raised root_mismatch tiles'],
    ['altered', (bytes: Uint8Array) => bytes.with(0, 255 - (bytes[0] as number)), 'raised root_mismatch tiles'],
    ['gone', undefined, 'raised missing_entries tiles'],
  ])('is not claimed where the tiles that would show it are %s', async (_, change, expected) => {
    const honest = makeLog().fill(9);
    const witness = new TestWitness('w1', 50);
    witness.shown = witness.cosign(fork(honest, 4, 5, makeLog).checkpoint());
    const watched = new Watched(honest, [witness]);
    const { log } = watched;
    const handle = log.handle.bind(log);
    log.tamperText = (_request, text) => witness.cosign(text);
    log.tamperBytes = ({ path }, bytes) => (path.startsWith('tile/0/') ? (change?.(bytes) ?? bytes) : bytes);
    if (change === undefined)
      log.handle = (method, url, headers, body) =>
        url.pathname.includes('tile/0/') ? problem(404, 'no_such_tile') : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ verified: 9, told: [expected] });
    expect(watched.evidence).toEqual([]);
    log.handle = handle;
    log.tamperBytes = (_request, bytes) => bytes;
    expect((await watched.look()).told).toEqual(['raised split_view w1', expected.replace('raised', 'cleared')]);
  });

  test('seen before a crash, of a tree that was not read to its end, is told when another one follows', async () => {
    const honest = makeLog().fill(1000);
    const watched = new Watched(honest);
    watched.options.limits = { readFor: 0 };
    await watched.look();
    expect(watched.state().progress?.size).toBe(256);
    // The head of 1000 was seen, its entries were not. Now the log goes on with others.
    watched.log = fork(honest, 999, 1200, makeLog);
    watched.options.limits = {};
    const { told, verified } = await watched.look();
    expect([told, verified]).toEqual([['raised split_view log'], 1200]);
    expect(watched.provenFraud()).toMatchObject({ first: { treeSize: 1000 }, second: { treeSize: 1200 } });
  });
});

describe('a log that goes back', () => {
  test('is told, and when it is back where it was, that too', async () => {
    const watched = new Watched(makeLog().fill(9));
    await watched.look();
    watched.log = makeLog().fill(5);
    const { told, alerts } = await watched.look();
    expect(told[0]).toBe('raised rollback log');
    expect(alerts[0]?.details['heads']).toEqual([makeLog().fill(9).checkpoint(), watched.log.checkpoint()]);
    watched.log = makeLog().fill(9);
    expect((await watched.look()).told).toContain('cleared rollback log');
    expect((await watched.look()).told).toEqual([]);
    expect(watched.evidence).toEqual([]);
  });

  test('behind a witness, which holds what the monitor never saw', async () => {
    const witness = new TestWitness('w1', 50);
    witness.shown = witness.cosign(makeLog().fill(9).checkpoint());
    const watched = new Watched(makeLog().fill(5), [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text);
    // It may be waiting for its quorum.
    expect((await watched.look()).told).toEqual([]);
    expect((await watched.look(500_000)).told).toEqual([]);
    expect((await watched.look(120_000)).told).toEqual(['raised rollback w1']);
    watched.log.fill(9);
    watched.log.tamperText = (_, text) => witness.cosign(text, watched.now / 1000);
    expect((await watched.look()).told).toEqual(['cleared rollback w1']);
  });

  /** Witnesses that hold one more entry at each look, 10 s apart, and a log that shows what `shows` says. */
  async function tellings(looks: number, shows: (held: number) => number): Promise<Record<number, readonly string[]>> {
    const witnesses = [new TestWitness('w1', 50), new TestWitness('w2', 51)];
    const watched = new Watched(makeLog().fill(5), witnesses);
    watched.options.limits = { withheld: 400_000 };
    const full = makeLog().fill(10 + looks);
    const all: Record<number, readonly string[]> = {};
    for (let i = 0; i < looks; i++) {
      const held = 10 + i;
      for (const witness of witnesses) witness.shown = witness.cosign(full.checkpoint(held));
      watched.log.fill(shows(held));
      watched.log.tamperText = (_, text) =>
        witnesses.reduce((note, witness) => witness.cosign(note, watched.now / 1000), text);
      const { told } = await watched.look(10_000);
      if (told.length > 0) all[i] = told;
    }
    return all;
  }

  test('behind witnesses that grow and grow is told in time, of each of them', async () => {
    expect(await tellings(43, () => 5)).toEqual({ 41: ['raised rollback w1', 'raised rollback w2'] });
  });

  test('by more than it may is told, though it grows too', async () => {
    // Of the heads between it remembers none, so each time it waits anew.
    expect(await tellings(92, (held) => Math.max(5, held - 45))).toEqual({
      41: ['raised rollback w1', 'raised rollback w2'],
      45: ['cleared rollback w1', 'cleared rollback w2'],
      86: ['raised rollback w1', 'raised rollback w2'],
      90: ['cleared rollback w1', 'cleared rollback w2'],
    });
  });

  test.each([1, 35])('by %d heads, for less time than it may, is never told', async (lag) => {
    expect(await tellings(75, (held) => Math.max(5, held - lag))).toEqual({});
  });
});

describe('a log that shows ever new heads and keeps back their entries', () => {
  /** After one of 10 entries that was verified, heads of 11 to 50: the one of `other` entries is of another history. */
  async function flood(other: number | undefined, broken: (path: string) => boolean, status: number) {
    const watched = new Watched(makeLog().fill(10));
    await watched.look();
    const { log } = watched;
    const handle = log.handle.bind(log);
    const told: string[] = [];
    log.handle = (method, url, headers, body) =>
      broken(url.pathname) ? problem(status, 'no_such_tile') : handle(method, url, headers, body);
    for (let size = 11; size <= 50; size++) {
      log.fill(size);
      const shown = size === other ? fork(log, 5, size, makeLog).checkpoint() : log.checkpoint();
      log.tamperText = ({ path }, text) => (path === 'checkpoint' ? shown : text);
      const look = await watched.look(1000);
      told.push(...look.told);
      expect(formatState(watched.state()).length).toBeLessThan(100_000);
    }
    log.handle = handle;
    return { watched, told };
  }
  const entries = (path: string): boolean => path.includes('tile/entries/');
  const tiles = (path: string): boolean => path.includes('/tile/');

  test('that go together: no more is told than that, and when they are there they are read', async () => {
    const { watched, told } = await flood(undefined, entries, 404);
    expect([told, watched.evidence, watched.state().claims.length]).toEqual([['raised missing_entries'], [], 32]);
    expect(await watched.look()).toMatchObject({ verified: 50, told: ['cleared missing_entries'] });
    expect(watched.state().claims).toEqual([]);
  });

  test.each([11, 12, 30])('hides none among them that is of another history, as that of %d', async (other) => {
    const { watched, told } = await flood(other, entries, 404);
    told.push(...(await watched.look()).told, ...(await watched.look()).told);
    expect(told).toContain('raised split_view log');
    expect(watched.provenFraud().first.treeSize).toBe(other);
  });

  test('and their tiles: each that is let go is kept as evidence, and told', async () => {
    const { watched, told } = await flood(15, tiles, 404);
    const gone = told.filter((text) => text.startsWith('happened missing_entries '));
    expect([gone.length, watched.evidence.length, watched.state().claims.length]).toEqual([8, 8, 32]);
    const lie = fork(watched.log, 5, 15, makeLog).checkpoint();
    expect(watched.evidence.filter((text) => text.includes(lie.split('\n')[2] as string))).toHaveLength(1);
  });

  test('while its tiles cannot be asked for: twice as many wait, and then the same', async () => {
    const { watched, told } = await flood(15, tiles, 503);
    expect([told, watched.evidence, watched.state().claims.length]).toEqual([['raised log_unreachable'], [], 40]);
    expect((await watched.look()).told).toContain('raised split_view log');
  });
});

describe('entries that are not what was signed', () => {
  test('a changed bundle under a right head is told, and not taken for a contradiction', async () => {
    const watched = new Watched(makeLog().fill(5));
    await watched.look();
    watched.log.fill(9);
    watched.log.tamperBytes = ({ path }, bytes) =>
      path.startsWith('tile/entries/') ? bytes.with(bytes.length - 1, 255 - (bytes.at(-1) as number)) : bytes;
    expect(await watched.look()).toMatchObject({ verified: 5, told: ['raised root_mismatch'] });
    expect((await watched.look()).told).toEqual([]);
    expect(watched.evidence).toEqual([]);
    watched.log.tamperBytes = (_, bytes) => bytes;
    expect(await watched.look()).toMatchObject({ verified: 9, told: ['cleared root_mismatch'] });
  });

  test('a head that neither entries nor tiles make is kept beside the last one, which proves nothing', async () => {
    const honest = makeLog().fill(5);
    const watched = new Watched(honest);
    await watched.look();
    const lie = fork(honest, 2, 9, makeLog).checkpoint();
    honest.fill(9).tamperText = () => lie;
    expect((await watched.look()).told).toEqual(['raised root_mismatch']);
    expect(watched.evidence).toHaveLength(1);
    expect(() => watched.provenFraud()).toThrow(expect.objectContaining({ code: 'not_proven' }));
    expect((await watched.look()).told).toEqual([]);
    expect(watched.evidence).toHaveLength(1);
  });

  test('of the first head there is nothing to compare with', async () => {
    const watched = new Watched(makeLog().fill(5));
    watched.log.tamperBytes = (_, bytes) => bytes.with(10, 255 - (bytes[10] as number));
    // The time of the first leaf is another now, and later than the next one: nobody is accused of what was altered on its way.
    expect(await watched.look()).toMatchObject({ verified: 0, told: ['raised root_mismatch'] });
    watched.log.tamperBytes = (_, bytes) => bytes;
    expect(await watched.look()).toMatchObject({ verified: 5, told: ['cleared root_mismatch'] });
  });

  test('of very many faults the first 256 are told, and how many more there are', async () => {
    const watched = new Watched(makeLog().fill(1));
    for (let i = 1; i < 400; i++) watched.log.addAt(`{"id":"x-${i}"}`, 1_000_000 - i);
    const { told, alerts } = await watched.look();
    expect(told).toHaveLength(257);
    expect(alerts.at(-1)).toMatchObject({ code: 'unparsable_entry', details: { count: 143 } });
  });

  test('receivedAt that decreases is told once, with its place', async () => {
    const watched = new Watched(makeLog().fill(300));
    receive(watched.log, 200, (watched.log.entries[199]?.receivedAt as number) - 1);
    const { told, alerts } = await watched.look();
    expect(told).toEqual(['happened received_at_decreased 200']);
    expect(alerts[0]?.details).toEqual({ leaf_index: 200 });
    watched.log.fill(310);
    receive(watched.log, 300, (watched.log.entries[299]?.receivedAt as number) - 1_000_000);
    // Across two looks it is noticed just so.
    expect((await watched.look()).told).toEqual(['happened received_at_decreased 300']);
  });

  test('equal times are right', async () => {
    const watched = new Watched(makeLog().fill(4));
    for (let i = 1; i < 4; i++) receive(watched.log, i, watched.log.entries[0]?.receivedAt as number);
    expect((await watched.look()).told).toEqual([]);
  });

  test('a leaf that is none of an events log is told, and the tree goes on', async () => {
    const watched = new Watched(makeLog().fill(6));
    const good = watched.log.entries[3];
    if (good === undefined) throw new Error('no entry');
    const commitment = new Uint8Array(32);
    const odd = [
      new TextEncoder().encode('no leaf'),
      new Uint8Array(0),
      encodeEventLeaf({ receivedAt: 1, commitment }).with(0, 0x11),
      encodeEventLeaf({ receivedAt: 1, commitment }).with(1, 255),
    ];
    odd.forEach((leaf, i) => {
      watched.log.entries[i + 1] = { ...good, leaf };
    });
    const { told, verified } = await watched.look();
    expect(told).toEqual([1, 2, 3, 4].map((i) => `happened unparsable_entry ${i}`));
    expect(verified).toBe(6);
  });

  test.each([
    ['cut off', (bytes: Uint8Array) => bytes.subarray(0, -1)],
    ['too long', (bytes: Uint8Array) => Uint8Array.from([...bytes, 0])],
    ['empty', () => new Uint8Array(0)],
  ])('a bundle that is %s is told until it is whole', async (_, change) => {
    const watched = new Watched(makeLog().fill(256));
    watched.log.tamperBytes = ({ path }, bytes) => (path.startsWith('tile/entries/') ? change(bytes) : bytes);
    expect(await watched.look()).toMatchObject({ verified: 0, told: ['raised unparsable_entry'] });
    watched.log.tamperBytes = (_request, bytes) => bytes;
    expect(await watched.look()).toMatchObject({ verified: 256, told: ['cleared unparsable_entry'] });
  });

  test('entries that are kept back are told; what was read before stays read', async () => {
    const watched = new Watched(makeLog().fill(700));
    const { log } = watched;
    const handle = log.handle.bind(log);
    log.handle = (method, url, headers, body) =>
      url.pathname.includes('tile/entries/001') ? problem(404, 'no_such_tile') : handle(method, url, headers, body);
    expect(await watched.look()).toMatchObject({ verified: 0, read: 256, told: ['raised missing_entries'] });
    log.handle = handle;
    expect(await watched.look()).toMatchObject({ verified: 700, read: 444, told: ['cleared missing_entries'] });
  });
});

describe('a log that falls silent', () => {
  test('neither growing nor signing again is a stall; growth ends it', async () => {
    const watched = new Watched(makeLog().fill(3));
    watched.log.tamper = (request, reply) => (request.path === 'tree-head' ? {} : reply);
    await watched.look();
    expect((await watched.look(3_600_000)).told).toEqual([]);
    expect((await watched.look(1)).told).toEqual(['raised stall']);
    watched.log.fill(4);
    expect((await watched.look()).told).toEqual(['cleared stall']);
  });

  test('a head that is signed again is fresh: by its RFC 6962 signature, and by nothing less', async () => {
    const watched = new Watched(makeLog().fill(3));
    watched.log.heads = [];
    await watched.look();
    let signed = watched.log.headJson(3, watched.now);
    watched.log.tamper = (request, reply) => (request.path === 'tree-head' ? signed : reply);
    for (let i = 0; i < 4; i++) {
      signed = watched.log.headJson(3, watched.now + 2_000_000);
      expect((await watched.look(2_000_000)).told).toEqual([]);
    }
    // A stated time that is not the signed one, and a head without a signature, say nothing.
    signed = { ...signed, timestamp: watched.now + 4_000_000 };
    expect((await watched.look(4_000_000)).told).toEqual(['raised stall']);
    signed = { ...watched.log.headJson(3, watched.now), signature: null };
    expect((await watched.look()).told).toEqual([]);
    signed = watched.log.headJson(3, watched.now);
    expect((await watched.look(1000)).told).toEqual(['cleared stall']);
  });

  test('newer cosignatures are a refresh', async () => {
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(makeLog().fill(3), [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text, watched.now / 1000);
    for (let i = 0; i < 5; i++) expect((await watched.look(3_000_000)).told).toEqual([]);
  });

  test('it can be switched off', async () => {
    const watched = new Watched(makeLog().fill(3));
    watched.options.limits = { stall: 0 };
    await watched.look();
    expect((await watched.look(10 ** 10)).told).toEqual([]);
  });

  test('a log that cannot be reached is told, and that it can again', async () => {
    const watched = new Watched(makeLog().fill(3));
    await watched.look();
    const { log } = watched;
    const handle = log.handle.bind(log);
    for (const answer of [
      'drop',
      problem(503, 'not_ready'),
      problem(404, 'not_found'),
      problem(401, 'unauthorized'),
    ] as const) {
      log.handle = () => answer;
      expect(await watched.look()).toMatchObject({ shown: undefined, verified: 3, told: ['raised log_unreachable'] });
      expect((await watched.look()).told).toEqual([]);
      log.handle = handle;
      expect((await watched.look()).told).toEqual(['cleared log_unreachable']);
    }
  });
});

describe('heads and their signatures', () => {
  test.each([
    ['nothing', () => ''],
    ['no note', () => 'hello\n'],
    ['a note by somebody else', () => new FakeLog('main', 2).fill(3).checkpoint()],
    ['a note of another log under our key', () => makeLog().fill(3).checkpoint(3).replace('main\n3', 'main\n4')],
    ['an altered size', (text: string) => text.replace('\n3\n', '\n03\n')],
    ['two MiB', () => 'x'.repeat(2_097_152)],
  ])('%s as a checkpoint is told, and believed in nothing', async (_, change) => {
    const watched = new Watched(makeLog().fill(3));
    watched.log.tamperText = (_request, text) => change(text);
    expect(await watched.look()).toMatchObject({ shown: undefined, verified: 0, told: ['raised bad_checkpoint'] });
    watched.log.tamperText = (_request, text) => text;
    expect((await watched.look()).told).toEqual(['cleared bad_checkpoint']);
  });

  test('a quorum that is not met is told; the head is followed all the same', async () => {
    const witnesses = [new TestWitness('w1', 50), new TestWitness('w2', 51), new TestWitness('w3', 52)] as const;
    const watched = new Watched(makeLog().fill(3), witnesses, '2');
    const by = (...signing: TestWitness[]) => {
      watched.log.tamperText = (_, text) =>
        signing.reduce((note, witness) => witness.cosign(note, watched.now / 1000), text);
    };
    by(witnesses[0]);
    const { told, verified, alerts } = await watched.look();
    expect([told, verified]).toEqual([['raised quorum_not_met'], 3]);
    expect(alerts[0]?.message).toContain('w2, w3');
    by(witnesses[0], witnesses[2]);
    expect((await watched.look()).told).toEqual(['cleared quorum_not_met']);
  });

  test('a line that claims a witness and is not by it is told, and hides nothing', async () => {
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(makeLog().fill(3), [witness]);
    watched.log.tamperText = (_, text) => {
      const other = witness.cosign(makeLog().fill(2).checkpoint());
      return `${text}${other.slice(other.lastIndexOf('\n— ') + 1)}`;
    };
    expect(await watched.look()).toMatchObject({ verified: 3, told: ['raised quorum_not_met'] });
  });

  test('old cosignatures are told, and so is a time far ahead', async () => {
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(makeLog().fill(3), [witness]);
    let time = START / 1000;
    watched.log.tamperText = (_, text) => witness.cosign(text, time);
    expect((await watched.look()).told).toEqual([]);
    watched.log.fill(4);
    expect((await watched.look(3_600_000)).told).toEqual(['raised stale_cosignatures']);
    time = watched.now / 1000;
    expect((await watched.look()).told).toEqual(['cleared stale_cosignatures']);
    time = watched.now / 1000 + 100_000;
    expect((await watched.look()).told).toEqual(['raised stale_cosignatures']);
  });
});

describe('witnesses', () => {
  const setUp = (): readonly [Watched, TestWitness] => {
    const witness = new TestWitness('w1', 50);
    const watched = new Watched(makeLog().fill(5), [witness]);
    watched.log.tamperText = (_, text) => witness.cosign(text);
    return [watched, witness];
  };

  test('one that has nothing, 404, is no alarm', async () => {
    const [watched] = setUp();
    expect((await watched.look()).told).toEqual([]);
  });

  test.each(['throw', 500, 403] as const)('one that answers %s is a warning until it answers again', async (shown) => {
    const [watched, witness] = setUp();
    witness.shown = shown;
    const { told, alerts } = await watched.look();
    expect([told, alerts[0]?.level]).toEqual([['raised witness_unreachable w1'], 'warning']);
    witness.shown = witness.cosign(watched.log.checkpoint());
    expect((await watched.look()).told).toEqual(['cleared witness_unreachable w1']);
  });

  test('one that lies is a warning and proves nothing: no signature of the log, none of its own, another log’s, no note', async () => {
    const other = new FakeLog('main', 9).fill(7);
    const foreign = new FakeLog('other').fill(7);
    const shows: readonly ((witness: TestWitness, log: FakeLog) => string)[] = [
      (witness) => witness.cosign(other.checkpoint()),
      (witness) => witness.cosign(foreign.checkpoint()),
      (_, log) => log.checkpoint(),
      (_, log) => new TestWitness('w1', 51).cosign(log.checkpoint()),
      () => 'hello',
      () => '',
    ];
    for (const show of shows) {
      const [watched, witness] = setUp();
      witness.shown = show(witness, watched.log);
      const { told, alerts, verified } = await watched.look();
      expect([told, alerts[0]?.level, verified]).toEqual([['raised bad_witness_head w1'], 'warning', 5]);
      expect([watched.evidence, watched.state().claims]).toEqual([[], []]);
    }
  });

  test('one that goes back is a warning', async () => {
    const [watched, witness] = setUp();
    witness.shown = witness.cosign(watched.log.checkpoint());
    await watched.look();
    witness.shown = witness.cosign(watched.log.checkpoint(2));
    expect((await watched.look()).told).toEqual(['raised witness_went_back w1']);
    witness.shown = witness.cosign(watched.log.checkpoint());
    expect((await watched.look()).told).toEqual(['cleared witness_went_back w1']);
  });

  test('one that holds ever larger heads fills no memory', async () => {
    const [watched, witness] = setUp();
    const ahead = makeLog().fill(200);
    for (let size = 6; size < 200; size += 2) {
      witness.shown = witness.cosign(ahead.checkpoint(size));
      await watched.look(1);
    }
    expect(watched.state().claims.map(({ head }) => head.treeSize)).toEqual([6, 198]);
    expect(formatState(watched.state()).length).toBeLessThan(50_000);
    watched.log.fill(200);
    expect(await watched.look()).toMatchObject({ verified: 200, told: [] });
    expect(watched.state().claims).toEqual([]);
  });

  test('one that is no longer in the policy is forgotten', async () => {
    const [watched, witness] = setUp();
    witness.shown = 500;
    await watched.look();
    watched.options.witnesses = [];
    expect((await watched.look()).told).toEqual(['cleared witness_unreachable w1']);
  });
});

describe('a crash', () => {
  test('at any commit loses nothing: what was found is told again, under the same id', async () => {
    const make = (): Watched => {
      const watched = new Watched(makeLog().fill(1500));
      for (const leafIndex of [100, 600, 601, 1400])
        receive(watched.log, leafIndex, (watched.log.entries[leafIndex - 1]?.receivedAt as number) - 1);
      return watched;
    };
    const whole = make();
    const { alerts } = await whole.look();
    const expected = alerts.map(({ id }) => id);
    expect(expected).toHaveLength(4);
    for (let survived = 0; survived < whole.commits; survived++) {
      const watched = make();
      const seen = new Set<string>();
      // The state is made durable so often, and then the process dies: before what it found is told.
      let left = survived;
      let durable: string | undefined;
      watched.options.commit = async (state) => {
        if (left-- === 0) throw new Error('killed');
        durable = formatState(state);
        for (const { alert } of state.outbox) seen.add(alert.id);
        state.outbox = [];
        durable = formatState(state);
      };
      await expect(watched.look()).rejects.toThrow('killed');
      watched.text = durable;
      left = Number.POSITIVE_INFINITY;
      await watched.look();
      expect([...seen].sort()).toEqual([...expected].sort());
    }
  });
});
