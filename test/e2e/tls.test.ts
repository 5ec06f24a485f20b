/** TLS as operators use it: flags, curl, the command line, a certificate renewed under way. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { Agent, get, request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, describe, expect, test } from '@jest/globals';
import { hasOpenssl, makeCertificate } from '../support/certificates.ts';
import { ADMIN_KEY, BUILD, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';

const hasCurl = spawnSync('curl', ['--version']).status === 0;
if (!hasOpenssl || !hasCurl) console.log('SKIPPED: TLS from outside: there is no openssl or no curl on this machine');
const withTools = hasOpenssl && hasCurl ? describe : describe.skip;

const folder = temporaryFolder('tls');
const path = (name: string): string => join(folder.path, name);

afterAll(async () => {
  await killAll();
  folder.remove();
});

/** Subject of the certificate that a port shows. */
function shown(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN as string);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

/** The connection that a request of this agent went over; its answer was 200. */
function socketOf(url: string, agent: Agent): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const sent = get(`${url}/healthz`, { agent, rejectUnauthorized: false }, (reply) => {
      const { socket, statusCode } = reply;
      reply.resume().once('end', () => (statusCode === 200 ? resolve(socket) : reject(new Error(`${statusCode}`))));
    });
    sent.once('error', reject);
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

withTools('a server with TLS', () => {
  test('serves curl and the command line, and renews its certificate on SIGHUP', async () => {
    for (const name of ['one', 'two']) makeCertificate(folder.path, name);
    const use = (name: string): void => {
      copyFileSync(path(`${name}.crt`), path('tls.crt'));
      copyFileSync(path(`${name}.key`), path('tls.key'));
    };
    use('one');
    const flags = ['--tls-cert', path('tls.crt'), '--tls-key', path('tls.key'), '--interval', '100'];
    const server = await ServerProcess.start({ dataDir: path('data'), flags });
    expect(server.stdout).toMatch(/^listening on https:\/\/127\.0\.0\.1:\d+\n$/);

    const curl = (url: string): { status: number | null; stdout: string } =>
      spawnSync('curl', ['-sS', '-i', '--max-time', '10', '--cacert', path('one.crt'), url], { encoding: 'utf8' });
    const health = curl(`${server.url}/healthz`);
    expect([health.status, health.stdout.split('\r\n')[0]]).toEqual([0, 'HTTP/1.1 200 OK']);
    expect(health.stdout).toMatch(/^strict-transport-security: max-age=31536000\r$/im);
    expect(curl(server.url.replace('https', 'http')).status).not.toBe(0);

    const indelible = (env: Record<string, string>, ...args: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [join(BUILD, 'cli/main.js'), ...args, '--url', `${server.url}/logs/main`], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], INDELIBLE_KEY: ADMIN_KEY, INDELIBLE_STATE: path('heads.json'), ...env },
      });
    writeFileSync(path('event.ndjson'), '{"action":"login"}\n');
    const trusted = { NODE_EXTRA_CA_CERTS: path('one.crt') };
    const appended = indelible(trusted, 'append', path('event.ndjson'), '--ack', 'signed', '--json');
    expect([appended.status, JSON.parse(String(appended.stdout))]).toEqual([
      0,
      expect.objectContaining({ appended: 1 }),
    ]);
    expect(String(indelible(trusted, 'get', '0').stdout)).toBe('{"action":"login"}\n');
    // Without trust in the certificate nothing is sent: exit 3.
    expect(indelible({}, 'get', '0').status).toBe(3);

    expect(await shown(server.url)).toBe('one');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await socketOf(server.url, agent);
    use('two');
    server.child.kill('SIGHUP');
    await until(() => server.stderr.includes('reloaded the TLS certificate'));
    expect(await shown(server.url)).toBe('two');
    // The connection that was open went on, and another request with it.
    expect(await socketOf(server.url, agent)).toBe(first);
    agent.destroy();

    // A renewal that went wrong half way: the server goes on with what it has, and says so.
    copyFileSync(path('one.crt'), path('tls.crt'));
    server.child.kill('SIGHUP');
    await until(() => server.stderr.includes('kept the TLS certificate in use: --tls-key: '));
    expect(await shown(server.url)).toBe('two');
    const metrics = spawnSync('curl', ['-sS', '--cacert', path('two.crt'), `${server.url}/metrics`], {
      encoding: 'utf8',
    });
    const end = /^indelible_tls_certificate_end_seconds ([0-9.e+]+)$/m.exec(metrics.stdout)?.[1];
    expect(Math.abs(Number(end) - Date.now() / 1000 - 30 * 86_400)).toBeLessThan(3600);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  test('drains like one without: running requests get their answer, silent connections are closed', async () => {
    const { cert, key } = makeCertificate(folder.path, 'drain');
    const flags = ['--tls-cert', cert, '--tls-key', key, '--interval', '1000'];
    const server = await ServerProcess.start({ dataDir: path('drain'), flags });
    const { hostname, port } = new URL(server.url);
    const silent = connectTcp({ host: hostname, port: Number(port) });
    silent.on('error', () => {});
    const append = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
        const options = { method: 'POST', headers, rejectUnauthorized: false, agent: false as const };
        const sent = request(`${server.url}/logs/main/events?ack=signed`, options, (reply) =>
          reply.resume().once('end', () => resolve(reply.statusCode)),
        );
        sent.once('error', reject).end('{"a":1}');
      });
    expect(await append()).toBe(200);
    // The head was just signed, so these wait for the next one; and the stop comes first.
    const waiting = Array.from({ length: 5 }, append);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const begun = performance.now();
    const exit = server.stop('SIGTERM');
    expect(await Promise.all(waiting)).toEqual([200, 200, 200, 200, 200]);
    expect(await exit).toEqual({ code: 0, signal: null });
    // Neither the handshake's 10 s nor the drain's 35.
    expect(performance.now() - begun).toBeLessThan(9000);
    silent.destroy();
  });

  test('what cannot serve is refused before anything is made', async () => {
    makeCertificate(folder.path, 'a');
    makeCertificate(folder.path, 'b');
    for (const [flags, code, message] of [
      [['--tls-cert', path('a.crt')], 2, '--tls-cert: a certificate needs its private key: give tls-key too'],
      [['--tls-cert', path('a.crt'), '--tls-key', path('b.key')], 2, '--tls-key: '],
      [['--tls-cert', path('a.crt'), '--tls-key', path('a.crt')], 78, 'can be read by others'],
    ] as const) {
      const server = await ServerProcess.start({ dataDir: path('never'), flags });
      expect(await server.exited).toEqual({ code, signal: null });
      expect(server.stderr).toContain(message);
    }
    expect(existsSync(path('never'))).toBe(false);
  });

  test('an expired certificate is served, with an alarm in the log', async () => {
    makeCertificate(folder.path, 'old', { days: -1 });
    const flags = ['--tls-cert', path('old.crt'), '--tls-key', path('old.key')];
    const server = await ServerProcess.start({ dataDir: path('expired'), flags });
    expect(server.stderr).toMatch(/"alarm":"certificate".*the TLS certificate has expired on/);
    await server.stop();
  });
});

describe('a server without TLS', () => {
  test('is not ended by SIGHUP', async () => {
    const server = await ServerProcess.start({ dataDir: path('plain') });
    server.child.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await server.fetch('/healthz')).status).toBe(200);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});
