/** What clients send to be logged: events, batches in NDJSON and protobuf, pointers and ids. */
import { concatBytes, equalBytes, fromUtf8, utf8 } from '../../../tree/bytes.ts';
import type { Modules } from '../build-modules.ts';
import { brokenRule, isHalf, pointedAt } from '../json-rules.ts';
import { below, pick } from '../mutator.ts';
import { bytesTarget, coded, expect, expectSame, oneOf, type Target, textTarget } from '../target.ts';

const EVENTS = [
  '{}',
  '{"id":1}',
  '{"id":"e-1","actor":{"id":"alice","roles":["a","b",null,true,false]},"n":-1.5e3}',
  '{"a":"\\u0041\\ud83d\\ude00\\n","\\u0062":[[],{}],"c":9007199254740991,"d":0.1}',
  '{"list":[{"id":7},{"id":"8"}],"é":"😀","": 0}',
  `{${Array.from({ length: 40 }, (_, i) => `"m${i}":${i}`).join(',')}}`,
  `{"deep":${'['.repeat(31)}${']'.repeat(31)}}`,
];
const WORDS = [
  ...[
    '"id":',
    '"a":1,',
    '"a":',
    '"\\u0061":2',
    '\\u0000',
    '\\ud83d\\ude00',
    '\\udead',
    '"$sealed":0',
    '"\\u0024sealed":1',
  ],
  ...[
    '[[[[[[[[',
    ']]]]]]]]',
    '{"x":',
    '{}',
    '[]',
    'true',
    'false',
    'null',
    '1e400',
    '-0',
    '1e-400',
    '9007199254740993',
    '\\"',
  ],
];

