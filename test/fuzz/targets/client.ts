/** What the SDK reads: answers of servers, its own arguments, the tiles of anybody's log, and the files of the commands. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { equalBytes, toBase64, utf8 } from '../../../tree/bytes.ts';
import type { Modules } from '../build-modules.ts';
import { reshaped } from '../json-shapes.ts';
import { pick } from '../mutator.ts';
import type { Entry, SignedLog } from '../signed.ts';
import { bytesTarget, coded, expect, expectSame, nothing, oneOf, type Target, textTarget } from '../target.ts';

/** Names of members, and values that look like others. */
const WORDS = [
  ...['"leaf_index":', '"tree_size":', '"proof":[', '"checkpoint":', '"leaf":', '"salt":', '"event_base64":', '"ack":'],
  ...[
    '"durable"',
    '"signed"',
    '"witnessed"',
    'null',
    '[]',
    '{}',
    'true',
    '"AA=="',
    '"AB=="',
    '2026-01-02T03:04:05.000006Z',
  ],
];

export function clientTargets(modules: Modules, log: SignedLog, folder: string): Target[] {
  return [
    ...replyTargets(modules, log),
    ...provenTargets(modules, log),
    ...argumentTargets(modules),
    ...fileTargets(modules, folder),
    ...monitorTargets(modules, log),
  ];
}

function replyTargets({ clientError, replies, followRotation, json }: Modules, log: SignedLog): Target[] {
  const { size, notes } = log;
  const hash = toBase64(log.rootAt(3));
  const text = log.eventReply(3, size, notes.cosigned);
  const { checkpoint, tree_size, proof, ...line } = JSON.parse(text) as Record<string, unknown>;
  const entry = { ...line, replayed: false };
  const inclusion = { leaf_index: 3, leaf_hash: hash, tree_size: 7, root_hash: hash, proof: [hash, hash] };
  const head = { origin: 'o', tree_size: 7, root_hash: hash, timestamp: 1, checkpoint: notes.plain };
  const info = {
    ...{ name: 'main', kind: 'events', origin: 'o', verifier_key: 'k', verifier_keys: ['k'], tree_size: 7 },
    ...{ root_hash: hash, public_reads: true, id_pointer: null, status: 'active' },
  };
  const rotation = { old_verifier_key: 'k', new_verifier_key: 'l', tree_size: 7, started_at: 't', statement: 's' };
  const recorder = { log: '_system', verifier_key: 'k', tree_size: 7, checkpoint: notes.plain };
  const members = { t: 'a', b: true, n: 7, l: [], m: '2026-01-02T03:04:05.000006Z', y: 'AA==', h: hash, hs: [hash] };
  const reply = (name: string, covers: string, good: readonly object[], read: (input: Uint8Array) => unknown): Target =>
    bytesTarget({
      name,
      covers: covers
        .split(' ')
        .map((each) => `client/${each.includes('/') ? each.replace('/', ' ') : `replies ${each}`}`),
      good: good.map((each) => utf8(JSON.stringify(each))),
      words: WORDS,
      cost: 2,
      refuses: coded(clientError.ClientError, 'bad_reply'),
      read: (input, random) => expectSound(read(random() < 0.4 ? reshaped(input, random) : input)),
    });
  return [
    reply(
      'answer of an append',
      'parseAppendReply',
      [
        { ack: 'durable', entries: [entry, entry] },
        { ack: 'signed', entries: [{ ...entry, proof }], tree_size, checkpoint },
      ],
      replies.parseAppendReply,
    ),
    reply('answer with an entry', 'parseEventReply', [JSON.parse(text)], replies.parseEventReply),
    reply('line of a list', 'parseEntryLine', [line], replies.parseEntryLine),
    reply(
      'answer with an inclusion proof',
      'parseInclusionReply',
      [
        { ...inclusion, checkpoint: null },
        { ...inclusion, checkpoint: notes.plain },
      ],
      replies.parseInclusionReply,
    ),
    reply(
      'answer with a consistency proof',
      'parseConsistencyReply',
      [{ first: 3, second: 7, proof: [hash] }],
      (input) => replies.parseConsistencyReply(input, 3, 7),
    ),
    reply(
      'answer with heads',
      'parseTreeHeadsReply',
      [
        {
          tree_heads: [
            { ...head, signature: null },
            { ...head, signature: toBase64(new Uint8Array(68)) },
          ],
          next: 8,
        },
        { tree_heads: [], next: null },
      ],
      replies.parseTreeHeadsReply,
    ),
    reply(
      'answer with a head',
      'parseTreeHeadReply',
      [
        { ...head, signature: null },
        { ...head, signature: toBase64(new Uint8Array(68)) },
      ],
      replies.parseTreeHeadReply,
    ),
    reply(
      'answer with rotations',
      'follow-rotation/parseRotationsReply',
      [
        {
          rotations: [
            { ...rotation, ended_at: null, entry: null, proof: null, head: null, recorder: null },
            { ...rotation, ended_at: 't', entry: line, proof: [hash], head: notes.plain, recorder },
          ],
        },
      ],
      followRotation.parseRotationsReply,
    ),
    reply('description of a log', 'parseLogInfo json/readObject json/asObject', [info], (input) =>
      replies.parseLogInfo(json.readObject(input, 'it')),
    ),
    reply(
      'members of an answer',
      'json/readText json/readBoolean json/readNumber json/readList json/readTime json/readBytes json/readHash json/readHashes',
      [members],
      (input) => {
        const object = json.readObject(input, 'it');
        return {
          t: json.readText(object, 't'),
          b: json.readBoolean(object, 'b'),
          n: json.readNumber(object, 'n'),
          l: json.readList(object, 'l').length,
          m: json.readTime(object, 'm'),
          y: json.readBytes(object, 'y'),
          h: json.readHash(object, 'h'),
          hs: json.readHashes(object, 'hs'),
        };
      },
    ),
  ];
}

