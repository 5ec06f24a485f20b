import { readFile, stat, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { toBase64, utf8 } from '../../tree/bytes.ts';
import { FakeLog, type FakeRequest, type Json, otherHash, problem } from '../client/fake-log.ts';
import { User } from './spawn.ts';

let log: FakeLog;
let url: string;
let user: User;

beforeEach(async () => {
  log = new FakeLog();
  url = await log.listen();
  user = await User.at(url);
});

afterEach(async () => {
  await log.close();
  await user.gone();
});

const lines = (count: number) => Array.from({ length: count }, (_, i) => `{"id":"e-${i}"}\n`).join('');

/** The log lies in the answers of one path. */
function lie(path: string, change: (reply: Json) => Json): void {
  log.tamper = (request: FakeRequest, reply: Json) => (request.path === path ? { ...reply, ...change(reply) } : reply);
}

describe('append', () => {
  test('appends a file in batches, and a second time nothing', async () => {
    await writeFile(user.path('events.ndjson'), lines(2500));
    const first = await user.run(['append', 'events.ndjson', '--id-pointer', '/id']);
    expect([first.code, first.stdout]).toEqual([0, 'appended 2500, replayed 0, leaf index 0 to 2499\n']);
    expect(first.stderr).toContain('trusting and pinning');
    const second = await user.run(['append', 'events.ndjson', '--id-pointer', '/id', '--json']);
    expect([second.code, second.stderr, log.entries.length]).toEqual([0, '', 2500]);
    expect(JSON.parse(second.stdout)).toEqual({
      ok: true,
      appended: 0,
      replayed: 2500,
      without_id: 0,
      first_leaf_index: 0,
      last_leaf_index: 2499,
      ack: 'durable',
    });
  });

  test('reads stdin, gzip by its first bytes, blank lines, CRLF and a last line without end', async () => {
    const text = '\n{"id":"a"}\r\n  \n {"id":"b"}\n{"id":"c"}';
    expect((await user.run(['append', '-'], text)).stdout).toBe('appended 3, replayed 0, leaf index 0 to 2\n');
    expect((await user.run(['append', '-', '--ack', 'signed'], gzipSync(text))).code).toBe(0);
    expect(log.entries.map(({ event }) => new TextDecoder().decode(event))).toEqual(
      ['a', 'b', 'c', 'a', 'b', 'c'].map((id) => `{"id":"${id}"}`),
    );
    await writeFile(user.path('two.gz'), Buffer.concat([gzipSync('{"id":"d"}\n'), gzipSync('{"id":"e"}\n')]));
    expect((await user.run(['append', 'two.gz'])).stdout).toContain('appended 2');
    expect((await user.run(['append', '-'], '\n \n')).stdout).toBe('appended 0, replayed 0\n');
  });

  test('says that without ids a second run doubles', async () => {
    expect((await user.run(['append', '-'], lines(1))).stderr).toContain(
      'without --id-pointer or --idempotency-key a second run',
    );
    const { stderr } = await user.run(['append', '-', '--id-pointer', '/id'], '{"a":1}\n{"id":"x"}\n');
    expect(stderr).toContain('1 events have nothing at /id');
  });

  test('names a bad line by its number in the file, and what was stored before', async () => {
    const text = `\n${lines(1000)}\n{"id":"x"}\n\n{"id":\n{"id":"y"}\nnot json\n`;
    const { code, stderr, stdout } = await user.run(['append', '-', '--id-pointer', '/id'], text);
    expect([code, stdout, log.entries.length]).toEqual([2, '', 1000]);
    expect(stderr).toContain('line 1005: malformed_json: not JSON');
    expect(stderr).toContain('line 1007: malformed_json: not JSON');
    expect(stderr).toContain('lines 1003 to 1007: nothing of them was stored');
    expect(stderr).toContain('before that: appended 1000, replayed 0');
    const json = await user.run(['append', '-', '--json'], '\n\nnot json\n');
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      code: 'malformed_json',
      status: 422,
      appended: 0,
      errors: [{ line: 3, code: 'malformed_json' }],
    });
  });

  test('names the line of a conflict', async () => {
    const { code, stderr } = await user.run(['append', '-', '--id-pointer', '/id'], '{"id":"a"}\n\n{"id":"a","x":1}\n');
    expect([code, log.entries.length]).toEqual([2, 0]);
    expect(stderr).toContain('line 3: id_conflict');
  });

  test('goes on after a broken connection if the events have ids, and otherwise says that nobody knows', async () => {
    await user.run(['append', '-'], lines(1));
    log.faults.push({ kind: 'drop-after' });
    const good = await user.run(['append', '-', '--id-pointer', '/id'], '{"id":"n"}\n');
    expect([good.code, good.stdout]).toEqual([0, 'appended 0, replayed 1, leaf index 1 to 1\n']);
    expect(good.stderr).toContain('trying again');
    log.faults.push({ kind: 'drop-after' });
    const bad = await user.run(['append', '-'], '{"id":"m"}\n');
    expect([bad.code, bad.stdout]).toEqual([3, '']);
    expect(bad.stderr).toContain('stored or not, nobody knows');
  });

  test('ends with 1 if the log answers for something else', async () => {
    lie('events', (reply) => ({
      entries: (reply['entries'] as Json[]).map((e) => ({ ...e, leaf_hash: otherHash(e['leaf_hash']) })),
    }));
    const { code, stderr, stdout } = await user.run(['append', '-'], lines(3));
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('leaf_hash_mismatch');
    expect(stderr).toContain('lines 1 to 3: stored perhaps');
  });

  test('a file that is not there, is a directory, or is damaged', async () => {
    expect((await user.run(['append', 'nothing.ndjson'])).code).toBe(2);
    expect((await user.run(['append', '.'])).code).toBe(2);
    const whole = gzipSync(lines(5000));
    const { code, stderr } = await user.run(['append', '-', '--id-pointer', '/id'], whole.subarray(0, -40));
    expect(code).toBe(2);
    expect(stderr).toContain('is damaged');
  });

  test('a name or code from the server can not write to the terminal', async () => {
    await user.run(['append', '-'], lines(1));
    const reply = problem(400, 'bad\u001b[2Jcode', { detail: 'x\u009b31m\u202ey' });
    log.faults.push({ kind: 'reply', reply });
    const { stderr } = await user.run(['append', '-'], lines(1));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stderr).not.toMatch(/[\u001b\u009b\u202e]/);
    expect(stderr).toContain('\\u001b[2J');
  });
});

