/** What is made of a good request before it is sent: altered in one part of it, altered as bytes, or put into a shape that smuggles. */
import { concatBytes, utf8 } from '../../../tree/bytes.ts';
import { alter, below, type Material, pick, type Random, WORDS } from '../mutator.ts';
import type { HttpRequest } from './corpus.ts';

/** Bytes of text whose characters are below 256. */
export function latin1(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'latin1');
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function headOf({ method, target, version, headers }: HttpRequest): string {
  return `${method} ${target} ${version}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

export function written(request: HttpRequest): Uint8Array {
  return concatBytes(latin1(headOf(request)), request.body);
}

/** Pieces of HTTP, and of what this server reads in it. */
const PIECES = [
  ...[
    'GET ',
    'POST ',
    'HEAD ',
    ' HTTP/1.1\r\n',
    ' HTTP/1.0\r\n',
    ' HTTP/2.0\r\n',
    'Host: x\r\n',
    'Content-Length: 0\r\n',
    'Content-Length: 5\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Connection: close\r\n',
    'Connection: keep-alive\r\n',
    'Expect: 100-continue\r\n',
    'Upgrade: h2c\r\n',
  ],
  ...[
    'Authorization: Bearer x\r\n',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ' ',
    '\t',
    ': ',
    ':',
    '0\r\n\r\n',
    '5\r\nabcde\r\n',
    ';ext=1',
    'ffffffffffffffff',
  ],
  ...[
    '?',
    '&',
    '#',
    '//',
    '/../',
    '%2f',
    '%2e%2e',
    '%00',
    '%',
    'ack=signed',
    'id_pointer=',
    'from=',
    'limit=',
    'index=',
    '.p/',
    '/logs/main',
  ],
  ...[
    'Accept-Encoding: gzip\r\n',
    'Content-Encoding: gzip\r\n',
    'Content-Type: application/json\r\n',
    'Range: bytes=0-1\r\n',
    'If-None-Match: *\r\n',
  ],
];
const WIRE_WORDS = [...WORDS, ...PIECES.map(utf8)];

/** One header, with or instead of the others of its name. */
type Header = readonly [name: string, value: string];

function withHeader(request: HttpRequest, ...added: readonly Header[]): HttpRequest {
  return { ...request, headers: [...request.headers, ...added] };
}

function without(request: HttpRequest, name: string): HttpRequest {
  return { ...request, headers: request.headers.filter(([each]) => each.toLowerCase() !== name) };
}

function replaced(request: HttpRequest, name: string, value: string): HttpRequest {
  return withHeader(without(request, name.toLowerCase()), [name, value]);
}

/** The body in chunks, with whatever chunks may carry. */
export function chunked(request: HttpRequest, random: Random): Uint8Array {
  const head = withHeader(without(request, 'content-length'), [
    'Transfer-Encoding',
    random() < 0.9 ? 'chunked' : 'Chunked',
  ]);
  const parts = [latin1(headOf(head))];
  for (let at = 0; at < request.body.length; ) {
    const size = Math.min(request.body.length - at, 1 + below(random, 40));
    const zeros = random() < 0.1 ? '0'.repeat(below(random, 12)) : '';
    const extension = random() < 0.1 ? pick(random, [';a', ';a=b', ';a="b c"', ';a="b\\"c";d']) : '';
    const hex = random() < 0.5 ? size.toString(16) : size.toString(16).toUpperCase();
    parts.push(latin1(`${zeros}${hex}${extension}\r\n`), request.body.subarray(at, at + size), latin1('\r\n'));
    at += size;
  }
  parts.push(latin1(random() < 0.9 ? '0\r\n\r\n' : '0\r\nTrailer-Field: x\r\n\r\n'));
  return concatBytes(...parts);
}

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'PURGE',
  'get',
  'BREW',
  'M-SEARCH',
  'CONNECT',
];
const TYPES = [
  ...[
    'application/json',
    'application/x-ndjson',
    'application/x-protobuf',
    'application/json; charset=utf-16',
    'text/plain',
    '',
  ],
  ...[
    'multipart/form-data; boundary=x',
    'application/json;charset="utf-8"',
    'APPLICATION/JSON',
    'application/json, text/plain',
    '\xa0application/json',
  ],
];
const TOKENS = [
  ...[
    '',
    'Bearer',
    'Bearer ',
    'Basic YTpi',
    `Bearer ind_${'0'.repeat(16)}_${'0'.repeat(64)}`,
    `Bearer ${'x'.repeat(5000)}`,
  ],
  ...['Bearer ind_', 'bearer  x', 'Bearer \xff', `Bearer ind_${'f'.repeat(16)}_${'F'.repeat(64)}`],
];
const LENGTHS = [
  ...[
    '',
    '0',
    '-1',
    '+5',
    '5 5',
    '5, 5',
    '0x5',
    '5.0',
    '1e1',
    '00005',
    '99999999',
    '9007199254740993',
    '18446744073709551615',
  ],
  ...['18446744073709551616', '184467440737095516210', '\x0b5', '5;', '\xb2'],
];
const OTHERS: readonly Header[] = [
  ['Expect', '100-continue'],
  ['Expect', 'x-nothing'],
  ['Upgrade', 'h2c'],
  ['Upgrade', 'websocket'],
  ['Connection', 'upgrade'],
  ['Connection', 'close'],
  ['Connection', 'keep-alive, close, te'],
  ['Connection', 'Content-Length'],
  ['Keep-Alive', 'timeout=0'],
  ['Content-Encoding', 'gzip'],
  ['Content-Encoding', 'identity'],
  ['Content-Encoding', 'br, gzip'],
  ['Accept-Encoding', 'gzip;q=1, *;q=0'],
  ['TE', 'trailers'],
  ['Trailer', 'Content-Length'],
  ['Range', 'bytes=0-0'],
  ['If-None-Match', '*'],
  ['If-Modified-Since', 'Fri, 31 Dec 1999 23:59:59 GMT'],
  ['X-Forwarded-For', '1.2.3.4, ::1, x'],
  ['X-Forwarded-Proto', 'https'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Original-URL', '/admin/keys'],
  ['Accept', 'application/x-protobuf;q=0.5, application/json;q=0.6'],
  ['Accept', ','.repeat(2000)],
  ['Accept', `${'a/b;q="'.repeat(200)}`],
  ['Idempotency-Key', 'x'.repeat(257)],
  ['Idempotency-Key', 'two words'],
  ['Origin', 'https://evil.example'],
  ['Cookie', 'a=b'],
  ['Content-Type', 'application/json'],
  ['Authorization', 'Bearer x'],
  ['__proto__', 'x'],
  ['Host', 'other.example'],
  ['Content-Length', '0'],
  ['X-Long', 'x'.repeat(8000)],
  ['X-Too-Long', 'x'.repeat(20_000)],
];

/** A request in which one part is altered; `material` has bodies of others. */
export function mutated(request: HttpRequest, random: Random, material: Material): Uint8Array {
  switch (below(random, 18)) {
    case 0:
      return written({ ...request, method: pick(random, METHODS) });
    case 1:
    case 2:
      return written({ ...request, target: mutatedTarget(request.target, random) });
    case 3:
      return written(withHeader(request, pick(random, OTHERS)));
    case 4: {
      const [name, value] = pick(random, request.headers);
      return written(random() < 0.5 ? without(request, name.toLowerCase()) : withHeader(request, [name, value]));
    }
    case 5:
      return written(replaced(request, 'Authorization', pick(random, TOKENS)));
    case 6:
      return written(replaced(request, 'Content-Type', pick(random, TYPES)));
    case 7:
      return written(
        replaced(
          request,
          'Content-Length',
          random() < 0.5 ? pick(random, LENGTHS) : String(Math.max(0, request.body.length + below(random, 9) - 4)),
        ),
      );
    case 8:
    case 9:
    case 10:
      return withBody(request, alter(request.body, random, material), random);
    case 11:
      return withBody(request, hugeBody(random), random);
    case 12:
      return chunked(request, random);
    case 13:
      return alter(chunked(request, random), random, { words: WIRE_WORDS, others: material.others });
    case 14:
      return written({
        ...request,
        version: pick(random, [
          'HTTP/1.0',
          'HTTP/1.0',
          'HTTP/0.9',
          'HTTP/1.2',
          'HTTP/2.0',
          'http/1.1',
          'HTTP/11',
          'HTTP/1.1 ',
        ]),
      });
    case 15: {
      const [name, value] = pick(random, request.headers);
      const odd = pick(random, [
        ...[
          `${name} : ${value}`,
          `${name}:${value}`,
          `${name}:\t ${value} \t`,
          ` ${name}: ${value}`,
          `${name.toUpperCase()}: ${value}`,
        ],
        ...[
          `${name}: ${value}\r\n folded`,
          `${name}: ${value}\rx`,
          `${name}: ${value}\nX: y`,
          `${name}: ${value}\0`,
          `${name}\x00: x`,
          name,
          `: ${value}`,
        ],
      ]);
      const head = headOf(without(request, name.toLowerCase()));
      return concatBytes(latin1(`${head.slice(0, -2)}${odd}\r\n\r\n`), request.body);
    }
    default:
      return alter(written(request), random, { words: WIRE_WORDS, others: material.others });
  }
}

/** A body that another takes the place of, with its right length, or in chunks. */
function withBody(request: HttpRequest, body: Uint8Array, random: Random): Uint8Array {
  const other = { ...request, body };
  return random() < 0.15 ? chunked(other, random) : written(replaced(other, 'Content-Length', String(body.length)));
}

/** Deep, wide, long, and packed bodies. */
function hugeBody(random: Random): Uint8Array {
  const size = 2 ** (4 + below(random, 12));
  return pick<() => Uint8Array>(random, [
    () => utf8('['.repeat(size)),
    () => utf8(`{"a":${'['.repeat(size / 2)}${']'.repeat(size / 2)}}`),
    () => utf8('{"a":'.repeat(size / 4)),
    () => utf8(`{${Array.from({ length: size / 8 }, (_, i) => `"${i}":0`).join(',')}}`),
    () => utf8(`{"a":${'9'.repeat(size)}}`),
    () => utf8(`{"a":1e${'9'.repeat(10)}}`),
    () => utf8('\n'.repeat(size)),
    () => utf8('{}\n'.repeat(size / 2)),
    () => new Uint8Array(size),
    () => concatBytes(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3), new Uint8Array(size).fill(0xff)),
    () => new Uint8Array(size).fill(10),
    () => utf8(`{"a":"${'\\u0061'.repeat(size / 6)}"}`),
    () => utf8(`{"${'x'.repeat(size)}":1}`),
  ])();
}

function mutatedTarget(target: string, random: Random): string {
  const at = below(random, target.length + 1);
  switch (below(random, 9)) {
    case 0:
      return target.slice(0, at) + pick(random, PIECES).replaceAll(/[\r\n]/g, '') + target.slice(at);
    case 1:
      return target.replaceAll(/[0-9]+/g, () =>
        pick(random, ['0', '00', '-1', '256', '9007199254740992', '18446744073709551616', '1e3', '']),
      );
    case 2:
      return `http://other.example${target}`;
    case 3:
      return pick(random, [
        '*',
        '/',
        '//',
        '///',
        'x',
        '?',
        '/%',
        'http://',
        'http://[',
        '/logs',
        '/logs/',
        '/logs/main/',
        '/admin',
        `/${'x'.repeat(17_000)}`,
      ]);
    case 4:
      return `${target}${target.includes('?') ? '&' : '?'}${pick(random, ['x', 'x=1', 'from=1', 'limit=0', 'index=1', 'tree_size=1', 'ack=', '%zz=1', 'a=%ff', '&&'])}`;
    case 5:
      return target.slice(0, at);
    case 6:
      return encodeURIComponent(target);
    case 7:
      return target.replace(
        /\/logs\/[a-z]+/,
        pick(random, ['/logs/_system', '/logs/nowhere', '/logs/%6dain', '/logs/..', '/logs/main', '/logs/raw']),
      );
    default:
      return target.slice(0, at) + String.fromCharCode(below(random, 256)) + target.slice(at + 1);
  }
}

