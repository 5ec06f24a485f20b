/** Damage of one kind that a server must live with; all others are tried by `npm run test:faults -- damage`. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { eventKey } from '../../server/storage/keys.ts';
import { openLevelStore } from '../../server/storage/level.ts';
import { pause } from '../faults/expected.ts';
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
    // Not only the digits, which a time or a hash may have.
    const altered = JSON.stringify({ n: 2, amount: 900 });
    expect(body).not.toContain('"amount":900');
    expect(body).not.toContain(Buffer.from(altered).toString('base64'));
    if (n === 2) expect(JSON.parse(body)).toMatchObject({ code: 'damaged' });
  }
  expect((await server.fetch('/logs/main/events?from=0')).status).toBe(500);
  expect(await metric()).toBeGreaterThan(0);
  await server.stop();
  folder.remove();
}, 60_000);

test('a table that LevelDB may not live with: named by the start after one that ended without a word', async () => {
  const folder = temporaryFolder('nameless');
  const dataDir = join(folder.path, 'data');
  const flags = ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn', '--scrub-rate', '0'];
  let server = await ServerProcess.start({ dataDir, flags });
  for (let n = 0; n < 40; n++) await server.append({ n, filler: randomBytes(4000).toString('base64') }, '?ack=signed');
  await server.stop();
  const db = join(dataDir, 'db');
  const tables = readdirSync(db).filter((name) => name.endsWith('.ldb'));
  const size = (name: string): number => statSync(join(db, name)).size;
  const largest = tables.reduce((a, b) => (size(b) > size(a) ? b : a));
  const bytes = readFileSync(join(db, largest));
  const at = Math.floor(bytes.length / 3);
  bytes[at] = 255 - (bytes[at] as number);
  writeFileSync(join(db, largest), bytes);
  // What an abort of LevelDB leaves behind cannot be told from this, and no damage makes it abort for certain.
  const after = (state: string): Promise<ServerProcess> => {
    writeFileSync(join(dataDir, 'run'), `${state}\n`);
    return ServerProcess.start({ dataDir, flags });
  };

  server = await after('starting');
  expect((await server.exited).code).toBe(78);
  expect(server.stderr).toContain(`${largest} is damaged`);

  server = await after('running');
  expect(server.url).not.toBe('');
  while (!server.stderr.includes(largest)) await pause(50);
  expect(server.stderr).toContain('"alarm":"damage"');
  expect(await (await server.fetch('/metrics')).text()).toMatch(/^indelible_damage_total [1-9]/m);
  expect((await server.stop()).code).toBe(0);

  // One bad event does not keep a server down.
  server = await ServerProcess.start({ dataDir, flags });
  expect(server.url).not.toBe('');
  await server.stop();
  expect(server.stderr).not.toContain(largest);
  folder.remove();
}, 60_000);
