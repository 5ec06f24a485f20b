/** Webhooks by Standard Webhooks: the signature against the specification's own example and an independent computation. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { parseWebhookSecret, parseWebhookUrl, sendWebhook, webhookRequest } from '../../../cli/monitoring/webhook.ts';
import type { Alert } from '../../../client/monitor/alarms.ts';
import { toBase64 } from '../../../tree/bytes.ts';

const ALERT: Alert = {
  id: '0123456789abcdef0123456789abcdef',
  state: 'raised',
  level: 'alarm',
  code: 'split_view',
  subject: 'log',
  origin: 'example.com/logs/main',
  time: 1_767_312_000_000,
  message: 'two trees — „zwei“',
  details: { heads: ['a', 'b'] },
};

/** HMAC-SHA-256 of RFC 2104 from the hash alone, as Web Crypto has it: nothing here is shared with the code under test. */
async function hmac(secret: Uint8Array, message: string): Promise<string> {
  const sha256 = async (...parts: Uint8Array[]) =>
    new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(parts.flatMap((part) => [...part]))));
  const key = new Uint8Array(64);
  key.set(secret);
  // biome-ignore lint/suspicious/noBitwiseOperators: bytes, as RFC 2104 has it
  const pad = (value: number) => key.map((byte) => byte ^ value);
  const inner = await sha256(pad(0x36), new TextEncoder().encode(message));
  return toBase64(await sha256(pad(0x5c), inner));
}

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('is signed as the specification says', async () => {
  const secret = parseWebhookSecret(SECRET);
  const { headers, body } = webhookRequest(ALERT, secret, 1_614_265_330);
  expect(headers['webhook-id']).toBe('msg_0123456789abcdef0123456789abcdef');
  expect(headers['webhook-timestamp']).toBe('1614265330');
  const signed = await hmac(secret, `msg_0123456789abcdef0123456789abcdef.1614265330.${body}`);
  expect(headers['webhook-signature']).toBe(`v1,${signed}`);
  expect(JSON.parse(body)).toEqual({
    type: 'indelible.monitor.raised',
    timestamp: '2026-01-02T00:00:00.000Z',
    data: {
      id: ALERT.id,
      state: 'raised',
      level: 'alarm',
      code: 'split_view',
      subject: 'log',
      origin: 'example.com/logs/main',
      time: '2026-01-02T00:00:00.000Z',
      message: 'two trees — „zwei“',
      details: { heads: ['a', 'b'] },
    },
  });
});

test('the independent computation is right about the example of the specification', async () => {
  // https://github.com/standard-webhooks/standard-webhooks, "Signature scheme" and the tests of its libraries.
  const signed = await hmac(parseWebhookSecret(SECRET), 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}');
  expect(signed).toBe('g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.log('SKIPPED: webhook signatures by Python: there is no Python on this machine');
(hasPython ? test : test.skip)('Python computes the same', () => {
  const { headers, body } = webhookRequest(ALERT, parseWebhookSecret(SECRET), 1_700_000_000);
  const program = `
import base64, hashlib, hmac, sys
key = base64.b64decode(sys.argv[1][len('whsec_'):])
print(base64.b64encode(hmac.new(key, sys.stdin.buffer.read(), hashlib.sha256).digest()).decode())`;
  const { stdout } = spawnSync('python3', ['-c', program, SECRET], {
    input: `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`,
    encoding: 'utf8',
  });
  expect(headers['webhook-signature']).toBe(`v1,${stdout.trim()}`);
});

describe('settings', () => {
  test.each([
    '',
    'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'whsec_',
    'whsec_AAAA',
    `whsec_${toBase64(new Uint8Array(23))}`,
    `whsec_${toBase64(new Uint8Array(65))}`,
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS',
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_',
  ])('the secret %j is refused, and not repeated', (text) => {
    try {
      parseWebhookSecret(text);
      throw new Error('accepted');
    } catch (error) {
      expect(error).toMatchObject({ code: 'usage' });
      expect((error as Error).message).not.toContain('MfKQ');
    }
  });

  test.each(['', 'x', 'ftp://a', 'javascript:alert(1)', 'http://u:p@h/'])('the address %j is refused', (text) => {
    expect(() => parseWebhookUrl(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('an address is taken as it is', () => {
    expect(parseWebhookUrl('https://h.example/a?b=c')).toBe('https://h.example/a?b=c');
  });
});

describe('sending', () => {
  const send = (answer: () => Promise<Response>) =>
    sendWebhook({ url: 'http://h.example/', secret: new Uint8Array(24), timeout: 1000, fetch: answer }, ALERT, 0);

  test.each([200, 201, 204])('status %d is taken', async (status) => {
    expect(await send(async () => new Response(null, { status }))).toBeUndefined();
  });

  test.each([301, 400, 401, 404, 429, 500, 503])('status %d is not', async (status) => {
    expect(await send(async () => new Response(null, { status }))).toEqual({ reason: `status ${status}`, gone: false });
  });

  test('410 wants none any more', async () => {
    expect(await send(async () => new Response(null, { status: 410 }))).toMatchObject({ gone: true });
  });

  test('a broken connection is a reason, and so is an answer that does not come', async () => {
    expect(
      await send(async () => {
        throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
      }),
    ).toEqual({ reason: 'ECONNREFUSED', gone: false });
    const silent = await sendWebhook(
      {
        url: 'http://h.example/',
        secret: new Uint8Array(24),
        timeout: 20,
        fetch: (_, { signal }) =>
          new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
      },
      ALERT,
      0,
    );
    expect(silent?.reason).toContain('timeout');
  });
});
