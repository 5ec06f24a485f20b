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
  type Answer = (real: Response) => Promise<Response>;

  /** A client of a log that is asked by a path of it, and hears something else. */
  function deceived(
    { url, oldKey }: { readonly url: string; readonly oldKey: string },
    path: string,
    answer: Answer,
    memory = inMemoryHeads(),
  ): LogClient {
    const fetching = async (asked: string, init: RequestInit): Promise<Response> => {
      const real = await fetch(asked, init);
      return asked === `${url}/${path}` ? answer(real) : real;
    };
    return new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey, memory, fetch: fetching });
  }

  /** The rotations of a log as its server tells them, with these members in place of the first one's, and ended. */
  async function rotationsWith(url: string, members: object): Promise<Answer> {
    const told = (await (await fetch(`${url}/rotations`)).json()) as { rotations: object[] };
    const ended = { ended_at: '2026-01-01T00:00:00.000000Z' };
    const text = JSON.stringify({ rotations: [{ ...told.rotations[0], ...ended, ...members }] });
    return async () => new Response(text);
  }

  /** Appends an event, and gives what a rotation says of an entry and its proof. */
  async function posted(url: string, oldKey: string, event: object): Promise<object> {
    const writer = new LogClient({ url, key: ADMIN_KEY, verifierKey: oldKey });
    const { entries } = await writer.append([utf8(JSON.stringify(event))], { ack: 'signed' });
    const { reply, proof, checkpoint } = await writer.event((entries[0] as { leafIndex: number }).leafIndex);
    return {
      entry: JSON.parse(Buffer.from(reply).toString()),
      proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
      head: checkpoint.note,
    };
  }

  const thief = (origin: string) => ed25519Signer(origin, new Uint8Array(32).fill(66));

  test.each([
    ['instead of the log’s', (_: string, forged: string) => forged],
    ['beside the log’s', (note: string, forged: string) => note + forged.slice(forged.lastIndexOf('\n\n') + 2)],
  ])('a line of one’s own under a genuine head, %s', async (how, under) => {
    const log = await makeLog(`f1-${how.length}`);
    let forging = false;
    const client = deceived(log, 'checkpoint', async (real) => {
      if (!forging) return real;
      const note = await real.text();
      const text = note.slice(0, note.indexOf('\n\n') + 1);
      return new Response(under(note, signNote(text, [thief(text.split('\n')[0] as string)])));
    });
    await client.checkpoint();
    forging = true;
    if (how.startsWith('instead')) await expect(client.checkpoint()).rejects.toMatchObject({ code: 'unknown_signer' });
    else await client.checkpoint();
    expect((await client.followRotations()).text).toBe(log.oldKey);
    expect((await client.verifierKey()).text).toBe(log.oldKey);
  });

  test('an event posted by an append key, told of as a rotation', async () => {
    const log = await makeLog('f2');
    const { oldKey } = log;
    const stranger = thief(oldKey.split('+')[0] as string);
    // The old key's signature is missing, and nobody but the log can make it.
    const text = `indelible/key-rotation/v1\n${stranger.verifierKey.name}\n${oldKey}\n${stranger.verifierKey.text}\n1\n`;
    const statement = signNote(text, [stranger]);
    const told = await rotationsWith(log.url, {
      old_verifier_key: oldKey,
      new_verifier_key: stranger.verifierKey.text,
      tree_size: 1,
      started_at: '2026-01-01T00:00:00.000000Z',
      statement,
      recorder: null,
      ...(await posted(log.url, oldKey, { action: 'log.key_rotated', statement })),
    });
    const client = deceived(log, 'rotations', told);
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'unknown_signer' });
    expect((await client.verifierKey()).text).toBe(oldKey);
  });

  test('a genuine statement, but the entry that holds it was posted by a client', async () => {
    const log = await makeLog('f3');
    await begin('f3');
    const statement = server.started.server.log('f3')?.definition.rotations[0]?.statement;
    const entry = await posted(log.url, log.oldKey, { action: 'log.key_rotated', statement });
    const client = deceived(log, 'rotations', await rotationsWith(log.url, entry));
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'rotation_refused' });
    expect((await client.verifierKey()).text).toBe(log.oldKey);
  });

  test('a genuine rotation under a head that is older than what was seen', async () => {
    const log = await makeLog('f4');
    await begin('f4');
    const early = await rotationsWith(log.url, {});
    const memory = inMemoryHeads();
    const seen = new LogClient({ url: log.url, key: ADMIN_KEY, verifierKey: log.oldKey, memory });
    await seen.append([utf8('{"n":2}')], { ack: 'signed' });
    const client = deceived(log, 'rotations', early, memory);
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'rollback' });
    expect((await client.verifierKey()).text).toBe(log.oldKey);
  });

  test.each([
    ['no JSON', 'hello'],
    ['no list', '{"rotations":{}}'],
    ['a rotation that is a number', '{"rotations":[1]}'],
    ['a rotation without members', '{"rotations":[{}]}'],
  ])('an answer that is %s', async (what, body) => {
    const log = await makeLog(`g-${what.replaceAll(' ', '-').toLowerCase()}`);
    const client = deceived(log, 'rotations', async () => new Response(body));
    await expect(client.followRotations()).rejects.toMatchObject({ code: 'bad_reply' });
  });
});
