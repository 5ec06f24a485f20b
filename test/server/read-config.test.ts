/** Where settings come from, which one wins, and that no message repeats a secret. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { environmentName, fileKey, SETTINGS, type Setting, type SettingName, shapeOf } from '../../server/config.ts';
import type { ExitError } from '../../server/errors.ts';
import { type Flags, gatherConfig, readConfig } from '../../server/read-config.ts';
import { hideSecrets } from '../../server/secrets.ts';

const folder = mkdtempSync(join(tmpdir(), 'indelible-read-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SEED = '5eed'.repeat(16);
const KEY = `ind_${'1d'.repeat(8)}_${'c0de'.repeat(16)}`;

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode });
  return path;
}

/** The exit code and message that reading ends with. */
function refusal(flags: Flags, environment: NodeJS.ProcessEnv): [number, string] {
  try {
    readConfig(flags, environment);
  } catch (error) {
    const { exitCode, message } = error as ExitError;
    return [exitCode, message];
  }
  throw new Error('nothing was refused');
}

describe('precedence', () => {
  const good: Record<string, readonly [string, string, string]> = {
    dataDir: ['/flag', '/environment', '/file'],
    listen: ['flag:1', 'environment:2', 'file:3'],
    trustedProxies: ['1.1.1.1', '2.2.2.2', '3.3.3.3'],
    originBase: ['flag.example', 'environment.example', 'file.example'],
    guardInode: ['off', 'on', 'off'],
    minFreeSpace: ['10%', '7', '8%'],
    logLevel: ['trace', 'debug', 'warn'],
    publish: ['best-effort', 'require-quorum', 'best-effort'],
  };
  const values = (name: SettingName, setting: Setting): readonly [string, string, string] => {
    if (good[name] !== undefined) return good[name];
    if (shapeOf(setting) === 'text') return ['/flag', '/environment', '/file'];
    const base = Number(setting.fallback ?? 70_000);
    return [String(base), String(base + 1), String(base + 2)];
  };
  /** Certificate and key, and the two of a witness, go together, and a seed is a file; they are tested by themselves. */
  const single = (Object.entries(SETTINGS) as [SettingName, Setting][]).filter(
    ([name]) => !['tlsCert', 'tlsKey', 'masterSeedFile', 'witnessLogs', 'witnessName'].includes(name),
  );

  test.each(single)('of %s: flag, environment, file, default', (name, setting) => {
    const { flag, fallback } = setting;
    const [onFlag, inEnvironment, inFile] = values(name, setting);
    const quoted = shapeOf(setting) === 'number' || shapeOf(setting) === 'switch' ? inFile : JSON.stringify(inFile);
    const config = file(`${flag}.yaml`, `# settings\n${fileKey(flag)}: ${quoted}\n`);
    const variable = environmentName(flag);
    const given = (flags: Flags, environment: NodeJS.ProcessEnv): unknown => {
      const found = gatherConfig(flags, environment).settings.get(name);
      return found === undefined ? undefined : [found.text, found.source.kind, found.source.where];
    };
    const environment = { [variable]: inEnvironment, INDELIBLE_CONFIG: config };
    expect(given({ [name]: onFlag, config }, environment)).toEqual([onFlag, 'flag', `--${flag}`]);
    expect(given({ config }, environment)).toEqual([inEnvironment, 'environment', variable]);
    expect(given({ config }, {})).toEqual([inFile, 'file', `${config}:2`]);
    expect(given({}, { INDELIBLE_CONFIG: config })).toEqual([inFile, 'file', `${config}:2`]);
    expect(given({}, {})).toEqual(fallback === undefined ? undefined : [fallback, 'default', 'default']);
  });

  test('the flag names the file before the environment does', () => {
    const [a, b] = [file('a.yaml', 'interval: 50'), file('b.yaml', 'interval: 60')];
    expect(readConfig({ config: a }, { INDELIBLE_CONFIG: b }).interval).toBe(50);
    expect(readConfig({}, { INDELIBLE_CONFIG: b }).interval).toBe(60);
  });

  test('values reach the server in their own types', () => {
    const config = file(
      'types.yaml',
      'listen: "[::1]:9"\ninterval: 50\nguard_inode: false\ntrusted_proxies: [10.0.0.0/8]\n',
    );
    const read = readConfig({ config }, {});
    expect(read).toMatchObject({ listen: { host: '::1', port: 9 }, interval: 50, guardInode: 'off' });
    expect(['10.1.2.3', '11.1.2.3'].map((address) => read.trustedProxies.trusts(address))).toEqual([true, false]);
  });
});

