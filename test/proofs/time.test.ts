import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatMicros, parseMicros } from '../../proofs/time.ts';

test.each([
  [0, '1970-01-01T00:00:00.000000Z'],
  [1, '1970-01-01T00:00:00.000001Z'],
  [999_999, '1970-01-01T00:00:00.999999Z'],
  [951_782_400_000_000, '2000-02-29T00:00:00.000000Z'],
  [1_770_091_506_000_007, '2026-02-03T04:05:06.000007Z'],
  [2 ** 53 - 1, '2255-06-05T23:47:34.740991Z'],
])('%d is %s', (us, text) => {
  expect(formatMicros(us)).toBe(text);
  expect(parseMicros(text)).toBe(us);
});

test('every time is read back as it was written, and texts sort as times do', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
      expect(parseMicros(formatMicros(a))).toBe(a);
      expect(formatMicros(a) < formatMicros(b)).toBe(a < b);
    }),
  );
});

test.each([-1, 0.5, Number.NaN, 2 ** 53])('%d is no time', (us) => {
  expect(() => formatMicros(us)).toThrow(RangeError);
});

test.each([
  '',
  '2026-02-03T04:05:06Z',
  '2026-02-03T04:05:06.007Z',
  '2026-02-03T04:05:06.0000070Z',
  '2026-02-03T04:05:06.000007',
  '2026-02-03T04:05:06.000007z',
  '2026-02-03t04:05:06.000007Z',
  '2026-02-03 04:05:06.000007Z',
  '2026-02-03T04:05:06,000007Z',
  '2026-02-03T04:05:06.000007+00:00',
  '2026-2-3T04:05:06.000007Z',
  '2026-02-30T04:05:06.000007Z',
  '2025-02-29T04:05:06.000007Z',
  '2026-13-01T04:05:06.000007Z',
  '2026-00-01T04:05:06.000007Z',
  '2026-02-03T24:00:00.000000Z',
  '2026-02-03T04:60:06.000007Z',
  '2026-12-31T23:59:60.000000Z',
  '1969-12-31T23:59:59.999999Z',
  '2255-06-05T23:47:34.740992Z',
  '9999-12-31T23:59:59.999999Z',
  '+002026-02-03T04:05:06.000007Z',
  ' 2026-02-03T04:05:06.000007Z',
  '2026-02-03T04:05:06.000007Z\n',
  '２０２６-02-03T04:05:06.000007Z',
])('%j is refused', (text) => {
  expect(() => parseMicros(text)).toThrow(RangeError);
});
