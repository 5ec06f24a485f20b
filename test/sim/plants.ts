/** Bugs that the simulation has to find: each is a way in which a log server could be wrong, and most of them some log server was. */
import type { Bug } from '../support/plant.ts';

function bug(file: string, text: string, replacement: string): Bug {
  return { file: `server/${file}`, text, replacement };
}

export const SIM_PLANTS: Readonly<Record<string, readonly Bug[]>> = {
  'acknowledged-before-durable': [
    bug(
      'committer.js',
      'await this.#store.commit(writes);',
      'const stored = this.#store.commit(writes); stored.catch(() => {});',
    ),
    bug('committer.js', 'await this.#guard.promise({ n, recordHash });', 'stored.then(() => this.#guard.promise({ n, recordHash })).catch(() => {});'),
  ],
  'acknowledged-before-guard': [
    bug('committer.js', 'await this.#guard.promise({ n, recordHash });', 'this.#guard.promise({ n, recordHash }).catch(() => {});'),
  ],
  'guard-before-batch': [
    bug('committer.js', 'await this.#store.commit(writes);', 'await this.#guard.promise({ n, recordHash });'),
    bug('committer.js', 'await this.#guard.promise({ n, recordHash });\n        this.#end', 'await this.#store.commit(writes);\n        this.#end'),
  ],
};
