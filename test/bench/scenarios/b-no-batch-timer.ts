/** A commit takes whatever waits and never waits itself: few connections must not be much slower than many, nor one than the disk. */
import { syncRate } from '../measure/disk.ts';
import { rawEntries } from '../measure/payloads.ts';
import { alternate, ratios } from '../measure/rounds.ts';
import { foundIn, writtenSeries } from '../measure/series.ts';
import { cpu, rate, type Writing, type Written, writeBareHttp, writeIndelible } from '../measure/writing.ts';
import type { Bench, Finding, Scenario } from '../scenario.ts';

/** Seconds of appending to the disk before a round of one connection. */
const DISK_SECONDS = 2;

export const scenario: Scenario = {
  id: 'b',
  title: 'single entries from few connections: no batch timer',
  quick: true,
  run: (bench) => (bench.mode === 'quick' ? runQuick(bench) : runFull(bench)),
};

const at = (connections: number): Writing => ({
  form: 'add',
  bodies: rawEntries(200),
  connections,
});

/** Small commits cost more each; this is the ratio that would notice. */
function inBareRequests(few: readonly Written[], bare: readonly Written[]) {
  return {
    text: 'CPU per write, 64 connections, in bare requests',
    values: ratios(few, cpu, bare, cpu),
    kept: true,
  };
}

async function runQuick(bench: Bench): Promise<Finding> {
  const { few, bare } = await alternate(bench.pairs, {
    few: () => writeIndelible(bench, at(64)),
    bare: () => writeBareHttp(bench, at(64)),
  });
  return {
    series: [...writtenSeries('64 connections', few), ...writtenSeries('64 connections', bare)],
    ratios: [inBareRequests(few, bare)],
    found: foundIn(few),
  };
}

async function runFull(bench: Bench): Promise<Finding> {
  const syncs: number[] = [];
  const { many, few, one, bare } = await alternate(bench.pairs, {
    many: () => writeIndelible(bench, at(256)),
    few: () => writeIndelible(bench, at(64)),
    one: () => {
      bench.progress('what the disk can do');
      syncs.push(syncRate(bench.folder('disk'), DISK_SECONDS));
      return writeIndelible(bench, at(1));
    },
    bare: () => writeBareHttp(bench, at(64)),
  });
  return {
    series: [
      ...writtenSeries('256 connections', many),
      ...writtenSeries('64 connections', few),
      ...writtenSeries('1 connection', one),
      ...writtenSeries('64 connections', bare),
      { subject: 'disk', under: '4 KiB and fdatasync', figure: 'entries', unit: '/s', values: syncs },
    ],
    ratios: [
      {
        text: 'writes/s at 64 connections against 256',
        values: ratios(few, rate, many, rate),
        atLeast: 0.7,
        aim: 0.85,
      },
      {
        text: 'writes/s at 1 connection against fdatasyncs/s of the disk',
        values: ratios(one, rate, syncs, (syncsPerSecond) => syncsPerSecond),
        atLeast: 0.2,
        aim: 0.35,
      },
      inBareRequests(few, bare),
    ],
    found: foundIn(many, few, one),
  };
}
