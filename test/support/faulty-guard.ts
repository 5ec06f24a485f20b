/** A guard in memory, with slots as the file has them, that fails or stalls where a test says so. */
import { type Guard, GuardError, type GuardErrorCode, type Promised } from '../../server/guard.ts';

const NONE: Promised = { n: 0, recordHash: new Uint8Array(32) };

export class FaultyGuard implements Guard {
  /** Slot n mod 2 holds n; `undefined` is a torn one. */
  slots: [Promised | undefined, Promised | undefined] = [NONE, NONE];
  #fault: { readonly code: GuardErrorCode; readonly written: boolean } | undefined;
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};

  /** The next promise rejects with this code, after its slot was written or before; later ones would succeed. */
  failNext(code: GuardErrorCode, written = true): void {
    this.#fault = { code, written };
  }

  /** Promises wait before their slot is written, until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  checkOwner(): void {}

  async promise(promised: Promised): Promise<void> {
    const fault = this.#fault;
    this.#fault = undefined;
    await this.#gate;
    if (fault?.written !== false) this.slots[promised.n % 2] = promised;
    if (fault !== undefined) throw new GuardError(fault.code, `a planted fault: ${fault.code}`);
  }
}
