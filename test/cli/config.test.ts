/** `indelible config` as a process: exit codes, exact messages, and not a byte of a secret. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hasOpenssl, makeCertificate } from '../support/certificates.ts';
import { BUILD } from '../support/spawn-server.ts';

if (!hasOpenssl) console.log('SKIPPED: certificates in config check: there is no openssl on this machine');
const withOpenssl = hasOpenssl ? test : test.skip;

const folder = mkdtempSync(join(tmpdir(), 'indelible-cli-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SEED = '5eed'.repeat(16);
const KEY = `ind_${'1d'.repeat(8)}_${'c0de'.repeat(16)}`;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function config(args: readonly string[], env: Record<string, string> = {}, command = 'config'): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), command, ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { PATH: process.env['PATH'] as string, ...env },
  });
  // Whatever was asked for: nothing that it printed holds a secret.
  expect(stdout + stderr).not.toMatch(/5eed5eed|c0dec0de/i);
  return { code: status, out: stdout, err: stderr };
}

function file(name: string, text: string, mode = 0o600): string {
  writeFileSync(join(folder, name), text, { mode });
  return name;
}

beforeAll(() => {
  file(
    'good.yaml',
    '# a server\nlisten: 0.0.0.0:8080\ninterval: 500\nguard_inode: false\ntrusted_proxies: [10.0.0.0/8]\n',
  );
  file('bad.yaml', `listn: x\nlisten: y\ninterval: "5"\nadmin_key: ${KEY}\n`);
  file('seed', `${SEED}\n`);
  file('open-seed', `${SEED}\n`, 0o644);
  file('key', KEY);
});

describe('config check', () => {
  test('says ok', () => {
    expect(config(['check'])).toEqual({ code: 0, out: 'ok\n', err: '' });
    expect(config(['check', '--config', 'good.yaml'])).toEqual({ code: 0, out: 'ok\n', err: '' });
    expect(config(['check', '--json'], { INDELIBLE_CONFIG: 'good.yaml' })).toEqual({
      code: 0,
      out: '{"ok":true,"warnings":[]}\n',
      err: '',
    });
  });

  test('or everything that is wrong', () => {
    const problems = [
      ['INDELIBLE_MAX_EVENTS', "'0' is not between 1 and 100000"],
      ['--log-level', "'loud' is not one of trace, debug, info, warn, error, silent"],
      ['bad.yaml:2: listen', "'y' is not HOST:PORT"],
      ['bad.yaml:1: listn', 'is no setting; did you mean listen?'],
      ['bad.yaml:3: interval', 'is not a number: write digits, without quotes'],
      [
        'bad.yaml:4: admin_key',
        'is a secret and not read from this file: use INDELIBLE_ADMIN_KEY, or INDELIBLE_ADMIN_KEY_FILE with the name of a private file',
      ],
    ];
    const args = ['check', '--config', 'bad.yaml', '--log-level', 'loud'];
    const { code, out, err } = config(args, { INDELIBLE_MAX_EVENTS: '0' });
    expect([code, out]).toEqual([2, '']);
    expect(err.trimEnd().split('\n').sort()).toEqual(problems.map((parts) => parts.join(': ')).sort());
    const json = config([...args, '--json'], { INDELIBLE_MAX_EVENTS: '0' });
    expect(json.code).toBe(2);
    const told = JSON.parse(json.out) as { ok: boolean; problems: { where: string; message: string }[] };
    expect(told.ok).toBe(false);
    expect(told.problems.map(({ where, message }) => [where, message]).sort()).toEqual([...problems].sort());
  });

  test('is what serve says too, and serve stops there', () => {
    const { code, err } = config(['--config', 'bad.yaml'], {}, 'serve');
    expect(code).toBe(2);
    expect(err).toContain('indelible: bad.yaml:2: listen: ');
    expect(err.trimEnd().split('\n')).toHaveLength(4);
  });

  test.each<[string, string[], Record<string, string>, number, string]>([
    [
      'a file that others can read',
      ['--master-seed-file', 'open-seed'],
      {},
      78,
      'open-seed can be read by others (mode 644). Make it private: chmod 600 open-seed',
    ],
    [
      'a seed that is none',
      ['--master-seed-file', 'good.yaml'],
      {},
      78,
      'good.yaml does not hold a master seed: 64 lowercase hex digits are expected',
    ],
    [
      'the seed as the name of its file',
      ['--master-seed-file', SEED],
      {},
      2,
      '--master-seed-file: cannot read … (ENOENT)',
    ],
    [
      'a key file without key',
      [],
      { INDELIBLE_ADMIN_KEY_FILE: 'seed' },
      2,
      'INDELIBLE_ADMIN_KEY_FILE: seed holds no admin key of the form ind_ and 16 hex digits, _ and 64 hex digits',
    ],
    ['no such flag, with a secret', [`--admin-key=${KEY}`], {}, 2, "error: unknown option '--admin-key=…'"],
    ['too many words', [SEED], {}, 2, "error: too many arguments for 'check'. Expected 0 arguments but got 1."],
    [
      'a certificate that is not there',
      ['--tls-cert', 'none', '--tls-key', 'seed'],
      {},
      2,
      '--tls-cert: none cannot be read (ENOENT)',
    ],
  ])('%s', (_, args, env, code, message) => {
    const { code: got, err } = config(['check', ...args], env);
    expect([got, err.trim()]).toEqual([code, message]);
  });

  withOpenssl('reads certificate and key, and warns of one out of its time', () => {
    const check = (name: string, ...more: string[]): Ended =>
      config(['check', '--tls-cert', `${name}.crt`, '--tls-key', `${name}.key`, ...more]);
    makeCertificate(folder, 'fresh', { days: 300 });
    expect(check('fresh')).toEqual({ code: 0, out: 'ok\n', err: '' });
    makeCertificate(folder, 'old', { days: -1 });
    const warning = /^the TLS certificate has expired on [0-9-]{10}: clients refuse it\. Renew it and send SIGHUP$/;
    const { code, out, err } = check('old');
    expect([code, out]).toEqual([0, 'ok\n']);
    expect(err.trimEnd().replace('warning: ', '')).toMatch(warning);
    expect(JSON.parse(check('old', '--json').out)).toEqual({ ok: true, warnings: [expect.stringMatching(warning)] });
    expect(config(['check', '--tls-cert', 'old.crt', '--tls-key', 'fresh.key'])).toEqual({
      code: 2,
      out: '',
      err: '--tls-key: fresh.key is not the key of the certificate in old.crt, which comes first in that file\n',
    });
  });
});

describe('config print', () => {
  test('shows each setting and its source', () => {
    const args = ['print', '--config', 'good.yaml', '--interval', '700', '--master-seed-file', 'seed'];
    const { code, out } = config(args, { INDELIBLE_MAX_EVENTS: '7', INDELIBLE_ADMIN_KEY: KEY });
    expect(code).toBe(0);
    const rows = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    for (const row of [
      ['setting', 'value', 'from'],
      ['data_dir', './data', 'default'],
      ['listen', '0.0.0.0:8080', 'good.yaml:2'],
      ['interval', '700', '--interval'],
      ['guard_inode', 'off', 'good.yaml:4'],
      ['max_events', '7', 'INDELIBLE_MAX_EVENTS'],
      ['guard', '-'],
      ['master_seed_file', 'seed', '--master-seed-file'],
      ['admin key', 'ind_1d1d1d1d1d1d1d1d_(hidden)', 'INDELIBLE_ADMIN_KEY'],
      ['master seed', '(hidden)', '--master-seed-file'],
    ])
      expect(rows).toContainEqual(row);
  });

  test('as JSON', () => {
    const env = { INDELIBLE_MASTER_SEED: SEED, INDELIBLE_ADMIN_KEY_FILE: 'key' };
    const { code, out } = config(['print', '--json', '--config', 'good.yaml', '--log-level', 'warn'], env);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      config_file: 'good.yaml',
      settings: {
        interval: { value: 500, source: 'file', from: 'good.yaml:3' },
        log_level: { value: 'warn', source: 'flag', from: '--log-level' },
        refresh: { value: 600_000, source: 'default', from: 'default' },
        guard: { value: null, source: null, from: null },
      },
      admin_key: { id: '1d1d1d1d1d1d1d1d', source: 'environment', from: 'INDELIBLE_ADMIN_KEY_FILE' },
      master_seed: { source: 'environment', from: 'INDELIBLE_MASTER_SEED' },
    });
    expect(JSON.parse(config(['print', '--json']).out)).toMatchObject({
      config_file: null,
      admin_key: null,
      master_seed: { source: 'default', from: 'DIR/keys/master' },
    });
  });

  test('hides secrets that stand where they do not belong', () => {
    const { code, out } = config(['print', '--guard', KEY, '--data-dir', SEED]);
    expect([code, /guard +… +--guard/.test(out), /data_dir +… +--data-dir/.test(out)]).toEqual([0, true, true]);
  });

  test('refuses what check refuses', () => {
    expect(config(['print', '--config', 'bad.yaml']).code).toBe(2);
    expect(config(['print', '--config', 'none.yaml'])).toEqual({
      code: 2,
      out: '',
      err: 'configuration: cannot read the configuration file none.yaml: ENOENT\n',
    });
  });
});

test('both have help with an example', () => {
  for (const args of [['--help'], ['check', '--help'], ['print', '--help']]) {
    const { code, out } = config(args);
    expect([code, out.includes('$ indelible config ')]).toEqual([0, true]);
  }
});
