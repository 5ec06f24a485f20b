/**
 * A client whose server answers anything: altered replies are refused by an error with a code, or they say what the log says. Nothing that
 * comes over the network makes the client throw something else, or believe something else. (The parsers of these replies are fuzzed by
 * the harness fuzz-parsers.)
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { auditLog } from '../../client/audit.ts';
import { LogClient } from '../../client/log-client.ts';
import { LogError } from '../../proofs/error.ts';
import { fromUtf8, toBase64, utf8 } from '../../tree/bytes.ts';
import { API_KEY, FakeLog } from '../client/fake-log.ts';
import { JUNK, replaced, waysOf } from './json-shapes.ts';
import { alteredUtf8, anyText, runs } from './mutations.ts';

const URL_OF_LOG = 'http://log.example/logs/main';
const log = new FakeLog().fill(5);

const junk: fc.Arbitrary<unknown> = fc.oneof(fc.constantFrom<unknown>(...JUNK), anyText, fc.jsonValue({ maxDepth: 2 }));

/** A reply with one member or element replaced or removed, or its text altered. */
function alteredReply(text: string): fc.Arbitrary<Uint8Array> {
  const value: unknown = JSON.parse(text);
  const shaped = fc
    .tuple(fc.constantFrom(...waysOf(value)), fc.oneof(junk, fc.constant(undefined)))
    .map(([way, put]) => utf8(JSON.stringify(replaced(value, way, put)) ?? ''));
  return fc.oneof(
    shaped,
    alteredUtf8(fc.constant(text)).map(({ bytes }) => bytes),
  );
}

describe('a client', () => {
  /** What the client is asked to do, and whether it was told the truth. */
  const CALLS: readonly (readonly [name: string, call: (client: LogClient) => Promise<boolean>])[] = [
    ['event', async (client) => fromUtf8((await client.event(3)).event) === '{"id":"e-3"}'],
    ['checkpoint', async (client) => isSigned((await client.checkpoint()).note)],
    ['treeHead', async (client) => isSigned((await client.treeHead()).checkpoint.note)],
    ['inclusion', async (client) => toBase64((await client.inclusion({ leafIndex: 3 })).leafHash) === leafOf(3)],
    [
      'inclusion, older',
      async (client) => toBase64((await client.inclusion({ leafIndex: 2 }, { treeSize: 4 })).leafHash) === leafOf(2),
    ],
    ['auditLog', async (client) => (await auditLog(client)).treeSize === 5],
    [
      'append',
      async (client) => {
        const { ack, entries } = await client.append([utf8('{"id":"e-1"}')], { idPointer: '/id', ack: 'signed' });
        // A level that was not reached may be owned up to.
        return ack === 'durable' || (entries[0]?.leafIndex === 1 && toBase64(entries[0].leafHash) === leafOf(1));
      },
    ],
  ];

  function leafOf(leafIndex: number): unknown {
    return log.entryJson(leafIndex)['leaf_hash'];
  }

  /** All heads that the log ever signed; extensions would be somebody else's note. */
  function isSigned(note: string): boolean {
    return [1, 2, 3, 4, 5].some((size) => note.startsWith(log.checkpoint(size).split('\n\n')[0] as string));
  }

  test.each(CALLS)('%s: the truth, or an error with a code', async (_, call) => {
    const status = fc.option(fc.constantFrom(200, 201, 206, 301, 400, 404, 429, 500, 503, 599), {
      nil: undefined,
      freq: 6,
    });
    const answers = fc.record({
      which: fc.nat(2),
      status,
      headers: fc.option(
        fc.constantFrom<Record<string, string>>(
          { 'content-type': 'text/html' },
          { 'retry-after': '-1' },
          { location: 'x' },
        ),
        { nil: {} },
      ),
    });
    await fc.assert(
      fc.asyncProperty(answers, fc.gen(), async ({ which, status, headers }, gen) => {
        let count = 0;
        const fetch: typeof log.fetch = async (url, init) => {
          const answer = await log.fetch(url, init);
          if (count++ !== which) return answer;
          const text = await answer.text();
          const isJson = answer.headers.get('content-type') === 'application/json';
          const bytes = gen(isJson ? alteredReply : alteredText, text);
          return new Response(new Uint8Array(bytes), {
            status: status ?? answer.status,
            headers: { ...Object.fromEntries(answer.headers), ...headers },
          });
        };
        const clock = { now: () => 0, sleep: async () => undefined };
        const client = new LogClient({
          url: URL_OF_LOG,
          key: API_KEY,
          verifierKey: log.vkey,
          fetch,
          clock,
          retries: { attempts: 2 },
        });
        try {
          expect(await call(client)).toBe(true);
        } catch (error) {
          if (!(error instanceof LogError)) throw error;
        }
        expect(log.entries).toHaveLength(5);
      }),
      runs(60),
    );
  });

  function alteredText(text: string): fc.Arbitrary<Uint8Array> {
    return alteredUtf8(fc.constant(text)).map(({ bytes }) => bytes);
  }
});