describe('get', () => {
  test('prints the proven bytes and a newline', async () => {
    log.add('{ "n" : 1.0e2, "text":"é" }');
    expect(await user.run(['get', '0'])).toMatchObject({ code: 0, stdout: '{ "n" : 1.0e2, "text":"é" }\n' });
    expect((await user.run(['get', '0', '--out', 'e.json'])).stdout).toBe('');
    expect(await readFile(user.path('e.json'), 'utf8')).toBe('{ "n" : 1.0e2, "text":"é" }\n');
    const { stdout } = await user.run(['get', '0', '--json']);
    expect(stdout).toContain('"event":{ "n" : 1.0e2, "text":"é" }}');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, leaf_index: 0, tree_size: 1, origin: log.origin });
  });

  test('prints nothing of an event that is not proven', async () => {
    log.fill(3);
    lie('events/1', () => ({ event_base64: toBase64(utf8('{"id":"forged"}')) }));
    for (const more of [[], ['--json'], ['--reply']]) {
      const { code, stdout, stderr } = await user.run(['get', '1', ...more]);
      expect(code).toBe(1);
      expect(stdout).not.toContain('forged');
      expect(stderr).toContain('commitment_mismatch');
    }
  });
});

describe('verify', () => {
  test('by leaf index, several at once', async () => {
    log.fill(9);
    const { code, stdout } = await user.run(['verify', '0', '7', '8']);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(3);
    expect(stdout).toContain('7: proven: leaf index 7, 12 bytes, received 2026-01-01T00:00:00.000007Z');
    expect(stdout).toContain('tree of size 9 signed by example.com/logs/main+');
  });

  test('of several targets tries all; one lie is exit code 1', async () => {
    log.fill(9);
    lie('events/3', (reply) => ({ salt: otherHash(reply['salt']) }));
    const { code, stdout } = await user.run(['verify', '3', '99', '4']);
    expect(code).toBe(1);
    expect(stdout).toContain('3: WRONG: commitment_mismatch');
    expect(stdout).toContain('99: not verified: the server refuses: status 404');
    expect(stdout).toContain('4: proven');
    expect((await user.run(['verify', '99'])).code).toBe(2);
    expect((await user.run(['verify', '007'])).code).toBe(2);
  });

  test('a saved answer without the server: with a given key, a pinned one, and none', async () => {
    log.fill(9);
    await user.run(['get', '7', '--reply', '--out', 'e7.json', '--vkey', log.vkey]);
    await log.close();
    delete user.env['INDELIBLE_URL'];
    expect(await user.run(['verify', 'e7.json'])).toMatchObject({ code: 0 });
    expect((await user.run(['verify', 'e7.json', '--url', url])).code).toBe(0);
    expect((await user.run(['verify', '-', '--vkey', log.vkey], await readFile(user.path('e7.json')))).code).toBe(0);
    const stranger = await User.at();
    const saved = user.path('e7.json');
    const unpinned = await stranger.run(['verify', saved]);
    expect([unpinned.code, unpinned.stdout.includes('can not be trusted')]).toEqual([2, true]);
    expect((await stranger.run(['verify', saved, '--vkey', log.vkey])).code).toBe(0);
    const other = await stranger.run(['verify', saved, '--vkey', new FakeLog('main', 9).vkey]);
    expect([other.code, other.stdout.includes('unknown_signer')]).toEqual([1, true]);
    expect((await stranger.run(['verify', saved, '--vkey', 'nonsense'])).code).toBe(2);
    await stranger.gone();
  });

  test('every byte of a saved answer counts, but for the event as people see it', async () => {
    log.fill(9);
    const base = log.eventJson(7);
    const changes: [Json, number][] = [
      [{ event: { id: 'anything' } }, 0],
      [{ unknown: 1 }, 0],
      [{ event_base64: toBase64(utf8('{"id":"e-8"}')) }, 1],
      [{ salt: undefined }, 1],
      [{ salt: otherHash(base['salt']) }, 1],
      [{ leaf: otherHash(base['leaf']) }, 1],
      [{ leaf_hash: otherHash(base['leaf_hash']) }, 1],
      [{ leaf_index: 6 }, 1],
      [{ received_at: '2026-01-01T00:00:00.000008Z' }, 1],
      [{ header_base64: toBase64(utf8('{"by":"system","via":"system"}')) }, 1],
      [{ tree_size: 8 }, 1],
      [{ proof: log.inclusion(6) }, 1],
      [{ checkpoint: new FakeLog('other').fill(9).checkpoint() }, 1],
    ];
    const names = await Promise.all(
      changes.map(async ([change], i) => {
        await writeFile(user.path(`r${i}.json`), JSON.stringify({ ...base, ...change }));
        return `r${i}.json`;
      }),
    );
    await writeFile(user.path('broken.json'), JSON.stringify(base).slice(0, -5));
    const { stdout } = await user.run(['verify', ...names, 'broken.json', 'none.json', '--json', '--vkey', log.vkey]);
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json);
    expect(results.map(({ ok }) => ok)).toEqual([...changes.map(([, code]) => code === 0), false, false]);
    expect(results.at(-1)?.['code']).toBe('ENOENT');
  });

  test('--event compares with the original', async () => {
    log.fill(2);
    await writeFile(user.path('same.json'), ' {"id":"e-1"}\n');
    await writeFile(user.path('other.json'), '{"id": "e-1"}');
    expect((await user.run(['verify', '1', '--event', 'same.json'])).code).toBe(0);
    const { code, stdout } = await user.run(['verify', '1', '--event', 'other.json']);
    expect([code, stdout.includes('event_differs')]).toEqual([1, true]);
    expect((await user.run(['verify', '0', '1', '--event', 'same.json'])).code).toBe(2);
  });

  test('--all rebuilds the whole tree', async () => {
    log.fill(2100);
    const { code, stdout } = await user.run(['verify', '--all']);
    expect([code, stdout.startsWith('all 2100 entries proven')]).toEqual([0, true]);
    expect(JSON.parse((await user.run(['verify', '--all', '--json'])).stdout)).toMatchObject({ entries: 2100 });
    log.tamper = (request, reply) =>
      request.path === 'events' && reply['leaf_index'] === 2000
        ? new FakeLog('main').fill(2001).entryJson(1999)
        : reply;
    expect((await user.run(['verify', '--all'])).code).toBe(1);
    expect((await user.run(['verify', '--all', '7'])).code).toBe(2);
    expect((await user.run(['verify'])).code).toBe(2);
  });
});

