/**
 * Which exported functions read what somebody else may have written. Each is fuzzed by a target that names it, or stands in the list
 * below with the reason why not; one that is new and in neither is a violation, so that no parser is forgotten.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/spawn-server.ts';

const FOLDERS = ['tree', 'proofs', 'proto', 'client', 'server', 'cli'];
const EXPORTED = /^export (?:async )?function\*? ([A-Za-z0-9]+)/gm;
/** How readers are called here. */
const READS =
  /^(?:parse|decode|open|verify|read|check|scan|split|unseal|unsnappy|from|hashFrom|rebuild|eventId$|load|inspect)/;

const PARTS = 'reads rows by parsers that are fuzzed; with damaged ones by the harness damage';
const FSCK = 'compares what fuzzed parsers have read; with damaged directories by the tests of fsck';

/** Named like readers and not fuzzed here, and why. */
export const EXEMPT: Readonly<Record<string, string>> = {
  'tree/positions splitPoint': 'arithmetic on a number that callers have checked',
  'proofs/key checkKeyId': 'a part of the parsers of keys, which are fuzzed',
  'proofs/key splitSignerKey': 'a part of the parsers of private keys, which are fuzzed',
  'proofs/range checkNumber': 'a part of the verifiers of proofs, which are fuzzed',
  'proofs/range checkHashes': 'a part of the verifiers of proofs, which are fuzzed',
  'client/check-reply openSigned': 'openCheckpoint or openWitnessed, which are fuzzed',
  'client/known-head checkHead': 'is given checkpoints that are verified; every case in test/client',
  'cli/options openAdmin': 'makes a client; reads nothing',
  'cli/options openLog': 'makes a client; reads the memory file, which is fuzzed',
  'cli/options openMemory': 'names the memory file, which is fuzzed',
  'cli/options parseLeafIndex': 'parseDecimal, which is fuzzed, with the error of the command line',
  'cli/verify verifyCommand': 'a command over openEventReply and openTlogProof, which are fuzzed',
  'server/by-hash/opening openSecret': PARTS,
  'server/by-hash/opening readLogs': PARTS,
  'server/check/edge checkEdge': FSCK,
  'server/check/ids checkRawIds': FSCK,
  'server/check/log-check checkLog': FSCK,
  'server/check/server-rows checkApiKeys': FSCK,
  'server/check/server-rows checkCommits': FSCK,
  'server/check/server-rows checkDefinitions': FSCK,
  'server/check/server-rows checkOtherRows': FSCK,
  'server/check/server-rows checkStoreRow': FSCK,
  'server/check/server-rows checkSum': FSCK,
  'server/check/store-check checkStore': FSCK,
  'server/check/strays checkStrays': FSCK,
  'server/files readAtMost': 'bytes, of which it knows nothing',
  'server/fsck checkDataDirectory': FSCK,
  'server/data-directory inspect': 'looks which files there are',
  'server/data-directory openDataDirectory': 'a start; with damaged directories by the harness damage',
  'server/entry readEntries': PARTS,
  'server/cosigning/policies readWitnessPolicies': 'readPolicyFile, which is fuzzed, with other lines',
  'server/cosigning/withheld parseWithheld': PARTS,
  'server/cosigning/withheld readWithheld': PARTS,
  'server/heads readHead': PARTS,
  'server/http/health readyz': 'a route: the harness fuzz-http',
  'server/http/heads checkpoint': 'a route: the harness fuzz-http',
  'server/http/request readBody': 'takes what the parser of HTTP gives: the harness fuzz-http',
  'server/http/tls loadTls': 'OpenSSL reads the files; every fault of theirs in test/server/http/tls.test.ts',
  'server/log-state loadLogState': PARTS,
  'server/log-state openLeaves': PARTS,
  'server/log-state readEdge': PARTS,
  'server/log-state verifyGrowth': PARTS,
  'server/openssl-signer opensslSigner': 'makes a signer; reads nothing',
  'server/own-signatures checkTreeHeadSignature': 'compared with the core in test/server/own-signatures.test.ts',
  'server/own-signatures openOwnCheckpoint': 'compared with the core in test/server/own-signatures.test.ts',
  'server/recovery readChain': PARTS,
  'server/start openLogServer': 'a start; with damaged directories by the harness damage',
  'server/storage/derived-level openDerivedLevel': 'opens a LevelDB that may be thrown away',
  'server/storage/keys openKey': 'spells a key; reads nothing',
  'server/storage/level openLevelStore': 'opens a LevelDB; its files are fuzzed where we read them',
  'server/used-ids readUsedIds': PARTS,
  'server/witness/witness-directory inspectWitness': 'looks which files there are',
  'server/witness/witness-directory openWitnessDirectory': 'a start; every damage in test/server/witness',
};

/** Every exported function, as FILE NAME. */
export function exportedFunctions(): string[] {
  const found: string[] = [];
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.startsWith('generated')) continue;
      const source = readFileSync(join(ROOT, folder, name), 'utf8');
      for (const [, each] of source.matchAll(EXPORTED)) found.push(`${folder}/${name.slice(0, -3)} ${each}`);
    }
  }
  return found.sort();
}

/** What is wrong with the table: readers that nobody fuzzes, and names that nobody exports any more. */
export function tableFaults(covered: readonly string[]): string[] {
  const all = exportedFunctions();
  const exported = new Set(all);
  const known = new Set([...covered, ...Object.keys(EXEMPT)]);
  return [
    ...all
      .filter((name) => READS.test(name.split(' ')[1] as string) && !known.has(name))
      .map((reader) => `no target reads with ${reader}: give it one, or a reason in test/fuzz/readers.ts`),
    ...[...known].filter((name) => !exported.has(name)).map((name) => `${name} is in the table and exported by nobody`),
    ...covered.filter((name) => EXEMPT[name] !== undefined).map((name) => `${name} is fuzzed and exempt`),
  ];
}
