/** Damage of one kind that a server must live with; all others are tried by `npm run test:faults -- damage`. */
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { eventKey } from '../../server/storage/keys.ts';
import { openLevelStore } from '../../server/storage/level.ts';
import { killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

test('a value that was altered on disk: 500 damaged with the metric, the others as they were, never the altered bytes', async () => {
  const folder = temporaryFolder('altered');
  const dataDir = join(folder.path, 'data');
  let server = await ServerProcess.start({ dataDir, flags: ['--interval', '20'] });
  for (let n = 0; n < 5; n++) await server.append({ n, amount: 100 }, '?ack=signed');
  await server.stop();

  // With a right checksum: somebody who can write there, or LevelDB after it read a flipped bit.
  const store = await openLevelStore({ path: join(dataDir, 'db'), createIfMissing: false });
  const key = eventKey('main', 2);
  const text = Buffer.from((await store.get(key)) as Uint8Array).toString('latin1');
  expect(text).toContain('"amount":100');
  await store.commit([{ key, value: new Uint8Array(Buffer.from(text.replace('100', '900'), 'latin1')) }]);
  await store.close();

  server = await ServerProcess.start({ dataDir, flags: ['--interval', '20'] });
  const metric = async (): Promise<number> =>
    Number(/^indelible_damage_total (\d+)$/m.exec(await (await server.fetch('/metrics')).text())?.[1]);
  expect(await metric()).toBe(0);
  for (let n = 0; n < 5; n++) {
    const reply = await server.fetch(`/logs/main/events/${n}`);
    const body = await reply.text();
    expect([n, reply.status]).toEqual([n, n === 2 ? 500 : 200]);
    expect(body).not.toContain('900');
    if (n === 2) expect(JSON.parse(body)).toMatchObject({ code: 'damaged' });
  }
  expect((await server.fetch('/logs/main/events?from=0')).status).toBe(500);
  expect(await metric()).toBeGreaterThan(0);
  await server.stop();
  folder.remove();
}, 60_000);
