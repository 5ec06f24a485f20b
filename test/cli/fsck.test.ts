/** `indelible fsck` as its users run it: over real data directories, and over logs behind HTTP. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { bundleKey, eventKey } from '../../server/storage/keys.ts';
import { openLevelStore } from '../../server/storage/level.ts';
import { killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { type Ended, User } from './spawn.ts';

const folder = temporaryFolder('fsck');
/** A data directory with 300 events in `main`, and 300 entries in the raw log `raw`. */
const original = join(folder.path, 'original');
/** The tiles, bundles and checkpoint of `raw` as static files. */
const files = join(folder.path, 'files');
let vkey = '';
let user: User;
let count = 0;

beforeAll(async () => {
  user = await User.at();
  // Where the view of a database is made.
  user.env['TMPDIR'] = user.directory;
  const server = await ServerProcess.start({ dataDir: original, flags: ['--interval', '50'] });
  const events = Array.from({ length: 300 }, (_, i) => JSON.stringify({ id: `e-${i}` })).join('\n');
  const headers = { 'content-type': 'application/x-ndjson' };
  const sent = await server.fetch('/logs/main/events?ack=signed&id_pointer=/id', {
    method: 'POST',
    headers,
    body: events,
  });
  expect(sent.status).toBe(200);
  const log = { name: 'raw', kind: 'raw', public_reads: true };
  await server.fetch('/admin/logs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(log),
  });
  const frames = Array.from({ length: 300 }, (_, i) => {
    const leaf = Buffer.from(`leaf ${i}`);
    return Buffer.concat([Buffer.from([0, leaf.length]), leaf]);
  });
  expect((await server.fetch('/logs/raw/add-batch', { method: 'POST', body: Buffer.concat(frames) })).status).toBe(200);
  const info = (await (await server.fetch('/logs/raw')).json()) as { verifier_key: string };
  vkey = info.verifier_key;
  await expectSize(server, 300);
  for (const path of PATHS) {
    const reply = await server.fetch(`/logs/raw/${path}`);
    expect(reply.status).toBe(200);
    await mkdir(join(files, path, '..'), { recursive: true });
    writeFileSync(join(files, path), new Uint8Array(await reply.arrayBuffer()));
  }
  expect((await server.stop()).code).toBe(0);
});

const PATHS = [
  ...['checkpoint', 'tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1'],
  ...['tile/entries/000', 'tile/entries/001.p/44'],
];

async function expectSize(server: ServerProcess, size: number): Promise<void> {
  for (;;) {
    const text = await (await server.fetch('/logs/raw/checkpoint')).text();
    if (text.split('\n')[1] === String(size)) return;
  }
}

afterEach(killAll);

afterAll(async () => {
  await user.gone();
  folder.remove();
});

/** A copy of the data directory; its guard is another file, so a server would refuse it. */
async function copy(): Promise<string> {
  const path = join(folder.path, `copy-${count++}`);
  await cp(original, path, { recursive: true, preserveTimestamps: true });
  return path;
}

/** Names, modes, sizes, times and contents of all files below a directory. */
function fingerprint(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { mode, size, mtimeMs, ctimeMs } = statSync(join(path, name));
      const isFile = statSync(join(path, name)).isFile();
      const content = isFile
        ? createHash('sha256')
            .update(readFileSync(join(path, name)))
            .digest('hex')
        : '';
      return [name, mode, isFile ? size : 0, mtimeMs, ctimeMs, content].join(' ');
    });
}

const fsck = (path: string, ...flags: string[]): Promise<Ended> => user.run(['fsck', '--data-dir', path, ...flags]);

/** Changes rows of a stopped database. */
async function edit(path: string, key: string, at: number): Promise<void> {
  const store = await openLevelStore({ path: join(path, 'db'), createIfMissing: false });
  const value = ((await store.get(key)) as Uint8Array).slice();
  value[at] = ((value[at] as number) + 1) % 256;
  await store.commit([{ key, value }]);
  await store.close();
}

