/** Certificate and key: what is refused and how, and that a port with TLS keeps the same limits as one without. */
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ExitError } from '../../../server/errors.ts';
import { type BoundHttpServer, bindHttp } from '../../../server/http/http-server.ts';
import { certificateEnd, certificateWarnings, loadTls, type Tls } from '../../../server/http/tls.ts';
import { hasOpenssl, makeCertificate } from '../../support/certificates.ts';

if (!hasOpenssl) console.log('SKIPPED: TLS: there is no openssl on this machine');
const withOpenssl = hasOpenssl ? describe : describe.skip;

const folder = mkdtempSync(join(tmpdir(), 'indelible-tls-'));
const path = (name: string): string => join(folder, name);
const load = (cert: string, key: string): Tls => loadTls({ tlsCert: path(cert), tlsKey: path(key) }) as Tls;

afterAll(() => rmSync(folder, { recursive: true }));

withOpenssl('certificate and key', () => {
  beforeAll(() => {
    const made = makeCertificate(folder, 'one');
    makeCertificate(folder, 'two');
    makeCertificate(folder, 'small', { key: 'rsa:512' });
    const [cert, key] = [readFileSync(made.cert, 'utf8'), readFileSync(made.key, 'utf8')];
    const two = readFileSync(path('two.crt'), 'utf8');
    const write = (name: string, text: string, mode = 0o600): void => writeFileSync(path(name), text, { mode });
    write('open.key', key);
    chmodSync(path('open.key'), 0o640);
    write('empty', '');
    write('text', 'hello\n');
    write('broken.crt', cert.replace(/[A-Za-z0-9+/]{40}/, 'A'.repeat(40)));
    write('broken-chain.crt', cert + two.replace(/[A-Za-z0-9+/]{40}/, 'A'.repeat(40)));
    write('chain.crt', `subject=/CN=one\n${cert}${two}`);
    write('wrong-order.crt', two + cert);
    write('encrypted.key', key.replaceAll('PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'));
    write('both.pem', key + cert);
    mkdirSync(path('folder'), { mode: 0o700 });
  });

  test('a pair, a chain with other text in it, and one file with both are accepted', () => {
    for (const [cert, key] of [
      ['one.crt', 'one.key'],
      ['chain.crt', 'one.key'],
      ['both.pem', 'both.pem'],
    ] as const)
      expect(load(cert, key).certificate.subject).toBe('CN=one');
  });

  test('without both there is no TLS', () => {
    expect(loadTls({ tlsCert: undefined, tlsKey: undefined })).toBeUndefined();
  });

  test.each([
    ['none', 'one.key', 2, '--tls-cert: F/none cannot be read (ENOENT)'],
    ['folder', 'one.key', 2, '--tls-cert: F/folder cannot be read (EISDIR)'],
    ['empty', 'one.key', 2, '--tls-cert: F/empty holds no certificate in PEM form'],
    ['text', 'one.key', 2, '--tls-cert: F/text holds no certificate in PEM form'],
    ['one.key', 'one.key', 2, '--tls-cert: F/one.key holds no certificate in PEM form'],
    ['broken.crt', 'one.key', 2, '--tls-cert: F/broken.crt holds a certificate that cannot be read, number 1'],
    [
      'broken-chain.crt',
      'one.key',
      2,
      '--tls-cert: F/broken-chain.crt holds a certificate that cannot be read, number 2',
    ],
    ['one.crt', 'none', 2, '--tls-key: F/none cannot be read (ENOENT)'],
    ['one.crt', 'folder', 2, '--tls-key: F/folder cannot be read (EISDIR)'],
    ['one.crt', 'empty', 2, '--tls-key: F/empty holds no private key in PEM form'],
    ['one.crt', 'chain.crt', 2, '--tls-key: F/chain.crt holds no private key in PEM form'],
    ['one.crt', 'encrypted.key', 2, '--tls-key: F/encrypted.key is encrypted: store it decrypted, mode 0600'],
    [
      'one.crt',
      'two.key',
      2,
      '--tls-key: F/two.key is not the key of the certificate in F/one.crt, which comes first in that file',
    ],
    [
      'wrong-order.crt',
      'one.key',
      2,
      '--tls-key: F/one.key is not the key of the certificate in F/wrong-order.crt, which comes first in that file',
    ],
    ['small.crt', 'small.key', 2, '--tls-cert: F/small.crt cannot be used with this key (ERR_SSL_EE_KEY_TOO_SMALL)'],
    ['one.crt', 'open.key', 78, 'F/open.key can be read by others (mode 640). Make it private: chmod 600 F/open.key'],
  ])('%s with %s: exit %i', (cert, key, code, message) => {
    let refused: ExitError | undefined;
    try {
      load(cert, key);
    } catch (error) {
      refused = error as ExitError;
    }
    expect([refused?.exitCode, refused?.message.replaceAll(folder, 'F')]).toEqual([code, message]);
  });

  test('a certificate out of its time is warned of, from two weeks or a third of its life before its end', () => {
    const { certificate } = load('one.crt', 'one.key');
    const [begin, end] = [Date.parse(certificate.validFrom), certificateEnd(certificate)];
    const day = 86_400_000;
    expect(end - begin).toBe(30 * day);
    const at = (time: number): string[] => certificateWarnings(certificate, time);
    expect([at(begin), at(end - 10 * day)]).toEqual([[], []]);
    expect(at(end - 10 * day + 1)).toEqual([expect.stringContaining('expires on ')]);
    expect(at(end)).toEqual([expect.stringContaining('expires on ')]);
    expect(at(end + 1)).toEqual([expect.stringContaining('has expired on ')]);
    expect(at(begin - 1)).toEqual([expect.stringContaining('is not valid before ')]);
  });
});

