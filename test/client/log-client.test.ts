import { describe, expect, test } from '@jest/globals';
import type { ClientError } from '../../client/error.ts';
import { type AppendOptions, LogClient, type LogClientOptions } from '../../client/log-client.ts';
import { type HeadMemory, inMemoryHeads } from '../../client/memory.ts';
import { signCheckpoint } from '../../proofs/checkpoint.ts';
import { ed25519Signer } from '../../proofs/note.ts';
import { signTreeHead } from '../../proofs/tree-head-signature.ts';
import { concatBytes, fromUtf8, toBase64, utf8 } from '../../tree/bytes.ts';
import { leafHash } from '../../tree/hash.ts';
import { API_KEY, codeOfAsync, FakeLog, type FakeRequest, type Json, otherHash, problem } from './fake-log.ts';

const URL_OF_LOG = 'http://log.example:8080/logs/main';

function clientOf(log: FakeLog, more: Partial<LogClientOptions> = {}): LogClient {
  const clock = { now: () => 0, sleep: async () => undefined };
  return new LogClient({ url: URL_OF_LOG, key: API_KEY, fetch: log.fetch, clock, ...more });
}

/** The log lies in the answers of one path. */
function lie(log: FakeLog, path: string, change: (reply: Json) => Json): FakeLog {
  log.tamper = (request: FakeRequest, reply: Json) => (request.path === path ? { ...reply, ...change(reply) } : reply);
  return log;
}

const events = (...texts: string[]) => texts.map((text) => utf8(text));

