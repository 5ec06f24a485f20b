/** Reads of one turn go to the store as one, and everybody gets their own rows. */
import { expect, test } from '@jest/globals';
import { joinReads } from '../../server/joined-reads.ts';

/** A store whose row of a key is the key's text, and which remembers what it was asked for. */
function store() {
  const asked: (readonly string[])[] = [];
  return {
    asked,
    async getMany(keys: readonly string[]) {
      asked.push(keys);
      if (keys.includes('broken')) throw new Error('no');
      return keys.map((key) => (key === 'missing' ? undefined : new TextEncoder().encode(key)));
    },
  };
}

const texts = (values: readonly (Uint8Array | undefined)[]) =>
  values.map((value) => value && new TextDecoder().decode(value));

test('what is asked for in one turn is read at once', async () => {
  const inner = store();
  const reads = joinReads(inner);
  const all = await Promise.all([reads.getMany(['a', 'missing']), reads.getMany([]), reads.getMany(['b'])]);
  expect(all.map(texts)).toEqual([['a', undefined], [], ['b']]);
  expect(inner.asked).toEqual([['a', 'missing', 'b']]);
  expect(texts(await reads.getMany(['c']))).toEqual(['c']);
  expect(inner.asked.length).toBe(2);
});

test('what cannot be read is refused to all who asked with it, and to nobody later', async () => {
  const reads = joinReads(store());
  const results = await Promise.allSettled([reads.getMany(['a']), reads.getMany(['broken'])]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(texts(await reads.getMany(['a']))).toEqual(['a']);
});
