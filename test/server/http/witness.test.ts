/**
 * The HTTP surface of a witness: the conversation of torchwood's litewitness test, in order, with a witness by itself and with one in a server; then what
 * a reply is made of, and what is refused.
 */
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { originHash } from '../../../proofs/add-checkpoint.ts';
import { parseVerifierKey } from '../../../proofs/key.ts';
import { openNote, parseSignatureLines } from '../../../proofs/note.ts';
import { ServerError } from '../../../server/errors.ts';
import { bindHttp } from '../../../server/http/http-server.ts';
import { witnessHandler } from '../../../server/http/witness-site.ts';
import { WitnessMetrics } from '../../../server/witness/witness-metrics.ts';
import { TestServer } from '../../support/test-server.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';
import { closeWitnesses, OpenWitness } from '../witness/open-witness.ts';

const ORIGIN = 'sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562';
const VKEY = `${ORIGIN}+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP`;
const ROOT_1 = 'KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const ROOT_3 = 'RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=';
const ROOT_5 = 'QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=';
const SIG_1 = 'UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=';
const SIG_3 = 'UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=';
const SIG_5 = 'UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=';
const SIG_FIVE = 'UgIom4JTC2MerrFcJ5xDcWHzRPVB6zzGBIw4OFqcKDflqjH4q4xY5vMxUxyczvdIlEwFYf7ivQU4KoWan2bLmzLx0go=';
const PROOF_3 = ['KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='];
const PROOF_5 = [
  'KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'KgMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'wgiIFdZfYNv6WU1OllBKsWnLYIS/DBMqt8Uh/S4OukE=',
  'KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
];

const note = (size: string | number, root: string, signature: string, origin = ORIGIN): string =>
  `${origin}\n${size}\n${root}\n\n— ${origin} ${signature}\n`;
const body = (old: number, proof: readonly string[], checkpoint: string): string =>
  `old ${old}\n${proof.map((hash) => `${hash}\n`).join('')}\n${checkpoint}`;
const NOTE_3 = note(3, ROOT_3, SIG_3);
const NOTE_5 = note(5, ROOT_5, SIG_5);

interface Answer {
  readonly status: number;
  /** Names and values in turn, as they came. */
  readonly raw: readonly string[];
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

const log = new WitnessedLog('example.com/logs/main');

async function openWitness(): Promise<OpenWitness> {
  const opened = await OpenWitness.of([log]);
  opened.witness.watch([{ key: parseVerifierKey(VKEY), url: undefined }, log.asPolicyLog]);
  return opened;
}

const opened = { 'by itself': await openWitness(), 'in a server': await openWitness() };
const mounted = await TestServer.start({ context: { witness: opened['in a server'].witness } });
const without = await TestServer.start();
const alone = await bindHttp({ host: '127.0.0.1', port: 0 });
{
  const { witness } = opened['by itself'];
  const metrics = new WitnessMetrics(() => witness);
  const site = { witness, metrics, logger: pino({ level: 'silent' }), ready: () => true };
  alone.serve(
    (abandon) => witnessHandler(site, abandon),
    () => {},
  );
}
/** Submission prefixes, which are those of the monitoring too. */
const prefixes = { 'by itself': alone.url, 'in a server': `${mounted.url}/witness` };

afterAll(async () => {
  await alone.close(0);
  await closeWitnesses();
});

function ask(method: string, url: string, content?: string | Uint8Array, headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method, headers, agent: false }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      reply.on('end', () =>
        resolve({ status: reply.statusCode as number, raw: reply.rawHeaders, headers: reply.headers, text }),
      );
    });
    sent.on('error', reject);
    sent.end(content);
  });
}

