/** `indelible verify`: entries by leaf index, saved answers without the server, or the whole log. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { trimEvent } from '../client/append-body.ts';
import { auditLog } from '../client/audit.ts';
import { openEventReply, openTlogProof, type ProvenEntry } from '../client/check-reply.ts';
import { ClientError } from '../client/error.ts';
import { knownHead } from '../client/known-head.ts';
import type { LogClient } from '../client/log-client.ts';
import { parseEntryLine, parseEventReply } from '../client/replies.ts';
import { baseUrl } from '../client/transport.ts';
import { isFraudProof, type ProvenFraud, parseFraudProof, verifyFraudProof } from '../proofs/fraud-proof.ts';
import { parseVerifierKey, type VerifierKey } from '../proofs/key.ts';
import { parseTlogProof } from '../proofs/tlog-proof.ts';
import { equalBytes, parseDecimal, toBase64 } from '../tree/bytes.ts';
import type { MemoryFile } from './memory-file.ts';
import { givenKey, givenPolicy, type LogFlags, openLog, openMemory, withLogOptions } from './options.ts';
import {
  CliError,
  describeError,
  EXIT_CODES,
  EXIT_GOOD,
  EXIT_WRONG,
  errorMembers,
  exitCodeOf,
  note,
  printable,
  run,
  say,
  usage,
} from './output.ts';
import { startProgress } from './progress.ts';
import { provenLine, provenMembers, signedBy } from './proven.ts';

interface VerifyFlags extends LogFlags {
  readonly all?: true;
  readonly event?: string;
  readonly entry?: string;
}

export function verifyCommand(): Command {
  return withLogOptions(
    new Command('verify')
      .description('verify entries, by leaf index, from saved answers, or all of a log; and fraud proofs')
      .argument(
        '[TARGET...]',
        'a leaf index, a file with a saved answer of GET events/INDEX (- is stdin), a .tlog-proof, or a fraud proof',
      )
      .option(
        '--all',
        'every entry of the log: rebuild all leaves and the root hash, and compare it with the signed one',
      )
      .option('--entry <FILE>', 'the entry that a .tlog-proof is for: a saved answer, or a line of GET events?from=')
      .option('--event <FILE>', 'also check that the entry is this event, byte for byte'),
  )
    .addHelpText(
      'after',
      `
Files are verified without the server, with --vkey or with the key pinned earlier for --url or for the log's origin.
Without any key nothing can be trusted, and the exit code is 2. Of several targets all are tried: the exit code is 1 if one is
wrong. A file whose name is a number is written ./7.
A fraud proof that holds is proven (0): it shows that the log has signed two heads that cannot both be true. One that does not is 1.
${EXIT_CODES}

Examples:
  $ indelible verify 7 --url http://127.0.0.1:8080/logs/main --key ind_…
  $ indelible verify event-7.json --vkey 'example.com/logs/main+1234abcd+AZ…'
  $ indelible verify event-7.json --event original.json
  $ indelible verify 7.tlog-proof --entry event-7.json
  $ indelible verify --all`,
    )
    .action((targets: string[], flags: VerifyFlags) => run(flags.json === true, () => verify(targets, flags)));
}

async function verify(targets: readonly string[], flags: VerifyFlags): Promise<number> {
  if (flags.all === true ? targets.length > 0 : targets.length === 0)
    throw usage('give leaf indexes or files to verify, or --all alone');
  if (flags.event !== undefined && targets.length !== 1) throw usage('--event goes with exactly one target');
  if (flags.entry !== undefined && !(targets.length === 1 && targets[0]?.endsWith('.tlog-proof') === true))
    throw usage('--entry goes with exactly one target, a .tlog-proof');
  const memory = openMemory();
  if (flags.all === true) return await verifyAll(flags, memory);
  const event = flags.event === undefined ? undefined : trimEvent(await readFile(flags.event));
  const codes = new Set<number>();
  let client: Promise<LogClient> | undefined;
  for (const target of targets) {
    try {
      const online = /^[0-9]+$/.test(target);
      if (online) client ??= openLog(flags, memory);
      const verified = online
        ? await verifyOnline(target, await (client as Promise<LogClient>))
        : await verifyFile(target, flags, memory);
      if ('fraud' in verified) {
        if (event !== undefined) throw usage(`${target} is a fraud proof, and not about an event`);
        if (flags.json === true) say(JSON.stringify({ target, ...fraudMembers(verified) }));
        else for (const line of fraudLines(target, verified)) say(printable(line));
        codes.add(EXIT_GOOD);
        continue;
      }
      const { proven, key } = verified;
      if (event !== undefined && !equalBytes(event, proven.event))
        throw new CliError('event_differs', `the log holds another event than ${flags.event}`);
      if (flags.json === true) say(JSON.stringify({ target, ...provenMembers(proven, key) }));
      else say(`${target}: proven: ${provenLine(proven, key)}${event === undefined ? '' : `, and is ${flags.event}`}`);
      codes.add(EXIT_GOOD);
    } catch (error) {
      const code = exitCodeOf(error);
      if (code > 3) throw error;
      if (flags.json === true) say(JSON.stringify({ target, ...errorMembers(error) }));
      else say(`${target}: ${code === EXIT_WRONG ? 'WRONG' : 'not verified'}: ${describeError(error)}`);
      codes.add(code);
    }
  }
  // One lie counts more than any number of answers that did not come.
  return codes.has(EXIT_WRONG) ? EXIT_WRONG : Math.max(...codes);
}

interface Verified {
  readonly proven: ProvenEntry;
  readonly key: VerifierKey;
}

interface VerifiedFraud {
  readonly fraud: ProvenFraud;
  readonly key: VerifierKey;
}

async function verifyOnline(target: string, client: LogClient): Promise<Verified> {
  let leafIndex: number;
  try {
    leafIndex = parseDecimal(target);
  } catch (cause) {
    throw usage(`${target} is not a leaf index; a file of that name is ./${target}`, cause);
  }
  return { proven: await client.event(leafIndex), key: await client.verifierKey() };
}

async function verifyFile(path: string, flags: VerifyFlags, memory: MemoryFile): Promise<Verified | VerifiedFraud> {
  const reply = path === '-' ? await readStdin() : Uint8Array.from(await readFile(path));
  if (isFraudProof(reply)) {
    const fraud = parseFraudProof(reply);
    const key = await offlineKey(fraud.first, flags, memory);
    return { fraud: verifyFraudProof(fraud, [key]), key };
  }
  const policy = flags.policy === undefined ? undefined : givenPolicy(flags.policy);
  let key: VerifierKey;
  let proven: ProvenEntry;
  if (path.endsWith('.tlog-proof')) {
    if (flags.entry === undefined) throw usage(`${path} does not hold the entry itself: give it with --entry`);
    const entry = parseEntryLine(Uint8Array.from(await readFile(flags.entry)));
    key = await offlineKey(parseTlogProof(reply).checkpoint, flags, memory);
    proven = openTlogProof(reply, entry, key, policy);
  } else {
    key = await offlineKey(parseEventReply(reply).head.checkpoint, flags, memory);
    proven = openEventReply(reply, key, policy);
  }
  const known = await knownHead(memory, key);
  const { checkpoint } = proven;
  // Other sizes can only be compared with a proof, which only the log can give.
  if (known?.treeSize === checkpoint.treeSize && !equalBytes(known.rootHash, checkpoint.rootHash))
    throw new ClientError(
      'split_view',
      `two different trees of size ${known.treeSize} are signed by the key of ${key.name}`,
      {
        heads: { remembered: known.note, received: checkpoint.note },
      },
    );
  return { proven, key };
}

/** What a fraud proof has shown, in words for somebody who has never seen one. */
function fraudLines(target: string, { fraud: { first, second, otherRoot }, key }: VerifiedFraud): string[] {
  const same = first.treeSize === second.treeSize;
  const signed = signedBy(key);
  return [
    `${target}: PROVEN FRAUD: the log ${key.name} has shown two histories`,
    `  one head:   ${first.treeSize} entries, root hash ${toBase64(first.rootHash)}, ${signed}`,
    `  the other:  ${second.treeSize} entries, root hash ${toBase64(second.rootHash)}, ${signed}`,
    same
      ? '  Both are signed, and one list of entries has one root hash: at least one of the two was shown to somebody and denied to others.'
      : `  Both are signed. The first ${first.treeSize} entries of the other tree have the root hash ${toBase64(otherRoot)} by the consistency ` +
        'proof in this file, which is not the signed one: entries were changed, removed or put in after they had been signed.',
    '  Only the holder of the key can have made them. Keep the file: anybody can check it with the verifier key alone.',
  ];
}

