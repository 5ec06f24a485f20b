/** `indelible monitor`, `audit` and `verify` of what they leave behind, as their users run them. */
import { spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { originHash } from '../../proofs/add-checkpoint.ts';
import { API_KEY, FakeLog, type Json } from '../client/fake-log.ts';
import { fork, TestWitness } from '../client/monitor/watched.ts';
import { User } from './spawn.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let log: FakeLog;
let url: string;
let user: User;
const servers: Server[] = [];

beforeEach(async () => {
  log = new FakeLog().fill(5);
  url = await log.listen();
  user = await User.at(url);
});

afterEach(async () => {
  await log.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  await user.gone();
});

/** A server of one answer to everything, and what it was sent. */
async function serve(answer: (path: string) => { status: number; body: string }) {
  const received: { path: string; headers: Record<string, unknown>; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += String(part);
    });
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, body });
      const { status, body: text } = answer(request.url ?? '');
      response.writeHead(status).end(text);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const once = (...more: string[]) => user.run(['monitor', url, '--vkey', log.vkey, '--once', ...more]);
const jsonLines = (text: string): Json[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);

describe('monitor --once', () => {
  test('says that nothing is wrong, and remembers', async () => {
    const first = await once();
    expect(first).toEqual({
      code: 0,
      stdout: 'example.com/logs/main: 5 entries verified, the log shows 5, nothing is wrong\n',
      stderr: '',
    });
    log.fill(9);
    log.requests.length = 0;
    const second = await once('--json');
    expect([second.code, jsonLines(second.stdout)]).toMatchObject([
      0,
      [{ type: 'status', ok: true, verified_tree_size: 9, shown_tree_size: 9, alarms: [] }],
    ]);
    expect(log.requests.map(({ path }) => path)).toEqual(['checkpoint', 'tile/entries/000.p/9']);
  });

  test('a split view is 1, for ever, with a fraud proof that anybody can judge offline', async () => {
    await once();
    const forged = fork(log, 2, 5, () => new FakeLog());
    log.tamperText = ({ path }, text) => (path === 'checkpoint' ? forged.checkpoint() : text);
    const found = await once('--json', '--evidence', user.path('evidence'));
    const [alert, status] = jsonLines(found.stdout);
    expect([found.code, alert, status]).toMatchObject([
      1,
      { type: 'alert', state: 'raised', level: 'alarm', code: 'split_view', subject: 'log' },
      { ok: false, alarms: [{ code: 'split_view' }] },
    ]);
    log.tamperText = (_, text) => text;
    expect((await once()).code).toBe(1);

    await log.close();
    const [name = ''] = await readdir(user.path('evidence'));
    const file = user.path(`evidence/${name}`);
    const judged = await user.run(['verify', file, '--vkey', log.vkey]);
    expect([judged.code, judged.stderr]).toEqual([0, '']);
    expect(judged.stdout).toContain('PROVEN FRAUD: the log example.com/logs/main has shown two histories');
    const members = JSON.parse((await user.run(['verify', file, '--vkey', log.vkey, '--json'])).stdout) as Json;
    expect(members).toMatchObject({ ok: true, fraud: 'split_view', first: { tree_size: 5 }, second: { tree_size: 5 } });
    const other = await user.run(['verify', file, '--vkey', new FakeLog('main', 2).vkey]);
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining('WRONG: unknown_signer')]);
    const text = await readFile(file, 'utf8');
    await writeFile(user.path('torn'), text.slice(0, -1));
    const torn = await user.run(['verify', 'torn', '--vkey', log.vkey]);
    expect([torn.code, torn.stdout]).toEqual([1, expect.stringContaining('WRONG: malformed_fraud_proof')]);
  });

  test('two sizes that do not go together are explained, and two heads that nobody connects prove nothing', async () => {
    await once();
    const forged = fork(log, 2, 8, () => new FakeLog());
    log.entries.splice(0, 5, ...forged.entries);
    log.signed = 8;
    const found = await once('--evidence', user.path('evidence'));
    expect([found.code, found.stdout]).toEqual([1, expect.stringContaining('ALARM split_view (log)')]);
    const [name = ''] = await readdir(user.path('evidence'));
    const text = await readFile(user.path(`evidence/${name}`), 'utf8');
    const judged = await user.run(['verify', `evidence/${name}`, '--vkey', log.vkey]);
    expect([judged.code, judged.stdout]).toEqual([
      0,
      expect.stringContaining('entries were changed, removed or put in'),
    ]);
    await writeFile(user.path('open'), text.replace(/root .*\n(?:[A-Za-z0-9+/=]{44}\n)+/, ''));
    const open = await user.run(['verify', 'open', '--vkey', log.vkey]);
    expect([open.code, open.stdout]).toEqual([1, expect.stringContaining('not_proven')]);
  });

  test('a log that cannot be reached is 3; one that lies meanwhile is 1', async () => {
    await once();
    await log.close();
    const away = await once();
    expect([away.code, away.stdout]).toEqual([3, expect.stringContaining('ALARM log_unreachable')]);
  });

  test('a witness is compared with the log, and one that is away is a warning, which is 0', async () => {
    const witness = new TestWitness('w1', 50);
    const other = fork(log, 1, 4, () => new FakeLog());
    let answer = { status: 500, body: '' };
    const server = await serve(() => answer);
    const { text } = witness.cosigner.verifierKey;
    await writeFile(user.path('policy'), `witness w1 ${text} ${server.url}/w/\nquorum w1\n`);
    log.tamperText = (_, note) => witness.cosign(note, Math.floor(Date.now() / 1000));
    const away = await once('--policy', user.path('policy'));
    expect([away.code, away.stdout]).toEqual([0, expect.stringContaining('WARNING witness_unreachable (w1)')]);
    answer = { status: 200, body: witness.cosign(other.checkpoint()) };
    const found = await once('--policy', user.path('policy'));
    expect([found.code, found.stdout]).toEqual([1, expect.stringContaining('ALARM split_view (w1)')]);
    expect(new Set(server.received.map(({ path }) => path))).toEqual(
      new Set([`/w/${originHash(log.origin)}/checkpoint`]),
    );
  });

  test('a rule that fits is 1, once', async () => {
    await writeFile(user.path('rules.yaml'), 'rules:\n- name: logins\n  action: user.login\n');
    const watch = ['--watch', user.path('rules.yaml'), '--key', API_KEY];
    expect((await once(...watch)).code).toBe(0);
    log.add('{"id":"x","action":"user.login"}');
    const found = await once(...watch, '--json');
    expect([found.code, jsonLines(found.stdout)[0]]).toMatchObject([
      1,
      { state: 'happened', code: 'rule_matched', subject: 'logins/5', details: { leaf_index: 5 } },
    ]);
    expect((await once(...watch)).code).toBe(0);
  });

  test('a webhook gets each alert, signed, and what it does not take waits for the next run', async () => {
    let status = 503;
    const hook = await serve(() => ({ status, body: '' }));
    user.env['INDELIBLE_WEBHOOK_SECRET'] = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    log.addAt('{"id":"x"}', 1);
    const first = await once('--webhook', hook.url, '--kind', 'events');
    expect([first.code, first.stderr]).toEqual([1, expect.stringContaining('webhook: status 503')]);
    expect(hook.received.length).toBeGreaterThan(0);
    status = 204;
    hook.received.length = 0;
    // Its next try is due a while later.
    const state = JSON.parse(await readFile(await stateFile(), 'utf8')) as {
      outbox: { webhook: { nextAt: number } }[];
    };
    for (const each of state.outbox) each.webhook.nextAt = 0;
    await writeFile(await stateFile(), JSON.stringify(state));
    const second = await once('--webhook', hook.url);
    expect([second.code, second.stdout]).toEqual([0, expect.stringContaining('nothing is wrong')]);
    expect(hook.received.map(({ body }) => (JSON.parse(body) as { data: Json }).data['code'])).toEqual([
      'received_at_decreased',
    ]);
    expect(hook.received[0]?.headers['webhook-signature']).toMatch(/^v1,[A-Za-z0-9+/]{43}=$/);
  }, 120_000);
});

