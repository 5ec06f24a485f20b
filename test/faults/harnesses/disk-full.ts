/** A disk that fills up, is freed and fills up again: by load, to the brim, and at one stroke; on tmpfs and on ext4. */
import { FAILURE_FORGOTTEN, NO_WATERMARK } from '../../support/plant.ts';
import { canMake, type FileSystem } from '../../support/small-disk.ts';
import { brimRun, type DiskFullReport, type DiskFullRun, strokeRun, watermarkRun } from '../disk-full.ts';
import type { Harness, Violation } from '../harness.ts';

/** Sizes in MiB: ext4 takes some of it for its journal and its tables. */
const SIZES: Readonly<Record<FileSystem, number>> = { tmpfs: 24, ext4: 32 };

const FORMS = { watermark: watermarkRun, stroke: strokeRun, brim: brimRun } as const;
type Form = keyof typeof FORMS;

/** What follows what: every form on either file system before one of them comes again. */
const ORDER: readonly (readonly [Form, FileSystem])[] = [
  ['watermark', 'tmpfs'],
  ['stroke', 'ext4'],
  ['brim', 'tmpfs'],
  ['watermark', 'ext4'],
  ['stroke', 'tmpfs'],
  ['brim', 'ext4'],
];
/** How often a disk fills up before there is a new one: of the first round, and of all later ones. */
const SHORT: Readonly<Record<Form, number>> = { watermark: 2, stroke: 2, brim: 2 };
const LONG: Readonly<Record<Form, number>> = { watermark: 2, stroke: 12, brim: 6 };

/** Without ext4 there is half of it; without tmpfs there is nothing. */
function fileSystemOf(wanted: FileSystem, hasExt4: boolean): FileSystem {
  return hasExt4 ? wanted : 'tmpfs';
}

/** Goes on full for ever once it was full. */
const FULL_FOR_EVER = [
  { file: 'server/free-space.js', text: 'before ? rest.minimum * HYSTERESIS', replacement: 'before ? Infinity' },
];

/** Refuses what does not fit, and tells nobody but the clients. */
const NO_ALARM = [
  {
    file: 'server/free-space.js',
    text: 'this.#options.onChange?.(this.#report);',
    replacement: ';',
  },
];

export const harness: Harness = {
  id: 'disk-full',
  title: 'the disk fills up, is freed and fills up again, on tmpfs and ext4',
  required: '507 in time and on again by itself, or exit 70 and a clean start once there is room; nothing is lost',
  unit: 'cycles',
  count: { quick: 10, full: 200 },
  least: { acknowledged: 1, heads: 0.5, refused: 1 },
  plants: {
    'no-watermark': { bugs: NO_WATERMARK, count: 2 },
    'failure-forgotten': { bugs: FAILURE_FORGOTTEN, count: 10 },
    'full-for-ever': { bugs: FULL_FOR_EVER, count: 2 },
    'no-alarm': { bugs: NO_ALARM, count: 2 },
  },
  missing: () => (canMake('tmpfs') ? undefined : 'only root can mount a small disk'),
  async run({ count, seed, build, progress }) {
    const violations: Violation[] = [];
    const seen = { acknowledged: 0, heads: 0, refused: 0, 'fail-stops': 0, 'refused starts': 0, 'on ext4': 0 };
    const hasExt4 = canMake('ext4');
    if (!hasExt4) process.stderr.write('SKIPPED disk-full on ext4: no loop device, or no mkfs.ext4\n');
    let tried = 0;
    for (let i = 0; tried < count && violations.length === 0; i++) {
      const [form, wanted] = ORDER[i % ORDER.length] as (typeof ORDER)[number];
      const fileSystem = fileSystemOf(wanted, hasExt4);
      const cycles = Math.min(count - tried, (i < ORDER.length ? SHORT : LONG)[form]);
      const options: DiskFullRun = {
        size: SIZES[fileSystem],
        fileSystem,
        cycles,
        seed: seed + i,
        ...(build === undefined ? {} : { build }),
      };
      const report: DiskFullReport = await FORMS[form](options);
      tried += report.cycles;
      progress(tried, `${form} on ${fileSystem}`);
      seen.acknowledged += report.acknowledged;
      seen.heads += report.checkpoints;
      seen.refused += report.refused;
      seen['fail-stops'] += report.failStops;
      seen['refused starts'] += report.refusedStarts;
      if (fileSystem === 'ext4') seen['on ext4'] += report.cycles;
      for (const text of report.violations) violations.push({ seed, text: `${form} on ${fileSystem}: ${text}` });
    }
    return { tried, violations, seen };
  },
};
