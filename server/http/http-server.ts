/** The HTTP server itself: sockets, time limits, draining. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { Connections } from './connections.ts';
import type { Cut } from './cuts.ts';
import { Incoming } from './incoming.ts';
import { problem } from './problem.ts';
import { type Reply, send } from './reply.ts';
import { SECURITY_HEADERS } from './security-headers.ts';
import type { Abandon, RequestHandler } from './site.ts';

export interface HttpServer {
  /** Where it listens, such as http://127.0.0.1:8080, or https with TLS. */
  readonly url: string;
  /** Takes no new connections, lets running requests finish for `grace` milliseconds, then cuts what is left. */
  close(grace: number): Promise<void>;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Limits of connections. Times in milliseconds. */
export interface SocketLimits {
  /** For the headers of a request to arrive, and for a TLS handshake before them. */
  readonly headersTimeout: number;
  /** For a whole request to arrive. */
  readonly requestTimeout: number;
  /** Without a byte in either direction; above the longest time that a request waits for its head. */
  readonly stallTimeout: number;
  readonly maxConnections: number;
}

/**
 * Node's own defaults are 60 s for headers, 300 s for a request, and none for the client that stops reading or for the number
 * of connections: an invitation to hold sockets and memory.
 */
export const SOCKET_LIMITS: SocketLimits = {
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  stallTimeout: 120_000,
  maxConnections: 10_000,
};

/** Largest request line and headers, in bytes. */
const MAX_HEADER_SIZE = 16_384;
/** A server that has its port and answers 503 `not_ready` until it is told what to serve. */
export interface BoundHttpServer extends HttpServer {
  /** Answers by the handler that is made, and tells of each connection that is cut. */
  serve(makeHandler: (abandon: Abandon) => RequestHandler, onCut: (cut: Cut) => void): void;
  /** Takes another certificate for the connections to come; those that are open keep theirs. Does nothing without TLS. */
  renew(tls: SecureContextOptions): void;
}

