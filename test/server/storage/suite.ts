/**
 * The storage contract in executable form. Every engine runs it; an engine that passes can stand behind the server.
 */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { prefixRange, type Store, type Write } from '../../../server/storage/store.ts';

export interface OpenedStore {
  readonly store: Store;
  /** Closes the store and opens what it left behind. */
  reopen(): Promise<Store>;
  /** Closes whatever is open and removes everything. */
  destroy(): Promise<void>;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const put = (key: string, value: Uint8Array | string): Write => ({
  key,
  value: typeof value === 'string' ? text(value) : value,
});
const del = (key: string): Write => ({ key, value: undefined });

export function storageSuite(name: string, open: () => Promise<OpenedStore>): void {
  describe(`storage contract: ${name}`, () => {
    let opened: OpenedStore;
    let store: Store;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });

    afterEach(() => opened.destroy());

    const keysOf = async (gte: string, lt: string, limit = 1000, reverse = false): Promise<string[]> =>
      (await store.list({ gte, lt, limit, reverse })).map(({ key }) => key);

    test('a key that was never put has no value', async () => {
      expect(await store.get('a')).toBeUndefined();
      expect(await store.getMany(['a', 'b'])).toEqual([undefined, undefined]);
      expect(await store.getMany([])).toEqual([]);
      expect(await keysOf('', '~')).toEqual([]);
    });

    test('a commit puts and deletes, and the last write of a key counts', async () => {
      await store.commit([put('a', '1'), put('b', '2'), put('c', '3')]);
      await store.commit([del('a'), put('b', '4'), put('d', '5'), del('never'), put('e', '6'), del('e')]);
      expect(await store.getMany(['d', 'a', 'b', 'c', 'e', 'b'])).toEqual([
        text('5'),
        undefined,
        text('4'),
        text('3'),
        undefined,
        text('4'),
      ]);
      expect(await keysOf('', '~')).toEqual(['b', 'c', 'd']);
    });

    test('an empty commit changes nothing', async () => {
      await store.commit([put('a', '1')]);
      await store.commit([]);
      expect(await keysOf('', '~')).toEqual(['a']);
    });

    test('reads past the cache, where there are such, are the same reads', async () => {
      await store.commit([put('a', '1'), put('b', '2')]);
      const { uncached = store } = store;
      expect(await uncached.get('a')).toEqual(text('1'));
      expect(await uncached.getMany(['b', 'c'])).toEqual([text('2'), undefined]);
      const range = { gte: 'a', lt: 'z', limit: 1, reverse: true };
      expect(await uncached.list(range)).toEqual([{ key: 'b', value: text('2') }]);
    });

    test('a list has a first key, an end, a limit and a direction', async () => {
      await store.commit(['a', 'b', 'c', 'd', 'e'].map((key) => put(key, key)));
      expect(await keysOf('b', 'd')).toEqual(['b', 'c']);
      expect(await keysOf('b', 'd\0')).toEqual(['b', 'c', 'd']);
      expect(await keysOf('bb', 'z')).toEqual(['c', 'd', 'e']);
      expect(await keysOf('a', 'z', 2)).toEqual(['a', 'b']);
      expect(await keysOf('a', 'z', 2, true)).toEqual(['e', 'd']);
      expect(await keysOf('b', 'd', 9, true)).toEqual(['c', 'b']);
      expect(await keysOf('a', 'z', 0)).toEqual([]);
      expect(await keysOf('d', 'b')).toEqual([]);
      expect(await store.list({ gte: 'c', lt: 'd', limit: 1 })).toEqual([{ key: 'c', value: text('c') }]);
      for (const reverse of [false, true]) {
        const range = { gte: 'a', lt: 'z', limit: 2, reverse };
        expect(await store.listKeys(range)).toEqual((await store.list(range)).map(({ key }) => key));
      }
    });

    test('a prefix ends before the next one', async () => {
      const keys = ['log/a', 'log/a-b/edge', 'log/a.b/edge', 'log/a/', 'log/a/edge', 'log/a/open/1', 'log/a0/edge'];
      await store.commit(keys.map((key) => put(key, '')));
      const rows = await store.list(prefixRange('log/a/', 100));
      expect(rows.map(({ key }) => key)).toEqual(['log/a/', 'log/a/edge', 'log/a/open/1']);
      const last = await store.list(prefixRange('log/a/', 1, true));
      expect(last.map(({ key }) => key)).toEqual(['log/a/open/1']);
    });

    test('keys are ordered bytewise, whatever ASCII they hold', async () => {
      const key = fc.string({
        unit: fc.integer({ min: 0, max: 127 }).map((c) => String.fromCharCode(c)),
        minLength: 1,
      });
      let held: string[] = [];
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(key, { maxLength: 20 }), key, key, async (keys, gte, lt) => {
          await store.commit([...held.map(del), ...keys.map((k) => put(k, k))]);
          held = keys;
          const bytewise = keys.slice().sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          expect(await keysOf('', '\x7f'.repeat(20))).toEqual(bytewise);
          const within = bytewise.filter((k) => k >= gte && k < lt);
          expect(await keysOf(gte, lt)).toEqual(within);
          expect(await keysOf(gte, lt, 1000, true)).toEqual(within.reverse());
        }),
        { numRuns: 50 },
      );
    });

    test('values are plain bytes: any, none, and a mebibyte', async () => {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const large = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 31) % 251);
      await store.commit([put('all', all), put('empty', new Uint8Array(0)), put('large', large)]);
      const one = await store.get('all');
      const many = await store.getMany(['empty', 'large']);
      const rows = await store.list({ gte: 'a', lt: 'b', limit: 1 });
      expect(one).toEqual(all);
      expect(many[0]).toEqual(new Uint8Array(0));
      // Element by element, a mebibyte would keep the matcher busy for seconds.
      expect(Buffer.compare(many[1] as Uint8Array, large)).toBe(0);
      for (const value of [one, ...many, rows[0]?.value]) {
        expect(Object.getPrototypeOf(value) === Uint8Array.prototype).toBe(true);
      }
    });

    test('a value handed out stays as it was', async () => {
      await store.commit([put('a', 'first'), put('b', 'other')]);
      const got = await store.get('a');
      const many = await store.getMany(['a']);
      const rows = await store.list({ gte: 'a', lt: 'b', limit: 1 });
      await store.commit([put('a', 'secnd'), del('b')]);
      for (let i = 0; i < 100; i++) await store.get(`${i}`);
      expect([got, many[0], rows[0]?.value]).toEqual([text('first'), text('first'), text('first')]);
    });

    test('what was put is not changed by who put it', async () => {
      const value = text('mine');
      await store.commit([put('a', value)]);
      value.fill(0);
      expect(await store.get('a')).toEqual(text('mine'));
    });

    test('reading sees all of a commit or nothing of it', async () => {
      const keys = Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, '0')}`);
      await store.commit(keys.map((key) => put(key, 'x0')));
      const commits = (async (): Promise<void> => {
        for (let round = 1; round <= 20; round++) await store.commit(keys.map((key) => put(key, `x${round}`)));
      })();
      for (let i = 0; i < 20; i++) {
        const rows = await store.list({ gte: 'k', lt: 'l', limit: 1000 });
        expect(new Set(rows.map(({ value }) => new TextDecoder().decode(value))).size).toBe(1);
      }
      await commits;
    });

    test('a commit of many writes is there as a whole after reopening', async () => {
      const writes = Array.from({ length: 20_000 }, (_, i) => put(`many/${String(i).padStart(5, '0')}`, `value ${i}`));
      await store.commit(writes);
      await store.commit([del('many/00000'), put('many/19999', new Uint8Array(0)), put('last', 'one')]);
      store = await opened.reopen();
      const rows = await store.list(prefixRange('many/', 30_000));
      expect(rows.length).toBe(19_999);
      expect(rows[0]).toEqual({ key: 'many/00001', value: text('value 1') });
      expect(rows.at(-1)).toEqual({ key: 'many/19999', value: new Uint8Array(0) });
      expect(await store.get('last')).toEqual(text('one'));
    });

    test('a closed store takes no commit and gives no value', async () => {
      await store.commit([put('a', '1')]);
      await store.close();
      await expect(store.commit([put('a', '2')])).rejects.toMatchObject({ code: 'outcome_unknown' });
      const unreadable = { name: 'StorageError', code: 'unreadable' };
      await expect(store.get('a')).rejects.toMatchObject(unreadable);
      await expect(store.getMany(['a'])).rejects.toMatchObject(unreadable);
      await expect(store.list({ gte: 'a', lt: 'b', limit: 1 })).rejects.toMatchObject(unreadable);
      await store.close();
      store = await opened.reopen();
      expect(await store.get('a')).toEqual(text('1'));
    });
  });
}
