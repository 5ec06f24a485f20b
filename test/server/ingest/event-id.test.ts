import { describe, expect, test } from '@jest/globals';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { eventId, parsePointer } from '../../../server/ingest/event-id.ts';
import { checkEvent } from '../../../server/ingest/json-event.ts';
import { utf8 } from '../../../tree/bytes.ts';

/** The id's JCS text, or `absent`. */
function id(event: string, pointer: string): string {
  const found = eventId(checkEvent(utf8(event), { maxEventSize: 1048576 }), parsePointer(pointer));
  return found.kind === 'id' ? found.jcs : 'absent';
}

const code = (name: string) => expect.objectContaining({ code: name });

describe('pointers', () => {
  test.each<readonly [string, readonly string[]]>([
    ['', []],
    ['/', ['']],
    ['/eventID', ['eventID']],
    ['/a/b/0', ['a', 'b', '0']],
    ['//', ['', '']],
    ['/a~1b', ['a/b']],
    ['/m~0n', ['m~n']],
    ['/~01', ['~1']],
    ['/~10', ['/0']],
    ['/~0~1', ['~/']],
    ['/ ', [' ']],
    ['/é/😀', ['é', '😀']],
    ['/a%20b', ['a%20b']],
    ['/"\\\n', ['"\\\n']],
    [`/${'a'.repeat(255)}`, ['a'.repeat(255)]],
  ])('%j', (text, names) => {
    const pointer = parsePointer(text);
    expect(pointer.text).toBe(text);
    expect(pointer.steps.map((step) => step.name)).toEqual(names);
  });

  test.each(['a', 'eventID', '#/a', ' /a', '/~', '/~2', '/a~', '/~/', '/~~01', '/\ud800', '/\udc00a'])(
    '%j is none',
    (text) => {
      expect(() => parsePointer(text)).toThrow(code('bad_pointer'));
    },
  );

  test('at most 256 bytes of UTF-8', () => {
    expect(() => parsePointer(`/${'a'.repeat(256)}`)).toThrow(code('bad_pointer'));
    expect(parsePointer(`/a${'é'.repeat(127)}`).steps).toHaveLength(1);
    expect(() => parsePointer(`/${'é'.repeat(128)}`)).toThrow(code('bad_pointer'));
    expect(() => parsePointer('/'.repeat(1000000))).toThrow(code('bad_pointer'));
  });
});