withOpenssl('a port with TLS', () => {
  let http: BoundHttpServer;
  let port: number;

  beforeAll(async () => {
    makeCertificate(folder, 'first');
    makeCertificate(folder, 'second');
    const sockets = { headersTimeout: 400, requestTimeout: 800, stallTimeout: 2000, maxConnections: 50 };
    http = await bindHttp({ host: '127.0.0.1', port: 0 }, sockets, load('first.crt', 'first.key').context);
    port = Number(new URL(http.url).port);
  });

  afterAll(() => http.close(0));

  const ca = (): string[] => ['first', 'second'].map((name) => readFileSync(path(`${name}.crt`), 'utf8'));

  function open(options: object = {}): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: ca(), ...options }, () => resolve(socket));
      socket.once('error', reject);
    });
  }

  /** What comes until the other side closes; destroys the socket after two seconds. */
  function rest(socket: TLSSocket | ReturnType<typeof connectTcp>): Promise<{ text: string; closed: boolean }> {
    return new Promise((resolve) => {
      let text = '';
      const timer = setTimeout(() => {
        resolve({ text, closed: false });
        socket.destroy();
      }, 2000);
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(timer);
        resolve({ text, closed: true });
      });
    });
  }

  /** Status of a GET over a connection of its own. */
  function status(): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/', ca: ca(), agent: false as const };
      const sent = request(options, (reply) => reply.resume().on('end', () => resolve(reply.statusCode)));
      sent.on('error', reject).end();
    });
  }

  test('has an https address and answers', async () => {
    expect(http.url).toBe(`https://127.0.0.1:${port}`);
    expect(await status()).toBe(503);
  });

  test('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await open({ minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      socket.destroy();
    }
    // Security level 0, so that it is the server that refuses.
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' };
    await expect(open(old)).rejects.toMatchObject({ code: expect.stringMatching(/PROTOCOL_VERSION/) });
  });

  test('plain HTTP there is closed without an answer, and harms nobody', async () => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const { text, closed } = await rest(socket);
    expect([text.includes('HTTP/'), closed]).toEqual([false, true]);
    expect(await status()).toBe(503);
  });

  test('random bytes, half a handshake and a connection that is reset harm nobody', async () => {
    for (const bytes of ['\x16\x03\x01\x02\x00\x01', '\x00'.repeat(100), '\x16\x03\x01\xff\xff'.padEnd(2000, 'x')]) {
      const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes, 'latin1', () => socket.resetAndDestroy()));
      await rest(socket);
    }
    expect(await status()).toBe(503);
  });

  test('who does not begin the handshake is cut', async () => {
    expect((await rest(connectTcp(port, '127.0.0.1'))).closed).toBe(true);
  });

  test('who sends its headers slowly is told and cut', async () => {
    const socket = await open();
    socket.write('GET / HTTP/1.1\r\nHost');
    const { text, closed } = await rest(socket);
    expect([text.split('\r\n')[0], closed]).toEqual(['HTTP/1.1 408 ', true]);
  });

  test('what is no HTTP gets the same answer as without TLS', async () => {
    const socket = await open();
    socket.write('what?\r\n\r\n');
    const { text, closed } = await rest(socket);
    expect([text.split('\r\n')[0], text.includes('"code":"bad_request"'), closed]).toEqual([
      'HTTP/1.1 400 ',
      true,
      true,
    ]);
  });

  test('a renewed certificate is for new connections; those that are open go on', async () => {
    const kept = await open();
    http.renew(load('second.crt', 'second.key').context);
    const socket = await open();
    expect(new X509Certificate(socket.getPeerCertificate().raw).subject).toBe('CN=second');
    socket.destroy();
    expect(kept.getPeerCertificate().subject.CN).toBe('first');
    kept.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await rest(kept)).text.split('\r\n')[0]).toBe('HTTP/1.1 503 Service Unavailable');
  });

  test('closing waits for no handshake and no idle connection', async () => {
    const tls = load('first.crt', 'first.key').context;
    const other = await bindHttp({ host: '127.0.0.1', port: 0 }, { headersTimeout: 60_000 }, tls);
    const address = { host: '127.0.0.1', port: Number(new URL(other.url).port) };
    const silent = connectTcp(address);
    const idle = connectTls({ ...address, ca: ca() });
    await Promise.all([
      new Promise((resolve) => silent.once('connect', resolve)),
      new Promise((resolve) => idle.once('secureConnect', resolve)),
    ]);
    const ends = Promise.all([rest(silent), rest(idle)]);
    await other.close(60_000);
    expect((await ends).map(({ closed }) => closed)).toEqual([true, true]);
  });
});
