/**
 * Who sent a request, where reverse proxies stand before the server. X-Forwarded-For and X-Forwarded-Proto are believed from
 * listed peers only: anybody else can write into them what they like.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Addresses and ranges that are trusted. */
export class Proxies {
  readonly #list = new BlockList();
  /** How they are written, for people. */
  readonly ranges: readonly string[];

  /** Throws RangeError for what is no address and no range. */
  constructor(ranges: readonly string[]) {
    this.ranges = ranges;
    for (const range of ranges) {
      const [, address = '', prefix] = /^([0-9a-fA-F:.]+)(?:\/([0-9]{1,3}))?$/.exec(range) ?? [];
      const family = isIP(address);
      const bits = prefix === undefined ? 8 * (family === 4 ? 4 : 16) : Number(prefix);
      // A range of everybody would be a list of nobody: whoever connects could name himself.
      if (family === 0 || bits < 1 || bits > (family === 4 ? 32 : 128))
        throw new RangeError(`has an entry that is no IP address and no range such as 10.0.0.0/8`);
      this.#list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** Reads addresses and ranges separated by commas; empty text is an empty list. Throws RangeError. */
export function parseProxies(text: string): Proxies {
  const parts = text.split(',').map((part) => part.trim());
  return new Proxies(parts.length === 1 && parts[0] === '' ? [] : parts);
}

/** An IPv4 address that came over an IPv6 socket, as the IPv4 address it is. */
function plainAddress(address: string): string {
  return /^::ffff:([0-9.]+)$/i.exec(address)?.[1] ?? address;
}

/** One hop of X-Forwarded-For without its port, or `undefined` for what is no address. */
function hopAddress(hop: string): string | undefined {
  const bare = hop.trim();
  const address = plainAddress(/^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(bare)?.[1] ?? bare);
  if (isIP(address) !== 0) return address;
  const withoutPort = /^([0-9.]+):[0-9]{1,5}$/.exec(address)?.[1] ?? '';
  return isIP(withoutPort) === 0 ? undefined : withoutPort;
}

type Peer = Pick<IncomingMessage, 'headers' | 'socket'>;

/**
 * The address of the client: the rightmost hop that is not a trusted proxy. What stands left of it, and everything that a
 * stranger sent, is hearsay. Each proxy appends whom it saw, so a hop that is no address ends the chain at the proxy that wrote it.
 */
export function clientAddress({ headers, socket }: Peer, proxies: Proxies): string {
  let client = plainAddress(socket.remoteAddress ?? 'unknown');
  const forwarded = headers['x-forwarded-for'];
  if (forwarded === undefined) return client;
  const hops = String(forwarded).split(',');
  while (proxies.trusts(client)) {
    const hop = hops.pop();
    const address = hop === undefined ? undefined : hopAddress(hop);
    if (address === undefined) return client;
    client = address;
  }
  return client;
}

/** Whether the client speaks TLS: with us, or with a trusted proxy that says so. */
export function isSecure({ headers, socket }: Peer, proxies: Proxies): boolean {
  if ((socket as Partial<TLSSocket>).encrypted === true) return true;
  const proto = headers['x-forwarded-proto'];
  if (proto === undefined || !proxies.trusts(plainAddress(socket.remoteAddress ?? ''))) return false;
  return String(proto).split(',').at(-1)?.trim().toLowerCase() === 'https';
}
