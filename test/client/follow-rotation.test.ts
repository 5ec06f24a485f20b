/** A client and a log whose key changes: it follows by proof, and nobody else's word moves its pin. */
import { describe, expect, test } from '@jest/globals';
import { LogClient } from '../../client/log-client.ts';
import { inMemoryHeads } from '../../client/memory.ts';
import { ed25519Signer } from '../../proofs/key.ts';
import { signNote } from '../../proofs/note.ts';
import { ADMIN_KEY, TestServer } from '../support/test-server.ts';

const server = await TestServer.start({ intervals: { interval: 20 } });
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A new log with an entry, and the key that it was made with. */
async function makeLog(name: string, kind: 'events' | 'raw' = 'events'): Promise<{ url: string; oldKey: string }> {
  const log = await server.started.server.createLog({ name, kind, publicReads: true, idPointer: null }, 'x');
  const url = `${server.url}/logs/${name}`;
  if (kind === 'events') await new LogClient({ url, key: ADMIN_KEY }).append([utf8('{"n":1}')], { ack: 'signed' });
  return { url, oldKey: log.definition.verifierKey };
}

async function begin(name: string): Promise<void> {
  const log = server.started.server.log(name);
  if (log === undefined) throw new Error(`no log ${name}`);
  await server.started.server.rotateKey(log, 'x');
  await server.started.server.publisher.waitFor(log, log.state.treeSize, 5000);
  while (!log.published.checkpoint.includes(log.keys.next?.verifierKey.name as string) || log.resign)
    await new Promise((resolve) => setTimeout(resolve, 10));
}

async function end(name: string): Promise<string> {
  const log = server.started.server.log(name);
  if (log === undefined) throw new Error(`no log ${name}`);
  for (;;) {
    try {
      await server.started.server.endRotation(log, 'x');
      break;
    } catch (error) {
      if ((error as { code?: string }).code !== 'rotation_not_signed') throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  // The old key signs nothing more: a head by the new one alone.
  while (log.published.checkpoint.split('\n— ').length !== 2) await new Promise((resolve) => setTimeout(resolve, 10));
  return log.definition.verifierKey;
}

describe('a client that pinned the old key', () => {
  test('stays with it while both sign, and follows by itself when it has ended', async () => {
    const { url, oldKey } = await makeLog('a');
    const memory = inMemoryHeads();
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, memory });
    await client.checkpoint();
    await begin('a');
    await client.checkpoint();
    expect((await client.verifierKey()).text).toBe(oldKey);
    expect((await client.followRotations()).text).toBe(oldKey);
    const newKey = await end('a');
    const { treeSize } = await client.checkpoint();
    expect(treeSize).toBeGreaterThanOrEqual(3);
    expect((await client.verifierKey()).text).toBe(newKey);
    expect(await memory.readPin(url)).toBe(newKey);
    await client.event(0);
    await client.append([utf8('{"n":2}')], { ack: 'signed' });
    await client.treeHead();
  });

  test('follows several in a row, and from an append', async () => {
    const { url, oldKey } = await makeLog('b');
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey });
    await client.checkpoint();
    let newKey = '';
    for (let i = 0; i < 2; i++) {
      await begin('b');
      newKey = await end('b');
    }
    const { checkpoint } = await client.append([utf8('{"n":2}')], { ack: 'signed' });
    expect(checkpoint?.treeSize).toBeGreaterThan(4);
    expect((await client.verifierKey()).text).toBe(newKey);
  });

  test('of a raw log follows only with a pin of _system', async () => {
    const { url, oldKey } = await makeLog('c', 'raw');
    const memory = inMemoryHeads();
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, memory });
    await client.checkpoint();
    await begin('c');
    const newKey = await end('c');
    await expect(client.checkpoint()).rejects.toMatchObject({ code: 'unknown_signer' });
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'unpinned' });
    const system = server.started.server.log('_system')?.definition.verifierKey as string;
    await memory.writePin(`${server.url}/logs/_system`, system);
    await client.checkpoint();
    expect((await client.verifierKey()).text).toBe(newKey);
  });
});

