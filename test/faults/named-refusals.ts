/**
 * The reasons for which a server refuses to start (78), as docs/operations.md names them: an operator must find there what he reads. The
 * table of messages has their texts in backquotes, with an ellipsis for what differs.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/spawn-server.ts';

/** Exit code and messages of a row; `code` and a code may follow these. */
const ROW = /^\| 78 \| (.*?) \| /gm;

/** A function that gives the documented reason in a message, or `undefined` if it is not one of them. */
export function namedRefusals(): (message: string) => string | undefined {
  const text = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const reasons = [...text.matchAll(ROW)].flatMap(([, messages]) =>
    [...(messages as string).matchAll(/(?<!code )`([^`]+)`/g)].map(([, reason]) => reason as string),
  );
  if (reasons.length < 20) throw new Error('the table of messages is not where it was in docs/operations.md');
  const patterns = reasons.map((reason) => ({ reason, pattern: patternOf(reason) }));
  return (message) => patterns.find(({ pattern }) => pattern.test(message))?.reason;
}

function patternOf(reason: string): RegExp {
  const parts = reason.split('…');
  return new RegExp(parts.map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'));
}
