/** Checks one log: everything under its prefix, derived again from its leaves. */
import { walkTree } from '../../client/tree-walk.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { equalBytes, toHex } from '../../tree/bytes.ts';
import { type Frontier, frontierRoot, pushToFrontier } from '../../tree/frontier.ts';
import { leafHash, type TreeHash } from '../../tree/hash.ts';
import { coveringNodes } from '../../tree/positions.ts';
import { hashInTile, TILE_WIDTH, type TileId } from '../../tree/tiles.ts';
import type { LogDefinition } from '../log.ts';
import { type LogState, openLeaves } from '../log-state.ts';
import type { LogHead } from '../storage/commit-record.ts';
import { bundleKey, edgeKey, openKey, tileKey } from '../storage/keys.ts';
import { type Edge, parseEdge, parseOpenRow } from '../storage/rows.ts';
import { checkEdge } from './edge.ts';
import { type CheckedLeaf, makeEventsCheck } from './events.ts';
import { fault, type Report } from './fault.ts';
import { makeHeadsCheck } from './heads.ts';
import { checkRawIds, type IdsOptions, makeIdsCheck } from './ids.ts';
import { makeLogTree } from './log-tree.ts';
import type { Reads } from './reads.ts';
import { checkStrays, strayTile } from './strays.ts';
import { makeWithheldCheck } from './withheld.ts';

export interface LogCheckOptions {
  readonly definition: LogDefinition;
  /** Every key that the log has signed with. Asked at each head: a rotation may begin and end during a walk. */
  readonly verifierKeys: () => readonly VerifierKey[];
  readonly idDigest: ((id: string) => string) | undefined;
  readonly sourceOf: IdsOptions['sourceOf'];
  readonly reads: Reads;
  readonly report: Report;
  /**
   * The state that a running server has in memory: the walk checks the store against it, and takes what goes beyond it for the work of
   * commits since. Without one the edge row says how far the log goes.
   */
  readonly state?: LogState | undefined;
  readonly onEntries?: ((done: number, treeSize: number) => void) | undefined;
}

/** Checks a log. Returns the head that was derived, `undefined` where none could be. */
export async function checkLog(options: LogCheckOptions): Promise<LogHead | undefined> {
  const { definition, verifierKeys: keys, reads, report, state, onEntries } = options;
  const { name: log, origin, kind } = definition;
  const growing = state !== undefined;
  const edge = state ?? (await readEdge(log, reads, report));
  const treeSize = edge?.treeSize ?? (await sizeWithoutEdge(log, reads));
  const wrongLeaves = new Set<number>();
  const noted: Report = (found) => {
    if (found.kind === 'open leaf' && found.index !== null) wrongLeaves.add(found.index);
    report(found);
  };
  const deleted = definition.status === 'deleted';
  const common = { log, treeSize, reads, report: noted, growing, deleted };
  if (deleted) return await checkTombstone(common, keys, edge);

  // An edge that does not hold together is no witness.
  const isWhole = edge !== undefined && equalBytes(frontierRoot(edge.frontier), edge.rootHash);
  const claimed = isWhole ? edge.frontier : undefined;
  let doubtful: ReadonlySet<number> = new Set();
  /** From the first open leaf that changed on, roots say nothing new; at the end the edge knows what was there. */
  const sound = (size: number, derived: Frontier | undefined): Frontier | undefined => {
    if (derived === undefined || ![...doubtful].some((leafIndex) => leafIndex < size)) return derived;
    return size === treeSize ? claimed : undefined;
  };
  const tree = makeLogTree({
    ...common,
    onOther: strayTile(common),
    claimed,
    onOpenLeaves: (leaves) => {
      doubtful = doubtfulLeaves(treeSize, leaves, claimed);
    },
    openLeaves: state && openLeaves(state, 0, state.treeSize),
  });
  const heads = await makeHeadsCheck({ ...common, keys });
  const withheld = await makeWithheldCheck({ ...common, keys });
  const idsOptions: IdsOptions = { ...common, idDigest: options.idDigest, sourceOf: options.sourceOf };
  const ids = makeIdsCheck(idsOptions);
  const events = makeEventsCheck({ ...common, origin, onEntries: ids.entries });
  const tell = (
    kind: 'entry bundle' | 'tile',
    index: number | null,
    rowKey: string,
    stored: string,
    derived: string,
  ): void => noted(fault(kind, 'differs', { log, index, key: rowKey, stored, derived }));

  const frontier = await walkTree({
    treeSize,
    source: tree,
    partialTiles: false,
    watcher: {
      bundleDiffers: (leafIndex, stored, derived) =>
        tell('entry bundle', leafIndex, tree.keyOfLeaf(leafIndex), `leaf hash ${toHex(stored)}`, toHex(derived)),
      tileDiffers: (tile: TileId, place, stored, derived) =>
        tell('tile', null, tileKey(log, tile), `hash ${place} as ${toHex(stored)}`, toHex(derived)),
      cannotDerive: (index) =>
        noted(
          fault('tile', 'unreadable', {
            log,
            key: bundleKey(log, index),
            derived: 'nothing from here on: bundle and tile are both unusable',
          }),
        ),
      nextSize: () => Math.min(heads.next(), withheld.next()),
      onSize: async (size, derived) => {
        const frontier = sound(size, derived);
        if (withheld.next() === size) withheld.compare(frontier);
        else await heads.compare(frontier);
      },
      onBundle: async (index, width, hashes) => {
        const leaves = tree.leaves();
        const first = index * TILE_WIDTH;
        const open = width < TILE_WIDTH;
        if (open && state !== undefined) compareWithMemory(log, first, leaves, state, tree.keyOfLeaf, noted);
        if (kind === 'events') {
          const checked = Array.from({ length: width }, (_, i): CheckedLeaf => {
            const isDoubtful = doubtful.has(first + i);
            return {
              leaf: leaves?.[i],
              hash: isDoubtful || hashes === undefined ? undefined : hashInTile(hashes, i),
              key: tree.keyOfLeaf(first + i),
              doubtful: isDoubtful,
            };
          });
          await events.entries(first, checked);
        }
        onEntries?.(first + width, treeSize);
      },
    },
  });
  const lastReceivedAt = await finishEntries();
  if (edge !== undefined)
    checkEdge({ log, edge, report, frontier, lastReceivedAt, wrongLeaves, keyOfLeaf: tree.keyOfLeaf });
  await heads.finish(edge?.head);
  await checkStrays(common);
  const believed = sound(treeSize, frontier);
  return believed === undefined ? undefined : { name: log, treeSize, rootHash: frontierRoot(believed) };

  async function finishEntries(): Promise<number | undefined> {
    if (kind === 'raw') {
      await checkRawIds(idsOptions);
      return undefined;
    }
    const last = await events.finish();
    await ids.finish();
    return last;
  }
}

