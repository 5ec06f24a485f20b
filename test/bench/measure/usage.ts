/** What a process and its children have used, as Linux tells it in /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import { summarize } from '../report/statistics.ts';

/** Ticks of /proc/PID/stat in a second: USER_HZ, which is 100 on every machine that Node runs on, whatever the kernel's own. */
const TICKS = 100;

export interface Usage {
  /** User and system time of all threads, in µs; a tick is 10,000 of them, so measure seconds. */
  readonly cpuMicros: number;
  /** Bytes that were sent to the disk. */
  readonly writtenBytes: number;
}

export interface Memory {
  readonly rssBytes: number;
  /** The largest since the process began. */
  readonly peakRssBytes: number;
  /** Of the first what is the process's own, without the pages of files that it has mapped: LevelDB maps its tables. */
  readonly ownBytes: number;
}

/** CPU and disk of a process and all its descendants, those included that have ended and were waited for. */
export function usageOf(pid: number): Usage {
  let cpuMicros = 0;
  let writtenBytes = 0;
  for (const each of family(pid)) {
    // The name of the program comes second, in parentheses, and may hold anything.
    const fields = read(`/proc/${each}/stat`).split(') ').at(-1)?.split(' ') ?? [];
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0);
    cpuMicros += (ticks * 1e6) / TICKS;
    writtenBytes += numberIn(`/proc/${each}/io`, /^write_bytes: (\d+)/m);
  }
  return { cpuMicros, writtenBytes };
}

export function memoryOf(pid: number): Memory {
  let rssBytes = 0;
  let peakRssBytes = 0;
  let ownBytes = 0;
  for (const each of family(pid)) {
    rssBytes += 1024 * numberIn(`/proc/${each}/status`, /^VmRSS:\s+(\d+)/m);
    peakRssBytes += 1024 * numberIn(`/proc/${each}/status`, /^VmHWM:\s+(\d+)/m);
    ownBytes += 1024 * numberIn(`/proc/${each}/status`, /^RssAnon:\s+(\d+)/m);
  }
  return { rssBytes, peakRssBytes, ownBytes };
}

/** Looks at a process's memory from now on until it is asked for the median. */
export function sampleMemory(pid: number): { readonly median: () => number } {
  const samples: number[] = [];
  const sample = (): number => samples.push(memoryOf(pid).rssBytes);
  const timer = setInterval(sample, 200);
  return {
    median: () => {
      clearInterval(timer);
      sample();
      return summarize(samples).median;
    },
  };
}

/** The process and its descendants that run now. */
function family(pid: number): number[] {
  // Any thread may have started one.
  const children = threads(pid).flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' '));
  return [pid, ...children.filter(Boolean).map(Number).flatMap(family)];
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** 0 where it does not stand: a process that has ended has no memory. */
function numberIn(file: string, pattern: RegExp): number {
  return Number(pattern.exec(read(file))?.[1] ?? 0);
}

/** Empty if the process has gone meanwhile. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
