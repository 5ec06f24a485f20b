/** Reading a file of watch rules: YAML, strictly, with the line of whatever is wrong. */
import { readFile } from 'node:fs/promises';
import { isAlias, isNode, LineCounter, type ParsedNode, parseDocument, visit } from 'yaml';
import { parseRules, RulesError, type WatchRule } from '../../client/monitor/rules.ts';
import { CliError, printable } from '../output.ts';

/** Largest file of rules, in bytes. */
const MAX_SIZE = 262_144;
/** Problems that are listed. */
const MAX_LISTED = 20;

/** Reads a file of rules. Throws CliError `malformed_rules`, and the system's error where it cannot be read. */
export async function readRulesFile(path: string): Promise<WatchRule[]> {
  return parseRulesFile(await readFile(path), path);
}

/** Reads the bytes of a file of rules; `path` is for the messages. Throws CliError `malformed_rules`. */
export function parseRulesFile(bytes: Uint8Array, path: string): WatchRule[] {
  const shown = printable(path);
  const whole = (reason: string, cause?: unknown) => new CliError('malformed_rules', `${shown}: ${reason}`, { cause });
  if (bytes.length > MAX_SIZE) throw whole(`has more than ${MAX_SIZE} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw whole('is not UTF-8', cause);
  }
  const lines = new LineCounter();
  const lineOf = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  let document: ReturnType<typeof parseDocument<ParsedNode>>;
  try {
    document = parseDocument<ParsedNode>(text, {
      schema: 'core',
      strict: true,
      uniqueKeys: true,
      stringKeys: true,
      merge: false,
      prettyErrors: false,
      logLevel: 'error',
      lineCounter: lines,
    });
  } catch (cause) {
    throw whole('is not YAML', cause);
  }
  const [fault] = [...document.errors, ...document.warnings];
  if (fault !== undefined)
    throw whole(
      `line ${lineOf(fault.pos[0])}: ${fault.code === 'DUPLICATE_KEY' ? 'a name stands twice' : 'is not YAML'}`,
      fault,
    );
  visit(document, {
    Alias: (_, node) => {
      if (isAlias(node)) throw whole(`line ${lineOf(node.range?.[0] ?? 0)}: aliases are not accepted`);
    },
  });
  try {
    return parseRules(document.toJS());
  } catch (cause) {
    if (!(cause instanceof RulesError)) throw cause;
    const listed = cause.problems.slice(0, MAX_LISTED).map(({ path: at, message }) => {
      const place = at.length === 0 ? '' : `${at.join('.')} `;
      return printable(`${shown}:${lineOf(offsetOf(document, at))}: ${place}${message}`);
    });
    const more = cause.problems.length - listed.length;
    const rest = more > 0 ? [`and ${more} more`] : [];
    throw new CliError('malformed_rules', [...listed, ...rest].join('; '), { cause });
  }
}

/** Where the node at a path begins, or the nearest one above it that is there. */
function offsetOf(
  document: { getIn(path: Iterable<unknown>, keep: true): unknown },
  path: readonly (string | number)[],
): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