/** Members whose bytes are a hash, and lists of them. */
const HASHES = new Set(['leafHash', 'rootHash', 'proof', 'h', 'hs']);

/** Numbers are safe, hashes have 32 bytes, and nothing is there that no parser makes. */
function expectSound(value: unknown, name = ''): void {
  if (value instanceof Uint8Array)
    expect(!HASHES.has(name) || value.length === 32, `${name} has ${value.length} bytes`);
  else if (typeof value === 'number') expect(Number.isSafeInteger(value) && value >= 0, `${name} is ${value}`);
  else if (Array.isArray(value)) for (const each of value) expectSound(each, name);
  else if (typeof value === 'object' && value !== null)
    for (const [member, each] of Object.entries(value)) expectSound(each, member);
  else expect(['string', 'boolean', 'undefined'].includes(typeof value), `${name} is a ${typeof value}`);
}

function provenTargets(
  { errors, clientError, checkReply, tlogProof, transport, checkLog, bundles, tiles }: Modules,
  log: SignedLog,
): Target[] {
  const { size, notes, entries } = log;
  const refuses = oneOf(errors.NoteError, errors.ProofError, clientError.ClientError);
  const stated = entries[3] as Entry;
  const { leaf: _, leafHash: __, ...bare } = stated;
  const proofText = tlogProof.formatTlogProof({
    leafIndex: 3,
    proof: log.proofOf(3, size),
    checkpoint: notes.cosigned,
  });
  const isLogged = ({ leafIndex, event, receivedAt, salt, header }: Omit<Entry, 'leaf' | 'leafHash'>): boolean => {
    const logged = entries[leafIndex];
    if (logged === undefined || receivedAt !== logged.receivedAt) return false;
    return equalBytes(event, logged.event) && equalBytes(salt, logged.salt) && equalBytes(header, logged.header);
  };
  const files = logFiles({ bundles, tiles }, log);
  const paths = [...files.keys()];
  return [
    bytesTarget({
      name: 'saved answer',
      covers: ['client/check-reply openEventReply', 'client/check-reply openHead'],
      good: [3, 4].map((i) => utf8(log.eventReply(i, size, notes.cosigned))),
      words: WORDS,
      cost: 20,
      refuses,
      read: (input, random) =>
        expect(
          isLogged(checkReply.openEventReply(random() < 0.4 ? reshaped(input, random) : input, log.key)),
          'opens to an entry that was never logged',
        ),
    }),
    bytesTarget({
      name: 'offline proof',
      covers: ['client/check-reply openTlogProof', 'client/check-reply rebuild'],
      good: [utf8(proofText)],
      words: ['extra AQID\n', 'index 3\n', ...proofText.split('\n').map((line) => `${line}\n`)],
      cost: 20,
      refuses,
      read: (input) =>
        expect(isLogged(checkReply.openTlogProof(input, bare, log.key)), 'opens to an entry that was never logged'),
    }),
    bytesTarget({
      name: 'places of entries',
      covers: ['client/check-reply checkPlaces'],
      good: [Uint8Array.of(0, 1, 2), Uint8Array.of(3, 3), new Uint8Array(0)],
      refuses: oneOf(clientError.ClientError),
      read: (input) => {
        const named = [...input.subarray(0, 40)].map((byte) => {
          const at = byte % 4;
          return {
            ...(entries[at] as Entry),
            leafIndex: byte < 128 ? at : at + 1,
            leafHash: log.tree.hash(at, at + 1) as never,
          };
        });
        checkReply.checkPlaces(named);
        const isOdd = named.some((a) =>
          named.some((b) => (a.leafIndex === b.leafIndex) !== equalBytes(a.leafHash, b.leafHash)),
        );
        expect(!isOdd, 'one leaf in two places, or two in one');
      },
    }),
    bytesTarget({
      name: 'tiles of a log',
      covers: ['client/check-log checkTiledLog', 'client/tree-walk walkTree'],
      good: [...files.values()],
      cost: 400,
      refuses,
      read: async (input, random) => {
        // One of its files is altered; the good ones are given as they are.
        const path = pick(random, paths);
        const given = [...files.values()].some((good) => equalBytes(good, input))
          ? (files.get(path) as Uint8Array)
          : input;
        const fetch = async (url: string): Promise<Response> => {
          const name = url.slice('http://log/'.length);
          const content = name === path ? given : files.get(name);
          return content === undefined ? new Response('', { status: 404 }) : new Response(new Uint8Array(content));
        };
        const differences: string[] = [];
        const checked = await checkLog.checkTiledLog({
          transport: new transport.Transport({ url: 'http://log', fetch }),
          verifierKey: log.key,
          onDifference: ({ path: at }) => differences.push(at),
        });
        const isSame = equalBytes(given, files.get(path) as Uint8Array);
        if (isSame) expect(checked.differences === 0, `${path} is as it was, and ${differences.join(', ')} differ`);
        // Of a checkpoint, lines of strangers may change; all else is told.
        else if (path !== 'checkpoint')
          expect(differences.includes(path), `${path} is altered, told are ${differences.join(', ')}`);
      },
    }),
  ];
}