describe('ids', () => {
  test.each<readonly [string, string, string]>([
    ['{"id":"x"}', '/id', '"x"'],
    ['{"id":1}', '/id', '1'],
    ['{"id":"1"}', '/id', '"1"'],
    ['{"id":""}', '/id', '""'],
    ['{"id":0}', '/id', '0'],
    ['{"id":-0}', '/id', '0'],
    ['{"id":-1}', '/id', '-1'],
    ['{"id":1.0}', '/id', '1'],
    ['{"id":1e2}', '/id', '100'],
    ['{"id":100e-2}', '/id', '1'],
    ['{"id":9007199254740991}', '/id', '9007199254740991'],
    ['{"id":9007199254740991.0}', '/id', '9007199254740991'],
    ['{"id":-9007199254740991}', '/id', '-9007199254740991'],
    [' { "id" : "x" , "b" : 1 } ', '/id', '"x"'],
    ['{"id":1 }', '/id', '1'],
    ['{"b":{"id":"no"},"c":["id","id"],"id":"x"}', '/id', '"x"'],
    ['{"b":"\\"id\\":","id":"x"}', '/id', '"x"'],
    ['{"b":"]}\\\\","id":"x"}', '/id', '"x"'],
    ['{"b":[{"c":"}"},[]],"id":"x"}', '/id', '"x"'],
    ['{"b":{},"c":[],"id":"x"}', '/id', '"x"'],
    ['{"b":-1.5e3,"c":null,"d":true,"id":"x"}', '/id', '"x"'],
    ['{"\\u0069d":"x"}', '/id', '"x"'],
    ['{"id":"\\u0041\\/\\u000a"}', '/id', '"A/\\n"'],
    ['{"id":"\\ud83d\\ude00"}', '/id', '"😀"'],
    ['{"é":"ü"}', '/é', '"ü"'],
    ['{"\\u00e9":"ü"}', '/é', '"ü"'],
    ['{"":"x"}', '/', '"x"'],
    ['{"a/b":"x"}', '/a~1b', '"x"'],
    ['{"m~n":"x"}', '/m~0n', '"x"'],
    ['{"~1":"x"}', '/~01', '"x"'],
    ['{"a\\\\b":"x"}', '/a\\b', '"x"'],
    ['{"\\n":"x"}', '/\n', '"x"'],
    ['{"a":{"b":{"c":7}}}', '/a/b/c', '7'],
    ['{"a":["x","y"]}', '/a/0', '"x"'],
    ['{"a":["x", "y"]}', '/a/1', '"y"'],
    ['{"a":[1,2,[3,{"b":4}]]}', '/a/2/1/b', '4'],
    ['{"0":"x"}', '/0', '"x"'],
    ['{"01":"x"}', '/01', '"x"'],
    ['{"__proto__":"x"}', '/__proto__', '"x"'],
    ['{"a":{"__proto__":{"id":"x"}}}', '/a/__proto__/id', '"x"'],
    ['{"constructor":"x"}', '/constructor', '"x"'],
    [`{"id":"${'x'.repeat(256)}"}`, '/id', `"${'x'.repeat(256)}"`],
    [`{"id":"${'\\u0078'.repeat(256)}"}`, '/id', `"${'x'.repeat(256)}"`],
    [`{"id":"${'é'.repeat(128)}"}`, '/id', `"${'é'.repeat(128)}"`],
    [`{"id":"${'\\n'.repeat(256)}"}`, '/id', `"${'\\n'.repeat(256)}"`],
  ])('%s at %j', (event, pointer, expected) => {
    expect(id(event, pointer)).toBe(expected);
  });

  test.each<readonly [string, string]>([
    ['{}', '/id'],
    ['{ }', '/id'],
    ['{"ID":1}', '/id'],
    ['{"idx":1}', '/id'],
    ['{"i":1}', '/id'],
    ['{"\\\\n":1}', '/\n'],
    ['{"\\n":1}', '/\\n'],
    ['{"a":{"id":1}}', '/id'],
    ['{"id":1}', '/id/0'],
    ['{"id":"abc"}', '/id/0'],
    ['{"id":"abc"}', '/id/length'],
    ['{"id":null}', '/id/a'],
    ['{"a":[]}', '/a/0'],
    ['{"a":[ ]}', '/a/0'],
    ['{"a":[1]}', '/a/1'],
    ['{"a":[1]}', '/a/-'],
    ['{"a":[1]}', '/a/-1'],
    ['{"a":[1,2]}', '/a/01'],
    ['{"a":[1]}', '/a/+0'],
    ['{"a":[1]}', '/a/0.0'],
    ['{"a":[1]}', '/a/length'],
    ['{"a":[1]}', '/a/'],
    ['{"a":[1]}', '/a/99999999999999999999'],
    ['{}', '/__proto__'],
    ['{}', '/constructor'],
    ['{}', '/toString/name'],
    ['{"a":{}}', '/a/__proto__'],
  ])('%s has none at %j', (event, pointer) => {
    expect(id(event, pointer)).toBe('absent');
  });

  test.each<readonly [string, string]>([
    ['{"id":null}', '/id'],
    ['{"id":true}', '/id'],
    ['{"id":false}', '/id'],
    ['{"id":{}}', '/id'],
    ['{"id":[]}', '/id'],
    ['{"id":{"id":1}}', '/id'],
    ['{"id":1.5}', '/id'],
    ['{"id":1e-1}', '/id'],
    ['{"id":9007199254740992.0}', '/id'],
    ['{"id":1e300}', '/id'],
    ['{"id":1}', ''],
    [`{"id":"${'x'.repeat(257)}"}`, '/id'],
    [`{"id":"${'é'.repeat(129)}"}`, '/id'],
    [`{"id":"${'😀'.repeat(65)}"}`, '/id'],
  ])('%s has no id at %j', (event, pointer) => {
    expect(() => id(event, pointer)).toThrow(code('bad_event_id'));
  });
});

/** RFC 6901 §4 on a parsed value; undefined where it leads nowhere. */
function resolve(value: unknown, names: readonly string[]): unknown {
  let at = value;
  for (const name of names) {
    if (typeof at !== 'object' || at === null) return undefined;
    if (Array.isArray(at) && !/^(?:0|[1-9][0-9]*)$/.test(name)) return undefined;
    if (!Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

test('finds what a parser finds', () => {
  const name = fc.constantFrom('', 'a', 'b', '~', '/', '0', '1', '\\', '"', '\n', 'é', '__proto__', 'toString');
  const value = fc.letrec<{ value: unknown; object: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>('x', 'y"\\', 1, 0, -5, 1.5, true, null),
      fc.array(tie('value'), { maxLength: 4 }),
      tie('object'),
    ),
    object: fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  })).object;
  const escaped = (text: string) =>
    text.replaceAll('é', '\\u00e9').replaceAll('"a"', '"\\u0061"').replaceAll('"b"', '"\\u0062"');
  fc.assert(
    fc.property(
      value,
      fc.array(name, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      (event, names, withEscapes, space) => {
        const text = JSON.stringify(event, undefined, space ? 1 : undefined);
        const pointer = names.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
        const target = resolve(JSON.parse(text), names);
        const find = () => id(withEscapes ? escaped(text) : text, pointer);
        if (target === undefined) expect(find()).toBe('absent');
        else if (typeof target === 'string' || Number.isInteger(target)) expect(find()).toBe(canonicalize(target));
        else expect(find).toThrow(code('bad_event_id'));
      },
    ),
    { numRuns: 5000 },
  );
});
