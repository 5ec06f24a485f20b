/** nginx, one worker, serving a folder of static files as fast as it can. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import type { Bench } from '../scenario.ts';
import { findProgram, type Peer, Program, type Subject } from './subject.ts';

/** Path of the program; Debian puts it where only root looks. */
export function findNginx(): Peer<string> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const found = findProgram('nginx', folders);
  return found === undefined ? { missing: 'nginx is not here (Debian package nginx)' } : { found };
}

/** Such as `1.22.1`. */
export function nginxVersion(program: string): string {
  return spawnSync(program, ['-v'], { encoding: 'utf8' }).stderr.trim().split('/').at(-1) ?? '';
}

/**
 * Serves `root`; what it writes itself goes into a folder of the bench. It opens each file for each request, as shipped, or keeps them open
 * (`open_file_cache`), which takes it a quarter less.
 */
export async function startNginx(
  bench: Bench,
  program: string,
  { root, keepsOpen }: { readonly root: string; readonly keepsOpen: boolean },
): Promise<Subject> {
  const folder = bench.folder('nginx');
  mkdirSync(join(folder, 'logs'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // A worker that changes its user could not read our folders.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${join(folder, name)};`,
  );
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off;
${user}
worker_processes 1;
pid ${join(folder, 'pid')};
events { worker_connections 4096; }
http {
${temporary.join('\n')}
  access_log off;
  sendfile on;
  tcp_nopush on;
  ${keepsOpen ? 'open_file_cache max=10000;' : ''}
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${root};
  }
}
`,
  );
  const server = new Program(program, ['-p', folder, '-c', file, '-e', 'stderr']);
  await server.answers(url);
  // SIGTERM, because after SIGKILL of the master its worker would live on.
  const name = keepsOpen ? 'nginx, files kept open' : 'nginx';
  return { name, pid: server.pid, url, headers: {}, stop: () => server.stop('SIGTERM') };
}
