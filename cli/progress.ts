/** A progress bar on stderr, if that is a terminal and the end is known; otherwise nothing. */
import cliProgress from 'cli-progress';

export interface Progress {
  update(done: number, entries: number): void;
  stop(): void;
}

/** `total` is in the unit of `done`; undefined where nobody knows it. */
export function startProgress(what: string, total: number | undefined, quiet: boolean): Progress {
  if (quiet || total === undefined || total === 0 || !process.stderr.isTTY) return { update: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar({
    format: `${what} [{bar}] {percentage}% | {entries} entries | {duration_formatted}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: null,
  });
  bar.start(total, 0, { entries: 0 });
  return {
    update: (done, entries) => bar.update(Math.min(done, total), { entries }),
    stop: () => bar.stop(),
  };
}
