/** Parameters of queries and numbers in paths: missing, given twice, unknown, in another spelling than the one, out of range. */
import { toBase64 } from '../../../../tree/bytes.ts';
import { type BadCase, badParameter, EVENTS, get, postEvent } from './case.ts';

/** No number in plain decimal from 0 to 2^53 - 1, as a path has it. */
const NUMBERS = [
  '',
  '01',
  '00',
  '+1',
  '%2B1',
  '-1',
  '-0',
  '1e1',
  '1.0',
  '1.',
  '.5',
  '0x1',
  '0b1',
  '1_0',
  '1n',
  '1,2',
  '%201',
  '1%20',
  '1+',
  '1%00',
  '1%0a',
  '%31%EF%BB%BF',
  'NaN',
  'Infinity',
  'null',
  'abc',
  '%D9%A1',
  '%EF%BC%91',
  '%C2%B2',
  '9007199254740992',
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '1'.repeat(1000),
];

/** Every parameter that is a number, as the end of a path. */
const NUMERIC = [
  `${EVENTS}?from=`,
  `${EVENTS}?limit=`,
  '/logs/main/tree-heads?from=',
  '/logs/main/tree-heads?limit=',
  '/logs/main/proofs/inclusion?index=',
  '/logs/main/proofs/inclusion?index=0&tree_size=',
  '/logs/main/proofs/consistency?second=1&first=',
  '/logs/main/proofs/consistency?first=0&second=',
  '/logs/main/ct/v1/get-sth-consistency?second=1&first=',
  '/logs/main/ct/v1/get-sth-consistency?first=0&second=',
  '/logs/main/ct/v1/get-entries?end=0&start=',
  '/logs/main/ct/v1/get-entries?start=0&end=',
  '/logs/main/ct/v1/get-entry-and-proof?tree_size=1&leaf_index=',
  '/logs/main/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=',
  // In a path nothing is decoded.
  `${EVENTS}/`,
];

