/**
 * Whether a Host header is one: a name or an address, and perhaps a port (RFC 9110 §7.2, RFC 3986 §3.2.2). Empty is allowed: the target may
 * have no authority. Whatever else stands there, somebody on the way might read as something that we do not.
 */
const HOST = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}){0,255})(?::[0-9]{0,5})?$/;

/** The last one that was good: a server hears few. */
let last = '';

export function isHost(text: string): boolean {
  if (text === last) return true;
  if (!HOST.test(text)) return false;
  last = text;
  return true;
}
