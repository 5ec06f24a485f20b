/**
 * Network namespaces for servers that must not see each other's abstract sockets, as between two containers. Each has a loopback of its
 * own, which a small relay in it makes reachable: from 127.0.0.1 here, through a socket in the file system, to 127.0.0.1 there.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { ServerProcess, type SpawnOptions, temporaryFolder } from './spawn-server.ts';

/** Why there can be none here, or `undefined`. */
export function namespacesMissing(): string | undefined {
  return spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status === 0
    ? undefined
    : 'network namespaces need root, util-linux and iproute2';
}

/** Who connects says on the first line which port is meant. Ends with its standard input, and so with whoever started it. */
const RELAY = `
  const net = require('node:net');
  process.stdin.resume().on('end', () => process.exit());
  net.createServer((near) => {
    near.on('error', () => near.destroy());
    near.once('readable', function read() {
      const line = near.read(6);
      if (line === null) return near.once('readable', read);
      const far = net.connect(Number(line.toString()), '127.0.0.1');
      for (const [one, other] of [[near, far], [far, near]]) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.end());
        one.pipe(other);
      }
    });
  }).listen(process.argv[1], () => process.stdout.write('ready'));
`;

export class Namespace {
  readonly #relay: ChildProcess;
  readonly #socket: string;
  readonly #remove: () => void;
  readonly #doors = new Set<Server>();

  private constructor(relay: ChildProcess, socket: string, remove: () => void) {
    this.#relay = relay;
    this.#socket = socket;
    this.#remove = remove;
  }

  static async make(): Promise<Namespace> {
    const { path, remove } = temporaryFolder('namespace');
    const socket = join(path, 'relay');
    const inside = ['bash', '-c', 'ip link set lo up && exec "$@"', 'relay', process.execPath, '-e', RELAY, socket];
    const relay = spawn('unshare', ['-n', ...inside], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      relay.stdout?.once('data', resolve);
      relay.once('close', () => reject(new Error('the relay into a namespace did not start')));
    });
    return new Namespace(relay, socket, remove);
  }

  /** Starts a server inside; its `url` is one that can be reached from here. */
  async start(options: SpawnOptions): Promise<ServerProcess> {
    const server = await ServerProcess.start({ ...options, wrapper: this.#enter });
    if (server.url !== '') server.url = await this.#open(Number(new URL(server.url).port));
    return server;
  }

  get #enter(): readonly string[] {
    return ['nsenter', '-t', String(this.#relay.pid), '-n'];
  }

  async #open(port: number): Promise<string> {
    const door = createServer((near) => {
      const far = connect(this.#socket);
      far.write(String(port).padStart(6));
      couple(near, far);
    });
    this.#doors.add(door);
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(door.address() as { port: number }).port}`;
  }

  /** Servers inside must have ended. */
  async close(): Promise<void> {
    for (const door of this.#doors) door.close();
    const ended = new Promise((resolve) => this.#relay.once('close', resolve));
    this.#relay.stdin?.end();
    await ended;
    this.#remove();
  }
}

/** What comes from the one goes to the other; if one ends, so does the other. */
function couple(near: Socket, far: Socket): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.end());
    one.pipe(other);
  }
}
