/**
 * Trust policies: which logs, which witnesses, and how many of these must have cosigned (C2SP tlog-policy).
 *
 * ```
 * log example.com/logs/main+81907c50+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
 * witness w1 witness.example.com/w1+d46a2b1b+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW https://witness.example.com/
 * witness w2 witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN
 * group both all w1 w2
 * quorum both
 * ```
 * One spelling is asked for where the page leaves room and readers differ: a name is none of the seven words that some reader gives
 * a meaning, and has no `#`, where some readers begin a comment. So a policy that is accepted here means the same elsewhere.
 */
import { equalBytes, fromUtf8, parseDecimal, utf8 } from '../tree/bytes.ts';
import { NoteError } from './error.ts';
import {
  ALGORITHM_COSIGNATURE,
  ALGORITHM_ED25519,
  makeVerifierKey,
  parseVerifierKey,
  type VerifierKey,
} from './key.ts';

/** Largest policy that is read, in bytes. */
export const MAX_POLICY_SIZE = 65_536;
/** Most witnesses, and most groups, that a policy may have; 32 of each is what every reader must take. */
export const MAX_POLICY_NAMES = 256;

/** A witness as a policy names it. */
export interface PolicyWitness {
  /** What the policy calls it; the name of its key may be another. A byte that is not UTF-8 stands here as U+DC00 plus the byte. */
  readonly name: string;
  /** Of algorithm 0x04. */
  readonly key: VerifierKey;
  /** Submission prefix, http or https, as it is written. */
  readonly url: string | undefined;
}

/** A log whose checkpoints count. */
export interface PolicyLog {
  /** Of algorithm 0x01. Its name is the origin. */
  readonly key: VerifierKey;
  readonly url: string | undefined;
}

interface WitnessRule {
  readonly name: string;
  readonly witness: PolicyWitness;
}

interface GroupRule {
  readonly name: string;
  readonly threshold: number;
  readonly members: readonly Rule[];
}

type Rule = WitnessRule | GroupRule;

/** Which sets of witnesses suffice. Only `holdsQuorum` looks into it; `none` says that the empty set does. */
export type Quorum = 'none' | Rule;

/** What a policy file says. */
export interface Policy {
  /** Any one of them suffices. May be empty: then the log is fixed by whoever uses the policy. */
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  readonly quorum: Quorum;
}

/**
 * `none` is what a quorum line says for "nobody". The others are the words of the format itself, which the page would allow as names,
 * and Tessera does not: `group any any any` is a riddle, and a file that one reader takes and another refuses is of no use.
 */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['any', 'all', 'none', 'witness', 'group', 'quorum', 'log']);

/**
 * Reads a policy. Throws NoteError `malformed_policy` with the number of the line and what is wrong with it, and `unknown_algorithm`
 * for a key of a type that is not supported here. Such a witness (ML-DSA, 0x06) is refused and not left out: who can never be seen to
 * sign would count among the silent ones for ever, and a quorum would mean something else here than for everybody else.
 */
export function parsePolicy(text: string | Uint8Array): Policy {
  const bytes = typeof text === 'string' ? utf8(text) : text;
  if (typeof text === 'string' && fromUtf8(bytes) !== text) throw malformed('the text has a lone surrogate');
  if (bytes.length > MAX_POLICY_SIZE)
    throw malformed(`a policy has at most ${MAX_POLICY_SIZE} bytes, not ${bytes.length}`);
  if (bytes.length > 0 && bytes.at(-1) !== LF) throw malformed('the last line does not end with a newline; add one');
  const reader = new PolicyReader();
  splitLines(bytes).forEach((line, i) => {
    const fields = fieldsOf(line, i + 1);
    if (fields.length > 0) reader.read(fields, i + 1);
  });
  return reader.policy();
}

/**
 * Whether the quorum holds. `signed` is asked once about each witness that the quorum depends on, and must say yes only for
 * a signature that was verified. With the quorum `none` it always holds.
 */
export function holdsQuorum({ quorum }: Policy, signed: (witness: PolicyWitness) => boolean): boolean {
  const holds = (rule: Rule): boolean =>
    'witness' in rule ? signed(rule.witness) : rule.members.filter(holds).length >= rule.threshold;
  return quorum === 'none' || holds(quorum);
}

