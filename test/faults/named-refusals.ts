/**
 * The reasons for which a server refuses to start (78), as docs/operations.md names them: an operator must find there what he reads. The
 * first column of the table is the text of the message, with an ellipsis for what differs; several are parted by semicolons.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/spawn-server.ts';

const HEADING = '## When it refuses to start (78)';

/** A function that gives the documented reason in a message, or `undefined` if it is not one of them. */
export function namedRefusals(): (message: string) => string | undefined {
  const text = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const section = text.slice(text.indexOf(HEADING) + HEADING.length).split('\n## ')[0] as string;
  const reasons = section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| Message says'))
    .flatMap((line) => (line.slice(2).split(' | ')[0] as string).split(';'))
    .map((reason) => reason.trim());
  if (reasons.length < 5) throw new Error('the table of refusals is not where it was in docs/operations.md');
  const patterns = reasons.map((reason) => ({ reason, pattern: patternOf(reason) }));
  return (message) => patterns.find(({ pattern }) => pattern.test(message))?.reason;
}

function patternOf(reason: string): RegExp {
  const parts = reason.replaceAll('`', '').split('…');
  return new RegExp(parts.map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'));
}
