/** Damage at rest: what can happen to a file, done to a copy of a data directory. */
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { entries, type Handle, parseHandle, readBlock, readFooter } from '../../server/storage/table-format.ts';
import { concatBytes, equalBytes } from '../../tree/bytes.ts';
import type { Original } from './damage-original.ts';

export const DAMAGES = [
  /** One bit. */
  'flip',
  /** A page of 4 KiB. */
  'zero',
  'truncate',
  'delete',
  /** The file as it was earlier. */
  'older',
  /** The bytes of another file of the same kind, or of the same folder. */
  'swap',
  /** Bytes of chance after its end. */
  'garbage',
  /** Bytes of chance in its midst. */
  'noise',
] as const;
export type Damage = (typeof DAMAGES)[number];

/** Rows that damage is aimed at: what stands in each of their keys, and who has them in its tables. */
const AIMS = {
  /** Only the checksum of its block vouches for a row: with an id that is not found any more a repeated request is a second entry. */
  ids: { key: '/id/', originals: ['closed', 'killed'] },
  /** Their leaves vouch for them, so nothing else looks at them before they are served. */
  events: { key: 'stream/main/event/', originals: ['closed', 'killed'] },
  /** The root vouches for them, likewise. */
  leaves: { key: '/entries/', originals: ['closed', 'killed'] },
  /** The tile above vouches for this one, which is asked for; a start reads only those that no full one is above. */
  tiles: { key: 'log/raw/tile/0/052', originals: ['indexed'] },
} as const;
export type Aim = keyof typeof AIMS;

/** Whether such rows are in the tables of an original. */
export function hasRows({ name }: Original, aim: Aim): boolean {
  return AIMS[aim].originals.some((original) => original === name);
}

/** Chosen more often than the rest: where the data is, and what is hardest to notice. */
const OFTEN = {
  kinds: [...Array.from({ length: 10 }, () => 'table'), 'log file', 'log file', 'log file', 'guard'],
  damages: ['flip', 'flip', 'flip', 'flip', 'zero'],
} as const satisfies { readonly kinds: readonly string[]; readonly damages: readonly Damage[] };

/** Of damages that have a reason to be, this many are done to it. */
const FOCUSED = 0.8;

export interface Inflicted {
  /** Relative to the data directory. */
  readonly file: string;
  readonly damage: Damage | `flip among ${Aim}`;
  readonly place: string;
}

function filesOf(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(path, name)).isFile())
    .sort();
}