/**
 * Whether these witnesses, silent or lying, could be a quorum by themselves. Under `quorum none` nobody at all is one, and this is
 * true of any set: whoever asks in order to wait for witnesses asks first whether the policy has a quorum.
 */
export const couldBeQuorum: typeof holdsQuorum = holdsQuorum;

const TAB = 0x09;
const LF = 0x0a;
const SPACE = 0x20;
const HASH_SIGN = 0x23;
const DELETE = 0x7f;
/** Scheme, host or address in brackets, port, path of visible ASCII without `#` and `?`. */
const SUBMISSION_PREFIX = /^https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:\/[!-"$->@-~]*)?$/;

/** Collects the lines of one file; each may name only what stands above it, so there can be no cycle. */
class PolicyReader {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  /** Witnesses and groups share their names. */
  readonly #rules = new Map<string, Rule>();
  /** Who is a member already, and of which group: nobody counts twice. */
  readonly #memberOf = new Map<string, string>();
  #quorum: Quorum | undefined;

  read([keyword, ...fields]: readonly string[], line: number): void {
    if (keyword === 'log') this.#readLog(fields, line);
    else if (keyword === 'witness') this.#readWitness(fields, line);
    else if (keyword === 'group') this.#readGroup(fields, line);
    else if (keyword === 'quorum') this.#readQuorum(fields, line);
    else throw malformed(`a line begins with log, witness, group or quorum, not with ${show(keyword)}`, line);
  }

  policy(): Policy {
    if (this.#quorum === undefined)
      throw malformed('there is no quorum line; `quorum none` says that no witness is needed');
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }

  #readLog(fields: readonly string[], line: number): void {
    const [text, url] = fields;
    if (text === undefined || fields.length > 2) throw malformed('a log line is `log VKEY [URL]`', line);
    const key = readKey(text, line);
    if (key.algorithm !== ALGORITHM_ED25519)
      throw malformed(`a log has a key of plain Ed25519 (0x01); ${key.name} has one for cosignatures (0x04)`, line);
    if (this.#logs.some((log) => equalBytes(log.key.publicKey, key.publicKey)))
      throw malformed(`the public key of ${show(key.name)} is that of a log above`, line);
    this.#logs.push({ key, url: readUrl(url, line) });
  }

  #readWitness(fields: readonly string[], line: number): void {
    const [name, text, url] = fields;
    if (name === undefined || text === undefined || fields.length > 3)
      throw malformed('a witness line is `witness NAME VKEY [URL]`', line);
    this.#checkNew(name, line);
    if (this.#witnesses.length === MAX_POLICY_NAMES)
      throw malformed(`a policy has at most ${MAX_POLICY_NAMES} witnesses`, line);
    const key = readKey(text, line);
    if (key.algorithm !== ALGORITHM_COSIGNATURE) {
      // Go's tools take the key of a note and silently use it as this one; its owner has to say that it is the same.
      const { text: other } = makeVerifierKey(key.name, key.publicKey, ALGORITHM_COSIGNATURE);
      throw malformed(
        `insist on 0x04: the key of witness ${show(name)} is one for notes (0x01), and cosignatures are by a key of type 0x04. ` +
          `With the same public key it would be ${other}; ask the witness's operator whether it is`,
        line,
      );
    }
    const same = this.#witnesses.find((witness) => equalBytes(witness.key.publicKey, key.publicKey));
    if (same !== undefined)
      throw malformed(`witness ${show(name)} has the public key of witness ${show(same.name)}`, line);
    const witness = { name, key, url: readUrl(url, line) };
    this.#witnesses.push(witness);
    this.#rules.set(name, { name, witness });
  }

  #readGroup(fields: readonly string[], line: number): void {
    const [name, count, ...names] = fields;
    if (name === undefined || count === undefined || names.length === 0)
      throw malformed('a group line is `group NAME any|all|NUMBER MEMBER …`', line);
    this.#checkNew(name, line);
    if (this.#rules.size - this.#witnesses.length === MAX_POLICY_NAMES)
      throw malformed(`a policy has at most ${MAX_POLICY_NAMES} groups`, line);
    const threshold = readThreshold(count, names.length, line);
    const members = names.map((member): Rule => {
      const rule = this.#rules.get(member);
      if (rule === undefined) throw malformed(`no line above defines the member ${show(member)}`, line);
      const group = this.#memberOf.get(member);
      if (group !== undefined) throw malformed(`${show(member)} is a member of ${show(group)} already`, line);
      this.#memberOf.set(member, name);
      return rule;
    });
    this.#rules.set(name, { name, threshold, members });
  }

  #readQuorum(fields: readonly string[], line: number): void {
    const [name] = fields;
    if (name === undefined || fields.length > 1)
      throw malformed('a quorum line is `quorum NAME` or `quorum none`', line);
    if (this.#quorum !== undefined) throw malformed('this is the second quorum line', line);
    const rule = name === 'none' ? name : this.#rules.get(name);
    if (rule === undefined) throw malformed(`no line above defines ${show(name)}`, line);
    this.#quorum = rule;
  }

  #checkNew(name: string, line: number): void {
    if (RESERVED_NAMES.has(name)) throw malformed(`${name} is a word of policies and cannot be a name`, line);
    if (name.includes('#')) throw malformed(`the name ${show(name)} has a #, where some readers begin a comment`, line);
    if (this.#rules.has(name)) throw malformed(`a line above defines ${show(name)} already`, line);
  }
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let begin = 0; begin < bytes.length; ) {
    const end = bytes.indexOf(LF, begin);
    lines.push(bytes.subarray(begin, end));
    begin = end + 1;
  }
  return lines;
}

/** The fields of a line, none for an empty one and for a comment. Even a comment has only the bytes that a policy may have. */
function fieldsOf(bytes: Uint8Array, line: number): string[] {
  const bad = bytes.find((byte) => (byte < SPACE && byte !== TAB) || byte === DELETE);
  if (bad === 0x0d) throw malformed('there is a carriage return; lines end with a line feed alone', line);
  if (bad !== undefined) throw malformed(`there is a control character, ${bad}`, line);
  const fields: string[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (isBlank(bytes[at])) continue;
    if (fields.length === 0 && bytes[at] === HASH_SIGN) return [];
    const begin = at;
    while (at < bytes.length && !isBlank(bytes[at])) at++;
    fields.push(textOf(bytes.subarray(begin, at)));
  }
  return fields;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

/** High bytes are opaque. What is not UTF-8 becomes a text that no UTF-8 gives, so that two names are equal only if their bytes are. */
function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    return Array.from(bytes, (byte) => String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte)).join('');
  }
}

