/** The directory of a witness: what a first start makes, what a later one takes, and everything that it refuses. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseCosignerKey } from '../../../proofs/cosignature.ts';
import { inspect } from '../../../server/data-directory.ts';
import { ExitError } from '../../../server/errors.ts';
import { verifyQuickly } from '../../../server/own-signatures.ts';
import { encodeHead, parseHead } from '../../../server/witness/cosigned-head.ts';
import { Witness } from '../../../server/witness/witness.ts';
import { inspectWitness, openWitnessDirectory } from '../../../server/witness/witness-directory.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';
import { closeWitnesses, NAME, OpenWitness } from './open-witness.ts';

const log = new WitnessedLog('example.com/logs/main');
const other = new WitnessedLog('example.com/logs/other', 8, { seed: 2 });

/** Exit code and message of an opening that is refused. */
async function refusal(path: string, name: string | undefined = NAME): Promise<[number, string]> {
  try {
    (await openWitnessDirectory({ path, name })).close();
  } catch (error) {
    if (error instanceof ExitError) return [error.exitCode, error.message];
    throw error;
  }
  throw new Error('it was not refused');
}

let opened: OpenWitness;
let path: string;
let file: string;

beforeEach(async () => {
  opened = await OpenWitness.of([log, other]);
  await opened.ask(log.request(0, 5));
  await opened.witness.close();
  path = opened.path;
  file = join(path, 'origins', log.hash);
});
afterEach(closeWitnesses);

describe('a first start', () => {
  test('makes private directories and a key', () => {
    expect(readdirSync(path).sort()).toEqual(['evidence', 'key', 'origins']);
    const modes = ['', 'key', 'evidence', 'origins'].map((name) => statSync(join(path, name)).mode % 0o1000);
    expect(modes).toEqual([0o700, 0o600, 0o700, 0o700]);
    expect(statSync(file).mode % 0o1000).toBe(0o600);
    const { verifierKey } = parseCosignerKey(readFileSync(join(path, 'key'), 'utf8'));
    expect(verifierKey).toMatchObject({ name: NAME, algorithm: 4, text: opened.witness.verifierKey.text });
  });

  test('needs a name, and writes nothing without', async () => {
    const fresh = join(path, '..', 'fresh');
    const witness = Witness.open({ path: fresh, name: undefined, logs: [], clock: opened.clock, onFatal: () => {} });
    await expect(witness).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('--name') });
    expect(readdirSync(join(path, '..'))).toEqual(['w']);
    expect((await refusal(fresh, 'a+b'))[0]).toBe(2);
    expect((await refusal(fresh, 'a b'))[0]).toBe(2);
  });

  test('that was interrupted is made again', async () => {
    const fresh = join(path, '..', 'fresh');
    mkdirSync(join(fresh, 'origins'), { recursive: true });
    mkdirSync(join(fresh, 'evidence'));
    writeFileSync(join(fresh, 'key.tmp-0123456789ab'), 'half a k');
    const directory = await openWitnessDirectory({ path: fresh, name: NAME });
    expect(directory.firstStart).toBe(true);
    directory.close();
  });

  test('two make two keys', async () => {
    const directory = await openWitnessDirectory({ path: join(path, '..', 'second'), name: NAME });
    expect(directory.cosigner.verifierKey.text).not.toBe(opened.witness.verifierKey.text);
    directory.close();
  });
});

describe('a later start', () => {
  test('needs no name, and takes no other', async () => {
    (await openWitnessDirectory({ path, name: undefined })).close();
    expect(await refusal(path, 'other.example')).toEqual([2, expect.stringContaining(`is ${NAME}, for ever`)]);
  });

  test('is refused while another has it: 75', async () => {
    const directory = await openWitnessDirectory({ path, name: NAME });
    expect(await refusal(path)).toEqual([75, expect.stringContaining('another process uses')]);
    directory.close();
    (await openWitnessDirectory({ path, name: NAME })).close();
  });
});

