/** What may stand in a Host header. */
import { expect, test } from '@jest/globals';
import { isHost } from '../../../server/http/host.ts';
import { TestServer } from '../../support/test-server.ts';

const server = await TestServer.start();

const GOOD = [
  ...[
    '',
    ':',
    ':80',
    'x',
    'audit.example.com',
    'audit.example.com.',
    'audit.example.com:8443',
    'EXAMPLE',
    'a_b',
    "!$&'()*+,;=",
  ],
  ...['127.0.0.1', '127.0.0.1:65535', '[::1]', '[::1]:8080', '[2001:db8::192.0.2.1]', 'caf%C3%A9.example', '-', '~'],
];
const BAD = [
  ...[
    'a b',
    'a/b',
    'http://x',
    'x/',
    'a@b',
    'user:pw@x',
    'x:y',
    'x:80:80',
    'x:123456',
    '::1',
    '[::1',
    '::1]',
    '[]',
    '[x]',
    '[::1]x',
  ],
  ...[
    'x?',
    'x#',
    'x\\y',
    '<x>',
    '"x"',
    'x%',
    'x%2',
    'x%zz',
    'caf\xe9',
    'x\ty',
    'a|b',
    'a^b',
    'a`b',
    '{x}',
    'x'.repeat(256),
  ],
];

test.each(GOOD)('%j is one', (host) => {
  expect(isHost(host)).toBe(true);
  expect(isHost(host)).toBe(true);
});

test.each(BAD)('%j is none, and is answered 400 by name', async (host) => {
  expect(isHost(host)).toBe(false);
  const { text, closed } = await server.raw(
    `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`,
  );
  expect(text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 400']);
  expect(text).toContain('"the Host of a request is a name or an address, and perhaps a port"');
  expect(closed).toBe(true);
});
