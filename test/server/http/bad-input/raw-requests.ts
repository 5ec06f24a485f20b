/**
 * Bytes on a socket that are no request, or that two readers could take for two different ones (RFC 9112 §11.2): nothing that is
 * ambiguous is answered as if it were clear, and what stands behind a request is never taken for another.
 */
import { AUTHORIZED, EVENTS, type RawCase } from './case.ts';

const HOST = 'Host: x\r\n';
const CLOSE = 'Connection: close\r\n';
const CHUNKS = '7\r\n{"a":1}\r\n0\r\n\r\n';

const post = (headers: string, body: string): string =>
  `POST ${EVENTS} HTTP/1.1\r\n${HOST}${AUTHORIZED}Content-Type: application/json\r\n${headers}\r\n${body}`;
const health = (headers: string, line = 'GET /healthz HTTP/1.1'): string => `${line}\r\n${HOST}${headers}\r\n`;
const raw = (name: string, bytes: string, answers: readonly number[] = [400], code?: string): RawCase => ({
  name,
  bytes,
  answers,
  ...(code === undefined ? {} : { code }),
});

/** A text with its control characters written out. */
const shown = (text: string): string =>
  text.replaceAll(/[^\x21-\x7e]/g, (c) => (c === ' ' ? '␣' : `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`));

const LENGTHS = [
  '',
  '+7',
  '-7',
  '-0',
  '0x7',
  '0b111',
  '7.0',
  '7e0',
  '7,',
  ',7',
  '7, 7',
  '7,7',
  '7, 8',
  '7;',
  '7 7',
  '7\x00',
  '7\x0b',
  '\x0b7',
  '"7"',
  '1_0',
  'seven',
  '\xd9\xa7',
  '18446744073709551623',
  '9'.repeat(40),
].map((value) => raw(`Content-Length: ${shown(value)}`, post(`Content-Length: ${value}\r\n`, '{"a":1}')));

const CODINGS = [
  'identity',
  'gzip',
  'xchunked',
  'chunk',
  'chunkedd',
  'chunked, gzip',
  'gzip, chunked',
  'chunked, chunked',
  'chunked, identity',
  'identity, chunked',
  'chunked,',
  ',chunked',
  'chunked;q=1',
  'chunked; x=y',
  '"chunked"',
  '\x0bchunked',
  'chunked\x0b',
  '\x00chunked',
  'chunked\x00',
  'chun\x00ked',
  '\xa0chunked',
  'cow',
  'trailers',
].map((value) => raw(`Transfer-Encoding: ${shown(value)}`, post(`Transfer-Encoding: ${value}\r\n`, CHUNKS)));

const LENGTH = 'Content-Length: 7\r\n';
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const OLD_LLHTTP = /^9\.[0-3]\./.test(process.versions['llhttp'] as string);

