/** Imports go one way (docs/design.md, The house). Read from the sources, so that a new file cannot slip by. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ROOT } from './support/spawn-server.ts';

const FOLDERS = ['tree', 'proofs', 'proto', 'client', 'server', 'cli'] as const;

/** What each folder may import, of ours and of others; `*`: whatever package.json lists. */
const ALLOWED: Record<
  (typeof FOLDERS)[number],
  { readonly ours: readonly string[]; readonly packages: readonly string[] | '*'; readonly node: boolean }
> = {
  tree: { ours: ['tree'], packages: ['@noble/hashes', '#sha256'], node: false },
  proofs: { ours: ['proofs', 'tree'], packages: ['@noble/hashes', '@noble/ed25519', '#sha256'], node: false },
  proto: { ours: ['proto'], packages: ['protobufjs'], node: false },
  client: { ours: ['client', 'proofs', 'tree', 'proto'], packages: ['#sha256'], node: false },
  server: { ours: ['server', 'proofs', 'tree', 'proto', 'client'], packages: '*', node: true },
  cli: { ours: ['cli', 'server', 'client', 'proofs', 'tree', 'proto'], packages: '*', node: true },
};

interface Import {
  readonly file: string;
  readonly target: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)[^'";]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm),
  ];
  return specifiers.map((match) => {
    const specifier = (match[1] ?? match[2] ?? match[3]) as string;
    const target = specifier.startsWith('.') ? relative(ROOT, join(ROOT, file, '..', specifier)) : specifier;
    return { file, target };
  });
}

function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function isAllowed(folder: (typeof FOLDERS)[number], { target }: Import): boolean {
  const { ours, packages, node } = ALLOWED[folder];
  if (target.endsWith('.ts')) return ours.includes(target.split('/')[0] as string);
  if (target.startsWith('node:')) return node;
  return packages === '*' || packages.includes(packageName(target));
}

describe('imports', () => {
  test.each(FOLDERS)('%s imports only what it may', (folder) => {
    const files = sources(folder);
    const imports = files.flatMap(importsOf);
    if (folder !== 'proto') expect(imports.length).toBeGreaterThan(0);
    expect(imports.filter((found) => !isAllowed(folder, found))).toEqual([]);
  });

  test('LevelDB is imported by its own two files only', () => {
    const engines = FOLDERS.flatMap(sources)
      .flatMap(importsOf)
      .filter(({ target }) => /^(?:level|classic-level|memory-level)$/.test(target));
    expect(engines).toEqual([
      { file: 'server/storage/derived-level.ts', target: 'level' },
      { file: 'server/storage/level.ts', target: 'level' },
    ]);
  });

  test('no file imports itself through others', () => {
    const graph = new Map(
      FOLDERS.flatMap(sources).map((file) => [
        file,
        importsOf(file)
          .map(({ target }) => target)
          .filter((target) => target.endsWith('.ts')),
      ]),
    );
    const cycles: string[] = [];
    const state = new Map<string, 'open' | 'done'>();
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
        return;
      }
      state.set(file, 'open');
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of graph.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('the browser-clean folders use no global of Node', () => {
    const suspicious = /\b(?:Buffer|process|require|setImmediate|__dirname)\b/;
    const found = ['tree', 'proofs', 'client'].flatMap(sources).flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .filter((line) => !/^\s*(?:\*|\/\/|\/\*)/.test(line) && suspicious.test(line.replace(/\/\/.*$/, '')))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(found).toEqual([]);
  });
});