export function ingestTargets(modules: Modules): Target[] {
  const { jsonEvent, eventId, ndjson, protobufBatch, messages } = modules;
  const refuses = oneOf(jsonEvent.IngestError);
  const limits = { maxEventSize: 4096, maxEvents: 12 };
  const check = (input: Uint8Array): Uint8Array => jsonEvent.checkEvent(input, limits);
  const batches = [EVENTS.slice(0, 3).join('\n'), `\n{"a":1}\r\n\r\n{"b":2}`, EVENTS.slice(1, 6).join('\r\n')];
  const request = (events: readonly string[]): Uint8Array =>
    concatBytes(...events.flatMap((text) => [Uint8Array.of(10), varint(utf8(text).length), utf8(text)]));
  const texts = [
    ...[
      '',
      '/id',
      '/actor/id',
      '/list/0/id',
      '/a~1b/m~0n',
      '/',
      '//',
      '/__proto__',
      '/list/-',
      '/list/01',
      '/\t',
      '/😀',
    ],
  ];
  return [
    bytesTarget({
      name: 'event',
      covers: [
        'server/ingest/json-event checkEvent',
        'server/ingest/json-event isJsonSpace',
        'server/ingest/json-event plainEnd',
      ],
      good: EVENTS.map((text, i) => utf8(i % 2 ? text : ` ${text}\r\n`)),
      words: WORDS,
      refuses,
      read: (input) => {
        let event: Uint8Array;
        try {
          event = check(input);
        } catch (error) {
          const { code } = error as { readonly code?: string };
          if (code === 'malformed_json') expect(!isJson(input), 'refused as malformed, and JSON.parse reads it');
          if (code === 'duplicate_key')
            expect(
              !isJson(input) || brokenRule(fromUtf8(input).trim()) !== undefined,
              'refused for a name twice, and there is none',
            );
          throw error;
        }
        const text = fromUtf8(event);
        const fault = brokenRule(text);
        expect(fault === undefined, `accepted, and ${fault}`);
        expect(isSpace(input, event), 'something was cut off that is no white space');
        expectSame(check(event), event);
      },
    }),
    bytesTarget({
      name: 'batch of lines',
      covers: ['server/ingest/ndjson readBatch', 'server/ingest/ndjson splitLines'],
      good: batches.map(utf8),
      words: [...WORDS, ...EVENTS.map((text) => `${text}\n`)],
      cost: 2,
      refuses,
      read: (input) => {
        const lines = Buffer.from(input)
          .toString('latin1')
          .split('\n')
          .map((line) => new Uint8Array(Buffer.from(line, 'latin1')));
        const full = [...lines.entries()].filter(([, line]) => line.some((byte) => !isSpaceByte(byte)));
        const split = ndjson.splitLines(input, limits.maxEvents);
        expect(split.length === full.length, 'another number of lines');
        const batch = ndjson.readBatch(input, limits);
        const bad = full.filter(([, line]) => throws(() => check(line))).map(([i]) => i + 1);
        if (batch.kind === 'bad') {
          expect(batch.bad.map(({ line }) => line).join() === bad.join(), 'other lines are bad');
          return;
        }
        expect(bad.length === 0 && batch.events.length === full.length, 'a bad line was taken');
        for (const [i, event] of batch.events.entries())
          expectSame(event, check((full[i] as (typeof full)[number])[1]));
      },
    }),
    bytesTarget({
      name: 'batch in protobuf',
      covers: [
        'server/ingest/protobuf-batch readProtobufBatch',
        'server/ingest/protobuf-batch scanAppendRequest',
        'proto/messages decodeAppendRequest',
      ],
      good: [request(EVENTS.slice(0, 2)), request(EVENTS.slice(2)), request([EVENTS[1] as string])],
      words: ['\n\u0002{}', '\n\u0008{"id":1}', '\u0012\u0002{}', '\n'],
      cost: 2,
      refuses,
      read: (input) => {
        const events = protobufBatch.readProtobufBatch(input, limits);
        const walked = walk(input);
        const bad = [...walked.entries()].filter(([, event]) => throws(() => check(event))).map(([i]) => i);
        if (events.kind === 'bad') {
          // Those that are too large are named alone.
          const named = events.bad.map(({ position }) => position);
          expect(named.length > 0 && named.every((each) => bad.includes(each)), 'other events are bad');
          return;
        }
        expect(bad.length === 0 && events.events.length === walked.length, 'a bad event was taken');
        for (const [i, event] of events.events.entries()) expectSame(event, check(walked[i] as Uint8Array));
      },
    }),
    bytesTarget({
      name: 'protobuf as the generated code reads it',
      covers: [],
      good: [request(EVENTS.slice(0, 2))],
      // It is behind a scan of our own; alone it may throw any Error, but not hang or die.
      refuses: (error) => error instanceof Error,
      read: (input) => {
        for (const event of messages.decodeAppendRequest(input))
          expect(event.length <= input.length, 'an event larger than the request');
      },
    }),
    textTarget({
      name: 'JSON pointer',
      covers: ['server/ingest/event-id parsePointer'],
      good: texts,
      words: ['/', '~', '~0', '~1', '~2', '~01', '/0', '/-', '\u0000'],
      refuses: coded(jsonEvent.IngestError, 'bad_pointer'),
      read: (text) => {
        const pointer = eventId.parsePointer(text);
        expectSame(pointer.text, text);
        const written = pointer.steps
          .map(({ name }) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`)
          .join('');
        expectSame(written, text);
        expect(utf8(text).length <= 256 && !isHalf(text), 'accepted, and it is too long or no text');
      },
    }),
    bytesTarget({
      name: 'id of an event',
      covers: ['server/ingest/event-id eventId'],
      good: EVENTS.filter((text) => text.includes('id')).map(utf8),
      words: [...WORDS, '"id":"x",', '"i\\u0064":', '1.0', '1e0', '-0'],
      cost: 2,
      refuses,
      read: (input, random) => {
        const event = check(input);
        const pointer = eventId.parsePointer(random() < 0.6 ? '/id' : pick(random, texts));
        const wanted = pointedAt(JSON.parse(fromUtf8(event)), pointer.text);
        const isId =
          (typeof wanted === 'string' && utf8(wanted).length <= 256) ||
          (typeof wanted === 'number' && Number.isSafeInteger(wanted));
        let found: ReturnType<typeof eventId.eventId>;
        try {
          found = eventId.eventId(event, pointer);
        } catch (error) {
          expect(wanted !== undefined && !isId, 'refused, and it is an id');
          throw error;
        }
        if (wanted === undefined) expect(found.kind === 'absent', 'an id that is not there');
        // JSON.stringify and JCS differ in nothing that an id may be, but for −0.
        else expect(isId && found.kind === 'id' && found.jcs === JSON.stringify(wanted), 'another id');
      },
    }),
    bytesTarget({
      name: 'event of any depth and size',
      covers: [],
      good: ['{"a":', '[', '{"a":[', '"', '\\u0041', ' ', ','].map((text) => utf8(`{"a":${text}`)),
      cost: 10,
      beginnings: true,
      refuses,
      read: (input, random) => {
        const times = 2 ** below(random, 12);
        const whole = new Uint8Array(input.length * times);
        for (let i = 0; i < times; i++) whole.set(input, i * input.length);
        const began = performance.now();
        try {
          jsonEvent.checkEvent(whole, { maxEventSize: 1_048_576 });
        } finally {
          const took = performance.now() - began;
          expect(took < 1000, `${whole.length} bytes took ${Math.round(took)} ms`);
        }
      },
    }),
  ];
}

function isJson(input: Uint8Array): boolean {
  try {
    JSON.parse(fromUtf8(input));
    return true;
  } catch {
    return false;
  }
}

function isSpaceByte(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Whether a view of an input leaves out nothing but white space. */
function isSpace(input: Uint8Array, view: Uint8Array): boolean {
  let at = 0;
  while (isSpaceByte(input[at])) at++;
  if (!equalBytes(input.subarray(at, at + view.length), view)) return false;
  return input.subarray(at + view.length).every(isSpaceByte);
}

function throws(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch {
    return true;
  }
}

function varint(value: number): Uint8Array {
  return value < 128 ? Uint8Array.of(value) : Uint8Array.of(128 + (value % 128), Math.floor(value / 128));
}

/** The events of a request whose form is right. */
function walk(input: Uint8Array): Uint8Array[] {
  const events: Uint8Array[] = [];
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let weight = 1; ; weight *= 128) {
      const byte = input[at++] as number;
      value += (byte % 128) * weight;
      if (byte < 128) return value;
    }
  };
  while (at < input.length) {
    expect(number() === 10, 'a request with another field was taken');
    const length = number();
    events.push(input.subarray(at, at + length));
    at += length;
  }
  return events;
}
