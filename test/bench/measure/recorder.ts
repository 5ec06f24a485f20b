/** A client that keeps every entry that was acknowledged to it, to be looked for after a crash. */
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { decodeFrames } from '../../../tree/bundles.ts';
import { type Body, withUniqueDigits } from './payloads.ts';

/** How entries are sent. */
export type Form = 'add' | 'add-batch' | 'events';

export interface Acknowledged {
  readonly index: number;
  /** The entry as it was sent: the leaf of a raw log, or the text of an event. */
  readonly bytes: Uint8Array;
  /** Of an event: what the reply said. */
  readonly leafHash?: string;
}

export interface RecorderOptions {
  /** Base URL of the log. */
  readonly log: string;
  readonly form: Form;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodies: readonly Body[];
  readonly connections: number;
}

const CONTENT_TYPES: Record<Form, string> = {
  add: 'application/octet-stream',
  'add-batch': 'application/octet-stream',
  events: 'application/x-ndjson',
};

/** Sends until the server is gone, then returns what was acknowledged. */
export async function record(options: RecorderOptions): Promise<Acknowledged[]> {
  const { bodies, connections, form } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const mark = randomBytes(4).toString('hex');
  const acknowledged: Acknowledged[] = [];
  let sent = 0;
  const send = async (): Promise<void> => {
    for (let turn = 0; ; turn++) {
      const body = bodies[turn % bodies.length] as Body;
      const bytes = withUniqueDigits(body, mark, sent);
      sent += body.unique.length;
      const reply = await post(options, agent, bytes);
      if (reply === undefined) return;
      acknowledged.push(...entriesOf(form, bytes, reply));
    }
  };
  await Promise.all(Array.from({ length: connections }, send));
  agent.destroy();
  return acknowledged;
}

/** Sends entries once. The reply's text; undefined if there is none, because the server was killed. */
export function post(
  { log, form, headers }: Pick<RecorderOptions, 'log' | 'form' | 'headers'>,
  agent: Agent,
  body: Buffer,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const sending = request(
      `${log}/${form}`,
      { method: 'POST', agent, headers: { ...headers, 'content-type': CONTENT_TYPES[form] } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => resolve(undefined));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`an entry was refused: ${response.statusCode} ${text}`));
        });
      },
    );
    sending.on('error', () => resolve(undefined));
    sending.end(body);
  });
}

function entriesOf(form: Form, sent: Buffer, reply: string): Acknowledged[] {
  if (form === 'events') {
    const lines = sent.toString().split('\n');
    const { entries } = JSON.parse(reply) as { entries: { leaf_index: number; leaf_hash: string }[] };
    return entries.map((entry, i) => ({
      index: entry.leaf_index,
      bytes: Buffer.from(lines[i] as string),
      leafHash: entry.leaf_hash,
    }));
  }
  const first = Number(reply);
  const entries = form === 'add' ? [sent] : decodeFrames(sent, Number.MAX_SAFE_INTEGER);
  return entries.map((bytes, i) => ({ index: first + i, bytes }));
}