/** Of a deleted log edge and heads stay: the edge hashes to its root, and the last head signs that. */
async function checkTombstone(
  common: Parameters<typeof checkStrays>[0],
  keys: LogCheckOptions['verifierKeys'],
  edge: Edge | undefined,
): Promise<LogHead | undefined> {
  const { log, treeSize, report } = common;
  const heads = await makeHeadsCheck({ ...common, keys });
  while (heads.next() <= treeSize) await heads.compare(heads.next() === treeSize ? edge?.frontier : undefined);
  await heads.finish(edge?.head);
  await checkStrays(common);
  if (edge === undefined) return undefined;
  const derived = { frontier: undefined, lastReceivedAt: undefined, wrongLeaves: new Set<number>() };
  checkEdge({ log, edge, report, ...derived, keyOfLeaf: (leafIndex) => openKey(log, leafIndex) });
  return { name: log, treeSize, rootHash: edge.rootHash };
}

async function readEdge(log: string, reads: Reads, report: Report): Promise<Edge | undefined> {
  const key = edgeKey(log);
  const found = await reads.get(key);
  try {
    if (found instanceof Uint8Array) return parseEdge(found);
    if (found === undefined) report(fault('edge', 'missing', { log, key }));
  } catch (error) {
    report(fault('edge', 'malformed', { log, key, stored: (error as Error).message }));
  }
  return undefined;
}

/** How far a log goes whose edge is lost: as far as there are leaves. */
async function sizeWithoutEdge(log: string, reads: Reads): Promise<number> {
  let bundles = 0;
  while ((await reads.get(bundleKey(log, bundles))) instanceof Uint8Array) bundles++;
  let treeSize = bundles * TILE_WIDTH;
  for (;;) {
    const row = await reads.get(openKey(log, treeSize));
    const leaves = row instanceof Uint8Array ? leavesOf(row) : 0;
    if (leaves === 0) return treeSize;
    treeSize += leaves;
  }
}

/** How many leaves an open row holds; 0 where it cannot be told. */
function leavesOf(row: Uint8Array): number {
  try {
    return parseOpenRow(row, TILE_WIDTH).length;
  } catch {
    return 0;
  }
}

/** Open leaves that the claimed frontier does not vouch for. */
function doubtfulLeaves(
  treeSize: number,
  leaves: readonly Uint8Array[] | undefined,
  claimed: Frontier | undefined,
): ReadonlySet<number> {
  const doubtful = new Set<number>();
  if (leaves === undefined || claimed === undefined) return doubtful;
  const first = treeSize - leaves.length;
  for (const [at, { level, index }] of coveringNodes(0, treeSize).entries()) {
    const begin = index * 2 ** level - first;
    if (begin < 0) continue;
    const part = leaves.slice(begin, begin + 2 ** level);
    const frontier: TreeHash[] = [];
    for (const [i, leaf] of part.entries()) pushToFrontier(frontier, i, leafHash(leaf));
    if (!equalBytes(frontierRoot(frontier), claimed[at] as TreeHash))
      for (const i of part.keys()) doubtful.add(first + begin + i);
  }
  return doubtful;
}

function compareWithMemory(
  log: string,
  first: number,
  leaves: readonly Uint8Array[] | undefined,
  state: LogState,
  keyOfLeaf: (leafIndex: number) => string,
  report: Report,
): void {
  const inMemory = openLeaves(state, first, state.treeSize);
  for (const [i, leaf] of (leaves ?? []).entries()) {
    const own = inMemory[i] as Uint8Array;
    if (equalBytes(leaf, own)) continue;
    const [stored, derived] = [`leaf hash ${toHex(leafHash(leaf))}`, `${toHex(leafHash(own))}, as in memory`];
    report(fault('open leaf', 'differs', { log, index: first + i, key: keyOfLeaf(first + i), stored, derived }));
  }
}
