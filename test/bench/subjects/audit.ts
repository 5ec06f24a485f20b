/** An auditor in a process of its own: reads all bundles of a log over HTTP, hashes them and compares the root. */
import { ROOT } from '../../support/spawn-server.ts';
import { Program } from './subject.ts';

const HOOK = new URL('../../support/typescript.js', import.meta.url).href;
const PROCESS = new URL('audit-process.ts', import.meta.url).pathname;

export interface Audited {
  readonly entriesPerSecond: number;
  /** CPU of the auditor for an entry, in µs. */
  readonly cpuMicros: number;
}

/** Audits a public log for so many seconds, whole rounds, after a first one. */
export async function audit(url: string, seconds: number): Promise<Audited> {
  const program = new Program(process.execPath, ['--import', HOOK, PROCESS, ROOT, JSON.stringify({ url, seconds })]);
  const [line] = await program.says(/^\{.*\}$/m);
  await program.stop();
  return JSON.parse(line);
}
