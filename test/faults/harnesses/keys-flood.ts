/** One API key asks for all it can get, with limits for each key; the others go on. */
import { temporaryFolder } from '../../support/spawn-server.ts';
import type { Harness } from '../harness.ts';
import { floodRun } from '../keys-flood.ts';

export const harness: Harness = {
  id: 'keys-flood',
  title: 'a flood of requests by one API key',
  required:
    'it gets no more than its rate, what is refused is not stored, and no other key is refused or waits for long',
  unit: 'floods',
  count: { quick: 4, full: 40 },
  alone: true,
  least: { appended: 100, refused: 1000, 'quiet appends': 20 },
  plants: {
    'nothing-is-limited': {
      bugs: [{ file: 'server/http/rate-limiter.js', text: 'if (missing > 0)', replacement: 'if (false)' }],
      count: 1,
    },
    'one-bucket-for-all': {
      bugs: [
        {
          file: 'server/http/rate-limiter.js',
          text: 'let usage = this.#usage.get(key);',
          replacement: 'key = RateLimiter; let usage = this.#usage.get(key);',
        },
      ],
      count: 8,
    },
    'refused-and-stored': {
      bugs: [
        {
          file: 'server/http/events.js',
          text: 'if (tooMuch !== undefined)',
          replacement:
            "if (tooMuch !== undefined) await server.sequencer.append({ log, events, by, source, via: 'events', once });\n    if (tooMuch !== undefined)",
        },
      ],
      count: 1,
    },
    'batches-count-as-one': {
      bugs: [
        {
          file: 'server/http/events.js',
          text: '.entries(sender, events.length)',
          replacement: '.entries(key, 1)',
        },
      ],
      count: 1,
    },
  },
  async run({ count, seed, build, progress }) {
    const { path, remove } = temporaryFolder('flood');
    const { rounds, violations, seen } = await floodRun({
      dataDir: path,
      ...{ rounds: count, seed, progress },
      ...(build === undefined ? {} : { build }),
    });
    remove();
    return { tried: rounds, violations, seen };
  },
};
