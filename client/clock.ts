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

/** Aborts its signal after `ms` without a `touch`. Stop it, or it keeps the process alive. */
export interface SilenceTimer {
  readonly signal: AbortSignal;
  touch(): void;
  stop(): void;
}

export function silenceTimer(ms: number): SilenceTimer {
  const controller = new AbortController();
  const start = () => setTimeout(() => controller.abort(new Error(`no answer for ${ms / 1000} s`)), ms);
  let timer = start();
  return {
    signal: controller.signal,
    touch: () => {
      clearTimeout(timer);
      timer = start();
    },
    stop: () => clearTimeout(timer),
  };
}
