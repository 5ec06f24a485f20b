/** Single entries, each durable before it is answered, against Tessera, which collects them for up to a second. */
import { rawEntries } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { cpu, rate, type Writing, writeBareHttp, writeIndelible, writeTessera } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';
import type { Peer } from '../subjects/subject.ts';
import { findTessera } from '../subjects/tessera.ts';

/** What is claimed, and what is only shown. */
const CASES = [
  { connections: 256, size: 200, claimed: true, quick: true },
  { connections: 1024, size: 200, claimed: true, quick: false },
  { connections: 256, size: 1024, claimed: false, quick: false },
] as const;

type Case = (typeof CASES)[number];

const under = ({ connections, size }: Case): string => `${connections} connections, ${size} B`;
const inBareRequests = (each: Case): string => `CPU per write, ${under(each)}, in bare requests`;

export const scenario: Scenario = {
  id: 'a',
  title: 'single entries, one a request, raw',
  quick: true,
  async run(bench: Bench): Promise<Finding> {
    const peer = findTessera(bench);
    const findings: Finding[] = [];
    const runs = (each: Case): boolean => each.quick || bench.mode === 'full';
    for (const each of CASES.filter(runs)) findings.push(await runCase(bench, peer, each));
    return {
      series: findings.flatMap(({ series }) => series),
      ratios: findings.flatMap((finding) => finding.ratios),
      found: findings.reduce((sum, { found = 0 }) => sum + found, 0),
      skipped: 'missing' in peer ? [peer.missing] : [],
      absent: CASES.filter((each) => !runs(each)).map(inBareRequests),
    };
  },
};

async function runCase(bench: Bench, peer: Peer<string>, each: Case): Promise<Finding> {
  const { connections, size, claimed } = each;
  const writing: Writing = { form: 'add', bodies: rawEntries(size), connections };
  const { indelible, tessera, bare } = await alternate(bench.pairs, {
    indelible: () => writeIndelible(bench, writing),
    tessera: 'found' in peer ? () => writeTessera(bench, peer.found, writing) : undefined,
    bare: () => writeBareHttp(bench, writing),
  });
  const what = under(each);
  const against = [
    {
      text: `writes/s against Tessera, ${what}`,
      values: ratios(indelible, rate, tessera, rate),
      ...(claimed ? { atLeast: 1.25, aim: 2 } : {}),
    },
    {
      text: `Tessera's CPU per write against ours, ${what}`,
      values: ratios(tessera, cpu, indelible, cpu),
      ...(claimed ? { atLeast: 1.3 } : {}),
    },
  ];
  return {
    series: [indelible, tessera, bare].flatMap((rounds) => writtenSeries(what, rounds)),
    ratios: [
      ...('found' in peer ? against : []),
      { text: inBareRequests(each), values: ratios(indelible, cpu, bare, cpu), kept: true },
    ],
    found: foundIn(indelible),
  };
}