describe('append', () => {
  test('gives what the leaf was rebuilt from', async () => {
    const log = new FakeLog();
    const { ack, entries, checkpoint } = await clientOf(log).append(events('{"id":"a"}', ' {"id":"b"}\r'));
    expect([ack, checkpoint]).toEqual(['durable', undefined]);
    expect(entries.map(({ leafIndex, replayed, event }) => [leafIndex, replayed, fromUtf8(event)])).toEqual([
      [0, false, '{"id":"a"}'],
      [1, false, '{"id":"b"}'],
    ]);
    expect(entries[1]?.leaf).toEqual(log.entries[1]?.leaf);
    expect(log.requests.at(-1)?.headers['content-type']).toBe('application/x-ndjson');
  });

  test('sends one event as JSON, with its newlines, and says what the request asks for', async () => {
    const log = new FakeLog();
    const { entries } = await clientOf(log).append(events('{\n"id":"a"\n}\n'), { idPointer: '/id', ack: 'durable' });
    const { headers, query, body } = log.requests.at(-1) as FakeRequest;
    expect([headers['content-type'], query.get('id_pointer'), query.get('ack'), fromUtf8(body)]).toEqual([
      'application/json',
      '/id',
      'durable',
      '{\n"id":"a"\n}',
    ]);
    expect(entries).toHaveLength(1);
  });

  test('with ack=signed verifies checkpoint and proofs, and remembers the checkpoint', async () => {
    const log = new FakeLog().fill(5);
    const client = clientOf(log);
    const { ack, entries, checkpoint } = await client.append(events('{"id":"x"}', '{"id":"y"}'), { ack: 'signed' });
    expect([ack, checkpoint?.treeSize, entries[1]?.proof?.length]).toEqual(['signed', 7, 2]);
    expect((await client.advance()).from?.treeSize).toBe(7);
  });

  test('names the level that was reached, not the one asked for', async () => {
    const log = new FakeLog();
    log.signs = false;
    expect((await clientOf(log).append(events('{}'), { ack: 'signed' })).ack).toBe('durable');
  });

  test('the same id again is the same entry', async () => {
    const log = new FakeLog();
    const client = clientOf(log);
    await client.append(events('{"id":"a"}'), { idPointer: '/id' });
    const { entries } = await client.append(events('{"id":"a"}', '{"id":"b"}'), { idPointer: '/id' });
    expect(entries.map(({ leafIndex, replayed }) => [leafIndex, replayed])).toEqual([
      [0, true],
      [1, false],
    ]);
  });

  test('refuses to send what cannot be meant', async () => {
    const log = new FakeLog();
    const client = clientOf(log);
    for (const given of [[], events(' '), events('{"a":1}', ''), events('{\n}', '{}')])
      expect(await codeOfAsync(() => client.append(given))).toBe('bad_argument');
    expect(log.requests).toHaveLength(0);
  });

  describe('refuses lies about', () => {
    const firstEntry = (change: (entry: Json) => Json) => (reply: Json) => {
      const [first, ...rest] = reply['entries'] as Json[];
      return { entries: [{ ...first, ...change(first as Json) }, ...rest] };
    };
    const without = (name: string) => (entry: Json) => ({ ...entry, [name]: undefined });
    const lies: [string, string, (reply: Json) => Json, AppendOptions?][] = [
      ['the leaf hash', 'leaf_hash_mismatch', firstEntry((e) => ({ leaf_hash: otherHash(e['leaf_hash']) }))],
      ['the salt', 'leaf_hash_mismatch', firstEntry((e) => ({ salt: otherHash(e['salt']) }))],
      ['the time', 'leaf_hash_mismatch', firstEntry(() => ({ received_at: '2026-01-01T00:00:00.000009Z' }))],
      ['the form of the time', 'bad_reply', firstEntry(() => ({ received_at: '2026-01-01T00:00:00Z' }))],
      ['the header', 'leaf_hash_mismatch', firstEntry(() => ({ header_base64: toBase64(utf8('{}')) }))],
      ['a header that is none', 'bad_header', firstEntry(() => ({ header_base64: '' }))],
      ['a salt left out', 'bad_reply', firstEntry(without('salt'))],
      ['a salt of 31 bytes', 'bad_salt', firstEntry(() => ({ salt: toBase64(new Uint8Array(31)) }))],
      ['a salt in other base64', 'bad_reply', firstEntry((e) => ({ salt: (e['salt'] as string).replace(/=+$/, '') }))],
      ['a leaf hash of 31 bytes', 'bad_reply', firstEntry(() => ({ leaf_hash: toBase64(new Uint8Array(31)) }))],
      ['an index as text', 'bad_reply', firstEntry(() => ({ leaf_index: '0' }))],
      ['an index below 0', 'bad_reply', firstEntry(() => ({ leaf_index: -1 }))],
      ['an index above 2^53', 'bad_reply', firstEntry(() => ({ leaf_index: 2 ** 53 }))],
      ['replayed as text', 'bad_reply', firstEntry(() => ({ replayed: 'false' }))],
      ['two entries in one place', 'bad_reply', firstEntry(() => ({ leaf_index: 1 }))],
      ['the number of entries', 'bad_reply', (reply) => ({ entries: (reply['entries'] as Json[]).slice(1) })],
      ['the order of entries', 'leaf_hash_mismatch', (r) => ({ entries: (r['entries'] as Json[]).toReversed() })],
      ['an unknown level', 'bad_reply', () => ({ ack: 'promised' })],
      ['a level without its evidence', 'bad_reply', () => ({ ack: 'signed' })],
      [
        'the places, signed',
        'root_mismatch',
        (r) => ({ entries: (r['entries'] as Json[]).map((e, i) => ({ ...e, leaf_index: 1 - i })) }),
        { ack: 'signed' },
      ],
      [
        'the place beyond the tree, signed',
        'index_out_of_range',
        firstEntry(() => ({ leaf_index: 9 })),
        { ack: 'signed' },
      ],
      ['the proof, left out', 'bad_reply', firstEntry(without('proof')), { ack: 'signed' }],
      ['the proof, empty', 'bad_proof_length', firstEntry(() => ({ proof: [] })), { ack: 'signed' }],
      ['the proof, short hashes', 'bad_reply', firstEntry(() => ({ proof: ['AAAA'] })), { ack: 'signed' }],
      ['the tree size', 'bad_reply', () => ({ tree_size: 3 }), { ack: 'signed' }],
      [
        'the signature',
        'invalid_signature',
        (r) => ({ checkpoint: (r['checkpoint'] as string).replace('\n2\n', '\n3\n') }),
        { ack: 'signed' },
      ],
    ];
    // Jest would pass a `done` for a fourth argument that is missing.
    test.each(lies.map((row) => ({ code: row[1], change: row[2], options: row[3], what: row[0] })))(
      '$what: $code',
      async ({ code, change, options }) => {
        const client = clientOf(lie(new FakeLog(), 'events', change));
        expect(await codeOfAsync(() => client.append(events('{"id":"a"}', '{"id":"b"}'), options))).toBe(code);
      },
    );

    test('other event bytes: the log committed to something else', async () => {
      const log = new FakeLog();
      const add = log.add.bind(log);
      log.add = (event, ...rest) => add(event.replace('alice', 'mallory'), ...rest);
      expect(await codeOfAsync(() => clientOf(log).append(events('{"by":"alice"}')))).toBe('leaf_hash_mismatch');
    });

    test('who sent it: the header names another API key', async () => {
      const log = new FakeLog();
      const add = log.add.bind(log);
      log.add = (event, pointer) => add(event, pointer, 'fedcba9876543210');
      expect(await codeOfAsync(() => clientOf(log).append(events('{}')))).toBe('bad_header');
      log.add = (event, pointer) => add(event, pointer, 'system');
      expect(await codeOfAsync(() => clientOf(log).append(events('{}')))).toBe('bad_header');
    });

    test('the origin: a leaf of another log', async () => {
      const log = new FakeLog('other');
      const client = new LogClient({
        url: 'http://x.example/logs/other',
        key: API_KEY,
        fetch: log.fetch,
        verifierKey: new FakeLog('main').vkey,
      });
      expect(await codeOfAsync(() => client.append(events('{}')))).toBe('leaf_hash_mismatch');
    });
  });
});

