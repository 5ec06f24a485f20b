/**
 * API keys: `ind_` ‖ id (16 hex) ‖ `_` ‖ secret (64 hex). Only the SHA-256 of the whole text is kept; the key itself is shown
 * once, by the reply that makes it. A revocation is a commit like any other: in force for the next request, and after a crash.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { ServerError } from './errors.ts';
import { encodeChecked, parseChecked } from './storage/checked-json.ts';

export const SCOPES = ['append', 'read', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** An API key as it is stored: JSON, unknown members ignored. */
export interface ApiKey {
  readonly id: string;
  /** SHA-256 of the key's text, hex. */
  readonly hash: string;
  /** Source name: the name space of event ids, and what people call the key. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The one log it is for, or null for all. */
  readonly log: string | null;
  readonly createdAt: string;
  readonly revokedAt: string | null;
}

const KEY = /^ind_([0-9a-f]{16})_[0-9a-f]{64}$/;

/** ID of a key text of the right form, or `undefined`. */
export function apiKeyId(text: string): string | undefined {
  return KEY.exec(text)?.[1];
}

export function hashApiKey(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A new key and its text. */
export function makeApiKey(fields: {
  readonly name: string | undefined;
  readonly scopes: readonly Scope[];
  readonly log: string | null;
  readonly createdAt: string;
}): {
  readonly key: ApiKey;
  readonly text: string;
} {
  const id = randomBytes(8).toString('hex');
  const text = `ind_${id}_${randomBytes(32).toString('hex')}`;
  return { key: { id, hash: hashApiKey(text), ...fields, name: fields.name ?? id, revokedAt: null }, text };
}

export function encodeApiKey({ id, hash, name, scopes, log, createdAt, revokedAt }: ApiKey): Uint8Array {
  return encodeChecked({ id, hash, name, scopes, log, created_at: createdAt, revoked_at: revokedAt });
}

/** Reads an API key row. Throws ServerError `damaged`. */
export function parseApiKey(bytes: Uint8Array): ApiKey {
  try {
    const row = parseChecked(bytes);
    const { id, hash, name, scopes, log, created_at: createdAt } = row;
    const wellFormed =
      typeof id === 'string' &&
      typeof hash === 'string' &&
      /^[0-9a-f]{64}$/.test(hash) &&
      typeof name === 'string' &&
      typeof createdAt === 'string' &&
      Array.isArray(scopes) &&
      scopes.every((scope): scope is Scope => SCOPES.includes(scope)) &&
      (log === null || typeof log === 'string') &&
      (row['revoked_at'] === null || typeof row['revoked_at'] === 'string');
    if (!wellFormed) throw new RangeError('a member is missing or of the wrong type');
    return {
      id,
      hash,
      name,
      scopes,
      log,
      createdAt,
      revokedAt: row['revoked_at'] as string | null,
    };
  } catch (cause) {
    throw new ServerError('damaged', `an API key row is damaged: ${(cause as Error).message}`, { cause });
  }
}

/** All API keys of a server, in memory. */
export class ApiKeys {
  readonly #keys = new Map<string, ApiKey>();
  /** Keys that hold without being stored: the one of INDELIBLE_ADMIN_KEY. */
  readonly #fixed = new Map<string, ApiKey>();

  /** Makes this text an admin key of all logs for as long as the process runs. */
  fix(text: string, createdAt: string): void {
    const id = apiKeyId(text);
    if (id === undefined) throw new Error('bug: a fixed key must have been checked');
    this.#fixed.set(id, {
      id,
      hash: hashApiKey(text),
      name: id,
      scopes: ['admin'],
      log: null,
      createdAt,
      revokedAt: null,
    });
  }

  set(key: ApiKey): void {
    this.#keys.set(key.id, key);
  }

  get(id: string): ApiKey | undefined {
    return this.#keys.get(id);
  }

  list(): ApiKey[] {
    return [...this.#keys.values()].sort((a, b) =>
      a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0,
    );
  }

  /** Whether a key that was authenticated before has not been revoked since. */
  holds(key: ApiKey): boolean {
    return this.#fixed.get(key.id) === key || this.#keys.get(key.id) === key;
  }

  /** The key that this `Authorization` header proves possession of, or `undefined`. */
  authenticate(authorization: string | undefined): ApiKey | undefined {
    const match = /^Bearer ([!-~]{1,128})$/i.exec(authorization ?? '');
    const text = match?.[1];
    const id = text === undefined ? undefined : apiKeyId(text);
    if (text === undefined || id === undefined) return undefined;
    const key = this.#fixed.get(id) ?? this.#keys.get(id);
    if (key === undefined || key.revokedAt !== null) return undefined;
    // Digests, not secrets, are compared; in constant time all the same.
    return timingSafeEqual(Buffer.from(hashApiKey(text), 'hex'), Buffer.from(key.hash, 'hex')) ? key : undefined;
  }
}

/** Whether a key has any right on a log, and whether that includes this scope. */
export function permits(key: ApiKey, log: string | null, scope: Scope): 'yes' | 'other_scope' | 'no_right' {
  if (key.log !== null && key.log !== log) return log === null ? 'other_scope' : 'no_right';
  return key.scopes.includes(scope) || key.scopes.includes('admin') ? 'yes' : 'other_scope';
}