/** The files of the log at its newest size. */
function logFiles(
  { bundles, tiles }: Pick<Modules, 'bundles' | 'tiles'>,
  { entries, size, tree, notes }: SignedLog,
): Map<string, Uint8Array> {
  const hashes = new Uint8Array(32 * size);
  for (let i = 0; i < size; i++) hashes.set(tree.hash(i, i + 1), 32 * i);
  return new Map([
    ['checkpoint', utf8(notes.cosigned)],
    [tiles.bundlePath(0, size), bundles.encodeBundle(entries.map(({ leaf }) => leaf))],
    [tiles.tilePath({ level: 0, index: 0, width: size }), hashes],
  ]);
}

function argumentTargets({ clientError, appendBody, retry, transport }: Modules): Target[] {
  const refuses = coded(clientError.ClientError, 'bad_argument');
  return [
    textTarget({
      name: 'Retry-After',
      covers: ['client/retry parseRetryAfter'],
      good: ['120', '0', 'Fri, 31 Dec 1999 23:59:59 GMT', 'Tue, 24 Nov 2026 04:23:52 GMT'],
      refuses: nothing,
      read: (text) => {
        const wait = retry.parseRetryAfter(text, Date.parse('2026-01-01T00:00:00Z'));
        expect(wait === undefined || (Number.isFinite(wait) && wait >= 0), `waits for ${wait}`);
      },
    }),
    bytesTarget({
      name: 'events to append',
      covers: ['client/append-body trimEvent', 'client/append-body appendBody', 'client/append-body isRepeatable'],
      good: ['{"id":1}', ' {"id":"a"}\n', '{"a":{"b~":[{"id":7}]}}'].map(utf8),
      refuses,
      read: (input, random) => {
        const trimmed = appendBody.trimEvent(input);
        expectSame(appendBody.trimEvent(trimmed), trimmed);
        const pointer = pick(random, ['/id', '', '/a/b~0/0/id', '/__proto__', '/length', 'id', '/~2']);
        appendBody.isRepeatable([input], { idPointer: pointer });
        const { body, events, contentType } = appendBody.appendBody(random() < 0.7 ? [input] : [input, input]);
        const text = Buffer.from(body).toString('latin1');
        // Of a batch, each line has its end.
        const lines = contentType === 'application/json' ? [text] : text.replace(/\n$/, '').split('\n');
        expect(lines.length === events.length, 'another number of events');
        for (const [i, line] of lines.entries())
          expectSame(new Uint8Array(Buffer.from(line, 'latin1')), events[i] as Uint8Array);
      },
    }),
    textTarget({
      name: 'base URL',
      covers: [],
      good: ['http://127.0.0.1:8080/logs/main', 'https://log.example.com', 'https://log.example.com/a/'],
      words: ['http://', 'https://', '?', '#', '@', ':', '[::1]', 'file:///'],
      cost: 4,
      refuses,
      read: (text) => {
        const url = transport.baseUrl(text);
        expect(/^https?:\/\/[^/?#@]+(?:\/[^?#]*)?$/.test(url) && !url.endsWith('/'), `accepted as ${url}`);
        expectSame(transport.baseUrl(url), url);
      },
    }),
  ];
}

function fileTargets({ memoryFile, lineFile, output }: Modules, folder: string): Target[] {
  const memory = join(folder, 'memory', 'heads.json');
  const lines = join(folder, 'lines');
  mkdirSync(dirname(memory), { recursive: true });
  const state = { format: 1, heads: { 'o+01020304': 'a note' }, pins: { 'http://a': 'a key' } };
  const good = ['{"a":1}\n{"b":2}\n', '\n \n{"a":1}'].map(utf8);
  const refuses = coded(output.CliError, 'usage');
  return [
    bytesTarget({
      name: 'what the commands remember',
      covers: ['cli/memory-file memoryFile'],
      good: [utf8(JSON.stringify(state)), utf8(JSON.stringify({ format: 1, heads: {}, pins: {} }))],
      words: ['"format":', '"heads":', '"pins":', '__proto__', '2'],
      cost: 40,
      refuses,
      read: async (input, random) => {
        writeFileSync(memory, random() < 0.4 ? reshaped(input, random) : input);
        const opened = memoryFile.memoryFile(memory);
        for (const pin of await opened.pins())
          expect(
            pin.every((each) => typeof each === 'string'),
            'a pin that is no text',
          );
        expect((await opened.readPin('constructor')) === undefined || input.includes(0x63), 'a pin that nobody set');
        const note = await opened.read('o', 0x01020304);
        expect(note === undefined || typeof note === 'string', 'a head that is no text');
      },
    }),
    bytesTarget({
      name: 'file of lines',
      covers: ['cli/line-file openLineFile'],
      good: [...good, ...good.map((each) => new Uint8Array(gzipSync(each)))],
      cost: 150,
      refuses,
      read: async (input) => {
        writeFileSync(lines, input);
        const file = await lineFile.openLineFile(lines);
        let size = 0;
        for await (const { bytes, line } of file.lines()) {
          size += bytes.length;
          expect(line >= 1 && !bytes.includes(0x0a), 'a line with a line end in it');
        }
        const isPacked = input[0] === 0x1f && input[1] === 0x8b;
        expect(isPacked || size <= input.length, 'more than there is');
      },
    }),
  ];
}

/** What a monitor and an auditor read. */
function monitorTargets(
  {
    errors,
    clientError,
    output,
    monitorState,
    monitorRules,
    treeReader,
    transport,
    rulesFile,
    webhook,
    auditCommand,
    bundles,
    tiles,
  }: Modules,
  log: SignedLog,
): Target[] {
  const { size, tree } = log;
  const state = {
    ...monitorState.newState(log.key),
    kind: 'events' as const,
    head: log.opened,
    tree: { size, frontier: log.frontier(size), receivedAt: 7 },
    freshAt: 1,
    happened: ['a'],
  };
  const files = logFiles({ bundles, tiles }, log);
  const rules = "rules:\n- name: a\n  action: ['x.*', y]\n- name: b\n  where:\n    /a/b: '?'\n  silent_for: 10m\n";
  return [
    bytesTarget({
      name: 'state of a monitor',
      covers: ['client/monitor/state parseState'],
      good: [utf8(monitorState.formatState(state)), utf8(monitorState.formatState(monitorState.newState(log.key)))],
      words: ['"format":', '"head":', '"tree":', '"size":', '"frontier":', '"alarms":', '__proto__', 'null', '2'],
      cost: 60,
      refuses: oneOf(monitorState.MonitorStateError),
      read: (input, random) => {
        const text = Buffer.from(random() < 0.4 ? reshaped(input, random) : input).toString('utf8');
        const parsed = monitorState.parseState(text, log.key);
        const { head } = parsed;
        expect(head === undefined || equalBytes(head.rootHash, log.rootAt(head.treeSize)), 'a head that nobody signed');
        // What was read is written, and read again, as it is.
        const again = monitorState.formatState(parsed);
        expectSame(monitorState.formatState(monitorState.parseState(again, log.key)), again);
      },
    }),
    bytesTarget({
      name: 'watch rules',
      covers: [
        'client/monitor/rules parseRules',
        'cli/monitoring/rules-file parseRulesFile',
        'cli/monitoring/rules-file readRulesFile',
      ],
      good: [utf8(rules), utf8('{"rules":[{"name":"a","actor":"*"}]}')],
      words: ['rules:', 'name:', 'silent_for:', 'where:', '- ', '\n  ', '&a ', '*a', '!!', '<<:', '"', '\\', '10m'],
      cost: 20,
      refuses: coded(output.CliError, 'malformed_rules'),
      read: (input) => {
        for (const rule of rulesFile.parseRulesFile(input, 'rules.yaml')) {
          expect(rule.name !== '' && rule.places.length > 0, 'a rule that says nothing');
          monitorRules.fittingValues(rule, { action: 'x.y', a: { b: 'c' } }, { by: 'k', via: 'events' });
        }
      },
    }),
    bytesTarget({
      name: 'leaves of a log',
      covers: ['client/tree-reader readLeaves'],
      good: [...files.values()],
      cost: 40,
      refuses: oneOf(clientError.ClientError, errors.ProofError),
      read: async (input) => {
        const given = [...files.values()].some((good) => equalBytes(good, input)) ? undefined : input;
        const fetch = async (url: string): Promise<Response> => {
          const bytes = given ?? files.get(url.slice('http://log/'.length));
          return bytes === undefined ? new Response('', { status: 404 }) : new Response(new Uint8Array(bytes));
        };
        const source = new transport.Transport({ url: 'http://log', fetch });
        let next = 0;
        for await (const run of treeReader.readLeaves({ transport: source, treeSize: size, from: 0 })) {
          expect(run.first === next && run.bounds.length === 2 * run.count, 'leaves are left out');
          next += run.count;
        }
        expect(next === size, 'leaves are missing');
        expect(given === undefined || tree.hash(0, size) !== undefined, 'no tree');
      },
    }),
    textTarget({
      name: 'secret of a webhook',
      covers: ['cli/monitoring/webhook parseWebhookSecret'],
      good: [`whsec_${toBase64(new Uint8Array(24).fill(7))}`, `whsec_${toBase64(new Uint8Array(64))}`],
      words: ['whsec_', 'AAAA', '='],
      refuses: coded(output.CliError, 'usage'),
      read: (text) => expectSame(`whsec_${toBase64(webhook.parseWebhookSecret(text))}`, text),
    }),
    textTarget({
      name: 'address of a webhook',
      covers: ['cli/monitoring/webhook parseWebhookUrl'],
      good: ['https://h.example/a?b', 'http://127.0.0.1:8080/'],
      words: ['https://', 'http://', '@', 'ftp://', '#', '\n'],
      refuses: coded(output.CliError, 'usage'),
      read: (text) => expect(/^https?:\/\//.test(webhook.parseWebhookUrl(text)), 'accepted as an address'),
    }),
    textTarget({
      name: 'end of a period',
      covers: ['cli/audit parsePeriodEnd'],
      good: ['0', '100000', '2026-03-01', '2026-03-01T12:00:00Z', '2026-03-01T12:00:00.123456Z'],
      words: ['-', ':', 'T', 'Z', '+01:00', '02-30', '9007199254740992'],
      refuses: coded(output.CliError, 'usage'),
      read: (text) => {
        const end = auditCommand.parsePeriodEnd(text, '--from', false);
        expect(Number.isSafeInteger('time' in end ? end.time : end.treeSize), 'no number');
      },
    }),
  ];
}