describe('event', () => {
  test('gives the bytes that were proven, and an answer that can be kept', async () => {
    const log = new FakeLog().fill(9);
    const proven = await clientOf(log).event(7);
    expect([fromUtf8(proven.event), proven.leafIndex, proven.checkpoint.treeSize]).toEqual(['{"id":"e-7"}', 7, 9]);
    expect(JSON.parse(fromUtf8(proven.reply))).toEqual(log.eventJson(7));
  });

  test('does not look at the event as it is shown to people', async () => {
    const client = clientOf(lie(new FakeLog().fill(3), 'events/1', () => ({ event: { id: 'something else' } })));
    expect(fromUtf8((await client.event(1)).event)).toBe('{"id":"e-1"}');
  });

  const leaf = (log: FakeLog, leafIndex: number) => log.entries[leafIndex]?.leaf as Uint8Array;
  const base = new FakeLog().fill(9);
  const leaf7 = leaf(base, 7);
  const lies: [string, string, (reply: Json) => Json][] = [
    ['other event bytes', 'commitment_mismatch', () => ({ event_base64: toBase64(utf8('{"id":"e-8"}')) })],
    ['the same event with a space', 'commitment_mismatch', () => ({ event_base64: toBase64(utf8('{"id": "e-7"}')) })],
    ['an event that is no object', 'bad_event', () => ({ event_base64: toBase64(utf8('["e-7"]')) })],
    ['an event with a newline after it', 'bad_event', () => ({ event_base64: toBase64(utf8('{"id":"e-7"}\n')) })],
    ['no event bytes, only the event', 'bad_reply', () => ({ event_base64: undefined })],
    ['a missing salt', 'bad_reply', () => ({ salt: undefined })],
    ['an empty salt', 'bad_salt', () => ({ salt: '' })],
    ['a salt of null', 'bad_reply', () => ({ salt: null })],
    ['another header', 'commitment_mismatch', () => ({ header_base64: toBase64(utf8('{"by":"system","via":"x"}')) })],
    ['another time', 'received_at_mismatch', () => ({ received_at: '2026-01-01T00:00:00.000008Z' })],
    ['another leaf hash', 'leaf_hash_mismatch', (r) => ({ leaf_hash: otherHash(r['leaf_hash']) })],
    ['the leaf of its neighbour', 'received_at_mismatch', () => ({ leaf: toBase64(leaf(base, 6)) })],
    ['a leaf of 41 bytes in another form', 'bad_leaf', () => ({ leaf: toBase64(leaf7.with(0, 0x11)) })],
    ['a leaf of 42 bytes', 'bad_leaf', () => ({ leaf: toBase64(concatBytes(leaf7, Uint8Array.of(0))) })],
    ['a leaf of 40 bytes', 'bad_leaf', () => ({ leaf: toBase64(leaf7.subarray(0, 40)) })],
    [
      'a leaf of 41 bytes as the event',
      'bad_event',
      () => ({ event_base64: toBase64(leaf7), leaf: toBase64(leaf7), leaf_hash: toBase64(leafHash(leaf7)) }),
    ],
    ['the proof of another index', 'root_mismatch', () => ({ proof: base.inclusion(6) })],
    ['the proof of another size', 'bad_proof_length', () => ({ proof: base.inclusion(7, 8) })],
    ['a proof with one hash more', 'bad_proof_length', (r) => ({ proof: [...base.inclusion(7), r['leaf_hash']] })],
    ['a genuine answer for another index', 'bad_reply', () => base.eventJson(6)],
    ['another index for a genuine entry', 'root_mismatch', () => ({ ...base.eventJson(6), leaf_index: 7 })],
    ['an index beyond the tree', 'index_out_of_range', () => ({ leaf_index: 9 })],
    ['a tree size that is not the signed one', 'bad_reply', () => ({ tree_size: 8 })],
    ['no checkpoint', 'bad_reply', () => ({ checkpoint: null })],
    [
      'another root',
      'root_mismatch',
      () => ({
        checkpoint: signCheckpoint({ origin: base.origin, treeSize: 9, rootHash: leafHash(utf8('')) }, base.signer),
      }),
    ],
    [
      'the checkpoint of another log, rightly signed',
      'unknown_signer',
      () => ({ checkpoint: new FakeLog('other').fill(9).checkpoint() }),
    ],
    [
      'a foreign origin under the right name',
      'invalid_signature',
      () => ({ checkpoint: base.checkpoint().replace('example.com/logs/main\n', 'example.com/logs/other\n') }),
    ],
    [
      'the right name, another key',
      'unknown_signer',
      () => ({ checkpoint: new FakeLog('main', 7).fill(9).checkpoint() }),
    ],
  ];
  test.each(lies)('refuses %s: %s', async (_what, code, change) => {
    const log = lie(new FakeLog().fill(9), 'events/7', change);
    expect(await codeOfAsync(() => clientOf(log, { verifierKey: log.vkey }).event(7))).toBe(code);
  });

  test('refuses an origin that the key signed but is not named for', async () => {
    const log = new FakeLog().fill(2);
    const text = `example.com/logs/foreign\n2\n${toBase64(log.tree().root(2))}\n`;
    const { signNote } = await import('../../proofs/note.ts');
    lie(log, 'events/1', () => ({ checkpoint: signNote(text, [log.signer]) }));
    expect(await codeOfAsync(() => clientOf(log).event(1))).toBe('origin_mismatch');
  });

  test('notices that the log denies an entry of a tree that it signed', async () => {
    const log = new FakeLog().fill(5);
    const client = clientOf(log);
    await client.advance();
    log.faults.push({ kind: 'reply', reply: problem(404, 'no_such_entry') });
    expect(await codeOfAsync(() => client.event(4))).toBe('missing_entries');
    expect(await codeOfAsync(() => client.event(5))).toBe('http');
  });
});

