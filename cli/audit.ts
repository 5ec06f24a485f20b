/** `indelible audit`: a report on every head that a log has signed in a period. */
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { type AuditedHead, type AuditReport, auditHeads, type PeriodEnd } from '../client/audit-heads.ts';
import { formatMicros } from '../proofs/time.ts';
import { replaceWhole } from '../server/files.ts';
import { verifyByOpenssl } from '../server/own-signatures.ts';
import { parseDecimal, toBase64 } from '../tree/bytes.ts';
import { type WatchedFlags, type WatchedLog, watchedLog } from './monitoring/options.ts';
import { EXIT_CODES, EXIT_GOOD, EXIT_WRONG, printable, run, say, usage } from './output.ts';
import { startProgress } from './progress.ts';

interface AuditFlags extends WatchedFlags {
  readonly from?: string;
  readonly to?: string;
  readonly out?: string;
  readonly json?: true;
}

export function auditCommand(): Command {
  return new Command('audit')
    .description('verify every head that a log has signed in a period, and all entries between them; write a report')
    .argument('[URL]', "the log's base URL [INDELIBLE_URL]")
    .option('--vkey <KEY>', "the log's verifier key, from its operator")
    .option('--policy <FILE>', 'trust policy (C2SP tlog-policy): the quorum that every head must have')
    .option(
      '--from <WHEN>',
      'first head: a tree size, or a time such as 2026-03-01 or 2026-03-01T12:00:00Z (default the first one)',
    )
    .option('--to <WHEN>', 'last head, in the same way; a date is its end (default the newest one)')
    .option('--key <KEY>', 'API key; that of the environment goes to the server of INDELIBLE_URL only')
    .option('--out <FILE>', 'write the report to a file, and fraud proofs beside it')
    .option('--json', 'the report as one JSON object')
    .addHelpText(
      'after',
      `
Each head is verified by its signature, and by the quorum where there is a policy; the tree is rebuilt from the entries between the
first head and the last, and compared with every head on the way; the last one is proven to be the beginning of the newest. Times of heads
are what the log says of them, signed where the report says so. The list of heads is the log's own: a monitor that ran meanwhile knows whether one is missing.
${EXIT_CODES}

Examples:
  $ indelible audit http://127.0.0.1:8080/logs/main --vkey "$VKEY" --from 2026-01-01 --to 2026-03-31 --out q1.txt
  $ indelible audit --vkey "$VKEY" --policy policy.txt --from 0 --to 100000 --json`,
    )
    .action((url: string | undefined, flags: AuditFlags) => run(flags.json === true, () => audit(url, flags)));
}

async function audit(given: string | undefined, flags: AuditFlags): Promise<number> {
  const from = flags.from === undefined ? undefined : parsePeriodEnd(flags.from, '--from', false);
  const to = flags.to === undefined ? undefined : parsePeriodEnd(flags.to, '--to', true);
  const log = watchedLog(given, flags);
  const progress = startProgress('auditing', undefined, flags.json === true);
  const report = await auditHeads({
    transport: log.transport,
    key: log.key,
    policy: log.policy,
    from,
    to,
    verify: verifyByOpenssl,
    onProgress: (heads) => progress.update(heads, heads),
  }).finally(() => progress.stop());
  const text =
    flags.json === true ? `${JSON.stringify(reportMembers(report, log, flags))}\n` : reportText(report, log, flags);
  if (flags.out === undefined) say(text.trimEnd());
  else {
    for (const [i, fraud] of report.frauds.entries()) await replaceWhole(`${flags.out}.${i + 1}.fraud-proof`, fraud);
    await writeFile(flags.out, text);
    if (flags.json !== true) say(`${verdict(report)}: ${flags.out}`);
  }
  return report.problemCount === 0 ? EXIT_GOOD : EXIT_WRONG;
}

/** A tree size, a date, or a time in UTC; of a date its first moment or, for an end, its last. Throws CliError `usage`. */
export function parsePeriodEnd(text: string, flag: string, isEnd: boolean): PeriodEnd {
  if (/^[0-9]+$/.test(text)) {
    try {
      return { treeSize: parseDecimal(text) };
    } catch (cause) {
      throw usage(`${flag}: ${text} is no tree size: a number from 0 to 2^53 - 1`, cause);
    }
  }
  const match = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z)?$/.exec(text);
  const time = match === null ? Number.NaN : Date.parse(match[2] === undefined ? `${text}T00:00:00Z` : text);
  // Date.parse carries 30 February over to March; writing the day again shows it.
  if (Number.isNaN(time) || time < 0 || !new Date(time).toISOString().startsWith(match?.[1] ?? ' '))
    throw usage(`${flag} is a tree size, a date such as 2026-03-01, or a time in UTC such as 2026-03-01T12:00:00Z`);
  return { time: isEnd && match?.[2] === undefined ? time + 86_400_000 - 1 : time };
}

