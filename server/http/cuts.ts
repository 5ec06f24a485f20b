import type { Logger } from 'pino';

/**
 * Why a connection ends that its client might have gone on with. Every one has a reason here, counted in a metric and named in a line of
 * the log at `debug`; `unnamed` is the reason of those that nobody meant, and each of them is a bug.
 */
export const CUT_REASONS = [
  /** No byte went either way for the stall time, and nothing was asked. */
  'idle',
  /** The same, while a request or its answer was on the way. */
  'stalled',
  /** An answer waited for the stall time, and its client took nothing of it. */
  'not_taken',
  /** Headers or a body did not arrive in time: 408, or no answer where others before it are still due. */
  'too_slow',
  /** What came is no request: 400 or 431, or no answer where others before it are still due, which would be taken for one of them. */
  'malformed',
  /** CONNECT: there are no tunnels here. */
  'tunnel',
  /** The client was told that the connection closes, and did not end its side in a second. */
  'lingered',
  /** The client reset the connection, or the network did. */
  'reset',
  /** A TLS handshake failed. */
  'handshake',
  /** More connections than the server takes. */
  'too_many',
  /** An answer could not be written; the log has the error. */
  'failed',
  /** The server stops. */
  'stopping',
  'unnamed',
] as const;

export type CutReason = (typeof CUT_REASONS)[number];

export interface Cut {
  readonly reason: CutReason;
  /** Address and port of the peer: a proxy, where there is one. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** Requests that get no answer. */
  readonly unanswered: number;
}

/** Tells of each cut in the log: what nobody meant is for whoever looks after the server, all else for whoever wonders about one connection. */
export function tellCuts(logger: Logger, count: (reason: CutReason) => void = () => {}): (cut: Cut) => void {
  return (cut) => {
    count(cut.reason);
    if (cut.reason === 'unnamed') logger.error(cut, 'a connection ended and nobody knows why');
    else if (logger.isLevelEnabled('debug')) logger.debug(cut, 'cut a connection');
  };
}