describe('the remembered head', () => {
  const remembering = async (size: number) => {
    const memory = inMemoryHeads();
    const log = new FakeLog().fill(size);
    await clientOf(log, { memory }).advance();
    return { memory, log };
  };

  test('moves with the log', async () => {
    const { memory, log } = await remembering(3);
    const client = clientOf(log.fill(8), { memory });
    const { from, to } = await client.advance();
    expect([from?.treeSize, to.treeSize, (await client.advance()).from?.treeSize]).toEqual([3, 8, 8]);
    expect(log.requests.filter(({ path }) => path === 'proofs/consistency')).toHaveLength(1);
  });

  test('from size 0 nothing needs to be asked', async () => {
    const { memory, log } = await remembering(0);
    expect((await clientOf(log.fill(4), { memory }).checkpoint()).treeSize).toBe(4);
    expect(log.requests.some(({ path }) => path === 'proofs/consistency')).toBe(false);
  });

  test('a newest head below it is a rollback, in every way of asking', async () => {
    const { memory, log } = await remembering(6);
    log.entries.length = 4;
    log.signed = 4;
    const client = clientOf(log, { memory });
    expect(await codeOfAsync(() => client.advance())).toBe('rollback');
    expect(await codeOfAsync(() => client.checkpoint())).toBe('rollback');
    expect(await codeOfAsync(() => client.treeHead())).toBe('rollback');
    expect(await codeOfAsync(() => client.event(1))).toBe('rollback');
    expect(await codeOfAsync(() => client.inclusion({ leafIndex: 1 }))).toBe('rollback');
    expect(await codeOfAsync(() => client.append(events('{}'), { ack: 'signed' }))).toBe('rollback');
  });

  test('a newest head below it is a rollback, though the log could prove it to be an older one', async () => {
    const { memory, log } = await remembering(8);
    log.tamperText = () => log.checkpoint(5);
    lie(log, 'tree-head', () => ({
      tree_size: 5,
      root_hash: toBase64(log.tree().root(5)),
      checkpoint: log.checkpoint(5),
    }));
    const client = clientOf(log, { memory });
    expect(await codeOfAsync(() => client.advance())).toBe('rollback');
    expect(await codeOfAsync(() => client.treeHead())).toBe('rollback');
  });

  test('another root at its size is a split view, with both heads as evidence', async () => {
    const { memory, log } = await remembering(3);
    const forked = new FakeLog().fill(2);
    forked.add('{"id":"forged"}');
    for (const call of [(c: LogClient) => c.advance(), (c: LogClient) => c.event(2)]) {
      const error = await call(clientOf(forked, { memory })).catch((e: ClientError) => e);
      expect(error).toMatchObject({
        code: 'split_view',
        heads: { remembered: log.checkpoint(3), received: forked.checkpoint(3) },
      });
    }
  });

  test('a larger tree that is another one can not be proven and is not remembered', async () => {
    const { memory, log } = await remembering(3);
    const forked = new FakeLog().fill(2);
    forked.add('{"id":"forged"}');
    forked.fill(6);
    const client = clientOf(forked, { memory });
    expect(await codeOfAsync(() => client.advance())).toBe('inconsistent');
    expect(await codeOfAsync(() => client.event(5))).toBe('inconsistent');
    expect(await memory.read(log.origin, log.signer.verifierKey.keyId)).toBe(log.checkpoint(3));
  });

  test('a larger head whose proof is withheld is not remembered', async () => {
    const { memory, log } = await remembering(3);
    log.fill(6);
    log.faults.push(undefined, { kind: 'reply', reply: problem(400, 'bad_parameter') });
    expect(await codeOfAsync(() => clientOf(log, { memory }).advance())).toBe('inconsistent');
    log.faults.push(undefined, { kind: 'reply', reply: problem(401, 'unauthorized') });
    expect(await codeOfAsync(() => clientOf(log, { memory }).advance())).toBe('http');
    expect(await memory.read(log.origin, log.signer.verifierKey.keyId)).toBe(log.checkpoint(3));
  });

  test('a proof between other sizes is refused', async () => {
    const { memory, log } = await remembering(3);
    lie(log.fill(6), 'proofs/consistency', () => ({ first: 2 }));
    expect(await codeOfAsync(() => clientOf(log, { memory }).advance())).toBe('bad_reply');
  });

  test('an older genuine head in an answer is accepted with a proof, and moves nothing back', async () => {
    const { memory, log } = await remembering(8);
    lie(log, 'events/1', () => log.eventJson(1, 5));
    expect((await clientOf(log, { memory }).event(1)).checkpoint.treeSize).toBe(5);
    expect(await memory.read(log.origin, log.signer.verifierKey.keyId)).toBe(log.checkpoint(8));
    lie(log, 'proofs/consistency', () => ({ proof: [] }));
    const older = log.tamper;
    log.tamper = (request, reply) => (request.path === 'events/1' ? log.eventJson(1, 5) : older(request, reply));
    expect(await codeOfAsync(() => clientOf(log, { memory }).event(1))).toBe('inconsistent');
  });

  test('an older head of another tree in an answer is refused', async () => {
    const { memory } = await remembering(8);
    const forked = new FakeLog().fill(1);
    forked.add('{"id":"forged"}');
    forked.fill(8);
    lie(forked, 'events/1', () => forked.eventJson(1, 5));
    expect(await codeOfAsync(() => clientOf(forked, { memory }).event(1))).toBe('inconsistent');
  });

  test('is compared anew where another client was faster', async () => {
    const { memory, log } = await remembering(3);
    let raced = 0;
    const racing: HeadMemory = {
      ...memory,
      write: async (origin, keyId, note, previous) => {
        // Somebody else gets to size 6 while this client, which saw 5, is about to write.
        if (raced++ === 0) await memory.write(origin, keyId, log.checkpoint(6), previous);
        return await memory.write(origin, keyId, note, previous);
      },
    };
    log.fill(6).signed = 5;
    log.tamperText = (_request, text) => {
      log.signed = 6;
      return text;
    };
    expect((await clientOf(log, { memory: racing }).advance()).to.treeSize).toBe(5);
    expect(await memory.read(log.origin, log.signer.verifierKey.keyId)).toBe(log.checkpoint(6));
  });

  test('is compared anew, also where the faster client was shown another tree', async () => {
    const { memory, log } = await remembering(3);
    const forked = new FakeLog().fill(3);
    forked.add('{"id":"forged"}');
    forked.fill(6);
    const racing: HeadMemory = {
      ...memory,
      write: async (origin, keyId, _note, previous) => {
        await memory.write(origin, keyId, forked.checkpoint(6), previous);
        return false;
      },
    };
    expect(await codeOfAsync(() => clientOf(log.fill(6), { memory: racing }).advance())).toBe('split_view');
  });

  test('is itself verified: a damaged memory is noticed', async () => {
    const { memory, log } = await remembering(3);
    const { keyId } = log.signer.verifierKey;
    await memory.write(log.origin, keyId, log.checkpoint(3).replace('\n3\n', '\n2\n'), log.checkpoint(3));
    expect(await codeOfAsync(() => clientOf(log, { memory }).advance())).toBe('invalid_signature');
  });
});

