/**
 * Reads a batch of events in NDJSON: one event a line, lines ended by LF or CRLF, blank lines skipped but counted.
 * All or nothing: one bad line refuses the batch, and every bad line is named.
 */
import { checkEvent, type EventLimits, IngestError, type IngestErrorCode, isJsonSpace } from './json-event.ts';

/** Limits of one batch that an operator sets. */
export interface BatchLimits extends EventLimits {
  /** Events of one batch. */
  readonly maxEvents: number;
}

/** A line that is not an acceptable event. */
export interface BadLine {
  /** Line number, from 1, blank lines counted. */
  readonly line: number;
  readonly code: IngestErrorCode;
  readonly message: string;
}

/** What a batch holds: its events in order, or its bad lines in order, at least one either way. */
export type Batch =
  | {
      readonly kind: 'events';
      /** The events, as views of the body. */
      readonly events: readonly Uint8Array[];
      /** Line number of each event. */
      readonly lines: readonly number[];
    }
  | { readonly kind: 'bad'; readonly bad: readonly BadLine[] };

const LF = 0x0a;

/** A line that is not blank. */
export interface Line {
  /** The line as a view of the body, without its LF; a CR before that stays, as white space. */
  readonly bytes: Uint8Array;
  /** Line number, from 1. */
  readonly line: number;
}

/**
 * The lines of a body that hold anything but white space. Throws an IngestError `too_many_events` at the first line over
 * `maxEvents`, before any of them is checked, and `empty_batch` if there is none.
 */
export function splitLines(body: Uint8Array, maxEvents: number): Line[] {
  const lines: Line[] = [];
  for (let start = 0, line = 1; start < body.length; line++) {
    const found = body.indexOf(LF, start);
    const end = found < 0 ? body.length : found;
    let first = start;
    while (first < end && isJsonSpace(body[first])) first++;
    if (first < end) {
      if (lines.length === maxEvents) {
        throw new IngestError('too_many_events', `a request has at most ${maxEvents} events`, {
          limit: maxEvents,
          line,
        });
      }
      lines.push({ bytes: new Uint8Array(body.buffer, body.byteOffset + start, end - start), line });
    }
    start = end + 1;
  }
  if (lines.length === 0) throw new IngestError('empty_batch', 'the batch holds no event');
  return lines;
}

/**
 * Checks every line of a batch. `inspect` sees each event that passed; an IngestError of it is the fault of that line as well.
 * Throws an IngestError `too_many_events` or `empty_batch`.
 */
export function readBatch(
  body: Uint8Array,
  limits: BatchLimits,
  inspect: (event: Uint8Array) => void = () => {},
): Batch {
  const events: Uint8Array[] = [];
  const lines: number[] = [];
  const bad: BadLine[] = [];
  for (const { bytes, line } of splitLines(body, limits.maxEvents)) {
    try {
      const event = checkEvent(bytes, limits);
      inspect(event);
      events.push(event);
      lines.push(line);
    } catch (error) {
      if (!(error instanceof IngestError)) throw error;
      bad.push({ line, code: error.code, message: error.message });
    }
  }
  return bad.length > 0 ? { kind: 'bad', bad } : { kind: 'events', events, lines };
}