function fraudMembers({ fraud: { first, second, otherRoot }, key }: VerifiedFraud): Record<string, unknown> {
  const head = ({ treeSize, rootHash, note: checkpoint }: ProvenFraud['first']) => ({
    tree_size: treeSize,
    root_hash: toBase64(rootHash),
    checkpoint,
  });
  return {
    ok: true,
    fraud: first.treeSize === second.treeSize ? 'split_view' : 'inconsistent',
    origin: key.name,
    verifier_key: key.text,
    first: head(first),
    second: head(second),
    other_root_hash: toBase64(otherRoot),
  };
}

/** The given key, else the one pinned for --url, else the one pinned for the origin, whatever the URL. Never from the file itself. */
async function offlineKey(checkpoint: string, flags: VerifyFlags, memory: MemoryFile): Promise<VerifierKey> {
  if (flags.vkey !== undefined) return givenKey(flags.vkey);
  const pin = flags.url === undefined ? undefined : await memory.readPin(baseUrl(flags.url));
  if (pin !== undefined) return parseVerifierKey(pin);
  const [origin = ''] = checkpoint.split('\n', 1);
  const pinned = (await memory.pins()).filter(([, text]) => parseVerifierKey(text).name === origin);
  const texts = new Set(pinned.map(([, text]) => text));
  const [first] = pinned;
  if (first === undefined || texts.size > 1) {
    throw new ClientError(
      'unpinned',
      `${texts.size > 1 ? 'several keys are' : 'no key is'} pinned for ${JSON.stringify(origin)}, so this can not be trusted: ` +
        "give --vkey, from the log's operator",
    );
  }
  note(`with the key pinned for ${printable(first[0])}`);
  return parseVerifierKey(first[1]);
}

async function readStdin(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  return Uint8Array.from(Buffer.concat(parts));
}

async function verifyAll(flags: VerifyFlags, memory: MemoryFile): Promise<number> {
  const client = await openLog(flags, memory);
  // The head first, so that the bar knows its end.
  const { treeSize } = await client.checkpoint();
  const progress = startProgress('verifying', treeSize, flags.json === true);
  const checkpoint = await auditLog(client, {
    onProgress: (read) => progress.update(read, read),
  }).finally(() => progress.stop());
  const key = await client.verifierKey();
  if (flags.json === true)
    say(
      JSON.stringify({
        ok: true,
        entries: checkpoint.treeSize,
        origin: checkpoint.origin,
        verifier_key: key.text,
        tree_size: checkpoint.treeSize,
        root_hash: toBase64(checkpoint.rootHash),
      }),
    );
  else
    say(
      `all ${checkpoint.treeSize} entries proven: they make the root hash ${toBase64(checkpoint.rootHash)} ${signedBy(key)}`,
    );
  return EXIT_GOOD;
}