async function stateFile(): Promise<string> {
  const names = await readdir(user.path('state'));
  const name = names.find((each) => /^monitor-[0-9a-f]{16}\.json$/.test(each));
  if (name === undefined) throw new Error(`no state among ${names.join(', ')}`);
  return user.path(`state/${name}`);
}

describe('a monitor that runs', () => {
  test('tells what happens between two looks, serves metrics, keeps others from its state, and ends when it is told', async () => {
    const args = ['monitor', url, '--vkey', log.vkey, '--interval', '1', '--json', '--metrics', '127.0.0.1:0'];
    const child = spawn(process.execPath, [MAIN, ...args], { env: user.env, cwd: user.directory });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (part) => {
      stdout += String(part);
    });
    child.stderr.on('data', (part) => {
      stderr += String(part);
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    try {
      await until(() => /metrics at (\S+)/.test(stderr));
      const [, metrics = ''] = /metrics at (\S+)/.exec(stderr) ?? [];
      const read = async () => await (await fetch(metrics)).text();
      await until(async () => (await read()).includes('indelible_monitor_verified_tree_size 5'));
      const twice = await once();
      expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('another monitor uses')]);
      log.fill(8);
      log.addAt('{"id":"x"}', 1);
      await until(() => stdout.includes('received_at_decreased'));
      await until(async () => (await read()).includes('indelible_monitor_verified_tree_size 9'));
      expect(await read()).toContain('indelible_monitor_alerts_total{code="received_at_decreased"} 1');
      expect((await fetch(metrics.replace('/metrics', '/other'))).status).toBe(404);
      expect(jsonLines(stdout)).toHaveLength(1);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
    expect(await readdir(user.path('state'))).not.toContainEqual(expect.stringMatching(/\.tmp$/));
  }, 60_000);
});

