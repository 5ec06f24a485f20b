/** Which witnesses a log's heads go to: the policy files (C2SP tlog-policy) that the operator names, and which log each is for. */
import { readFileSync } from 'node:fs';
import { NoteError } from '../../proofs/error.ts';
import type { VerifierKey } from '../../proofs/key.ts';
import { type Policy, type PolicyWitness, parsePolicy } from '../../proofs/policy.ts';
import { EXIT, ExitError } from '../errors.ts';

/** A witness that can be asked. */
export interface AskedWitness extends PolicyWitness {
  /** Submission prefix, without a slash at the end. */
  readonly url: string;
}

/** A policy all of whose witnesses can be asked. */
export interface WitnessPolicy extends Policy {
  readonly witnesses: readonly AskedWitness[];
}

/** Reads policy files. Throws ExitError 2 that names the file and the line. */
export function readWitnessPolicies(paths: readonly string[]): WitnessPolicy[] {
  return paths.map((path) => {
    let text: Uint8Array;
    try {
      text = readFileSync(path);
    } catch (cause) {
      throw new ExitError(EXIT.usage, `cannot read the witness policy ${path}: ${(cause as Error).message}`, { cause });
    }
    try {
      return withUrls(parsePolicy(text));
    } catch (cause) {
      if (!(cause instanceof NoteError)) throw cause;
      throw new ExitError(EXIT.usage, `the witness policy ${path} cannot be used: ${cause.message}`, { cause });
    }
  });
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
