/**
 * Checks a C2SP tlog-tiles log over HTTP, anybody's: the checkpoint, every entry bundle and, unless told otherwise, every tile, partial
 * ones too, derived again from the entries up to the root hash that the checkpoint claims.
 *
 * Works with every log whose leaf hashes are SHA-256(0x00 ‖ entry). In memory are a few bundles and one tile a level.
 */
import { type CheckpointBody, parseCheckpoint } from '../proofs/checkpoint.ts';
import { NoteError } from '../proofs/error.ts';
import type { VerifierKey } from '../proofs/key.ts';
import { MAX_NOTE_SIZE, openNote } from '../proofs/note.ts';
import { equalBytes, fromUtf8, toBase64 } from '../tree/bytes.ts';
import { frontierRoot } from '../tree/frontier.ts';
import { leafHashes, type TreeHash } from '../tree/hash.ts';
import { bundlePath, fullTiles, hashInTile, partialWidth, TILE_WIDTH, tilePath } from '../tree/tiles.ts';
import { ClientError } from './error.ts';
import type { Transport } from './transport.ts';
import { bundleFile, type TreeFile, tileFile } from './tree-file.ts';
import { type TreeSource, walkTree } from './tree-walk.ts';

/** One thing that is not what it must be. */
export interface Difference {
  /** Path below the log's base URL. */
  readonly path: string;
  readonly problem: 'missing' | 'malformed' | 'differs';
  /** What is there and what was expected. */
  readonly message: string;
}

export interface CheckLogOptions {
  readonly transport: Transport;
  /** The log's verifier key. Without one the signature is not checked, and the checkpoint is only a claim. */
  readonly verifierKey?: VerifierKey | undefined;
  /** Origin that the checkpoint must have, if not the name of the key. */
  readonly origin?: string | undefined;
  /**
   * Reads no tiles, which is half of the requests: all entries are compared with the root hash, and where they make another one nothing says
   * which of them it is. Default false.
   */
  readonly entriesOnly?: boolean | undefined;
  /** Requests under way at once, of bundles and of tiles each. Default 8; a bundle has at most 16.8 MB. */
  readonly concurrency?: number | undefined;
  /** After so many differences the check ends. Default 10,000. */
  readonly maxDifferences?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onDifference?: ((difference: Difference) => void) | undefined;
  /** Entries checked, of how many. */
  readonly onProgress?: ((done: number, treeSize: number) => void) | undefined;
}

export interface CheckedLog {
  /** What the checkpoint says; `undefined` where it cannot be read. */
  readonly checkpoint: CheckpointBody | undefined;
  /** Whether the signature was checked, and holds. */
  readonly signed: boolean;
  readonly differences: number;
  /** False where there were too many differences to go on. */
  readonly complete: boolean;
}

/** Ends a check that has found enough. */
class Enough extends Error {}

/**
 * Checks a log at the size of the checkpoint that it shows first, so it may grow meanwhile. What is wrong with the log goes to
 * `onDifference`. Throws ClientError where the log cannot be read: `unreachable`, `http` for every status but 404.
 */
export async function checkTiledLog(options: CheckLogOptions): Promise<CheckedLog> {
  const { maxDifferences = 10_000, onDifference, transport, signal } = options;
  let differences = 0;
  const tell = (path: string, problem: Difference['problem'], message: string): void => {
    differences++;
    onDifference?.({ path, problem, message });
    if (differences >= maxDifferences) throw new Enough();
  };
  const note = await transport.request({ path: 'checkpoint', maxReplySize: MAX_NOTE_SIZE, signal });
  let opened: OpenedClaim = { body: undefined, signed: false };
  let complete = true;
  try {
    opened = openClaim(note, options, tell);
    if (opened.body !== undefined) await checkTree(options, opened.body, tell);
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
    complete = false;
  }
  return { checkpoint: opened.body, signed: opened.signed, differences, complete };
}

type Tell = (path: string, problem: Difference['problem'], message: string) => void;

interface OpenedClaim {
  readonly body: CheckpointBody | undefined;
  readonly signed: boolean;
}

/** The checkpoint: verified where there is a key; what cannot be verified is told, and then only says what to compare with. */
function openClaim(note: Uint8Array, { verifierKey, origin }: CheckLogOptions, tell: Tell): OpenedClaim {
  let signed = false;
  if (verifierKey !== undefined) {
    try {
      openNote(note, [verifierKey]);
      signed = true;
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
      tell('checkpoint', 'differs', `${error.message} (verified with ${verifierKey.text})`);
    }
  }
  let body: CheckpointBody;
  try {
    const text = fromUtf8(note);
    body = parseCheckpoint(text.slice(0, text.lastIndexOf('\n\n') + 1));
  } catch (error) {
    tell('checkpoint', 'malformed', (error as Error).message);
    return { body: undefined, signed: false };
  }
  const expected = origin ?? verifierKey?.name;
  if (expected !== undefined && body.origin !== expected)
    tell('checkpoint', 'differs', `the origin is ${JSON.stringify(body.origin)}, not ${JSON.stringify(expected)}`);
  return { body, signed };
}

