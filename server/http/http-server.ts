/** The HTTP server itself: sockets, time limits, draining. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type CallContext, makeDispatcher } from './dispatch.ts';
import { problem } from './problem.ts';
import { type Reply, send } from './reply.ts';

export interface HttpServer {
  /** Where it listens, such as http://127.0.0.1:8080. */
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
  /** For the headers of a request to arrive. */
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
/** How long a client gets to read why its connection is closed, in milliseconds. */
const LAST_WORDS = 1000;

/** Each open connection with the answers on it that are not complete yet. */
type Connections = Map<Socket, Set<ServerResponse>>;

/** A server that has its port and answers 503 `not_ready` until it is told what to serve. */
export interface BoundHttpServer extends HttpServer {
  serve(context: CallContext): void;
}

/** Takes the port; rejects with the system's error if it cannot be had. */
export async function bindHttp(
  { host, port }: Listen,
  socketLimits: Partial<SocketLimits> = {},
): Promise<BoundHttpServer> {
  const { headersTimeout, requestTimeout, stallTimeout, maxConnections } = { ...SOCKET_LIMITS, ...socketLimits };
  const connections: Connections = new Map();
  let dispatch = (req: IncomingMessage, res: ServerResponse): void =>
    send(req, res, problem('not_ready', 'the server is starting; nothing was stored, ask again'));
  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    const running = connections.get(req.socket);
    running?.add(res);
    res.once('close', () => running?.delete(res));
    dispatch(req, res);
  };
  const server = createServer(
    {
      headersTimeout,
      requestTimeout,
      // Node looks for late requests only this often.
      connectionsCheckingInterval: Math.min(headersTimeout, requestTimeout) / 4,
      maxHeaderSize: MAX_HEADER_SIZE,
      // The dispatcher looks at it, and answers as for all else.
      requireHostHeader: false,
    },
    onRequest,
  );
  // An expectation that nobody knows may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', onRequest);
  server.maxConnections = maxConnections;
  server.timeout = stallTimeout;
  // Node would drop what comes after the 2,000th header without a word; the size bounds their number as well.
  server.maxHeadersCount = 0;
  server.on('connection', (socket) => {
    connections.set(socket, new Set());
    socket.once('close', () => connections.delete(socket));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    // Behind a complete request that still waits for its answer, ours to the garbage would be taken for that one; behind an
    // answer that has begun, for a second one.
    const taken = [...(connections.get(socket) ?? [])].some(({ req, headersSent }) => req.complete || headersSent);
    if (taken || error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuse(socket, clientProblem(error.code));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve());
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const close = (grace: number): Promise<void> =>
    new Promise((resolve) => {
      const sweep = setInterval(() => closeIdle(connections), 50);
      const cut = setTimeout(() => server.closeAllConnections(), grace);
      server.close(() => {
        clearInterval(sweep);
        clearTimeout(cut);
        resolve();
      });
      closeIdle(connections);
    });
  const serve = (context: CallContext): void => {
    dispatch = makeDispatcher(context);
  };
  return { url: `http://${shown}:${address.port}`, serve, close };
}

/** Closes what carries no request; Node's own closeIdleConnections spares connections that never sent a byte. */
function closeIdle(connections: Connections): void {
  for (const [socket, running] of connections) if (running.size === 0) socket.destroy();
}

/** What the parser of HTTP, or its clock, has against a request. */
function clientProblem(code: string | undefined): Reply {
  if (code === 'HPE_HEADER_OVERFLOW')
    return problem('headers_too_large', `request line and headers have at most ${MAX_HEADER_SIZE} bytes`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return problem('request_timeout', 'the request took too long to arrive');
  return problem('bad_request', 'that is not a well-formed HTTP request');
}

/** Answers what never became a request, and closes the connection. */
function refuse(socket: Socket, { status, headers, body }: Reply): void {
  const all = { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  // No reason phrase: it is optional, and nobody reads it (RFC 9112 §4).
  socket.end(`HTTP/1.1 ${status} \r\n${lines.join('')}\r\n${body}`);
  const cut = setTimeout(() => socket.destroy(), LAST_WORDS);
  socket.once('close', () => clearTimeout(cut));
}