describe('the verifier key', () => {
  test('is learned once and pinned', async () => {
    const memory = inMemoryHeads();
    const log = new FakeLog().fill(2);
    await clientOf(log, { memory }).event(0);
    expect(await memory.readPin(URL_OF_LOG)).toBe(log.vkey);
    const impostor = new FakeLog('main', 66).fill(2);
    expect(await codeOfAsync(() => clientOf(impostor, { memory }).event(0))).toBe('unknown_signer');
    expect(impostor.requests.some(({ path }) => path === '')).toBe(false);
  });

  test('if given is used and pinned without asking', async () => {
    const memory = inMemoryHeads();
    const log = new FakeLog().fill(2);
    await clientOf(log, { memory, verifierKey: log.vkey }).event(0);
    expect(log.requests.map(({ path }) => path)).toEqual(['events/0']);
    expect(await memory.readPin(URL_OF_LOG)).toBe(log.vkey);
  });

  test('is not learned where that is not wanted', async () => {
    const log = new FakeLog().fill(2);
    expect(await codeOfAsync(() => clientOf(log, { trustOnFirstUse: false }).event(0))).toBe('unpinned');
    expect(log.requests).toHaveLength(0);
  });

  test('of another origin than the log says is refused', async () => {
    const log = lie(new FakeLog().fill(1), '', () => ({ origin: 'example.com/logs/other' }));
    expect(await codeOfAsync(() => clientOf(log).event(0))).toBe('bad_reply');
  });

  test('that is none is refused before anything is sent', () => {
    expect(() => clientOf(new FakeLog(), { verifierKey: 'x+00000000+AAAA' })).toThrow();
  });
});

