/** Rows that nobody has written: whatever stands between the ranges that the other checks read. */
import { fullTiles, parseTilePath, TILE_WIDTH } from '../../tree/tiles.ts';
import { bundleKey, edgeKey, logPrefix, openKey, tileKey, withheldKey } from '../storage/keys.ts';
import { prefixRange, type Row } from '../storage/store.ts';
import { type Fault, fault, type Report } from './fault.ts';
import { after, type Reads } from './reads.ts';

/** What stands under a log's prefix besides its edge. */
const CLASSES = ['event/', 'head/', 'id/', 'open/', 'tile/'];

export interface StraysOptions {
  readonly log: string;
  readonly treeSize: number;
  readonly reads: Reads;
  readonly report: Report;
  /** Tiles, bundles and open leaves beyond the tree size are those of commits since, not damage. */
  readonly growing: boolean;
  /** Of the log only a tombstone must be left. */
  readonly deleted: boolean;
}

/** Looks through a log's prefix outside of what `event/`, `head/` and `id/` hold. */
export async function checkStrays(options: StraysOptions): Promise<void> {
  const { log, reads, report } = options;
  const prefix = logPrefix(log);
  let from = prefix;
  for (const name of [...CLASSES, undefined]) {
    const gte = name === undefined ? prefixRange(prefix, 1).lt : prefix + name;
    for await (const { key } of reads.range({ gte: from, lt: gte })) {
      // With a log, a head that waited for witnesses is deleted too.
      if (key === edgeKey(log) || (key === withheldKey(log) && !options.deleted)) continue;
      report(fault('row', 'stray', { log, key, stored: 'a row of no known kind' }));
    }
    if (name !== undefined) from = prefixRange(gte, 1).lt;
  }
  // What is left of a deleted log's body goes soon.
  if (options.deleted) return;
  await checkOpenRows(options);
  const onOther = strayTile(options);
  for (const [gte, lt] of gaps(options)) for await (const row of reads.range({ gte, lt }, 8)) onOther(row);
}

/** Tells of rows among tiles and bundles that do not belong there. */
export function strayTile({ log, treeSize, report, growing }: StraysOptions): (row: Row) => void {
  const prefix = logPrefix(log);
  return ({ key }) => {
    const path = parseTilePath(key.slice(prefix.length));
    const full = path !== undefined && path.tile.width === TILE_WIDTH;
    const beyond = full && path.tile.index >= fullTiles(path.tile.level, treeSize);
    if (growing && beyond) return;
    const stored = beyond ? `beyond the tree size ${treeSize}` : 'a path of no full tile';
    report(fault(path?.kind === 'bundle' ? 'entry bundle' : 'tile', 'stray', { log, key, stored }));
  };
}

async function checkOpenRows({ log, treeSize, reads, report, growing }: StraysOptions): Promise<void> {
  const prefix = openKey(log, 0).slice(0, -16);
  const { gte, lt } = prefixRange(prefix, 1);
  const first = treeSize - (treeSize % TILE_WIDTH);
  const tell = (rest: Partial<Fault>): void => report(fault('open leaf', 'stray', { log, ...rest }));
  for await (const { key } of reads.range({ gte, lt }, 256)) {
    const digits = key.slice(prefix.length);
    if (!/^[0-9]{16}$/.test(digits)) tell({ key, stored: 'a key of no form that open leaves have' });
    else if (Number(digits) < first) tell({ key, index: Number(digits), stored: 'a leaf whose bundle is full' });
    else if (Number(digits) >= treeSize && !growing)
      tell({ key, index: Number(digits), stored: `beyond the tree size ${treeSize}` });
  }
}

/**
 * The ranges under `tile/` between the runs of full tiles that the walk reads: a run is up to a thousand tiles of one level, whose
 * keys follow each other bytewise.
 */
function gaps({ log, treeSize }: StraysOptions): [gte: string, lt: string][] {
  const runs: [first: string, last: string][] = [];
  const add = (count: number, keyAt: (index: number) => string): void => {
    for (let first = 0; first < count; first += 1000)
      runs.push([keyAt(first), keyAt(Math.min(first + 1000, count) - 1)]);
  };
  add(Math.floor(treeSize / TILE_WIDTH), (index) => bundleKey(log, index));
  for (let level = 0; fullTiles(level, treeSize) > 0; level++)
    add(fullTiles(level, treeSize), (index) => tileKey(log, { level, index }));
  runs.sort(([a], [b]) => (a < b ? -1 : 1));
  const prefix = `${logPrefix(log)}tile/`;
  let from = prefix;
  const found: [string, string][] = [];
  for (const [first, last] of runs) {
    found.push([from, first]);
    from = after(last);
  }
  return [...found, [from, prefixRange(prefix, 1).lt]];
}
