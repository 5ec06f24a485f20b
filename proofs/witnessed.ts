/**
 * Checkpoints with cosignatures, judged by a policy: the log's signature, a signature of each witness that claims one, the quorum.
 *
 * Times are what witnesses say, and how old one may be is for the caller. A cosignature of time 0 is verified and does not
 * count: it does not say that the head was the newest one known.
 */
import { type Checkpoint, openCheckpointWith } from './checkpoint.ts';
import { cosignatureTime } from './cosignature.ts';
import { NoteError } from './error.ts';
import type { VerifierKey, Verify } from './key.ts';
import { holdsQuorum, type Policy, type PolicyWitness } from './policy.ts';

/** A witness that signed, and when it says that it did, in seconds since the Unix epoch, 1 or more. */
export interface Cosigned {
  readonly witness: PolicyWitness;
  readonly time: number;
}

/** A checkpoint of which the log's signature and all these cosignatures were verified, in the order of the note. */
export interface WitnessedCheckpoint extends Checkpoint {
  readonly cosignatures: readonly Cosigned[];
}

/**
 * Verifies a checkpoint as `openCheckpoint` does, then each line by a witness of the policy, then the quorum.
 * Throws NoteError: as `openCosigned` does, and `quorum_not_met`, which names who signed and who did not.
 */
export function openWitnessed(
  note: string | Uint8Array,
  key: VerifierKey,
  policy: Policy,
  verify?: Verify,
): WitnessedCheckpoint {
  const checkpoint = openCosigned(note, key, policy, verify);
  const hasSigned = (witness: PolicyWitness) => checkpoint.cosignatures.some((each) => each.witness === witness);
  if (!holdsQuorum(policy, hasSigned)) {
    const names = (witnesses: readonly PolicyWitness[]) => witnesses.map(({ name }) => name).join(', ') || 'nobody';
    throw new NoteError(
      'quorum_not_met',
      `the head of size ${checkpoint.treeSize} has no quorum: it is cosigned by ${names(policy.witnesses.filter(hasSigned))}; ` +
        `missing: ${names(policy.witnesses.filter((witness) => !hasSigned(witness)))}`,
    );
  }
  return checkpoint;
}

/**
 * The same without asking for the quorum. One bad line that claims a witness of the policy makes the whole note bad; lines by others
 * are ignored. Throws NoteError: all that `openCheckpoint` throws; `unknown_signer` also where the policy lists logs and not this one.
 */
export function openCosigned(
  note: string | Uint8Array,
  key: VerifierKey,
  policy: Policy,
  verify?: Verify,
): WitnessedCheckpoint {
  if (policy.logs.length > 0 && !policy.logs.some((log) => log.key.text === key.text))
    throw new NoteError('unknown_signer', `the policy lists logs, and none of them has the key ${key.text}`);
  const witnesses = policy.witnesses.map((witness) => witness.key);
  const { checkpoint, others } = openCheckpointWith(note, key, witnesses, verify);
  const cosignatures: Cosigned[] = [];
  for (const { name, keyId, signature } of others) {
    const time = cosignatureTime(signature);
    const witness = policy.witnesses.find((each) => each.key.name === name && each.key.keyId === keyId);
    if (time > 0 && witness !== undefined) cosignatures.push({ witness, time });
  }
  return { ...checkpoint, cosignatures };
}
