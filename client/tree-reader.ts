/**
 * Reads a C2SP tlog-tiles log at one tree size: leaves in order from any place on, and the few nodes that a proof needs. Nothing that
 * comes from here is believed before it was folded to a root hash that is signed.
 */
import { consistencyNodes, proveConsistency, verifyConsistency } from '../proofs/consistency.ts';
import { frontierRoot } from '../tree/frontier.ts';
import type { TreeHash } from '../tree/hash.ts';
import { coveringNodes, type NodeId } from '../tree/positions.ts';
import { fullTiles, nodeFromTile, partialWidth, TILE_WIDTH, type TileId, tileOfNode, tilePath } from '../tree/tiles.ts';
import { ClientError } from './error.ts';
import type { Transport } from './transport.ts';
import { bundleFile, type TreeFile, tileFile } from './tree-file.ts';

export interface TreeReaderOptions {
  readonly transport: Transport;
  /** Size that the tiles and bundles are asked for: that of a head which the log shows. */
  readonly treeSize: number;
  readonly signal?: AbortSignal | undefined;
}

/** Leaves that follow each other, as they stand in one bundle. */
export interface LeafRun {
  /** Leaf index of the first one. */
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  /** Where they stand in `bytes`, as of `bundleBounds`. */
  readonly bounds: Uint32Array;
}

/** What the tiles say that a tree has at two sizes, and what goes from the one to the other. Root hashes are theirs, not signed ones. */
export interface TileProof {
  readonly firstRoot: TreeHash;
  readonly secondRoot: TreeHash;
  readonly proof: readonly TreeHash[];
}

/**
 * The leaves from `from` up to the tree size, bundle by bundle; `ahead` bundles are fetched before they are asked for.
 * Throws ClientError: `missing_entries` where the log does not have a bundle of a tree that it signed, `bad_reply` for one that is not
 * whole, and as `Transport.request`.
 */
export async function* readLeaves(
  options: TreeReaderOptions & { readonly from: number; readonly ahead?: number | undefined },
): AsyncGenerator<LeafRun, void, undefined> {
  const { treeSize, from, ahead = 4 } = options;
  const last = Math.ceil(treeSize / TILE_WIDTH);
  const running: Promise<LeafRun>[] = [];
  let next = Math.floor(from / TILE_WIDTH);
  for (;;) {
    for (; next < last && running.length < ahead; next++) {
      const fetched = readBundle(options, next);
      // Whoever takes it hears of its failure; nobody may take it any more.
      fetched.catch(() => undefined);
      running.push(fetched);
    }
    const taken = await running.shift();
    if (taken === undefined) return;
    const skip = Math.max(0, from - taken.first);
    if (skip < taken.count)
      yield {
        first: taken.first + skip,
        count: taken.count - skip,
        bytes: taken.bytes,
        bounds: taken.bounds.subarray(2 * skip),
      };
  }
}

async function readBundle(options: TreeReaderOptions, index: number): Promise<LeafRun> {
  const { bytes, bounds } = await readFile(options, bundleFile(index, options.treeSize));
  return { first: index * TILE_WIDTH, count: bounds.length / 2, bytes, bounds };
}

/** Gives nodes of the tree out of its tiles, each of which is fetched once. */
export class NodeReader {
  readonly #options: TreeReaderOptions;
  readonly #tiles = new Map<string, { readonly tile: TileId; readonly bytes: Uint8Array }>();

  constructor(options: TreeReaderOptions) {
    this.#options = options;
  }

  /** Fetches what the nodes are made of. Throws as `readLeaves` does. */
  async load(nodes: readonly NodeId[]): Promise<void> {
    for (const node of nodes) {
      const tile = this.#tileOf(node);
      const path = tilePath(tile);
      if (this.#tiles.has(path)) continue;
      const bytes = await readFile(this.#options, tileFile(tile));
      this.#tiles.set(path, { tile, bytes });
    }
  }

  /** A node whose tile was loaded. */
  readonly node = (node: NodeId): TreeHash => {
    const loaded = this.#tiles.get(tilePath(this.#tileOf(node)));
    if (loaded === undefined) throw new Error('bug: a node whose tile was not loaded');
    return nodeFromTile(node, loaded.bytes);
  };

  /** The frontier of the first `size` leaves, as the tiles have it: it counts once its fold is a root hash that is signed. */
  async frontier(size: number): Promise<TreeHash[]> {
    const nodes = coveringNodes(0, size);
    await this.load(nodes);
    return nodes.map(this.node);
  }

  /**
   * What the tiles say about two sizes, 0 < first < second ≤ the tree size: the hashes fit each other, for they are one tree's. Whether that
   * is the signed tree is for the caller, who compares `secondRoot`. Throws as `readLeaves` does, and ClientError `bad_reply` where the
   * tiles do not fit each other.
   */
  async consistency(first: number, second: number): Promise<TileProof> {
    const firstRoot = frontierRoot(await this.frontier(first));
    const secondRoot = frontierRoot(await this.frontier(second));
    await this.load(consistencyNodes({ first, second }));
    const proof = proveConsistency({ first, second }, this.node);
    try {
      verifyConsistency({ first, second, firstRoot, secondRoot, proof });
    } catch (cause) {
      throw new ClientError('bad_reply', `the tiles between ${first} and ${second} do not fit each other`, { cause });
    }
    return { firstRoot, secondRoot, proof };
  }

  /** The tile that a node is in, as wide as it is at our tree size: other widths need not be there. */
  #tileOf(node: NodeId): TileId {
    const { level, index } = tileOfNode(node);
    const { treeSize } = this.#options;
    const width = index < fullTiles(level, treeSize) ? TILE_WIDTH : partialWidth(level, treeSize);
    return { level, index, width };
  }
}

/** What is wanted of a file, or of that which may stand for it. Throws as `readLeaves` does. */
async function readFile<T>(
  { transport, treeSize, signal }: TreeReaderOptions,
  { paths, maxSize, cut }: TreeFile<T>,
): Promise<T> {
  for (const path of paths) {
    let bytes: Uint8Array;
    try {
      bytes = await transport.request({ path, maxReplySize: maxSize, signal });
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) continue;
      throw error;
    }
    try {
      return cut(bytes, path);
    } catch (cause) {
      throw new ClientError('bad_reply', `${path}: ${(cause as Error).message}`, { cause });
    }
  }
  throw new ClientError('missing_entries', `the log has signed a tree of ${treeSize} and does not have ${paths[0]}`);
}
