/** docs/operations.md against the program: settings, examples, exit codes and metrics can not drift apart. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseRulesFile } from '../../cli/monitoring/rules-file.ts';
import { ALARM_LEVELS } from '../../client/monitor/alarms.ts';
import { fileKey, SETTINGS, type Setting } from '../../server/config.ts';
import { EXIT } from '../../server/errors.ts';
import { hasOpenssl, makeCertificate } from '../support/certificates.ts';
import { BUILD, ROOT } from '../support/spawn-server.ts';

const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'indelible-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The table of settings as the page must have it. */
function settingsTable(): string {
  const rows = (Object.values(SETTINGS) as Setting[]).map(({ flag, value, help, fallback }) => {
    const preset = fallback === undefined || fallback === '' ? '' : `\`${fallback}\``;
    return `| \`${fileKey(flag)}\` | ${value} | ${preset} | ${help} |`.replaceAll(/(?<=on)\|(?=off)/g, '\\|');
  });
  return ['| Setting | Value | Default | What |', '|---|---|---|---|', ...rows].join('\n');
}

const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text]) => text as string);

describe('docs/operations.md', () => {
  test('has the table of settings', () => {
    const [, found] = /<!-- settings:[^>]*-->\n([\s\S]*?)\n?<!-- end of settings -->/.exec(page) ?? [];
    expect(found).toBe(settingsTable());
  });

  beforeAll(() => {
    if (hasOpenssl) makeCertificate(folder, 'tls');
  });

  test('has configuration files', () => {
    expect(examples.length).toBeGreaterThanOrEqual(3);
  });

  if (!hasOpenssl) console.log('SKIPPED: examples with a certificate: there is no openssl on this machine');
  const checked = examples.map((text) => [text.split('\n').find((line) => !line.startsWith('#')), text] as const);

  test.each(checked.filter(([, text]) => hasOpenssl || !text.includes('tls_')))(
    'example with %s is accepted',
    (_, text) => {
      const path = join(folder, 'indelible.yaml');
      // Only the files that it names are others.
      writeFileSync(path, text.replaceAll('/etc/indelible/tls', join(folder, 'tls')));
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [join(BUILD, 'cli/main.js'), 'config', 'check', '--config', path],
        { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
      );
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'ok\n', stderr: '' });
    },
  );

  test('explains every exit code, and no other', () => {
    const section = /## Exit codes\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
    const codes = [...section.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual([...new Set([...Object.values(EXIT), 1])].sort((a, b) => a - b));
  });

  test('names only metrics that there are', () => {
    const source = [
      'server/metrics.ts',
      'server/request-meter.ts',
      'server/process.ts',
      'server/witness/witness-metrics.ts',
      'cli/monitoring/metrics.ts',
    ]
      .map((file) => readFileSync(join(ROOT, file), 'utf8'))
      .join('');
    const named = [...page.matchAll(/`(indelible_[a-z_]+)/g)].map(([, name]) => name as string);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !source.includes(`'${name}'`))).toEqual([]);
  });

  test('says of every alarm of the monitor what to do, and which are warnings', () => {
    const section = /\n## Monitor\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
    const table = /\| Code \| Means \|[\s\S]*?\n\n/.exec(section)?.[0] ?? '';
    const rows = [...table.matchAll(/^\| (`[^|]*?) \|/gm)].map(([, first]) => first as string);
    const levels = rows.flatMap((first) =>
      [...first.matchAll(/`([a-z_]+)`/g)].map(([, code]) => [code, first.includes('(warning)') ? 'warning' : 'alarm']),
    );
    expect(Object.fromEntries(levels)).toEqual(ALARM_LEVELS);
  });

  test('has every metric of the monitor', () => {
    const source = readFileSync(join(ROOT, 'cli/monitoring/metrics.ts'), 'utf8');
    const made = [...source.matchAll(/'(indelible_monitor_[a-z_]+)'/g)].map(([, name]) => name as string);
    expect(made.length).toBeGreaterThan(10);
    expect(made.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test('has watch rules that are read', () => {
    const [, text = ''] = /<!-- rules -->\n```\n([\s\S]*?)```/.exec(page) ?? [];
    expect(parseRulesFile(new TextEncoder().encode(text), 'rules.yaml').map(({ name }) => name)).toHaveLength(3);
  });

  test('names only files that there are', () => {
    const contrib = readdirSync(join(ROOT, 'contrib'));
    for (const [, name] of page.matchAll(/contrib\/([\w.]+\w)/g)) expect(contrib).toContain(name);
  });
});
