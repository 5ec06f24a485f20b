/**
 * The server in this process, over a data directory of its own, for the tests of its HTTP surface. What it answers is read
 * with node:http, which sends paths as they are, or with a bare socket, which sends anything.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { pino } from 'pino';
import type { Scope } from '../../server/access.ts';
import { HTTP_LIMITS, type HttpLimits } from '../../server/http/call.ts';
import { tellCuts } from '../../server/http/cuts.ts';
import { type CallContext, makeDispatcher } from '../../server/http/dispatch.ts';
import { bindHttp, type HttpServer, type SocketLimits } from '../../server/http/http-server.ts';
import type { NewLog } from '../../server/log-server.ts';
import { Metrics } from '../../server/metrics.ts';
import type { PublisherIntervals } from '../../server/publisher.ts';
import { SEQUENCER_LIMITS, type SequencerLimits } from '../../server/sequencer.ts';
import { type StartedServer, startLogServer } from '../../server/start.ts';

/** An admin key in the place of INDELIBLE_ADMIN_KEY. */
export const ADMIN_KEY = `ind_${'a'.repeat(16)}_${'0'.repeat(64)}`;

export type Json = Record<string, unknown>;

export interface TestServerOptions {
  readonly limits?: Partial<HttpLimits>;
  readonly sequencer?: Partial<SequencerLimits>;
  readonly sockets?: Partial<SocketLimits>;
  readonly intervals?: Partial<PublisherIntervals>;
  /** False: no head is signed but those made with a log. */
  readonly publish?: boolean;
  /** False: ADMIN_KEY is a stranger's. */
  readonly adminKey?: boolean;
  readonly context?: Partial<Pick<CallContext, 'logger' | 'proxies' | 'rates' | 'throttle' | 'witness'>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The body parsed; throws where it is not JSON. */
  readonly json: <T = Json>() => T;
}

export interface Send {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
  /** Sends the body in chunks, without a Content-Length. */
  readonly chunked?: boolean;
}

export interface RawOptions {
  /** Ends our side after sending. Default false. */
  readonly end?: boolean;
  /** Stops waiting after that many milliseconds. Default 5,000. */
  readonly timeout?: number;
  /** Sent one after the other with that many milliseconds between. */
  readonly pause?: number;
}

export interface RawAnswer {
  /** All that came, as latin1. */
  readonly text: string;
  /** Whether the server closed the connection. */
  readonly closed: boolean;
}

export class TestServer {
  #options: TestServerOptions;
  /** Its data directory. */
  readonly directory: string;
  #agent = new Agent({ keepAlive: true });
  #http: HttpServer | undefined;
  #started: StartedServer | undefined;
  /** What would have stopped the process. Empty, in every test of this folder. */
  readonly fatal: unknown[] = [];

  private constructor(directory: string, options: TestServerOptions) {
    this.directory = directory;
    this.#options = options;
  }

