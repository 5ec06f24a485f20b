/**
 * Real events through the whole thread: in with one `indelible append`, back byte for byte, verified by three programs that
 * share no code: our own command line, the Python verifier, and Go libraries that other people wrote.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CLOUDTRAIL, sampleEvents } from '../support/events.ts';
import { ADMIN_KEY, BUILD, killAll, ROOT, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('SKIPPED: verification by Go libraries: there is no Go on this machine');
const withGo = hasGo ? test : test.skip;
const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.log('SKIPPED: verification by contrib/verify.py: there is no Python on this machine');
const withPython = hasPython ? test : test.skip;

const folder = temporaryFolder('interop');
const events = sampleEvents();
let server: ServerProcess;
let log: string;
let vkey: string;
/** Every reply of GET events/<index>, as saved by a client. */
const replies: string[] = [];

function indelible(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), ...args], {
    encoding: 'utf8',
    maxBuffer: 1e9,
    env: {
      PATH: process.env['PATH'],
      INDELIBLE_URL: log,
      INDELIBLE_KEY: ADMIN_KEY,
      INDELIBLE_STATE: join(folder.path, 'heads.json'),
    },
  });
  return { status, stdout, stderr };
}

beforeAll(async () => {
  server = await ServerProcess.start({ dataDir: join(folder.path, 'data'), flags: ['--interval', '100'] });
  log = `${server.url}/logs/main`;
  vkey = ((await (await server.fetch('/logs/main')).json()) as { verifier_key: string }).verifier_key;
}, 60_000);

afterAll(async () => {
  await killAll();
  folder.remove();
});

