/**
 * The built package in headless Chromium, without a bundler: the pages of docs/sdk.md as they stand there, the same verdicts as in Node on
 * the same bytes, and the client against a real server on another origin and on the page's own.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { fromBase64, toBase64, utf8 } from '../../tree/bytes.ts';
import { blocksOf } from '../docs/examples.ts';
import { ADMIN_KEY, killAll, ROOT, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { type Case, type Expected, flippedReplies, oddSignatures, type Reply, replyCases } from './cases.ts';
import { type Site, serveSite } from './site.ts';

const EXECUTABLE = process.env['INDELIBLE_CHROMIUM'] ?? '/usr/bin/chromium';
const found = spawnSync(EXECUTABLE, ['--version', '--no-sandbox'], { encoding: 'utf8' });
const hasBrowser = found.status === 0;
if (!hasBrowser) console.log(`SKIPPED: everything in a browser: there is no Chromium at ${EXECUTABLE}`);
const inBrowser = hasBrowser ? test : test.skip;
const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.log('SKIPPED: the verdicts of contrib/verify.py: there is no Python on this machine');
const withPython = hasPython ? test : test.skip;
const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('SKIPPED: the verdicts of crypto/ed25519: there is no Go on this machine');
const withGo = hasGo ? test : test.skip;

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const folder = temporaryFolder('browser');
const [verifyPage = '', headsScript = ''] = blocksOf('docs/sdk.md')
  .filter(({ language }) => language === 'html')
  .map(({ text }) => text);
const importMap = /<script type="importmap">.*?<\/script>/s.exec(verifyPage)?.[0] ?? '';

let browser: Browser;
let site: Site;
let server: ServerProcess;
let log: string;
let vkey: string;
/** Replies of GET events/<index>, as saved under one head. */
let saved: string[];
/** Reply for leaf index 0 under an older head. */
let older: string;

beforeAll(async () => {
  server = await ServerProcess.start({ dataDir: join(folder.path, 'data'), flags: ['--interval', '50'] });
  log = `${server.url}/logs/open`;
  vkey = await makeLog({ name: 'open', public_reads: true });
  await makeLog({ name: 'closed' });
  await append(3);
  older = await (await server.fetch('/logs/open/events/0')).text();
  await append(8);
  saved = await Promise.all(
    [0, 1, 2, 3, 4, 5, 6, 7].map(async (i) => await (await server.fetch(`/logs/open/events/${i}`)).text()),
  );
  if (!hasBrowser) return;
  const pages = new Map([
    ['/verify.html', verifyPage],
    ['/heads.html', `<!doctype html><meta charset="utf-8">${importMap}${headsScript}`],
    ['/empty.html', `<!doctype html><meta charset="utf-8"><title>empty</title>${importMap}`],
    ['/strict.html', policyPage("'self' 'unsafe-inline'")],
    ['/wasm.html', policyPage("'self' 'unsafe-inline' 'wasm-unsafe-eval'")],
    ['/favicon.ico', ''],
  ]);
  site = await serveSite(pages, server.url);
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await site?.close();
  await killAll();
  folder.remove();
});

/** A page with a Content-Security-Policy. */
function policyPage(scripts: string): string {
  const policy = `<meta http-equiv="Content-Security-Policy" content="script-src ${scripts}">`;
  return `<!doctype html><meta charset="utf-8">${policy}<title>policy</title>${importMap}`;
}

/** Makes a log; gives its verifier key. */
async function makeLog(settings: object): Promise<string> {
  const made = await server.fetch('/admin/logs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(settings),
  });
  return ((await made.json()) as { verifier_key: string }).verifier_key;
}

/** Appends events from Node until the log has `size` of them, under one head. */
let appended = 0;
async function append(size: number): Promise<void> {
  const lines: string[] = [];
  for (; appended < size; appended++)
    lines.push(JSON.stringify({ id: `e-${appended}`, actor: 'Zoë', note: '€😀'.repeat(appended % 3) }));
  const answer = await server.fetch('/logs/open/events?ack=signed', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  });
  expect([answer.status, ((await answer.json()) as { ack: string }).ack]).toEqual([200, 'signed']);
}