describe('what is remembered', () => {
  test('a rolled back log is refused by the next command, with both heads as evidence', async () => {
    log.fill(6);
    await user.run(['verify', '0']);
    const remembered = log.checkpoint();
    log.entries.length = 4;
    log.signed = 4;
    for (const args of [
      ['verify', '0'],
      ['verify', '--all'],
      ['get', '0'],
    ]) {
      const { code, stdout, stderr } = await user.run(args);
      expect([code, `${stdout}${stderr}`.includes('rollback')]).toEqual([1, true]);
    }
    const { stdout } = await user.run(['get', '0', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      code: 'rollback',
      heads: { remembered, received: log.checkpoint() },
    });
  });

  test('a split view is refused, online and from a file', async () => {
    log.fill(3);
    await user.run(['verify', '0']);
    const last = log.entries.pop();
    log.add('{"id":"forged"}');
    await writeFile(user.path('forged.json'), JSON.stringify(log.eventJson(0)));
    for (const target of ['0', 'forged.json']) {
      const { code, stdout } = await user.run(['verify', target]);
      expect([code, stdout.includes('split_view')]).toEqual([1, true]);
    }
    expect(last).toBeDefined();
  });

  test('another key at the pinned URL is refused; a given one replaces the pin and says so', async () => {
    log.fill(2);
    await user.run(['get', '0']);
    log.signer = new FakeLog('main', 5).signer;
    const { code, stderr } = await user.run(['get', '0']);
    expect([code, stderr.includes('unknown_signer')]).toEqual([1, true]);
    expect((await user.run(['logs', 'show', 'main'])).stderr).toContain('another verifier key');
    const replaced = await user.run(['get', '0', '--vkey', log.vkey]);
    expect([replaced.code, replaced.stderr.includes('replaced')]).toEqual([0, true]);
    expect((await user.run(['get', '0'])).code).toBe(0);
  });

  test('is in a file for its owner alone, which is never begun anew by itself', async () => {
    log.fill(1);
    await user.run(['get', '0']);
    const path = user.env['INDELIBLE_STATE'] as string;
    expect((await stat(path)).mode % 0o1000).toBe(0o600);
    for (const text of ['', '{}', '{"format":1,"heads":[],"pins":{}}', '{"format":2,"heads":{},"pins":{}}']) {
      await writeFile(path, text);
      expect((await user.run(['get', '0'])).code).toBe(2);
      expect(await readFile(path, 'utf8')).toBe(text);
    }
  });

  test('survives many commands at once, while the log grows', async () => {
    log.fill(10);
    await user.run(['get', '0']);
    log.signs = false;
    log.fill(60);
    log.tamper = (_request, reply) => {
      log.signed = Math.min(60, log.signed + 1);
      return reply;
    };
    const runs = Array.from({ length: 6 }, (_, i) => user.run(['verify', String(i), '7', '8', '9']));
    expect((await Promise.all(runs)).map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
    const remembered = (await readFile(user.env['INDELIBLE_STATE'] as string, 'utf8')).match(/main\\n([0-9]+)/)?.[1];
    expect(Number(remembered)).toBeGreaterThan(25);
    log.signed = Number(remembered) - 1;
    log.tamper = (_request, reply) => reply;
    expect((await user.run(['verify', '0'])).code).toBe(1);
  });
});

test('logs and keys', async () => {
  const server = url.slice(0, url.indexOf('/logs/'));
  user.env['INDELIBLE_URL'] = server;
  const created = await user.run(['logs', 'create', 'billing', '--public-reads', '--json']);
  expect(JSON.parse(created.stdout)).toMatchObject({ name: 'billing', origin: 'example.com/logs/billing' });
  expect((await user.run(['logs', 'list'])).stdout).toMatch(/^NAME .*\nmain {5} *events .*\nbilling {2}events /);
  expect((await user.run(['logs', 'show', 'main', '--url', url])).stdout).toContain(`verifier_key   ${log.vkey}`);
  const again = await user.run(['logs', 'create', 'main']);
  expect([again.code, again.stderr.includes('log_exists')]).toEqual([2, true]);
  const key = await user.run(['keys', 'create', '--name', 'billing', '--scope', 'append', 'read', '--log', 'main']);
  expect(key.stdout).toMatch(/^ind_[0-9a-f]{16}_[0-9a-f]{64}\n$/);
  expect(key.stderr).toContain('shown this once');
  expect((await user.run(['keys', 'list'])).stdout).toContain('billing  append read  main');
  expect((await user.run(['keys', 'revoke', '0000000000000000'])).stdout).toContain('revoked 0000000000000000');
  expect((await user.run(['keys', 'revoke', '1111111111111111'])).code).toBe(2);
  expect((await user.run(['keys', 'create', '--name', 'x', '--scope', 'root'])).code).toBe(2);
});

describe('usage', () => {
  test('the version and helps with examples are good', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as Json;
    expect(await user.run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    for (const command of ['append', 'get', 'verify', 'logs', 'keys', 'serve', 'adopt', 'witness']) {
      const { code, stdout } = await user.run([command, '--help']);
      expect([command, code, stdout.includes('Example')]).toEqual([command, 0, true]);
    }
  });

  test.each([
    [[]],
    [['nonsense']],
    [['get']],
    [['get', 'x']],
    [['get', '1', '--nonsense']],
    [['append', '-', '--ack', 'perhaps']],
    [['get', '1', '--url', 'ftp://x/logs/main']],
    [['get', '1', '--url', 'http://127.0.0.1:8080']],
    [['get', '1', '--vkey', 'x']],
    [['keys', 'create', '--name', 'x']],
  ])('%j ends with 2', async (args) => {
    expect((await user.run(args)).code).toBe(2);
  });

  test('no URL, a wrong key, nobody there, a server in trouble', async () => {
    log.fill(1);
    user.env['INDELIBLE_KEY'] = 'ind_wrong';
    expect((await user.run(['get', '0'])).code).toBe(2);
    log.faults.push(...Array.from({ length: 9 }, () => ({ kind: 'reply', reply: problem(500, 'damaged') }) as const));
    expect((await user.run(['get', '0'])).code).toBe(3);
    await log.close();
    expect((await user.run(['get', '0', '--json'])).code).toBe(3);
    delete user.env['INDELIBLE_URL'];
    expect((await user.run(['get', '0'])).code).toBe(2);
  });
});
