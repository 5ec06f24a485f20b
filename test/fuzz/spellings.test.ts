/**
 * Numbers, base64, hexadecimal, times and tile paths: each value has one spelling, and every other text is refused by the one named
 * error. The oracles are independent: BigInt, Buffer and Date, or the writer of the same spelling.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatMicros, parseMicros } from '../../proofs/time.ts';
import { ServerError } from '../../server/errors.ts';
import { decimal, mediaType, Query } from '../../server/http/request.ts';
import { fromBase64, fromHex, parseDecimal, toBase64, toHex } from '../../tree/bytes.ts';
import { bundlePath, parseTilePath, type TileId, tilePath } from '../../tree/tiles.ts';
import { altered, anyText, outcomeOf, runs } from './mutations.ts';

/** Good ones altered, and anything. */
function texts(good: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof({ weight: 3, arbitrary: altered(good).map(({ text }) => text) }, { weight: 1, arbitrary: anyText });
}

/** Whatever is accepted is spelt as it would be written, what `isGood` says is good is accepted, and all else is a RangeError. */
function judge<Value>(
  text: string,
  parse: (text: string) => Value,
  format: (value: Value) => string,
  isGood: (text: string) => boolean,
): void {
  const outcome = outcomeOf(() => parse(text));
  if ('value' in outcome) expect([format(outcome.value), isGood(text)]).toEqual([text, true]);
  else expect([outcome.error instanceof RangeError, isGood(text)]).toEqual([true, false]);
}

const size = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(0, 255, 256, 2 ** 32, 2 ** 53 - 1));

test('decimals', () => {
  fc.assert(
    fc.property(size, (value) => expect(parseDecimal(String(value))).toBe(value)),
    runs(300),
  );
  const isGood = (text: string): boolean =>
    /^[0-9]+$/.test(text) && String(BigInt(text)) === text && BigInt(text) <= 9007199254740991n;
  fc.assert(
    fc.property(texts(size.map(String)), (text) => judge(text, parseDecimal, String, isGood)),
    runs(4000),
  );
});

test('base64', () => {
  const good = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  const isGood = (text: string): boolean => Buffer.from(text, 'base64').toString('base64') === text;
  fc.assert(
    fc.property(texts(good), (text) => judge(text, fromBase64, toBase64, isGood)),
    runs(4000),
  );
});

test('base64: no other ending of 32 bytes', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(bytes, (hash) => {
      const text = toBase64(hash);
      const accepted = [...alphabet].filter(
        (letter) => 'value' in outcomeOf(() => fromBase64(`${text.slice(0, 42)}${letter}=`)),
      );
      // The last letter carries four bits: one in four is a spelling.
      expect(accepted).toHaveLength(16);
      expect(accepted).toContain(text[42]);
    }),
    runs(20),
  );
});

test('hexadecimal', () => {
  const good = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'));
  const isGood = (text: string): boolean => Buffer.from(text, 'hex').toString('hex') === text;
  fc.assert(
    fc.property(texts(good), (text) => judge(text, fromHex, toHex, isGood)),
    runs(3000),
  );
});

test('times', () => {
  fc.assert(
    fc.property(size, (us) => expect(parseMicros(formatMicros(us))).toBe(us)),
    runs(300),
  );
  const isGood = (text: string): boolean => {
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(text)) return false;
    const ms = Date.parse(`${text.slice(0, 23)}Z`);
    const inRange = ms >= 0 && BigInt(ms) * 1000n + BigInt(text.slice(23, 26)) <= 9007199254740991n;
    return inRange && new Date(ms).toISOString() === `${text.slice(0, 23)}Z`;
  };
  const digits = fc.stringMatching(/^[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{6}Z$/);
  fc.assert(
    fc.property(fc.oneof(texts(size.map(formatMicros)), digits), (text) =>
      judge(text, parseMicros, formatMicros, isGood),
    ),
    runs(4000),
  );
});

