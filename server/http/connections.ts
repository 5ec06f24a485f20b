/**
 * The open connections of a server: which of them carry a request, and which have stalled.
 *
 * An answer is forgotten when it has ended. Kept until the next request of its connection, it, its request and its body outlived
 * two collections of garbage and were copied by both (measured at 1,024 connections: 4 µs a request).
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

interface Connection {
  /** Answers that have not ended, in the order of their requests: more than one where a client pipelines. */
  readonly running: ServerResponse[];
  /** An answer has ended that was the last. */
  ended: boolean;
  /** Bytes that had gone either way at the last look. */
  bytes: number;
  /** Looks in a row at which nothing had moved. */
  quiet: number;
  /** Whether Node's own timer watches it: it sees parts of a long answer leave, which `bytes` does not. */
  timed: boolean;
}

/** Looks at all connections within the time without a byte that one of them has. */
const LOOKS = 4;

export class Connections {
  readonly #open = new Map<Socket, Connection>();
  readonly #stallTimeout: number;
  readonly #watch: NodeJS.Timeout;

  /** Destroys what has not moved a byte in `stallTimeout` milliseconds, and at most a quarter more. */
  constructor(stallTimeout: number) {
    this.#stallTimeout = stallTimeout;
    // One timer for all: `server.timeout` would move one of each connection at every read and write (measured: 0.9 µs a request).
    this.#watch = setInterval(() => this.#look(), stallTimeout / LOOKS).unref();
  }

  add(socket: Socket): void {
    this.#open.set(socket, { running: [], ended: false, bytes: 0, quiet: 0, timed: false });
    socket.once('close', () => this.#open.delete(socket));
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

  /** Closes what carries no request and owes no bytes; Node's own closeIdleConnections spares connections that never sent a byte. */
  closeIdle(): void {
    for (const [socket, { running }] of this.#open) {
      if (running.length === 0 && socket.writableLength === 0) socket.destroy();
    }
  }

  /** Ends the watch. */
  close(): void {
    clearInterval(this.#watch);
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
      if (connection.quiet > LOOKS) socket.destroy();
    }
  }
}
