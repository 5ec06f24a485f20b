/** Says on stderr what goes on: a line that changes on a terminal, a line for each scenario elsewhere. */
import type { Scenario } from './scenario.ts';

export class Progress {
  readonly #count: number;
  readonly #begin = Date.now();
  #number = 0;
  #scenario = '';

  constructor(count: number) {
    this.#count = count;
  }

  begin({ id, title }: Scenario): void {
    this.#number++;
    this.#scenario = `[${this.#number}/${this.#count}] ${id}`;
    if (!process.stderr.isTTY) process.stderr.write(`${this.#scenario}  ${title}\n`);
    this.say(title);
  }

  say(text: string): void {
    if (!process.stderr.isTTY) return;
    const seconds = Math.round((Date.now() - this.#begin) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const line = `${this.#scenario}  ${text}  ${clock}`.slice(0, process.stderr.columns);
    process.stderr.write(`\r\x1b[K${line}`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