describe('problems', () => {
  test('of all sources are told at once, those that a stronger source hides too', () => {
    const config = file('many.yaml', 'listn: x\ninterval: 5\nmax_events: many\nlog_level: loud\n');
    const flags = { config, listen: 'nowhere', interval: '1000', tlsCert: '/c' };
    const environment = {
      INDELIBLE_REFRESH: '1s',
      INDELIBLE_ORIGIN_BASE: 'https://x',
      INDELIBLE_TRUSTED_PROXIES: 'proxy.example',
      INDELIBLE_ADMIN_KEY: 'hunter2',
      INDELIBLE_MASTER_SEED: 'hunter3',
    };
    const [code, message] = refusal(flags, environment);
    expect(code).toBe(2);
    expect(message.split('\n')).toEqual([
      `--listen: 'nowhere' is not HOST:PORT`,
      `INDELIBLE_TRUSTED_PROXIES: 'proxy.example' has an entry that is no IP address and no range such as 10.0.0.0/8`,
      `INDELIBLE_ORIGIN_BASE: 'https://x' is a name without scheme and final slash, such as example.com`,
      `${config}:2: interval: '5' is not between 10 and 3600000`,
      `INDELIBLE_REFRESH: '1s' is not a whole number`,
      `${config}:4: log_level: 'loud' is not one of trace, debug, info, warn, error, silent`,
      `--tls-cert: a certificate needs its private key: give tls-key too`,
      `${config}:1: listn: is no setting; did you mean listen?`,
      `${config}:3: max_events: is not a number: write digits, without quotes`,
      'INDELIBLE_ADMIN_KEY: is not of the form ind_ and 16 hex digits, _ and 64 hex digits',
      'INDELIBLE_MASTER_SEED: is not 64 lowercase hex digits',
    ]);
  });

  test.each<[string, Flags, NodeJS.ProcessEnv, number, string]>([
    [
      'a file that is not there',
      { config: '/no/such' },
      {},
      2,
      'configuration: cannot read the configuration file /no/such: ENOENT',
    ],
    [
      'a key without certificate',
      {},
      { INDELIBLE_TLS_KEY: '/k' },
      2,
      'INDELIBLE_TLS_KEY: a private key needs its certificate: give tls-cert too',
    ],
    ['an empty directory name', { dataDir: '' }, {}, 2, `--data-dir: '' is empty`],
    [
      'an empty configuration name',
      { config: '' },
      {},
      2,
      'configuration: cannot read the configuration file : ENOENT',
    ],
    [
      'a master seed that is not there',
      { masterSeedFile: '/no/such' },
      {},
      2,
      '--master-seed-file: cannot read /no/such (ENOENT)',
    ],
    [
      'an admin key file that is not there',
      {},
      { INDELIBLE_ADMIN_KEY_FILE: '/no/such' },
      2,
      'INDELIBLE_ADMIN_KEY_FILE: cannot read /no/such (ENOENT)',
    ],
    [
      'an admin key and its file',
      {},
      { INDELIBLE_ADMIN_KEY: KEY, INDELIBLE_ADMIN_KEY_FILE: '/x' },
      2,
      'INDELIBLE_ADMIN_KEY_FILE: INDELIBLE_ADMIN_KEY is set too: give one of them',
    ],
    ['text with control characters', { listen: 'a\u001b[2J\nb' }, {}, 2, `--listen: 'a [2J b' is not HOST:PORT`],
    ['very long text', { listen: 'x'.repeat(5000) }, {}, 2, `--listen: '${'x'.repeat(200)}…' is not HOST:PORT`],
  ])('%s', (_, flags, environment, code, message) => {
    expect(refusal(flags, environment)).toEqual([code, message]);
  });

  test('a secret that others can read: 78', () => {
    for (const [flags, environment] of [
      [{}, { INDELIBLE_ADMIN_KEY_FILE: file('open-key', KEY, 0o640) }],
      [{ masterSeedFile: file('open-seed', SEED, 0o604) }, {}],
    ] as const) {
      const [code, message] = refusal(flags, environment);
      expect([code, message]).toEqual([
        78,
        expect.stringMatching(/can be read by others \(mode 6..\)\. Make it private: chmod 600/),
      ]);
    }
  });
});