describe('entries', () => {
  const read = async (client: LogClient, options = {}) => {
    const texts: string[] = [];
    for await (const { event } of client.entries(options)) texts.push(fromUtf8(event));
    return texts;
  };

  test('come page after page, from any leaf index, up to a limit', async () => {
    const log = new FakeLog().fill(25);
    log.page = 4;
    expect(await read(clientOf(log))).toHaveLength(25);
    expect(await read(clientOf(log), { from: 23 })).toEqual(['{"id":"e-23"}', '{"id":"e-24"}']);
    expect(await read(clientOf(log), { from: 5, limit: 6 })).toHaveLength(6);
    expect(await read(clientOf(log), { from: 25 })).toEqual([]);
  });

  test('go on after a broken connection', async () => {
    const log = new FakeLog().fill(10);
    log.page = 4;
    log.faults.push(undefined, undefined, { kind: 'drop' }, { kind: 'drop' });
    expect(await read(clientOf(log))).toHaveLength(10);
  });

  test.each<[string, string, (line: Json) => Json]>([
    ['left out', 'bad_reply', (line) => (line['leaf_index'] === 2 ? { ...line, leaf_index: 3 } : line)],
    ['changed', 'commitment_mismatch', (line) => ({ ...line, event_base64: toBase64(utf8('{}')) })],
    ['with another leaf', 'received_at_mismatch', (line) => ({ ...line, received_at: '2026-01-01T00:00:01.000000Z' })],
    ['without salt', 'bad_reply', (line) => ({ ...line, salt: undefined })],
  ])('are refused if one is %s', async (_what, code, change) => {
    const log = new FakeLog().fill(5);
    log.tamper = (request, reply) => (request.path === 'events' ? change(reply) : reply);
    expect(await codeOfAsync(() => read(clientOf(log)))).toBe(code);
  });

  test('are refused if there are more than asked for', async () => {
    const log = new FakeLog().fill(5);
    const client = clientOf(log, {
      fetch: (url, init) => log.fetch(url.replace('limit=2', 'limit=3'), init),
    });
    expect(await codeOfAsync(() => read(client, { limit: 2 }))).toBe('bad_reply');
  });

  test('are refused if a line grows without end', async () => {
    const log = new FakeLog().fill(1);
    lie(log, 'events', () => ({ more: 'x'.repeat(5000) }));
    expect(await codeOfAsync(() => read(clientOf(log, { maxReplySize: 1000 })))).toBe('bad_reply');
  });
});