describe('real events, end to end', () => {
  test('one append takes them all, a second adds nothing', async () => {
    const file = CLOUDTRAIL ?? join(folder.path, 'events.ndjson');
    if (CLOUDTRAIL === undefined) writeFileSync(file, `${events.join('\n')}\n`);
    for (const expected of [
      { appended: events.length, replayed: 0 },
      { appended: 0, replayed: events.length },
    ]) {
      const run = indelible('append', file, '--id-pointer', '/eventID', '--json');
      expect({ status: run.status, stderr: run.stderr }).toMatchObject({ status: 0 });
      expect(JSON.parse(run.stdout)).toMatchObject(expected);
    }
    for (const [i, event] of events.entries()) {
      const reply = await (await server.fetch(`/logs/main/events/${i}`)).text();
      const { event_base64: bytes, tree_size: treeSize } = JSON.parse(reply) as {
        event_base64: string;
        tree_size: number;
      };
      expect(Buffer.from(bytes, 'base64').toString('utf8')).toBe(event);
      expect(treeSize).toBe(events.length);
      expect(reply).toContain(`"event":${event},`);
      replies.push(reply.trim());
    }
  }, 60_000);

  test('the command line verifies every entry, online and offline', () => {
    const all = indelible('verify', '--all', '--vkey', vkey);
    expect({ status: all.status, stderr: all.stderr }).toMatchObject({ status: 0 });
    const saved = join(folder.path, 'entry-7.json');
    writeFileSync(saved, replies[7] as string);
    expect(indelible('verify', '7').status).toBe(0);
    expect(indelible('verify', saved, '--vkey', vkey).status).toBe(0);
    writeFileSync(
      saved,
      (replies[7] as string).replace(/"salt":"./, (text) => (text.endsWith('A') ? '"salt":"B' : '"salt":"A')),
    );
    expect(indelible('verify', saved, '--vkey', vkey).status).toBe(1);
  }, 60_000);

  test('a tlog-proof with the entry is as good as the saved answer', async () => {
    const proof = join(folder.path, '7.tlog-proof');
    const entry = join(folder.path, 'entry-7.json');
    const text = await (await server.fetch('/logs/main/proofs/7.tlog-proof')).text();
    const verify = (): number | null => indelible('verify', proof, '--entry', entry, '--vkey', vkey).status;
    writeFileSync(proof, text);
    writeFileSync(entry, replies[7] as string);
    expect(verify()).toBe(0);
    expect(indelible('verify', proof, '--vkey', vkey).status).toBe(2);
    writeFileSync(entry, replies[8] as string);
    expect(verify()).toBe(1);
    writeFileSync(entry, replies[7] as string);
    writeFileSync(proof, text.replace('index 7\n', 'index 6\n'));
    expect(verify()).toBe(1);
  }, 30_000);

  withGo(
    'torchwood verifies tlog-proofs, that of a log of size 1 included',
    async () => {
      const binary = join(folder.path, 'torchwood');
      const built = spawnSync('go', ['build', '-o', binary, '.'], {
        cwd: join(ROOT, 'test/interop/torchwood'),
        encoding: 'utf8',
      });
      expect({ status: built.status, stderr: built.status === 0 ? '' : built.stderr }).toEqual({
        status: 0,
        stderr: '',
      });
      const torchwood = (key: string, leafHash: string, input: string): number | null =>
        spawnSync(binary, ['-vkey', key, '-leaf-hash', leafHash], { input, encoding: 'utf8' }).status;

      for (const i of [0, 7, 255, 256, events.length - 1]) {
        const text = await (await server.fetch(`/logs/main/proofs/${i}.tlog-proof`)).text();
        const { leaf_hash: leafHash } = JSON.parse(replies[i] as string) as { leaf_hash: string };
        expect({ i, status: torchwood(vkey, leafHash, text) }).toEqual({ i, status: 0 });
        expect(torchwood(vkey, leafHash, text.replace(`index ${i}\n`, `index ${i + 1}\n`))).toBe(1);
      }
      const json = { 'content-type': 'application/json' };
      const made = await server.fetch('/admin/logs', {
        method: 'POST',
        headers: json,
        body: '{"name":"one","public_reads":true}',
      });
      const { verifier_key: key } = (await made.json()) as { verifier_key: string };
      const added = await server.fetch('/logs/one/events?ack=signed', {
        method: 'POST',
        headers: json,
        body: '{"a":1}',
      });
      const [entry] = ((await added.json()) as { entries: { leaf_hash: string }[] }).entries;
      const text = await (await server.fetch('/logs/one/proofs/0.tlog-proof')).text();
      expect(text.split('\n').slice(0, 3)).toEqual(['c2sp.org/tlog-proof@v1', 'index 0', '']);
      expect(torchwood(key, entry?.leaf_hash as string, text)).toBe(0);
    },
    300_000,
  );

  withPython(
    'the Python verifier verifies every entry, saved and online',
    () => {
      const files = replies.map((reply, i) => {
        const file = join(folder.path, `reply-${i}.json`);
        writeFileSync(file, reply);
        return file;
      });
      const verify = join(ROOT, 'contrib/verify.py');
      const saved = spawnSync('python3', [verify, '--vkey', vkey, ...files], { encoding: 'utf8', maxBuffer: 1e9 });
      expect({ status: saved.status, stderr: saved.stderr }).toEqual({ status: 0, stderr: '' });
      expect(saved.stdout.trim().split('\n')).toHaveLength(events.length);
      const online = spawnSync('python3', [verify, '--vkey', vkey, '--url', log, '--key', ADMIN_KEY, '--all'], {
        encoding: 'utf8',
      });
      expect({ status: online.status, stderr: online.stderr }).toEqual({ status: 0, stderr: '' });

      writeFileSync(files[3] as string, (replies[3] as string).replace('"event_base64":"ey', '"event_base64":"eY'));
      const forged = spawnSync('python3', [verify, '--vkey', vkey, files[3] as string], { encoding: 'utf8' });
      expect(forged.status).toBe(1);
    },
    120_000,
  );

  withPython(
    'the Python verifier verifies the reply to an append, with the event that was sent',
    async () => {
      const json = { 'content-type': 'application/json' };
      const made = await server.fetch('/admin/logs', { method: 'POST', headers: json, body: '{"name":"posted"}' });
      const { verifier_key: key } = (await made.json()) as { verifier_key: string };
      const event = '{"actor":"alice","action":"login"}';
      const added = await server.fetch('/logs/posted/events?ack=signed', {
        method: 'POST',
        headers: json,
        body: event,
      });
      const reply = await added.text();
      expect(reply).toContain('"ack":"signed"');
      const verify = (text: string, own: string): number | null => {
        const [replyFile, eventFile] = [join(folder.path, 'posted.json'), join(folder.path, 'own.json')];
        writeFileSync(replyFile, text);
        writeFileSync(eventFile, own);
        const args = [join(ROOT, 'contrib/verify.py'), '--vkey', key, '--event', eventFile, replyFile];
        return spawnSync('python3', args).status;
      };
      expect(verify(reply, event)).toBe(0);
      // What a log with witnesses answers once they have cosigned that head.
      expect(verify(reply.replace('"ack":"signed"', '"ack":"witnessed"'), event)).toBe(0);
      expect(verify(reply, event.replace('alice', 'mallo'))).toBe(1);
    },
    60_000,
  );

  withGo(
    'Go libraries verify every entry, every tile and bundle, and consistency from every signed head',
    async () => {
      const binary = join(folder.path, 'verify');
      const built = spawnSync('go', ['build', '-o', binary, '.'], {
        cwd: join(ROOT, 'test/interop/go'),
        encoding: 'utf8',
      });
      expect({ status: built.status, stderr: built.status === 0 ? '' : built.stderr }).toEqual({
        status: 0,
        stderr: '',
      });

      const go = (input: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } => {
        const { status, stdout, stderr } = spawnSync(binary, ['-vkey', vkey, ...args], {
          input,
          encoding: 'utf8',
          maxBuffer: 1e9,
        });
        return { status, stdout, stderr };
      };
      expect(go(`${replies.join('\n')}\n`)).toMatchObject({
        status: 0,
        stdout: expect.stringContaining(`${events.length} verified`),
      });
      const forged = (replies[5] as string).replace('"leaf_index":5', '"leaf_index":4');
      expect(go(`${forged}\n`).status).toBe(1);
      expect(go('', '-tiles', log).status).toBe(0);

      const newest = (await (await server.fetch('/logs/main/tree-head')).json()) as {
        tree_size: number;
        checkpoint: string;
      };
      const heads = (await (await server.fetch('/logs/main/tree-heads?limit=1000')).json()) as {
        tree_heads: { tree_size: number; checkpoint: string }[];
      };
      const lines: string[] = [];
      for (const { tree_size: first, checkpoint } of heads.tree_heads) {
        const reply = await (
          await server.fetch(`/logs/main/proofs/consistency?first=${first}&second=${newest.tree_size}`)
        ).json();
        lines.push(
          JSON.stringify({ ...(reply as object), first_checkpoint: checkpoint, second_checkpoint: newest.checkpoint }),
        );
      }
      expect(lines.length).toBeGreaterThan(1);
      expect(go(`${lines.join('\n')}\n`, '-consistency')).toMatchObject({ status: 0 });
    },
    300_000,
  );
});