/** A page of the site, with what goes wrong in it. */
async function open(path: string): Promise<{ readonly page: Page; readonly errors: string[] }> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${site.url}${path}`);
  return { page, errors };
}

/** Calls a function of a module of this folder within a page. */
async function call<Result>(page: Page, file: string, name: string, argument: unknown): Promise<Result> {
  const source = `import('/test/browser/${file}').then((module) => module.${name}(${JSON.stringify(argument)}))`;
  return (await page.evaluate(source)) as Result;
}

async function judgeInPage(cases: readonly Case[]): Promise<string[]> {
  const { page, errors } = await open('/empty.html');
  const verdicts = await call<string[]>(page, 'judge.js', 'judge', cases);
  expect(errors).toEqual([]);
  await page.context().close();
  return verdicts;
}

/** The same module in Node, which takes its own SHA-256. */
function judgeInNode(cases: readonly Case[]): string[] {
  return callInNode<string[]>('judge.js', 'judge', cases);
}

/** Calls a function of a module of this folder in another Node. */
function callInNode<Result>(file: string, name: string, argument: unknown, flags: readonly string[] = []): Result {
  const script = `
    import { readFileSync } from 'node:fs';
    import { ${name} } from './test/browser/${file}';
    console.log(JSON.stringify(${name}(JSON.parse(readFileSync(0, 'utf8')))));`;
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
    input: JSON.stringify(argument),
    maxBuffer: 1e8,
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Result;
}

/** What came out, cut to the length of what is expected. */
function compare(expected: readonly Expected[], verdicts: readonly string[]): void {
  expect(verdicts).toHaveLength(expected.length);
  expect(expected.map(([name, verdict], i) => [name, verdicts[i]?.slice(0, verdict.length)])).toEqual(
    expected.map(([name, verdict]) => [name, verdict]),
  );
}

interface Hashed {
  readonly digests: readonly string[];
  readonly alone: readonly string[];
  /** Modules of WebAssembly that were started. */
  readonly instances: number;
}

const reply = (i: number): Reply => JSON.parse(saved[i] as string) as Reply;

describe('the page of docs/sdk.md', () => {
  inBrowser(
    'verifies a saved reply and refuses a forged one, with the network off and without asking for anything',
    async () => {
      expect(verifyPage).toContain('type="importmap"');
      const { page, errors } = await open('/verify.html');
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      await page.context().setOffline(true);
      const show = async (text: string, key: string): Promise<string> => {
        const file = join(folder.path, 'reply.json');
        writeFileSync(file, text);
        await page.evaluate("document.getElementById('result').textContent = ''");
        await page.getByLabel('Verifier key').fill(key);
        await page.getByLabel('Saved reply').setInputFiles([]);
        await page.getByLabel('Saved reply').setInputFiles(file);
        const result = page.locator('#result:not(:empty)');
        return (await result.textContent()) ?? '';
      };
      const text = saved[5] as string;
      expect(await show(text, vkey)).toBe('leaf index 5 of 8: {"id":"e-5","actor":"Zoë","note":"€😀€😀"}');
      expect(await show(text.replace('"leaf_index":5', '"leaf_index":4'), vkey)).toMatch(/^refused: root_mismatch: /);
      expect(await show(text, vkey.replace('+', '-'))).toMatch(/^refused: malformed_key: /);
      expect(await show('', vkey)).toMatch(/^refused: bad_reply: /);
      expect(await show(saved[0] as string, `${vkey}\n`)).toMatch(/^leaf index 0 of 8: /);
      expect([errors, asked, site.missing]).toEqual([[], [], []]);
      await page.context().close();
    },
    60_000,
  );

  inBrowser(
    'remembers heads over reloads, and sees a log go back',
    async () => {
      const { page, errors } = await open('/empty.html');
      const address = `${site.url}/heads.html?log=${encodeURIComponent(log)}&vkey=${encodeURIComponent(vkey)}`;
      const titled = async (text: string): Promise<void> => {
        await page.waitForFunction(`document.title !== ''`);
        expect(await page.title()).toBe(text);
      };
      await page.goto(address);
      await titled('nothing → 8');
      await append(9);
      await page.reload();
      await titled('8 → 9');
      const { checkpoint } = JSON.parse(older) as Reply;
      await page.route('**/checkpoint', (route) =>
        route.fulfill({ body: checkpoint, headers: { 'access-control-allow-origin': '*' } }),
      );
      const failed = page.waitForEvent('pageerror');
      await page.reload();
      expect((await failed).message).toContain('the log has shown a tree of 9 entries before, and now one of 3');
      expect(errors).toHaveLength(1);
      await page.context().close();
    },
    60_000,
  );
});

describe('verdicts in the page', () => {
  inBrowser(
    'on a saved reply with one thing wrong are these, and those of Node',
    async () => {
      const expected = replyCases(saved[5] as string, { vkey, other: reply(2), older: JSON.parse(older) as Reply });
      const cases = expected.map(([, , each]) => each);
      const verdicts = await judgeInPage(cases);
      compare(expected, verdicts);
      expect(judgeInNode(cases)).toEqual(verdicts);
    },
    60_000,
  );

  inBrowser(
    'on a bit turned in any byte of reply, proof and checkpoint: all refused, for the reasons of Node',
    async () => {
      const cases = flippedReplies(reply(6), vkey);
      expect(cases.length).toBeGreaterThan(400);
      const verdicts = await judgeInPage(cases);
      expect(verdicts.filter((verdict) => !/^(?:ProofError|NoteError|ClientError) [a-z_]+$/.test(verdict))).toEqual([]);
      expect(judgeInNode(cases)).toEqual(verdicts);
    },
    60_000,
  );

  inBrowser(
    'on signatures and keys about which libraries differ are those of OpenSSL, and of Node',
    async () => {
      const expected = oddSignatures();
      const cases = expected.map(([, , each]) => each);
      const verdicts = await judgeInPage(cases);
      compare(expected, verdicts);
      expect(judgeInNode(cases)).toEqual(verdicts);
      // Both verdicts occur among the messages under the key with torsion.
      const mixed = new Set(
        verdicts.filter((_, i) => expected[i]?.[0].startsWith('a key with torsion')).map((text) => text.slice(0, 8)),
      );
      expect(mixed.size).toBe(2);
    },
    60_000,
  );

  inBrowser(
    'on inclusion, consistency and tlog-proofs of the log, and on each with a bit turned',
    async () => {
      const { leaf_hash: leafHash, tree_size: treeSize, proof, checkpoint } = reply(5);
      const root = (note: string): string => note.split('\n')[2] as string;
      const between = (await (await fetch(`${log}/proofs/consistency?first=3&second=8`)).json()) as { proof: string[] };
      const tlogProof = new Uint8Array(await (await fetch(`${log}/proofs/5.tlog-proof`)).arrayBuffer());
      const { checkpoint: old } = JSON.parse(older) as Reply;
      const turned = (text: string, at: number): string =>
        toBase64(fromBase64(text).map((byte, i) => (i === at ? 255 - byte : byte)));
      const inclusion = { kind: 'inclusion', leafHash, leafIndex: 5, treeSize, rootHash: root(checkpoint), proof };
      const consistency = {
        kind: 'consistency',
        first: 3,
        second: 8,
        firstRoot: root(old),
        secondRoot: root(checkpoint),
        proof: between.proof,
      };
      const offline = {
        kind: 'tlogProof',
        proof: toBase64(tlogProof),
        reply: toBase64(utf8(saved[5] as string)),
        vkey,
      };
      const expected: Expected[] = [
        ['inclusion', 'accepted', inclusion],
        ['consistency', 'accepted', consistency],
        ['tlog-proof', 'accepted 5', offline],
        [
          'tlog-proof, another index',
          'ClientError bad_reply',
          { ...offline, proof: toBase64(tlogProof.with(29, 0x36)) },
        ],
        [
          'tlog-proof, another header',
          'NoteError malformed_proof',
          { ...offline, proof: toBase64(tlogProof.with(0, 0x43)) },
        ],
        [
          'tlog-proof, its last byte',
          'NoteError malformed_note',
          { ...offline, proof: toBase64(tlogProof.slice(0, -1)) },
        ],
        ['sizes the wrong way round', 'ProofError size_order', { ...consistency, first: 8, second: 3 }],
        ['from size 0', 'ProofError bad_proof_length', { ...consistency, first: 0 }],
        ['an index that is none', 'ProofError unsafe_number', { ...inclusion, leafIndex: -1 }],
        ['a size that is none', 'ProofError unsafe_number', { ...inclusion, treeSize: 2 ** 53 }],
      ];
      for (let at = 0; at < 32; at++) {
        const [hash = ''] = between.proof;
        expected.push(
          [`leaf hash ${at}`, 'ProofError root_mismatch', { ...inclusion, leafHash: turned(leafHash, at) }],
          [`root hash ${at}`, 'ProofError root_mismatch', { ...inclusion, rootHash: turned(root(checkpoint), at) }],
          [`first root ${at}`, 'ProofError root_mismatch', { ...consistency, firstRoot: turned(root(old), at) }],
          [
            `second root ${at}`,
            'ProofError root_mismatch',
            { ...consistency, secondRoot: turned(root(checkpoint), at) },
          ],
          [
            `consistency ${at}`,
            'ProofError root_mismatch',
            { ...consistency, proof: between.proof.with(0, turned(hash, at)) },
          ],
        );
      }
      const cases = expected.map(([, , each]) => each);
      const verdicts = await judgeInPage(cases);
      compare(expected, verdicts);
      expect(judgeInNode(cases)).toEqual(verdicts);
    },
    60_000,
  );
});

withPython(
  'contrib/verify.py takes and refuses the same replies',
  () => {
    const all = replyCases(saved[5] as string, { vkey, other: reply(2), older: JSON.parse(older) as Reply });
    const cases = all.filter(([, , each]) => each['vkey'] === vkey);
    const files = cases.map(([, , each], i) => {
      const file = join(folder.path, `case-${i}.json`);
      writeFileSync(file, fromBase64(each['reply'] as string));
      return file;
    });
    const { stderr } = spawnSync('python3', [join(ROOT, 'contrib/verify.py'), '--vkey', vkey, ...files], {
      encoding: 'utf8',
    });
    const verdicts = files.map((file) => !stderr.includes(`bad ${file}: `));
    expect(cases.map(([name], i) => [name, verdicts[i]])).toEqual(
      cases.map(([name, verdict]) => [name, verdict === 'accepted']),
    );
    for (const [, , { vkey: key }] of all.filter(([, , each]) => each['vkey'] !== vkey)) {
      const args = [join(ROOT, 'contrib/verify.py'), `--vkey=${key}`, files[0] as string];
      expect(spawnSync('python3', args).status).not.toBe(0);
    }
  },
  60_000,
);

withGo(
  'crypto/ed25519 of Go judges the same signatures alike',
  () => {
    const signed = oddSignatures().filter(([, , each]) => each.kind === 'checkpoint');
    const { status, stdout, stderr } = spawnSync('go', ['run', '.'], {
      cwd: join(ROOT, 'test/interop/ed25519'),
      encoding: 'utf8',
      input: signed.map(([, , each]) => JSON.stringify(each)).join('\n'),
    });
    expect([status, stderr]).toEqual([0, '']);
    expect(signed.length).toBeGreaterThan(50);
    expect(stdout.trim().split('\n')).toEqual(signed.map(([, verdict]) => String(verdict === 'accepted')));
  },
  300_000,
);

describe('many hashes at once', () => {
  const lengths = [...Array.from({ length: 201 }, (_, length) => length), 1000, 65_535, 5, 300_000, 41, 41, 41, 41, 64];

  inBrowser(
    'are the same in a page with WebAssembly, without it, where a policy forbids it, and in Node',
    async () => {
      const expected = callInNode<Hashed>('many.js', 'hashMany', { lengths });
      expect(expected.digests).toEqual(expected.alone);
      expect(expected.instances).toBe(1);
      for (const [path, before, instances] of [
        ['/empty.html', '', 1],
        ['/wasm.html', '', 1],
        ['/strict.html', '', 0],
        ['/empty.html', 'delete globalThis.WebAssembly', 0],
        [
          '/empty.html',
          'WebAssembly.Module = class { constructor() { throw new WebAssembly.CompileError("no SIMD"); } }',
          0,
        ],
      ] as const) {
        const { page, errors } = await open(path);
        await page.evaluate(before);
        expect(await call(page, 'many.js', 'hashMany', { lengths })).toEqual({ ...expected, instances });
        const right = { treeSize: appended, signed: true, differences: 0, complete: true };
        expect(await call(page, 'many.js', 'checkLog', { url: log, vkey })).toEqual([right, right]);
        expect(errors).toEqual([]);
        await page.context().close();
      }
    },
    60_000,
  );

  test('are the same in a Node that has no WebAssembly', () => {
    const [own, without] = [[], ['--import=data:text/javascript,delete globalThis.WebAssembly']].map((flags) =>
      callInNode<Hashed>('many.js', 'hashMany', { lengths }, flags),
    );
    expect(without).toEqual({ ...own, instances: 0 });
  });
});

describe('the client in a page', () => {
  inBrowser(
    'reads a log with public reads from another origin, without a key',
    async () => {
      const { page, errors } = await open('/empty.html');
      const { tree_size: treeSize, checkpoint } = JSON.parse(
        await (await server.fetch('/logs/open/events/0')).text(),
      ) as Reply;
      const leafHashes: string[] = [];
      for (let i = 0; i < treeSize; i++)
        leafHashes.push((JSON.parse(await (await server.fetch(`/logs/open/events/${i}`)).text()) as Reply).leaf_hash);
      const consistency = (await (await fetch(`${log}/proofs/consistency?first=3&second=${treeSize}`)).json()) as Reply;
      expect(await call(page, 'live.js', 'readPublic', { url: log, vkey })).toEqual({
        origin: 'example.com/logs/open',
        treeSize,
        rootHash: checkpoint.split('\n')[2],
        proven: leafHashes,
        consistency: consistency.proof,
        missing: 'ClientError http 400 bad_parameter',
      });
      const tile = new Uint8Array(await (await fetch(`${log}/tile/0/000.p/${treeSize}`)).arrayBuffer());
      expect(await call(page, 'live.js', 'readTiles', { url: log, vkey })).toEqual({
        leafHashes,
        tile: toBase64(tile),
        beyond: '404 no_such_tile',
      });
      expect(errors).toEqual([]);
      await page.context().close();
    },
    60_000,
  );

  inBrowser(
    'is kept by the browser from sending a key across origins, and from what is not public',
    async () => {
      const { page } = await open('/empty.html');
      const size = (await (await fetch(log)).json()) as { tree_size: number };
      expect(
        await call(page, 'live.js', 'tryAcrossOrigins', {
          url: log,
          privateUrl: `${server.url}/logs/closed`,
          key: ADMIN_KEY,
          vkey,
        }),
      ).toEqual({
        eventWithKey: 'ClientError unreachable',
        headWithKey: 'ClientError unreachable',
        appendWithKey: 'ClientError unreachable',
        privateWithoutKey: 'ClientError unreachable',
      });
      expect(await (await fetch(log)).json()).toMatchObject({ tree_size: size.tree_size });
      // What the browser asked first, and was not granted.
      const preflight = await fetch(`${log}/events/0`, {
        method: 'OPTIONS',
        headers: {
          origin: site.url,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'authorization',
        },
      });
      expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([405, null]);
      await page.context().close();
    },
    60_000,
  );

  inBrowser(
    'appends, reads and audits where page and log have one origin',
    async () => {
      const { page, errors } = await open('/empty.html');
      const info = (await (await server.fetch('/logs/main')).json()) as { verifier_key: string };
      const first = await server.append({ id: 'from Node' }, '?ack=signed');
      expect(first.status).toBe(200);
      const result = await call<{ listed: string[] }>(page, 'live.js', 'useSameOrigin', {
        path: '/logs/main',
        key: ADMIN_KEY,
        vkey: info.verifier_key,
      });
      expect(result).toEqual({
        appended: [
          { ack: 'signed', leafIndex: 1, replayed: false },
          { ack: 'signed', leafIndex: 1, replayed: true },
        ],
        event: '{"id":"from a page","ä":"€"}',
        listed: [expect.any(String), expect.any(String)],
        audited: 2,
        wrongKey: 'ClientError http 401 unauthorized',
        moved: 'status 0, the server answers with a redirect, which is not followed',
      });
      const entry = JSON.parse(await (await server.fetch('/logs/main/events/1')).text()) as Reply;
      expect(result.listed[1]).toBe(entry.leaf_hash);
      expect([errors, site.missing]).toEqual([[], []]);
      await page.context().close();
    },
    60_000,
  );
});
