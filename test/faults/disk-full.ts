/**
 * A small disk that fills up under load and is freed again. Three ways: slowly, so that the watermark must stop the appends in time
 * and let them go on later in the same process; to the brim, where LevelDB itself runs out of room; and at one stroke by somebody
 * else's file, so that writes really fail. The oracle is kept on the client's side (expected.ts), and each alarm that
 * docs/operations.md promises is looked for in the run that must raise it.
 */
import { join } from 'node:path';
import { FairClock } from '../support/fair-clock.ts';
import { seededRandom } from '../support/random.ts';
import { type FileSystem, SmallDisk } from '../support/small-disk.ts';
import { type Exit, ServerProcess } from '../support/spawn-server.ts';
import { ExpectedLog, Load, pause, type Sent, within } from './expected.ts';

const MIB = 1_048_576;

export interface DiskFullRun {
  /** MiB of the disk. */
  readonly size: number;
  /** What is on it; by default a tmpfs. */
  readonly fileSystem?: FileSystem;
  /** How often it fills up. */
  readonly cycles: number;
  readonly seed: number;
  readonly build?: string;
}

export interface DiskFullReport {
  readonly seed: number;
  /** How often it filled up: fewer times than asked for where it ended at a violation. */
  readonly cycles: number;
  readonly acknowledged: number;
  readonly checkpoints: number;
  /** Appends that were answered 507. */
  readonly refused: number;
  /** Servers that stopped with exit code 70. */
  readonly failStops: number;
  /** Starts that were refused for want of room. */
  readonly refusedStarts: number;
  readonly violations: readonly string[];
}

/** Time for the server to see that the disk filled up or was freed, in milliseconds. */
const NOTICE = 30_000;

class Run {
  readonly disk: SmallDisk;
  readonly expected = new ExpectedLog();
  readonly random: () => number;
  readonly #options: DiskFullRun;
  cycles = 0;
  failStops = 0;
  refusedStarts = 0;
  #next = 0;

  constructor(options: DiskFullRun) {
    const disk = SmallDisk.make(options.size, options.fileSystem);
    if (disk === undefined)
      throw new Error(`cannot make a small disk (${options.fileSystem ?? 'tmpfs'}); are we root?`);
    this.disk = disk;
    this.#options = options;
    this.random = seededRandom(options.seed);
  }

  start(flags: readonly string[] = []): Promise<ServerProcess> {
    const { build } = this.#options;
    return ServerProcess.start({
      dataDir: join(this.disk.path, 'data'),
      // A small disk wants a small buffer: the watermark is twice as much.
      flags: ['--interval', '50', '--log-level', 'warn', '--write-buffer', '4194304', ...flags],
      ...(build === undefined ? {} : { build }),
    });
  }

  /** Starts where there is room; a refusal is a violation. */
  async restart(): Promise<ServerProcess | undefined> {
    const server = await this.start();
    if (server.url !== '') return server;
    const { code, signal } = await server.exited;
    this.violation(`the server did not start again (${code ?? signal}): ${server.stderr.trim()}`);
    return undefined;
  }

  violation(text: string): void {
    this.expected.violations.push(text);
  }

  get failed(): boolean {
    return this.expected.violations.length > 0;
  }

  /** Events of 1 to 6 KiB that do not compress well; some in batches. */
  load(server: ServerProcess): Load {
    const make = (): Sent => {
      const id = `${this.#options.seed}-${this.#next++}`;
      const words = Array.from({ length: 64 + Math.floor(this.random() * 320) }, () =>
        Math.floor(this.random() * 2 ** 48).toString(36),
      );
      return { id, text: JSON.stringify({ id, words: words.join(' ') }) };
    };
    return new Load(server, this.expected, (client) =>
      Array.from({ length: client % 4 === 0 ? 1 + Math.floor(this.random() * 30) : 1 }, make),
    );
  }

  /** A server that ended by itself while it ran: only by a fail-stop, and not without a word. */
  judgeStop({ code, signal }: Exit, server: ServerProcess): void {
    if (code !== 70) this.violation(`the server ended with ${code ?? signal}: ${server.stderr.trim()}`);
    else if (!server.stderr.includes('stopping: a write or a check failed'))
      this.violation(`the server stopped with 70 and does not say why: ${server.stderr.trim()}`);
    else this.failStops++;
  }

  /** A start that ended: only for want of room, and it has to say so. */
  judgeStart({ code, signal }: Exit, server: ServerProcess): void {
    if (code === 70 && /no space left|ENOSPC/i.test(server.stderr)) this.refusedStarts++;
    else this.violation(`a start on a full disk ended with ${code ?? signal}: ${server.stderr.trim()}`);
  }

  count(status: number): number {
    return this.expected.statuses.get(status) ?? 0;
  }

