/** Rows that nobody has written: whatever stands between the ranges that the other checks read. */
import { fullTiles, TILE_WIDTH } from '../../tree/tiles.ts';
import {
  bundleKey,
  edgeKey,
  fullTileOf,
  logPrefix,
  openKey,
  streamPrefix,
  tileKey,
  withheldKey,
} from '../storage/keys.ts';
import { prefixRange, type Row } from '../storage/store.ts';
import { type Fault, fault, type Report } from './fault.ts';
import { after, type Reads } from './reads.ts';

/** What stands under a log's prefixes besides its edge and its head that waits, in the order of the keys. */
const CLASSES = ['head/', 'id/', 'open/', 'tile/'];
const STREAM_CLASSES = ['entries/', 'event/'];

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

/** Looks through a log's prefixes outside of what `event/`, `head/` and `id/` hold. */
export async function checkStrays(options: StraysOptions): Promise<void> {
  const { log, reads } = options;
  await checkKinds(options, logPrefix(log), CLASSES);
  await checkKinds(options, streamPrefix(log), STREAM_CLASSES);
  // What is left of a deleted log's body goes soon.
  if (options.deleted) return;
  await checkOpenRows(options);
  const onOther = strayTile(options);
  for (const [gte, lt] of gaps(options)) for await (const row of reads.range({ gte, lt }, 8)) onOther(row);
}

/** Tells of rows between those kinds. */
async function checkKinds(
  { log, reads, report, deleted }: StraysOptions,
  prefix: string,
  kinds: readonly string[],
): Promise<void> {
  let from = prefix;
  for (const kind of [...kinds, undefined]) {
    const gte = kind === undefined ? prefixRange(prefix, 1).lt : prefix + kind;
    for await (const { key } of reads.range({ gte: from, lt: gte })) {
      // With a log, a head that waited for witnesses is deleted too.
      if (key === edgeKey(log) || (key === withheldKey(log) && !deleted)) continue;
      report(fault('row', 'stray', { log, key, stored: 'a row of no known kind' }));
    }
    if (kind !== undefined) from = prefixRange(gte, 1).lt;
  }
}

/** Tells of rows among tiles and bundles that do not belong there. */
export function strayTile({ log, treeSize, report, growing }: StraysOptions): (row: Row) => void {
  return ({ key }) => {
    const full = fullTileOf(log, key);
    const beyond = full !== undefined && full.index >= fullTiles(full.level, treeSize);
    if (growing && beyond) return;
    const stored = beyond ? `beyond the tree size ${treeSize}` : 'a path of no full tile';
    const kind = key.startsWith(streamPrefix(log)) ? 'entry bundle' : 'tile';
    report(fault(kind, 'stray', { log, key, stored }));
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

/** Range of keys, the first included, the last not. */
type Gap = readonly [gte: string, lt: string];
/** Keys of neighbours, first and last. */
type Run = readonly [first: string, last: string];

/** The ranges between the full tiles and bundles that the walk reads. */
function gaps({ log, treeSize }: StraysOptions): Gap[] {
  const bundles = runsOf(Math.floor(treeSize / TILE_WIDTH), (index) => bundleKey(log, index));
  const tiles: Run[] = [];
  for (let level = 0; fullTiles(level, treeSize) > 0; level++)
    tiles.push(...runsOf(fullTiles(level, treeSize), (index) => tileKey(log, { level, index })));
  return [...between(`${logPrefix(log)}tile/`, tiles), ...between(`${streamPrefix(log)}entries/`, bundles)];
}

/** Runs of up to a thousand tiles of one level, whose keys follow each other bytewise. */
function runsOf(count: number, keyAt: (index: number) => string): Run[] {
  const runs: Run[] = [];
  for (let first = 0; first < count; first += 1000) runs.push([keyAt(first), keyAt(Math.min(first + 1000, count) - 1)]);
  return runs;
}

function between(prefix: string, runs: Run[]): Gap[] {
  runs.sort(([a], [b]) => (a < b ? -1 : 1));
  let from = prefix;
  const found: Gap[] = [];
  for (const [first, last] of runs) {
    found.push([from, first]);
    from = after(last);
  }
  return [...found, [from, prefixRange(prefix, 1).lt]];
}
