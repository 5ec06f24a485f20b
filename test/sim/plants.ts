/** Bugs that the simulation has to find: each is a way in which a log server can be wrong, and most of them some log server was. */
import { type Bug, FAILURE_FORGOTTEN, OWNER_NOT_CHECKED, PROMISED_FIRST, ROLLBACK_ACCEPTED } from '../support/plant.ts';

/** Texts of a build, as its compiler writes them. */
function bug(file: string, text: string, replacement: string): Bug {
  return { file: `server/${file}`, text, replacement };
}

const COMMIT = 'await this.#store.commit(writes);';
const PROMISE = 'await this.#guard.promise(promised);';

export const SIM_PLANTS: Readonly<Record<string, readonly Bug[]>> = {
  // When somebody is told
  'acknowledged-before-durable': [
    bug('committer.js', COMMIT, 'this.stored = this.#store.commit(writes);\n        this.stored.catch(() => {});'),
    bug('committer.js', PROMISE, 'this.stored.then(() => this.#guard.promise(promised)).catch(() => {});'),
  ],
  'acknowledged-before-guard': [bug('committer.js', PROMISE, 'this.#guard.promise(promised).catch(() => {});')],
  'guard-before-batch': PROMISED_FIRST,
  'shown-before-durable': [
    bug('committer.js', 'async store({ writes }) {', 'async store({ writes, states }) {'),
    bug(
      'committer.js',
      COMMIT,
      `for (const [log, state] of states)\n            log.state = state;\n        ${COMMIT}`,
    ),
  ],
  'head-shown-before-stored': [
    bug(
      'committer.js',
      'this.whenDone(() => {\n            log.published = published;\n        });',
      'log.published = published;',
    ),
  ],
  'stored-ahead-of-two-promises': [
    bug(
      'sequencer.js',
      'await before;\n            if (group !== undefined)\n                before = this.#promise(group);',
      'if (group !== undefined)\n                before = before.then(() => this.#promise(group));',
    ),
  ],
  'promised-out-of-turn': [
    bug(
      'sequencer.js',
      'await before;\n            if (group !== undefined)\n                before = this.#promise(group);',
      'if (group !== undefined)\n                before = this.#promise(group);',
    ),
  ],
  'replay-answered-before-durable': [
    bug(
      'append.js',
      'return answerWith(log, entries, (i) => replayed[i] === true, resolve);',
      'const answer = answerWith(log, entries, (i) => replayed[i] === true, resolve);\n    if (!replayed.every((again) => again)) return answer;\n    answer(new Map());\n    return () => { };',
    ),
  ],
  'failure-called-refusal': [
    bug('sequencer.js', "new ServerError('outcome_unknown'", "new ServerError('storage_full'"),
  ],

  // What is stored
  'not-synced': [bug('storage/level.js', 'await batch.write({ sync: true });', 'await batch.write({ sync: false });')],
  'failure-forgotten': FAILURE_FORGOTTEN,
  'failed-commit-retried': [
    bug('storage/level.js', 'if (this.#failure !== undefined)', 'if (false)'),
    bug('committer.js', COMMIT, 'await this.#store.commit(writes).catch(() => this.#store.commit(writes));'),
  ],
  'id-row-forgotten': [
    bug(
      'append.js',
      'group.transaction.put(key, encodeIdRow({ leafIndex, count }, group.transaction.slab));',
      'void encodeIdRow;',
    ),
  ],
  'ids-of-a-group-not-looked-at': [
    bug(
      'append.js',
      'own.set(key, i);\n        const used = group.fresh.get(key) ?? group.stored.get(key);',
      'own.set(key, i);\n        const used = group.stored.get(key);',
    ),
  ],
  'revocation-not-stored': [bug('log-server.js', 'transaction.put(apiKeyKey(id), encodeApiKey(revoked));', '')],
  'freeze-not-stored': [bug('committer.js', 'this.put(logDefinitionKey(log.name), encodeDefinition(definition));', '')],
  'sum-not-updated': [bug('committer.js', 'end.sum.set(changedHead);', ';')],
  'bundle-without-open-leaves': [
    bug(
      'integrate.js',
      'const value = open.bytes.length === 0 ? own : concatBytes(open.bytes, own);',
      'const value = own;',
    ),
  ],
  'refresh-replaces-first-head': [
    bug(
      'store-head.js',
      'const key = grew ? headKey(log.name, head.treeSize) : refreshKey(log.name, head.treeSize, head.time);',
      'const key = headKey(log.name, head.treeSize);',
    ),
  ],

  // What an entry says
  'wrong-index-after-batch': [
    bug(
      'committer.js',
      'const first = log.sequenced.treeSize + touched.leaves.count;',
      'const first = log.sequenced.treeSize;',
    ),
  ],
  'frozen-log-appended': [bug('group.js', "if (status !== 'active')", 'if (false)')],
  'received-at-decreases': [
    bug('group.js', 'return Math.max(now, transaction.lastReceivedAt(log));', 'return now;'),
    bug(
      'committer.js',
      "const touched = this.#touch(log);\n        if (receivedAt < touched.lastReceivedAt)\n            throw new Error('bug: receivedAt would decrease');\n        touched.lastReceivedAt = receivedAt;\n        touched.leaves.append(leaf);",
      'const touched = this.#touch(log);\n        touched.lastReceivedAt = receivedAt;\n        touched.leaves.append(leaf);',
    ),
    bug('clock.js', 'if (step > 0) {', 'this.#last = 0;\n        if (true) {'),
  ],
  'clock-step-accepted': [bug('clock.js', 'if (step > this.#limit()) {', 'if (false) {')],

  // What is signed
  'signed-without-reading-back': [
    bug(
      'read-back.js',
      'const frontier = await verifyGrowth(this.#options.store, log.name, from, growth, openRows);',
      'const frontier = log.state.treeSize === treeSize ? log.state.frontier : await verifyGrowth(this.#options.store, log.name, from, growth, openRows);',
    ),
  ],
  'full-bundle-read-in-part': [
    bug(
      'log-state.js',
      'let at = firstBundle < lastFull ? firstBundle * TILE_WIDTH : from.treeSize;',
      'let at = from.treeSize;',
    ),
    bug(
      'log-state.js',
      'const hashes = leafHashes(bytes ?? EMPTY, boundsOf(log, index, bytes));',
      'const hashes = leafHashes(bytes ?? EMPTY, boundsOf(log, index, bytes).subarray(2 * (at % TILE_WIDTH)));',
    ),
  ],
  'head-times-repeat': [
    bug(
      'publisher.js',
      'const time = Math.max(last.time + 1, Math.ceil(lastReceivedAt / 1000), Math.floor(now / 1000));',
      'const time = Math.floor(now / 1000);',
    ),
  ],

  // Who may go on, and from where
  'owner-not-checked': OWNER_NOT_CHECKED,
  'rollback-accepted': ROLLBACK_ACCEPTED,
  'record-hash-ignored': [
    bug('start-rules.js', 'if (hash === undefined || !equalBytes(hash, slot.recordHash)) {', 'if (false) {'),
  ],
  'three-commits-adopted': [
    bug('start-rules.js', 'if (database.n > newest.n + (newest.n === 0 ? 1 : MOST_ADOPTED)) {', 'if (false) {'),
  ],
  'last-of-two-promised-alone': [
    bug('recovery.js', 'for (let i = verdict.promised + 1; i <= n; i++)', 'for (let i = n; i <= n; i++)'),
  ],
  'adopted-without-promise': [bug('recovery.js', "if (verdict.action === 'adopt')", 'if (false)')],
  'guard-of-one-slot': [
    bug('guard.js', 'await this.#writeBlock(promised.n % 2, slotBlock', 'await this.#writeBlock(0, slotBlock'),
    bug('guard.js', 'return promised.n % 2 === index || promised.n === 0 ? promised : undefined;', 'return promised;'),
  ],

  // What is derived
  'run-of-the-index-not-written': [
    bug('by-hash/follower.js', 'await this.#options.store.write(flushes.flatMap(({ rows }) => rows));', ''),
  ],
};
