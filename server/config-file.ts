/**
 * The configuration file: YAML 1.2, one mapping from settings, named as their flags but in snake_case, to plain values. It is
 * small, trusted by its owner and typed by hand, so it is read strictly: whatever is not understood is a problem with its line.
 *
 *     listen: 0.0.0.0:8080
 *     interval: 500
 *     trusted_proxies: [127.0.0.1, 10.0.0.0/8]
 *
 * Messages never repeat a value or a line of the file: what stands there by mistake may be a secret.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from 'yaml';
import { fileKey, SETTINGS, type Setting, type SettingName, shapeOf } from './config.ts';
import { EXIT, ExitError } from './errors.ts';
import { readAtMost } from './files.ts';
import { nearest } from './nearest.ts';
import { hideSecrets } from './secrets.ts';

/** Largest configuration file, in bytes. */
const MAX_SIZE = 65_536;

/** What is wrong with the configuration, and where that stands. */
export interface Problem {
  readonly where: string;
  readonly message: string;
}

/** A value of the file, as the text that its flag would have. */
export interface FileValue {
  readonly name: SettingName;
  readonly text: string;
  readonly where: string;
}

export interface FileContent {
  readonly values: readonly FileValue[];
  readonly problems: readonly Problem[];
}

const KEYS = new Map<string, SettingName>(
  (Object.entries(SETTINGS) as [SettingName, Setting][]).map(([name, { flag }]) => [fileKey(flag), name]),
);

/** Settings that must not stand in the file, by their letters, and where they belong instead. */
const SECRETS: Readonly<Record<string, string>> = {
  adminkey: 'INDELIBLE_ADMIN_KEY, or INDELIBLE_ADMIN_KEY_FILE with the name of a private file',
  masterseed: 'INDELIBLE_MASTER_SEED, or master_seed_file with the name of a private file',
};
const SECRET_FILES: Readonly<Record<string, string>> = {
  adminkeyfile: 'is given by the environment only: INDELIBLE_ADMIN_KEY_FILE',
};

const NO_ALIASES = 'aliases are not accepted';

/** What yaml's parser says, in our words; its own may quote the file. */
const FAULTS: Readonly<Record<string, string>> = {
  BAD_ALIAS: NO_ALIASES,
  BAD_DIRECTIVE: 'directives are not accepted',
  BAD_INDENT: 'the indentation is wrong',
  KEY_OVER_1024_CHARS: 'a key is too long',
  MULTIPLE_DOCS: 'one document is expected, and another one follows',
  NON_STRING_KEY: 'keys are names of settings',
  RESOURCE_EXHAUSTION: 'it is nested too deep',
  TAB_AS_INDENT: 'tabs do not indent in YAML',
  TAG_RESOLVE_FAILED: 'tags are not accepted',
};

/** Reads a configuration file. Throws ExitError 2 where it cannot be read at all. */
export function readConfigFile(path: string): FileContent {
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(path, MAX_SIZE + 1);
  } catch (cause) {
    throw new ExitError(EXIT.usage, `cannot read the configuration file ${hideSecrets(path)}: ${reason(cause)}`, {
      cause,
    });
  }
  return parseConfigFile(bytes, path);
}

function reason(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'it cannot be opened';
}

