/** Trust policies: what each rule of C2SP tlog-policy accepts and refuses, and quorums compared with a count of sets. */
import { describe, expect, test } from '@jest/globals';
import { cosigner } from '../../proofs/cosignature.ts';
import { NoteError } from '../../proofs/error.ts';
import { ALGORITHM_COSIGNATURE, ed25519Signer, makeVerifierKey } from '../../proofs/key.ts';
import {
  couldBeQuorum,
  holdsQuorum,
  MAX_POLICY_NAMES,
  MAX_POLICY_SIZE,
  type Policy,
  parsePolicy,
} from '../../proofs/policy.ts';
import { concatBytes, fromBase64, toBase64, utf8 } from '../../tree/bytes.ts';
import { sha256 } from '../../tree/sha256.ts';
import { seededRandom } from '../support/random.ts';

const seedOf = (n: number) => sha256(utf8(`seed ${n}`));
const logKey = (n: number) => ed25519Signer(`log.example/${n}`, seedOf(n)).verifierKey.text;
const witnessKey = (n: number) => cosigner(`witness.example/${n}`, seedOf(1000 + n)).verifierKey.text;
const [L1, L2] = [logKey(1), logKey(2)];
const [W1, W2, W3] = [witnessKey(1), witnessKey(2), witnessKey(3)];

const MLDSA = (() => {
  const typed = concatBytes(Uint8Array.of(6), new Uint8Array(1312).fill(7));
  const id = sha256(concatBytes(utf8('pq.example/w\n'), typed)).subarray(0, 4);
  return `pq.example/w+${Buffer.from(id).toString('hex')}+${toBase64(typed)}`;
})();

function names(policy: Policy): string[] {
  return policy.witnesses.map(({ name }) => name);
}