/** Where two readers could part ways over where the body ends. */
const FRAMINGS = [
  raw('Content-Length and Transfer-Encoding', post(`${LENGTH}${CHUNKED}`, CHUNKS)),
  raw('Transfer-Encoding and Content-Length', post(`${CHUNKED}${LENGTH}`, CHUNKS)),
  raw('Content-Length: 0 and Transfer-Encoding', post(`Content-Length: 0\r\n${CHUNKED}`, CHUNKS)),
  raw('Content-Length and an empty Transfer-Encoding', post(`${LENGTH}Transfer-Encoding:\r\n`, '{"a":1}')),
  raw('Content-Length and Transfer-Encoding: identity', post(`${LENGTH}Transfer-Encoding: identity\r\n`, '{"a":1}')),
  raw('two Content-Lengths', post(`${LENGTH}Content-Length: 8\r\n`, '{"a":1}')),
  raw('two equal Content-Lengths', post(`${LENGTH}${LENGTH}`, '{"a":1}')),
  raw('two Content-Lengths, in two spellings', post(`CONTENT-LENGTH: 7\r\ncontent-length: 8\r\n`, '{"a":1}')),
  raw('two Content-Lengths, far apart', post(`${LENGTH}${'A: b\r\n'.repeat(100)}Content-Length: 0\r\n`, '{"a":1}')),
  raw('Transfer-Encoding twice', post(`${CHUNKED}${CHUNKED}`, CHUNKS)),
  raw('Transfer-Encoding twice, once nonsense', post(`${CHUNKED}Transfer-Encoding: cow\r\n`, CHUNKS)),
  raw('Transfer-Encoding twice, first nonsense', post(`Transfer-Encoding: cow\r\n${CHUNKED}`, CHUNKS)),
  raw('a space before the colon', post('Transfer-Encoding : chunked\r\n', CHUNKS)),
  raw('a tab before the colon', post('Transfer-Encoding\t: chunked\r\n', CHUNKS)),
  raw('a space before the colon of Content-Length', post('Content-Length : 7\r\n', '{"a":1}')),
  raw('a NUL in Transfer-Encoding', post('Transfer\x00-Encoding: chunked\r\n', CHUNKS)),
  raw('Transfer-Encoding behind a space', post(' Transfer-Encoding: chunked\r\n', CHUNKS)),
  raw('Transfer-Encoding behind a bare LF', post('A: b\nTransfer-Encoding: chunked\r\n', CHUNKS)),
  raw('Transfer-Encoding behind a bare CR', post('A: b\rTransfer-Encoding: chunked\r\n', CHUNKS)),
  raw('Transfer-Encoding on two lines', post('Transfer-Encoding:\r\n chunked\r\n', CHUNKS)),
  raw('chunked on two lines', post('Transfer-Encoding: chu\r\n nked\r\n', CHUNKS)),
  raw('Content-Length on two lines', post('Content-Length:\r\n 7\r\n', '{"a":1}')),
  raw('Content-Length behind a bare LF', post('A: b\nContent-Length: 7\r\n', '{"a":1}')),
  raw(
    'a coding in HTTP/1.0',
    `POST ${EVENTS} HTTP/1.0\r\n${AUTHORIZED}Content-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${CHUNKS}`,
  ),
  // Their bodies are taken for requests that are none, and behind a request that waits for its answer that closes the connection. Newer Nodes
  // (llhttp 9.4) refuse the first of them at once.
  raw('an empty Transfer-Encoding', post('Transfer-Encoding:\r\n', CHUNKS), OLD_LLHTTP ? [] : [400]),
  raw('Transfer_Encoding, which is another header', post('Transfer_Encoding: chunked\r\n', CHUNKS), []),
];