  /** Waits until there are more answers of that status; says whether they came while the server ran. */
  async more(server: ServerProcess, status: 200 | 507, answers: number): Promise<boolean> {
    const goal = this.count(status) + answers;
    const clock = new FairClock({ pids: [server.child.pid as number] });
    let accepted = this.count(200);
    for (let end = clock.now() + NOTICE; clock.now() < end && this.count(status) < goal; ) {
      if (server.child.exitCode !== null || server.child.signalCode !== null) break;
      await pause(20);
      // As long as it takes what is sent the disk fills up, if slowly on a machine that is busy with other things.
      if (status === 507 && this.count(200) > accepted) {
        accepted = this.count(200);
        end = clock.now() + NOTICE;
      }
    }
    clock.stop();
    return this.count(status) >= goal;
  }

  /** All that was promised, now and once more after a restart; ends the server. */
  async finish(server: ServerProcess, signal: NodeJS.Signals): Promise<void> {
    await this.checkAll(server);
    await server.stop(signal);
    const again = this.failed ? undefined : await this.restart();
    if (again === undefined) return;
    await this.checkAll(again);
    await again.stop('SIGTERM');
  }

  async checkAll(server: ServerProcess): Promise<void> {
    const { expected } = this;
    try {
      await expected.settle(server.url);
      await expected.check(server);
      if (!this.failed) await expected.checkEvents(server);
    } catch (error) {
      this.violation(`the server stopped by itself: ${String(error)} ${server.stderr.trim()}`);
    }
  }

  report(): DiskFullReport {
    const { acknowledged, heads, violations } = this.expected;
    return {
      seed: this.#options.seed,
      cycles: this.cycles,
      acknowledged: acknowledged.size,
      checkpoints: heads.size,
      refused: this.count(507),
      failStops: this.failStops,
      refusedStarts: this.refusedStarts,
      violations,
    };
  }
}

/**
 * Fills the disk by load, frees a part of it, and so on: one server from beginning to end, then killed and started again. Half of
 * the disk is somebody else's at first, so that LevelDB has room for its compactions at the end (brimRun is for the other case).
 */
export async function watermarkRun(options: DiskFullRun): Promise<DiskFullReport> {
  const run = new Run(options);
  const { disk, expected } = run;
  try {
    const part = Math.floor(disk.free / 2 / options.cycles);
    disk.occupy(part * options.cycles);
    const server = await run.start();
    await expected.meet(server);
    const key = await makeKey(server);
    const load = run.load(server);
    for (let left = options.cycles; left > 0 && !run.failed; left--) {
      run.cycles++;
      if (!(await run.more(server, 507, 20))) run.violation('a full disk, and no append was answered 507');
      else {
        await checkAlarm(run, server, 'full');
        if (left === options.cycles) await checkFull(run, server, key);
      }
      disk.occupy(part * (left - 1));
      if (!(await run.more(server, 200, 20))) run.violation('there is room again, and no append was accepted');
    }
    if (!run.failed) {
      // Of the last room nothing is left for others to take: what is written from now on is little.
      await load.stop();
      disk.occupy(0);
      await checkAlarm(run, server, 'room again');
    }
    await load.stop();
    if (server.child.exitCode !== null)
      run.violation(`the server stopped (${server.child.exitCode}): ${server.stderr}`);
    else await run.finish(server, 'SIGKILL');
  } finally {
    disk.remove();
  }
  return run.report();
}

/**
 * The whole disk is the server's, and it is too small for LevelDB to tidy up in: log file, tables and compactions run out of room, and
 * the server stops with 70 at its next write, or does not start. A larger disk, and everything is there.
 */
export async function brimRun(options: DiskFullRun): Promise<DiskFullReport> {
  const run = new Run(options);
  const { disk, expected } = run;
  try {
    for (let cycle = 0; cycle < options.cycles && !run.failed; cycle++) {
      // Half of the time without a watermark: then it is certain that LevelDB itself runs out of room, in whatever it does.
      const server = await run.start(cycle % 2 === 1 ? ['--min-free-space', '0'] : []);
      run.cycles++;
      if (server.url === '') {
        run.judgeStart(await server.exited, server);
        continue;
      }
      if (cycle === 0) await expected.meet(server);
      const load = run.load(server);
      let exit = await within(server.exited, 4000);
      // A machine that is busy with other things takes longer to fill the disk.
      for (let more = 0; more < 8 && exit === undefined && run.failStops + run.count(507) === 0; more++)
        exit = await within(server.exited, 4000);
      if (exit === undefined) await server.stop('SIGKILL');
      else run.judgeStop(exit, server);
      await load.stop();
    }
    disk.grow(4 * options.size);
    const server = run.failed ? undefined : await run.restart();
    if (server !== undefined) {
      if ((await expected.send(server.url, [{ id: 'more', text: '{"id":"more"}' }])) !== 200)
        run.violation('a larger disk, and no append was accepted');
      await run.finish(server, 'SIGKILL');
    }
  } finally {
    disk.remove();
  }
  return run.report();
}

