/**
 * Watch rules: which events somebody wants to hear of, and from whom something is expected.
 *
 *     rules:
 *       - name: deletions by people
 *         action: ['*.deleted', '*.purged']
 *         actor: 'user_*'
 *       - name: the EHR is silent
 *         source: ehr-api-3
 *         silent_for: 10m
 *
 * A rule fits an event if every one of its places does; a place fits if one of its patterns does, on one of the values there. In a pattern `*`
 * stands for any characters, also none, `?` for exactly one, and a backslash takes the next one for itself; everything else is
 * compared as it is, capitals included, from the first character to the last.
 */
import { LogError } from '../../proofs/error.ts';
import type { EventHeader } from '../../proofs/leaf.ts';

/** What is wrong with one part of the rules; the path leads to it from the top. */
export interface RuleProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Rules that cannot be meant; all problems are listed. */
export class RulesError extends LogError<'malformed_rules'> {
  readonly problems: readonly RuleProblem[];

  constructor(problems: readonly RuleProblem[]) {
    const [first] = problems;
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : '';
    super('malformed_rules', `${first?.path.join('.') || 'the rules'}: ${first?.message}${more}`);
    this.problems = problems;
  }
}

/** One place of an event and what may stand there. */
interface Place {
  /** As in the rule: a member, or `where` with a pointer. */
  readonly name: string;
  readonly valuesOf: (event: unknown, header: EventHeader) => readonly string[];
  readonly patterns: readonly Pattern[];
}

export interface WatchRule {
  readonly name: string;
  readonly places: readonly Place[];
  /** Milliseconds after which the absence of a fitting event is an alarm; undefined where its presence is one. */
  readonly silentFor: number | undefined;
}

export const MAX_RULES = 256;
const MAX_PATTERNS = 64;
const MAX_PATTERN_LENGTH = 512;
const MAX_NAME_LENGTH = 64;
/** Longer values are not compared and fit every pattern: nobody shall hide behind a long name, nor keep a monitor busy with one. */
const MAX_VALUE_LENGTH = 65_536;
/** Longest value that is repeated to people. */
const MAX_SHOWN = 256;
/** Longest silence that can be asked for: a year, in milliseconds. */
const MAX_SILENCE = 366 * 86_400_000;

/** The places that have a name, and where their values stand. Other schemas have `where`. */
const PLACES: Readonly<Record<string, Place['valuesOf']>> = {
  action: (event) => textsOf(member(event, 'action')),
  actor: (event) => named(member(event, 'actor')),
  target: (event) => [...named(member(event, 'target')), ...named(member(event, 'targets'))],
  source: (event) => named(member(event, 'source')),
  by: (_, { by }) => [by],
  via: (_, { via }) => [via],
};

/** Reads the content of a rules file, parsed already. Throws RulesError with everything that is wrong. */
export function parseRules(value: unknown): WatchRule[] {
  const problems: RuleProblem[] = [];
  const rules: WatchRule[] = [];
  const file = asObject(value);
  if (file === undefined) throw new RulesError([{ path: [], message: 'there is no list "rules"' }]);
  for (const name of Object.keys(file))
    if (name !== 'rules') problems.push({ path: [name], message: 'only "rules" may stand at the top' });
  const stated = file['rules'];
  if (!Array.isArray(stated) || stated.length === 0)
    throw new RulesError([...problems, { path: ['rules'], message: 'is no list of rules, or an empty one' }]);
  if (stated.length > MAX_RULES) problems.push({ path: ['rules'], message: `has more than ${MAX_RULES} rules` });
  stated.slice(0, MAX_RULES).forEach((each: unknown, i) => {
    const rule = readRule(each, ['rules', i], problems);
    if (rule === undefined) return;
    if (rules.some(({ name }) => name === rule.name))
      problems.push({ path: ['rules', i, 'name'], message: 'is the name of a rule above' });
    rules.push(rule);
  });
  if (problems.length > 0) throw new RulesError(problems);
  return rules;
}

/** The values of an event that a rule fits, by the names of its places; `undefined` where it does not fit. */
export function fittingValues(
  rule: WatchRule,
  event: unknown,
  header: EventHeader,
): Readonly<Record<string, string>> | undefined {
  const found: Record<string, string> = {};
  for (const { name, valuesOf, patterns } of rule.places) {
    const value = valuesOf(event, header).find((each) => patterns.some((pattern) => fitsPattern(pattern, each)));
    if (value === undefined) return undefined;
    found[name] = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
  }
  return found;
}