const CHUNK_SIZES = [
  ['no number', 'zz\r\n{"a":1}\r\n0\r\n\r\n'],
  ['nothing', '\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a minus', '-7\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a plus', '+7\r\n{"a":1}\r\n0\r\n\r\n'],
  ['0x', '0x7\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a space first', ' 7\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a space behind', '7 \r\n{"a":1}\r\n0\r\n\r\n'],
  ['a tab behind', '7\t\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a point', '7.0\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a comma', '7,7\r\n{"a":1}\r\n0\r\n\r\n'],
  ['an h', '7h\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a NUL', '7\x00\r\n{"a":1}\r\n0\r\n\r\n'],
  ['above 2^64', '10000000000000007\r\n{"a":1}\r\n0\r\n\r\n'],
  ['above 2^64 by leading digits', `${'1'.repeat(60)}7\r\n{"a":1}\r\n0\r\n\r\n`],
  ['only an extension', ';x=y\r\n{"a":1}\r\n0\r\n\r\n'],
  ['an extension with a NUL', '7;a=\x00\r\n{"a":1}\r\n0\r\n\r\n'],
  ['an extension with a bare LF', '7;a=b\n{"a":1}\r\n0\r\n\r\n'],
  ['an extension of 20,000 bytes', `7;${'x'.repeat(20_000)}\r\n{"a":1}\r\n0\r\n\r\n`],
  ['an extension without end of its text', '7;a="b\r\n{"a":1}\r\n0\r\n\r\n'],
  ['a bare LF', '7\n{"a":1}\r\n0\r\n\r\n'],
  ['a bare CR', '7\r{"a":1}\r\n0\r\n\r\n'],
  ['bare LFs throughout', '7\n{"a":1}\n0\n\n'],
  ['less than the chunk has', '6\r\n{"a":1}\r\n0\r\n\r\n'],
  ['one more than the chunk has', '8\r\n{"a":1}\r\n0\r\n\r\n'],
  ['no line end behind the chunk', '7\r\n{"a":1}0\r\n\r\n'],
  ['two line ends behind the chunk', '7\r\n{"a":1}\r\n\r\n0\r\n\r\n'],
  ['a bare LF behind the chunk', '7\r\n{"a":1}\n0\r\n\r\n'],
  ['a negative last one', '7\r\n{"a":1}\r\n-0\r\n\r\n'],
  ['a trailer that is none', '7\r\n{"a":1}\r\n0\r\nnonsense\r\n\r\n'],
  ['a trailer with a space before its colon', '7\r\n{"a":1}\r\n0\r\nA : b\r\n\r\n'],
  ['a trailer with a NUL', '7\r\n{"a":1}\r\n0\r\nA: \x00\r\n\r\n'],
  ['a trailer ended by bare LF', '7\r\n{"a":1}\r\n0\r\nA: b\n\r\n'],
  ['a request for a trailer', '7\r\n{"a":1}\r\n0\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
].map(([name = '', body = '']) => raw(`a chunk size: ${name}`, post(CHUNKED, body)));

/** Everything that is no tchar (RFC 9110 §5.6.2) and not the colon that ends a name. */
const NAMES = [...'\x00\x01\x09\x0b\x0c\x1b "(),/;<=>?@[\\]{}\x7f\x80\xff'].map((c) =>
  raw(`a header name with ${shown(c)}`, health(`A${c}B: x\r\n`)),
);
const VALUES = [...'\x00\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f'].map((c) =>
  raw(`a header value with ${shown(c)}`, health(`A: b${c}c\r\n`)),
);
const HEADERS = [
  raw('bare LF', 'GET /healthz HTTP/1.1\nHost: x\n\n'),
  raw('bare LF behind the request line', 'GET /healthz HTTP/1.1\nHost: x\r\n\r\n'),
  raw('bare LF behind a header', 'GET /healthz HTTP/1.1\r\nHost: x\n\r\n'),
  raw('bare CR behind the request line', 'GET /healthz HTTP/1.1\rHost: x\r\n\r\n'),
  raw('bare CR in a header', health('A: b\rc: d\r\n')),
  raw('bare CR behind a header', health('A: b\r\rc: d\r\n')),
  raw('a folded header', health('A: b\r\n c\r\n')),
  raw('a header folded by a tab', health('A: b\r\n\tc\r\n')),
  raw('the first header folded', 'GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n'),
  raw('a header without a colon', health('nonsense\r\n')),
  raw('a header without a name', health(': x\r\n')),
  raw('a header that is a space', health(' \r\n')),
  raw('headers over 16 KiB', health(`A: ${'b'.repeat(17_000)}\r\n`), [431], 'headers_too_large'),
  raw('many headers over 16 KiB', health('A: bcdef\r\n'.repeat(4000)), [431], 'headers_too_large'),
  raw('a header name over 16 KiB', health(`${'a'.repeat(17_000)}: b\r\n`), [431], 'headers_too_large'),
  raw('a header without end', health(`A: ${'b'.repeat(40_000)}`), [431], 'headers_too_large'),
  raw('a path over 16 KiB', health('', `GET /${'x'.repeat(17_000)} HTTP/1.1`), [431], 'headers_too_large'),
  raw('a query over 16 KiB', health('', `GET /healthz?${'x'.repeat(17_000)} HTTP/1.1`), [431], 'headers_too_large'),
  raw(
    'a header behind 3,000 others',
    post(`${'A: b\r\n'.repeat(3000)}Content-Encoding: gzip\r\nContent-Length: 7\r\n${CLOSE}`, '{"a":1}'),
    [415],
    'unsupported_encoding',
  ),
];

const HOSTS = [
  raw('no Host', 'GET /healthz HTTP/1.1\r\n\r\n'),
  raw('two Hosts', health('Host: y\r\n')),
  raw('one Host twice', `GET /logs/main HTTP/1.1\r\n${HOST}hOST: x\r\n\r\n`),
  raw('a Host of two lines', 'GET /healthz HTTP/1.1\r\nHost: x\r\n y\r\n\r\n'),
  raw('a Host with a NUL', 'GET /healthz HTTP/1.1\r\nHost: x\x00y\r\n\r\n'),
  raw('a Host behind a space', 'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n'),
  raw('no Host, in the absolute form', 'GET http://x/healthz HTTP/1.1\r\n\r\n'),
];

const METHODS = [
  'BREW',
  'get',
  'Get',
  'GE T',
  'G\x00ET',
  'GET\t',
  '',
  '{',
  '"GET"',
  'GET,',
  'GETX',
  '\xc7ET',
  'GET\r\n',
].map((method) => raw(`the method ${shown(method)}`, health('', `${method} /healthz HTTP/1.1`)));
const VERSIONS = [
  'HTTP/0.9',
  'HTTP/1.2',
  'HTTP/1.10',
  'HTTP/2.0',
  'HTTP/3.0',
  'HTTP/11',
  'HTTP/1',
  'HTTP/1.',
  'HTTP/.1',
  'HTTP/+1.1',
  'HTTP/1.1x',
  'HTTP/1,1',
  'HTTP/-1.1',
  'HTTP /1.1',
  'HTTPS/1.1',
  'http/1.1',
  'HTTP/1.1 ',
  'ICE/1.0',
  'SIP/2.0',
  '',
].map((version) => raw(`the version ${shown(version)}`, health('', `GET /healthz ${version}`)));
const LINES = [
  raw('HTTP/0.9', 'GET /healthz\r\n\r\n'),
  raw('a space before the method', health('', ' GET /healthz HTTP/1.1')),
  raw('only a path', '/healthz\r\n\r\n'),
  raw('a colon', ':\r\n\r\n'),
  raw('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  raw('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  raw('SSH', 'SSH-2.0-OpenSSH_9.6\r\n'),
  raw('SMTP', 'EHLO x\r\n'),
  raw('redis', '*1\r\n$4\r\nPING\r\n'),
  raw('the PROXY protocol', 'PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
  raw('the PROXY protocol, binary', '\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c'),
  raw('NULs', '\x00'.repeat(100)),
  raw('an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  raw('CONNECT', `CONNECT x:80 HTTP/1.1\r\n${HOST}\r\n`, []),
];

const TARGETS = [
  raw('a path without a slash', health(CLOSE, 'GET healthz HTTP/1.1')),
  raw('only a query', health(CLOSE, 'GET ?x HTTP/1.1')),
  raw('only a fragment', health(CLOSE, 'GET #x HTTP/1.1')),
  raw('a space in the path', health(CLOSE, 'GET /a b HTTP/1.1')),
  raw('a tab in the path', health(CLOSE, 'GET /\t HTTP/1.1')),
  raw('a NUL in the path', health(CLOSE, 'GET /\x00 HTTP/1.1')),
  raw('an escape in the path', health(CLOSE, 'GET /\x1b[2J HTTP/1.1')),
  raw('a DEL in the path', health(CLOSE, 'GET /\x7f HTTP/1.1')),
  raw('bytes above 127 in the path', health(CLOSE, 'GET /\xff HTTP/1.1')),
  raw('bytes above 127 in the query', health(CLOSE, 'GET /healthz?\xff HTTP/1.1')),
  raw('two slashes', health(CLOSE, 'GET // HTTP/1.1'), [404], 'not_found'),
  raw('slashes and a bracket', health(CLOSE, 'GET //[ HTTP/1.1'), [404], 'not_found'),
  raw('an asterisk', health(CLOSE, 'OPTIONS * HTTP/1.1'), [404], 'not_found'),
  raw('an asterisk to be read', health(CLOSE, 'GET * HTTP/1.1'), [404], 'not_found'),
  raw('the absolute form without a path', health(CLOSE, 'GET http://elsewhere.example HTTP/1.1'), [404], 'not_found'),
  raw('the absolute form without a path, a query', health(CLOSE, 'GET http://x?/healthz HTTP/1.1'), [404], 'not_found'),
  raw('another scheme', health(CLOSE, 'GET ftp://x/healthz HTTP/1.1'), [404], 'not_found'),
  raw('a scheme of files', health(CLOSE, 'GET file:///etc/passwd HTTP/1.1'), [404], 'not_found'),
  raw('the absolute form in a path', health(CLOSE, 'GET /http://x/healthz HTTP/1.1'), [404], 'not_found'),
];

const SECOND = `GET /admin/keys HTTP/1.1\r\nHost: x\r\n${AUTHORIZED}\r\n`;

/** What stands in a body, or behind a request, is no request of its own. */
const BEHIND = [
  raw('garbage behind a request', health('\r\nnonsense\r\n'), []),
  raw('a body that nobody reads', health('Content-Length: 3\r\n\r\nabc').slice(0, -2), [200]),
  raw('a request as the body of a GET', `${health(`Content-Length: ${SECOND.length}\r\n${CLOSE}`)}${SECOND}`, [200]),
  raw(
    'a request as the body of a method that is not there',
    `POST /healthz HTTP/1.1\r\n${HOST}Content-Length: ${SECOND.length}\r\n${CLOSE}\r\n${SECOND}`,
    [405],
    'method_not_allowed',
  ),
  raw(
    'a request as the body of nothing',
    `POST /nothing HTTP/1.1\r\n${HOST}Content-Length: ${SECOND.length}\r\n${CLOSE}\r\n${SECOND}`,
    [404],
    'not_found',
  ),
  raw(
    'a request as the body of one that is refused',
    `POST ${EVENTS} HTTP/1.1\r\n${HOST}Content-Length: ${SECOND.length}\r\n${CLOSE}\r\n${SECOND}`,
    [401],
    'unauthorized',
  ),
  raw(
    'a request as the body of an event',
    post(`Content-Length: ${SECOND.length}\r\n${CLOSE}`, SECOND),
    [400],
    'malformed_json',
  ),
  raw(
    'a request as a chunk',
    post(`${CHUNKED}${CLOSE}`, `${SECOND.length.toString(16)}\r\n${SECOND}\r\n0\r\n\r\n`),
    [400],
    'malformed_json',
  ),
  raw('a request behind one that closes', `${health(CLOSE)}${SECOND}`, [200]),
  raw('a request behind HTTP/1.0', `GET /healthz HTTP/1.0\r\n\r\n${SECOND}`, [200]),
  raw('a request behind what is none', `nonsense\r\n\r\n${SECOND}`),
  raw('a request behind an ambiguous one', `${post(`${LENGTH}${CHUNKED}`, CHUNKS)}${SECOND}`),
  raw('a request behind a chunk cut off', `${post(CHUNKED, '7\r\n{"a":1}X\r\n')}${SECOND}`),
  raw('a request in a trailer', post(CHUNKED, `0\r\n${SECOND}`)),
  raw(
    'a trailer that would be a key',
    `POST ${EVENTS} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n${CHUNKED}${CLOSE}\r\n2\r\n{}\r\n0\r\n${AUTHORIZED}\r\n`,
    [401],
    'unauthorized',
  ),
];

/** Odd, and quite all right. */
const FINE = [
  raw('the absolute form', health(CLOSE, 'GET http://elsewhere.example/healthz HTTP/1.1'), [200]),
  raw('the absolute form of TLS', health(CLOSE, 'GET HTTPS://u:p@elsewhere.example:1/healthz HTTP/1.1'), [200]),
  raw('the absolute form, express', health(CLOSE, 'GET http://[/logs/main HTTP/1.1'), [200]),
  raw('the absolute form of nothing', health(CLOSE, 'GET http:///healthz HTTP/1.1'), [200]),
  raw('HTTP/1.0', 'GET /healthz HTTP/1.0\r\n\r\n', [200]),
  raw('a version that Node takes for HTTP/1.0', 'GET /healthz RTSP/1.0\r\n\r\n', [200]),
  raw('line ends before the request', `\r\n\r\n${health(CLOSE)}`, [200]),
  raw('an expectation nobody knows', health(`Expect: magic\r\n${CLOSE}`), [200]),
  raw('an upgrade', health('Connection: upgrade, close\r\nUpgrade: h2c\r\n'), [200]),
  raw(
    'an upgrade to a web socket',
    health('Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'),
    [200],
  ),
  raw('bytes above 127 in a header value', health(`A: \xff\r\n${CLOSE}`), [200]),
  raw(
    'a Host of somebody else',
    'GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n',
    [200],
  ),
];

export const RAW_CASES: readonly RawCase[] = [
  ...LENGTHS,
  ...CODINGS,
  ...FRAMINGS,
  ...CHUNK_SIZES,
  ...NAMES,
  ...VALUES,
  ...HEADERS,
  ...HOSTS,
  ...METHODS,
  ...VERSIONS,
  ...LINES,
  ...TARGETS,
  ...BEHIND,
  ...FINE,
];
