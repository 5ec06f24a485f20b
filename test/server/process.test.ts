import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { GuardError, GuardFile } from '../../server/guard.ts';
import type { Log } from '../../server/log.ts';
import { type RunningServer, runServer } from '../../server/process.ts';
import { readConfig } from '../../server/read-config.ts';
import { append } from './memory-server.ts';

let folder: string;
let running: RunningServer;
const { promise } = GuardFile.prototype;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'indelible-process-'));
  const flags = { dataDir: join(folder, 'data'), listen: '127.0.0.1:0', logLevel: 'silent' };
  running = await runServer(readConfig(flags, {}));
});

afterEach(async () => {
  GuardFile.prototype.promise = promise;
  rmSync(folder, { recursive: true });
});

const main = (): Log => running.started.server.log('main') as Log;

test('a stop that is asked for ends with 0', async () => {
  await append(running.started, main(), 3);
  running.stop();
  expect(await running.stopped).toBe(0);
  expect(main().published.treeSize).toBe(3);
});

test('a write that fails while the server drains is no clean stop', async () => {
  GuardFile.prototype.promise = async () => {
    throw new GuardError('outcome_unknown', 'planted');
  };
  const waiting = append(running.started, main(), 1);
  running.stop();
  await expect(waiting).rejects.toMatchObject({ code: 'outcome_unknown' });
  expect(await running.stopped).toBe(70);
});
