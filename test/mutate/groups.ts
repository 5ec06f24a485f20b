/** What is mutated, and the tests that judge it: those that run the mutated code in their own process, and quickly. */

export interface Group {
  readonly name: string;
  /** Files that are mutated. */
  readonly mutate: readonly string[];
  /** Test files under test/, without their ending; the quickest first. */
  readonly tests: readonly string[];
}

export const GROUPS: readonly Group[] = [
  { name: 'inclusion', mutate: ['proofs/inclusion.ts'], tests: ['proofs/merkle-vectors', 'proofs/inclusion'] },
  { name: 'consistency', mutate: ['proofs/consistency.ts'], tests: ['proofs/merkle-vectors', 'proofs/consistency'] },
  { name: 'note', mutate: ['proofs/note.ts', 'proofs/cosignature.ts'], tests: ['proofs/note', 'proofs/cosignature'] },
  { name: 'checkpoint', mutate: ['proofs/checkpoint.ts'], tests: ['proofs/checkpoint'] },
  { name: 'policy', mutate: ['proofs/policy.ts'], tests: ['proofs/policy'] },
  {
    name: 'witnessed',
    mutate: ['proofs/witnessed.ts', 'proofs/add-checkpoint.ts'],
    tests: ['proofs/add-checkpoint', 'proofs/witnessed'],
  },
  { name: 'rotation', mutate: ['proofs/rotation.ts'], tests: ['proofs/rotation'] },
  { name: 'tlog-proof', mutate: ['proofs/tlog-proof.ts', 'proofs/preamble.ts'], tests: ['proofs/tlog-proof'] },
  {
    name: 'signatures',
    mutate: ['proofs/ed25519.ts', 'proofs/tree-head-signature.ts', 'server/own-signatures.ts'],
    tests: ['proofs/ed25519', 'proofs/tree-head-signature', 'server/own-signatures', 'server/key-rotation'],
  },
  { name: 'start-rules', mutate: ['server/start-rules.ts'], tests: ['server/start-rules'] },
  { name: 'guard', mutate: ['server/guard.ts'], tests: ['server/guard', 'server/data-directory'] },
  {
    name: 'sequencer',
    mutate: ['server/sequencer.ts', 'server/backlog.ts'],
    tests: ['server/sequencer', 'server/free-space', 'server/publisher'],
  },
  {
    name: 'committer',
    mutate: ['server/committer.ts'],
    tests: ['server/committer', 'server/sequencer', 'server/recovery'],
  },
  {
    name: 'recovery',
    mutate: ['server/recovery.ts'],
    tests: ['server/recovery', 'server/log-life', 'server/key-rotation', 'server/cosigning/cosigning'],
  },
  {
    name: 'read-back',
    mutate: ['server/read-back.ts'],
    tests: ['server/read-back', 'server/publisher', 'server/key-rotation'],
  },
  {
    name: 'wal-scan',
    mutate: ['server/storage/wal-scan.ts', 'server/storage/table-lookup.ts'],
    tests: ['server/storage/table-lookup', 'server/storage/wal-scan'],
  },
  { name: 'heads', mutate: ['server/heads.ts'], tests: ['server/heads'] },
  { name: 'adopt', mutate: ['server/adopt.ts'], tests: ['server/data-directory'] },
];
