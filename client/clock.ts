/** Time as the client needs it: to wait, and to give up on a server that has gone silent. Tests pass their own. */

export interface ClientClock {
  /** Milliseconds since the Unix epoch; only used to read a Retry-After that is a date. */
  now(): number;
  /** Waits. Rejects with the signal's reason as soon as that is aborted. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export const systemClock: ClientClock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, ms);
      signal?.addEventListener('abort', stop, { once: true });
    }),
};

/** Aborts its signal after `ms` without a `touch`, and after `whole` whatever is touched. Stop it, or it keeps the process alive. */
export interface SilenceTimer {
  readonly signal: AbortSignal;
  touch(): void;
  /** Silence is not counted until the next touch; the whole is. */
  pause(): void;
  stop(): void;
}

/** Times in milliseconds; without `whole` an answer may take as long as it likes if only it is never silent. */
export function silenceTimer(ms: number, whole?: number): SilenceTimer {
  const controller = new AbortController();
  const start = () => setTimeout(() => controller.abort(new Error(`no answer for ${ms / 1000} s`)), ms);
  const end = () => controller.abort(new Error(`the answer was not complete after ${(whole ?? 0) / 1000} s`));
  const deadline = whole === undefined ? undefined : setTimeout(end, whole);
  let timer = start();
  return {
    signal: controller.signal,
    touch: () => {
      clearTimeout(timer);
      timer = start();
    },
    pause: () => clearTimeout(timer),
    stop: () => {
      clearTimeout(timer);
      clearTimeout(deadline);
    },
  };
}
