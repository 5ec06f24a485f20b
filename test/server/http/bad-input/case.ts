/**
 * The catalogue of bad input: what a case is. Each has a name, a request, and the one answer that is right, status and code. The tables
 * beside this file hold the cases; bad-input.test.ts runs them all.
 */
import { utf8 } from '../../../../tree/bytes.ts';
import { ADMIN_KEY } from '../../../support/test-server.ts';

/** A request that an HTTP client can send. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** Null for none; default the admin's. */
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Made when it is sent, where it is large. With a body the case is sent twice: with a Content-Length, and in chunks. */
  readonly body?: string | Uint8Array | (() => string | Uint8Array);
}

/** Which server is asked: one with default limits, or one whose limits are low. */
export type Target = 'default' | 'small';

export interface BadCase {
  readonly name: string;
  readonly ask: Asked;
  readonly status: number;
  readonly code: string;
  readonly at?: Target;
  /** The methods that are there, where that is what is wrong. */
  readonly allow?: string;
}

/** Bytes that a client sends on a socket of its own, latin1. */
export interface RawCase {
  readonly name: string;
  readonly bytes: string;
  /** Statuses of all answers, in order; the server closes the connection in any case. */
  readonly answers: readonly number[];
  /** Code of the first answer, where it is an error. Default: bad_request. */
  readonly code?: string;
}

/** The low limits of the server `small`. */
export const SMALL = { maxEventSize: 100, maxBodySize: 2000, maxEvents: 5 };

export const JSON_TYPE = { 'content-type': 'application/json' };
export const EVENTS = '/logs/main/events';

type Body = NonNullable<Asked['body']>;

export function get(path: string, more: Partial<Asked> = {}): Asked {
  return { method: 'GET', path, ...more };
}

/** POST of one event to `main`. */
export function postEvent(body: Body, more: Partial<Asked> = {}): Asked {
  return { method: 'POST', path: EVENTS, headers: JSON_TYPE, body, ...more };
}

/** POST of JSON to a path. */
export function postJson(path: string, body: Body): Asked {
  return { method: 'POST', path, headers: JSON_TYPE, body };
}

/** A path that the given case makes wrong: 400 `bad_parameter`. */
export function badParameter(path: string, name = path): BadCase {
  return { name, ask: get(path), status: 400, code: 'bad_parameter' };
}

export function nest(depth: number, open: string, close: string, inner = '1'): string {
  return `${open.repeat(depth)}${inner}${close.repeat(depth)}`;
}

/** Text, bytes, and text again. */
export function mixed(before: string, middle: readonly number[], after: string): Uint8Array {
  return Uint8Array.from([...utf8(before), ...middle, ...utf8(after)]);
}

/** An object of n members. */
export function members(n: number): string {
  return `{${Array.from({ length: n }, (_, i) => `"m${i}":${i}`).join()}}`;
}

export const AUTHORIZED = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
