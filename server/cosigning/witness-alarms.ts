/** Log lines about witnesses: one when something is wrong, one when it is right again, and none for what goes on. */
import type { Logger } from 'pino';
import type { WitnessReport } from './witnesses.ts';

export class WitnessAlarms {
  readonly #logger: Logger;
  /** What was told last, by the witness, and where it concerns one log only by log and witness. */
  readonly #told = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  hear({ outcome, witness, log, reason }: WitnessReport): void {
    switch (outcome) {
      case 'silent':
        this.#tell(witness, outcome, { witness, log }, `witness ${witness} gives no answer that counts: ${reason}`);
        break;
      case 'unknown_origin':
        this.#tell(
          `${witness} ${log}`,
          outcome,
          { witness, log },
          `witness ${witness} does not know log ${log} (404): ask whoever runs it to add its verifier key`,
        );
        break;
      case 'larger_claim':
        this.#tell(
          `${witness} ${log}`,
          outcome,
          { witness, log },
          `witness ${witness}, log ${log}: ${reason}. It counts as silent`,
        );
        break;
      case 'cosigned':
        if (this.#told.delete(witness)) this.#logger.warn({ witness }, `witness ${witness} answers again`);
        this.#told.delete(`${witness} ${log}`);
        break;
      default:
        break;
    }
  }

  #tell(about: string, what: string, members: Readonly<Record<string, string>>, text: string): void {
    if (this.#told.get(about) === what) return;
    this.#told.set(about, what);
    this.#logger.error({ alarm: 'witness', ...members }, text);
  }
}
