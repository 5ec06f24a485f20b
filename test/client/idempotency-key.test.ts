/** The SDK's appends under an idempotency key, against the real server over connections that break. */
import { describe, expect, test } from '@jest/globals';
import { LogClient } from '../../client/log-client.ts';
import type { Fetch } from '../../client/transport.ts';
import { utf8 } from '../../tree/bytes.ts';
import { ADMIN_KEY, TestServer } from '../support/test-server.ts';

const server = await TestServer.start({ publish: false });
const events = [utf8('{"a":1}'), utf8('{"a":2}')];

/** A client whose first append is done, and its answer lost. */
async function unlucky(name: string): Promise<{ client: LogClient; posts: () => number }> {
  await server.makeLog(name);
  let posts = 0;
  const lossy: Fetch = async (url, init) => {
    const response = await fetch(url, init);
    if (init.method === 'POST' && posts++ === 0) throw new TypeError('the connection broke');
    return response;
  };
  const retries = { attempts: 3, firstDelay: 1 };
  const client = new LogClient({ url: `${server.url}/logs/${name}`, key: ADMIN_KEY, fetch: lossy, retries });
  return { client, posts: () => posts };
}

describe('an append whose answer is lost', () => {
  test('is repeated under an idempotency key, and stored once', async () => {
    const { client, posts } = await unlucky('keyed');
    const { entries } = await client.append(events, { idempotencyKey: 'run-1' });
    expect(entries.map(({ leafIndex, replayed }) => [leafIndex, replayed])).toEqual([
      [0, true],
      [1, true],
    ]);
    expect([posts(), server.sizeOf('keyed')]).toEqual([2, 2]);
  });

  test('is not repeated without one', async () => {
    const { client, posts } = await unlucky('plain');
    await expect(client.append(events)).rejects.toMatchObject({ code: 'outcome_unknown' });
    expect([posts(), server.sizeOf('plain')]).toEqual([1, 2]);
  });
});

test.each(['', 'a b', 'k'.repeat(257), 'ü'])('a key that is none is not sent: %s', async (idempotencyKey) => {
  const client = new LogClient({ url: `${server.url}/logs/none`, key: ADMIN_KEY });
  await expect(client.append(events, { idempotencyKey })).rejects.toMatchObject({ code: 'bad_argument' });
});

test('an answer that names another key, or another place, is not believed', async () => {
  await server.makeLog('lies');
  const url = `${server.url}/logs/lies`;
  const swapped: Fetch = (target, init) => {
    const headers = new Headers(init.headers);
    if (headers.has('idempotency-key')) headers.set('idempotency-key', 'other');
    return fetch(target, { ...init, headers });
  };
  const client = new LogClient({ url, key: ADMIN_KEY, fetch: swapped });
  await expect(client.append(events, { idempotencyKey: 'mine' })).rejects.toMatchObject({ code: 'bad_header' });
});
