/** Where a report was made: the machine, the commit, the programs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { ROOT } from '../../support/spawn-server.ts';
import type { Machine } from './report.ts';

/** The machine, with the disk below this folder. */
export function describeMachine(folder: string): Machine {
  const { stdout } = spawnSync('df', ['--output=fstype,source', folder], { encoding: 'utf8' });
  const disk = stdout?.split('\n')[1]?.trim().split(/\s+/).join(' on ') ?? 'unknown disk';
  return {
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    disk: disk === '' ? 'unknown disk' : disk,
    kernel: release(),
    loadAverage: loadavg()[0] as number,
  };
}

/** The commit, with a plus where files differ from it. */
export function describeCommit(): string {
  const git = (...args: string[]): string =>
    spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
  const commit = git('rev-parse', '--short=12', 'HEAD');
  if (commit === '') return `none, version ${JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')).version}`;
  return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`;
}
