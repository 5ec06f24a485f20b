/** Certificates for tests, made by openssl. */
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

function openssl(folder: string, ...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

/** Makes NAME.crt and NAME.key (0600) for localhost and 127.0.0.1, signed by itself; negative days: expired. */
export function makeCertificate(
  folder: string,
  name: string,
  { days = 30, key = 'ec' }: { readonly days?: number; readonly key?: 'ec' | 'rsa:512' } = {},
): Certificate {
  const paths = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const kind = key === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : [key];
  openssl(
    folder,
    'req',
    '-new',
    '-newkey',
    ...kind,
    '-nodes',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    paths.key,
    '-out',
    `${name}.csr`,
  );
  chmodSync(paths.key, 0o600);
  writeFileSync(
    join(folder, `${name}.ext`),
    'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n',
  );
  openssl(
    folder,
    ...['x509', '-req', '-in', `${name}.csr`, '-signkey', paths.key, '-days', String(days), '-extfile', `${name}.ext`],
    ...['-out', paths.cert],
  );
  return paths;
}