async function makeKey(server: ServerProcess): Promise<string> {
  const reply = await server.fetch('/admin/keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'k', scope: 'read' }),
  });
  return reply.status === 201 ? ((await reply.json()) as { id: string }).id : String(reply.status);
}

/** The metric and the line in the log by which somebody has to hear that the disk is full, or that there is room again. */
async function checkAlarm(run: Run, server: ServerProcess, state: 'full' | 'room again'): Promise<void> {
  const value = state === 'full' ? 1 : 0;
  const line = state === 'full' ? 'appends are refused (507)' : 'there is room on the file system';
  const said = (): boolean =>
    server.stderr.split('\n').some((text) => text.includes('"alarm":"free-space"') && text.includes(line));
  for (const end = Date.now() + NOTICE; Date.now() < end; await pause(50)) {
    const metrics = await (await server.fetch('/metrics')).text();
    if (said() && new RegExp(`^indelible_storage_full ${value}$`, 'm').test(metrics)) return;
  }
  run.violation(`${state}: ${said() ? 'no metric' : 'no line in the log'} says so`);
}

/** An append that does not fit: what the client is told, and when it should come back. */
async function checkRefusal(run: Run, server: ServerProcess): Promise<void> {
  for (const end = Date.now() + NOTICE; Date.now() < end; await pause(20)) {
    const reply = await server.append({ id: 'refused', filler: 'x'.repeat(1000) }, '?id_pointer=/id');
    const { code } = (await reply.json()) as { code?: string };
    if (reply.status !== 507) continue;
    if (code !== 'storage_full' || reply.headers.get('retry-after') === null)
      run.violation(`507 with the code ${code} and Retry-After ${reply.headers.get('retry-after')}`);
    return;
  }
  run.violation('a full disk, and an append of one more client was not answered 507');
}

/** What must and must not go on while there is no room: a new key is refused, an old one is revoked, what is durable is signed. */
async function checkFull(run: Run, server: ServerProcess, key: string): Promise<void> {
  await checkRefusal(run, server);
  const made = await makeKey(server);
  if (made !== '507') run.violation(`a key on a full disk: ${made}`);
  const revoked = await server.fetch(`/admin/keys/${key}`, { method: 'DELETE' });
  if (revoked.status !== 200) run.violation(`a key could not be revoked on a full disk: ${revoked.status}`);
  const deadline = Date.now() + NOTICE;
  let needed = 0;
  for (const { leafIndex } of run.expected.acknowledged.values()) needed = Math.max(needed, leafIndex + 1);
  while ((await run.expected.see(server)).treeSize < needed) {
    if (Date.now() > deadline) {
      run.violation('what is durable gets no signed head on a full disk');
      return;
    }
  }
}

/**
 * Somebody else fills the disk at one stroke under load, again and again: writes fail, the server stops with 70, a start without
 * room is refused with 70, and one with room has everything. Every third time the room comes back while the server still stops.
 */
export async function strokeRun(options: DiskFullRun): Promise<DiskFullReport> {
  const run = new Run(options);
  const { disk, expected, random } = run;
  try {
    let server: ServerProcess | undefined = await run.start();
    await expected.meet(server);
    for (let cycle = 0; cycle < options.cycles && server !== undefined && !run.failed; cycle++) {
      const load = run.load(server);
      await pause(100 + random() * 300);
      disk.occupy(options.size * MIB);
      const early = cycle % 3 === 2;
      if (early) {
        await pause(random() * 200);
        disk.occupy(0);
      }
      // Where there is room again, long enough for a server that goes on to notice it and to take an append.
      const exit = await within(server.exited, early ? 6000 : 3000);
      run.cycles++;
      // Where no write fell into the gap, the watermark has held, and it is killed as it stands.
      if (exit === undefined) await server.stop('SIGKILL');
      else run.judgeStop(exit, server);
      await load.stop();
      if (!early) await tryWithoutRoom(run);
      disk.occupy(0);
      // By now its own data leaves LevelDB too little to tidy up in, which is brimRun's case: there is more room, and this disk's last cycle was that.
      const crowded = disk.free < (options.size * MIB) / 2;
      if (crowded) disk.grow(4 * options.size);
      server = run.failed ? undefined : await run.restart();
      if (server !== undefined) await run.checkAll(server);
      if (crowded) break;
    }
    if (server !== undefined && !run.failed) await run.finish(server, 'SIGTERM');
  } finally {
    disk.remove();
  }
  return run.report();
}

/** Starts on a full disk: each either stops with 70 and says why, or runs; nothing may get worse by it. */
async function tryWithoutRoom(run: Run): Promise<void> {
  for (let i = 0; i < 2; i++) {
    run.disk.occupy(2 ** 40);
    const server = await run.start();
    const exit = await within(server.exited, 300);
    if (exit === undefined) await server.stop('SIGKILL');
    else run.judgeStart(exit, server);
  }
}