describe('a data directory', () => {
  test('that is whole: 0, and not a byte and not a time of it has changed', async () => {
    const before = fingerprint(original);
    const { code, stdout, stderr } = await fsck(original);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^nothing differs: 3 logs, 60\d entries, commit \d+\n$/);
    const json = await fsck(original, '--json');
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: true,
      differences: 0,
      listed: [],
      notes: [],
      logs: expect.arrayContaining([
        { name: 'main', tree_size: 300, root_hash: expect.any(String) },
        { name: 'raw', tree_size: 300, root_hash: expect.any(String) },
      ]),
    });
    expect(fingerprint(original)).toEqual(before);
    expect((await readdir(user.directory)).filter((name) => name.startsWith('indelible-fsck-'))).toEqual([]);
  });

  test('that a server has: 75', async () => {
    const path = join(folder.path, 'running');
    const server = await ServerProcess.start({ dataDir: path });
    expect(server.url).not.toBe('');
    const { code, stderr } = await fsck(path);
    expect(code).toBe(75);
    expect(stderr).toContain('another process uses');
    // And where the lock on the directory does not reach, LevelDB's does: through another name for the same database.
    const other = join(folder.path, 'other');
    await mkdir(other);
    for (const name of ['db', 'keys', 'format']) symlinkSync(join(path, name), join(other, name));
    await cp(join(path, 'guard'), join(other, 'guard'));
    expect((await fsck(other)).code).toBe(75);
    await server.stop();
  });

  test('with damaged rows: 1, and every one of them is named', async () => {
    const path = await copy();
    await edit(path, eventKey('main', 77), 80);
    await edit(path, bundleKey('raw', 0), 5);
    const before = fingerprint(path);
    const { code, stdout, stderr } = await fsck(path);
    expect(code).toBe(1);
    expect(stderr).toContain('is a copy');
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toEqual([
      expect.stringMatching(
        /^log main: event 77 \(stream\/main\/event\/0000000000000077\) (differs|is malformed): stored /,
      ),
      expect.stringMatching(
        /^log raw: entry bundle 0 \(stream\/raw\/entries\/000\) differs: stored leaf hash [0-9a-f]{64}, derived [0-9a-f]{64}$/,
      ),
      `2 differences in ${path}`,
    ]);
    expect(JSON.parse((await fsck(path, '--json')).stdout)).toMatchObject({
      ok: false,
      differences: 2,
      listed: [
        { log: 'main', kind: 'event', index: 77, key: eventKey('main', 77) },
        { log: 'raw', kind: 'entry bundle', problem: 'differs', index: 0, key: bundleKey('raw', 0) },
      ],
    });
    expect(fingerprint(path)).toEqual(before);
  });

  test('whose database is older than its guard: 1, by the rules of a start', async () => {
    const path = await copy();
    const server = join(folder.path, `newer-${count}`);
    await cp(path, server, { recursive: true });
    const running = await ServerProcess.start({ dataDir: server, flags: ['--guard-inode', 'off'] });
    await running.append({ n: 1 }, '?ack=signed');
    await running.stop();
    await cp(join(server, 'guard'), join(path, 'guard'), { force: true });
    const { code, stdout } = await fsck(path);
    expect(code).toBe(1);
    expect(stdout).toContain('guard differs');
    expect(stdout).toMatch(/rollback: the database ends at commit \d+, but commit \d+ was promised/);
  });

  test('with a damaged log file of LevelDB: named, and the file is still there', async () => {
    const path = await copy();
    const name = readdirSync(join(path, 'db')).find(
      (file) => file.endsWith('.log') && statSync(join(path, 'db', file)).size > 1000,
    ) as string;
    const bytes = readFileSync(join(path, 'db', name));
    bytes[500] = ((bytes[500] as number) + 1) % 256;
    writeFileSync(join(path, 'db', name), bytes);
    const before = fingerprint(path);
    const { code, stdout } = await fsck(path);
    expect(code).toBe(1);
    expect(stdout).toContain(`database is malformed: stored ${join(path, 'db', name)} is damaged at byte`);
    expect(fingerprint(path)).toEqual(before);
  });

  test('whose LevelDB has complained while a server ran: its words', async () => {
    const path = await copy();
    writeFileSync(join(path, 'db', 'LOG'), 'Compaction error: Corruption: block checksum mismatch\n', { flag: 'a' });
    const { code, stdout } = await fsck(path);
    expect([code, stdout]).toEqual([1, expect.stringContaining('block checksum mismatch')]);
  });

  test('with a table of LevelDB that was cut short: what cannot be read is named by its real file', async () => {
    const path = await copy();
    // A start turns the log file into a table.
    const server = await ServerProcess.start({ dataDir: path, flags: ['--guard-inode', 'off'] });
    expect((await server.stop()).code).toBe(0);
    const [name] = readdirSync(join(path, 'db')).filter((file) => file.endsWith('.ldb'));
    const table = join(path, 'db', name as string);
    writeFileSync(table, readFileSync(table).subarray(0, 5000));
    const { code, stdout } = await fsck(path);
    expect([code, stdout]).toEqual([1, expect.stringContaining(`cannot be read: stored LevelDB cannot read`)]);
    expect(stdout).toContain(table);
    expect(stdout).not.toContain(user.directory);
    expect(stdout).not.toContain('rollback');
  });

  test('without its guard, or with both slots damaged: 1, and the rest is checked', async () => {
    const path = await copy();
    const guard = readFileSync(join(path, 'guard'));
    rmSync(join(path, 'guard'));
    await edit(path, eventKey('main', 5), 80);
    const without = await fsck(path);
    expect([without.code, without.stdout.split('\n')]).toEqual([
      1,
      [
        expect.stringContaining('guard is missing'),
        expect.stringContaining('event 5'),
        expect.stringContaining('2 differences'),
        '',
      ],
    ]);
    guard.fill(0, 0, 8192);
    writeFileSync(join(path, 'guard'), guard);
    const damaged = await fsck(path);
    expect([damaged.code, damaged.stdout]).toEqual([1, expect.stringContaining('both slots of the guard')]);
  });

  test('without its master seed: 1, and all but ids and keys is checked', async () => {
    const path = await copy();
    rmSync(join(path, 'keys'), { recursive: true });
    const { code, stdout } = await fsck(path);
    expect([code, stdout]).toEqual([1, expect.stringContaining('the master seed')]);
    expect(stdout).toContain('1 differences');
  });

  test('that cannot be opened at all: 78', async () => {
    const path = await copy();
    rmSync(join(path, 'db', 'CURRENT'));
    const { code, stderr } = await fsck(path);
    expect([code, stderr]).toEqual([78, expect.stringContaining('cannot open the database')]);
    rmSync(join(path, 'db'), { recursive: true });
    expect((await fsck(path)).code).toBe(78);
  });

  test.each([
    ['no directory', (path: string) => ['--data-dir', join(path, 'nothing')], 'is not a data directory'],
    ['neither directory nor URL', () => [], 'give --data-dir or --url'],
    ['both', (path: string) => ['--data-dir', path, '--url', 'http://127.0.0.1:1/'], 'not both'],
    ['no URL', () => ['--url', 'ftp://x'], 'begins with http'],
    ['no verifier key', () => ['--url', 'http://127.0.0.1:1/', '--vkey', 'x'], '--vkey is not a verifier key'],
    ['entries only of a directory', (path: string) => ['--data-dir', path, '--entries-only'], 'is for --url'],
    ['an unknown flag', () => ['--colour'], 'unknown option'],
  ])('%s: 2', async (_name, flags, message) => {
    const { code, stderr } = await user.run(['fsck', ...flags(folder.path)]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

test('logs of our own server, while its scrub runs', async () => {
  const path = await copy();
  const server = await ServerProcess.start({ dataDir: path, flags: ['--guard-inode', 'off', '--scrub-delay', '0'] });
  for (const name of ['main', 'raw']) {
    const info = (await (await server.fetch(`/logs/${name}`)).json()) as { verifier_key: string };
    const { code, stdout, stderr } = await user.run([
      'fsck',
      '--url',
      `${server.url}/logs/${name}`,
      '--vkey',
      info.verifier_key,
    ]);
    expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining('nothing differs: 300 entries')]);
  }
  const metric = async (name: string): Promise<number> => {
    const text = await (await server.fetch('/metrics')).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  };
  while ((await metric('indelible_scrub_last_completed_timestamp_seconds')) === 0);
  expect(await metric('indelible_scrub_progress_ratio')).toBe(1);
  expect(await metric('indelible_scrub_bytes_total')).toBeGreaterThan(50_000);
  expect(await metric('indelible_damage_total')).toBe(0);
  expect((await server.stop()).code).toBe(0);
  expect(server.stderr).not.toContain('damage');
});

describe('a log over HTTP', () => {
  let server: Server;
  let url = '';
  /** What is served in the place of a file; `null`: 404; a number: that status. */
  let changed: Map<string, Uint8Array | number>;
  let asked: { path: string; authorization: string | undefined }[];

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = (request.url ?? '').slice('/log/'.length);
      asked.push({ path, authorization: request.headers.authorization });
      const own = changed.get(path);
      if (typeof own === 'number') {
        // Busy once, and then not any more.
        if (own === 503) changed.delete(path);
        response.writeHead(own, own === 302 ? { location: '/elsewhere' } : {}).end();
        return;
      }
      try {
        response.end(own ?? readFileSync(join(files, path)));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/log`;
    changed = new Map();
    asked = [];
  });

  afterEach(() => {
    changed = new Map();
    asked = [];
  });

  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const flipped = (path: string, at: number): Uint8Array => {
    const bytes = new Uint8Array(readFileSync(join(files, path)));
    bytes[at] = ((bytes[at] as number) + 1) % 256;
    return bytes;
  };
  const check = (...flags: string[]): Promise<Ended> => user.run(['fsck', '--url', url, ...flags]);

  test('that is whole: 0, every file asked for once, and no key goes to a stranger', async () => {
    const { code, stdout, stderr } = await check('--vkey', vkey);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^nothing differs: 300 entries of example\.com\/logs\/raw make the root hash \S+, which is signed\n$/,
    );
    expect(asked.map(({ path }) => path).sort()).toEqual(PATHS.slice().sort());
    // The environment of this user has an API key, for another server.
    expect(asked.map(({ authorization }) => authorization)).toEqual(PATHS.map(() => undefined));
    asked = [];
    await check('--vkey', vkey, '--key', 'secret');
    expect(asked.map(({ authorization }) => authorization)).toEqual(PATHS.map(() => 'Bearer secret'));
  });

  test('without a key: 0, and it says that the signature was not checked', async () => {
    const { code, stdout, stderr } = await check();
    expect([code, stderr]).toEqual([0, expect.stringContaining('signature was NOT checked')]);
    expect(stdout).toContain('signature not checked');
    expect(JSON.parse((await check('--json')).stdout)).toMatchObject({
      ok: true,
      signature_checked: false,
      signed: false,
    });
  });

  test.each<[string, string, number, string]>([
    ['a tile', 'tile/0/000', 32 * 9, 'tile/0/000: differs: hash 9 is'],
    ['a partial tile', 'tile/0/001.p/44', 32 * 3, 'tile/0/001.p/44: differs: hash 3 is'],
    ['a partial tile above', 'tile/1/000.p/1', 7, 'tile/1/000.p/1: differs: hash 0 is'],
    ['a bundle', 'tile/entries/000', 12, 'tile/entries/000: differs: entry 1 hashes to'],
    ['a partial bundle', 'tile/entries/001.p/44', 5, 'tile/entries/001.p/44: differs: entry 256 hashes to'],
    ['a length in a bundle', 'tile/entries/000', 1, 'tile/entries/000: malformed: '],
    ['the origin', 'checkpoint', 3, 'checkpoint: differs: '],
    ['a digit of the size', 'checkpoint', 'example.com/logs/raw\n30'.length, 'checkpoint: differs: the signature'],
    ['the signature', 'checkpoint', 150, 'checkpoint: '],
  ])('a byte changed in %s: 1, and it is named first', async (_name, path, at, line) => {
    changed.set(path, flipped(path, at));
    const { code, stdout } = await check('--vkey', vkey);
    expect(code).toBe(1);
    expect(stdout.split('\n')[0]).toContain(line);
    if (path !== 'checkpoint') expect(stdout).toContain('1 differences at');
  });

  test('a file that is gone, a short and a long one: 1, and they are named', async () => {
    changed.set('tile/entries/000', 404);
    changed.set('tile/0/001.p/44', new Uint8Array(31));
    changed.set('tile/1/000.p/1', new Uint8Array(9000));
    const { code, stdout } = await check('--vkey', vkey);
    expect([code, stdout.split('\n')]).toEqual([
      1,
      [
        'tile/entries/000: missing: status 404',
        'tile/0/001.p/44: malformed: a tile of 31 bytes, where 1408 are expected',
        'tile/1/000.p/1: malformed: the answer is longer than 8192 bytes',
        expect.stringContaining('3 differences'),
        '',
      ],
    ]);
  });

  test('partial files that are gone are taken from full ones', async () => {
    for (const path of PATHS.filter((name) => name.includes('.p/'))) {
      changed.set(path, 404);
      const bytes = readFileSync(join(files, path));
      const more = path.includes('entries') ? Buffer.from([0, 1, 65]) : Buffer.alloc(32);
      changed.set(path.replace(/\.p\/.*/, ''), new Uint8Array(Buffer.concat([bytes, more])));
    }
    const { code, stdout } = await check('--vkey', vkey);
    expect([code, stdout]).toEqual([0, expect.stringContaining('nothing differs')]);
  });

  test('entries only: no tile is asked for, and a wrong entry is still seen', async () => {
    const { code, stdout } = await check('--vkey', vkey, '--entries-only');
    expect([code, stdout]).toEqual([0, expect.stringContaining('nothing differs: 300 entries')]);
    expect(asked.map(({ path }) => path).sort()).toEqual(PATHS.filter((path) => !/^tile\/\d/.test(path)).sort());
    changed.set('tile/entries/000', flipped('tile/entries/000', 12));
    expect(await check('--vkey', vkey, '--entries-only')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('checkpoint: differs: the root hash of size 300 is'),
    });
  });

  test('a server that is busy is asked again', async () => {
    changed.set('tile/0/000', 503);
    const { code, stderr } = await check('--vkey', vkey);
    expect([code, stderr]).toEqual([0, expect.stringContaining('trying again')]);
  });

  test('another origin: 1; a redirect or a refusal: 2; nobody there: 3', async () => {
    const { code, stdout } = await check('--vkey', vkey, '--origin', 'example.com/other');
    expect([code, stdout]).toEqual([1, expect.stringContaining('not "example.com/other"')]);
    changed.set('tile/0/000', 302);
    const moved = await check('--vkey', vkey);
    expect([moved.code, moved.stderr]).toEqual([2, expect.stringContaining('the server is at /elsewhere')]);
    changed.set('tile/0/000', 403);
    expect((await check('--vkey', vkey)).code).toBe(2);
    changed.set('checkpoint', 404);
    expect((await check()).code).toBe(2);
  });
});
