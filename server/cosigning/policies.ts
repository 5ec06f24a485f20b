/** Which witnesses a log's heads go to: the policy files (C2SP tlog-policy) that the operator names, and which log each is for. */
import { NoteError } from '../../proofs/error.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import type { Policy, PolicyWitness } from '../../proofs/policy.ts';
import { readPolicyFile } from '../policy-file.ts';

/** A witness that can be asked. */
export interface AskedWitness extends PolicyWitness {
  /** Submission prefix, without a slash at the end. */
  readonly url: string;
}

/** A policy all of whose witnesses can be asked. */
export interface WitnessPolicy extends Policy {
  readonly witnesses: readonly AskedWitness[];
}

const WITNESSES = {
  what: 'a policy with witnesses',
  hint: 'It has a line `witness NAME VKEY URL` for each witness, and one line `quorum NAME`',
};

/** Reads the files that `--witness-policy` names. Throws ExitError 2 that says what is wrong with one, and where. */
export function readWitnessPolicies(paths: readonly string[]): WitnessPolicy[] {
  return paths.map((path) => readPolicyFile('witness-policy', path, WITNESSES, withUrls));
}

function withUrls(policy: Policy): WitnessPolicy {
  const witnesses = policy.witnesses.map((witness): AskedWitness => {
    const { url } = witness;
    if (url === undefined)
      throw new NoteError('malformed_policy', `the witness ${witness.name} has no URL, so it cannot be asked`);
    return { ...witness, url: url.replace(/\/+$/, '') };
  });
  if (witnesses.length === 0) throw new NoteError('malformed_policy', 'it names no witness');
  return { ...policy, witnesses };
}

/** The policy of a log: the first that names a key of it, else the first that names no log at all. */
export function policyOf(policies: readonly WitnessPolicy[], keys: readonly VerifierKey[]): WitnessPolicy | undefined {
  const texts = new Set(keys.map(({ text }) => text));
  return (
    policies.find(({ logs }) => logs.some(({ key }) => texts.has(key.text))) ??
    policies.find(({ logs }) => logs.length === 0)
  );
}
