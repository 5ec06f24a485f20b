/** What a server says about the connections that it cuts, from the lines of its log at `debug`. */
import type { Cut } from '../../server/http/cuts.ts';

export class CutLines {
  readonly #byPort = new Map<number, Cut>();
  /** Cuts by reason. */
  readonly counts = new Map<string, number>();

  /** For `onLine` of a server: takes the lines about cuts, throws away those about requests, and keeps the rest. */
  readonly onLine = (line: string): boolean => {
    const isCut = line.includes('"msg":"cut a connection"') || line.includes('"reason":"unnamed"');
    if (!isCut) return !line.startsWith('{"level":20,') && !line.startsWith('{"level":30,');
    const cut = JSON.parse(line) as Cut;
    this.counts.set(cut.reason, (this.counts.get(cut.reason) ?? 0) + 1);
    if (cut.port !== undefined) this.#byPort.set(cut.port, cut);
    return cut.reason === 'unnamed';
  };

  /** Why the connection from that port of ours was cut, or `undefined`: it was not, or the line is still on its way. */
  of(port: number): Cut | undefined {
    return this.#byPort.get(port);
  }

  /** A new connection has that port now. */
  forget(port: number): void {
    this.#byPort.delete(port);
  }
}
