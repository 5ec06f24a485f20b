/** What a server has promised to a client that does one thing after the other: the oracle of events and heads, and API keys beside it. */
import type { ServerProcess } from '../support/spawn-server.ts';
import { ExpectedLog, pause, type Sent } from './expected.ts';

/** `unknown`: asked for, and there was no answer. */
type KeyState = 'valid' | 'revoked' | 'unknown';

/** Commits between two looks at the newest head. */
const LOOK = 4;
/** Commits before a key is made, and before it is revoked; the pattern repeats. */
const [MAKE, REVOKE, PATTERN] = [3, 8, 10];
/** Pause after an answer that is none, in milliseconds. */
const PAUSE = 20;

export class Promises {
  readonly log: ExpectedLog;
  readonly #keys: Map<string, { readonly id: string; state: KeyState }>;
  #met: boolean;

  constructor(
    log = new ExpectedLog(),
    keys = new Map<string, { readonly id: string; state: KeyState }>(),
    met = false,
  ) {
    this.log = log;
    this.#keys = keys;
    this.#met = met;
  }

  /** For a copy of the data directory. */
  copy(): Promises {
    const keys = [...this.#keys].map(([text, key]) => [text, { ...key }] as const);
    return new Promises(this.log.fork(), new Map(keys), this.#met);
  }

  /**
   * So many commits, always the same ones, until they are done or the server is gone. Resolves with whether all of them were acknowledged.
   * `tag` tells the ids of two works in one directory apart.
   */
  async work(server: ServerProcess, tag: string, commits: number): Promise<boolean> {
    const gone = (): boolean => server.child.exitCode !== null || server.child.signalCode !== null;
    let all = true;
    const attempt = async (step: () => Promise<unknown>): Promise<void> => {
      // A server that dies under a request is nobody's fault; what it had promised is checked afterwards.
      await step().catch(() => {
        all = false;
      });
    };
    await attempt(() => this.#meet(server));
    for (let i = 0; i < commits && !gone(); i++) {
      if ((await this.log.send(server.url, batch(tag, i))) !== 200) {
        all = false;
        await pause(PAUSE);
      }
      if (i % LOOK === LOOK - 1) await attempt(() => this.log.see(server));
      if (i % PATTERN === MAKE) await attempt(() => this.#makeKey(server, `${tag}-${i}`));
      if (i % PATTERN === REVOKE) await attempt(() => this.#revokeKey(server));
    }
    return all;
  }

  /** Everything that was promised, against what the server has now. */
  async check(server: ServerProcess): Promise<void> {
    await this.#meet(server);
    await this.log.settle(server.url);
    await this.log.check(server);
    await this.log.checkEvents(server);
    for (const [text, { id, state }] of this.#keys) {
      const reply = await server.fetch('/logs/main', { headers: { authorization: `Bearer ${text}` } });
      const expected = state === 'valid' ? [200] : state === 'revoked' ? [401] : [200, 401];
      if (!expected.includes(reply.status)) {
        this.log.violations.push(`the key ${id}, which is ${state}, is answered ${reply.status}`);
      }
    }
  }

  async #meet(server: ServerProcess): Promise<void> {
    if (this.#met) return;
    await this.log.meet(server);
    this.#met = true;
  }

  async #makeKey(server: ServerProcess, name: string): Promise<void> {
    const body = JSON.stringify({ name, scope: 'read' });
    const reply = await server.fetch('/admin/keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    // One that was made without an answer is known to nobody.
    if (!reply.ok) return;
    const { id, key } = (await reply.json()) as { id: string; key: string };
    this.#keys.set(key, { id, state: 'valid' });
  }

  async #revokeKey(server: ServerProcess): Promise<void> {
    const key = [...this.#keys.values()].find(({ state }) => state === 'valid');
    if (key === undefined) return;
    key.state = 'unknown';
    const reply = await server.fetch(`/admin/keys/${key.id}`, { method: 'DELETE' });
    if (reply.ok) key.state = 'revoked';
  }
}

/** The events of one commit: one or two, some of them large, so that write buffers fill up. */
function batch(tag: string, commit: number): Sent[] {
  return Array.from({ length: 1 + (commit % 2) }, (_, i) => {
    const id = `${tag}-${commit}-${i}`;
    return { id, text: JSON.stringify({ id, filler: 'x'.repeat((commit * 1327) % 4000) }) };
  });
}
