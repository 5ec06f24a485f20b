/** Bytes on the disk change while the server is off: bits, pages, whole files, of every file that there is. */
import { type Bug, EVENTS_NOT_VERIFIED, ROLLBACK_ACCEPTED } from '../../support/plant.ts';
import { damageRun, type Trial } from '../damage.ts';
import { makeOriginals } from '../damage-original.ts';
import type { Harness } from '../harness.ts';
import { kindOf } from '../inflict.ts';

/** Serves tiles, and proofs from them, without looking whether they hash to their nodes. */
const TILES_NOT_VERIFIED: readonly Bug[] = [
  {
    file: 'server/tree-reader.js',
    text: 'if (!equalBytes(rootOfExpanded(nodes), hashInTile(parent, index % TILE_WIDTH)))',
    replacement: 'if (false)',
  },
];

/** Opens tables as LevelDB does: without a look at their checksums. */
const TABLES_NOT_READ: readonly Bug[] = [
  {
    file: 'server/storage/level.js',
    text: 'await judge(() => checkTables(path, { scope: tableScope, manifest }), onDamage);',
    replacement: '',
  },
];

/** Lets LevelDB skip what is damaged in its log files, and pays no attention to what it says about that. */
const LOG_FILES_NOT_READ: readonly Bug[] = [
  {
    file: 'server/storage/level.js',
    text: 'await judge(() => checkLogFiles(path, promised, manifest), onDamage);',
    replacement: 'undefined;',
  },
  { file: 'server/storage/level.js', text: 'await judge(() => checkTextLog(path), onDamage);', replacement: '' },
];

/** Believes every table of the by-hash index, and every row. */
const INDEX_NOT_VERIFIED: readonly Bug[] = [
  {
    file: 'server/storage/derived-level.js',
    text: 'await checkTables(path, { manifest, pause: () => wait(LOOK_PAUSE) });',
    replacement: '',
  },
  {
    file: 'server/by-hash/runs.js',
    text: 'readU32(value, length) !== crc32(content, crc32(key))',
    replacement: 'false',
  },
];

/** Answers `damaged`, and tells nobody else. */
const NOT_COUNTED: readonly Bug[] = [{ file: 'server/process.js', text: 'metrics.damaged();', replacement: '' }];

const OUTCOMES = ['refused', 'reported', 'stopped', 'aborted', 'harmless'] as const;
/** From so many trials on, these must have been seen, or the damage is not where the data is. */
const EXPECTED: Readonly<Partial<Record<(typeof OUTCOMES)[number], number>>> = {
  refused: 200,
  harmless: 200,
  reported: 200,
};

export const harness: Harness = {
  id: 'damage',
  title: 'bits, pages and whole files are damaged at rest, of every file in the data directory',
  required: 'refused by name, or answered `damaged` with its metric and log line, or harmless; no wrong byte is served',
  unit: 'damages',
  count: { quick: 300, full: 5000 },
  plants: {
    'events-not-verified': { bugs: EVENTS_NOT_VERIFIED, count: 100, expect: /\/events\S*: \d{3} / },
    'tiles-not-verified': { bugs: TILES_NOT_VERIFIED, count: 300, expect: /\/(?:tile|proofs)\/\S*: 200 / },
    'tables-not-read': { bugs: TABLES_NOT_READ, count: 60 },
    'log-files-not-read': { bugs: LOG_FILES_NOT_READ, count: 300 },
    'index-not-verified': { bugs: INDEX_NOT_VERIFIED, count: 300 },
    'rollback-accepted': { bugs: ROLLBACK_ACCEPTED, count: 300 },
    'not-counted': { bugs: NOT_COUNTED, count: 100, expect: /answered and not counted/ },
  },
  async run({ count, seed, build, progress }) {
    const { originals, remove } = await makeOriginals();
    let trials: Trial[];
    try {
      trials = await damageRun(originals, count, seed, { build, progress });
    } finally {
      remove();
    }
    const wrong = trials.filter(({ outcome }) => outcome === 'wrong');
    const outcomes = OUTCOMES.map((name) => [name, trials.filter(({ outcome }) => outcome === name).length] as const);
    const violations = wrong.map(({ seed: own, original, file, damage, place, detail }) => ({
      seed: own,
      text: `${original}, ${damage} of ${file} (${place}): ${detail}`,
    }));
    for (const [name, times] of outcomes) {
      if (times === 0 && trials.length >= (EXPECTED[name] ?? Number.POSITIVE_INFINITY))
        violations.push({ seed, text: `no damage was ${name}: these are not the damages that we want` });
    }
    return {
      tried: trials.length,
      violations,
      seen: { ...Object.fromEntries(outcomes), 'kinds of files': new Set(trials.map(({ file }) => kindOf(file))).size },
    };
  },
};
