/** Writes a log file of LevelDB from its own description of the format (doc/log_format.md there). */
import { crc32c } from '../../server/storage/log-format.ts';
import { concatBytes } from '../../tree/bytes.ts';

const BLOCK = 32_768;
const HEADER = 7;

export function logFile(records: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  const put = (bytes: Uint8Array): void => {
    parts.push(bytes);
    at += bytes.length;
  };
  for (const data of records) {
    let done = 0;
    for (let first = true; first || done < data.length; first = false) {
      if (BLOCK - (at % BLOCK) < HEADER) put(new Uint8Array(BLOCK - (at % BLOCK)));
      const piece = data.subarray(done, done + BLOCK - (at % BLOCK) - HEADER);
      done += piece.length;
      const last = done === data.length;
      const type = first ? (last ? 1 : 2) : last ? 4 : 3;
      const body = concatBytes(Uint8Array.of(type), piece);
      const header = new DataView(new ArrayBuffer(6));
      header.setUint32(0, masked(crc32c(body, 0, body.length)), true);
      header.setUint16(4, piece.length, true);
      put(concatBytes(new Uint8Array(header.buffer), body));
      if (last) break;
    }
  }
  return concatBytes(...parts);
}

function masked(crc: number): number {
  const value = BigInt(crc);
  return Number((((value / 2n ** 15n + (value % 2n ** 15n) * 2n ** 17n) % 2n ** 32n) + 0xa282ead8n) % 2n ** 32n);
}
