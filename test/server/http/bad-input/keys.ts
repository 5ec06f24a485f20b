/** API keys that are none, keys and ids of exactly-once appends that are none, and ids that belong to another event. */
import { ADMIN_KEY } from '../../../support/test-server.ts';
import { type BadCase, EVENTS, get, JSON_TYPE, postEvent } from './case.ts';

const K = ADMIN_KEY;

/** Values of Authorization that prove nothing. */
const AUTHORIZATIONS: readonly (readonly [name: string, value: string | string[]])[] = [
  ['no scheme', K],
  ['no space', `Bearer${K}`],
  ['two spaces', `Bearer  ${K}`],
  ['a tab', `Bearer\t${K}`],
  ['Basic', `Basic ${Buffer.from(`${K}:`).toString('base64')}`],
  ['Basic, the key as password', `Basic ${Buffer.from(`admin:${K}`).toString('base64')}`],
  ['Digest', `Digest username="${K}"`],
  ['another scheme', `Token ${K}`],
  ['quoted', `Bearer "${K}"`],
  ['capitals', `Bearer ${K.toUpperCase()}`],
  ['something behind it', `Bearer ${K}0`],
  ['a space and something behind it', `Bearer ${K} x`],
  ['a comma behind it', `Bearer ${K},`],
  ['another one behind it', `Bearer ${K}, Bearer ${K}`],
  ['cut short', `Bearer ${K.slice(0, -1)}`],
  ['the last digit wrong', `Bearer ${K.slice(0, -1)}1`],
  ['the first digit of the secret wrong', `Bearer ${K.slice(0, 21)}1${K.slice(22)}`],
  ['another id', `Bearer ${K.slice(0, 4)}b${K.slice(5)}`],
  ['an id with capitals', `Bearer ind_${'A'.repeat(16)}${K.slice(20)}`],
  ['only its id', `Bearer ${K.slice(0, 20)}`],
  ['only its secret', `Bearer ${K.slice(21)}`],
  ['its secret percent-encoded', `Bearer ${K.slice(0, 21)}%30${K.slice(22)}`],
  ['a hyphen for an underscore', `Bearer ${K.replace('_', '-')}`],
  ['another prefix', `Bearer abc${K.slice(3)}`],
  ['nothing', 'Bearer '],
  ['only the scheme', 'Bearer'],
  ['an empty header', ''],
  ['null', 'Bearer null'],
  ['undefined', 'Bearer undefined'],
  ['an asterisk', 'Bearer *'],
  ['a JSON web token', 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.'],
  ['a quote of SQL', `Bearer ' OR 1=1 --`],
  ['very long', `Bearer ${K}${'0'.repeat(8000)}`],
];

/** Where no key is looked for. */
const ELSEWHERE: readonly (readonly [name: string, path: string, headers: Record<string, string>])[] = [
  ['in the parameter access_token', `/logs/closed/tree-head?access_token=${K}`, {}],
  ['in the parameter key', `/logs/closed/tree-head?key=${K}`, {}],
  ['in the parameter authorization', `/logs/closed/tree-head?authorization=Bearer%20${K}`, {}],
  ['in a cookie', '/logs/closed/tree-head', { cookie: `key=${K}; session=${K}` }],
  ['in X-API-Key', '/logs/closed/tree-head', { 'x-api-key': K }],
  ['in Proxy-Authorization', '/logs/closed/tree-head', { 'proxy-authorization': `Bearer ${K}` }],
  ['in X-Authorization', '/logs/closed/tree-head', { 'x-authorization': `Bearer ${K}` }],
  ['as the user of a proxy', '/logs/closed/tree-head', { 'x-forwarded-user': 'admin', 'x-remote-user': 'admin' }],
  ['by an address', '/logs/closed/tree-head', { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1' }],
  ['by a client certificate of a proxy', '/logs/closed/tree-head', { 'x-ssl-client-verify': 'SUCCESS' }],
];

const unauthorized = (name: string, path: string, headers: BadCase['ask']['headers']): BadCase => ({
  name,
  ask: get(path, { key: null, ...(headers === undefined ? {} : { headers }) }),
  status: 401,
  code: 'unauthorized',
});

const IDEMPOTENCY_KEYS: readonly (readonly [name: string, value: string | string[]])[] = [
  ['empty', ''],
  ['a space in it', 'a b'],
  ['a tab in it', 'a\tb'],
  ['257 characters', 'k'.repeat(257)],
  ['8,000 characters', 'k'.repeat(8000)],
  ['not ASCII', 'schl\u00fcssel'],
  ['twice', ['a', 'b']],
  ['twice the same', ['a', 'a']],
];

const once = (name: string, value: string | string[], path: string): BadCase => ({
  name: `an idempotency key that is none: ${name}, to ${path}`,
  ask: postEvent('{}', { path, headers: { ...JSON_TYPE, 'idempotency-key': value } }),
  status: 400,
  code: 'bad_idempotency_key',
});

const IDS = [
  'null',
  'true',
  'false',
  '{}',
  '[]',
  '[1]',
  '1.5',
  '1e16',
  '-1e300',
  '0.1',
  '1e-1',
  `"${'x'.repeat(257)}"`,
  `"${'é'.repeat(129)}"`,
];

const POINTERS: readonly (readonly [name: string, text: string])[] = [
  ['without a slash', 'id'],
  ['a fragment', '#/id'],
  ['a lone tilde', '/a~'],
  ['a bad escape', '/a~2'],
  ['257 bytes', `/${'x'.repeat(256)}`],
  ['257 bytes of UTF-8', `/${'é'.repeat(128)}`],
  ['4,000 bytes', `/${'x'.repeat(3999)}`],
  ['control characters that no header holds', `/${'\u0001'.repeat(255)}`],
  ['a JSON path', '$.id'],
  ['a space first', ' /id'],
];

const pointed = (text: string): string => `${EVENTS}?id_pointer=${encodeURIComponent(text)}`;

/** `pointed` has the id pointer /id and holds {"id":1}; `blobs` and `main` hold what was sent under the idempotency key `used`. */
const IDENTITIES: readonly BadCase[] = [
  ...IDS.map(
    (id): BadCase => ({
      name: `an id that is none: ${id.slice(0, 20)}`,
      ask: postEvent(`{"id":${id}}`, { path: '/logs/pointed/events' }),
      status: 422,
      code: 'bad_event_id',
    }),
  ),
  ...POINTERS.map(
    ([name, text]): BadCase => ({
      name: `a pointer that is none: ${name}`,
      ask: postEvent('{"id":1}', { path: pointed(text) }),
      status: 400,
      code: 'bad_pointer',
    }),
  ),
  {
    name: 'the whole event as an id',
    ask: postEvent('{"id":1}', { path: pointed('') }),
    status: 422,
    code: 'bad_event_id',
  },
  {
    name: 'an id in a batch that is none',
    ask: postEvent('{"id":2}\n{"id":[]}\n', {
      path: '/logs/pointed/events',
      headers: { 'content-type': 'application/x-ndjson' },
    }),
    status: 422,
    code: 'bad_event_id',
  },
  {
    name: 'the id of another event',
    ask: postEvent('{"id":1,"x":1}', { path: '/logs/pointed/events' }),
    status: 409,
    code: 'id_conflict',
  },
  {
    name: 'the id of another event, in another spelling',
    ask: postEvent('{"id":1.0}', { path: '/logs/pointed/events' }),
    status: 409,
    code: 'id_conflict',
  },
  {
    name: 'one id for two events of a batch',
    ask: postEvent('{"id":7}\n{"id":7,"x":1}\n', {
      path: '/logs/pointed/events',
      headers: { 'content-type': 'application/x-ndjson' },
    }),
    status: 409,
    code: 'id_conflict',
  },
  {
    name: 'an idempotency key that was used for another event',
    ask: postEvent('{"other":1}', { headers: { ...JSON_TYPE, 'idempotency-key': 'used' } }),
    status: 409,
    code: 'id_conflict',
  },
  {
    name: 'an idempotency key that was used for another entry',
    ask: postEvent('other', { path: '/logs/blobs/add', headers: { 'idempotency-key': 'used' } }),
    status: 409,
    code: 'id_conflict',
  },
  {
    name: 'an idempotency key and a pointer',
    ask: postEvent('{"id":1}', { path: `${EVENTS}?id_pointer=/id`, headers: { ...JSON_TYPE, 'idempotency-key': 'k' } }),
    status: 400,
    code: 'bad_parameter',
  },
  {
    name: 'an idempotency key for a log that has a pointer',
    ask: postEvent('{"id":1}', { path: '/logs/pointed/events', headers: { ...JSON_TYPE, 'idempotency-key': 'k' } }),
    status: 400,
    code: 'bad_parameter',
  },
];

export const KEY_CASES: readonly BadCase[] = [
  ...AUTHORIZATIONS.flatMap(([name, authorization]) => [
    unauthorized(`a key that is none: ${name}, on a hot route`, '/logs/closed/checkpoint', { authorization }),
    unauthorized(`a key that is none: ${name}, on a cold route`, '/admin/keys', { authorization }),
  ]),
  ...ELSEWHERE.map(([name, path, headers]) => unauthorized(`a key ${name}`, path, headers)),
  unauthorized('no key', '/logs/closed/checkpoint', undefined),
  unauthorized('a key for nothing that is open', '/logs/main/checkpoint', { authorization: 'Bearer x' }),
  ...IDEMPOTENCY_KEYS.flatMap(([name, value]) =>
    [EVENTS, '/logs/blobs/add', '/logs/blobs/add-batch'].map((path) => once(name, value, path)),
  ),
  ...IDENTITIES,
];