describe('tile paths', () => {
  const tile = fc.record({
    level: fc.oneof(fc.nat(63), fc.nat(3)),
    index: fc.oneof(size, fc.nat(3000)),
    width: fc.oneof(fc.integer({ min: 1, max: 256 }), fc.constant(256)),
  });
  const good = fc.oneof(
    tile.map(tilePath),
    tile.map(({ index, width }) => bundlePath(index, width)),
  );

  test('are read back', () => {
    fc.assert(
      fc.property(tile, (id) => {
        expect(parseTilePath(tilePath(id))).toEqual({ kind: 'tile', tile: id });
        expect(parseTilePath(bundlePath(id.index, id.width))).toEqual({ kind: 'bundle', tile: { ...id, level: 0 } });
      }),
      runs(500),
    );
  });

  test('have one spelling, and no text makes their parser throw', () => {
    const spelt = (path: string): void => {
      const parsed = parseTilePath(path);
      if (parsed === undefined) return;
      const { level, index, width }: TileId = parsed.tile;
      expect(parsed.kind === 'tile' ? tilePath(parsed.tile) : bundlePath(index, width)).toBe(path);
      expect(level >= 0 && level <= 63 && width >= 1 && width <= 256 && Number.isSafeInteger(index)).toBe(true);
    };
    fc.assert(fc.property(texts(good), spelt), runs(5000));
    // What looks most like one: groups of digits, leading zeros and wrong lengths among them.
    const group = fc.constantFrom('x000/', 'x001/', 'x999/', '000/', 'x1/', 'x0001/', 'X001/', '/');
    const last = fc.constantFrom(
      '000',
      '001',
      '999',
      '1',
      '0001',
      'x001',
      '000.p/8',
      '000.p/08',
      '000.p/256',
      '000.p/',
    );
    fc.assert(
      fc.property(
        fc.constantFrom('0', '7', '00', '63', '64', 'entries', ''),
        fc.array(group, { maxLength: 6 }),
        last,
        (level, groups, end) => spelt(`tile/${level}/${groups.join('')}${end}`),
      ),
      runs(3000),
    );
  });
});

describe('queries and media types', () => {
  /** Only a ServerError of this code may be thrown. */
  function refusedAs<Value>(code: string, action: () => Value): Value | undefined {
    const outcome = outcomeOf(action);
    if ('value' in outcome) return outcome.value;
    expect([outcome.error instanceof ServerError, (outcome.error as ServerError).code]).toEqual([true, code]);
    return undefined;
  }

  test('a number of a query or path is a decimal or a bad parameter', () => {
    fc.assert(
      fc.property(texts(size.map(String)), (text) => {
        const value = refusedAs('bad_parameter', () => decimal(text, 'it'));
        expect(value === undefined ? undefined : String(value)).toBe(value === undefined ? undefined : text);
      }),
      runs(2000),
    );
  });

  test('a query gives back what was put into it', () => {
    const value = fc.string({ unit: 'grapheme', maxLength: 10 }).filter((text) => !/\p{Cs}/u.test(text));
    fc.assert(
      fc.property(value, value, (a, b) => {
        const query = new Query(`a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`, ['a', 'b']);
        expect([query.text('a'), query.text('b'), query.text('c')]).toEqual([a, b, undefined]);
      }),
      runs(500),
    );
  });

  test('any query is read or a bad parameter, and its numbers have one spelling', () => {
    const good = fc.tuple(size, size).map(([a, b]) => `first=${a}&second=${b}&limit=7`);
    fc.assert(
      fc.property(texts(good), (search) => {
        const query = refusedAs('bad_parameter', () => new Query(search, ['first', 'second', 'limit']));
        if (query === undefined) return;
        for (const name of ['first', 'second']) {
          const number = refusedAs('bad_parameter', () => query.number(name));
          if (number !== undefined) expect(String(number)).toBe(query.text(name));
        }
        const limit = refusedAs('bad_parameter', () => query.limit(5, 10));
        if (limit !== undefined) expect(limit >= 1 && limit <= 10).toBe(true);
      }),
      runs(3000),
    );
  });

  test('a media type is one of ours only where it is spelt so, whatever its case and parameters', () => {
    const typeOf = (header: string) =>
      mediaType({ headers: { 'content-type': header } } as Parameters<typeof mediaType>[0]);
    const good = fc
      .tuple(
        fc.constantFrom('application/json', 'application/x-ndjson', 'Application/JSON'),
        fc.constantFrom('', ';charset=utf-8', '; charset="UTF-8"', ';q=1'),
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(good, (header) => expect(typeOf(header)).toMatch(/^application\/(?:json|x-ndjson)$/)),
      runs(50),
    );
    fc.assert(
      fc.property(texts(good), (text) => {
        // Headers are latin1: what is above does not arrive.
        const header = Buffer.from(text, 'latin1').toString('latin1');
        const type = refusedAs('unsupported_media_type', () => typeOf(header));
        if (type === 'application/json' || type === 'application/x-ndjson')
          expect(
            header
              .split(';')[0]
              ?.replaceAll(/^[ \t]+|[ \t]+$/g, '')
              .toLowerCase(),
          ).toBe(type);
      }),
      runs(3000),
    );
  });
});
