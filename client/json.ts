/**
 * Reads members of JSON answers. Everything here comes from the network: a member that is missing, of another type or not in
 * its one spelling is a ClientError `bad_reply`, and members that nobody asks for are ignored.
 */

import { parseMicros } from '../proofs/time.ts';
import { fromBase64, fromUtf8 } from '../tree/bytes.ts';
import { asTreeHash, type TreeHash } from '../tree/hash.ts';
import { ClientError } from './error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The object that an answer is the text of. */
export function readObject(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new ClientError('bad_reply', `${what} is not JSON in UTF-8`, { cause });
  }
  return asObject(value, what);
}

export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ClientError('bad_reply', `${what} is not a JSON object`);
  return value as JsonObject;
}

export function readText(object: JsonObject, name: string): string {
  const value = member(object, name);
  if (typeof value !== 'string') throw wrong(name, 'a text');
  return value;
}

export function readBoolean(object: JsonObject, name: string): boolean {
  const value = member(object, name);
  if (typeof value !== 'boolean') throw wrong(name, 'true or false');
  return value;
}

/** An index, a size or a time: an integer from 0 to 2^53 - 1. */
export function readNumber(object: JsonObject, name: string): number {
  const value = member(object, name);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw wrong(name, 'an integer from 0 to 2^53 - 1');
  return value;
}

export function readList(object: JsonObject, name: string): readonly unknown[] {
  const value = member(object, name);
  if (!Array.isArray(value)) throw wrong(name, 'a list');
  return value;
}

/** A time as microseconds since the Unix epoch. */
export function readTime(object: JsonObject, name: string): number {
  const text = readText(object, name);
  return parsed(name, 'a time in UTC with six decimals', () => parseMicros(text));
}

/** Bytes in canonical base64. */
export function readBytes(object: JsonObject, name: string): Uint8Array {
  const text = readText(object, name);
  return parsed(name, 'canonical base64', () => fromBase64(text));
}

/** A hash: 32 bytes in canonical base64. */
export function readHash(object: JsonObject, name: string): TreeHash {
  return asHash(readText(object, name), name);
}

export function readHashes(object: JsonObject, name: string): TreeHash[] {
  return readList(object, name).map((value) => asHash(value, name));
}

function asHash(value: unknown, name: string): TreeHash {
  if (typeof value !== 'string') throw wrong(name, 'base64 of 32 bytes');
  return parsed(name, 'base64 of 32 bytes', () => asTreeHash(fromBase64(value)));
}

function member(object: JsonObject, name: string): unknown {
  // Own members only: an answer without `constructor` must not seem to have one.
  if (!Object.hasOwn(object, name)) throw new ClientError('bad_reply', `the member ${name} is missing`);
  return object[name];
}

function parsed<Value>(name: string, what: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (cause) {
    throw wrong(name, what, cause);
  }
}

function wrong(name: string, what: string, cause?: unknown): ClientError {
  return new ClientError('bad_reply', `the member ${name} is not ${what}`, { cause });
}
