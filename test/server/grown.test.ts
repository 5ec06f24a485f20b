import { expect, test } from '@jest/globals';
import { grown } from '../../server/grown.ts';
import { seededRandom } from '../support/random.ts';

test('values that grow out of each other, from any of them and again and again, stay what they are', () => {
  const random = seededRandom(5);
  const values: { readonly bytes: Uint8Array; readonly text: string }[] = [{ bytes: new Uint8Array(0), text: '' }];
  let shared = 0;
  for (let i = 0; i < 2000; i++) {
    // Most often the newest; sometimes an older one, of which another has grown already.
    const from = values[random() < 0.8 ? values.length - 1 : Math.floor(random() * values.length)];
    const more = Uint8Array.from({ length: Math.floor(random() * 40) }, () => Math.floor(random() * 256));
    const base = (from?.bytes.length ?? 0) > 500 ? values[0] : from;
    const bytes = grown(base?.bytes as Uint8Array, more, 512);
    if (bytes.buffer === base?.bytes.buffer) shared++;
    values.push({ bytes, text: `${base?.text}${Buffer.from(more).toString('hex')}` });
  }
  for (const { bytes, text } of values) expect(Buffer.from(bytes).toString('hex')).toBe(text);
  expect(shared).toBeGreaterThan(500);
});

test('an array that is not its own is left alone', () => {
  const whole = Uint8Array.of(1, 2, 3, 4);
  const all = grown(whole.subarray(0, 2), Uint8Array.of(9), 64);
  expect([...all]).toEqual([1, 2, 9]);
  expect([...whole]).toEqual([1, 2, 3, 4]);
});
