/** The configuration file: what it may hold, and what each mistake is answered with. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fileKey, SETTINGS, type Setting, type SettingName, shapeOf } from '../../server/config.ts';
import { parseConfigFile, readConfigFile } from '../../server/config-file.ts';
import { nearest } from '../../server/nearest.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Values as `name text line`, and problems as one line each. */
function read(text: string | Uint8Array): { readonly values: string[]; readonly problems: string[] } {
  const { values, problems } = parseConfigFile(typeof text === 'string' ? bytes(text) : text, 'c.yaml');
  return {
    values: values.map(({ name, text: value, where }) => `${name} ${value} ${where}`),
    problems: problems.map(({ where, message }) => `${where}: ${message}`),
  };
}

describe('a configuration file', () => {
  test.each([
    ['empty', ''],
    ['a comment', '# nothing yet\n'],
    ['a byte order mark and no more', '\ufeff'],
    ['null', '~\n'],
    ['an empty mapping', '{}'],
    ['a document start', '---\n'],
  ])('may be %s', (_, text) => {
    expect(read(text)).toEqual({ values: [], problems: [] });
  });

  test.each([
    ['plain text', 'data_dir: /var/lib/indelible', 'dataDir /var/lib/indelible c.yaml:1'],
    ['an address with its port', 'listen: 127.0.0.1:8080', 'listen 127.0.0.1:8080 c.yaml:1'],
    ['quoted text', "listen: '[::1]:8080'", 'listen [::1]:8080 c.yaml:1'],
    ['a byte order mark before it', '\ufefflisten: a:1', 'listen a:1 c.yaml:1'],
    ['Windows line ends', '\r\nlisten: a:1\r\n', 'listen a:1 c.yaml:2'],
    ['a document start before it', '# x\n---\nlisten: a:1', 'listen a:1 c.yaml:3'],
    ['flow style', '{ "listen": "a:1" }', 'listen a:1 c.yaml:1'],
    ['a number', 'interval: 500', 'interval 500 c.yaml:1'],
    ['on', 'guard_inode: on', 'guardInode on c.yaml:1'],
    ['true', 'guard_inode: true', 'guardInode on c.yaml:1'],
    ['false', 'guard_inode: false', 'guardInode off c.yaml:1'],
    ['on under the directive of YAML 1.1', '%YAML 1.1\n---\nguard_inode: off', 'guardInode off c.yaml:3'],
    ['a list', 'trusted_proxies:\n  - 127.0.0.1\n  - "::1"', 'trustedProxies 127.0.0.1,::1 c.yaml:1'],
    ['an empty list', 'trusted_proxies: []', 'trustedProxies  c.yaml:1'],
    ['a list as text', 'trusted_proxies: 127.0.0.1,::1', 'trustedProxies 127.0.0.1,::1 c.yaml:1'],
    ['a text with an explicit tag', 'data_dir: !!str 5', 'dataDir 5 c.yaml:1'],
  ])('may hold %s', (_, text, value) => {
    expect(read(text)).toEqual({ values: [value], problems: [] });
  });

  test.each([
    ['a slip of the hand', 'listn: a:1', 'c.yaml:1: listn: is no setting; did you mean listen?'],
    ['the spelling of the flag', 'data-dir: x', 'c.yaml:1: data-dir: is no setting; did you mean data_dir?'],
    ['the spelling of the program', 'dataDir: x', 'c.yaml:1: dataDir: is no setting; did you mean data_dir?'],
    ['the variable', 'INDELIBLE_LISTEN: a:1', 'c.yaml:1: INDELIBLE_LISTEN: is no setting; did you mean listen?'],
    ['something else', '\n\ncolour: red', 'c.yaml:3: colour: is no setting'],
    ['a prototype member', '__proto__: x', 'c.yaml:1: __proto__: is no setting'],
    ['another file', 'config: x', 'c.yaml:1: config: a configuration file names no other one'],
    ['a merge key', '<<: { listen: a:1 }', 'c.yaml:1: <<: is no setting'],
    ['a key that is no text', '[a]: b', 'c.yaml:1: keys are names of settings'],
    ['a key twice', 'listen: a:1\ninterval: 50\nlisten: b:1', 'c.yaml:3: listen: stands in line 1 already'],
    ['no value', 'guard:', 'c.yaml:1: guard: has no value: give one, or remove the line'],
    ['null', 'guard: ~', 'c.yaml:1: guard: has no value: give one, or remove the line'],
    ['a number for text', 'data_dir: 5', 'c.yaml:1: data_dir: is not text: put it in quotes'],
    ['a port for an address', 'listen: 8080', 'c.yaml:1: listen: is not text: put it in quotes'],
    ['true for text', 'data_dir: true', 'c.yaml:1: data_dir: is not text: put it in quotes'],
    ['a list for text', 'data_dir: [a]', 'c.yaml:1: data_dir: is not text: put it in quotes'],
    ['a mapping for text', 'data_dir: { a: b }', 'c.yaml:1: data_dir: is not text: put it in quotes'],
    ['text for a number', 'interval: "500"', 'c.yaml:1: interval: is not a number: write digits, without quotes'],
    ['a unit', 'interval: 1s', 'c.yaml:1: interval: is not a number: write digits, without quotes'],
    ['true for a number', 'interval: true', 'c.yaml:1: interval: is not a number: write digits, without quotes'],
    ['a list for a number', 'interval: [500]', 'c.yaml:1: interval: is not a number: write digits, without quotes'],
    ['a number for a switch', 'guard_inode: 1', 'c.yaml:1: guard_inode: is neither on nor off'],
    ['numbers in a list', 'trusted_proxies: [1]', 'c.yaml:1: trusted_proxies: is not a list of texts'],
    ['a comma in a list', 'trusted_proxies: ["a,b"]', 'c.yaml:1: trusted_proxies: is not a list of texts'],
    ['a number for a list', 'trusted_proxies: 5', 'c.yaml:1: trusted_proxies: is not a list of texts'],
    ['a list', '- listen: a:1', 'c.yaml: is not a list of "setting: value" lines'],
    ['a text', 'listen', 'c.yaml: is not a list of "setting: value" lines'],
    ['a tab', 'listen:\n\ta: b', 'c.yaml:2: tabs do not indent in YAML'],
    ['an open quote', 'listen: "a', 'c.yaml:1: is not YAML'],
    ['an unquoted IPv6 address', 'listen: [::1]:8080', 'c.yaml:1: is not YAML'],
    [
      'a second document',
      'listen: a:1\n---\nlisten: b:1',
      'c.yaml:2: one document is expected, and another one follows',
    ],
    ['a tag of its own', 'listen: !env LISTEN', 'c.yaml:1: tags are not accepted'],
    ['an alias', 'listen: &a a:1\nguard: *a', 'c.yaml:2: guard: aliases are not accepted'],
    ['an alias of nothing', 'listen: *a', 'c.yaml:1: listen: aliases are not accepted'],
  ])('is refused for %s', (_, text, problem) => {
    expect(read(text).problems[0]).toBe(problem);
    expect(read(text).problems).toHaveLength(1);
  });

  test('is refused for numbers that are not plain decimals, by the rule of the flag', () => {
    // The text as it stands goes through the same check as a flag: 1e3 must not become 1000 in one place only.
    for (const text of ['0x10', '1e3', '1.5', '-5', '.inf', '0o17']) {
      expect(read(`interval: ${text}`)).toEqual({ values: [`interval ${text} c.yaml:1`], problems: [] });
    }
  });

  test.each([
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x61, 0x00), 'c.yaml: is not UTF-8'],
    ['bytes that are no text', Uint8Array.of(0x61, 0x3a, 0x20, 0xc3), 'c.yaml: is not UTF-8'],
    ['65,537 bytes', new Uint8Array(65_537).fill(0x23), 'c.yaml: has more than 65536 bytes'],
  ])('is refused for %s', (_, content, problem) => {
    expect(read(content)).toEqual({ values: [], problems: [problem] });
  });

  test('65,536 bytes are a file like any other', () => {
    expect(read(new Uint8Array(65_536).fill(0x23))).toEqual({ values: [], problems: [] });
  });

  test('bombs are no more than a line in the list of problems', () => {
    const aliases = `a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nlisten: [*c, *c]\n`;
    expect(read(aliases).problems).toHaveLength(4);
    for (const deep of ['['.repeat(60_000), 'listen: '.concat('{a: '.repeat(15_000)), '- '.repeat(30_000)]) {
      const { values, problems } = read(deep);
      expect(values).toEqual([]);
      expect(problems.length).toBeGreaterThan(0);
    }
  });

  test('all problems of a file are told at once, the good lines kept', () => {
    expect(read('listn: x\ninterval: soon\nguard: /g\nguard: /h\nmaster_seed: x')).toEqual({
      values: ['guard /g c.yaml:3'],
      problems: [
        'c.yaml:1: listn: is no setting; did you mean listen?',
        'c.yaml:2: interval: is not a number: write digits, without quotes',
        'c.yaml:4: guard: stands in line 3 already',
        expect.stringMatching(/^c\.yaml:5: master_seed: is a secret/),
      ],
    });
  });

  test.each(['admin_key', 'admin-key', 'adminKey', 'INDELIBLE_ADMIN_KEY', 'master_seed', 'masterseed'])(
    'never holds the secret %s, and its value is not repeated',
    (key) => {
      const { values, problems } = read(`${key}: hunter2-and-more`);
      expect(values).toEqual([]);
      expect(problems).toEqual([expect.stringContaining('is a secret and not read from this file: use INDELIBLE_')]);
      expect(problems[0]).not.toContain('hunter2');
    },
  );

  test('whatever it holds, no line of it comes back in a message', () => {
    const secret = 'c0ffee'.repeat(11).slice(0, 64);
    for (const text of [
      secret,
      `${secret}: x`,
      `listen: !${secret} x`,
      `listen: *${secret}`,
      `listen: |${secret}\n x`,
      `listen: "\\q${secret}`,
      `%${secret}\n---\n`,
      `ind_0123456789abcdef_${secret}: x`,
      `[${secret}]: x`,
      `interval: ${secret}`,
      `listen: a:1\n  ${secret}: x`,
    ]) {
      const { problems } = read(text);
      expect({ text, count: problems.length > 0 }).toEqual({ text, count: true });
      expect(problems.join()).not.toContain('c0ffee');
    }
  });

  test('random text is read or refused, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'a:-[]{}#&*!|>%@`"\' \n\t0~?,') }), (text) => {
        const { problems } = parseConfigFile(bytes(text), 'c.yaml');
        for (const { where, message } of problems)
          expect([where.startsWith('c.yaml'), message.length > 0]).toEqual([true, true]);
      }),
      { numRuns: 500 },
    );
  });

  test('every setting can be given in its own shape', () => {
    for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting][]) {
      const samples = { number: '12345', switch: 'off', list: '[a]', text: 'x/y' };
      const { values, problems } = read(`${fileKey(setting.flag)}: ${samples[shapeOf(setting)]}`);
      expect({ name, problems, values: values.length }).toEqual({ name, problems: [], values: 1 });
    }
  });

  test('is read up to its bound only, and the reason told when it cannot be read', () => {
    expect(readConfigFile('/dev/zero').problems).toEqual([
      { where: '/dev/zero', message: 'has more than 65536 bytes' },
    ]);
    const folder = mkdtempSync(join(tmpdir(), 'indelible-config-'));
    const path = join(folder, 'c.yaml');
    writeFileSync(path, 'interval: 50\n');
    expect(readConfigFile(path)).toEqual({
      values: [{ name: 'interval', text: '50', where: `${path}:1` }],
      problems: [],
    });
    for (const [bad, code] of [
      [join(folder, 'none'), 'ENOENT'],
      [folder, 'EISDIR'],
    ] as const) {
      expect(() => readConfigFile(bad)).toThrow(
        expect.objectContaining({ exitCode: 2, message: `cannot read the configuration file ${bad}: ${code}` }),
      );
    }
    rmSync(folder, { recursive: true });
  });
});

describe('the nearest name', () => {
  test.each([
    ['listen', 'listen'],
    ['lisen', 'listen'],
    ['datadir', 'data_dir'],
    ['max_event', 'max_events'],
    ['zzz', undefined],
    ['', undefined],
    ['l'.repeat(65), undefined],
  ])('of %j is %j', (word, expected) => {
    expect(nearest(word, ['data_dir', 'listen', 'max_event_size', 'max_events'])).toBe(expected);
  });
});
