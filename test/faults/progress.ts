/** Says on stderr how far a harness is: a line that changes on a terminal, one every half minute elsewhere. */

/** Elsewhere than on a terminal, in milliseconds. */
const SELDOM = 30_000;

export class Progress {
  readonly #title: string;
  readonly #count: number;
  #last = Date.now();

  constructor(title: string, count: number) {
    this.#title = title;
    this.#count = count;
  }

  say(done: number, text = ''): void {
    const line = `${this.#title}  ${done} of ${this.#count}  ${text}`;
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${line.slice(0, process.stderr.columns)}`);
    } else if (Date.now() - this.#last >= SELDOM) {
      this.#last = Date.now();
      process.stderr.write(`${line}\n`);
    }
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