describe('what is refused: 78, and nothing is written', () => {
  test.each<readonly [string, () => void, string]>([
    ['a key that others can read', () => chmodSync(join(path, 'key'), 0o644), 'can be read by others'],
    ['no key', () => rmSync(join(path, 'key')), 'its key is missing'],
    ['an empty key', () => writeFileSync(join(path, 'key'), ''), 'does not hold the private key of a witness'],
    [
      'the key of a log',
      () =>
        writeFileSync(
          join(path, 'key'),
          'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n',
        ),
      'does not hold the private key of a witness',
    ],
    [
      'no heads',
      () => rmSync(join(path, 'origins'), { recursive: true }),
      'is missing: what it has cosigned is not known',
    ],
    ['a head of another log', () => renameSync(file, join(path, 'origins', other.hash)), 'of another log'],
    ['a head under a name that is none', () => renameSync(file, join(path, 'origins', 'copy')), 'of another log'],
    ['an empty head', () => writeFileSync(file, ''), 'is not a head that this witness has cosigned'],
    ['half a head', () => writeFileSync(file, readFileSync(file).subarray(0, 200)), 'is not a head'],
    [
      'a head with a line end',
      () => writeFileSync(file, `${readFileSync(file, 'utf8')}\n`),
      'are not those of its note',
    ],
    ['JSON that is no head', () => writeFileSync(file, '{"a":1}'), 'it has no note'],
  ])('%s', async (_, damage, message) => {
    damage();
    const before = readdirSync(path, { recursive: true }).sort();
    const [code, text] = await refusal(path);
    expect([code, text]).toEqual([78, expect.stringContaining(message)]);
    expect(text).not.toMatch(/PRIVATE\+KEY/);
    expect(readdirSync(path, { recursive: true }).sort()).toEqual(before);
  });

  test('heads of another witness', async () => {
    const second = await OpenWitness.of([log]);
    await second.witness.close();
    copyFileSync(join(second.path, 'key'), join(path, 'key'));
    expect(await refusal(path)).toEqual([78, expect.stringContaining('not one that this witness has cosigned')]);
  });

  test('a head with any byte changed', () => {
    const bytes = new Uint8Array(readFileSync(file));
    const key = opened.witness.verifierKey;
    expect(parseHead(bytes, key, verifyQuickly)).toMatchObject({ origin: log.origin, treeSize: 5 });
    for (let at = 0; at < bytes.length; at++) {
      const altered = bytes.slice();
      altered[at] = ((altered[at] as number) + 1) % 256;
      expect(() => parseHead(altered, key, verifyQuickly)).toThrow(RangeError);
      expect(() => parseHead(bytes.subarray(0, at), key, verifyQuickly)).toThrow(RangeError);
    }
  });

  test('a head whose size or time is another one, with a check that fits', () => {
    const key = opened.witness.verifierKey;
    const head = parseHead(new Uint8Array(readFileSync(file)), key, verifyQuickly);
    for (const changed of [{ treeSize: 6 }, { time: head.time + 1 }, { origin: other.origin }, log.forked(2).head(5)])
      expect(() => parseHead(encodeHead({ ...head, ...changed }), key, verifyQuickly)).toThrow('not those of its note');
  });

  test('a directory of something else', async () => {
    const strange = join(path, '..', 'strange');
    mkdirSync(strange);
    writeFileSync(join(strange, 'photo.jpg'), '');
    expect(await refusal(strange)).toEqual([78, expect.stringContaining('not empty (it holds photo.jpg)')]);
    expect(readdirSync(strange)).toEqual(['photo.jpg']);
  });

  test('a file in its place: 2', async () => {
    expect((await refusal(join(path, 'key')))[0]).toBe(2);
  });

  test('is not taken for the data directory of a server, nor the other way round', () => {
    expect(() => inspect(path, join(path, 'guard'))).toThrow('is not a data directory and not empty');
    const server = join(path, '..', 'server');
    mkdirSync(join(server, 'db'), { recursive: true });
    expect(() => inspectWitness(server)).toThrow('is not the directory of a witness and not empty');
  });
});
