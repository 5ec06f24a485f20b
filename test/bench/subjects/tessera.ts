/** Tessera's POSIX conformance server, v1.0.4, as shipped. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { ROOT } from '../../support/spawn-server.ts';
import type { Bench } from '../scenario.ts';
import { findProgram, type Peer, Program, type Subject } from './subject.ts';

const MODULE = 'github.com/transparency-dev/tessera';
const VERSION = 'v1.0.4';
const PACKAGE = `${MODULE}/cmd/conformance/posix@${VERSION}`;

/** The test log of Tessera's own data: a public key pair. */
const SIGNER = 'PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg';

const TOOLS = join(ROOT, '.tools/bin');

/** Path of the server's program. A full run builds it where there is Go. */
export function findTessera({ mode, progress }: Pick<Bench, 'mode' | 'progress'>): Peer<string> {
  const go = (...args: string[]): string => spawnSync('go', args, { encoding: 'utf8' }).stdout?.trim() ?? '';
  const path = (process.env['PATH'] ?? '').split(delimiter);
  const goPath = go('env', 'GOPATH');
  const found = findProgram('posix', [...path, go('env', 'GOBIN'), goPath && join(goPath, 'bin'), TOOLS]);
  if (found !== undefined && isTessera(found)) return { found };
  if (go('version') === '') return { missing: `Tessera ${VERSION} (posix) is not here, nor Go to build it` };
  if (mode === 'quick') return { missing: `Tessera ${VERSION} (posix) is not here; a full run builds it` };
  progress('building Tessera, about two minutes');
  const { status, stderr } = spawnSync('go', ['install', PACKAGE], {
    env: { ...process.env, GOBIN: TOOLS, GOFLAGS: '-mod=mod' },
    encoding: 'utf8',
  });
  if (status !== 0)
    return { missing: `Tessera ${VERSION} (posix) cannot be built: ${stderr.trim().split('\n').at(-1)}` };
  return { found: join(TOOLS, 'posix') };
}

/** Go writes module and version into what it builds; any program may be called `posix`. */
function isTessera(program: string): boolean {
  return readFileSync(program).includes(`${MODULE}\t${VERSION}`);
}

/** Starts it on a folder of its own, a new one each round. `POST /add` adds, tiles are below `/tile`. */
export async function startTessera(program: string, storage: string): Promise<Subject> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = new Program(program, [`--storage_dir=${storage}`, `--listen=127.0.0.1:${port}`], {
    env: { LOG_PRIVATE_KEY: SIGNER },
  });
  await server.answers(`${url}/checkpoint`);
  return { name: 'Tessera', pid: server.pid, url, headers: {}, stop: () => server.stop() };
}
