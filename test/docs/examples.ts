/** The fenced blocks of a page, and a folder in which they are programs of a project that has installed this package. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/spawn-server.ts';

export interface Block {
  readonly language: string;
  readonly text: string;
  /** Line of the page on which it begins. */
  readonly line: number;
}

/** All fenced blocks of a page of this project, in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```([a-z]*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] as string,
    text: match[2] as string,
    line: text.slice(0, match.index).split('\n').length + 1,
  }));
}

/** A program of a page, and what the page says that it prints, if it says so. */
export interface Example {
  readonly name: string;
  readonly source: string;
  readonly prints: string | undefined;
}

/** The programs of a page: blocks of TypeScript or JavaScript, each with the block of text that follows next. */
export function examplesOf(page: string): Example[] {
  const blocks = blocksOf(page);
  return blocks.flatMap(({ language, text, line }, i) => {
    if (language !== 'ts' && language !== 'js') return [];
    const next = blocks[i + 1];
    const name = `${page.replaceAll(/[^a-z]+/gi, '-')}-line-${line}`;
    return [{ name, source: text, prints: next?.language === 'text' ? next.text : undefined }];
  });
}

/** A project at `path` in which `import 'indelible'` finds this one, built. */
export function makeProject(path: string): void {
  mkdirSync(join(path, 'node_modules/@types'), { recursive: true });
  writeFileSync(join(path, 'package.json'), '{"type":"module"}');
  symlinkSync(ROOT, join(path, 'node_modules/indelible'));
  // What @types/node itself imports.
  for (const name of ['@types/node', 'undici-types'])
    symlinkSync(join(ROOT, 'node_modules', name), join(path, 'node_modules', name));
}

export interface CompileOptions {
  readonly module?: 'nodenext' | 'esnext';
  readonly types?: readonly string[];
}

/** Compiles programs of a project beside themselves; gives what the compiler complains of. Types of packages are checked too. */
export function compile(
  path: string,
  names: readonly string[],
  { module = 'nodenext', types = ['node'] }: CompileOptions = {},
): string {
  const config = {
    compilerOptions: {
      strict: true,
      target: 'es2022',
      lib: ['es2023', 'dom'],
      module,
      moduleResolution: module === 'nodenext' ? 'nodenext' : 'bundler',
      types,
      skipLibCheck: false,
    },
    files: names.map((name) => `${name}.ts`),
  };
  const file = join(path, 'tsconfig.json');
  writeFileSync(file, JSON.stringify(config));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', file], { encoding: 'utf8' });
  return status === 0 ? '' : `${stdout}${stderr}` || `exit ${status}`;
}

/** Runs one compiled program of a project. Not synchronous, so that a server in this process can answer it. */
export function run(
  path: string,
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [`${name}.js`], { cwd: path, env: { PATH: process.env['PATH'], ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}
