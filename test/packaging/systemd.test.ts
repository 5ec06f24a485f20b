/** contrib/indelible.service as systemd reads it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { ROOT } from '../support/spawn-server.ts';

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasAnalyze) console.log('SKIPPED: checks of the systemd unit: there is no systemd-analyze on this machine');
const withAnalyze = hasAnalyze ? test : test.skip;

const folder = mkdtempSync(join(tmpdir(), 'indelible-systemd-'));
afterAll(() => rmSync(folder, { recursive: true }));

const unit = readFileSync(join(ROOT, 'contrib/indelible.service'), 'utf8');

/** The unit, started by a program that is there: whether ours is installed is not the question. */
function analyze(text: string, ...args: string[]): { status: number | null; output: string } {
  const path = join(folder, 'indelible.service');
  writeFileSync(path, text.replaceAll('/usr/bin/indelible ', `${process.execPath} `));
  const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, path], { encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

describe('the systemd unit', () => {
  withAnalyze('verifies, without a word', () => {
    expect(analyze(unit, 'verify')).toEqual({ status: 0, output: '' });
    expect(analyze(unit.replace('ProtectHome=yes', 'ProtectHouse=yes'), 'verify').output).toContain('ProtectHouse');
  });

  withAnalyze('is exposed by 1.5 of 10 at most', () => {
    const security = ['security', '--offline=true', '--no-pager', '--threshold=15'];
    const { status, output } = analyze(unit, ...security);
    expect({ status, level: /exposure level.*/.exec(output)?.[0] }).toEqual({
      status: 0,
      level: expect.stringMatching(/indelible\.service: 1\.[0-5] OK/),
    });
    expect(analyze(unit.replace('CapabilityBoundingSet=\n', ''), ...security).status).not.toBe(0);
  });

  test('restarts what may pass by itself, and lets running requests end', () => {
    const value = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];
    expect(value('Restart')).toBe('on-failure');
    expect(value('RestartPreventExitStatus')).toBe('2 78');
    // Above the 35 s of server/process.ts.
    expect(Number(value('TimeoutStopSec'))).toBeGreaterThan(40);
    expect(value('ExecReload')).toContain('-HUP');
    // What the server needs, and a hardener may take away.
    expect(value('RestrictAddressFamilies')?.split(' ')).toContain('AF_UNIX');
    for (const name of ['MemoryDenyWriteExecute', 'PrivateNetwork']) expect(value(name)).toBeUndefined();
  });
});
