/** The look for acknowledged entries that ends each round of writing: it finds them after kill -9, and notices one that is not there. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, test } from '@jest/globals';
import { killAll, temporaryFolder } from '../support/spawn-server.ts';
import { lookFor } from './measure/look.ts';
import { eventOf, ndjson, rawBatch, rawEntries } from './measure/payloads.ts';
import { type Acknowledged, record } from './measure/recorder.ts';
import { Indelible } from './subjects/indelible.ts';

const folder = temporaryFolder('durability');
afterAll(async () => {
  await killAll();
  folder.remove();
});

const BODIES = {
  add: rawEntries(50),
  'add-batch': [rawBatch(300, 50)],
  events: [ndjson([eventOf(200), eventOf(200)])],
} as const;

describe('after kill -9', () => {
  test.each(['add', 'add-batch', 'events'] as const)('%s: all is there, and what is not is noticed', async (form) => {
    const server = await Indelible.start({ dataDir: `${folder.path}/${form}` });
    await server.createLog('bench', form === 'events' ? 'events' : 'raw');
    const sending = { log: server.log('bench'), form, headers: server.headers, bodies: BODIES[form], connections: 4 };
    const recording = record(sending);
    await wait(500);
    await server.stop();
    const recorded = await recording;
    expect(recorded.length).toBeGreaterThan(10);
    await server.restart();
    await expect(server.sizeOfAll(['bench', 'missing'])).rejects.toThrow('no size of log missing: 404');
    const size = await server.size('bench');
    expect(await server.sizeOfAll(Array(64).fill('bench'))).toBe(64 * size);
    const place = { server, log: 'bench', form, size };
    await lookFor(recorded, place);

    const one = recorded[7] as Acknowledged;
    const changed = Buffer.from(one.bytes);
    changed[20] = ((changed[20] as number) + 1) % 256;
    const missing = `entry ${one.index} is not the one`;
    await expect(lookFor([{ ...one, bytes: changed }], place)).rejects.toThrow(missing);
    await expect(lookFor([one], { ...place, size: one.index })).rejects.toThrow(missing);
    const other = recorded.find(({ index }) => index === one.index + 1) as Acknowledged;
    await expect(lookFor([{ ...other, index: one.index }], place)).rejects.toThrow(missing);
    if (form === 'events') {
      const leafHash = Buffer.alloc(32).toString('base64');
      await expect(lookFor([{ ...one, leafHash }], place)).rejects.toThrow(missing);
    }
    await server.stop();
  });
});
