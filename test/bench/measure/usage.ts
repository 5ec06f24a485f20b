/** What a process and its children have used, as Linux tells it in /proc. */
import { readFileSync } from 'node:fs';

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
}

/** CPU and disk of a process and all its descendants, those included that have ended and were waited for. */
export function usageOf(pid: number): Usage {
  let cpuMicros = 0;
  let writtenBytes = 0;
  for (const each of family(pid)) {
    // The name of the program comes second, in parentheses, and may hold anything.
    const fields = readFileSync(`/proc/${each}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0);
    cpuMicros += (ticks * 1e6) / TICKS;
    writtenBytes += Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${each}/io`, 'utf8'))?.[1]);
  }
  return { cpuMicros, writtenBytes };
}

export function memoryOf(pid: number): Memory {
  let rssBytes = 0;
  let peakRssBytes = 0;
  for (const each of family(pid)) {
    const status = readFileSync(`/proc/${each}/status`, 'utf8');
    rssBytes += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    peakRssBytes += 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]);
  }
  return { rssBytes, peakRssBytes };
}

/** The process and its descendants that run now. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}
