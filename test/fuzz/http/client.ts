/** One connection that sends exchange after exchange, over a bare socket, and holds the replies to them. */
import { connect, type Socket } from 'node:net';
import type { Cut } from '../../../server/http/cuts.ts';
import { cutFault } from './cuts.ts';
import type { Exchange } from './exchanges.ts';
import { type Answered, Judge } from './judge.ts';

/** A request that is complete is answered within this, in milliseconds that the machine was there for. */
const STALL = 1000;
/** After a reply that closes, what was not read of the request is taken for a second; then the connection ends. */
const LAST_WORDS = 2500;
/** How long an incomplete request is left to itself, in milliseconds. */
const WAIT = 3;
/** How long the server's word about a cut may be on its way, in milliseconds that the machine was there for. */
const WORD = 2000;
/** One in so many closing replies is watched until the connection has really ended. */
const WATCHED = 40;

export interface ClientOptions {
  readonly port: number;
  /** A clock that stands still while the machine is not there. */
  readonly now: () => number;
  readonly onReply: (exchange: Exchange, answered: Answered) => string | undefined;
  readonly onFault: (exchange: Exchange, fault: string) => void;
  /** What the server has said about the connection from that port of ours. */
  readonly cutOf: (port: number) => Cut | undefined;
  /** A new connection has that port. */
  readonly onConnect: (port: number) => void;
  /** A connection was cut for a limit of time, and the machine was late. */
  readonly onExcused: (cut: Cut) => void;
}

/** The exchange that is under way. */
interface Running {
  readonly judge: Judge;
  readonly end: (end: End) => void;
  /** When it began, by the wall. */
  readonly began: number;
  /** Whether our side of the connection has ended. */
  halfClosed: boolean;
  /** When something last moved. */
  since: number;
  /** Whether the server has all it needs to answer, or to end the connection. */
  waiting: boolean;
}

/** Why an exchange ended: as it should, with the connection gone, or with a fault. */
type End = 'open' | 'gone' | { readonly fault: string; readonly cut?: true };

