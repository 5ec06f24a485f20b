/** Checks a log's edge row against what was derived from its leaves. */
import { equalBytes, toHex } from '../../tree/bytes.ts';
import { frontierRoot } from '../../tree/frontier.ts';
import type { TreeHash } from '../../tree/hash.ts';
import { coveringNodes } from '../../tree/positions.ts';
import { TILE_HEIGHT } from '../../tree/tiles.ts';
import { edgeKey } from '../storage/keys.ts';
import type { Edge } from '../storage/rows.ts';
import { type Fault, fault, type Report } from './fault.ts';

export interface EdgeOptions {
  readonly log: string;
  readonly edge: Edge;
  readonly report: Report;
  /** Derived from the leaves; `undefined` where that was not possible. */
  readonly frontier: readonly TreeHash[] | undefined;
  /** receivedAt of the last leaf; `undefined` where it is unknown, as in raw logs. */
  readonly lastReceivedAt: number | undefined;
  /** Key of the row that a leaf stands in. */
  readonly keyOfLeaf: (leafIndex: number) => string;
  /** Open leaves that were found wrong by themselves. */
  readonly wrongLeaves: ReadonlySet<number>;
}

/**
 * Compares the edge with what was derived. Where the edge holds together and only its nodes over the open leaves differ, it is these
 * leaves that changed: no tile vouches for them.
 */
export function checkEdge(options: EdgeOptions): void {
  const { log, edge, report, frontier, lastReceivedAt, wrongLeaves, keyOfLeaf } = options;
  const key = edgeKey(log);
  const tell = (stored: string, derived: string): void =>
    report(fault('edge', 'differs', { log, key, stored, derived }));
  if (lastReceivedAt !== undefined && lastReceivedAt !== edge.lastReceivedAt)
    tell(`receivedAt ${edge.lastReceivedAt}`, `${lastReceivedAt}, as of the last leaf`);
  const own = frontierRoot(edge.frontier);
  const wholeEdge = equalBytes(own, edge.rootHash);
  if (frontier === undefined) {
    if (!wholeEdge) tell(`root hash ${toHex(edge.rootHash)}`, `${toHex(own)}, from the frontier beside it`);
    return;
  }
  let leaves = false;
  for (const [at, { level, index }] of coveringNodes(0, edge.treeSize).entries()) {
    const [stored, derived] = [edge.frontier[at] as TreeHash, frontier[at] as TreeHash];
    if (equalBytes(stored, derived)) continue;
    if (wholeEdge && level < TILE_HEIGHT) {
      leaves = true;
      const first = index * 2 ** level;
      const last = first + 2 ** level - 1;
      if ([...wrongLeaves].some((leafIndex) => leafIndex >= first && leafIndex <= last)) continue;
      const which = first === last ? `leaf ${first}` : `one of the leaves ${first} to ${last}`;
      const found: Partial<Fault> = { log, index: first, key: keyOfLeaf(first) };
      report(
        fault('open leaf', 'differs', {
          ...found,
          stored: `${which} as ${toHex(derived)}`,
          derived: `${toHex(stored)}, by the edge`,
        }),
      );
    } else tell(`frontier hash ${at} as ${toHex(stored)}`, toHex(derived));
  }
  const root = frontierRoot(frontier);
  if (!leaves && !equalBytes(root, edge.rootHash)) tell(`root hash ${toHex(edge.rootHash)}`, toHex(root));
}
