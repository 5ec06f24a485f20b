/** Older copies, copies elsewhere, and missing parts: a server that is not sure of its history does not start. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { COPY_ACCEPTED, plant, ROLLBACK_ACCEPTED } from '../support/plant.ts';
import { BUILD, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

/** A data directory with an older copy of its database beside it. */
async function withOlderCopy(): Promise<{ dataDir: string; older: string; remove: () => void }> {
  const { path, remove } = temporaryFolder('restore');
  const dataDir = join(path, 'data');
  const older = join(path, 'older-db');
  const server = await ServerProcess.start({ dataDir });
  await server.append({ id: 1 }, '?ack=signed');
  await server.stop();
  cpSync(join(dataDir, 'db'), older, { recursive: true });
  const again = await ServerProcess.start({ dataDir });
  await again.append({ id: 2 }, '?ack=signed');
  await again.append({ id: 3 }, '?ack=signed');
  await again.stop();
  return { dataDir, older, remove };
}

async function refusal(dataDir: string, build?: string): Promise<{ code: number | null; stderr: string }> {
  const server = await ServerProcess.start({ dataDir, ...(build === undefined ? {} : { build }) });
  const { code } = server.url === '' ? await server.exited : await server.stop();
  return { code, stderr: server.stderr };
}

describe('a server that cannot vouch for its history refuses to start', () => {
  test('the database put back from an older copy: 78, saying what it has and what was promised', async () => {
    const { dataDir, older, remove } = await withOlderCopy();
    rmSync(join(dataDir, 'db'), { recursive: true });
    cpSync(older, join(dataDir, 'db'), { recursive: true });
    const { code, stderr } = await refusal(dataDir);
    expect(code).toBe(78);
    expect(stderr).toMatch(/rollback: the database ends at commit \d+, but commit \d+ was promised/);

    const planted = plant(ROLLBACK_ACCEPTED);
    expect((await refusal(dataDir, planted.build)).code).not.toBe(78); // Red without the rule: it starts on the older database.
    planted.remove();
    remove();
  });

  test('a copied data directory: 78, naming indelible adopt; adopted, it runs and says so in _system', async () => {
    const { dataDir, remove } = await withOlderCopy();
    const copy = `${dataDir}-copy`;
    cpSync(dataDir, copy, { recursive: true });
    const { code, stderr } = await refusal(copy);
    expect(code).toBe(78);
    expect(stderr).toContain(`indelible adopt --data-dir ${copy}`);

    const planted = plant(COPY_ACCEPTED);
    expect((await refusal(copy, planted.build)).code).toBe(0); // Red without the rule.
    planted.remove();

    const adopted = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), 'adopt', '--data-dir', copy, '--json'], {
      encoding: 'utf8',
    });
    expect(adopted.stderr).toBe('');
    expect(adopted.status).toBe(0);
    const server = await ServerProcess.start({ dataDir: copy });
    expect(await (await server.fetch('/logs/_system/events/2')).text()).toContain('"store.adopted"');
    expect((await server.append({ id: 4 })).status).toBe(200);
    await server.stop();
    const twice = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), 'adopt', '--data-dir', copy], {
      encoding: 'utf8',
    });
    expect(twice.status).toBe(2);
    remove();
  });

  test('a part is missing or a stranger’s: 78 with the part named, and nothing is changed', async () => {
    const { dataDir, remove } = await withOlderCopy();
    for (const [part, words] of [
      ['guard', 'no guard'],
      ['db', 'database is missing'],
      ['keys/master', 'master seed'],
    ] as const) {
      renameSync(join(dataDir, part), `${dataDir}-aside`);
      const { code, stderr } = await refusal(dataDir);
      expect({ part, code }).toEqual({ part, code: 78 });
      expect(stderr).toContain(words);
      rmSync(join(dataDir, part), { recursive: true, force: true });
      renameSync(`${dataDir}-aside`, join(dataDir, part));
    }
    writeFileSync(join(dataDir, 'format'), '4\n');
    expect(await refusal(dataDir)).toMatchObject({ code: 78, stderr: expect.stringContaining('newer version') });
    writeFileSync(join(dataDir, 'format'), '3\n');
    expect((await refusal(dataDir)).code).toBe(0);

    const foreign = `${dataDir}-foreign`;
    cpSync(join(dataDir, 'format'), join(foreign, 'precious.txt'));
    expect(await refusal(foreign)).toMatchObject({ code: 78, stderr: expect.stringContaining('precious.txt') });
    remove();
  });

  test('another master seed: 78, naming the key the log was made with', async () => {
    const { dataDir, remove } = await withOlderCopy();
    writeFileSync(join(dataDir, 'keys/master'), `${'5a'.repeat(32)}\n`);
    const { code, stderr } = await refusal(dataDir);
    expect(code).toBe(78);
    expect(stderr).toContain('was made with the key');
    remove();
  });

  test.each(['the directory', 'the database', 'the guard'])(
    '%s is moved away under a running server: it stops with 75',
    async (what) => {
      const { path, remove } = temporaryFolder('moved');
      const dataDir = join(path, 'data');
      const server = await ServerProcess.start({ dataDir });
      expect((await server.append({ id: 1 }, '?ack=signed')).status).toBe(200);
      const part = what === 'the directory' ? dataDir : join(dataDir, what === 'the database' ? 'db' : 'guard');
      renameSync(part, join(path, 'aside'));
      if (what === 'the directory') mkdirSync(join(dataDir, 'db'), { recursive: true });
      expect((await server.append({ id: 2 }).catch(() => undefined))?.status).not.toBe(200);
      expect((await server.exited).code).toBe(75);

      rmSync(part, { recursive: true, force: true });
      renameSync(join(path, 'aside'), part);
      const again = await ServerProcess.start({ dataDir });
      expect(await (await again.fetch('/logs/main')).json()).toMatchObject({ tree_size: 1 });
      await again.stop();
      remove();
    },
  );

  test('nothing but a database of ours is ever removed', async () => {
    const { path, remove } = temporaryFolder('precious');
    const fresh = join(path, 'fresh');
    const first = await ServerProcess.start({ dataDir: fresh });
    await first.stop('SIGKILL');
    // A project that happens to have a folder db/, beside a guard that has promised nothing.
    const project = join(path, 'project');
    mkdirSync(join(project, 'db'), { recursive: true });
    writeFileSync(join(project, 'db/production.sqlite3'), 'precious');
    for (const extra of [['Gemfile'], []]) {
      for (const name of extra) writeFileSync(join(project, name), '');
      const server = await ServerProcess.start({ dataDir: project });
      expect((await server.exited).code).toBe(78);
      expect(readFileSync(join(project, 'db/production.sqlite3'), 'utf8')).toBe('precious');
      for (const name of extra) rmSync(join(project, name));
    }
    remove();
  });
});
