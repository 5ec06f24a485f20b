/**
 * Key layout: the one place that spells a key. Fixed for ever; docs/format.md has the table.
 *
 * Numbers are 16 decimal digits with leading zeros, wide enough for 2^53 - 1, so that bytewise order is numeric order
 * (SPECS JS-12). A log's keys begin with `log/<name>/`; its tiles and bundles continue with their URL path.
 */
import { bundlePath, type TileId, tilePath } from '../../tree/tiles.ts';

const DIGITS = 16;

function fixed(n: number): string {
  return String(n).padStart(DIGITS, '0');
}

/** The number at the end of a key. */
export function numberInKey(key: string): number {
  return Number(key.slice(key.lastIndexOf('/') + 1));
}

export const STORE_KEY = 'server/store';
export const COMMIT_PREFIX = 'server/commit/';
export const LOG_DEFINITION_PREFIX = 'server/log/';
export const API_KEY_PREFIX = 'server/key/';

export function commitKey(n: number): string {
  return COMMIT_PREFIX + fixed(n);
}

export function logDefinitionKey(log: string): string {
  return LOG_DEFINITION_PREFIX + log;
}

export function apiKeyKey(id: string): string {
  return API_KEY_PREFIX + id;
}

/** What every key of a log begins with. */
export function logPrefix(log: string): string {
  return `log/${log}/`;
}

/**
 * Key of a log's edge: the last of its keys. Each commit rewrites it; before the events, it made every table that LevelDB writes overlap all
 * events there are, and be merged with them.
 */
export function edgeKey(log: string): string {
  return `log/${log}/~edge`;
}

/** Key of a full tile. */
export function tileKey(log: string, tile: Omit<TileId, 'width'>): string {
  return `log/${log}/${tilePath({ ...tile, width: 256 })}`;
}

/** Key of a full entry bundle. */
export function bundleKey(log: string, index: number): string {
  return `log/${log}/${bundlePath(index)}`;
}

/** Prefixes of all rows of a log but its edge and its heads: what goes when the log is deleted. */
export function bodyPrefixes(log: string): readonly string[] {
  return ['event/', 'id/', 'open/', 'tile/'].map((kind) => `log/${log}/${kind}`);
}

/** Key of the leaves that one commit appended to the bundle that is not full; the first of them has this index. */
export function openKey(log: string, leafIndex: number): string {
  return `log/${log}/open/${fixed(leafIndex)}`;
}

export function eventKey(log: string, leafIndex: number): string {
  return `log/${log}/event/${fixed(leafIndex)}`;
}

/** Key of an id row; `digest` is the HMAC of the id, in base64url without padding. */
export function idKey(log: string, digest: string): string {
  return `log/${log}/id/${digest}`;
}

/** Key of the head that is signed and waits for its witnesses. */
export function withheldKey(log: string): string {
  return `log/${log}/withheld`;
}

export function headPrefix(log: string): string {
  return `log/${log}/head/`;
}

/** Key of the first head signed at a size. */
export function headKey(log: string, treeSize: number): string {
  return headPrefix(log) + fixed(treeSize);
}

/** Key of a later signature of the same head; `time` in milliseconds. */
export function refreshKey(log: string, treeSize: number, time: number): string {
  return `${headKey(log, treeSize)}/${fixed(time)}`;
}
