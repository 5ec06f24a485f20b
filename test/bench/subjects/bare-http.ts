/**
 * The yardstick: node:http and nothing else, on any machine. CPU per operation in units of one of its replies is what the baseline keeps.
 * It must not change, or the baseline says nothing any more.
 */
import { Program, type Subject } from './subject.ts';

const HOOK = new URL('../../support/typescript.js', import.meta.url).href;
const SERVER = new URL('bare-http-server.ts', import.meta.url).pathname;

/** `POST` anything is answered with a number, `GET /<n>` with that many bytes; both with the headers that ours has. */
export async function startBareHttp(): Promise<Subject> {
  const program = new Program(process.execPath, ['--import', HOOK, SERVER]);
  const [, url] = await program.says(/^listening on (\S+)\n/m);
  return { name: 'bare node:http', pid: program.pid, url: url as string, headers: {}, stop: () => program.stop() };
}
