/**
 * Two servers on one data directory. In one network namespace the second is stopped by our own lock before it writes anything;
 * across namespaces, and with LevelDB's LOCK file removed, only the guard's owner block stands between them. These are the cases whose
 * every answer is looked at; `npm run test:faults -- two-writers` races them at random moments.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { OWNER_NOT_CHECKED, plant } from '../support/plant.ts';
import { ADMIN_KEY, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

afterEach(killAll);

/** A namespace of its own, with a loopback of its own; needs root and util-linux. */
const NAMESPACE = ['unshare', '-n', 'bash', '-c', 'ip link set lo up && exec "$@"', 'server'];
const canUnshare = spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status === 0;
const inNamespaces = canUnshare ? test : test.skip;
if (!canUnshare) console.log('SKIPPED: two writers across network namespaces: unshare -n needs root and iproute2');

/** Appends through curl inside the namespace of a server, since its loopback cannot be reached from here. */
function appendInside(server: ServerProcess, id: string, filler = ''): { status: number; body: string } {
  const args = [
    '-t',
    String(server.child.pid),
    '-n',
    'curl',
    '-s',
    '-m',
    '10',
    '-w',
    '\n%{http_code}',
    `${server.url}/logs/main/events?id_pointer=/id`,
  ];
  const headers = ['-H', `Authorization: Bearer ${ADMIN_KEY}`, '-H', 'Content-Type: application/json'];
  const { stdout } = spawnSync('nsenter', [...args, ...headers, '-d', JSON.stringify({ id, filler })], {
    encoding: 'utf8',
  });
  const at = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) };
}

describe('two servers on one data directory', () => {
  test('the second one exits 75 and the first one goes on', async () => {
    const { path, remove } = temporaryFolder('two');
    const first = await ServerProcess.start({ dataDir: path });
    const second = await ServerProcess.start({ dataDir: path });
    expect(second.url).toBe('');
    expect((await second.exited).code).toBe(75);
    expect(second.stderr).toContain('another process uses');
    expect((await first.append({ id: 1 })).status).toBe(200);
    expect((await first.stop()).code).toBe(0);
    remove();
  });

  test('nor does it help to remove LevelDB’s LOCK file', async () => {
    const { path, remove } = temporaryFolder('two-lock');
    const first = await ServerProcess.start({ dataDir: path });
    rmSync(join(path, 'db/LOCK'));
    const second = await ServerProcess.start({ dataDir: path });
    expect((await second.exited).code).toBe(75);
    expect((await first.append({ id: 1 })).status).toBe(200);
    await first.stop();
    remove();
  });

  inNamespaces(
    'across namespaces without LOCK, the first one loses the directory before it can acknowledge',
    async () => {
      const { path, remove } = temporaryFolder('two-ns');
      const first = await ServerProcess.start({ dataDir: path, flags: ['--interval', '20'] });
      expect((await first.append({ id: 'before' }, '?ack=signed')).status).toBe(200);
      rmSync(join(path, 'db/LOCK'));
      const second = await ServerProcess.start({ dataDir: path, wrapper: NAMESPACE, flags: ['--interval', '20'] });
      expect(second.url).not.toBe('');

      expect(appendInside(second, 'from the second').status).toBe(200);
      // It may have noticed by itself already: an idle server looks every second.
      const late = await first.append({ id: 'from the first' }).catch(() => undefined);
      if (late !== undefined) {
        expect(late.status).toBe(503);
        expect(await late.json()).toMatchObject({ code: 'outcome_unknown' });
      }
      expect((await first.exited).code).toBe(75);
      expect(appendInside(second, 'again').status).toBe(200);
      await second.stop();

      const third = await ServerProcess.start({ dataDir: path });
      const events = await (await third.fetch('/logs/main/events')).text();
      expect(events).toContain('before');
      expect(events).toContain('from the second');
      expect(events).not.toContain('from the first');
      await third.stop();
      remove();
    },
  );

  inNamespaces(
    'a server that was deposed while idle leaves by itself, and takes none of its successor’s files along',
    async () => {
      const { path, remove } = temporaryFolder('two-idle');
      const small = ['--interval', '20', '--write-buffer', '65536'];
      const first = await ServerProcess.start({ dataDir: path, flags: small });
      // Each reply is read to its end: Node 24's fetch asserts that a connection does not end before.
      const before = await first.append({ id: 'before' });
      expect([before.status, await before.text()]).toEqual([200, expect.stringContaining('"leaf_index":0')]);
      rmSync(join(path, 'db/LOCK'));
      const second = await ServerProcess.start({ dataDir: path, wrapper: NAMESPACE, flags: small });
      // Enough for LevelDB to write tables, which the first one’s compaction would take for garbage.
      for (let i = 0; i < 12; i++) expect(appendInside(second, `late-${i}`, 'x'.repeat(50_000)).status).toBe(200);
      await first
        .append({ id: 'late' })
        .then((reply) => reply.text())
        .catch(() => undefined);
      expect((await first.exited).code).toBe(75);
      for (let i = 12; i < 15; i++) expect(appendInside(second, `late-${i}`, 'x'.repeat(50_000)).status).toBe(200);
      await second.stop('SIGKILL');

      const third = await ServerProcess.start({ dataDir: path });
      expect(third.stderr).not.toContain('indelible:');
      // The last one waits for its head.
      const last = await third.fetch('/logs/main/events/15');
      expect([last.status, await last.text()]).toEqual([200, expect.stringContaining('"leaf_index":15')]);
      const lines = (await (await third.fetch('/logs/main/events?limit=1000')).text()).trim().split('\n');
      const ids = lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);
      expect(ids).toEqual(['before', ...Array.from({ length: 15 }, (_, i) => `late-${i}`)]);
      await third.stop();
      remove();
    },
  );

  inNamespaces('a server that does not look at the owner is seen red', async () => {
    const { path, remove } = temporaryFolder('two-planted');
    const planted = plant(OWNER_NOT_CHECKED);
    const first = await ServerProcess.start({ dataDir: path, build: planted.build });
    rmSync(join(path, 'db/LOCK'));
    const second = await ServerProcess.start({ dataDir: path, build: planted.build, wrapper: NAMESPACE });
    expect(appendInside(second, 'from the second').status).toBe(200);
    expect((await first.append({ id: 'from the first' })).status).toBe(200); // Both acknowledge: the very disaster.
    planted.remove();
    await killAll();
    remove();
  });
});