function readKey(text: string, line: number): VerifierKey {
  try {
    return parseVerifierKey(text);
  } catch (cause) {
    if (!(cause instanceof NoteError)) throw cause;
    const code = cause.code === 'unknown_algorithm' ? cause.code : 'malformed_policy';
    throw new NoteError(code, `line ${line} of the policy: ${cause.message}`, { cause });
  }
}

/** Paths are put behind it, so it ends before any query, and has nothing secret in it. */
function readUrl(url: string | undefined, line: number): string | undefined {
  if (url !== undefined && !(SUBMISSION_PREFIX.test(url) && URL.canParse(url)))
    throw malformed(
      `an address begins with http:// or https:// and a host and has no query, fragment, user name or blank: ${show(url)}`,
      line,
    );
  return url;
}

function readThreshold(text: string, members: number, line: number): number {
  if (text === 'any') return 1;
  if (text === 'all') return members;
  let threshold = 0;
  try {
    threshold = parseDecimal(text);
  } catch {
    // It stays 0, which is refused below with everything else that is none of 1 to n.
  }
  if (threshold < 1 || threshold > members)
    throw malformed(
      `how many members must sign is any, all or a decimal number from 1 to ${members}, not ${show(text)}`,
      line,
    );
  return threshold;
}

/** Up to 200 characters of a text from the file. */
function show(text: string | undefined): string {
  return JSON.stringify(text?.slice(0, 200) ?? '');
}

function malformed(reason: string, line?: number): NoteError {
  return new NoteError(
    'malformed_policy',
    `${line === undefined ? 'the policy' : `line ${line} of the policy`}: ${reason}`,
  );
}
