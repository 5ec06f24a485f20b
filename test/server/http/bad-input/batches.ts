/** What is no batch: NDJSON, protobuf, and the framed entries of raw logs. All or nothing: one bad event keeps the others out. */
import { encodeBundle } from '../../../../tree/bundles.ts';
import { concatBytes, fromHex, utf8 } from '../../../../tree/bytes.ts';
import { type Asked, type BadCase, EVENTS, mixed, SMALL, type Target } from './case.ts';

type Row = readonly [name: string, status: number, code: string, body: NonNullable<Asked['body']>, at?: Target];

/** An AppendRequest with these events, each shorter than 128 bytes. */
function appendRequest(...events: readonly (string | Uint8Array)[]): Uint8Array {
  return concatBytes(
    ...events.map((event) => {
      const bytes = typeof event === 'string' ? utf8(event) : event;
      return concatBytes(Uint8Array.of(0x0a, bytes.length), bytes);
    }),
  );
}

const tooLarge = `{"a":"${'x'.repeat(SMALL.maxEventSize)}"}`;

const NDJSON: readonly Row[] = [
  ['nothing', 400, 'empty_batch', ''],
  ['a line end', 400, 'empty_batch', '\n'],
  ['blank lines', 400, 'empty_batch', '\n \r\n\t\n'],
  ['one event over two lines', 400, 'malformed_json', '{"a":\n1}'],
  ['lines ended by CR', 400, 'malformed_json', '{"a":1}\r{"b":1}'],
  ['lines ended by U+2028', 400, 'malformed_json', '{"a":1}\u2028{"b":1}'],
  ['lines ended by NEL', 400, 'malformed_json', '{"a":1}\u0085{"b":1}'],
  ['lines ended by a form feed', 400, 'malformed_json', '{"a":1}\f{"b":1}'],
  ['a JSON sequence', 400, 'malformed_json', '\u001e{"a":1}\n'],
  ['an array of events', 400, 'not_an_object', '[{"a":1},{"b":1}]'],
  ['a comma between lines', 400, 'malformed_json', '{"a":1},\n{"b":1}'],
  ['two events on a line', 400, 'malformed_json', '{"a":1} {"b":1}\n'],
  ['a bad line first', 400, 'malformed_json', '{\n{}\n{}'],
  ['a bad line last', 400, 'malformed_json', () => `${'{}\n'.repeat(9999)}{`],
  ['a byte order mark first', 400, 'bom', '\ufeff{}\n{}'],
  ['a byte order mark on the second line', 400, 'bom', '{}\n\ufeff{}'],
  ['an array among events', 400, 'not_an_object', '{}\n[]\n{}'],
  ['null among events', 400, 'not_an_object', '{}\nnull\n'],
  ['a name twice', 400, 'duplicate_key', '{}\n{"a":1,"a":2}\n'],
  ['$sealed', 400, 'reserved_member', '{}\n{"$sealed":1}\n'],
  ['half a pair', 400, 'lone_surrogate', '{}\n{"a":"\\ud800"}\n'],
  ['2^53', 400, 'integer_out_of_range', '{}\n{"a":9007199254740992}\n'],
  ['1e309', 400, 'number_out_of_range', '{}\n{"a":1e309}\n'],
  ['33 levels', 400, 'too_deep', `{}\n${'{"a":'.repeat(33)}1${'}'.repeat(33)}\n`],
  ['a character over two lines', 400, 'invalid_utf8', mixed('{"a":"', [0xe2, 0x0a, 0x82, 0xac], '"}')],
  ['a NUL line', 400, 'malformed_json', '{}\n\0\n'],
  ['10,001 events', 413, 'too_many_events', () => '{}\n'.repeat(10_001)],
  ['10,001 lines, none of them an event', 413, 'too_many_events', () => 'x\n'.repeat(10_001)],
  ['an event too large', 413, 'event_too_large', `{}\n${tooLarge}\n`, 'small'],
  ['one more than the limit', 413, 'too_many_events', '{}\n'.repeat(SMALL.maxEvents + 1), 'small'],
  ['a body too large', 413, 'body_too_large', '\n'.repeat(SMALL.maxBodySize + 1), 'small'],
];