export class Client {
  readonly #options: ClientOptions;
  #socket: Socket | undefined;
  /** Our port, and the error that the connection ended with. */
  #port = 0;
  #error: string | undefined;
  /** Connections that were made. */
  connections = 0;
  #exchange: Running | undefined;
  #received: Buffer[] = [];
  /** Bytes that came while nobody had asked for anything. */
  #stray = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Sends an exchange and waits for its end. */
  async run(exchange: Exchange): Promise<void> {
    const { now, onReply, onFault } = this.#options;
    const socket = this.#socket ?? (await this.#connect());
    if (this.#stray > 0) onFault(exchange, `${this.#stray} bytes came before it that nobody had asked for`);
    this.#stray = 0;
    this.#received = [];
    const judge = new Judge(exchange.bytes, (answered) => onReply(exchange, answered));
    const began = performance.now();
    const end = await new Promise<End>((resolve) => {
      this.#exchange = { judge, end: resolve, began, halfClosed: false, since: now(), waiting: false };
      void this.#send(socket, exchange);
    });
    this.#exchange = undefined;
    if (typeof end === 'object') {
      const reason = end.cut === true ? await this.#whyCut(performance.now() - began) : '';
      const received = Buffer.concat(this.#received).toString('latin1');
      if (reason !== undefined) onFault(exchange, `${end.fault}${reason}; received ${excerpt(received)}`);
    }
    if (end !== 'open') this.#drop(socket);
  }

  /** Looks whether something is overdue; called by a timer. */
  look(now: number): void {
    const running = this.#exchange;
    if (running === undefined || !running.waiting) return;
    const { judge, since } = running;
    if (judge.closing) {
      if (now - since > LAST_WORDS) running.end({ fault: 'the connection was said to close, and stays open' });
    } else if (now - since > STALL) running.end({ fault: `no reply within ${STALL} ms` });
  }

  close(): void {
    if (this.#socket !== undefined) this.#drop(this.#socket);
  }

  /** What is wrong with the cut of our connection after so long, as the end of a sentence; `undefined` for nothing. */
  async #whyCut(took: number): Promise<string | undefined> {
    const { now, cutOf, onExcused } = this.#options;
    for (const end = now() + WORD; cutOf(this.#port) === undefined && now() < end; )
      await new Promise((resolve) => setTimeout(resolve, WAIT));
    const cut = cutOf(this.#port);
    const fault = cutFault(cut, took);
    if (fault === undefined && cut !== undefined) onExcused(cut);
    return fault === undefined ? undefined : `, ${fault} (here: ${this.#error ?? 'no error'})`;
  }

  /** The next exchange gets a connection of its own. */
  #drop(socket: Socket): void {
    if (this.#socket === socket) this.#socket = undefined;
    socket.destroy();
  }

  #connect(): Promise<Socket> {
    this.connections++;
    return new Promise((resolve, reject) => {
      const socket = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true });
      this.#socket = socket;
      this.#error = undefined;
      socket.once('connect', () => {
        this.#port = socket.localPort ?? 0;
        this.#options.onConnect(this.#port);
        resolve(socket);
      });
      socket.once('error', reject);
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (this.#socket === socket) this.#error = `${error.syscall} ${error.code}`;
      });
      socket.on('data', (chunk) => {
        if (this.#socket === socket) this.#take(chunk);
      });
      socket.on('close', () => {
        if (this.#socket !== socket) return;
        this.#socket = undefined;
        const running = this.#exchange;
        if (running === undefined) return;
        const fault = running.judge.ended(running.halfClosed);
        running.end(fault === undefined ? 'gone' : { fault, cut: true });
      });
    });
  }

  async #send(socket: Socket, { parts, ending, number, late }: Exchange): Promise<void> {
    // Who reads only when all is sent must not lose what was answered meanwhile.
    if (late) socket.pause();
    for (const [i, part] of parts.entries()) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, number % 3));
      const running = this.#exchange;
      if (running === undefined || socket.destroyed) return;
      socket.write(part);
      running.since = this.#options.now();
    }
    if (late) {
      await new Promise((resolve) => setTimeout(resolve, WAIT));
      socket.resume();
    }
    const running = this.#exchange;
    if (running === undefined || socket.destroyed) return;
    if (ending === 'reset') {
      // In the middle of whatever it does with it.
      await new Promise((resolve) => setTimeout(resolve, number % 4));
      if (this.#exchange !== running) return;
      running.end('gone');
      this.#socket = undefined;
      socket.resetAndDestroy();
      return;
    }
    if (ending === 'half-close') {
      running.halfClosed = true;
      socket.end();
    }
    // From here on the server has all that it will get.
    running.waiting = true;
    const { rest } = running.judge.reading;
    if (rest.kind === 'incomplete' && ending === 'canary') await this.#abandon(socket, running);
  }

  /** Of a request that is not complete, nothing more comes: when those before it have their replies, our side ends. */
  async #abandon(socket: Socket, running: Running): Promise<void> {
    running.waiting = !running.judge.complete;
    while (!running.judge.complete && this.#exchange === running)
      await new Promise((resolve) => setTimeout(resolve, WAIT));
    await new Promise((resolve) => setTimeout(resolve, WAIT));
    if (this.#exchange !== running || running.judge.closing) return;
    running.halfClosed = true;
    running.since = this.#options.now();
    running.waiting = true;
    socket.end();
  }

  #take(chunk: Buffer): void {
    const running = this.#exchange;
    if (running === undefined) {
      // Between two exchanges nobody has asked for anything.
      this.#stray += chunk.length;
      return;
    }
    this.#received.push(chunk);
    const whole = this.#received.length === 1 ? chunk : Buffer.concat(this.#received);
    if (this.#received.length > 1) this.#received = [whole];
    const { judge } = running;
    const judgement = judge.take(whole);
    if (typeof judgement === 'object') running.end(judgement);
    else if (judgement === 'done' && !running.halfClosed) running.end('open');
    else running.since = this.#options.now();
    if (judge.closing && this.#exchange === running) {
      running.waiting = true;
      if (this.connections % WATCHED !== 0) setTimeout(() => running.end('gone'), WAIT);
    }
  }
}

/** The start and the end of what was received. */
function excerpt(text: string): string {
  return text.length <= 1200
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, 500))} … ${JSON.stringify(text.slice(-700))}`;
}
