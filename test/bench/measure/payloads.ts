/** What is written: random entries, events of a given size, and the real CloudTrail events. */
import { randomBytes } from 'node:crypto';
import { sampleEvents } from '../../support/events.ts';

/** Digits of a number that occurs once. */
export const UNIQUE_DIGITS = 16;

export interface Body {
  readonly bytes: Buffer;
  /** Where unique digits go; none: it is sent as it is. */
  readonly unique: readonly number[];
}

/** How an event's id begins that gets unique digits. */
const UNIQUE_ID = `"eventID":"${'0'.repeat(UNIQUE_DIGITS)}`;

/** A raw entry: random bytes, the first 16 of them unique digits. */
function rawEntry(size: number): Body {
  return { bytes: randomBytes(size), unique: [0] };
}

/** Raw entries to be sent one by one: so many that no compressor sees one twice in what it looks at. */
export function rawEntries(size: number): Body[] {
  return Array.from({ length: 1000 }, () => rawEntry(size));
}

/** A batch of raw entries in the framing of `add-batch`. */
export function rawBatch(entries: number, size: number): Body {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(size);
  const parts = Array.from({ length: entries }, () => Buffer.concat([length, randomBytes(size)]));
  return { bytes: Buffer.concat(parts), unique: parts.map((_, i) => i * (size + 2) + 2) };
}

/** Events as NDJSON, a line each; of one line it is also the event alone. */
export function ndjson(events: readonly string[]): Body {
  const lines = events.map((event) => Buffer.from(`${event}\n`));
  let at = 0;
  const unique = lines.map((line) => {
    const place = line.indexOf(UNIQUE_ID);
    if (place < 0) throw new Error('bug: an event without a place for unique digits');
    at += line.length;
    return at - line.length + place + UNIQUE_ID.length - UNIQUE_DIGITS;
  });
  return { bytes: Buffer.concat(lines), unique };
}

/** The lines of a batch of events as raw entries in the framing of `add-batch`. */
export function asRaw({ bytes, unique }: Body): Body {
  const parts: Buffer[] = [];
  let from = 0;
  for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n', from)) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(end - from);
    parts.push(length, bytes.subarray(from, end));
    from = end + 1;
  }
  // A line has two bytes before it and lacks one at its end.
  return { bytes: Buffer.concat(parts), unique: unique.map((place, i) => place + 2 + i) };
}

/** An event of that many bytes, at least 150. */
export function eventOf(size: number): string {
  const begin = `{${UNIQUE_ID}","eventName":"GetObject","userIdentity":{"arn":"arn:aws:iam::1:user/alice"},"note":"`;
  const note = randomBytes(size).toString('hex');
  return `${begin}${note.slice(0, size - begin.length - 2)}"}`;
}

/** The real CloudTrail events, or like ones where they are missing, each with a place for unique digits in its id. */
export function realEvents(): string[] {
  return sampleEvents().map((event) =>
    event.replace(/"eventID":"([^"]*)"/, (_, id: string) => `${UNIQUE_ID}${id.slice(UNIQUE_DIGITS)}"`),
  );
}

/** This body with digits that occur once: `mark` (8 digits) and then the number of the entry, counted from `first`. */
export function withUniqueDigits({ bytes, unique }: Body, mark: string, first: number): Buffer {
  const copy = Buffer.from(bytes);
  unique.forEach((place, i) => {
    copy.write(mark + (first + i).toString(16).padStart(UNIQUE_DIGITS - mark.length, '0'), place, 'latin1');
  });
  return copy;
}
