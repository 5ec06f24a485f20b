/** Bodies as they come: in pieces, which cost memory of their own however small they are. */
import { expect, test } from '@jest/globals';
import { ByteBudget } from '../../../server/http/byte-budget.ts';
import type { Incoming } from '../../../server/http/incoming.ts';
import { receiveOpenBody } from '../../../server/http/request.ts';

interface Pieces {
  data(chunk: Buffer): void;
  end(): void;
}

/** Begins to read a body; what comes is told by hand. */
function reading(bodies: ByteBudget, limit: number): { pieces: Pieces; outcome: () => string } {
  let pieces: Pieces | undefined;
  let outcome = 'open';
  const req = {
    headers: { 'transfer-encoding': 'chunked' },
    complete: true,
    receive: (given: Pieces) => {
      pieces = given;
    },
    release: () => {},
    on: () => {},
  };
  receiveOpenBody(
    { req: req as unknown as Incoming, bodies },
    limit,
    (body) => {
      outcome = `${body.length} bytes`;
    },
    ({ code }) => {
      outcome = code;
    },
  );
  return { pieces: pieces as unknown as Pieces, outcome: () => outcome };
}

test('pieces of a byte each are refused long before a body of that size would be, and all is given back', () => {
  const bodies = new ByteBudget(1_048_576);
  const { pieces, outcome } = reading(bodies, 1_048_576);
  let count = 0;
  while (outcome() === 'open') {
    pieces.data(Buffer.from('x'));
    count++;
  }
  expect(outcome()).toBe('pushback');
  expect(count).toBeLessThan(4096);
  expect(bodies.left).toBe(1_048_576);
});

test('a body in large pieces may be as large as the limit says, and is put together', () => {
  const bodies = new ByteBudget(2_097_152);
  const { pieces, outcome } = reading(bodies, 1_048_576);
  for (let i = 0; i < 16; i++) pieces.data(Buffer.alloc(65_536));
  expect(bodies.left).toBeLessThan(1_048_576);
  pieces.end();
  expect(outcome()).toBe('1048576 bytes');
  expect(bodies.left).toBe(2_097_152);
});

test('one byte more than the limit is too large', () => {
  const bodies = new ByteBudget(2_097_152);
  const { pieces, outcome } = reading(bodies, 100);
  pieces.data(Buffer.alloc(100));
  pieces.data(Buffer.from('x'));
  expect(outcome()).toBe('body_too_large');
  expect(bodies.left).toBe(2_097_152);
});
