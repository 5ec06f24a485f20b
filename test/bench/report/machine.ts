/** Where a report was made: the machine, the commit, the programs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../support/spawn-server.ts';
import { findHypercore } from '../subjects/hypercore.ts';
import { findNginx, nginxVersion } from '../subjects/nginx.ts';
import { findTessera } from '../subjects/tessera.ts';
import type { Machine } from './report.ts';

/** The machine, with the disk below this folder. */
export function describeMachine(folder: string): Machine {
  const { stdout } = spawnSync('df', ['--output=fstype,source', folder], { encoding: 'utf8' });
  const [type = 'an unknown file system', device] = stdout?.split('\n')[1]?.trim().split(/\s+/) ?? [];
  return {
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    disk: device === undefined ? type : `${type} (${device})`,
    kernel: release(),
    loadAverage: loadavg()[0] as number,
  };
}

/** The commit, with a plus where files differ from it. */
export function describeCommit(): string {
  const git = (...args: string[]): string =>
    spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
  const commit = git('rev-parse', '--short=12', 'HEAD');
  if (commit === '') return `unknown, version ${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}`;
  return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`;
}

/** Node, the load generator, and the peers that are here. */
export function describePrograms(wrk: string): Record<string, string> {
  // As in a quick run: only look.
  const look = { mode: 'quick', progress: () => {} } as const;
  const nginx = findNginx();
  return {
    Node: process.version,
    wrk,
    ...('found' in findTessera(look) ? { 'Tessera POSIX': 'v1.0.4' } : {}),
    ...('found' in nginx ? { nginx: nginxVersion(nginx.found) } : {}),
    ...('found' in findHypercore(look) ? { hypercore: '11.0.0' } : {}),
  };
}
