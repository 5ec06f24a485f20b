/**
 * The open connections of a server: which of them carry a request, which have stalled, and why each of them ends.
 *
 * An answer is forgotten when it has ended. Kept until the next request of its connection, it, its request and its body outlived
 * two collections of garbage and were copied by both (measured at 1,024 connections: 4 µs a request).
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Cut, CutReason } from './cuts.ts';

interface Connection {
  /** Answers that have not ended, in the order of their requests: more than one where a client pipelines. */
  readonly running: ServerResponse[];
  /** Of the peer; asked for at once, since a socket that is closed does not know it any more. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** An answer has ended that was the last. */
  ended: boolean;
  /** Its end has a reason that was told. */
  named: boolean;
  /** Bytes that had gone either way at the last look. */
  bytes: number;
  /** Looks in a row at which nothing had moved. */
  quiet: number;
  /** Whether Node's own timer watches it: it sees parts of a long answer leave, which `bytes` does not. */
  timed: boolean;
}

/** Looks at all connections within the time without a byte that one of them has. */
const LOOKS = 4;
/** How long a client that was told that its connection closes may take to end its side, in milliseconds. */
const LINGER = 1000;

export class Connections {
  /** Hears of every connection that is cut. */
  onCut: (cut: Cut) => void = () => {};
  readonly #open = new Map<Socket, Connection>();
  readonly #stallTimeout: number;
  readonly #watch: NodeJS.Timeout;
  #stopping = false;

  /** Destroys what has not moved a byte in `stallTimeout` milliseconds, and at most a quarter more. */
  constructor(stallTimeout: number) {
    this.#stallTimeout = stallTimeout;
    // One timer for all: `server.timeout` would move one of each connection at every read and write (measured: 0.9 µs a request).
    this.#watch = setInterval(() => this.#look(), stallTimeout / LOOKS).unref();
  }

  add(socket: Socket): void {
    const { remoteAddress: address, remotePort: port } = socket;
    const made = { running: [], address, port, ended: false, named: false, bytes: 0, quiet: 0, timed: false };
    this.#open.set(socket, made);
    // Node calls this behind an answer that was the last, and would reset a connection on which the client is still sending.
    socket.destroySoon = () => this.end(socket);
    // Node's own listener comes first, and has destroyed it by then.
    socket.on('timeout', () => this.cut(socket, 'not_taken'));
    socket.once('close', () => this.#closed(socket));
  }

  /**
   * A request has come, and this is to be its answer. False where an answer before it has closed the connection: then the request is to be
   * left alone (RFC 9112 §9.6). Node goes on reading what a client has pipelined, and would let this answer pass those that still wait in
   * between, which an assertion of its own turns into the end of the process.
   */
  began(socket: Socket, answer: ServerResponse): boolean {
    const connection = this.#open.get(socket);
    if (connection === undefined) return true;
    if (connection.ended) return false;
    const { running } = connection;
    running.push(answer);
    answer.on('close', () => {
      if (!answer.shouldKeepAlive) connection.ended = true;
      // Answers end in the order of their requests.
      if (running[0] === answer) running.shift();
      else running.splice(running.indexOf(answer), 1);
    });
    return true;
  }

  /** The answers that have not ended, or `undefined` for what is no connection of ours. */
  runningOn(socket: Socket): readonly ServerResponse[] | undefined {
    return this.#open.get(socket)?.running;
  }

  /** Whether nothing that comes on it is to be answered any more. */
  isEnding(socket: Socket): boolean {
    return this.#open.get(socket)?.ended === true;
  }

  /** Destroys a connection, for a reason. */
  cut(socket: Socket, reason: CutReason): void {
    this.name(socket, reason);
    socket.destroy();
  }

  /** Says why a connection ends; the first reason counts. */
  name(socket: Socket, reason: CutReason): void {
    const connection = this.#open.get(socket);
    if (connection === undefined) {
      const { remoteAddress: address, remotePort: port } = socket;
      if (!socket.destroyed) this.onCut({ reason, address, port, unanswered: 0 });
      return;
    }
    if (connection.named) return;
    connection.named = true;
    const { address, port, running } = connection;
    this.onCut({ reason, address, port, unanswered: running.length });
  }

  /**
   * Ends our side when all is written, and throws away what still comes until the client has ended its own. Who closes with bytes unread
   * resets the connection, and a client that was sending may then never see what it was answered (RFC 9112 §9.6).
   */
  end(socket: Socket, last?: string): void {
    const connection = this.#open.get(socket);
    if (connection !== undefined) connection.ended = true;
    if (socket.writableEnded) return;
    if (last === undefined) socket.end();
    else socket.end(last);
    const cut = setTimeout(() => this.cut(socket, 'lingered'), LINGER).unref();
    socket.once('close', () => clearTimeout(cut));
  }

  /** One that was never opened: there are too many. */
  turnedAway(address: string | undefined, port: number | undefined): void {
    this.onCut({ reason: 'too_many', address, port, unanswered: 0 });
  }

  /** Closes what carries no request and owes no bytes; Node's own closeIdleConnections spares connections that never sent a byte. */
  closeIdle(): void {
    for (const [socket, { running, ended }] of this.#open) {
      if (running.length === 0 && socket.writableLength === 0 && !ended) this.cut(socket, 'stopping');
    }
  }

  /** From now on whatever ends without another reason ends because the server stops. */
  stop(): void {
    this.#stopping = true;
    this.closeIdle();
  }

  /** Closes everything. */
  cutAll(): void {
    for (const socket of this.#open.keys()) this.cut(socket, 'stopping');
  }

  /** Ends the watch. */
  close(): void {
    clearInterval(this.#watch);
  }

  #closed(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection !== undefined && !connection.ended) {
      const reset = (socket.errored as NodeJS.ErrnoException | null)?.syscall !== undefined;
      // Whoever has ended his side was not cut.
      if (reset) this.name(socket, 'reset');
      else if (!socket.readableEnded) this.name(socket, this.#stopping ? 'stopping' : 'unnamed');
    }
    this.#open.delete(socket);
  }

  #look(): void {
    for (const [socket, connection] of this.#open) {
      const unsent = socket.writableLength > 0;
      if (unsent !== connection.timed) {
        socket.setTimeout(unsent ? this.#stallTimeout : 0);
        connection.timed = unsent;
      }
      const bytes = socket.bytesRead + socket.bytesWritten;
      connection.quiet = bytes === connection.bytes && !unsent ? connection.quiet + 1 : 0;
      connection.bytes = bytes;
      if (connection.quiet > LOOKS) this.cut(socket, connection.running.length > 0 ? 'stalled' : 'idle');
    }
  }
}
