/** Runs the built command as its users do, with a state file and an environment of its own. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { API_KEY } from '../client/fake-log.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user: a directory that also holds what is remembered. */
export class User {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;

  private constructor(directory: string, url: string | undefined) {
    this.directory = directory;
    this.env = {
      PATH: process.env['PATH'],
      INDELIBLE_STATE: join(directory, 'state', 'heads.json'),
      INDELIBLE_KEY: API_KEY,
      ...(url === undefined ? {} : { INDELIBLE_URL: url }),
    };
  }

  static async at(url?: string): Promise<User> {
    return new User(await mkdtemp(join(tmpdir(), 'indelible-cli-')), url);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async run(args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
    const child = spawn(process.execPath, [MAIN, ...args], { env: this.env, cwd: this.directory });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A command that never reads its input closes it early.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { code, stdout, stderr };
  }

  async gone(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
