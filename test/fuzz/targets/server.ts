/** What the server reads of requests, of its operator and of its own files, apart from events and rows. */
import { chmodSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { fromUtf8, toHex } from '../../../tree/bytes.ts';
import type { Modules } from '../build-modules.ts';
import { below, pick } from '../mutator.ts';
import { bytesTarget, coded, expect, expectSame, nothing, oneOf, type Target, textTarget } from '../target.ts';

export function serverTargets(modules: Modules, folder: string): Target[] {
  return [...requestTargets(modules), ...operatorTargets(modules, folder)];
}

const HASH = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';

/** Bytes of a header reach a handler as characters below 256. */
function headerText(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replaceAll(/[\0\r\n]/g, ' ');
}

function requestTargets({
  request,
  serverErrors,
  leafHashText,
  negotiation,
  proxies,
  access,
  log: logs,
  bytes,
}: Modules): Target[] {
  const refuses = (...codes: readonly string[]) => coded(serverErrors.ServerError, ...codes);
  const known = ['first', 'second', 'limit', 'hash', 'id_pointer'];
  const req = (headers: Record<string, unknown>) =>
    ({ headers, socket: { remoteAddress: '127.0.0.1' } }) as unknown as IncomingMessage;
  const trusted = proxies.parseProxies('127.0.0.1,10.0.0.0/8,::1');
  return [
    textTarget({
      name: 'query',
      covers: [],
      good: ['first=3&second=7&limit=9', 'hash=a%2Bb%3D&id_pointer=%2Fid', '', '&&limit=1000000'],
      words: ['first=', '&second=', '&first=1', '%', '%2', '%ff', '+', '=', 'limit=0'],
      refuses: refuses('bad_parameter'),
      read: (text) => {
        const query = new request.Query(text, known);
        const names = text
          .split('&')
          .filter((pair) => pair !== '')
          .map((pair) => decodeURIComponent((pair.split('=')[0] as string).replaceAll('+', ' ')));
        expect(new Set(names).size === names.length, 'a parameter given twice');
        expect(
          names.every((name) => known.includes(name)),
          'an unknown parameter',
        );
        for (const name of known) {
          const given = query.text(name);
          expect((given !== undefined) === names.includes(name), `${name} is there and is not`);
        }
        for (const name of ['first', 'second']) {
          const number = query.number(name);
          if (number !== undefined) expectSame(String(number), query.text(name) as string);
        }
        const limit = query.limit(5, 10);
        expect(limit >= 1 && limit <= 10, `a limit of ${limit}`);
      },
    }),
    textTarget({
      name: 'query of a verb of RFC 6962',
      covers: [],
      good: ['start=0&end=9', 'start=0&end=9&other=%41', 'x&y&start=1&end=1'],
      refuses: refuses('bad_parameter'),
      read: (text) => {
        const query = new request.Query(text, ['start', 'end'], 'ignored');
        const [start, end] = [query.required('start'), query.required('end')];
        expect(Number.isSafeInteger(start) && Number.isSafeInteger(end), 'no numbers');
      },
    }),
    textTarget({
      name: 'number of a path',
      covers: ['server/http/request decimal'],
      good: ['0', '7', '9007199254740991'],
      refuses: refuses('bad_parameter'),
      read: (text) => expectSame(String(request.decimal(text, 'it')), text),
    }),
    textTarget({
      name: 'media type',
      covers: ['server/http/request mediaType'],
      good: ['application/json', 'Application/X-NDJSON; charset=utf-8', 'application/json;q=1;charset="UTF-8"'],
      words: ['; charset=latin1', ';charset=', 'application/', 'json'],
      refuses: refuses('unsupported_media_type'),
      read: (text) => {
        const header = headerText(text);
        const type = request.mediaType(req({ 'content-type': header }));
        if (type !== 'application/json' && type !== 'application/x-ndjson') return;
        expectSame((header.split(';')[0] as string).replaceAll(/^[ \t]+|[ \t]+$/g, '').toLowerCase(), type);
      },
    }),
    textTarget({
      name: 'Idempotency-Key',
      covers: ['server/http/request idempotencyKey'],
      good: ['a', '"quoted"', 'k'.repeat(256)],
      refuses: refuses('bad_idempotency_key'),
      read: (text) => {
        const header = headerText(text);
        expectSame(request.idempotencyKey(req({ 'idempotency-key': header })) as string, header);
        expect(/^[!-~]{1,256}$/.test(header), 'accepted, and it is no key');
      },
    }),
    textTarget({
      name: 'Accept',
      covers: ['server/http/negotiation prefersProtobuf'],
      good: [
        '*/*',
        'application/json',
        'application/x-protobuf',
        'application/json;q=0.5, application/x-protobuf;q=0.9, text/*;a="b,c\\""',
      ],
      words: ['application/x-protobuf', ';q=', '0.001', ', ', '*/*', 'application/*', '"\\'],
      cost: 2,
      refuses: nothing,
      read: (text) => {
        const began = performance.now();
        const prefers = negotiation.prefersProtobuf(headerText(text));
        expect(performance.now() - began < 500, 'it takes long');
        expect(!prefers || /protobuf|\*/i.test(text), 'protobuf, and nobody named it');
      },
    }),
    textTarget({
      name: 'leaf hash of a query',
      covers: ['server/http/leaf-hash hashFromText', 'server/http/leaf-hash hashFromBase64'],
      good: [HASH, HASH.replaceAll('+', ' '), 'ab'.repeat(32), 'AB'.repeat(32)],
      refuses: refuses('bad_parameter'),
      read: (text) => {
        const hash = leafHashText.hashFromText(text, 'it');
        const spellings = [bytes.toBase64(hash), toHex(hash)];
        expect(spellings.includes(text.replaceAll(' ', '+')) || spellings.includes(text.toLowerCase()), 'another hash');
        if (text.length !== 64) expect(leafHashText.hashFromBase64(text, 'it').length === 32, 'no hash');
      },
    }),
    textTarget({
      name: 'X-Forwarded-For',
      covers: ['server/http/trusted-proxies clientAddress', 'server/http/trusted-proxies isSecure'],
      good: ['192.0.2.1', '192.0.2.1, 10.1.2.3', '[2001:db8::1]:8080, 127.0.0.1', 'unknown, 10.0.0.1:80'],
      words: ['127.0.0.1', '10.0.0.1', '::ffff:10.0.0.1', '[::1]', ':80', ', ', 'fe80::1%eth0'],
      cost: 3,
      refuses: nothing,
      read: (text) => {
        const header = headerText(text);
        const client = proxies.clientAddress(req({ 'x-forwarded-for': header }), trusted);
        expect(/^[0-9a-fA-F:.]+(?:%[^ ]*)?$/.test(client), `the client is ${client}`);
        const secure = proxies.isSecure(req({ 'x-forwarded-proto': header }), trusted);
        expect(!secure || /https/i.test(header), 'secure, and nobody said so');
      },
    }),
    textTarget({
      name: 'trusted proxies',
      covers: ['server/http/trusted-proxies parseProxies'],
      good: ['', '127.0.0.1', '127.0.0.1, 10.0.0.0/8', '::1,2001:db8::/32'],
      words: ['/0', '/33', '/129', '/-1', ',', '::'],
      cost: 4,
      refuses: range(),
      read: (text) => {
        const list = proxies.parseProxies(text);
        if (text.trim() === '') expect(!list.trusts('127.0.0.1'), 'an empty list trusts somebody');
      },
    }),
    textTarget({
      name: 'Authorization',
      covers: ['server/access apiKeyId'],
      good: [`Bearer ind_${'0123456789abcdef'}_${'ab'.repeat(32)}`, `bearer ind_${'a'.repeat(16)}_${'0'.repeat(64)}`],
      words: ['Bearer ', 'Basic ', 'ind_', '_'],
      refuses: nothing,
      read: (() => {
        const keys = new access.ApiKeys();
        const secret = `ind_${'0123456789abcdef'}_${'ab'.repeat(32)}`;
        keys.fix(secret, '2026-01-02T03:04:05.000006Z');
        return (text: string) => {
          const key = keys.authenticate(text);
          expect(key === undefined || text.slice(7) === secret, 'another text opens the door');
          const id = access.apiKeyId(text.slice(7));
          expect(id === undefined || /^[0-9a-f]{16}$/.test(id), 'an id that is none');
        };
      })(),
    }),
    textTarget({
      name: 'name of a log',
      covers: ['server/log checkLogName'],
      good: ['main', 'a', '0.-_', 'x'.repeat(63)],
      words: ['.index', '_', '..', '/'],
      refuses: refuses('bad_log_name'),
      read: (text) => {
        logs.checkLogName(text);
        const isName = /^[a-z0-9._-]{1,63}$/.test(text) && !/^[._-]/.test(text) && !text.endsWith('.index');
        expect(isName, 'accepted, and it is no name');
      },
    }),
  ];
}

function range(): (error: unknown) => boolean {
  return oneOf(RangeError);
}

const CONFIG = `# comment
data_dir: /var/lib/indelible
listen: 0.0.0.0:8080
interval: 500
guard_inode: off
trusted_proxies: [127.0.0.1, 10.0.0.0/8]
origin_base: "audit.example.com"
log_level: warn
min_free_space: 10%
`;
const SEED = 'ab'.repeat(32);

function operatorTargets({ configFile, readConfig, serverErrors, secrets }: Modules, folder: string): Target[] {
  const file = join(folder, 'indelible.yaml');
  const master = join(folder, 'master');
  const exit = oneOf(serverErrors.ExitError);
  return [
    bytesTarget({
      name: 'configuration file',
      covers: ['server/config-file parseConfigFile'],
      good: [CONFIG, 'interval: 500', '', '{interval: 500, listen: "a:1"}', '# nothing']
        .map((text) => Buffer.from(text))
        .map((each) => new Uint8Array(each)),
      words: [
        'interval: ',
        'data_dir: ',
        '&a ',
        '*a',
        '!!str ',
        '<<: ',
        '---\n',
        '...\n',
        '%YAML 1.1\n',
        '? ',
        '| ',
        '> ',
        '- ',
        '[',
        '{a: b}',
        'admin_key: ',
      ],
      cost: 25,
      refuses: nothing,
      read: (input) => {
        const began = performance.now();
        const { values, problems } = configFile.parseConfigFile(input, 'indelible.yaml');
        expect(performance.now() - began < 1000, 'it takes long');
        for (const { where, message } of problems) {
          expect(where.startsWith('indelible.yaml') && message !== '', 'a problem without a place');
          expect(!message.includes(SEED), 'a message repeats a secret');
        }
        const text = Buffer.from(input).toString('utf8');
        for (const value of values) expect(typeof value.text === 'string' && text !== '', 'a value that is no text');
      },
    }),
    bytesTarget({
      name: 'configuration from a file',
      covers: ['server/config-file readConfigFile', 'server/read-config readConfig'],
      good: [new Uint8Array(Buffer.from(CONFIG.replace('trusted_proxies: [127.0.0.1, 10.0.0.0/8]\n', '')))],
      words: ['interval: ', 'max_events: ', '0', '-1', '10%', 'HOST:PORT', ':99999'],
      cost: 60,
      refuses: exit,
      read: (input) => {
        writeFileSync(file, input);
        const config = readConfig.readConfig({ config: file }, {});
        expect(config.interval >= 10 && config.listen.port <= 65_535, 'a setting out of its range');
      },
    }),
    textTarget({
      name: 'flags',
      covers: ['server/read-config gatherConfig'],
      good: ['500', '127.0.0.1:80', 'on', '10%', 'audit.example.com', '127.0.0.1,::1', 'warn'],
      words: ['[::1]:', '%', 'off', '\u0000'],
      cost: 25,
      refuses: exit,
      read: (text, random) => {
        const names = [
          'interval',
          'listen',
          'guardInode',
          'minFreeSpace',
          'originBase',
          'trustedProxies',
          'logLevel',
          'maxEvents',
        ] as const;
        const { config } = readConfig.gatherConfig({ [pick(random, names)]: text }, {});
        expect(
          Number.isSafeInteger(config.interval) && config.maxEvents >= 1 && config.listen.port <= 65_535,
          'a setting out of its range',
        );
        expect(/^[!-*,-~]{1,186}$/.test(config.originBase ?? 'a'), 'an origin that no key can have');
      },
    }),
    textTarget({
      name: 'master seed',
      covers: ['server/secrets parseMasterSeed'],
      good: [SEED, `${SEED}\n`],
      refuses: exit,
      read: (text) => expectSame(toHex(secrets.parseMasterSeed(text, 'it')), text.replace(/\n$/, '')),
    }),
    bytesTarget({
      name: 'private file',
      covers: ['server/secrets readMasterFile', 'server/secrets readPrivateFile'],
      good: [new Uint8Array(Buffer.from(SEED))],
      cost: 40,
      refuses: exit,
      read: (input, random) => {
        const mode = random() < 0.8 ? 0o600 : below(random, 0o1000);
        writeFileSync(master, input);
        chmodSync(master, mode);
        const seed = secrets.readMasterFile(master);
        expect(mode % 0o100 === 0, 'read, and others can read it too');
        expectSame(toHex(seed), fromUtf8(input).replace(/\n$/, ''));
      },
    }),
    textTarget({
      name: 'text for a message',
      covers: [],
      good: [`the key ind_${'0'.repeat(16)}_${'1'.repeat(64)} is wrong`, SEED, '/var/lib/indelible'],
      refuses: nothing,
      read: (text) => {
        const shown = secrets.hideSecrets(text);
        expect(shown.length <= 201 && !/\p{Cc}/u.test(shown), 'a message that writes over others');
        expect(
          !/ind_[0-9a-z]+_[0-9a-z]/i.test(shown) && !/(?<![/0-9a-f])[0-9a-f]{32}/i.test(shown),
          'a message with a secret',
        );
      },
    }),
  ];
}
