/**
 * What the replies to an exchange have to do with the bytes that were sent. The model says which requests stand in them; the replies are to
 * these, in this order, one each. A server may refuse whatever it likes with a 4xx, if it then closes: what comes behind is nobody's.
 */
import { type ModelRequest, type Parsed, requestAt } from './framing.ts';
import { type ReplyParsed, replyAt, type WireReply } from './replies.ts';

/** What stands in the bytes of an exchange: whole requests, and then an end, something that is none, or the beginning of one. */
export interface Reading {
  readonly requests: readonly { readonly start: number; readonly request: ModelRequest }[];
  readonly rest: { readonly kind: 'end' } | Exclude<Parsed, ModelRequest>;
}

export function readRequests(bytes: Uint8Array): Reading {
  const requests: { start: number; request: ModelRequest }[] = [];
  let at = 0;
  while (at < bytes.length) {
    // Empty lines before a request are nobody's; a canary behind them begins where it begins.
    while (bytes[at] === 0x0d || bytes[at] === 0x0a) at++;
    if (at >= bytes.length) break;
    const parsed = requestAt(bytes, at);
    if (parsed.kind !== 'request') return { requests, rest: parsed };
    requests.push({ start: at, request: parsed });
    at = parsed.end;
  }
  return { requests, rest: { kind: 'end' } };
}

/** Whether more replies are to come, or what is wrong with those that came. */
export type Judgement = 'more' | 'done' | { readonly fault: string };

export interface Answered {
  readonly start: number;
  readonly request: ModelRequest;
  readonly reply: WireReply;
}

/** Follows the replies to one exchange as they come in. */
export class Judge {
  readonly reading: Reading;
  /** Whether a reply said that the connection closes behind it. */
  closing = false;
  readonly #onReply: (answered: Answered) => string | undefined;
  #next = 0;
  #at = 0;
  #continued = false;

  constructor(bytes: Uint8Array, onReply: (answered: Answered) => string | undefined) {
    this.reading = readRequests(bytes);
    this.#onReply = onReply;
  }

  /** The request that has a head and no whole body. */
  get #unfinished(): { readonly method?: string | undefined } | undefined {
    const { rest } = this.reading;
    return rest.kind === 'end' ? undefined : rest;
  }

  /** Whether every request that stands in the bytes has its reply. */
  get complete(): boolean {
    return this.#next >= this.reading.requests.length;
  }

  /** Takes what has arrived since this exchange began. */
  take(received: Buffer): Judgement {
    while (this.#at < received.length) {
      if (this.closing) return { fault: 'bytes behind the last reply of a connection' };
      const expected = this.reading.requests[this.#next];
      const parsed: ReplyParsed = replyAt(
        received,
        this.#at,
        (expected?.request ?? this.#unfinished)?.method === 'HEAD',
      );
      if (parsed === 'incomplete') return 'more';
      if ('fault' in parsed) return parsed;
      if (parsed.status === 100) {
        const asked =
          expected?.request.headers.some(([name, value]) => name === 'expect' && /100-continue/i.test(value)) === true;
        if ((!asked && this.reading.rest.kind === 'end') || this.#continued)
          return { fault: 'a 100 that nobody asked for' };
        this.#continued = true;
        this.#at = parsed.end;
        continue;
      }
      this.#continued = false;
      const fault = this.#judge(parsed);
      if (fault !== undefined) return { fault };
      this.#at = parsed.end;
      this.#next++;
      this.closing = parsed.headers.get('connection')?.toLowerCase() === 'close';
    }
    if (this.closing) return 'more';
    return this.complete && this.reading.rest.kind === 'end' ? 'done' : 'more';
  }

  #judge(reply: WireReply): string | undefined {
    const { requests, rest } = this.reading;
    const expected = requests[this.#next];
    const closes = reply.headers.get('connection')?.toLowerCase() === 'close';
    if (expected !== undefined) {
      const { request } = expected;
      if (request.fault !== undefined && reply.status < 400)
        return `${request.fault}, and the reply is ${reply.status}`;
      if (request.closes && !closes) return 'the connection was to be closed behind it, and is not';
      return this.#onReply({ ...expected, reply });
    }
    if (this.#next > requests.length || rest.kind === 'end')
      return `one reply more than there were requests: ${reply.status}`;
    const what = rest.kind === 'malformed' ? rest.why : 'not a whole request';
    // A head that is good may be answered before its body is read, if nothing is read behind it.
    if (reply.status < 400 && rest.method === undefined) return `a reply ${reply.status} to what is ${what}`;
    return closes ? undefined : `a reply ${reply.status} to what is ${what}, and the connection stays open`;
  }

  /** The server has closed the connection: whether it may have. */
  ended(halfClosed: boolean): string | undefined {
    const { requests, rest } = this.reading;
    // A server need not go on for a client that has ended its side.
    if (this.closing || halfClosed || rest.kind !== 'end') return undefined;
    // CONNECT asks for a tunnel, and the connection ends without a word. What the parser refuses while an answer before it is due ends it too:
    // a refusal would be taken for that answer.
    if (requests.slice(this.#next).some(({ request }) => request.odd)) return undefined;
    if (this.complete) return 'the connection was closed without a word';
    return `the connection was closed, and ${requests.length - this.#next} requests have no reply`;
  }
}
