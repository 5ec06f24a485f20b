/** What a body is said to be, and is not, or is too much of: types, charsets, codings, sizes. */
import { deflateRawSync, gzipSync } from 'node:zlib';
import { type BadCase, EVENTS, JSON_TYPE, postEvent, SMALL } from './case.ts';

const TYPES = [
  'text/plain',
  'text/json',
  'application/xml',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'application/cloudevents+json',
  'application/json-seq',
  'application/jsonx',
  'application/ndjson',
  'application/protobuf',
  'application/x-protobuf2',
  'application/vnd.google.protobuf',
  'application/json, text/plain',
  'application/json;charset=latin1',
  'application/json; charset=utf-16',
  'application/json; charset="iso-8859-1"',
  'application/x-ndjson; charset=us-ascii',
  'application/x-protobuf; charset=latin1',
  'application/json\u00a0',
  'json',
  '*/*',
  'application/*',
  ';',
  ' ',
];

const CODINGS = [
  'gzip',
  'GZIP',
  'x-gzip',
  'br',
  'zstd',
  'deflate',
  'compress',
  'gzip, identity',
  'identity, gzip',
  'aws-chunked',
  '*',
];

/** Paths of all that takes a body, with what it wants to be told. */
const TAKERS = [
  [EVENTS, 'application/json'],
  ['/logs/blobs/add', 'application/octet-stream'],
  ['/logs/blobs/add-batch', 'application/octet-stream'],
  ['/admin/logs', 'application/json'],
  ['/admin/keys', 'application/json'],
] as const;

const coded = (coding: string, path: string = EVENTS, type = 'application/json'): BadCase => ({
  name: `a body encoded as ${coding}, to ${path}`,
  ask: { method: 'POST', path, headers: { 'content-type': type, 'content-encoding': coding }, body: '{"a":1}' },
  status: 415,
  code: 'unsupported_encoding',
});

const event = (size: number): string => `{"a":"${'x'.repeat(size - 8)}"}`;
const typeless = (path: string): BadCase => ({
  name: `a body without a type, to ${path}`,
  ask: { method: 'POST', path, body: '{"a":1}' },
  status: 415,
  code: 'unsupported_media_type',
});

export const BODY_CASES: readonly BadCase[] = [
  ...TYPES.map(
    (type): BadCase => ({
      name: `a body of type ${JSON.stringify(type)}`,
      ask: { method: 'POST', path: EVENTS, headers: { 'content-type': type }, body: '{"a":1}' },
      status: 415,
      code: 'unsupported_media_type',
    }),
  ),
  ...[EVENTS, '/admin/logs', '/admin/keys'].map(typeless),
  ...CODINGS.map((coding) => coded(coding)),
  ...TAKERS.slice(1).map(([path, type]) => coded('gzip', path, type)),
  {
    name: 'a body of 100 MB in 97 KB',
    ask: postEvent(() => gzipSync(Buffer.alloc(100_000_000, 0x20)), {
      headers: { ...JSON_TYPE, 'content-encoding': 'gzip' },
    }),
    status: 415,
    code: 'unsupported_encoding',
  },
  {
    name: 'a gzip body that nothing says is one',
    ask: postEvent(() => gzipSync('{"a":1}')),
    status: 400,
    code: 'invalid_utf8',
  },
  {
    name: 'a deflate body that nothing says is one',
    ask: postEvent(() => deflateRawSync('{"a":1}')),
    status: 400,
    code: 'invalid_utf8',
  },
  {
    name: 'protobuf under the name of JSON',
    ask: postEvent(Uint8Array.of(0x0a, 2, 0x7b, 0x7d)),
    status: 400,
    code: 'malformed_json',
  },
  {
    name: 'NDJSON under the name of JSON',
    ask: postEvent('{}\n{}\n'),
    status: 400,
    code: 'malformed_json',
  },
  {
    name: 'an event of one byte over the limit',
    ask: postEvent(event(SMALL.maxEventSize + 1)),
    status: 413,
    code: 'event_too_large',
    at: 'small',
  },
  {
    name: 'an event of one byte over 1 MiB',
    ask: postEvent(() => event(1_048_577)),
    status: 413,
    code: 'event_too_large',
  },
  {
    name: 'a body of one byte over the limit',
    ask: postEvent('{"a":1}'.padEnd(SMALL.maxBodySize + 1)),
    status: 413,
    code: 'body_too_large',
    at: 'small',
  },
  {
    name: 'a body of a hundred times the limit',
    ask: postEvent(() => '{"a":1}'.padEnd(100 * SMALL.maxBodySize)),
    status: 413,
    code: 'body_too_large',
    at: 'small',
  },
  {
    name: 'a body of 24 MiB',
    ask: postEvent(() => '{"a":1}'.padEnd(24 * 1_048_576)),
    status: 413,
    code: 'body_too_large',
  },
];
