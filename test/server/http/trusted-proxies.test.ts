/** Whom the server believes about the client: listed peers, and only what they wrote themselves. */
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { clientAddress, isSecure, Proxies, parseProxies } from '../../../server/http/trusted-proxies.ts';

const PROXIES = parseProxies('10.0.0.0/8, 192.0.2.1, fd00::/8');

function peer(
  remoteAddress: string | undefined,
  headers: IncomingMessage['headers'] = {},
  encrypted = false,
): Pick<IncomingMessage, 'headers' | 'socket'> {
  return { headers, socket: { remoteAddress, encrypted } as unknown as IncomingMessage['socket'] };
}

describe("the client's address", () => {
  test.each<[string, string | undefined, string | undefined, string]>([
    ['no proxy', '198.51.100.7', undefined, '198.51.100.7'],
    ['a stranger says something', '198.51.100.7', '203.0.113.9', '198.51.100.7'],
    ['a stranger names a proxy', '198.51.100.7', '10.0.0.1', '198.51.100.7'],
    ['a proxy says nothing', '10.0.0.1', undefined, '10.0.0.1'],
    ['a proxy names the client', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['a proxy over an IPv4-mapped socket', '::ffff:10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['a single trusted address', '192.0.2.1', '203.0.113.9', '203.0.113.9'],
    ['its neighbour', '192.0.2.2', '203.0.113.9', '192.0.2.2'],
    ['an IPv6 proxy and client', 'fd00::1', '2001:db8::7', '2001:db8::7'],
    ['two proxies', '10.0.0.1', '203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['the client forged a hop', '10.0.0.1', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['the client forged a trusted hop', '10.0.0.1', '1.1.1.1, 10.9.9.9, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['proxies all the way', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['with a port', '10.0.0.1', '203.0.113.9:5123', '203.0.113.9'],
    ['with brackets', '10.0.0.1', '[2001:db8::7]', '2001:db8::7'],
    ['with brackets and a port', '10.0.0.1', '[2001:db8::7]:5123', '2001:db8::7'],
    ['mapped in the header', '10.0.0.1', '::ffff:203.0.113.9', '203.0.113.9'],
    ['no address', '10.0.0.1', 'unknown', '10.0.0.1'],
    ['a script', '10.0.0.1', '"><script>', '10.0.0.1'],
    ['garbage behind a proxy', '10.0.0.1', '203.0.113.9, x, 10.0.0.2', '10.0.0.2'],
    ['an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['commas only', '10.0.0.1', ',,,', '10.0.0.1'],
    ['a peer that is gone', undefined, '203.0.113.9', 'unknown'],
  ])('%s', (_, remote, forwarded, expected) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    expect(clientAddress(peer(remote, headers), PROXIES)).toBe(expected);
    // Nobody is believed where nobody is listed.
    const alone = clientAddress(peer(remote, headers), new Proxies([]));
    expect(alone).toBe((remote ?? 'unknown').replace('::ffff:', ''));
  });
});

describe('TLS', () => {
  test.each<[string, string, string | undefined, boolean, boolean]>([
    ['with us', '198.51.100.7', undefined, true, true],
    ['with us, whatever a proxy says', '10.0.0.1', 'http', true, true],
    ['a trusted proxy says so', '10.0.0.1', 'https', false, true],
    ['a trusted proxy shouts', '10.0.0.1', 'HTTPS', false, true],
    ['a trusted proxy says no', '10.0.0.1', 'http', false, false],
    ['a trusted proxy says nothing', '10.0.0.1', undefined, false, false],
    ['a stranger says so', '198.51.100.7', 'https', false, false],
    ['the client said so before the proxy', '10.0.0.1', 'https, http', false, false],
    ['the last proxy said so', '10.0.0.1', 'http, https', false, true],
  ])('%s', (_, remote, proto, encrypted, expected) => {
    const headers = proto === undefined ? {} : { 'x-forwarded-proto': proto };
    expect(isSecure(peer(remote, headers, encrypted), PROXIES)).toBe(expected);
  });
});
