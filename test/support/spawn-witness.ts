/** Real processes of `indelible witness` for tests: started from a build, watched, killed, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseVerifierKey, type VerifierKey } from '../../proofs/key.ts';
import { BUILD, type Exit } from './spawn-server.ts';

export interface WitnessSpawn {
  readonly dataDir: string;
  /** File of the logs. */
  readonly policy: string;
  readonly name?: string | undefined;
  readonly build?: string;
  readonly flags?: readonly string[];
  /** Command that runs it; the node command line is appended. */
  readonly wrapper?: readonly string[];
}

export class WitnessProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  url = '';
  vkey = '';
  stdout = '';
  stderr = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on('data', (chunk) => {
      this.stdout += String(chunk);
    });
    child.stderr?.on('data', (chunk) => {
      this.stderr += String(chunk);
    });
    this.exited = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  }

  /** Starts a witness and waits until it listens or has exited; `url` is empty in the second case. */
  static async start({
    dataDir,
    policy,
    name,
    build = BUILD,
    flags = [],
    wrapper = [],
  }: WitnessSpawn): Promise<WitnessProcess> {
    const command = [
      ...wrapper,
      process.execPath,
      join(build, 'cli/main.js'),
      'witness',
      ...['--data-dir', dataDir, '--policy', policy, '--listen', '127.0.0.1:0'],
      ...(name === undefined ? [] : ['--name', name]),
      ...flags,
    ];
    const child = spawn(command[0] as string, command.slice(1), {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const witness = new WitnessProcess(child);
    running.add(witness);
    const listening = new Promise<void>((resolve) => {
      child.stdout?.on('data', () => {
        const match = /^verifier key (\S+)\nlistening on (\S+)\n/.exec(witness.stdout);
        if (match === null) return;
        witness.vkey = match[1] as string;
        witness.url = match[2] as string;
        resolve();
      });
    });
    await Promise.race([listening, witness.exited]);
    return witness;
  }

  get key(): VerifierKey {
    return parseVerifierKey(this.vkey);
  }

  /** Ends the process and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.child.kill(signal);
    const exit = await this.exited;
    running.delete(this);
    return exit;
  }

  add(body: string): Promise<Response> {
    return fetch(`${this.url}/add-checkpoint`, { method: 'POST', body, headers: { connection: 'close' } });
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.url}/${path}`, { headers: { connection: 'close' } });
  }
}

const running = new Set<WitnessProcess>();

/** Kills whatever a test left running; for `afterEach`. */
export async function killWitnesses(): Promise<void> {
  for (const witness of running) {
    if (witness.child.exitCode === null && witness.child.signalCode === null) await witness.stop('SIGKILL');
  }
  running.clear();
}