const PROTOBUF: readonly Row[] = [
  ['nothing', 400, 'empty_batch', new Uint8Array()],
  ['JSON', 400, 'malformed_protobuf', '{"a":1}'],
  ['an unknown field', 400, 'malformed_protobuf', concatBytes(appendRequest('{}'), fromHex('120178'))],
  ['field 0', 400, 'malformed_protobuf', fromHex('020178')],
  ['a varint in the place of an event', 400, 'malformed_protobuf', fromHex('0801')],
  ['64 bits in the place of an event', 400, 'malformed_protobuf', fromHex('090000000000000000')],
  ['32 bits in the place of an event', 400, 'malformed_protobuf', fromHex('0d00000000')],
  ['a wire type that is none', 400, 'malformed_protobuf', fromHex('0e')],
  ['groups', 400, 'malformed_protobuf', () => fromHex('0b'.repeat(5000))],
  ['the end of a group', 400, 'malformed_protobuf', fromHex('0c')],
  ['an event cut off', 400, 'malformed_protobuf', appendRequest('{"a":1}').subarray(0, -1)],
  ['a tag without a length', 400, 'malformed_protobuf', fromHex('0a')],
  ['a length that ends within', 400, 'malformed_protobuf', fromHex('0a80')],
  ['a length of more than 32 bits', 400, 'malformed_protobuf', fromHex('0a8080808010')],
  ['a length that never ends', 400, 'malformed_protobuf', fromHex(`0a${'ff'.repeat(100)}`)],
  ['a length of 4 GiB', 400, 'malformed_protobuf', fromHex('0affffffff0f7b7d')],
  ['an event behind good ones cut off', 400, 'malformed_protobuf', concatBytes(appendRequest('{}'), fromHex('0a05'))],
  ['an empty event', 400, 'empty_event', appendRequest('')],
  ['an event of white space', 400, 'empty_event', appendRequest(' \n')],
  ['an array', 400, 'not_an_object', appendRequest('[]')],
  ['half an event', 400, 'malformed_json', appendRequest('{}', '{')],
  ['two events in one', 400, 'malformed_json', appendRequest('{}\n{}')],
  ['invalid UTF-8', 400, 'invalid_utf8', appendRequest(Uint8Array.of(0x7b, 0xff, 0x7d))],
  ['a byte order mark', 400, 'bom', appendRequest('\ufeff{}')],
  ['a duplicate key', 400, 'duplicate_key', appendRequest('{"a":1,"a":1}')],
  ['$sealed', 400, 'reserved_member', appendRequest('{"$sealed":1}')],
  ['10,001 events', 413, 'too_many_events', () => appendRequest(...Array<string>(10_001).fill('{}'))],
  ['too many, of which none is good', 413, 'too_many_events', () => appendRequest(...Array<string>(10_001).fill(''))],
  ['one more than the limit', 413, 'too_many_events', appendRequest(...Array<string>(6).fill('{}')), 'small'],
  ['an event too large', 413, 'event_too_large', appendRequest('{}', tooLarge), 'small'],
  ['a body too large', 413, 'body_too_large', new Uint8Array(SMALL.maxBodySize + 1), 'small'],
];

const reserved = (first: number): Uint8Array => new Uint8Array(41).fill(first);

const RAW_ENTRY: readonly Row[] = [
  ['65,536 bytes', 413, 'body_too_large', () => new Uint8Array(65_536)],
  ...[0x00, 0x01, 0x11, 0x1f].map((first): Row => {
    return [`41 bytes that begin with ${first}`, 400, 'reserved_leaf_form', reserved(first)];
  }),
];

const RAW_BATCH: readonly Row[] = [
  ['nothing', 400, 'bad_framing', new Uint8Array()],
  ['half a length', 400, 'bad_framing', Uint8Array.of(0)],
  ['a length and no entry', 400, 'bad_framing', Uint8Array.of(0, 1)],
  ['an entry that is cut off', 400, 'bad_framing', Uint8Array.of(0, 1, 65, 0, 5, 66)],
  ['a byte behind the last entry', 400, 'bad_framing', Uint8Array.of(0, 1, 65, 0)],
  ['the largest length, and nothing', 400, 'bad_framing', Uint8Array.of(0xff, 0xff)],
  ['a length in little endian', 400, 'bad_framing', Uint8Array.of(1, 0, 65)],
  ['JSON', 400, 'bad_framing', '{"a":1}'],
  ['10,001 entries', 413, 'too_many_entries', () => new Uint8Array(2 * 10_001)],
  ['what nobody reads behind one entry too many', 413, 'too_many_entries', () => new Uint8Array(2 * 10_001 + 1)],
  ['one more than the limit', 413, 'too_many_entries', new Uint8Array(2 * 6), 'small'],
  ['a body too large', 413, 'body_too_large', new Uint8Array(SMALL.maxBodySize + 1), 'small'],
  ['a reserved form', 400, 'reserved_leaf_form', encodeBundle([reserved(1)])],
  ['a reserved form among others', 400, 'reserved_leaf_form', encodeBundle([utf8('good'), reserved(1), utf8('x')])],
];

function casesOf(what: string, rows: readonly Row[], path: string, type: string): BadCase[] {
  return rows.map(([name, status, code, body, at]) => ({
    name: `${what}: ${name}`,
    ask: { method: 'POST', path, headers: { 'content-type': type }, body },
    status,
    code,
    ...(at === undefined ? {} : { at }),
  }));
}

export const BATCH_CASES: readonly BadCase[] = [
  ...casesOf('a batch of NDJSON', NDJSON, EVENTS, 'application/x-ndjson'),
  ...casesOf('a batch in protobuf', PROTOBUF, EVENTS, 'application/x-protobuf'),
  ...casesOf('a raw entry', RAW_ENTRY, '/logs/blobs/add', 'application/octet-stream'),
  ...casesOf('a batch of raw entries', RAW_BATCH, '/logs/blobs/add-batch', 'application/octet-stream'),
];