const flip = (text: string, at: number): string =>
  `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;

// None is left out: jest would take the argument for a callback.
const STEPS: readonly (readonly [step: string, body: string, status: number, code: string | undefined])[] = [
  ['1: the first head', body(0, [], note(1, ROOT_1, SIG_1)), 200, undefined],
  [
    '2: one bit of the signature is another',
    body(1, PROOF_3, note(3, ROOT_3, flip(SIG_3, 40))),
    403,
    'not_signed_by_log',
  ],
  // The bits behind the last byte are not 0: Go reads it and says 403, and base64 has one spelling here.
  [
    '2: as the sheet has it',
    body(1, PROOF_3, note(3, ROOT_3, SIG_3.replace('6go=', '6gx='))),
    400,
    'malformed_request',
  ],
  ['3: an origin that nobody knows', body(1, PROOF_3, NOTE_3.replaceAll('e562', 'e563')), 404, 'unknown_origin'],
  ['4: no proof', body(1, [], NOTE_3), 422, 'inconsistent_checkpoint'],
  [
    '5: another hash',
    body(1, [PROOF_3[0] as string, (PROOF_3[1] as string).replace('AAA=', 'ABA=')], NOTE_3),
    422,
    'inconsistent_checkpoint',
  ],
  ['6: a good proof', body(1, PROOF_3, NOTE_3), 200, undefined],
  ['7: from an older size', body(1, PROOF_5, NOTE_5), 409, undefined],
  ['8: a good proof', body(3, PROOF_5, NOTE_5), 200, undefined],
  ['9: from nothing', body(0, [], NOTE_5), 409, undefined],
  ['10: a note without signatures', body(5, [], `${ORIGIN}\n5\n${ROOT_5}\n`), 400, 'malformed_request'],
  ['10: with the blank line alone', body(5, [], `${ORIGIN}\n5\n${ROOT_5}\n\n`), 400, 'malformed_request'],
  ['11: a size in words, signed', body(5, [], note('five', ROOT_1, SIG_FIVE)), 400, 'malformed_checkpoint'],
];

describe.each(Object.keys(prefixes) as (keyof typeof prefixes)[])('a witness %s', (which) => {
  test.each(STEPS)('litewitness, step %s', async (step, content, status, code) => {
    const { verifierKey } = opened[which].witness;
    const answer = await ask('POST', `${prefixes[which]}/add-checkpoint`, content);
    expect([step, answer.status, answer.text]).toEqual([step, status, expect.anything()]);
    if (status === 200) {
      const sent = content.slice(content.indexOf('\n\n') + 2);
      expect(parseSignatureLines(answer.text)).toHaveLength(1);
      openNote(sent + answer.text, [verifierKey]);
      expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    } else if (status === 409) {
      expect(answer.text).toBe(step.startsWith('7') ? '3\n' : '5\n');
      expect(answer.raw.filter((_, i) => answer.raw[i - (i % 2)]?.toLowerCase() === 'content-type')).toEqual([
        expect.stringMatching(/^content-type$/i),
        'text/x.tlog.size',
      ]);
    } else {
      expect(answer.headers['content-type']).toBe('application/problem+json');
      expect(JSON.parse(answer.text)).toMatchObject({ status, code, detail: expect.any(String) });
    }
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('the newest cosigned checkpoint, for monitors', async () => {
    const { verifierKey } = opened[which].witness;
    const answer = await ask('GET', `${prefixes[which]}/${originHash(ORIGIN)}/checkpoint`);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(openNote(answer.text, [parseVerifierKey(VKEY), verifierKey])).toMatchObject({
      text: `${ORIGIN}\n5\n${ROOT_5}\n`,
      signatures: [{ name: ORIGIN }, { name: verifierKey.name }],
    });
    const head = await ask('HEAD', `${prefixes[which]}/${originHash(ORIGIN)}/checkpoint`);
    expect([head.status, head.text, head.headers['content-length']]).toEqual([
      200,
      '',
      String(Buffer.byteLength(answer.text)),
    ]);
  });

  test.each([
    ['of a log that was never cosigned', originHash('nothing')],
    ['of one that is witnessed and has not come yet', log.hash],
    ['of no hash', 'x'],
    ['in capitals', originHash(ORIGIN).toUpperCase()],
    ['of a path', '..%2fkey'],
    ['of __proto__', '__proto__'],
  ])('no checkpoint %s: 404', async (_, hash) => {
    const answer = await ask('GET', `${prefixes[which]}/${hash}/checkpoint`);
    expect([answer.status, JSON.parse(answer.text)['code']]).toEqual([404, 'not_cosigned']);
  });

  test.each<readonly [string, string | Uint8Array, number, string]>([
    ['nothing', '', 400, 'malformed_request'],
    ['no old', `\n${NOTE_5}`, 400, 'malformed_request'],
    ['an old with a zero before it', body(5, [], NOTE_5).replace('old 5', 'old 05'), 400, 'malformed_request'],
    ['a negative old', body(5, [], NOTE_5).replace('old 5', 'old -1'), 400, 'malformed_request'],
    ['an old above 2^53 - 1', body(5, [], NOTE_5).replace('old 5', 'old 9007199254740992'), 400, 'malformed_request'],
    ['a second space', body(5, [], NOTE_5).replace('old 5', 'old  5'), 400, 'malformed_request'],
    ['carriage returns', body(5, [], NOTE_5).replaceAll('\n', '\r\n'), 400, 'malformed_request'],
    [
      '64 hashes',
      body(
        5,
        Array.from({ length: 64 }, () => ROOT_1),
        NOTE_5,
      ),
      400,
      'malformed_request',
    ],
    ['a hash of 31 bytes', body(5, [Buffer.alloc(31).toString('base64')], NOTE_5), 400, 'malformed_request'],
    ['bytes that are no UTF-8', Uint8Array.of(0xff, 0xfe, 10, 10), 400, 'malformed_request'],
    ['old above the size', body(6, [], NOTE_5), 400, 'malformed_request'],
    [
      '101 signatures',
      body(5, [], NOTE_5 + Array.from({ length: 100 }, (_, i) => `— x${i} AAAAAAA=\n`).join('')),
      400,
      'malformed_request',
    ],
    [
      '63 hashes where none are due',
      body(
        5,
        Array.from({ length: 63 }, () => ROOT_1),
        NOTE_5,
      ),
      422,
      'inconsistent_checkpoint',
    ],
    ['128 KiB and a byte', 'x'.repeat(131_073), 413, 'body_too_large'],
  ])('%s', async (_, content, status, code) => {
    const answer = await ask('POST', `${prefixes[which]}/add-checkpoint`, content);
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([status, { status, code }]);
  });

  test('a body in chunks is too large where it goes on too long', async () => {
    const { hostname, port, pathname } = new URL(`${prefixes[which]}/add-checkpoint`);
    const text = await new Promise<string>((resolve) => {
      let all = '';
      const socket = connect(Number(port), hostname);
      socket.setEncoding('latin1').on('data', (chunk) => {
        all += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(all));
      socket.write(`POST ${pathname} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
      for (let i = 0; i < 9; i++) socket.write(`4000\r\n${'x'.repeat(0x4000)}\r\n`);
      socket.end('0\r\n\r\n');
    });
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('content types, queries and keys change nothing', async () => {
    for (const headers of [{}, { 'content-type': 'application/json' }, { authorization: 'Bearer nobody' }]) {
      const answer = await ask('POST', `${prefixes[which]}/add-checkpoint?x=1`, body(5, [], NOTE_5), headers);
      expect(answer.status).toBe(200);
    }
    const coded = await ask('POST', `${prefixes[which]}/add-checkpoint`, body(5, [], NOTE_5), {
      'content-encoding': 'gzip',
    });
    expect(coded.status).toBe(415);
  });

  test('other methods and places', async () => {
    for (const [method, path, allow] of [
      ['GET', 'add-checkpoint', 'POST'],
      ['PUT', 'add-checkpoint', 'POST'],
      ['POST', `${log.hash}/checkpoint`, 'GET, HEAD'],
    ] as const) {
      const answer = await ask(method, `${prefixes[which]}/${path}`);
      expect([method, path, answer.status, answer.headers['allow']]).toEqual([method, path, 405, allow]);
    }
    for (const path of ['', 'sign-subtree', 'add-checkpoint/', `${log.hash}/checkpoint/x`, `${log.hash}`])
      expect([path, (await ask('GET', `${prefixes[which]}/${path}`)).status]).toEqual([path, 404]);
  });

  test('every reply has the security headers', async () => {
    for (const answer of [
      await ask('POST', `${prefixes[which]}/add-checkpoint`, body(5, [], NOTE_5)),
      await ask('POST', `${prefixes[which]}/add-checkpoint`, body(0, [], NOTE_5)),
      await ask('POST', `${prefixes[which]}/add-checkpoint`, 'x'),
      await ask('GET', `${prefixes[which]}/${originHash(ORIGIN)}/checkpoint`),
    ])
      expect(answer.headers).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
  });

  test('metrics', async () => {
    const { text } = await ask('GET', `${which === 'by itself' ? alone.url : mounted.url}/metrics`);
    if (which === 'in a server') {
      // The test server makes its own; the process adds those of a witness (test/e2e).
      expect(text).toContain('route="/witness/add-checkpoint",status="200"');
      return;
    }
    expect(text).toMatch(/^indelible_witness_cosignatures_total [1-9][0-9]*$/m);
    expect(text).toMatch(/^indelible_witness_conflicts_total [1-9][0-9]*$/m);
    expect(text).toMatch(/^indelible_witness_refused_total\{code="inconsistent_checkpoint"\} [1-9][0-9]*$/m);
    expect(text).toMatch(/^indelible_witness_findings_total\{kind="split_view"\} 0$/m);
    expect(text).toMatch(/^indelible_witness_logs 2$/m);
    expect(text).toMatch(/^indelible_witness_clock_unsafe 0$/m);
    expect(text).toContain('route="/:hash/checkpoint",status="404"');
  });
});

describe('a witness by itself', () => {
  test('lives and is ready', async () => {
    expect((await ask('GET', `${alone.url}/healthz`)).text).toBe('ok\n');
    expect((await ask('GET', `${alone.url}/readyz`)).text).toBe('ready\n');
  });

  test('tells whoever comes too often to come back', async () => {
    const { witness } = opened['by itself'];
    const { addCheckpoint } = witness;
    witness.addCheckpoint = () => Promise.reject(new ServerError('pushback', 'planted'));
    const answer = await ask('POST', `${alone.url}/add-checkpoint`, body(5, [], NOTE_5));
    witness.addCheckpoint = addCheckpoint;
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
  });
});

describe('a server without a witness', () => {
  test('has nothing there', async () => {
    const answer = await without.request('POST', '/witness/add-checkpoint', { body: body(5, [], NOTE_5) });
    expect([answer.status, answer.json()['code']]).toEqual([404, 'not_found']);
    expect((await without.get(`/witness/${log.hash}/checkpoint`)).status).toBe(404);
  });
});