function messageOf(text: string | Uint8Array): string {
  try {
    parsePolicy(text);
  } catch (error) {
    if (error instanceof NoteError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

describe('what a policy says', () => {
  test('logs, witnesses, addresses and the quorum', () => {
    const policy = parsePolicy(
      `# who is trusted\n\nlog ${L1}\nlog ${L2} https://log.example/2\n` +
        `witness w1 ${W1} https://w1.example:8443/a/b/\nwitness w2 ${W2}\nwitness w3 ${W3} http://[::1]:80\n` +
        'group two 2 w1 w2 w3\nquorum two\n',
    );
    expect(policy.logs.map(({ key, url }) => [key.text, url])).toEqual([
      [L1, undefined],
      [L2, 'https://log.example/2'],
    ]);
    expect(policy.witnesses.map(({ name, key, url }) => [name, key.text, url])).toEqual([
      ['w1', W1, 'https://w1.example:8443/a/b/'],
      ['w2', W2, undefined],
      ['w3', W3, 'http://[::1]:80'],
    ]);
    expect(holdsQuorum(policy, ({ name }) => name !== 'w2')).toBe(true);
    expect(holdsQuorum(policy, ({ name }) => name === 'w2')).toBe(false);
  });

  test('the smallest one, from a text and from bytes', () => {
    for (const policy of [parsePolicy('quorum none\n'), parsePolicy(utf8('quorum none\n'))]) {
      expect(policy).toEqual({ logs: [], witnesses: [], quorum: 'none' });
      expect(holdsQuorum(policy, () => false)).toBe(true);
      // Of any set, the empty one included: who waits for witnesses asks for the quorum first.
      expect(couldBeQuorum(policy, () => false)).toBe(true);
    }
  });

  test.each([
    ['tabs, runs of blanks, and blanks around', `\t witness \t w1\t\t${W1}  \n  quorum\tw1 \n`],
    [
      'blank lines and comments anywhere',
      `\n \t\n#\n  # x\nwitness w1 ${W1}\n# quorum none\nquorum w1\n\n#`.concat('\n'),
    ],
    ['the quorum before what is not in it', `witness w1 ${W1}\nquorum w1\nwitness w2 ${W2}\nlog ${L1}\n`],
    ['a group of one', `witness w1 ${W1}\ngroup g 1 w1\nquorum g\n`],
    [
      'two logs of one name, as when a key is rotated',
      `log ${L1}\nlog ${ed25519Signer('log.example/1', seedOf(7)).verifierKey.text}\nwitness w1 ${W1}\nquorum w1\n`,
    ],
    ['a name of digits', `witness 2 ${W1}\ngroup 3 1 2\nquorum 3\n`],
    ['names that differ in their case', `witness w1 ${W1}\nwitness W1 ${W2}\nquorum w1\n`],
    ['a name that begins like a word of the format', `witness any1 ${W1}\nquorum any1\n`],
    ['a name in UTF-8', `witness é ${W1}\nquorum é\n`],
    [
      'the same raw key for a log and a witness',
      `log ${ed25519Signer('x', seedOf(1001)).verifierKey.text}\nwitness w1 ${W1}\nquorum w1\n`,
    ],
  ])('accepted: %s', (_, text) => {
    expect(messageOf(text)).toBe('accepted');
    expect(messageOf(utf8(text))).toBe('accepted');
  });

  test('bytes above 0x7f are opaque: in comments any, in names equal only if they are', () => {
    const text = (first: readonly number[], second: readonly number[], quorum: readonly number[]) =>
      concatBytes(
        Uint8Array.of(0x23, 0xff, 0xfe, 0x0a),
        ...[utf8('witness '), Uint8Array.from(first), utf8(` ${W1}\nwitness `), Uint8Array.from(second)],
        ...[utf8(` ${W2}\nquorum `), Uint8Array.from(quorum), utf8('\n')],
      );
    const policy = parsePolicy(text([0xe9], [0xc3, 0xa9], [0xe9]));
    expect(names(policy)).toEqual(['\udce9', 'é']);
    expect(holdsQuorum(policy, ({ key }) => key.text === W1)).toBe(true);
    expect(holdsQuorum(policy, ({ key }) => key.text === W2)).toBe(false);
    expect(messageOf(text([0xe9], [0xe9], [0xe9]))).toMatch(/^malformed_policy: line 3 .*already/);
    expect(messageOf(text([0xe9], [0xe8], [0xe7]))).toMatch(/^malformed_policy: line 4 /);
  });
});

/** Each line of a table: which rule, the policy, the number of the line that is named (0: none), and what the message says. */
describe('what is refused', () => {
  const two = `witness w1 ${W1}\nwitness w2 ${W2}\n`;
  test.each<[string, string, number, RegExp]>([
    ['no newline at the end', 'quorum none', 0, /newline/],
    ['another word', 'witnesses w1\nquorum none\n', 1, /"witnesses"/],
    ['a word in capitals', 'Quorum none\n', 1, /"Quorum"/],
    ['a comment behind something', 'quorum none # nobody\n', 1, /quorum NAME/],
    ['a comment behind a witness', `witness w1 ${W1} # mine\nquorum none\n`, 1, /witness NAME VKEY/],
    ['a comment in the place of an address', `witness w1 ${W1} #mine\nquorum none\n`, 1, /http/],
    ['a log of nothing', 'log\nquorum none\n', 1, /log VKEY/],
    ['a log with too much', `log ${L1} http://a b\nquorum none\n`, 1, /log VKEY/],
    ['a witness without a key', 'witness w1\nquorum none\n', 1, /witness NAME VKEY/],
    ['a witness without a name', `witness ${W1}\nquorum none\n`, 1, /witness NAME VKEY/],
    ['a group without a number', `${two}group g\nquorum none\n`, 3, /group NAME/],
    ['a quorum of nothing', 'quorum\n', 1, /quorum NAME/],
    ['a quorum of two', `${two}quorum w1 w2\n`, 3, /quorum NAME/],
    ['a key that is none', 'log abc\nquorum none\n', 1, /plus signs/],
    ['a key with another ID', `log ${L1.replace(/\+[0-9a-f]{8}\+/, '+00000000+')}\nquorum none\n`, 1, /key ID/],
    ['no quorum', two, 0, /no quorum line/],
    ['nothing at all', '', 0, /no quorum line/],
    ['two quorums', `${two}quorum w1\nquorum w1\n`, 4, /second quorum/],
    ['quorum none, and another', 'quorum none\nquorum none\n', 2, /second quorum/],
    ['a quorum of somebody unknown', `${two}quorum w3\n`, 3, /"w3"/],
    ['a quorum of somebody below', `quorum w1\n${two}`, 1, /"w1"/],
    ['a quorum of a log', `log ${L1}\nquorum log.example/1\n`, 2, /"log.example\/1"/],
    ['a member that is unknown', `${two}group g any w1 w3\nquorum g\n`, 3, /"w3"/],
    ['a member below', `group g any w1\n${two}quorum g\n`, 1, /"w1"/],
    ['a group in itself', `${two}group g any w1 g\nquorum g\n`, 3, /"g"/],
    ['two groups in each other', `${two}group a any w1 b\ngroup b any w2 a\nquorum a\n`, 3, /"b"/],
    ['a witness twice', `witness w1 ${W1}\nwitness w1 ${W2}\nquorum w1\n`, 2, /already/],
    ['a group of the name of a witness', `${two}group w1 any w2\nquorum w1\n`, 3, /already/],
    ['a witness of the name of a group', `${two}group g any w1\nwitness g ${W3}\nquorum g\n`, 4, /already/],
    ['none as a member', `${two}group g any none\nquorum g\n`, 3, /"none"/],
    ['a witness called none', `witness none ${W1}\nquorum none\n`, 1, /cannot be a name/],
    ['no members', `${two}group g any\nquorum g\n`, 3, /group NAME/],
    ['none of them', `${two}group g 0 w1 w2\nquorum g\n`, 3, /from 1 to 2, not "0"/],
    ['more than there are', `${two}group g 3 w1 w2\nquorum g\n`, 3, /from 1 to 2, not "3"/],
    ['a leading zero', `${two}group g 01 w1 w2\nquorum g\n`, 3, /not "01"/],
    ['a sign', `${two}group g +1 w1 w2\nquorum g\n`, 3, /not "\+1"/],
    ['a fraction', `${two}group g 1.0 w1 w2\nquorum g\n`, 3, /not "1\.0"/],
    ['an exponent', `${two}group g 1e0 w1 w2\nquorum g\n`, 3, /not "1e0"/],
    ['hexadecimal', `${two}group g 0x1 w1 w2\nquorum g\n`, 3, /not "0x1"/],
    ['capital letters', `${two}group g ANY w1 w2\nquorum g\n`, 3, /not "ANY"/],
    ['a number beyond all', `${two}group g 99999999999999999999 w1\nquorum g\n`, 3, /from 1 to 1/],
    ['a member twice', `${two}group g any w1 w1\nquorum g\n`, 3, /member of "g" already/],
    ['a member of two groups', `${two}group g any w1\ngroup h any w1\nquorum g\n`, 4, /member of "g" already/],
    ['a group in two groups', `${two}group g any w1\ngroup h any g\ngroup i 1 g w2\nquorum i\n`, 5, /member of "h"/],
    ['a log twice', `log ${L1}\nlog ${L1}\nquorum none\n`, 2, /public key/],
    [
      'a log twice under two names',
      `log ${L1}\nlog ${ed25519Signer('other', seedOf(1)).verifierKey.text}\nquorum none\n`,
      2,
      /public key/,
    ],
    [
      'a witness twice under two names',
      `witness w1 ${W1}\nwitness w2 ${cosigner('other', seedOf(1001)).verifierKey.text}\nquorum w1\n`,
      2,
      /public key of witness "w1"/,
    ],
    ['CR LF', 'quorum none\r\n', 1, /carriage return/],
    ['a control character', 'quorum none\u0001\n', 1, /control character, 1/],
    ['a control character in a comment', '#\u0000\nquorum none\n', 1, /control character, 0/],
    ['DEL', 'quorum none\u007f\n', 1, /control character, 127/],
    ['the key of a witness as that of a log', `log ${W1}\nquorum none\n`, 1, /0x01/],
    ['another scheme', `witness w1 ${W1} ftp://w1.example\nquorum none\n`, 1, /http/],
    ['an address without a scheme', `witness w1 ${W1} w1.example/\nquorum none\n`, 1, /http/],
    ['an address of nobody', `witness w1 ${W1} https:///w\nquorum none\n`, 1, /http/],
    ['an address with a password', `witness w1 ${W1} https://a:b@w1.example\nquorum none\n`, 1, /http/],
    ['an address with a query', `witness w1 ${W1} https://w1.example/?a\nquorum none\n`, 1, /http/],
    ['an address with a port beyond all', `witness w1 ${W1} https://w1.example:70000/\nquorum none\n`, 1, /http/],
    ['an address of a log', `log ${L1} file:///etc/passwd\nquorum none\n`, 1, /http/],
    ['a name with a #', `witness w#1 ${W1}\nquorum w#1\n`, 1, /begin a comment/],
    ['half of a surrogate pair', 'quorum none\n#\ud800\n', 0, /lone surrogate/],
  ])('%s', (_, text, line, reason) => {
    const message = messageOf(text);
    expect(message).toMatch(line === 0 ? /^malformed_policy: the policy: / : /^malformed_policy: line /);
    if (line > 0) expect(message).toContain(`line ${line} of the policy: `);
    expect(message).toMatch(reason);
  });

  test.each(['any', 'all', 'none', 'witness', 'group', 'quorum', 'log'])('%s is no name', (name) => {
    expect(messageOf(`witness ${name} ${W1}\nquorum none\n`)).toMatch(/line 1 of .*cannot be a name/);
    expect(messageOf(`${two}group ${name} 1 w1\nquorum none\n`)).toMatch(/line 3 of .*cannot be a name/);
  });

  test('a key for notes on a witness line: both forms are named', () => {
    const { publicKey, text } = ed25519Signer('witness.example/1', seedOf(1001)).verifierKey;
    const message = messageOf(`witness w1 ${text}\nquorum w1\n`);
    expect(message).toMatch(/^malformed_policy: line 1 .*insist on 0x04/);
    expect(message).toContain(makeVerifierKey('witness.example/1', publicKey, ALGORITHM_COSIGNATURE).text);
    expect(message).toContain(W1);
  });

  test('keys of types that are not supported are named as such, for a witness and for a log', () => {
    expect(messageOf(`witness w1 ${MLDSA}\nquorum w1\n`)).toMatch(/^unknown_algorithm: line 1 of the policy: .*6/);
    expect(messageOf(`witness w1 ${W1}\nlog ${MLDSA}\nquorum w1\n`)).toMatch(/^unknown_algorithm: line 2 /);
    const ecdsa =
      'rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc=';
    expect(messageOf(`log ${ecdsa}\nquorum none\n`)).toMatch(/^unknown_algorithm: line 1 /);
  });

  test('a public key of small order', () => {
    const typed = concatBytes(Uint8Array.of(4, 1), new Uint8Array(31));
    const id = Buffer.from(sha256(concatBytes(utf8('w\n'), typed)).subarray(0, 4)).toString('hex');
    expect(messageOf(`witness w1 w+${id}+${toBase64(typed)}\nquorum w1\n`)).toMatch(
      /^malformed_policy: line 1 .*order/,
    );
  });

  test('no character of a policy may be left out or altered without notice, but in names, addresses and comments', () => {
    const key = cosigner('w', seedOf(5)).verifierKey.text;
    const text = `witness w ${key}\nquorum w\n`;
    const begin = text.indexOf(key);
    for (let at = begin; at < begin + key.length; at++) {
      const cut = text.slice(0, at) + text.slice(at + 1);
      const next = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) + 1) + text.slice(at + 1);
      if (messageOf(cut) === 'accepted' || messageOf(next) === 'accepted') throw new Error(`character ${at}`);
    }
    expect(fromBase64(key.split('+').slice(2).join('+'))).toHaveLength(33);
  });
});

describe('limits', () => {
  const many = (count: number) => {
    const lines: string[] = [];
    for (let i = 0; i < count; i++) lines.push(`witness w${i} ${witnessKey(i)}`);
    return lines;
  };

  test('32 logs, 32 witnesses and 32 groups', () => {
    const logs = Array.from({ length: 32 }, (_, i) => `log ${logKey(i)}`);
    const groups = Array.from({ length: 31 }, (_, i) => `group g${i} any w${i}`);
    const all = `group g 17 ${Array.from({ length: 31 }, (_, i) => `g${i}`).join(' ')} w31`;
    const policy = parsePolicy(`${[...logs, ...many(32), ...groups, all, 'quorum g'].join('\n')}\n`);
    expect([policy.logs.length, policy.witnesses.length]).toEqual([32, 32]);
    const first = (count: number) => new Set(Array.from({ length: count }, (_, i) => `w${i}`));
    expect(holdsQuorum(policy, ({ name }) => first(17).has(name))).toBe(true);
    expect(holdsQuorum(policy, ({ name }) => first(16).has(name))).toBe(false);
  });

  test('groups one in the other, as deep as may be', () => {
    const chain = (depth: number) => {
      const lines = [`witness w ${W1}`, 'group g0 1 w'];
      for (let i = 1; i < depth; i++) lines.push(`group g${i} all g${i - 1}`);
      return `${lines.join('\n')}\nquorum g${depth - 1}\n`;
    };
    const policy = parsePolicy(chain(MAX_POLICY_NAMES));
    expect([holdsQuorum(policy, () => true), holdsQuorum(policy, () => false)]).toEqual([true, false]);
    expect(messageOf(chain(MAX_POLICY_NAMES + 1))).toMatch(/at most 256 groups/);
  });

  test('one witness more than may be', () => {
    const lines = many(MAX_POLICY_NAMES + 1);
    expect(messageOf(`${lines.slice(0, -1).join('\n')}\nquorum none\n`)).toBe('accepted');
    expect(messageOf(`${lines.join('\n')}\nquorum none\n`)).toMatch(/line 257 .*at most 256 witnesses/);
  });

  test('64 KiB, and one byte more', () => {
    const text = (size: number) => `quorum none\n#${'x'.repeat(size - 14)}\n`;
    expect(utf8(text(MAX_POLICY_SIZE))).toHaveLength(MAX_POLICY_SIZE);
    expect(messageOf(text(MAX_POLICY_SIZE))).toBe('accepted');
    expect(messageOf(text(MAX_POLICY_SIZE + 1))).toMatch(/^malformed_policy: .*65536/);
  });

  test('hostile policies take time in proportion to their size', () => {
    const hostile = [
      '\n'.repeat(65_535),
      ' '.repeat(65_535),
      `quorum ${'x '.repeat(32_000)}`,
      `group g 1 ${'w '.repeat(32_000)}`,
    ];
    for (const text of hostile) {
      const begin = performance.now();
      expect(messageOf(`${text}\n`)).toMatch(/^malformed_policy/);
      expect(performance.now() - begin).toBeLessThan(1000);
    }
  });

  test('a message shows no more of the file than it must', () => {
    expect(messageOf(`quorum ${'x'.repeat(60_000)}\n`).length).toBeLessThan(400);
    expect(messageOf(`${'x'.repeat(60_000)}\n`).length).toBeLessThan(400);
  });
});

describe('quorums', () => {
  type Tree = { readonly witness: number } | { readonly k: number; readonly members: readonly Tree[] };

  /** Another way to the same answer: the sets of members that suffice, listed one by one. */
  function reference(tree: Tree, signed: ReadonlySet<number>): boolean {
    if ('witness' in tree) return signed.has(tree.witness);
    const subsets = 2 ** tree.members.length;
    for (let mask = 0; mask < subsets; mask++) {
      const chosen = tree.members.filter((_, i) => Math.floor(mask / 2 ** i) % 2 === 1);
      if (chosen.length === tree.k && chosen.every((member) => reference(member, signed))) return true;
    }
    return false;
  }

  /** Lines of a tree, and what its top is called. */
  function write(tree: Tree, lines: string[]): string {
    if ('witness' in tree) return `w${tree.witness}`;
    const members = tree.members.map((member) => write(member, lines));
    const name = `g${lines.length}`;
    const { k } = tree;
    const count = k === members.length ? 'all' : k === 1 ? 'any' : String(k);
    lines.push(`group ${name} ${count} ${members.join(' ')}`);
    return name;
  }

  const WITNESSES = 7;
  const keys = Array.from({ length: WITNESSES }, (_, i) => witnessKey(i));

  test('hold for exactly the sets that a list of all sets gives: 120 trees over 7 witnesses, all 128 sets of each', () => {
    const random = seededRandom(9);
    const below = (n: number) => Math.floor(random() * n);
    for (let round = 0; round < 120; round++) {
      let nodes: Tree[] = Array.from({ length: WITNESSES }, (_, witness) => ({ witness }));
      while (nodes.length > 1) {
        nodes = nodes.toSorted(() => random() - 0.5);
        const members = nodes.splice(0, 1 + below(nodes.length));
        nodes.push({ k: 1 + below(members.length), members });
        if (members.length === 1 && random() < 0.5) break;
      }
      const top = nodes.at(-1) as Tree;
      const lines: string[] = keys.map((text, i) => `witness w${i} ${text}`);
      const name = write(top, lines);
      const policy = parsePolicy(`${lines.join('\n')}\nquorum ${name}\n`);
      for (let mask = 0; mask < 2 ** WITNESSES; mask++) {
        const signed = new Set(keys.map((_, i) => i).filter((i) => Math.floor(mask / 2 ** i) % 2 === 1));
        const held = holdsQuorum(policy, (witness) => signed.has(policy.witnesses.indexOf(witness)));
        if (held !== reference(top, signed))
          throw new Error(`round ${round}, set ${mask}: ${lines.slice(WITNESSES).join('; ')}`);
      }
    }
  });

  test.each<[string, number[]]>([
    ['any', [0, 1, 1, 1, 1, 1, 1, 1]],
    ['1', [0, 1, 1, 1, 1, 1, 1, 1]],
    ['2', [0, 0, 0, 1, 0, 1, 1, 1]],
    ['3', [0, 0, 0, 0, 0, 0, 0, 1]],
    ['all', [0, 0, 0, 0, 0, 0, 0, 1]],
  ])('group %s of three', (count, table) => {
    const policy = parsePolicy(`witness a ${W1}\nwitness b ${W2}\nwitness c ${W3}\ngroup g ${count} a b c\nquorum g\n`);
    const held = table.map((_, mask) =>
      Number(holdsQuorum(policy, (each) => Math.floor(mask / 2 ** policy.witnesses.indexOf(each)) % 2 === 1)),
    );
    expect(held).toEqual(table);
  });

  test('who is not in the quorum is not asked, and everybody else once', () => {
    const policy = parsePolicy(`witness a ${W1}\nwitness b ${W2}\nwitness c ${W3}\ngroup g any a b\nquorum g\n`);
    const asked: string[] = [];
    holdsQuorum(policy, ({ name }) => asked.push(name) > 0);
    expect(asked.toSorted()).toEqual(['a', 'b']);
    const single = parsePolicy(`witness a ${W1}\nwitness b ${W2}\nquorum b\n`);
    expect(holdsQuorum(single, ({ name }) => name === 'a')).toBe(false);
    expect(holdsQuorum(single, ({ name }) => name === 'b')).toBe(true);
  });
});
