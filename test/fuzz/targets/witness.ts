/** What a witness reads: its own files, and the checkpoints that anybody sends it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '../../../tree/bytes.ts';
import { WitnessedLog } from '../../support/witnessed-log.ts';
import type { Modules } from '../build-modules.ts';
import { pick } from '../mutator.ts';
import { bytesTarget, coded, expect, expectSame, oneOf, type Target, textTarget } from '../target.ts';

export function witnessTargets(
  { cosignedHead, checkOrder, witnessedLogs, ownSignatures, serverErrors, cosignature, note }: Modules,
  folder: string,
): Target[] {
  const log = new WitnessedLog('example.com/logs/main', 16);
  const other = new WitnessedLog('example.com/logs/other', 16, { seed: 2 });
  const verify = ownSignatures.verifyQuickly;
  const cosigner = cosignature.cosigner('witness.example.com/w1', new Uint8Array(32).fill(9));
  const key = cosigner.verifierKey;
  const cosigned = (treeSize: number): string => {
    const checkpoint = log.checkpoint(treeSize);
    const signature = cosigner.cosign(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1), 1_767_225_600);
    return note.addSignatures(checkpoint, [{ name: key.name, keyId: key.keyId, signature }]);
  };
  const heads = [0, 5, 16].map((treeSize) => cosignedHead.openCosignedHead(cosigned(treeSize), key, verify));
  const policy = join(folder, 'logs.txt');
  return [
    bytesTarget({
      name: 'cosigned head',
      covers: ['server/witness/cosigned-head parseHead', 'server/witness/cosigned-head openCosignedHead'],
      good: heads.map(cosignedHead.encodeHead),
      words: ['"time":', '"tree_size":', '"note":"', '\\n', '\\u2014 '],
      cost: 10,
      refuses: oneOf(RangeError),
      read: (input) => {
        const head = cosignedHead.parseHead(input, key, verify);
        expectSame(cosignedHead.encodeHead(head), input);
        expect(
          heads.some(({ note }) => note === head.note),
          'a head that was never cosigned',
        );
      },
    }),
    textTarget({
      name: 'checkpoint for a witness',
      covers: ['server/witness/check-order openSigned', 'server/witness/check-order readHead'],
      good: [0, 1, 5, 16].map((treeSize) => log.checkpoint(treeSize)),
      words: ['\n0\n', '\n5\n', '— ', log.origin],
      cost: 10,
      refuses: coded(serverErrors.ServerError, 'not_signed_by_log', 'malformed_checkpoint', 'unknown_origin'),
      read: (text, random) => {
        const keys = pick(random, [[log.key], [log.key, other.key], undefined]);
        const signed = checkOrder.openSigned({ oldSize: 0, proof: [], checkpoint: text }, keys, verify);
        const head = checkOrder.readHead(signed.text);
        expect(head !== 'impossible' && head.origin === log.origin, 'a text that the log has not signed');
      },
    }),
    bytesTarget({
      name: 'witnessed logs',
      covers: ['server/witness/witnessed-logs readWitnessedLogs', 'server/policy-file readPolicyFile'],
      good: [
        `log ${log.key.text}\nlog ${other.key.text} https://example.com/\nquorum none\n`,
        `# none\nquorum none\n`,
        `witness w ${key.text}\nquorum w\nlog ${log.key.text}\n`,
      ].map(utf8),
      words: ['log ', 'quorum ', 'none', 'witness ', 'group ', '\n', '#', 'PRIVATE+KEY+'],
      cost: 40,
      refuses: oneOf(serverErrors.ExitError),
      read: (input) => {
        writeFileSync(policy, input);
        const logs = witnessedLogs.readWitnessedLogs('policy', policy);
        expect(
          logs.every(({ key: each }) => each.text === log.key.text || each.text === other.key.text),
          'a key that stands nowhere',
        );
      },
    }),
  ];
}
