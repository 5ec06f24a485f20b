/**
 * HTTP for load: whole requests written to sockets, answers cut out of what comes back, and nothing else, since the load shares two
 * cores with the server that it is for. A connection carries one request at a time.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  /** Status line and headers, as they came. */
  readonly head: string;
  /** One character a byte. */
  readonly body: string;
}

/** Hears the answer, or `undefined` where the connection ended without one. */
export type Heard = (answer: Answer | undefined) => void;

/** Opened at once: the queue of connections that nobody has taken yet has an end. */
const AT_A_TIME = 100;
const END_OF_HEAD = '\r\n\r\n';

export function header({ head }: Answer, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*?)\r?$`, 'im').exec(head)?.[1];
}

/** Connections to one server: idle ones are used again, and new ones made when there is none. */
export class Connections {
  readonly #port: number;
  readonly #most: number;
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Connection>();
  /** Most that waited for an answer at once. */
  peak = 0;

  constructor(url: string, most: number) {
    this.#port = Number(new URL(url).port);
    this.#most = most;
  }

  /** Sends a request now; says whether there was a connection for it. */
  send(request: Buffer | string, heard: Heard): boolean {
    if (this.#idle.length === 0 && this.#open.size >= this.#most) return false;
    // The one that has been idle longest, so that none is for so long that the server ends it just now.
    const connection = this.#idle.shift() ?? this.#make();
    connection.send(request, heard);
    this.peak = Math.max(this.peak, this.waiting);
    return true;
  }

  /** Opens so many before they are needed. */
  async open(count: number): Promise<void> {
    for (let at = 0; at < count; at += AT_A_TIME) {
      const made = Array.from({ length: Math.min(AT_A_TIME, count - at) }, () => this.#make());
      await Promise.all(made.map(({ opened }) => opened));
      this.#idle.push(...made);
    }
  }

  #make(): Connection {
    const made = new Connection(this.#port, {
      idle: () => this.#idle.push(made),
      closed: () => {
        this.#open.delete(made);
        const at = this.#idle.indexOf(made);
        if (at >= 0) this.#idle.splice(at, 1);
      },
    });
    this.#open.add(made);
    return made;
  }

  /** Requests that have no answer yet. */
  get waiting(): number {
    return this.#open.size - this.#idle.length;
  }

  close(): void {
    for (const connection of this.#open) connection.destroy();
  }
}

class Connection {
  readonly #socket: Socket;
  #heard: Heard | undefined;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Bytes of the whole answer, once its head is there. */
  #needed = 0;
  readonly opened: Promise<void>;

  constructor(port: number, on: { readonly idle: () => void; readonly closed: () => void }) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.opened = new Promise((resolve, reject) => this.#socket.once('connect', resolve).once('error', reject));
    this.opened.catch(() => {});
    this.#socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      if (this.#needed === 0) this.#readHead();
      if (this.#needed === 0 || this.#length < this.#needed) return;
      const text = this.#text();
      const at = text.indexOf(END_OF_HEAD);
      const answer = { status: Number(text.slice(9, 12)), head: text.slice(0, at), body: text.slice(at + 4) };
      const heard = this.#heard;
      this.#heard = undefined;
      this.#chunks = [];
      this.#length = 0;
      this.#needed = 0;
      if (/^connection: close/im.test(answer.head)) this.#socket.destroy();
      else on.idle();
      heard?.(answer);
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      on.closed();
      const heard = this.#heard;
      this.#heard = undefined;
      heard?.(undefined);
    });
  }

  send(request: Buffer | string, heard: Heard): void {
    this.#heard = heard;
    this.#socket.write(request, 'latin1');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #readHead(): void {
    const text = this.#text();
    const at = text.indexOf(END_OF_HEAD);
    if (at < 0) return;
    const length = /^content-length: *([0-9]+)/im.exec(text.slice(0, at))?.[1];
    this.#needed = at + END_OF_HEAD.length + Number(length ?? 0);
  }

  #text(): string {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return (this.#chunks[0] as Buffer).toString('latin1');
  }
}