describe('proofs', () => {
  test('inclusion at the newest size, an older one and by leaf hash', async () => {
    const log = new FakeLog().fill(9);
    const client = clientOf(log);
    expect(await client.inclusion({ leafIndex: 4 })).toMatchObject({ leafIndex: 4, treeSize: 9 });
    expect(await client.inclusion({ leafIndex: 4 }, { treeSize: 6 })).toMatchObject({ treeSize: 6 });
    const hash = leafHash(log.entries[3]?.leaf as Uint8Array);
    expect(await client.inclusion({ leafHash: hash })).toMatchObject({ leafIndex: 3 });
  });

  test.each<[string, string, (reply: Json) => Json]>([
    ['another index', 'bad_reply', (r) => ({ ...r, leaf_index: 5 })],
    ['another leaf', 'root_mismatch', (r) => ({ ...r, leaf_hash: otherHash(r['leaf_hash']) })],
    ['an invented root for a size without head', 'inconsistent root', (r) => r],
  ])('inclusion of %s is refused', async (_what, code, change) => {
    const log = new FakeLog().fill(9);
    if (code !== 'inconsistent root') {
      lie(log, 'proofs/inclusion', change);
      expect(await codeOfAsync(() => clientOf(log).inclusion({ leafIndex: 4 }))).toBe(code);
      return;
    }
    // A whole other tree of 6, whose root fits its proof but not the log.
    const other = new FakeLog();
    other.add('{"id":"forged"}');
    other.fill(6);
    lie(log, 'proofs/inclusion', () => ({
      leaf_hash: other.entryJson(4)['leaf_hash'],
      proof: other.inclusion(4),
      root_hash: toBase64(other.tree().root(6)),
    }));
    expect(await codeOfAsync(() => clientOf(log).inclusion({ leafIndex: 4 }, { treeSize: 6 }))).toBe('root_mismatch');
  });

  test('consistency between two heads', async () => {
    const log = new FakeLog().fill(9);
    const head = (treeSize: number) => ({ treeSize, rootHash: log.tree().root(treeSize) });
    const client = clientOf(log);
    expect(await client.consistency(head(3), head(9))).not.toHaveLength(0);
    expect(await client.consistency(head(0), head(9))).toEqual([]);
    expect(await codeOfAsync(() => client.consistency({ ...head(3), treeSize: 4 }, head(9)))).toBe('root_mismatch');
    expect(await codeOfAsync(() => client.consistency(head(9), head(3)))).toBe('size_order');
  });

  test('the tree head is its checkpoint', async () => {
    const log = new FakeLog().fill(3);
    expect(await clientOf(log).treeHead()).toMatchObject({ timestamp: 1_767_225_600_000, checkpoint: { treeSize: 3 } });
    lie(log, 'tree-head', (r) => ({ root_hash: otherHash(r['root_hash']) }));
    expect(await codeOfAsync(() => clientOf(log).treeHead())).toBe('bad_reply');
    lie(log, 'tree-head', () => ({ tree_size: 2 }));
    expect(await codeOfAsync(() => clientOf(log).treeHead())).toBe('bad_reply');
  });

  test('the time of a tree head is signed where there is a signature, and then it must be by the log', async () => {
    const log = new FakeLog().fill(3);
    expect((await clientOf(log).treeHead()).signature).toBeUndefined();
    const head = { timestamp: 1_767_225_600_000, treeSize: 3, rootHash: log.tree().root(3) };
    const signature = signTreeHead(head, log.signer);
    const text = toBase64(signature);
    const lies: readonly (readonly [Json, string])[] = [
      [{ signature: text }, 'accepted'],
      [{ signature: null }, 'accepted'],
      [{ signature: text, timestamp: head.timestamp + 1 }, 'invalid_signature'],
      [{ signature: toBase64(signTreeHead({ ...head, treeSize: 2 }, log.signer)) }, 'invalid_signature'],
      [{ signature: '' }, 'unknown_algorithm'],
      [{ signature: 7 }, 'bad_reply'],
      [{ signature: `${text} ` }, 'bad_reply'],
    ];
    for (const [members, code] of lies) {
      lie(log, 'tree-head', () => members);
      expect([members, await codeOfAsync(() => clientOf(log).treeHead())]).toEqual([members, code]);
    }
    lie(log, 'tree-head', () => ({ signature: text }));
    expect((await clientOf(log).treeHead()).signature).toEqual(signature);
  });
});

test('two signers of one name are two logs: each key has a memory of its own', async () => {
  const memory = inMemoryHeads();
  const old = new FakeLog().fill(5);
  await clientOf(old, { memory }).advance();
  const renewed = new FakeLog('main', 2).fill(2);
  expect((await clientOf(renewed, { memory, verifierKey: renewed.vkey }).checkpoint()).treeSize).toBe(2);
  expect(ed25519Signer(old.origin, new Uint8Array(32).fill(1)).verifierKey.text).toBe(old.vkey);
});