test('a monitor whose output nobody reads any more ends, and not well', async () => {
  const args = ['monitor', url, '--vkey', log.vkey, '--interval', '1'];
  const child = spawn(process.execPath, [MAIN, ...args], { env: user.env, cwd: user.directory });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.stdout.destroy();
  for (let i = 0; child.exitCode === null && i < 200; i++) {
    log.addAt(`{"id":"x-${i}"}`, 1000 - i);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  child.kill('SIGKILL');
  expect(await ended).toBe(1);
}, 60_000);

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error('it does not come');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('what cannot be meant is 2, in words', () => {
  test.each<readonly [readonly string[], string]>([
    [[], 'give --vkey'],
    [['--vkey', 'x'], '--vkey is not a verifier key'],
    [['--interval', '0'], 'A whole number of seconds'],
    [['--interval', '1.5'], 'A whole number of seconds'],
    [['--stall', '-1'], 'A whole number of seconds'],
    [['--kind', 'other'], 'events, raw'],
    [['--metrics', '9100'], 'HOST:PORT'],
    [['--policy', 'missing'], 'ENOENT'],
    [['--policy', 'rules.yaml'], 'line 1 of the policy'],
    [['--watch', 'missing', '--key', 'k'], 'ENOENT'],
    [['--watch', 'bad.yaml', '--key', 'k'], 'malformed_rules: bad.yaml:2: rules.0'],
    [['--watch-all'], '--watch-all goes with --watch'],
    [['--webhook', 'https://h.example/'], 'a webhook is signed'],
    [['--webhook', 'h.example', '--webhook-secret', `whsec_${'A'.repeat(32)}`], '--webhook is an address'],
    [['--webhook', 'https://h.example/', '--webhook-secret', 'secret'], 'whsec_ and the base64'],
    [['--state', 'rules.yaml'], 'is not the state of a monitor'],
  ])('%j', async (args, message) => {
    await writeFile(user.path('rules.yaml'), 'rules:\n- name: a\n  action: x\n');
    await writeFile(user.path('bad.yaml'), 'rules:\n- name: a\n');
    const vkey = args.length === 0 || args.includes('--vkey') ? [] : ['--vkey', log.vkey];
    const { code, stderr, stdout } = await user.run(['monitor', url, '--once', ...vkey, ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(stdout).toBe('');
  });

  test('watch rules want an API key, and that of the environment goes to its own server only', async () => {
    await writeFile(user.path('rules.yaml'), 'rules:\n- name: a\n  action: x\n');
    user.env['INDELIBLE_URL'] = 'http://other.example/logs/main';
    const without = await once('--watch', user.path('rules.yaml'));
    expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('watch rules read events')]);
    expect(log.requests).toEqual([]);
  });

  test.each([
    ['--from', 'yesterday'],
    ['--from', '2026-02-30'],
    ['--to', '2026-01-01T00:00:00+01:00'],
    ['--from', '9007199254740993'],
    ['--to', '-1'],
  ])('audit %s %s', async (flag, value) => {
    const { code, stderr } = await user.run(['audit', url, '--vkey', log.vkey, `${flag}=${value}`]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(flag)]);
  });
});