describe('a forged rotation moves no client', () => {
  /** A client of a log, and what its server is made to answer. */
  async function between(
    name: string,
    answers: (path: string, real: () => Promise<Response>) => Promise<Response>,
  ): Promise<{ client: LogClient; oldKey: string; url: string }> {
    const { url, oldKey } = await makeLog(name);
    const fetching = async (input: string, init: RequestInit): Promise<Response> => {
      const at = new URL(input);
      return answers(at.pathname.slice(`/logs/${name}/`.length), () => fetch(input, init));
    };
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, fetch: fetching });
    await client.checkpoint();
    return { client, oldKey, url };
  }

  const thief = (origin: string) => ed25519Signer(origin, new Uint8Array(32).fill(66));

  test('a line of one’s own under a genuine head', async () => {
    let forged = false;
    const { client, oldKey } = await between('f1', async (path, real) => {
      const reply = await real();
      if (!forged || path !== 'checkpoint') return reply;
      const note = await reply.text();
      const text = note.slice(0, note.indexOf('\n\n') + 1);
      // Only the forged line, and both.
      return new Response(signNote(text, [thief(text.split('\n')[0] as string)]));
    });
    forged = true;
    await expect(client.checkpoint()).rejects.toMatchObject({ code: 'unknown_signer' });
    expect((await client.verifierKey()).text).toBe(oldKey);
  });

  test('an event posted by an append key, told of as a rotation', async () => {
    const { url, oldKey } = await makeLog('f2');
    const log = server.started.server.log('f2');
    const stranger = thief(log?.definition.origin as string);
    // The statement lacks the old key's signature: nobody but the log can make one. So it is signed twice by the thief.
    const text = `indelible/key-rotation/v1\n${stranger.verifierKey.name}\n${oldKey}\n${stranger.verifierKey.text}\n1\n`;
    const statement = signNote(text, [stranger]);
    const event = JSON.stringify({ action: 'log.key_rotated', statement });
    const writer = new LogClient({ url, key: ADMIN_KEY });
    const { entries } = await writer.append([utf8(event)], { ack: 'signed' });
    const proven = await writer.event((entries[0] as { leafIndex: number }).leafIndex);
    const reply = {
      rotations: [
        {
          old_verifier_key: oldKey,
          new_verifier_key: stranger.verifierKey.text,
          tree_size: 1,
          started_at: '2026-01-01T00:00:00.000000Z',
          ended_at: '2026-01-01T00:00:00.000000Z',
          statement,
          entry: JSON.parse(Buffer.from(proven.reply).toString()),
          proof: proven.proof.map((hash) => Buffer.from(hash).toString('base64')),
          head: proven.checkpoint.note,
          recorder: null,
        },
      ],
    };
    const fetching = async (input: string, init: RequestInit): Promise<Response> =>
      input.endsWith('/rotations') ? new Response(JSON.stringify(reply)) : fetch(input, init);
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, fetch: fetching });
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'unknown_signer' });
    expect((await client.verifierKey()).text).toBe(oldKey);
  });

  test('a genuine statement, but the entry that holds it was posted by a client', async () => {
    const { url, oldKey } = await makeLog('f3');
    await begin('f3');
    const log = server.started.server.log('f3');
    const statement = log?.definition.rotations[0]?.statement as string;
    const writer = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey });
    const { entries } = await writer.append([utf8(JSON.stringify({ action: 'log.key_rotated', statement }))], {
      ack: 'signed',
    });
    const proven = await writer.event((entries[0] as { leafIndex: number }).leafIndex);
    const real = (await (await fetch(`${url}/rotations`)).json()) as { rotations: Record<string, unknown>[] };
    Object.assign(real.rotations[0] as object, {
      ended_at: '2026-01-01T00:00:00.000000Z',
      entry: JSON.parse(Buffer.from(proven.reply).toString()),
      proof: proven.proof.map((hash) => Buffer.from(hash).toString('base64')),
      head: proven.checkpoint.note,
    });
    const fetching = async (input: string, init: RequestInit): Promise<Response> =>
      input.endsWith('/rotations') ? new Response(JSON.stringify(real)) : fetch(input, init);
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, fetch: fetching });
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'rotation_refused' });
    expect((await client.verifierKey()).text).toBe(oldKey);
  });

  test('a genuine rotation under a head that is older than what was seen', async () => {
    const { url, oldKey } = await makeLog('f4');
    await begin('f4');
    const early = (await (await fetch(`${url}/rotations`)).json()) as { rotations: { head: string }[] };
    const memory = inMemoryHeads();
    const seen = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, memory });
    await seen.append([utf8('{"n":2}')], { ack: 'signed' });
    Object.assign(early.rotations[0] as object, { ended_at: '2026-01-01T00:00:00.000000Z' });
    const fetching = async (input: string, init: RequestInit): Promise<Response> =>
      input.endsWith('/rotations') ? new Response(JSON.stringify(early)) : fetch(input, init);
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, memory, fetch: fetching });
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'rollback' });
    expect((await client.verifierKey()).text).toBe(oldKey);
  });

  test.each([
    ['no JSON', 'hello'],
    ['no list', '{"rotations":{}}'],
    ['a rotation that is a number', '{"rotations":[1]}'],
    ['a rotation without members', '{"rotations":[{}]}'],
  ])('an answer that is %s', async (_, body) => {
    const { url, oldKey } = await makeLog(`g${Math.random().toString(36).slice(2)}`);
    const fetching = async (input: string, init: RequestInit): Promise<Response> =>
      input.endsWith('/rotations') ? new Response(body) : fetch(input, init);
    const client = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, fetch: fetching });
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'bad_reply' });
  });
});