async function checkTree(options: CheckLogOptions, claim: CheckpointBody, tell: Tell): Promise<void> {
  const { treeSize, rootHash } = claim;
  const entriesOnly = options.entriesOnly === true;
  const frontier = await walkTree({
    treeSize,
    rootHash,
    partialTiles: !entriesOnly,
    source: entriesOnly ? withoutTiles(makeSource(options, treeSize, tell)) : makeSource(options, treeSize, tell),
    watcher: {
      bundleDiffers: (leafIndex, stored, derived) =>
        tell(
          bundleOf(Math.floor(leafIndex / TILE_WIDTH), treeSize),
          'differs',
          `entry ${leafIndex} hashes to ${toBase64(stored)}, the tiles and the root hash say ${toBase64(derived)}`,
        ),
      tileDiffers: (tile, place, stored, derived) =>
        tell(tilePath(tile), 'differs', `hash ${place} is ${toBase64(stored)}, the entries make ${toBase64(derived)}`),
      cannotDerive: (index) =>
        tell(
          bundleOf(index, treeSize),
          'missing',
          `from here on no root hash can be derived: ${entriesOnly ? 'the bundle is' : 'bundle and tile are both'} unusable`,
        ),
      nextSize: () => Number.POSITIVE_INFINITY,
      onSize: async () => undefined,
      onBundle: async (index, width) => options.onProgress?.(index * TILE_WIDTH + width, treeSize),
    },
  });
  if (frontier === undefined) return;
  const derived = frontierRoot(frontier);
  if (!equalBytes(derived, rootHash))
    tell(
      'checkpoint',
      'differs',
      `the root hash of size ${treeSize} is ${toBase64(rootHash)}, the entries make ${toBase64(derived)}`,
    );
}

function bundleOf(index: number, treeSize: number): string {
  return bundlePath(index, Math.min(TILE_WIDTH, treeSize - index * TILE_WIDTH));
}

function makeSource(options: CheckLogOptions, treeSize: number, tell: Tell): TreeSource {
  const { transport, signal, concurrency = 8 } = options;
  const ask = async (path: string, maxReplySize: number): Promise<Uint8Array | undefined | 'unusable'> => {
    try {
      return await transport.request({ path, maxReplySize, signal });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (error.status === 404) return undefined;
      if (error.code !== 'bad_reply' && error.problem?.code !== 'damaged') throw error;
      found.push([path, 'malformed', error.message]);
      return 'unusable';
    }
  };
  /** What was found by requests that ran ahead: told when it is their turn, so that differences come in order. */
  const found: Parameters<Tell>[] = [];
  const flush = (): void => {
    for (const one of found.splice(0)) tell(...one);
  };
  /** What is wanted of a file, or `undefined` where neither it nor what may stand for it has that. */
  const read = async <T>({ paths, maxSize, cut }: TreeFile<T>): Promise<T | undefined> => {
    for (const path of paths) {
      const bytes = await ask(path, maxSize);
      if (bytes === 'unusable') return undefined;
      if (bytes === undefined) continue;
      try {
        return cut(bytes, path);
      } catch (error) {
        found.push([path, 'malformed', (error as Error).message]);
        return undefined;
      }
    }
    const [own, full] = paths;
    found.push([own, 'missing', full === undefined ? 'status 404' : `status 404, and ${full} too`]);
    return undefined;
  };
  const widthAt = (level: number, index: number): number =>
    index < fullTiles(level, treeSize) ? TILE_WIDTH : partialWidth(level, treeSize);
  const readTile = (level: number, index: number): Promise<Uint8Array | undefined> =>
    read(tileFile({ level, index, width: widthAt(level, index) }));
  const count = Math.ceil(treeSize / TILE_WIDTH);
  const bundles = ahead(count, concurrency, async (index) => {
    const leaves = await read(bundleFile(index, treeSize));
    return leaves === undefined ? undefined : leafHashes(leaves.bytes, leaves.bounds);
  });
  const tiles = ahead(count, concurrency, (index) => readTile(0, index));
  let parent: { readonly index: number; readonly bytes: Uint8Array | undefined } | undefined;
  return {
    leafHashes: async (index) => {
      const hashes = await bundles(index);
      flush();
      return hashes;
    },
    tile: async ({ level, index }) => {
      const bytes = level === 0 ? await tiles(index) : await readTile(level, index);
      flush();
      return bytes;
    },
    above: async (index): Promise<TreeHash | undefined> => {
      const place = Math.floor(index / TILE_WIDTH);
      if (parent?.index !== place) {
        parent = { index: place, bytes: await readTile(1, place) };
        // Told of when the tile itself is compared.
        found.splice(0);
      }
      return parent.bytes === undefined ? undefined : hashInTile(parent.bytes, index % TILE_WIDTH);
    },
  };
}

function withoutTiles({ leafHashes }: TreeSource): TreeSource {
  const nothing = async (): Promise<undefined> => undefined;
  return { leafHashes, tile: nothing, above: nothing };
}

/** Fetches things by number, some ahead of the one that is asked for; they must be asked for in order, each once. */
function ahead<T>(count: number, most: number, fetchOne: (index: number) => Promise<T>): (index: number) => Promise<T> {
  const running = new Map<number, Promise<T>>();
  let started = 0;
  return async (index) => {
    for (; started < Math.min(count, index + most); started++) {
      const next = fetchOne(started);
      // Whoever asks for it hears of its failure; nobody may ask any more.
      next.catch(() => undefined);
      running.set(started, next);
    }
    const own = running.get(index);
    running.delete(index);
    if (own === undefined) throw new Error('bug: asked for out of order');
    return await own;
  };
}
