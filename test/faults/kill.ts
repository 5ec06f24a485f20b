/**
 * kill -9 under load, again and again on one data directory. The oracle is kept on the client's side (expected.ts). After each
 * restart the whole tree is rebuilt from the entry bundles and compared.
 */
import { seededRandom } from '../support/random.ts';
import { ServerProcess } from '../support/spawn-server.ts';
import { ExpectedLog, Load, pause } from './expected.ts';

export interface KillRun {
  readonly dataDir: string;
  readonly cycles: number;
  readonly seed: number;
  readonly build?: string;
  /** Hears after each cycle how many there were. */
  readonly progress?: (done: number) => void;
}

export interface KillReport {
  readonly seed: number;
  /** How many there were: fewer than asked for where it ended at a violation. */
  readonly cycles: number;
  readonly acknowledged: number;
  readonly checkpoints: number;
  /** Durable commits that nobody had been told of, and that were adopted. */
  readonly adopted: number;
  /** What the oracle saw that must never be; empty is good. */
  readonly violations: readonly string[];
}

export async function killRun({ dataDir, cycles, seed, build, progress }: KillRun): Promise<KillReport> {
  const random = seededRandom(seed);
  const expected = new ExpectedLog();
  const { violations } = expected;
  let adopted = 0;
  let next = 0;
  let done = 0;

  const start = (): Promise<ServerProcess> =>
    ServerProcess.start({
      dataDir,
      ...(build === undefined ? {} : { build }),
      // A small write buffer, so that flush and compaction happen under the kill; frequent heads for the same reason.
      flags: ['--interval', '20', '--write-buffer', '65536', '--log-level', 'warn'],
    });

  let server = await start();
  await expected.meet(server);
  for (let cycle = 0; cycle < cycles && violations.length === 0; cycle++) {
    const load = new Load(server, expected, (client) =>
      Array.from({ length: client % 4 === 0 ? 1 + Math.floor(random() * 40) : 1 }, () => {
        const id = `${seed}-${next++}`;
        return { id, text: JSON.stringify({ id, filler: 'x'.repeat(Math.floor(random() * 600)) }) };
      }),
    );
    await pause(20 + random() * 280);
    load.end();
    const early = await server.end('SIGKILL');
    await load.stop();
    done++;
    progress?.(done);
    if (early !== undefined) violations.push(`cycle ${cycle}: ${early}`);

    server = await start();
    if (server.url === '') {
      violations.push(`cycle ${cycle}: the server refused to start: ${server.stderr.trim()}`);
      break;
    }
    adopted += server.adopted;
    try {
      await expected.settle(server.url);
      await expected.check(server);
    } catch (error) {
      violations.push(`cycle ${cycle}: the server stopped by itself: ${String(error)} ${server.stderr.trim()}`);
    }
  }
  if (server.url !== '') {
    if (violations.length === 0) await expected.checkEvents(server);
    const early = await server.end('SIGKILL');
    // Of one that is known to be wrong nothing more is asked.
    if (early !== undefined && violations.length === 0) violations.push(`after the last cycle: ${early}`);
  }
  return {
    seed,
    cycles: done,
    acknowledged: expected.acknowledged.size,
    checkpoints: expected.heads.size,
    adopted,
    violations,
  };
}
