/** Every parser and verifier, fed with altered inputs; and every small change of what was signed or proven. */
import { fuzzParsers } from '../../fuzz/parsers.ts';
import { BUILD } from '../../support/spawn-server.ts';
import type { Harness, Plant } from '../harness.ts';

const QUICK = 500_000;
const FULL = 10_000_000;

const COUNT = 60_000;

function plant(file: string, text: string, replacement: string): Plant {
  return { bugs: [{ file, text, replacement }], count: COUNT };
}

export const harness: Harness = {
  id: 'fuzz-parsers',
  title: 'altered inputs for every parser and verifier',
  required:
    'only the declared errors are thrown, what is accepted is spelt as it would be written, and no change of a bit or byte of what was signed or proven is accepted',
  unit: 'inputs',
  count: { quick: QUICK, full: FULL },
  least: { 'inputs accepted': 0.01, refused: 0.05 },
  plants: {
    'last-hash-ignored': plant(
      'proofs/inclusion.js',
      'proof.forEach((sibling, i) => {',
      'proof.forEach((sibling, i) => { if (i > 0 && i === proof.length - 1) { hash = rootHash; return; }',
    ),
    'second-root-unchecked': plant('proofs/consistency.js', "checkRoot('second', secondRoot, newer);", ''),
    'any-signature-by-a-known-key': plant(
      'proofs/note.js',
      'return verify(key, text, signature);',
      'return signature.length === 64;',
    ),
    'key-id-alone': plant(
      'proofs/note.js',
      'return a.name === b.name && a.keyId === b.keyId;',
      'return a.keyId === b.keyId;',
    ),
    'base64-of-any-spelling': plant('tree/bytes.js', 'if (btoa(binary) !== text)', 'if (false)'),
    'bytes-behind-a-record': plant(
      'server/storage/commit-record.js',
      'if (at !== bytes.length)',
      'if (at > bytes.length)',
    ),
    'copy-from-outside': plant('server/storage/snappy.js', 'offset === 0 || offset > at || ', ''),
    'foreign-error': plant('proofs/preamble.js', "throw malformed('it is not UTF-8', cause);", 'throw cause;'),
  },
  async run({ count, seed, build = BUILD, progress }) {
    const how = count >= FULL ? 'all' : count >= QUICK ? 'some' : 'few';
    const report = await fuzzParsers({ build, count, seed, how, progress });
    const { forgeries, inputs, verdicts, accepted, targets, violations } = report;
    return {
      tried: forgeries + inputs,
      violations: violations.map((text) => ({ seed, text })),
      seen: { targets, 'inputs accepted': accepted, forgeries, ...Object.fromEntries(verdicts) },
    };
  },
};
