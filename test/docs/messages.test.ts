/**
 * The table of messages in docs/operations.md against the source: whatever can end the process is there, with its code, and the table names
 * nothing that no source says.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ROOT } from '../support/spawn-server.ts';

/** What opens a data directory, keeps watch over it, or commits to it: every refusal in these files can end the process. */
const SOURCES = [
  ...['data-directory', 'guard', 'lock', 'recovery', 'secrets', 'start-rules', 'log-state', 'heads', 'publisher'],
  ...['access', 'log', 'tree-reader', 'storage/level', 'storage/wal-scan', 'storage/table-format', 'process-life'],
  ...[
    'witness/witness-directory',
    'witness/witness-store',
    'cosigning/withheld',
    'cosigning/contradiction',
    'read-back',
  ],
].map((name) => `server/${name}.ts`);

/** A call that makes such an error, up to its message. */
const MADE =
  /(?:\brefused?\(|#damaged\(|new StorageError\(\s*(?:'[a-z_]+'|code),|new GuardError\(\s*'[a-z_]+',|new ServerError\(\s*'(?:damaged|outcome_unknown)',|new ExitError\(\s*(?:EXIT\.(?!usage)\w+|DISK_FAILS\.has\(code\)[^,]+),)\s*(`(?:[^`\\]|\\.)*`|'[^'\n]*')/g;

/** A message with an ellipsis for whatever is filled in. */
function shape(literal: string): string {
  return literal.slice(1, -1).replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…');
}

const source = new Map(SOURCES.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
/** What goes on where it came from: the message of a GuardError with a sentence behind it. */
const PASSED_ON = '…. What was promised is not known.';
const made = [...source.values()].flatMap((text) =>
  [...text.matchAll(MADE)].map(([, literal]) => shape(literal as string)).filter((text) => /[a-z]{3}/.test(text)),
);
/** The lines of a server that stops while it runs. */
const last = [...(source.get('server/process-life.ts') ?? '').matchAll(/logger\.fatal\(([\s\S]*?)\);/g)].flatMap(
  ([, call = '']) => [...call.matchAll(/'([^']* [^']*)'/g)].map(([, text]) => text as string),
);
/** What a witness proves: said by the start that is refused, and by the stop of a server that runs. */
const contradictions = [
  ...(source.get('server/cosigning/contradiction.ts') ?? '').matchAll(/`(?:rollback|split view): [^`]*`/g),
].map(([literal]) => shape(literal));
const messages = [...contradictions, ...made.filter((message) => message !== PASSED_ON), ...last];

const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
const section = /\n## Messages\n([\s\S]*?)\n## /.exec(page)?.[1] ?? '';
const rows = [...section.matchAll(/^\| (\d+) \| (.*?) \| (.*) \| (.*) \|$/gm)].map(([, exit, said = '']) => ({
  exit: Number(exit),
  fragments: [...said.matchAll(/(code )?`([^`]+)`/g)]
    .filter(([, code]) => code === undefined)
    .map(([, , text]) => text as string),
  codes: [...said.matchAll(/code `([a-z_]+)`/g)].map(([, code]) => code as string),
}));

/** Codes of a union of string literals in the source. */
function union(file: string, name: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const body = new RegExp(`export type ${name} =([^;]*);`).exec(text)?.[1] ?? '';
  return [...body.matchAll(/\| '([a-z_]+)'/g)].map(([, code]) => code as string);
}

describe('docs/operations.md', () => {
  test('has a row for every message that ends the process', () => {
    const fragments = rows.flatMap((row) => row.fragments);
    expect(messages.length).toBeGreaterThan(50);
    expect(messages.filter((message) => !fragments.some((fragment) => message.includes(fragment)))).toEqual([]);
  });

  test('has no message that the source does not have', () => {
    const unsaid = rows.flatMap(({ fragments }) =>
      fragments.filter((fragment) => !messages.some((message) => message.includes(fragment))),
    );
    expect(unsaid).toEqual([]);
  });

  test('has every code of the guard and the store, and the damage that stops a server', () => {
    const codes = new Set(rows.flatMap((row) => row.codes));
    const wanted = [
      ...union('server/guard.ts', 'GuardErrorCode'),
      ...union('server/storage/store.ts', 'StorageErrorCode'),
    ];
    expect(wanted.length).toBeGreaterThanOrEqual(7);
    expect([...codes].sort()).toEqual([...new Set([...wanted, 'damaged'])].sort());
  });

  test('gives each row an exit code that a server has', () => {
    expect([...new Set(rows.map(({ exit }) => exit))]).toEqual([70, 75, 78]);
  });
});

/** Every error code that somewhere in the server is given to an error or a reply. */
function answered(): Set<string> {
  const files = ['server', 'server/http', 'server/ingest', 'server/by-hash', 'server/witness'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  );
  const made =
    /(?:new ServerError|new IngestError|new ConflictError|problem|refused?|fault|fail|malformed|bad)\(\s*'([a-z_0-9]+)'|code: '([a-z_0-9]+)'|\b(?:throw|return) this\.#fault\(\s*'([a-z_0-9]+)'/g;
  return new Set(files.flatMap((text) => [...text.matchAll(made)].map(([, a, b, c]) => (a ?? b ?? c) as string)));
}

describe('docs/api.md', () => {
  const api = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');
  const table = /\n## Errors\n([\s\S]*)$/.exec(api)?.[1] ?? '';
  const documented = new Map(
    [...table.matchAll(/^\| ([\d, ]+) \| (.*) \|$/gm)].flatMap(([, statuses = '', codes = '']) => {
      const each = [...codes.matchAll(/`([a-z_0-9]+)`/g)].map(([, code]) => code as string);
      const numbers = statuses.split(', ').map(Number);
      return each.map((code, i): [string, number] => [code, numbers[numbers.length === 1 ? 0 : i] as number]);
    }),
  );
  const problems = readFileSync(join(ROOT, 'server/http/problem.ts'), 'utf8');
  const statuses = new Map(
    [...problems.matchAll(/^ {2}([a-z_0-9]+): \[(\d+), '/gm)].map(([, code, status]) => [
      code as string,
      Number(status),
    ]),
  );

  test('has every code with its status, and no other', () => {
    expect(statuses.size).toBeGreaterThan(50);
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(statuses));
  });

  test('has no code that nothing answers with', () => {
    const given = answered();
    expect([...documented.keys()].filter((code) => !given.has(code))).toEqual([]);
  });

  test('says which answers have Retry-After', () => {
    const late = [...(/RETRY_AFTER[^{]*\{([^}]*)\}/.exec(problems)?.[1] ?? '').matchAll(/([a-z_]+):/g)].map(
      ([, code]) => statuses.get(code as string),
    );
    expect([...new Set([429, ...late])].sort()).toEqual([429, 503, 507]);
    expect(table).toContain('429, 503 and 507 have `Retry-After`');
  });
});
