/**
 * Planted bugs: a copy of the build with one piece of text replaced, so that a fault test can be seen red. Nothing of it can be
 * reached in production: the switch is the copy.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, ROOT, temporaryFolder } from './spawn-server.ts';

export interface Bug {
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
}

/** A build with these bugs in it. Throws if the text to replace is not there exactly once: a plant must not rot silently. */
export function plant(bugs: readonly Bug[]): { readonly build: string; readonly remove: () => void } {
  const { path, remove } = temporaryFolder('planted');
  cpSync(BUILD, join(path, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(path, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  for (const [file, source] of planted(bugs)) writeFileSync(join(path, 'dist', file), source);
  return { build: join(path, 'dist'), remove };
}

/** The files of the build that these bugs change, with the bugs in them. Throws as `plant` does. */
export function planted(bugs: readonly Bug[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const { file, text, replacement } of bugs) {
    const source = files.get(file) ?? readFileSync(join(BUILD, file), 'utf8');
    if (source.split(text).length !== 2) throw new Error(`the text to replace is not in ${file} exactly once: ${text}`);
    files.set(
      file,
      source.replace(text, () => replacement),
    );
  }
  return files;
}

/** Acknowledges and shows what is not durable yet: the commit follows 30 ms later. */
export const ACKNOWLEDGED_TOO_EARLY: readonly Bug[] = [
  {
    file: 'server/committer.js',
    text: 'async store({ writes }) {',
    replacement: 'async store({ writes, promised }) {',
  },
  {
    file: 'server/committer.js',
    text: 'await this.#store.commit(writes);',
    replacement: 'setTimeout(() => { this.#store.commit(writes).then(() => this.#guard.promise(promised)); }, 30);',
  },
  { file: 'server/committer.js', text: 'await this.#guard.promise(promised);', replacement: '' },
  // Which the publisher would notice, as it reads back what it signs; the clients are to notice.
  {
    file: 'server/read-back.js',
    text: 'const frontier = await verifyGrowth(',
    replacement:
      'await new Promise((resolve) => setTimeout(resolve, 200));\n        const frontier = await verifyGrowth(',
  },
];

/** Promises what the database does not hold yet. */
export const PROMISED_FIRST: readonly Bug[] = [
  {
    file: 'server/committer.js',
    text: 'async promise({ transaction, promised, states }) {\n        await this.#guard.promise(promised);',
    replacement: 'async promise({ transaction, writes, states }) {\n        await this.#store.commit(writes);',
  },
  {
    file: 'server/committer.js',
    text: 'this.#guard.checkOwner();\n        await this.#store.commit(writes);',
    replacement: 'await this.#guard.promise(promised);',
  },
  { file: 'server/committer.js', text: 'async store({ writes }) {', replacement: 'async store({ promised }) {' },
];

/** Goes on without looking whether somebody else owns the data directory now. */
export const OWNER_NOT_CHECKED: readonly Bug[] = [
  {
    file: 'server/guard.js',
    text: 'if (this.#claim === undefined || !this.#claim.equals(this.#seen)) {',
    replacement: 'if (false) {',
  },
];

/** Starts on whatever database there is. */
export const ROLLBACK_ACCEPTED: readonly Bug[] = [
  {
    file: 'server/start-rules.js',
    text: 'if (database.n < newest.n) {',
    replacement: "if (database.n < newest.n) return { action: 'accept' };\n    if (false) {",
  },
];

/** Does not look whether the guard is the file it was made as. */
export const COPY_ACCEPTED: readonly Bug[] = [
  {
    file: 'server/data-directory.js',
    text: 'options.checkInode !== false && !guard.isOriginal',
    replacement: 'false && !guard.isOriginal',
  },
];

/** Takes what clients send however little room there is. */
export const NO_WATERMARK: readonly Bug[] = [
  {
    file: 'server/free-space.js',
    text: 'if (this.report.full || counted > this.#headroom) {',
    replacement: 'if (false) {',
  },
];

/** Says that a commit failed, and goes on with another one in its place, as LevelDB itself would. */
export const FAILURE_FORGOTTEN: readonly Bug[] = [
  {
    file: 'server/committer.js',
    text: 'this.#end = { ...end, n, recordHash, logCount };',
    replacement:
      'this.forget = () => { this.#end = end; for (const [log] of states) log.sequenced = log.state; };\n        this.#end = { ...end, n, recordHash, logCount };',
  },
  {
    file: 'server/committer.js',
    text: 'await this.#store.commit(writes);',
    replacement: 'await this.#store.commit(writes).catch((error) => { this.forget(); throw error; });',
  },
  { file: 'server/storage/level.js', text: 'if (this.#failure !== undefined)', replacement: 'if (false)' },
  {
    file: 'server/sequencer.js',
    text: 'this.fail(error);\n        for (const job of jobs)\n            job.reject(this.#failure);',
    replacement:
      "for (const job of jobs) job.reject(new ServerError('outcome_unknown', 'a commit failed', { cause: error }));",
  },
];

/** Serves whatever the event row holds. */
export const EVENTS_NOT_VERIFIED: readonly Bug[] = [
  {
    file: 'server/entry.js',
    text: 'if (!equalBytes(stated.commitment, commitment({ origin: log.definition.origin, ...row }))) {',
    replacement: 'if (false) {',
  },
];

/** Acknowledges a commit that failed, and goes on. */
export const COMMIT_ERROR_IGNORED: readonly Bug[] = [
  {
    file: 'server/committer.js',
    text: 'await this.#store.commit(writes);',
    replacement: 'await this.#store.commit(writes).catch(() => { });',
  },
];

/** Goes on, and acknowledges, although the guard could not be written. */
export const GUARD_ERROR_IGNORED: readonly Bug[] = [
  { file: 'server/guard.js', text: "throw this.#fail('write', cause);", replacement: '' },
];

/** Stops after a failed write without a line that says why. */
export const STOPPED_WITHOUT_A_WORD: readonly Bug[] = [
  {
    file: 'server/process-life.js',
    text: 'this.#logger.fatal({ err: error }, deposed ?',
    replacement: 'void (deposed ?',
  },
];

/** Refuses everything after a failed write, and stays. */
export const STOP_FORGOTTEN: readonly Bug[] = [
  {
    file: 'server/process-life.js',
    text: 'setTimeout(() => this.#finish(exitCode), deposed ? 0 : LAST_WORDS);',
    replacement: '',
  },
];

/** Tells the operator that his settings are wrong when the disk is. */
export const DISK_ERROR_IS_USAGE: readonly Bug[] = [
  { file: 'server/data-directory.js', text: 'DISK_FAILS.has(code)', replacement: 'false' },
];

/** Does not start on a commit that is durable and was not promised yet. */
export const TAIL_REFUSED: readonly Bug[] = [
  {
    file: 'server/start-rules.js',
    text: "return { action: 'adopt', promised: newest.n };",
    replacement: "return refuse('there is a commit that nobody promised');",
  },
];

/** Gives the cosignature away, and keeps the head 30 ms later. */
export const COSIGNED_TOO_EARLY: readonly Bug[] = [
  {
    file: 'server/witness/witness-store.js',
    text: 'await this.#replace(file, encodeHead(head));',
    replacement: 'setTimeout(() => { this.#replace(file, encodeHead(head)).catch(() => { }); }, 30);',
  },
  // Which the next write would notice.
  { file: 'server/witness/witness-store.js', text: 'if (!same)', replacement: 'if (false)' },
];