/** Takes the port, for TLS where a certificate is given; rejects with the system's error if it cannot be had. */
export async function bindHttp(
  { host, port }: Listen,
  socketLimits: Partial<SocketLimits> = {},
  tls?: SecureContextOptions,
): Promise<BoundHttpServer> {
  const { headersTimeout, requestTimeout, stallTimeout, maxConnections } = { ...SOCKET_LIMITS, ...socketLimits };
  const connections = new Connections(stallTimeout);
  let dispatch: RequestHandler = (req, res) =>
    send(req, res, problem('not_ready', 'the server is starting; nothing was stored, ask again'));
  const onRequest = (req: Incoming, res: ServerResponse): void => {
    // Of what a client has sent behind such a request, Node drops all that came with it, and would take the rest for a request.
    if (req.headers.upgrade !== undefined) res.shouldKeepAlive = false;
    if (connections.began(req.socket, res)) dispatch(req, res);
    // A body that nobody reads would keep the connection from being read to its end.
    else req.resume();
  };
  const options = {
    IncomingMessage: Incoming,
    headersTimeout,
    requestTimeout,
    // Node looks for late requests only this often.
    connectionsCheckingInterval: Math.min(headersTimeout, requestTimeout) / 4,
    maxHeaderSize: MAX_HEADER_SIZE,
    // The dispatcher looks at it, and answers as for all else.
    requireHostHeader: false,
  };
  const secure =
    tls === undefined
      ? undefined
      : createTlsServer(
          { ...options, ...tls, handshakeTimeout: headersTimeout, ALPNProtocols: ['http/1.1'] },
          onRequest,
        );
  const server: Server | TlsServer = secure ?? createServer(options, onRequest);
  // An expectation that nobody knows may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', onRequest);
  // An answer that still waits for others before it would have this between its head and its body.
  server.on('checkContinue', (req: Incoming, res: ServerResponse) => {
    if (res.socket !== null) res.writeContinue();
    onRequest(req, res);
  });
  server.maxConnections = maxConnections;
  // Between two requests as within one, the watch over all connections decides: Node would set a timer after each answer (1 µs of 30), and
  // proxies that keep connections for a minute would meet closed ones after its 5 seconds.
  server.keepAliveTimeout = 0;
  // Node would drop what comes after the 2,000th header without a word; the size bounds their number as well.
  server.maxHeadersCount = 0;
  const track = (socket: Socket): void => connections.add(socket);
  const handshakes = secure === undefined ? undefined : trackHandshakes(secure, track);
  if (secure === undefined) server.on('connection', track);
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    const running = connections.runningOn(socket);
    // What never ended its handshake, plain HTTP on a TLS port for one, could not read an answer.
    if (running === undefined) return connections.cut(socket, 'handshake');
    if (error.syscall !== undefined) return connections.cut(socket, 'reset');
    // What comes behind the last request of a connection is nobody's; the answer to that request is still due, and closes it (RFC 9112 §9.6).
    if (connections.isEnding(socket)) return undefined;
    if (error.code === 'HPE_CLOSED_CONNECTION' && running.length > 0) return undefined;
    // Behind a complete request that still waits for its answer, ours to the garbage would be taken for that one; behind an
    // answer that has begun, for a second one.
    const taken = running.some((res) => res.req.complete || res.headersSent);
    const reason = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'too_slow' : 'malformed';
    if (taken || !socket.writable) return connections.cut(socket, reason);
    connections.name(socket, reason);
    return connections.end(socket, refusal(clientProblem(error.code)));
  });
  // Nobody listens for tunnels; Node would end the connection as well, and not say why.
  server.on('connect', (_req, stream) => connections.cut(stream as Socket, 'tunnel'));
  server.on('drop', (dropped) => connections.turnedAway(dropped?.remoteAddress, dropped?.remotePort));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve());
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const close = (grace: number): Promise<void> =>
    new Promise((resolve) => {
      connections.stop();
      const sweep = setInterval(() => connections.closeIdle(), 50);
      const cut = setTimeout(() => connections.cutAll(), grace);
      for (const socket of handshakes?.values() ?? []) socket.destroy();
      server.close(() => {
        clearInterval(sweep);
        clearTimeout(cut);
        connections.close();
        resolve();
      });
    });
  const serve: BoundHttpServer['serve'] = (makeHandler, onCut) => {
    connections.onCut = onCut;
    dispatch = makeHandler((socket) => connections.cut(socket, 'failed'));
  };
  const renew = (next: SecureContextOptions): void => secure?.setSecureContext(next);
  return { url: `${secure === undefined ? 'http' : 'https'}://${shown}:${address.port}`, serve, renew, close };
}

/**
 * Sockets whose TLS handshake is under way, by the peer's address: when it ends there is another object for the same connection,
 * which is given to `track`.
 */
function trackHandshakes(server: TlsServer, track: (socket: Socket) => void): ReadonlyMap<string, Socket> {
  const handshakes = new Map<string, Socket>();
  const peer = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
  server.on('connection', (socket: Socket) => {
    const name = peer(socket);
    handshakes.set(name, socket);
    socket.once('close', () => {
      if (handshakes.get(name) === socket) handshakes.delete(name);
    });
  });
  server.on('secureConnection', (socket) => {
    handshakes.delete(peer(socket));
    track(socket);
  });
  return handshakes;
}

/** What the parser of HTTP, or its clock, has against a request. */
function clientProblem(code: string | undefined): Reply {
  if (code === 'HPE_HEADER_OVERFLOW')
    return problem('headers_too_large', `request line and headers have at most ${MAX_HEADER_SIZE} bytes`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return problem('request_timeout', 'the request took too long to arrive');
  return problem('bad_request', 'that is not a well-formed HTTP request');
}

/** The answer to what never became a request, as it is written. */
function refusal({ status, headers, body }: Reply): string {
  const all = { ...SECURITY_HEADERS, ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  // No reason phrase: it is optional, and nobody reads it (RFC 9112 §4).
  return `HTTP/1.1 ${status} \r\n${lines.join('')}\r\n${body}`;
}