describe('audit', () => {
  const at = (day: number) => Date.UTC(2026, 0, day, 12);

  beforeEach(() => {
    log.fill(9);
    log.heads = [3, 5, 9].map((size, i) => log.headJson(size, at(i + 1)));
  });

  test('writes a report that people read', async () => {
    const { code, stdout, stderr } = await user.run(['audit', url, '--vkey', log.vkey]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('Verdict:       GOOD: all of it goes together');
    expect(stdout).toContain('Heads:         3 verified; the longest time between two is 86400 s');
    expect(stdout).toContain('Entries:       6 read');
    expect(stdout).toContain('2026-01-03T12:00:00.000Z (signed)');
  });

  test('and one that programs read, for the days that were asked for', async () => {
    const days = ['--from', '2026-01-02', '--to', '2026-01-02'];
    const { code, stdout } = await user.run(['audit', url, '--vkey', log.vkey, '--json', ...days]);
    expect([code, JSON.parse(stdout)]).toMatchObject([
      0,
      {
        type: 'indelible/audit-report/v1',
        ok: true,
        verdict: 'good',
        origin: log.origin,
        heads: 1,
        first: { tree_size: 5, time: '2026-01-02T12:00:00.000Z', time_signed: true },
        newest: { tree_size: 9 },
        problems: [],
        fraud_proofs: [],
      },
    ]);
  });

  test('what is wrong is 1, and a fraud proof lies beside the report', async () => {
    const forged = fork(log, 2, 5, () => new FakeLog());
    (log.heads as Json[])[1] = forged.headJson(5, at(2));
    const { code, stdout } = await user.run(['audit', url, '--vkey', log.vkey, '--out', user.path('report.txt')]);
    expect([code, stdout]).toEqual([1, expect.stringContaining('wrong: ')]);
    const report = await readFile(user.path('report.txt'), 'utf8');
    expect(report).toContain('Verdict:       WRONG: 2 problems');
    expect(report).toContain('size 5: split_view');
    const judged = await user.run(['verify', 'report.txt.1.fraud-proof', '--vkey', log.vkey]);
    expect([judged.code, judged.stdout]).toEqual([0, expect.stringContaining('PROVEN FRAUD')]);
  });

  test('a period without heads is 2, a log without a list of them too', async () => {
    const { code, stderr } = await user.run(['audit', url, '--vkey', log.vkey, '--from', '2027-01-01']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('no signed head in this period')]);
    log.heads = undefined;
    expect((await user.run(['audit', url, '--vkey', log.vkey])).code).toBe(2);
  });
});
