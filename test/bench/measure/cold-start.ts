/** From the start of a process to its first answer. */
import { spawn } from 'node:child_process';
import type { Indelible } from '../subjects/indelible.ts';
import { LOG } from './stores.ts';

/** Milliseconds from the start of a server that was killed to a 200 of its checkpoint. It runs afterwards. */
export async function timeToFirstAnswer(server: Indelible): Promise<number> {
  const begin = performance.now();
  await server.restart();
  const { status } = await fetch(`${server.log(LOG)}/checkpoint`);
  if (status !== 200) throw new Error(`the first answer is ${status}`);
  return performance.now() - begin;
}

/** Milliseconds that Node takes to start and to end without a program. */
export async function timeOfNode(): Promise<number> {
  const begin = performance.now();
  const child = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('close', resolve));
  return performance.now() - begin;
}
