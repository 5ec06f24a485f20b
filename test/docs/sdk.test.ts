/** The examples of docs/sdk.md and of the README, as a reader would use them: typed in, compiled and run against a new log. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_KEY, killAll, ServerProcess, temporaryFolder } from '../support/spawn-server.ts';
import { type CompileOptions, compile, examplesOf, makeProject, run } from './examples.ts';

const folder = temporaryFolder('sdk');
const PAGES = ['docs/sdk.md', 'README.md'];
const examples = PAGES.map((page) => ({ page, programs: examplesOf(page) }));
const all = examples.flatMap(({ programs }) => programs);

const environments = new Map<string, Readonly<Record<string, string>>>();

beforeAll(async () => {
  makeProject(folder.path);
  for (const { name, source } of all) writeFileSync(join(folder.path, `${name}.ts`), source);
  for (const page of PAGES) {
    const dataDir = join(folder.path, `data-${PAGES.indexOf(page)}`);
    const server = await ServerProcess.start({ dataDir, flags: ['--interval', '50'] });
    const info = (await (await server.fetch('/logs/main')).json()) as { verifier_key: string };
    environments.set(page, {
      INDELIBLE_URL: `${server.url}/logs/main`,
      INDELIBLE_KEY: ADMIN_KEY,
      INDELIBLE_VKEY: info.verifier_key,
    });
  }
}, 60_000);

afterAll(async () => {
  await killAll();
  folder.remove();
});

describe('the examples', () => {
  test('are there, and those of the SDK say what they print', () => {
    expect(examples.map(({ programs }) => programs.length)).toEqual([12, 1]);
    expect(examples[0]?.programs.filter(({ prints }) => prints === undefined)).toHaveLength(1);
  });

  test('compile, and so do the types that they use', () => {
    expect(
      compile(
        folder.path,
        all.map(({ name }) => name),
      ),
    ).toBe('');
  }, 60_000);

  test.each(examples.flatMap(({ page, programs }) => programs.map((program) => ({ page, ...program }))))(
    '$name runs and prints what the page says',
    async ({ page, name, prints }) => {
      const env = environments.get(page) as Readonly<Record<string, string>>;
      // The README writes its URL out, for whoever pastes it.
      if (page === 'README.md') pointTo(name, env['INDELIBLE_URL'] as string);
      const { code, stdout, stderr } = await run(folder.path, name, env);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      if (prints !== undefined) expect(stdout).toBe(prints);
      else expect(stdout).toMatch(page === 'README.md' ? /^0\n$/ : /^$/);
    },
    30_000,
  );
});

function pointTo(name: string, url: string): void {
  const file = join(folder.path, `${name}.js`);
  writeFileSync(file, readFileSync(file, 'utf8').replace('http://127.0.0.1:8080/logs/main', url));
}

describe('the types', () => {
  const consumer = `
    import { type HeadMemory, LogClient, type ProvenEntry } from 'indelible';
    import { asTreeHash, leafHash, openEventReply, parseVerifierKey, ProofError, verifyInclusion } from 'indelible/verify';

    const key = parseVerifierKey('');
    const proven: ProvenEntry = openEventReply(new Uint8Array(), key);
    const index: number = proven.leafIndex;
    // @ts-expect-error an index is no text
    const text: string = proven.leafIndex;
    const hash = asTreeHash(new Uint8Array(32));
    // @ts-expect-error a node hash is no leaf hash
    verifyInclusion({ leafHash: hash, leafIndex: 0, treeSize: 1, rootHash: hash, proof: [] });
    verifyInclusion({ leafHash: leafHash(new Uint8Array()), leafIndex: 0, treeSize: 1, rootHash: hash, proof: [] });
    // @ts-expect-error there is no such code
    export const wrong = (error: ProofError) => error.code === 'no_such_code';
    // @ts-expect-error the verifying half has no client
    import { AdminClient } from 'indelible/verify';
    declare const memory: HeadMemory;
    export const log = new LogClient({ url: '', memory });
    export { AdminClient, index, text };
  `;

  const SETTINGS: readonly (readonly [string, CompileOptions])[] = [
    ['Node, nodenext', {}],
    ['a bundler', { module: 'esnext' }],
    ['a browser, without the types of Node', { module: 'esnext', types: [] }],
  ];
  test.each(SETTINGS)(
    'hold for %s, checked as strictly as they can be',
    (_, options) => {
      writeFileSync(join(folder.path, 'consumer.ts'), consumer);
      expect(compile(folder.path, ['consumer'], options)).toBe('');
    },
    60_000,
  );
});
