import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { ed25519Signer } from '../../../proofs/key.ts';
import { policyOf, readWitnessPolicies } from '../../../server/cosigning/policies.ts';
import { PlainWitness } from '../../support/plain-witness.ts';
import { temporaryFolder } from '../../support/spawn-server.ts';

const folder = temporaryFolder('policies');
afterAll(folder.remove);

function file(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
}

const witness = new PlainWitness('w1', () => []);
const line = witness.policyLine('w1');
const keyOf = (n: number) => ed25519Signer('example.com/logs/main', new Uint8Array(32).fill(n)).verifierKey;

describe('a file of witnesses', () => {
  test('is a policy all of whose witnesses have addresses, which end without a slash', () => {
    const text = `witness w1 ${witness.signer.verifierKey.text} ${witness.url}//\nquorum w1\n`;
    expect(readWitnessPolicies([file('good', text)])).toMatchObject([
      { witnesses: [{ name: 'w1', url: witness.url }] },
    ]);
  });

  test.each([
    ['is not there', undefined, /cannot be read \(ENOENT\)$/],
    ['is empty', '', /is not a policy with witnesses: .*quorum/],
    ['has no witness', 'quorum none\n', /it names no witness/],
    ['has a witness without an address', line.replace(` ${witness.url}`, ''), /line 1|no URL|quorum/],
    ['has no quorum', line, /there is no quorum line/],
    [
      'holds a private key',
      'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n',
      /line 1/,
    ],
    ['is larger than a policy may be', `${'#'.repeat(70_000)}\n`, /at most 65536 bytes/],
  ])('that %s is refused by name, with 2', (what, text, message) => {
    const path = text === undefined ? join(folder.path, 'nowhere') : file('bad', text);
    let error: { exitCode?: number; message?: string } = {};
    try {
      readWitnessPolicies([path]);
    } catch (thrown) {
      error = thrown as typeof error;
    }
    expect([what, error.exitCode]).toEqual([what, 2]);
    expect(error.message).toMatch(/^--witness-policy: /);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('PRIVATE+KEY');
  });

  test('that is a directory is refused', () => {
    mkdirSync(join(folder.path, 'directory'));
    expect(() => readWitnessPolicies([join(folder.path, 'directory')])).toThrow(/cannot be read \(EISDIR\)/);
  });
});

test('a log takes the first policy that names a key of it, else the first that names no log', () => {
  const text = (logs: string): string => `${logs}${line}quorum w1\n`;
  const [named, other, all, late] = readWitnessPolicies([
    file('named', text(`log ${keyOf(1).text}\n`)),
    file('other', text(`log ${keyOf(2).text}\n`)),
    file('all', text('')),
    file('late', text('')),
  ]);
  const policies = [other, all, named, late].filter((policy) => policy !== undefined);
  expect(policyOf(policies, [keyOf(1)])).toBe(named);
  // After a rotation: the old key is in the file, the new one is not yet.
  expect(policyOf(policies, [keyOf(3), keyOf(1)])).toBe(named);
  expect(policyOf(policies, [keyOf(3)])).toBe(all);
  expect(
    policyOf(
      [other].filter((policy) => policy !== undefined),
      [keyOf(3)],
    ),
  ).toBeUndefined();
});