/** Reads the bytes of a configuration file; `path` is for the messages. */
export function parseConfigFile(bytes: Uint8Array, path: string): FileContent {
  const shown = hideSecrets(path);
  const problem = (line: number | undefined, message: string, key?: string): Problem => ({
    where: `${shown}${line === undefined ? '' : `:${line}`}${key === undefined ? '' : `: ${key}`}`,
    message,
  });
  const whole = (message: string): FileContent => ({ values: [], problems: [problem(undefined, message)] });
  if (bytes.length > MAX_SIZE) return whole(`has more than ${MAX_SIZE} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return whole('is not UTF-8');
  }
  const lines = new LineCounter();
  const lineOf = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const document = parse(text, lines);
  if (document === undefined) return whole('is not YAML');
  // A file that is not understood in one place may mean anything in the others.
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    const problems = faults.map(({ code, pos }) => problem(lineOf(pos[0]), FAULTS[code] ?? 'is not YAML'));
    return { values: [], problems };
  }
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return { values: [], problems: [] };
  if (!isMap(contents)) return whole('is not a list of "setting: value" lines');

  const values: FileValue[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  for (const { key, value } of contents.items) {
    const line = lineOf(key.range[0]);
    if (!isScalar(key) || typeof key.value !== 'string') {
      problems.push(problem(line, 'keys are names of settings'));
      continue;
    }
    const first = seen.get(key.value);
    if (first !== undefined) {
      problems.push(problem(line, `stands in line ${first} already`, hideSecrets(key.value)));
      continue;
    }
    seen.set(key.value, line);
    const name = KEYS.get(key.value);
    if (name === undefined) {
      problems.push(problem(line, unknownKey(key.value), hideSecrets(key.value)));
      continue;
    }
    const read = valueText(value, SETTINGS[name]);
    if ('message' in read) problems.push(problem(line, read.message, key.value));
    else values.push({ name, text: read.text, where: `${shown}:${line}` });
  }
  return { values, problems };
}

function parse(text: string, lineCounter: LineCounter): ReturnType<typeof parseDocument<ParsedNode>> | undefined {
  try {
    return parseDocument<ParsedNode>(text, {
      schema: 'core',
      strict: true,
      // Looked at below, so that one does not hide all the other problems.
      uniqueKeys: false,
      stringKeys: true,
      merge: false,
      prettyErrors: false,
      logLevel: 'error',
      lineCounter,
    });
  } catch {
    // Nested so deep that the parser's stack ends: its own limit comes first in newer versions.
    return undefined;
  }
}

function unknownKey(key: string): string {
  const letters = key.toLowerCase().replaceAll(/[^a-z]/g, '');
  const secret = SECRETS[letters] ?? SECRETS[letters.replace(/^indelible/, '')];
  if (secret !== undefined) return `is a secret and not read from this file: use ${secret}`;
  const file = SECRET_FILES[letters] ?? SECRET_FILES[letters.replace(/^indelible/, '')];
  if (file !== undefined) return file;
  if (letters === 'config') return 'a configuration file names no other one';
  const similar = nearest(key.toLowerCase().replace(/^indelible_/, ''), [...KEYS.keys()]);
  return similar === undefined ? 'is no setting' : `is no setting; did you mean ${similar}?`;
}

type Read = { readonly text: string } | { readonly message: string };

/** The text that the flag of a setting would have, of a YAML value. */
function valueText(node: ParsedNode | null, setting: Setting): Read {
  const shape = shapeOf(setting);
  if (node === null || (isScalar(node) && node.value === null))
    return { message: 'has no value: give one, or remove the line' };
  if (isAlias(node)) return { message: NO_ALIASES };
  if (isSeq(node)) return shape === 'list' ? listText(node.items) : { message: WANTED[shape] };
  if (!isScalar(node)) return { message: WANTED[shape] };
  const { value, source } = node;
  const type = typeof value;
  if (shape === 'number') return type === 'number' ? { text: source ?? String(value) } : { message: WANTED.number };
  if (shape === 'switch' && type === 'boolean') return { text: value === true ? 'on' : 'off' };
  return type === 'string' ? { text: value as string } : { message: WANTED[shape] };
}

function listText(items: readonly unknown[]): Read {
  const texts = items.map((item) => (isScalar(item) && typeof item.value === 'string' ? item.value : ''));
  return texts.some((text) => text === '' || text.includes(',')) ? { message: WANTED.list } : { text: texts.join(',') };
}

const WANTED: Readonly<Record<ReturnType<typeof shapeOf>, string>> = {
  number: 'is not a number: write digits, without quotes',
  switch: 'is neither on nor off',
  list: 'is not a list of texts',
  text: 'is not text: put it in quotes',
};
