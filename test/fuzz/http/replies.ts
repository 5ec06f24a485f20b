/** Reads the replies on a connection, strictly: one spelling, one length, nothing between them. Whatever else there is, is a fault. */
import { SIZE_CONTENT_TYPE } from '../../../proofs/add-checkpoint.ts';

export interface WireReply {
  readonly status: number;
  /** Names in small letters. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** The byte after it. */
  readonly end: number;
}

export type ReplyParsed = WireReply | 'incomplete' | { readonly fault: string };

const STATUS_LINE = /^HTTP\/1\.1 ([1-5][0-9]{2}) [ -~]*$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([ -~]*)$/;

/** The reply that begins at a place; `head` says that the request was a HEAD, whose reply has no body whatever its length says. */
export function replyAt(bytes: Buffer, from: number, head: boolean): ReplyParsed {
  const end = bytes.indexOf('\r\n\r\n', from);
  if (end < 0) {
    // A reply begins with HTTP/1.1 from its first byte on.
    const start = bytes.toString('latin1', from, Math.min(bytes.length, from + 9));
    return 'HTTP/1.1 '.startsWith(start) && bytes.length - from < 65_536
      ? 'incomplete'
      : { fault: 'bytes that begin no reply' };
  }
  const [first = '', ...lines] = bytes.toString('latin1', from, end).split('\r\n');
  const status = Number(STATUS_LINE.exec(first)?.[1]);
  if (Number.isNaN(status)) return { fault: `a status line that is none: ${JSON.stringify(first.slice(0, 100))}` };
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined) return { fault: `a header that is none: ${JSON.stringify(line.slice(0, 100))}` };
    const key = name.toLowerCase();
    if (headers.has(key)) return { fault: `the header ${key} twice` };
    headers.set(key, value as string);
  }
  const begin = end + 4;
  const without = head || status < 200 || status === 204 || status === 304;
  const length = headers.get('content-length');
  if (headers.has('transfer-encoding')) return { fault: 'a reply in chunks' };
  if (length === undefined && !without) return { fault: 'a reply without a Content-Length' };
  if (length !== undefined && !/^(?:0|[1-9][0-9]{0,9})$/.test(length))
    return { fault: `a Content-Length of ${length}` };
  const size = without ? 0 : Number(length);
  if (begin + size > bytes.length) return 'incomplete';
  return { status, headers, body: bytes.subarray(begin, begin + size), end: begin + size };
}

const SECURITY = [
  'content-security-policy',
  'x-content-type-options',
  'referrer-policy',
  'cross-origin-resource-policy',
];

/** What is wrong with a reply by itself, whatever was asked; `codes` has the status of every documented code. */
export function replyFault(
  { status, headers, body }: WireReply,
  codes: ReadonlyMap<string, number>,
  head: boolean,
): string | undefined {
  const missing = SECURITY.find((name) => !headers.has(name));
  if (missing !== undefined) return `a reply ${status} without ${missing}`;
  if (status < 400) {
    const type = headers.get('content-type') ?? '';
    if (type === 'application/json' && !head && !isJson(body)) return `a reply ${status} that is no JSON`;
    return status >= 500 ? `status ${status}` : undefined;
  }
  // Readiness is a word and no problem.
  if (status === 503 && headers.get('content-type')?.startsWith('text/plain') === true) return undefined;
  // What a witness says of a conflict is fixed by C2SP tlog-witness.
  if (status === 409 && headers.get('content-type') === SIZE_CONTENT_TYPE)
    return /^(?:0|[1-9][0-9]*)\n$/.test(body.toString('latin1')) || head ? undefined : 'a 409 whose size is none';
  if (headers.get('content-type') !== 'application/problem+json')
    return `an error ${status} that is no problem document`;
  if (headers.get('cache-control') !== 'no-store') return `an error ${status} that may be kept`;
  if (status === 405 && !headers.has('allow')) return 'a 405 without Allow';
  if (status === 401 && !headers.has('www-authenticate')) return 'a 401 without WWW-Authenticate';
  if ((status === 503 || status === 507) && !/^[1-9][0-9]*$/.test(headers.get('retry-after') ?? ''))
    return `a ${status} without Retry-After`;
  if (status >= 500 && status !== 503 && status !== 507)
    return `status ${status}: ${body.toString('utf8').slice(0, 200)}`;
  if (head) return undefined;
  return problemFault(status, body, codes);
}

function problemFault(status: number, body: Buffer, codes: ReadonlyMap<string, number>): string | undefined {
  let problem: { readonly [member: string]: unknown };
  try {
    problem = JSON.parse(body.toString('utf8')) as typeof problem;
  } catch {
    return `an error ${status} whose body is no JSON`;
  }
  const { type, title, status: stated, detail, code } = problem;
  if (typeof code !== 'string' || codes.get(code) !== status)
    return `an error ${status} with the code ${JSON.stringify(code)}`;
  if (type !== `urn:indelible:problem:${code}` || stated !== status)
    return `an error ${status} of type ${JSON.stringify(type)}`;
  if (typeof title !== 'string' || typeof detail !== 'string') return `an error ${status} without title and detail`;
  return undefined;
}

function isJson(body: Buffer): boolean {
  try {
    JSON.parse(body.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