function verdict({ problemCount }: AuditReport): 'good' | 'wrong' {
  return problemCount === 0 ? 'good' : 'wrong';
}

function headMembers({ treeSize, rootHash, time, timeSigned }: AuditedHead): Record<string, unknown> {
  return {
    tree_size: treeSize,
    root_hash: toBase64(rootHash),
    time: new Date(time).toISOString(),
    time_signed: timeSigned,
  };
}

function reportMembers(
  report: AuditReport,
  { url, key, policy }: WatchedLog,
  flags: AuditFlags,
): Record<string, unknown> {
  const { received, newest } = report;
  return {
    type: 'indelible/audit-report/v1',
    ok: report.problemCount === 0,
    verdict: verdict(report),
    made_at: new Date().toISOString(),
    url,
    origin: report.origin,
    verifier_key: key.text,
    policy_witnesses: policy?.witnesses.map(({ name, key: witness }) => ({ name, verifier_key: witness.text })) ?? null,
    from: flags.from ?? null,
    to: flags.to ?? null,
    heads: report.heads,
    heads_cosigned: report.cosigned ?? null,
    first: headMembers(report.first),
    last: headMembers(report.last),
    newest: { tree_size: newest.treeSize, root_hash: toBase64(newest.rootHash), checkpoint: newest.note },
    entries: report.entries,
    received:
      received === undefined ? null : { first: formatMicros(received.first), last: formatMicros(received.last) },
    longest_gap_seconds: report.longestGap / 1000,
    problems: report.problems.map(({ code, treeSize, message }) => ({ code, tree_size: treeSize, message })),
    problem_count: report.problemCount,
    fraud_proofs: report.frauds,
  };
}

function reportText(report: AuditReport, { url, key, policy }: WatchedLog, flags: AuditFlags): string {
  const { first, last, newest, received, problems, problemCount } = report;
  const headLine = ({ treeSize, rootHash, time, timeSigned }: AuditedHead) =>
    `${treeSize} entries, ${toBase64(rootHash)}, ${new Date(time).toISOString()} (${timeSigned ? 'signed' : 'as the log says'})`;
  const quorum =
    report.cosigned === undefined
      ? 'no policy was given: the log alone vouches for its heads'
      : `${report.cosigned} of ${report.heads} heads have the quorum of ${policy?.witnesses.length ?? 0} witnesses`;
  const rows: readonly (readonly [string, string])[] = [
    ['Log', report.origin],
    ['Asked at', url],
    ['Verifier key', key.text],
    ['Period', `from ${flags.from ?? 'the first head'} to ${flags.to ?? 'the newest head'}`],
    ['First head', headLine(first)],
    ['Last head', headLine(last)],
    ['Heads', `${report.heads} verified; the longest time between two is ${report.longestGap / 1000} s`],
    ['Cosignatures', quorum],
    ['Entries', `${report.entries} read, and compared with every head on the way`],
    [
      'Received',
      received === undefined ? 'nothing' : `${formatMicros(received.first)} to ${formatMicros(received.last)}`,
    ],
    ['Newest head', `${newest.treeSize} entries, ${toBase64(newest.rootHash)}`],
    ['Verdict', problemCount === 0 ? 'GOOD: all of it goes together' : `WRONG: ${problemCount} problems`],
  ];
  const lines = [
    'Audit report',
    '============',
    '',
    ...rows.map(([name, value]) => `${`${name}:`.padEnd(14)} ${printable(value)}`),
  ];
  if (problems.length > 0) {
    lines.push('', 'Problems', '--------');
    for (const { code, treeSize, message } of problems) lines.push(printable(`size ${treeSize}: ${code}: ${message}`));
    if (problemCount > problems.length) lines.push(`… and ${problemCount - problems.length} more`);
  }
  for (const [i, fraud] of report.frauds.entries()) {
    const place = flags.out === undefined ? '' : `, also in ${flags.out}.${i + 1}.fraud-proof`;
    lines.push('', `Fraud proof ${i + 1}${place}`, '-------------', fraud.trimEnd());
  }
  lines.push('', `Made at ${new Date().toISOString()} by indelible audit.`);
  return `${lines.join('\n')}\n`;
}
