/**
 * Certificate and private key of the server. They are read at start and again on SIGHUP; connections that are open keep what they
 * have. A pair that cannot serve is refused; a certificate out of its time is only warned of, since a server that does not start
 * helps nobody to renew it.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { EXIT, ExitError } from '../errors.ts';
import { hideSecrets, readPrivateFile } from '../secrets.ts';

/** What `tls.createSecureContext` wants, and the certificate to tell about. */
export interface Tls {
  readonly context: SecureContextOptions;
  readonly certificate: X509Certificate;
}

export interface TlsFiles {
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
}

/** Time before the end of a certificate from which on there are warnings, in milliseconds; a third of a short life. */
const RENEWAL = 14 * 86_400_000;

/**
 * Reads certificate chain and key, or gives nothing where none are set. Throws ExitError 2 for files that cannot be used, 78 for a
 * key that others can read.
 */
export function loadTls({ tlsCert, tlsKey }: TlsFiles): Tls | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  const cert = read('tls-cert', tlsCert, (path) => readFileSync(path, 'utf8'));
  const key = read('tls-key', tlsKey, readPrivateFile);
  const chain = parseChain(cert, tlsCert);
  const certificate = chain[0] as X509Certificate;
  if (!certificate.checkPrivateKey(parseKey(key, tlsKey)))
    throw fault(
      'tls-key',
      tlsKey,
      `is not the key of the certificate in ${hideSecrets(tlsCert)}, which comes first in that file`,
    );
  const context = { cert, key, minVersion: 'TLSv1.2' } as const;
  try {
    createSecureContext(context);
  } catch (cause) {
    throw fault('tls-cert', tlsCert, `cannot be used with this key (${codeOf(cause)})`, cause);
  }
  return { context, certificate };
}

function read(flag: string, path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path);
  } catch (cause) {
    if (cause instanceof ExitError) throw cause;
    throw fault(flag, path, `cannot be read (${codeOf(cause)})`, cause);
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

function parseChain(pem: string, path: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw fault('tls-cert', path, 'holds no certificate in PEM form');
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw fault('tls-cert', path, `holds a certificate that cannot be read, number ${i + 1}`, cause);
    }
  });
}

function parseKey(pem: string, path: string): KeyObject {
  if (/-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(pem))
    throw fault('tls-key', path, 'is encrypted: store it decrypted, mode 0600');
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw fault('tls-key', path, 'holds no private key in PEM form', cause);
  }
}

function fault(flag: string, path: string, what: string, cause?: unknown): ExitError {
  return new ExitError(EXIT.usage, `--${flag}: ${hideSecrets(path)} ${what}`, { cause });
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}

/** When a certificate ends, milliseconds since the Unix epoch. */
export function certificateEnd({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

/** What is wrong with the time of a certificate at `now`, milliseconds since the Unix epoch. */
export function certificateWarnings(certificate: X509Certificate, now: number): string[] {
  const end = certificateEnd(certificate);
  const begin = Date.parse(certificate.validFrom);
  const day = (time: number): string => new Date(time).toISOString().slice(0, 10);
  if (now > end) return [`the TLS certificate has expired on ${day(end)}: clients refuse it. Renew it and send SIGHUP`];
  if (now < begin) return [`the TLS certificate is not valid before ${day(begin)}: clients refuse it`];
  if (end - now < Math.min(RENEWAL, (end - begin) / 3))
    return [`the TLS certificate expires on ${day(end)}. Renew it and send SIGHUP`];
  return [];
}
