/** `npm run test:faults`: runs harnesses one after the other, and the bugs that they have to catch. Ends with a line that counts them. */
import { plant } from '../support/plant.ts';
import { killAll } from '../support/spawn-server.ts';
import type { Harness, Outcome } from './harness.ts';
import { allHarnesses } from './harnesses.ts';
import { runInLanes } from './lanes.ts';
import { readOptions } from './options.ts';
import { Progress } from './progress.ts';
import { describe, type Result } from './result.ts';

const {
  mode,
  harnesses,
  seed,
  count,
  plant: onlyPlant,
  plants,
  json,
  lanes,
} = readOptions(await allHarnesses(), process.argv.slice(2));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await killAll();
    process.exit(130);
  });
}

async function attempt(harness: Harness, faults: number, build?: string): Promise<Outcome> {
  const progress = new Progress(`${harness.id}${build === undefined ? '' : ' (planted)'}`, faults);
  try {
    return await harness.run({
      count: faults,
      seed,
      progress: (done, text) => progress.say(done, text),
      ...(build === undefined ? {} : { build }),
    });
  } catch (error) {
    // A harness that breaks has shown nothing.
    const text = `the harness itself failed: ${(error as Error).stack}`;
    return { tried: 0, seen: {}, violations: [{ seed, text, broken: true }] };
  } finally {
    progress.end();
    await killAll();
  }
}

async function tryPlant(harness: Harness, name: string): Promise<Result> {
  const { bugs, count: faults } = harness.plants[name] as Harness['plants'][string];
  const { build, remove } = plant(bugs);
  const began = Date.now();
  try {
    const wanted = count ?? faults;
    const outcome = await attempt(harness, wanted, build);
    return { harness, plant: name, outcome, count: wanted, seconds: (Date.now() - began) / 1000, mode, seed };
  } finally {
    remove();
  }
}

async function tryHarness(harness: Harness): Promise<Result> {
  const began = Date.now();
  const wanted = count ?? harness.count[mode];
  const outcome = await attempt(harness, wanted);
  return { harness, plant: undefined, outcome, count: wanted, seconds: (Date.now() - began) / 1000, mode, seed };
}

let passed = 0;
let failed = 0;
let skipped = 0;

function report(result: Result): void {
  const { good, text, record } = describe(result);
  if (good) passed++;
  else failed++;
  process.stdout.write(json ? `${JSON.stringify(record)}\n` : `${text}\n`);
}

if (lanes > 1) {
  const each = [`--${mode}`, '--seed', String(seed), ...(count === undefined ? [] : ['--count', String(count)])];
  const which = [...(onlyPlant === undefined ? [] : ['--plant', onlyPlant]), ...(plants ? ['--plants'] : [])];
  const counts = await runInLanes(harnesses, {
    lanes,
    argv: ({ id }) => [...each, ...which, id],
    print: (text) => void process.stdout.write(text),
  });
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  process.exit(counts.failed > 0 || counts.passed + counts.skipped === 0 ? 1 : 0);
}

for (const harness of harnesses) {
  const missing = harness.missing?.();
  if (missing !== undefined) {
    skipped++;
    process.stdout.write(
      json ? `${JSON.stringify({ harness: harness.id, skipped: missing })}\n` : `SKIPPED ${harness.id}: ${missing}\n`,
    );
    continue;
  }
  if (onlyPlant === undefined) report(await tryHarness(harness));
  const names = onlyPlant !== undefined ? [onlyPlant] : plants ? Object.keys(harness.plants) : [];
  for (const name of names) report(await tryPlant(harness, name));
}
if (!json) process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exit(failed > 0 || passed + skipped === 0 ? 1 : 0);
