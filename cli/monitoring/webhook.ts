/** One webhook by Standard Webhooks 1.0: what is sent, how it is signed, and whether the receiver took it. */
import { createHmac } from 'node:crypto';
import type { Alert } from '../../client/monitor/alarms.ts';
import type { Fetch } from '../../client/transport.ts';
import { fromBase64 } from '../../tree/bytes.ts';
import { usage } from '../output.ts';

export interface Webhook {
  readonly url: string;
  /** 24 to 64 bytes. */
  readonly secret: Uint8Array;
  /** Longest wait for an answer, in milliseconds. */
  readonly timeout: number;
  readonly fetch?: Fetch;
}

/** Reads a secret such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw. Throws CliError `usage`, without the secret in it. */
export function parseWebhookSecret(text: string): Uint8Array {
  const wanted = 'the secret of the webhook is whsec_ and the base64 of 24 to 64 bytes';
  if (!text.startsWith('whsec_')) throw usage(wanted);
  let secret: Uint8Array;
  try {
    secret = fromBase64(text.slice('whsec_'.length));
  } catch {
    throw usage(wanted);
  }
  if (secret.length < 24 || secret.length > 64) throw usage(wanted);
  return secret;
}

/** Where webhooks go. Throws CliError `usage`. */
export function parseWebhookUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.username !== '')
    throw usage('--webhook is an address that begins with https:// or http:// and names no user');
  return url.href;
}

/** The members of an alert as people and programs get them. */
export function alertMembers({ id, state, level, code, subject, origin, time, message, details }: Alert) {
  return { id, state, level, code, subject, origin, time: new Date(time).toISOString(), message, details };
}

/** Headers and body of one delivery; `seconds` is the time of this attempt, since the Unix epoch. */
export function webhookRequest(
  alert: Alert,
  secret: Uint8Array,
  seconds: number,
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const members = alertMembers(alert);
  const body = JSON.stringify({ type: `indelible.monitor.${alert.state}`, timestamp: members.time, data: members });
  const id = `msg_${alert.id}`;
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'indelible-monitor',
      'webhook-id': id,
      'webhook-timestamp': String(seconds),
      'webhook-signature': `v1,${signature}`,
    },
  };
}

/** Sends one alert. `undefined` where it was taken, else why not; `gone` where the receiver wants none any more. */
export async function sendWebhook(
  { url, secret, timeout, fetch: send = fetch }: Webhook,
  alert: Alert,
  now: number,
): Promise<{ readonly reason: string; readonly gone: boolean } | undefined> {
  const { headers, body } = webhookRequest(alert, secret, Math.floor(now / 1000));
  try {
    const response = await send(url, {
      method: 'POST',
      headers,
      body,
      // Followed, a redirect would carry the signed alert elsewhere, or turn it into a GET.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeout),
    });
    await response.body?.cancel().catch(() => undefined);
    if (response.ok) return undefined;
    return { reason: `status ${response.status}`, gone: response.status === 410 };
  } catch (error) {
    const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { reason: inner instanceof Error ? inner.message : String(inner), gone: false };
  }
}