  /** Starts a server, and closes and removes it after the tests of the file that called this. */
  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const server = new TestServer(await mkdtemp(join(tmpdir(), 'indelible-http-')), options);
    await server.#open();
    afterAll(() => server.close());
    return server;
  }

  get started(): StartedServer {
    if (this.#started === undefined) throw new Error('the test server is closed');
    return this.#started;
  }

  get url(): string {
    if (this.#http === undefined) throw new Error('the test server is closed');
    return this.#http.url;
  }

  /** Stops the server and starts it again over what it left, with other options, or after something was done, where given. */
  async restart(options: TestServerOptions = {}, between: () => Promise<void> = async () => {}): Promise<void> {
    await this.#stop();
    await between();
    this.#options = { ...this.#options, ...options };
    await this.#open();
  }

  async close(): Promise<void> {
    await this.#stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Only the listener, as a server does first that was told to stop. */
  stopListening(grace: number): Promise<void> {
    const http = this.#http;
    this.#http = undefined;
    return http === undefined ? Promise.resolve() : http.close(grace);
  }

  /** One request, its path sent as it is. */
  request(method: string, path: string, { key, headers, body, chunked }: Send = {}): Promise<Answer> {
    const { hostname, port } = new URL(this.url);
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        { method, hostname, port, path, agent: this.#agent, headers: { ...headers } },
        (reply) => {
          const chunks: Uint8Array[] = [];
          reply.on('data', (chunk: Uint8Array) => chunks.push(chunk));
          reply.on('error', reject);
          reply.on('end', () => {
            const bytes = new Uint8Array(Buffer.concat(chunks));
            const text = Buffer.from(bytes).toString('utf8');
            const { statusCode: status = 0, headers: got } = reply;
            resolve({ status, headers: got, bytes, text, json: <T>() => JSON.parse(text) as T });
          });
        },
      );
      sent.on('error', reject);
      if (key !== undefined) sent.setHeader('authorization', `Bearer ${key}`);
      if (body !== undefined && chunked !== true) sent.setHeader('content-length', Buffer.byteLength(body));
      if (body !== undefined && chunked === true) {
        const bytes = Buffer.from(body);
        for (let at = 0; at < bytes.length; at += 10_000) sent.write(bytes.subarray(at, at + 10_000));
      }
      sent.end(chunked === true ? undefined : body);
    });
  }

  get(path: string, key?: string): Promise<Answer> {
    return this.request('GET', path, { key });
  }

  /** POST of JSON; text goes as it is. */
  post(path: string, body: unknown, key: string | undefined = ADMIN_KEY, type = 'application/json'): Promise<Answer> {
    const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    return this.request('POST', path, { key, headers: { 'content-type': type }, body: text });
  }

  /** Sends bytes on a socket of their own, and gives what came until the server closed it, or for so long. */
  raw(
    parts: string | readonly string[],
    { end = false, timeout = 5000, pause = 20 }: RawOptions = {},
  ): Promise<RawAnswer> {
    const { hostname, port } = new URL(this.url);
    return new Promise((resolve) => {
      let text = '';
      let closed = false;
      const socket = connect({ host: hostname, port: Number(port) });
      const finish = (): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve({ text, closed });
      };
      const timer = setTimeout(finish, timeout);
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        text += chunk;
      });
      // A reset is a closed connection too.
      socket.on('error', () => {});
      socket.on('end', () => {
        closed = true;
      });
      socket.on('close', () => {
        closed = true;
        finish();
      });
      void (async () => {
        for (const part of typeof parts === 'string' ? [parts] : parts) {
          if (closed) return;
          socket.write(part, 'latin1');
          await new Promise((wait) => setTimeout(wait, pause));
        }
        if (end) socket.end();
      })();
    });
  }

  /** A new API key. */
  async makeKey(scopes: readonly Scope[], { log, name }: { log?: string; name?: string } = {}): Promise<string> {
    const { text } = await this.started.server.createKey({ name, scopes, log: log ?? null }, 'system');
    return text;
  }

  /** A new log of kind events with public reads, unless told otherwise. */
  async makeLog(name: string, fields: Partial<NewLog> = {}): Promise<void> {
    const { server } = this.started;
    await server.createLog({ kind: 'events', publicReads: true, idPointer: null, ...fields, name }, 'system');
  }

  /** Durable size of a log. */
  sizeOf(log: string): number {
    const { treeSize } = this.started.server.log(log)?.state ?? {};
    if (treeSize === undefined) throw new Error(`there is no log ${log}`);
    return treeSize;
  }

  /** Signs whatever is unsigned, now. */
  sign(): Promise<void> {
    return this.started.server.publisher.publishDue();
  }

  async #open(): Promise<void> {
    const { limits, sequencer, sockets, intervals, publish = true, adminKey = true, context } = this.#options;
    const metrics = new Metrics(() => ({
      logs: 0,
      entries: 0,
      unsigned: 0,
      pending: 0,
      indexLag: 0,
      clockUnsafe: false,
    }));
    this.#started = await startLogServer(
      { path: this.directory },
      {
        ...(adminKey ? { adminKey: ADMIN_KEY } : {}),
        originBase: 'test.example',
        intervals: { interval: 20, refresh: 600_000, ...intervals },
        limits: { ...SEQUENCER_LIMITS, ...sequencer },
        onFatal: (error) => this.fatal.push(error),
      },
    );
    const http = await bindHttp({ host: '127.0.0.1', port: 0 }, sockets);
    const calls = {
      server: this.#started.server,
      limits: { ...HTTP_LIMITS, ...limits },
      metrics,
      ready: () => this.#http !== undefined,
      logger: pino({ level: 'silent' }),
      ...context,
    };
    http.serve(
      (abandon) => makeDispatcher(calls, abandon),
      tellCuts(calls.logger, (reason) => metrics.cut(reason)),
    );
    this.#http = http;
    if (publish) this.#started.server.start();
  }

  async #stop(): Promise<void> {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true });
    await this.stopListening(1000);
    await this.#started?.close();
    this.#started = undefined;
  }
}