describe('trusted proxies', () => {
  test.each([
    'x',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.4/0',
    '::/0',
    '::1/129',
    '1.2.3.4,',
    ',',
    '1.2.3.4/',
    '1.2.3.4/08x',
    'fe80::1%eth0',
    '*',
  ])('%j is refused', (text) => {
    expect(refusal({ trustedProxies: text }, {})).toEqual([2, expect.stringContaining('--trusted-proxies: ')]);
  });

  test.each(['', '127.0.0.1', '::1', '10.0.0.0/8, fd00::/8', '1.2.3.4/32'])('%j is accepted', (text) => {
    expect(readConfig({ trustedProxies: text }, {}).trustedProxies.ranges.join(', ')).toBe(text);
  });
});

describe('secrets', () => {
  test('come from the environment or from private files, with or without a line end', () => {
    for (const end of ['', '\n', '\r\n']) {
      const { config, adminKeySource } = gatherConfig({}, { INDELIBLE_ADMIN_KEY_FILE: file('key', KEY + end) });
      expect([config.adminKey, adminKeySource?.where]).toEqual([KEY, 'INDELIBLE_ADMIN_KEY_FILE']);
    }
    const config = file('seed.yaml', `master_seed_file: ${file('seed', `${SEED}\n`)}`);
    const { config: read, masterSeedSource } = gatherConfig({ config }, {});
    expect(Buffer.from(read.masterSeed as Uint8Array).toString('hex')).toBe(SEED);
    expect(masterSeedSource).toEqual({ kind: 'file', where: `${config}:1` });
  });

  /** Each secret in each place where somebody may put it by mistake. */
  const places: [string, (secret: string) => [Flags, NodeJS.ProcessEnv]][] = [
    ...(Object.entries(SETTINGS) as [SettingName, Setting][]).flatMap(
      ([name, { flag }]): [string, (secret: string) => [Flags, NodeJS.ProcessEnv]][] => [
        [`--${flag}`, (secret) => [{ [name]: secret }, {}]],
        [environmentName(flag), (secret) => [{}, { [environmentName(flag)]: secret }]],
        [`${flag} of the file`, (secret) => [{ config: file('x.yaml', `${fileKey(flag)}: ${secret}`) }, {}]],
        [`${flag} of the file, quoted`, (secret) => [{ config: file('x.yaml', `${fileKey(flag)}: "${secret}"`) }, {}]],
      ],
    ),
    ['--config', (secret) => [{ config: secret }, {}]],
    ['a key of the file', (secret) => [{ config: file('x.yaml', `${secret}: 1`) }, {}]],
    ['admin_key of the file', (secret) => [{ config: file('x.yaml', `admin_key: ${secret}`) }, {}]],
    ['INDELIBLE_ADMIN_KEY, with one digit more', (secret) => [{}, { INDELIBLE_ADMIN_KEY: `${secret}0` }]],
    ['INDELIBLE_MASTER_SEED, with one digit more', (secret) => [{}, { INDELIBLE_MASTER_SEED: `${secret}0` }]],
    ['INDELIBLE_ADMIN_KEY_FILE', (secret) => [{}, { INDELIBLE_ADMIN_KEY_FILE: secret }]],
    [
      'the file of the admin key, with one digit more',
      (secret) => [{}, { INDELIBLE_ADMIN_KEY_FILE: file('k', `${secret}0`) }],
    ],
    ['the file of the master seed, with one digit more', (secret) => [{ masterSeedFile: file('s', `${secret}0`) }, {}]],
  ];

  test.each(places)('no message repeats one that was put into %s', (_, place) => {
    for (const secret of [KEY, SEED, SEED.toUpperCase()]) {
      const [flags, environment] = place(secret);
      let message = '';
      try {
        // With a problem of another kind, so that there always is a message.
        readConfig({ maxEvents: 'x', ...flags }, environment);
      } catch (error) {
        message = String((error as Error).stack);
      }
      expect(message).not.toMatch(/5eed|c0de/i);
    }
  });

  test('what is hidden, and what is not', () => {
    expect([KEY, SEED, `--key=${KEY}`, `x ${SEED}.`].map(hideSecrets)).toEqual(['…', '…', '--key=…', 'x ….']);
    for (const text of [
      '/var/lib/indelible',
      '127.0.0.1:8080',
      `/volumes/${SEED}/_data`,
      '86400000',
      'audit.example.com',
    ])
      expect(hideSecrets(text)).toBe(text);
  });
});