/** Where a body is taken, and the key for it. */
interface To {
  readonly path: string;
  readonly key: string;
}

/**
 * Shapes that make two readers see two different requests. `inner` is a whole request that is hidden behind or in another one.
 */
export const SMUGGLING: readonly ((inner: string, to: To) => string)[] = [
  // A body of one length by one header and of another by the other.
  ...[
    'Transfer-Encoding: chunked',
    'transfer-encoding:chunked',
    'Transfer-Encoding:\tchunked',
    'Transfer-Encoding: Chunked',
  ].flatMap((te) => [
    (inner: string, to: To) => post(to, `Content-Length: ${inner.length + 5}\r\n${te}\r\n`, `0\r\n\r\n${inner}`),
    (inner: string, to: To) =>
      post(to, `${te}\r\nContent-Length: 4\r\n`, `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`),
  ]),
  // Codings that one reader knows and another does not.
  ...[
    ...[
      'xchunked',
      'chunked, identity',
      'identity, chunked',
      'identity',
      'gzip, chunked',
      'chunked, chunked',
      '"chunked"',
      'chunked;q=1',
      'chunked\x0b',
    ],
    ...['\x0bchunked', ' chunked ,', ',chunked', 'chunked\x00', 'chunked\t', 'chu\x00nked', 'cow'],
  ].flatMap((coding) => [
    (inner: string, to: To) =>
      post(to, `Content-Length: ${inner.length + 5}\r\nTransfer-Encoding: ${coding}\r\n`, `0\r\n\r\n${inner}`),
    (inner: string, to: To) => post(to, `Transfer-Encoding: ${coding}\r\n`, `0\r\n\r\n${inner}`),
  ]),
  (inner, to) => post(to, 'Transfer-Encoding : chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding\r\n : chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, ' Transfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'X: y\rTransfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'X: y\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'X: y\0Transfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', `0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`),
  // Two lengths.
  (inner, to) => post(to, `Content-Length: 0\r\nContent-Length: ${inner.length}\r\n`, inner),
  (inner, to) => post(to, `Content-Length: ${inner.length}\r\nContent-Length: 0\r\n`, inner),
  (inner, to) => post(to, `Content-Length: 0, ${inner.length}\r\n`, inner),
  (inner, to) => post(to, `Content-Length : ${inner.length}\r\n`, inner),
  (inner, to) => post(to, `Content-Length: 0\r\n Content-Length: ${inner.length}\r\n`, inner),
  (inner, to) => post(to, `Content-Length: ${inner.length}\x0b\r\n`, inner),
  (inner, to) => post(to, `Content-Length: 1${inner.length}${'0'.repeat(20)}\r\n`, inner),
  (inner, to) => post(to, `content_length: ${inner.length}\r\n`, inner),
  // Chunks whose bounds are a matter of opinion.
  ...[
    ...[
      '5\n',
      '5\r',
      '5;\n',
      '5;a\nb\r\n',
      '5 ;a\r\n',
      '0x5\r\n',
      '+5\r\n',
      '-5\r\n',
      '5h\r\n',
      '5\x00\r\n',
      ' 5\r\n',
      '\r\n5\r\n',
      '5\r\r\n',
      '_5\r\n',
    ],
    ...[
      '00000000000000000000005\r\n',
      '10000000000000005\r\n',
      '100000005\r\n',
      'fffffffffffffffb\r\n',
      '5;a="\r\n"\r\n',
      '\xd9\xa5\r\n',
    ],
  ].map(
    (size) => (inner: string, to: To) =>
      post(to, 'Transfer-Encoding: chunked\r\n', `${size}abcde\r\n0\r\n\r\n${inner}`),
  ),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcdeXX0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde\n0\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde\r\n0\n\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde\r\n0\r\nContent-Length: 9\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde\r\n0\r\n X: folded\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `5\r\nabcde\r\n0\r\nX: y\nZ: z\r\n\r\n${inner}`),
  (inner, to) => post(to, 'Transfer-Encoding: chunked\r\n', `0\r\n\r\n0\r\n\r\n${inner}`),
  // Where a request line or a head ends.
  (inner) => `GET /healthz HTTP/1.1\nHost: x\n\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\n\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\rHost: x\r\r${inner}`,
  (inner) => `GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n${inner}`,
  (inner) => `GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n${inner}`,
  (inner) => `GET /healthz\tHTTP/1.1\r\nHost: x\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\nHOST: x\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n${inner}`,
  (inner) => `GET /healthz\r\n\r\n${inner}`,
  (inner) => `GET http://a/healthz HTTP/1.1\r\nHost: b\r\n\r\n${inner}`,
  (inner) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${inner}`,
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n${inner}`,
  (inner) =>
    `GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n${inner}`,
  (inner) => `CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n${inner}`,
  // A body where none is expected, and none where one is.
  (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
  (inner) => `HEAD /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
  (inner) => `HEAD /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
  (inner) => `HEAD /logs/main/events HTTP/1.1\r\nHost: x\r\n\r\n${inner}`,
  (inner) => `OPTIONS /logs/main/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n${inner}`,
  (inner, to) => post(to, `Expect: 100-continue\r\nContent-Length: ${inner.length}\r\n`, inner),
  (inner, to) => post(to, 'Expect: 100-continue\r\nContent-Length: 0\r\n', inner),
  // An older version.
  (inner, to) =>
    post(to, 'Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${inner}`).replace(
      'HTTP/1.1',
      'HTTP/1.0',
    ),
  (inner, to) => post(to, 'Connection: keep-alive\r\nContent-Length: 0\r\n', inner).replace('HTTP/1.1', 'HTTP/1.0'),
  (inner, to) => post(to, 'Content-Length: 0\r\n', inner).replace('HTTP/1.1', 'HTTP/1.0'),
];

function post({ path, key }: To, headers: string, rest: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${headers}\r\n${rest}`;
}
