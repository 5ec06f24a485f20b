/** HTTP to witnesses: Node's `fetch`, with a limit on time and size, and no redirects. */
import type { WitnessReply, WitnessTransport } from './conversation.ts';

/** Largest reply that is read, in bytes: a cosigned checkpoint or some lines of signatures. */
const MAX_REPLY = 131_072;

export const httpTransport: WitnessTransport = async ({ method, url, body, signal }) => {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      signal,
      // A witness that redirects would hand its answers to somebody whom the policy does not name.
      redirect: 'error',
      ...(body === undefined ? {} : { body, headers: { 'content-type': 'text/plain; charset=utf-8' } }),
    });
    return {
      status: response.status,
      contentType: response.headers.get('content-type') ?? undefined,
      body: await readAll(response),
    };
  } catch (cause) {
    throw new Error(`${url}: ${reasonOf(cause)}`, { cause });
  }
};

async function readAll(response: Response): Promise<WitnessReply['body']> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_REPLY) throw new Error(`the reply is larger than ${MAX_REPLY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** `fetch` says "fetch failed", and why in its cause. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError' || name === 'AbortError') return 'no answer in time';
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
