/**
 * What one connection sends at a time: some requests, most of them altered, and behind them a canary, a read whose answer is known byte
 * for byte. All of it follows from a number, so that it can be made again.
 */
import { concatBytes } from '../../../tree/bytes.ts';
import { seededRandom } from '../../support/random.ts';
import { below, type Material, pick, type Random, WORDS } from '../mutator.ts';
import { anyRoute, FROZEN_SIZE, goodRequest, type HttpRequest, LOGS, nameOf, type World } from './corpus.ts';
import { readRequests } from './judge.ts';
import { chunked, latin1, mutated, SMUGGLING, written } from './requests.ts';

/** How the sending ends: with a canary, with our side of the connection closed, or with a reset in the middle. */
export type Ending = 'canary' | 'half-close' | 'reset';

export interface Exchange {
  readonly number: number;
  /** Pieces that are written apart from each other. */
  readonly parts: readonly Uint8Array[];
  readonly bytes: Uint8Array;
  /** How many requests were put into it, without the canary. */
  readonly requests: number;
  /** Requests that are good, and where they stand: these must succeed. */
  readonly good: ReadonlyMap<number, { readonly end: number; readonly route: string }>;
  /** Where the canary begins, and which it is. */
  readonly canary: { readonly start: number; readonly index: number } | undefined;
  readonly ending: Ending;
  /** Whether nothing is read before all is sent. */
  readonly late: boolean;
}

/** Longest missing part of a body that is sent after all. */
const MAX_FILLER = 20_000;

export function canaryRequest(index: number): Uint8Array {
  return latin1(`GET ${canaryTarget(index)} HTTP/1.1\r\nHost: canary.example\r\n\r\n`);
}

export function canaryTarget(index: number): string {
  return `/logs/${LOGS.frozen}/proofs/inclusion?index=${index}&tree_size=${FROZEN_SIZE}`;
}

/** What must not be frozen, deleted or changed, or the oracle had nothing to hold on to. */
const PROTECTED = /\/admin\/(?:logs\/(?:main|raw|frozen|_system)|keys\/[0-9a-f]{16})/;

export function makeExchange(seed: number, number: number, world: World): Exchange {
  for (let attempt = 0; ; attempt++) {
    const exchange = attemptExchange(number, world, seededRandom(seed * 1_000_003 + number * 7919 + attempt * 104_729));
    const text = Buffer.from(exchange.bytes).toString('latin1');
    const [hit] = PROTECTED.exec(text) ?? [];
    if (hit === undefined || world.spareKeys.some((id) => hit.endsWith(id))) return exchange;
  }
}

function attemptExchange(number: number, world: World, random: Random): Exchange {
  const good = new Map<number, { readonly end: number; readonly route: string }>();
  const pieces: Uint8Array[] = [];
  let size = 0;
  const count = 1 + below(random, 4);
  for (let i = 0; i < count; i++) {
    const route = anyRoute(random);
    const request = goodRequest(route, `${number}-${i}`, world, random);
    const isGood = random() < 0.25;
    const bytes = isGood ? sent(request, random) : altered(request, world, random);
    if (isGood) good.set(size, { end: size + bytes.length, route: nameOf(route) });
    pieces.push(bytes);
    size += bytes.length;
  }
  const chosen = random();
  const ending: Ending = chosen < 0.94 ? 'canary' : chosen < 0.97 ? 'half-close' : 'reset';
  const index = below(random, FROZEN_SIZE);
  const canary = ending === 'canary' ? { start: size, index } : undefined;
  if (canary !== undefined) pieces.push(canaryRequest(index));
  // A body that swallowed the canary, and needs more: half of those get what they lack, and another canary.
  const { rest } = readRequests(concatBytes(...pieces));
  const { missing = Number.POSITIVE_INFINITY } = rest.kind === 'incomplete' ? rest : {};
  let canaryStart = size;
  if (canary !== undefined && missing < MAX_FILLER && random() < 0.5) {
    pieces.push(new Uint8Array(missing).fill(0x7d));
    canaryStart = pieces.reduce((sum, { length }) => sum + length, 0);
    pieces.push(canaryRequest(index));
  }
  let bytes = concatBytes(...pieces);
  if (ending === 'reset') bytes = bytes.slice(0, below(random, bytes.length + 1));
  const parts = inParts(bytes, random);
  return {
    number,
    parts,
    bytes,
    requests: count,
    good,
    canary: canary && { ...canary, start: canaryStart },
    ending,
    late: parts.length > 1 && random() < 0.5,
  };
}

function sent(request: HttpRequest, random: Random): Uint8Array {
  return request.body.length > 0 && random() < 0.2 ? chunked(request, random) : written(request);
}

function altered(request: HttpRequest, world: World, random: Random): Uint8Array {
  if (random() < 0.08) {
    const inner = Buffer.from(random() < 0.5 ? canaryRequest(below(random, FROZEN_SIZE)) : written(request)).toString(
      'latin1',
    );
    return latin1(pick(random, SMUGGLING)(inner, { path: `/logs/${LOGS.raw}/add`, key: world.keys.append }));
  }
  const other = goodRequest(anyRoute(random), 'other', world, random);
  const material: Material = { words: WORDS, others: [other.body, request.body, written(other)] };
  return mutated(request, random, material);
}

/** Mostly in one piece; else cut at some places, and the pieces come apart. */
function inParts(bytes: Uint8Array, random: Random): Uint8Array[] {
  if (random() < 0.85) return [bytes];
  const cuts = Array.from({ length: 1 + below(random, 4) }, () => below(random, bytes.length + 1)).sort(
    (a, b) => a - b,
  );
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}
