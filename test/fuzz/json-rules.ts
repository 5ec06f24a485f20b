/**
 * The rules of admission for an event (docs/format.md, "Events logs"), found out in another way than the server's scanner does: by
 * JSON.parse, and by what its value and the text outside of strings have to do with each other.
 */

/** Whether a text has half of a surrogate pair in it. */
export function isHalf(text: string): boolean {
  return /\p{Cs}/u.test(text);
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[^"]+/gs;

/** Why a text that JSON.parse takes for an object breaks a rule, or `undefined`. */
export function brokenRule(text: string): string | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is no object';
  if (text[0] !== '{' || text.at(-1) !== '}') return 'there is something around it';
  let colons = 0;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token[0] === '"') continue;
    for (const letter of token) if (letter === ':') colons++;
    for (const [literal] of token.matchAll(/-?[0-9][-+.eE0-9]*/g)) {
      const number = Number(literal);
      if (!Number.isFinite(number)) return `the number ${literal} is infinite`;
      if (/^-?[0-9]+$/.test(literal) && !Number.isSafeInteger(number)) return `the integer ${literal} is not safe`;
    }
  }
  const found = { members: 0, fault: undefined as string | undefined };
  look(value, 1, found);
  if (found.fault !== undefined) return found.fault;
  // JSON.parse keeps the last of two members with one name: then there are fewer members than colons.
  return found.members === colons ? undefined : 'a name stands in one object twice';
}

function look(value: unknown, depth: number, found: { members: number; fault: string | undefined }): void {
  if (typeof value === 'string' && isHalf(value)) found.fault = 'half of a surrogate pair';
  if (typeof value !== 'object' || value === null) return;
  if (depth > 32) found.fault = `nested ${depth} deep`;
  const names = Array.isArray(value) ? [] : Object.keys(value);
  found.members += names.length;
  if (names.length > 1000) found.fault = `${names.length} members`;
  for (const name of names) {
    if (name === '$sealed') found.fault = 'a member named $sealed';
    if (isHalf(name)) found.fault = 'half of a surrogate pair in a name';
  }
  for (const each of Object.values(value)) look(each, depth + 1, found);
}

/** Where a JSON pointer leads, by RFC 6901; `undefined` for nowhere. */
export function pointedAt(value: unknown, pointer: string): unknown {
  let at = value;
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(at)) at = /^(?:0|[1-9][0-9]{0,14})$/.test(name) ? at[Number(name)] : undefined;
    else if (typeof at === 'object' && at !== null && Object.hasOwn(at, name))
      at = (at as Record<string, unknown>)[name];
    else return undefined;
  }
  return at;
}