/** What a file is for, so that many tables do not hide the one guard. */
export function kindOf(file: string): string {
  const name = file.replace(/^db\//, '').replace('derived/by-hash/', 'index ');
  return name
    .replace(/[0-9]+\.ldb$/, 'table')
    .replace(/[0-9]+\.log$/, 'log file')
    .replace(/-[0-9]+$/, '');
}

/** LevelDB never writes to a table that is finished: a link is as good as a copy, as long as damage makes a file of its own. */
function copyDirectory(from: string, to: string, files: readonly string[]): void {
  for (const folder of new Set(files.map(dirname))) mkdirSync(join(to, folder), { recursive: true, mode: 0o700 });
  for (const file of files) {
    if (file.endsWith('.ldb')) linkSync(join(from, file), join(to, file));
    else copyFileSync(join(from, file), join(to, file), constants.COPYFILE_FICLONE);
  }
}

function pick<T>(random: () => number, all: readonly T[]): T {
  return all[Math.floor(random() * all.length)] as T;
}

/** Copies an original and damages one thing in one file of the copy, which must not be there yet. */
export function damagedCopy(original: Original, copy: string, random: () => number): Inflicted {
  const files = filesOf(original.path);
  copyDirectory(original.path, copy, files);
  const kinds = [...new Set(files.map(kindOf)), ...OFTEN.kinds];
  const focused = original.focus.length > 0 && random() < FOCUSED;
  for (;;) {
    const kind = pick(random, focused ? original.focus : kinds);
    const ofKind = files.filter((file) => kindOf(file) === kind);
    const damage = pick(random, [...DAMAGES, ...OFTEN.damages]);
    if (ofKind.length === 0) continue;
    const file = pick(random, ofKind);
    const place = inflict(original, copy, { file, files, damage }, random);
    if (place !== undefined) return { file, damage, place };
  }
}

/** Copies an original, which has such rows in its tables, and flips a bit of one, or of the block that it is packed in. */
export function damagedRows(original: Original, copy: string, aim: Aim, random: () => number): Inflicted {
  const files = filesOf(original.path);
  copyDirectory(original.path, copy, files);
  const places = files
    .filter((file) => kindOf(file) === 'table')
    .flatMap((file) => rowsOf(join(original.path, file), AIMS[aim].key).map((place) => ({ file, ...place })));
  if (places.length === 0) throw new Error(`no table of ${original.name} has ${aim}: there is nothing to damage`);
  const { file, offset, size } = pick(random, places);
  const bytes = new Uint8Array(readFileSync(join(original.path, file)));
  const place = offset + Math.floor(random() * size);
  bytes[place] = flipBit(bytes[place] as number, Math.floor(random() * 8));
  // A link to the original's until here.
  rmSync(join(copy, file));
  writeFileSync(join(copy, file), bytes, { mode: 0o644 });
  return { file, damage: `flip among ${aim}`, place: `byte ${place} of ${bytes.length}` };
}

/** Where in a table the values stand of rows with this in their keys; of rows that are packed, their block. */
function rowsOf(file: string, text: string): Handle[] {
  const fd = openSync(file, 'r');
  try {
    const { index } = readFooter(fd, fstatSync(fd).size);
    return [...entries(readBlock(fd, index))].flatMap(({ value }) => {
      const block = parseHandle(value);
      const content = readBlock(fd, block);
      const isPlain = content.length === block.size;
      return [...entries(content)]
        .filter(({ key, value: own }) => own.length > 0 && Buffer.from(key).includes(text))
        .map(({ value: own }) =>
          isPlain ? { offset: block.offset + own.byteOffset - content.byteOffset, size: own.length } : block,
        );
    });
  } finally {
    closeSync(fd);
  }
}

/** One damage to one file; `undefined` where it would change nothing. Returns where. */
function inflict(
  original: Original,
  copy: string,
  { file, files, damage }: { readonly file: string; readonly files: readonly string[]; readonly damage: Damage },
  random: () => number,
): string | undefined {
  const target = join(copy, file);
  const bytes = new Uint8Array(readFileSync(target));
  const [changed, place] = change(original, { file, files, bytes, damage }, random);
  if (changed !== undefined && equalBytes(changed, bytes)) return undefined;
  const { mode } = statSync(target);
  rmSync(target);
  if (changed !== undefined) writeFileSync(target, changed, { mode });
  return place;
}

/** What becomes of the bytes of a file, `undefined` where it is gone, and where that is. */
function change(
  original: Original,
  {
    file,
    files,
    bytes,
    damage,
  }: { readonly file: string; readonly files: readonly string[]; readonly bytes: Uint8Array; readonly damage: Damage },
  random: () => number,
): [Uint8Array | undefined, string] {
  const at = Math.floor(random() * bytes.length);
  switch (damage) {
    case 'delete':
      return [undefined, 'all of it'];
    case 'truncate':
      return [bytes.subarray(0, at), `from byte ${at}`];
    case 'garbage': {
      const more = noise(random, 1 + Math.floor(random() * 5000));
      return [concatBytes(bytes, more), `${more.length} bytes after ${bytes.length}`];
    }
    case 'older': {
      const source = join(original.older, file);
      return [existsSync(source) ? new Uint8Array(readFileSync(source)) : bytes, 'all of it'];
    }
    case 'swap': {
      const others = files.filter((other) => other !== file && kindOf(other) === kindOf(file));
      const near = files.filter((other) => other !== file && dirname(other) === dirname(file));
      const [source] = [others, near].filter(({ length }) => length > 0).map((all) => pick(random, all));
      if (source === undefined) return [bytes, ''];
      return [new Uint8Array(readFileSync(join(original.path, source))), `all of it, by ${source}`];
    }
    default: {
      const changed = bytes.slice();
      const from = damage === 'zero' ? at - (at % 4096) : at;
      if (damage === 'zero') changed.fill(0, from, from + 4096);
      else if (damage === 'noise')
        changed.set(noise(random, Math.min(bytes.length - at, 1 + Math.floor(random() * 64))), at);
      else if (bytes.length > 0) changed[at] = flipBit(bytes[at] as number, Math.floor(random() * 8));
      return [changed, `byte ${from} of ${bytes.length}`];
    }
  }
}

function noise(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

function flipBit(byte: number, bit: number): number {
  const weight = 2 ** bit;
  return Math.floor(byte / weight) % 2 === 1 ? byte - weight : byte + weight;
}