const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 8)}… (${text.length})` : text);

const numbers: readonly BadCase[] = NUMERIC.flatMap((path) =>
  NUMBERS.map((text) => badParameter(`${path}${text}`, `the number in ${path}${short(text)}`)),
);

const HASH = toBase64(new Uint8Array(32));
const encoded = (size: number): string => encodeURIComponent(toBase64(new Uint8Array(size)));

const OTHERS = [
  `${EVENTS}?limit=0`,
  '/logs/main/tree-heads?limit=0',
  '/logs/main/proofs/inclusion',
  '/logs/main/proofs/inclusion?tree_size=1',
  '/logs/main/proofs/inclusion?index',
  '/logs/main/proofs/inclusion?index=1',
  '/logs/main/proofs/inclusion?index=9007199254740991',
  '/logs/main/proofs/inclusion?index=0&tree_size=0',
  '/logs/main/proofs/consistency',
  '/logs/main/proofs/consistency?first=0',
  '/logs/main/proofs/consistency?second=1',
  '/logs/main/proofs/consistency?first=1&second=0',
  `${EVENTS}/%30`,
  `${EVENTS}/0%00`,
  `${EVENTS}/0.json`,
  `${EVENTS}/latest`,
  '/logs/main/proofs/x.tlog-proof',
  '/logs/main/proofs/00.tlog-proof',
  '/logs/main/proofs/-1.tlog-proof',
  '/logs/main/proofs/.tlog-proof',
  // Given twice.
  `${EVENTS}?from=0&from=0`,
  `${EVENTS}?from=0&%66rom=1`,
  `${EVENTS}?limit=1&from=0&limit=2`,
  '/logs/main/proofs/inclusion?index=0&index=0',
  '/logs/main/proofs/consistency?first=0&second=1&second=1',
  // Leaf hashes.
  ...[
    '',
    'abc',
    '0'.repeat(63),
    '0'.repeat(65),
    'g'.repeat(64),
    encoded(31),
    encoded(33),
    HASH.replace('=', ''),
    `${HASH}=`,
    HASH.replace('A', '_'),
    HASH.replace('A', '-'),
    HASH.replace('A=', 'B='),
    `%00${HASH}`,
    '%ff',
    `${'0'.repeat(64)}&index=0`,
    `${'0'.repeat(64)}&leaf_hash=${'0'.repeat(64)}`,
    `${'0'.repeat(64)}&tree_size=-1`,
  ].map((text) => `/logs/main/proofs/inclusion?leaf_hash=${text}`),
  // The verbs of RFC 6962.
  '/logs/main/ct/v1/get-sth-consistency',
  '/logs/main/ct/v1/get-sth-consistency?first=0',
  '/logs/main/ct/v1/get-sth-consistency?second=1',
  '/logs/main/ct/v1/get-sth-consistency?first=1&second=0',
  '/logs/main/ct/v1/get-sth-consistency?first=0&second=2',
  '/logs/main/ct/v1/get-sth-consistency?first=0&first=0&second=1',
  '/logs/main/ct/v1/get-sth-consistency?first=0&second=1&%zz',
  '/logs/main/ct/v1/get-entries',
  '/logs/main/ct/v1/get-entries?start=0',
  '/logs/main/ct/v1/get-entries?end=0',
  '/logs/main/ct/v1/get-entries?start=1&end=0',
  '/logs/main/ct/v1/get-entries?start=1&end=1',
  '/logs/main/ct/v1/get-entries?start=0&end=0&end=0',
  '/logs/main/ct/v1/get-entry-and-proof',
  '/logs/main/ct/v1/get-entry-and-proof?leaf_index=0',
  '/logs/main/ct/v1/get-entry-and-proof?tree_size=1',
  '/logs/main/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=0',
  '/logs/main/ct/v1/get-entry-and-proof?leaf_index=1&tree_size=1',
  '/logs/main/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=2',
  '/logs/main/ct/v1/get-proof-by-hash',
  `/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(32)}`,
  '/logs/main/ct/v1/get-proof-by-hash?tree_size=1',
  '/logs/main/ct/v1/get-proof-by-hash?hash=&tree_size=1',
  `/logs/main/ct/v1/get-proof-by-hash?hash=${'0'.repeat(64)}&tree_size=1`,
  `/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(31)}&tree_size=1`,
  `/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(32)}&tree_size=0`,
  `/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(32)}&tree_size=01`,
];

/** What takes no parameter but its own. */
const STRICT = [
  '/logs/main',
  '/logs/main/tree-head',
  '/logs/main/tree-heads',
  '/logs/main/proofs/inclusion?index=0',
  '/logs/main/proofs/consistency?first=0&second=1',
  EVENTS,
  `${EVENTS}/0`,
  '/admin/logs',
  '/admin/keys',
];
const UNKNOWN = ['x=1', 'x', '=1', '%66=1&', 'From=0', '__proto__=1', 'from%00=0', '%zz=1', 'from=%zz', '%ff=1', '%'];

const OF_APPEND = [
  'ack=',
  'ack=Signed',
  'ack=witnessed',
  'ack=durable&ack=durable',
  'ack=signed,durable',
  'ack=%00',
  'acknowledge=signed',
  'id_pointer=/a&id_pointer=/a',
  'id_pointer=%ff',
  'id_pointer=/%ed%a0%80',
  'id_pointer=/%zz',
  'id_pointer=/%c0%af',
  'from=0',
];

const OF_CHANGES: readonly BadCase[] = [
  ['POST', '/logs/blobs/add?x=1'],
  ['POST', '/logs/blobs/add?ack=durable'],
  ['POST', '/logs/blobs/add-batch?x'],
  ['POST', '/admin/logs?x=1'],
  ['PATCH', '/admin/logs/main?x=1'],
  ['POST', '/admin/logs/main/freeze?now=1'],
  ['POST', '/admin/logs/main/rotation?now=1'],
  ['DELETE', '/admin/logs/main/rotation?now=1'],
  ['DELETE', '/admin/logs/main?force=true'],
  ['POST', '/admin/keys?scope=admin'],
  ['DELETE', '/admin/keys/0000000000000000?x'],
  ['POST', '/admin/clock?x'],
].map(([method = '', path = '']) => ({
  name: `${method} ${path}`,
  ask: {
    method,
    path,
    ...(method === 'DELETE' ? {} : { headers: { 'content-type': 'application/json' }, body: '{}' }),
  },
  status: 400,
  code: 'bad_parameter',
}));

/** Well-formed, and nothing is there. */
const ABSENT: readonly BadCase[] = [
  [`${EVENTS}/1`, 'no_such_entry'],
  [`${EVENTS}/9007199254740991`, 'no_such_entry'],
  ['/logs/main/proofs/1.tlog-proof', 'no_such_entry'],
  ['/logs/main/proofs/inclusion?index=0&tree_size=2', 'tree_size_not_signed'],
  ['/logs/main/proofs/inclusion?index=0&tree_size=9007199254740991', 'tree_size_not_signed'],
  ['/logs/main/proofs/consistency?first=0&second=2', 'tree_size_not_signed'],
  ['/logs/main/proofs/consistency?first=2&second=3', 'tree_size_not_signed'],
  [`/logs/main/proofs/inclusion?leaf_hash=${'0'.repeat(64)}&tree_size=2`, 'tree_size_not_signed'],
  [`/logs/main/proofs/inclusion?leaf_hash=${'0'.repeat(64)}`, 'no_such_entry'],
  [`/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(32)}&tree_size=1`, 'no_such_entry'],
  [`/logs/main/ct/v1/get-proof-by-hash?hash=${encoded(32)}&tree_size=2`, 'tree_size_not_signed'],
].map(([path = '', code = '']) => ({ name: `absent: ${path}`, ask: get(path), status: 404, code }));

export const PARAMETER_CASES: readonly BadCase[] = [
  ...numbers,
  ...OTHERS.map((path) => badParameter(path)),
  ...STRICT.flatMap((path) => UNKNOWN.map((extra) => badParameter(`${path}${path.includes('?') ? '&' : '?'}${extra}`))),
  ...OF_APPEND.map(
    (query): BadCase => ({
      name: `an append with ${query}`,
      ask: postEvent('{"a":1}', { path: `${EVENTS}?${query}` }),
      status: 400,
      code: 'bad_parameter',
    }),
  ),
  ...OF_CHANGES,
  ...ABSENT,
];