function readRule(value: unknown, path: readonly (string | number)[], problems: RuleProblem[]): WatchRule | undefined {
  const rule = asObject(value);
  if (rule === undefined) {
    problems.push({ path, message: 'a rule has members such as name and action' });
    return undefined;
  }
  const before = problems.length;
  const { name, where, silent_for, ...rest } = rule;
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name))
    problems.push({ path: [...path, 'name'], message: `a rule has a name of 1 to ${MAX_NAME_LENGTH} characters` });
  const places: Place[] = [];
  const add = (placeName: string, valuesOf: Place['valuesOf'], stated: unknown, at: readonly (string | number)[]) => {
    const patterns = readPatterns(stated, at, problems);
    if (patterns !== undefined) places.push({ name: placeName, valuesOf, patterns });
  };
  for (const [key, stated] of Object.entries(rest)) {
    const valuesOf = Object.hasOwn(PLACES, key) ? PLACES[key] : undefined;
    if (valuesOf !== undefined) add(key, valuesOf, stated, [...path, key]);
    else
      problems.push({
        path: [...path, key],
        message: `is no member of a rule: there are name, ${Object.keys(PLACES).join(', ')}, where and silent_for`,
      });
  }
  if (where !== undefined) {
    const pointers = asObject(where);
    if (pointers === undefined)
      problems.push({ path: [...path, 'where'], message: 'is no mapping from JSON pointers to patterns' });
    for (const [pointer, stated] of Object.entries(pointers ?? {})) {
      const at = [...path, 'where', pointer];
      const steps = readPointer(pointer);
      if (steps === undefined)
        problems.push({ path: at, message: 'is no JSON pointer such as /user/username (RFC 6901)' });
      else add(pointer, (event) => scalars(resolve(event, steps)), stated, at);
    }
  }
  const silentFor = silent_for === undefined ? undefined : readDuration(silent_for);
  if (silent_for !== undefined && silentFor === undefined)
    problems.push({
      path: [...path, 'silent_for'],
      message: 'is no time from 1s to 366d, such as 90s, 10m, 12h or 2d',
    });
  if (problems.length === before && places.length === 0)
    problems.push({ path, message: 'the rule says nothing about the event: give at least one pattern' });
  return problems.length > before ? undefined : { name: name as string, places, silentFor };
}

function readPatterns(
  value: unknown,
  path: readonly (string | number)[],
  problems: RuleProblem[],
): Pattern[] | undefined {
  const stated: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (stated.length === 0 || stated.length > MAX_PATTERNS) {
    problems.push({ path, message: `a list has 1 to ${MAX_PATTERNS} patterns` });
    return undefined;
  }
  const patterns: Pattern[] = [];
  stated.forEach((each, i) => {
    const at = Array.isArray(value) ? [...path, i] : path;
    const text = typeof each === 'string' ? each : undefined;
    if (text === undefined) problems.push({ path: at, message: 'a pattern is a text: put it in quotes' });
    else if (text === '' || text.length > MAX_PATTERN_LENGTH)
      problems.push({ path: at, message: `a pattern has 1 to ${MAX_PATTERN_LENGTH} characters` });
    else if (/(?:^|[^\\])(?:\\\\)*\\$/.test(text))
      problems.push({ path: at, message: 'the backslash at the end takes nothing for itself; write two for one' });
    else patterns.push(makePattern(text));
  });
  return patterns.length === stated.length ? patterns : undefined;
}

/** A pattern in its parts: one character each, or what stands for others. */
type Pattern = readonly (string | typeof ANY | typeof ONE)[];

const ANY = Symbol('any');
const ONE = Symbol('one');

function makePattern(text: string): Pattern {
  const parts: (string | typeof ANY | typeof ONE)[] = [];
  let taken = false;
  for (const c of text) {
    if (taken) {
      parts.push(c);
      taken = false;
    } else if (c === '\\') taken = true;
    else if (c === '?') parts.push(ONE);
    else if (c !== '*') parts.push(c);
    // Two in a row say no more than one.
    else if (parts.at(-1) !== ANY) parts.push(ANY);
  }
  return parts;
}

/** Values come from events, so the time is at most the product of both lengths: a star that fails is tried one further on, and never two at once. */
function fitsPattern(pattern: Pattern, value: string): boolean {
  if (value.length > MAX_VALUE_LENGTH) return true;
  const text = Array.from(value);
  let at = 0;
  let part = 0;
  let star = -1;
  let from = 0;
  while (at < text.length) {
    if (pattern[part] === ANY) {
      star = part++;
      from = at;
    } else if (pattern[part] === ONE || pattern[part] === text[at]) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++from;
    } else return false;
  }
  while (pattern[part] === ANY) part++;
  return part === pattern.length;
}

/** Milliseconds of a text such as 10m. */
function readDuration(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^([1-9][0-9]{0,8})(s|m|h|d)$/.exec(value) : null;
  if (match === null) return undefined;
  const unit = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as 's' | 'm' | 'h' | 'd'];
  const duration = Number(match[1]) * unit;
  return duration <= MAX_SILENCE ? duration : undefined;
}

function readPointer(pointer: string): string[] | undefined {
  if (pointer.length > 256 || !/^(?:\/(?:[^~/]|~[01])*)+$/.test(pointer)) return undefined;
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function resolve(value: unknown, steps: readonly string[]): unknown {
  let at = value;
  for (const step of steps) {
    if (Array.isArray(at)) at = /^(?:0|[1-9][0-9]{0,6})$/.test(step) ? at[Number(step)] : undefined;
    else at = member(at, step);
  }
  return at;
}

/** Own members of objects only: events come from anybody. */
function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

/** Somebody or something: a text, an object with `id` and `name`, or a list of such. */
function named(value: unknown): string[] {
  const each: readonly unknown[] = Array.isArray(value) ? value : [value];
  return each.flatMap((one) => [...scalars(one), ...scalars(member(one, 'id')), ...scalars(member(one, 'name'))]);
}

function textsOf(value: unknown): string[] {
  return typeof value === 'string' ? [value] : [];
}

/** Texts as they are; numbers and the like as JSON writes them; of a list all of these. */
function scalars(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => (Array.isArray(each) ? [] : scalars(each)));
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)];
  return textsOf(value);
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.assign(Object.create(null) as Record<string, unknown>, value)
    : undefined;
}
