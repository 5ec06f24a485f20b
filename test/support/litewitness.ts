/** torchwood's litewitness, a witness that other people wrote: built from the Go module proxy, its key in an ssh-agent, its logs in SQLite. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

const VERSION = 'v0.9.0';

const has = (command: string, ...args: string[]): boolean => spawnSync(command, args).error === undefined;

/** Whether this machine has what it needs; says what is missing if not. */
export function canRunLitewitness(): boolean {
  const missing = [
    has('go', 'version') ? [] : ['Go'],
    has('ssh-keygen', '-?') && has('ssh-agent', '-?') ? [] : ['ssh-keygen and ssh-agent'],
    has('python3', '-c', 'import sqlite3') ? [] : ['Python with sqlite3'],
  ].flat();
  if (missing.length > 0) console.log(`SKIPPED: litewitness: there is no ${missing.join(', no ')} on this machine`);
  return missing.length === 0;
}

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Builds it into a folder; two minutes where nothing is cached. */
export function buildLitewitness(folder: string): void {
  run('go', ['install', `filippo.io/torchwood/cmd/litewitness@${VERSION}`], { GOBIN: folder, GOFLAGS: '-mod=mod' });
}

export class Litewitness {
  readonly #folder: string;
  readonly #bin: string;
  readonly #port: number;
  #agent: ChildProcess | undefined;
  #child: ChildProcess | undefined;
  verifierKey = '';

  private constructor(folder: string, bin: string, port: number) {
    this.#folder = folder;
    this.#bin = bin;
    this.#port = port;
  }

  /** Makes a key and an agent that holds it, and starts. */
  static async make(folder: string, bin: string): Promise<Litewitness> {
    const witness = new Litewitness(folder, bin, await freePort());
    const key = join(folder, 'key');
    run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    witness.#agent = spawn('ssh-agent', ['-D', '-a', witness.#socket], { stdio: 'ignore' });
    await until(
      () => spawnSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: witness.#socket } }).status === 0,
    );
    await witness.start();
    return witness;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get #socket(): string {
    return join(this.#folder, 'agent.sock');
  }

  async start(): Promise<void> {
    const fingerprint = run('ssh-keygen', ['-lf', join(this.#folder, 'key.pub')]).split(' ')[1] as string;
    let output = '';
    const child = spawn(
      join(this.#bin, 'litewitness'),
      [
        ...['-db', join(this.#folder, 'w.db'), '-name', 'witness.test/lite', '-key', fingerprint],
        ...['-ssh-agent', this.#socket, '-listen', `127.0.0.1:${this.#port}`],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    await until(() => {
      if (child.exitCode !== null) throw new Error(`litewitness ended: ${output}`);
      return /vkey=\S+/.test(output);
    });
    this.verifierKey = (/vkey="?([^\s"]+)/.exec(output) as RegExpExecArray)[1] as string;
    await until(async () => {
      try {
        await fetch(this.url);
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Adds a log to those it witnesses. */
  know(verifierKey: string): void {
    const [origin] = verifierKey.split('+');
    const script =
      'import sqlite3,sys;d=sqlite3.connect(sys.argv[1]);' +
      "d.execute('insert into log values(?,0,?)',(sys.argv[2],'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='));" +
      "d.execute('insert into key values(?,?)',(sys.argv[2],sys.argv[3]));d.commit()";
    run('python3', ['-c', script, join(this.#folder, 'w.db'), origin as string, verifierKey]);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    child.kill('SIGINT');
    await ended;
  }

  async remove(): Promise<void> {
    this.#child?.kill('SIGKILL');
    this.#agent?.kill('SIGTERM');
  }
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await done()); await new Promise((resolve) => setTimeout(resolve, 50)))
    if (Date.now() > end) throw new Error('litewitness did not come up in 20 s');
}
