/** Watch rules: what fits, and that a rule which cannot be meant is refused with its place. */
import { describe, expect, test } from '@jest/globals';
import { fittingValues, parseRules, RulesError } from '../../../client/monitor/rules.ts';
import type { EventHeader } from '../../../proofs/leaf.ts';

const header: EventHeader = { by: '0123456789abcdef', via: 'events' };

function fits(rule: object, event: unknown, by: EventHeader = header): boolean {
  const [parsed] = parseRules({ rules: [{ name: 'r', ...rule }] });
  if (parsed === undefined) throw new Error('no rule');
  return fittingValues(parsed, event, by) !== undefined;
}

describe('patterns', () => {
  test.each([
    ['user.login', 'user.login', true],
    ['user.login', 'User.login', false],
    ['user.login', 'user.logins', false],
    ['user.login', 'xuser.login', false],
    ['user.login', 'userxlogin', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['*.deleted', 'user.deleted', true],
    ['*.deleted', '.deleted', true],
    ['*.deleted', 'user.deleted.x', false],
    ['user.*', 'user.', true],
    ['user.*', 'user', false],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'abbbc', true],
    ['a*b*c', 'acb', false],
    ['a**b', 'ab', true],
    ['?', 'x', true],
    ['?', '', false],
    ['?', 'xy', false],
    ['?', '𝄞', true],
    ['a?c', 'abc', true],
    ['a\\*c', 'a*c', true],
    ['a\\*c', 'abc', false],
    ['a\\\\c', 'a\\c', true],
    ['\\?', '?', true],
    ['\\?', 'x', false],
    ['(a|b)+', '(a|b)+', true],
    ['*aab', 'aaaaab', true],
  ])('%s and %s: %s', (pattern, value, expected) => {
    expect(fits({ action: pattern }, { action: value })).toBe(expected);
  });

  test('agree with what regular expressions say of all short texts', () => {
    const letters = ['a', 'b', '*', '?'];
    const texts = (alphabet: readonly string[], length: number): string[] =>
      length === 0 ? [''] : texts(alphabet, length - 1).flatMap((text) => alphabet.map((c) => text + c));
    const values = [0, 1, 2, 3, 4].flatMap((length) => texts(['a', 'b'], length));
    for (const pattern of [1, 2, 3, 4].flatMap((length) => texts(letters, length))) {
      const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      const [rule] = parseRules({ rules: [{ name: 'r', action: pattern }] });
      for (const value of values)
        expect([
          pattern,
          value,
          rule !== undefined && fittingValues(rule, { action: value }, header) !== undefined,
        ]).toEqual([pattern, value, expression.test(value)]);
    }
  });

  test('a value made to be slow is not', () => {
    const began = performance.now();
    expect(fits({ action: `${'*a'.repeat(200)}b` }, { action: 'a'.repeat(60_000) })).toBe(false);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test('nobody hides behind a long name', () => {
    expect(fits({ actor: 'mallory' }, { actor: `mallory${' '.repeat(70_000)}` })).toBe(true);
  });
});

describe('places', () => {
  test.each([
    [{ actor: 'u_42' }, { actor: { type: 'user', id: 'u_42', name: 'Alice' } }, true],
    [{ actor: 'Alice' }, { actor: { type: 'user', id: 'u_42', name: 'Alice' } }, true],
    [{ actor: 'user' }, { actor: { type: 'user', id: 'u_42', name: 'Alice' } }, false],
    [{ actor: 'alice' }, { actor: 'alice' }, true],
    [{ actor: '42' }, { actor: { id: 42 } }, true],
    [{ target: 'p_7' }, { targets: [{ id: 'p_6' }, { id: 'p_7' }] }, true],
    [{ target: 'p_7' }, { target: { id: 'p_7' } }, true],
    [{ target: 'p_8' }, { targets: [{ id: 'p_6' }, { id: 'p_7' }] }, false],
    [{ source: 'ehr-*' }, { source: { id: 'ehr-api-3' } }, true],
    [{ by: '0123456789abcdef' }, {}, true],
    [{ by: 'system' }, { by: 'system' }, false],
    [{ via: 'events' }, {}, true],
    [{ action: ['x', 'login'] }, { action: 'login' }, true],
    [{ action: 'login', actor: 'bob' }, { action: 'login', actor: 'alice' }, false],
    [{ where: { '/user/username': 'system:*' } }, { user: { username: 'system:admin' } }, true],
    [{ where: { '/user/groups': 'masters' } }, { user: { groups: ['a', 'masters'] } }, true],
    [{ where: { '/user/groups/1': 'masters' } }, { user: { groups: ['a', 'masters'] } }, true],
    [{ where: { '/ok': 'false' } }, { ok: false }, true],
    [{ where: { '/a~1b/c~0d': 'x' } }, { 'a/b': { 'c~d': 'x' } }, true],
    [{ where: { '/constructor/name': '*' } }, {}, false],
    [{ where: { '/length': '*' } }, {}, false],
    [{ action: '*' }, { action: null }, false],
    [{ action: '*' }, { action: { id: 'x' } }, false],
    [{ actor: '*' }, {}, false],
  ])('%j on %j: %s', (rule, event, expected) => {
    expect(fits(rule, event)).toBe(expected);
  });

  test('what fitted is told, cut where it is long', () => {
    const [rule] = parseRules({ rules: [{ name: 'r', action: 'log*', actor: '*', where: { '/ip': '10.*' } }] });
    if (rule === undefined) throw new Error('no rule');
    expect(fittingValues(rule, { action: 'login', actor: 'a'.repeat(300), ip: '10.0.0.1' }, header)).toEqual({
      action: 'login',
      actor: `${'a'.repeat(256)}…`,
      '/ip': '10.0.0.1',
    });
  });
});

describe('rules that cannot be meant', () => {
  const rule = { name: 'r', action: 'x' };
  test.each<readonly [unknown, readonly string[]]>([
    [undefined, ['']],
    ['rules', ['']],
    [[], ['']],
    [{}, ['rules']],
    [{ rules: [] }, ['rules']],
    [{ rules: rule }, ['rules']],
    [{ rules: [rule], more: 1 }, ['more']],
    [{ rules: ['x'] }, ['rules.0']],
    [{ rules: [null] }, ['rules.0']],
    [{ rules: [{ action: 'x' }] }, ['rules.0.name']],
    [{ rules: [{ ...rule, name: '' }] }, ['rules.0.name']],
    [{ rules: [{ ...rule, name: 7 }] }, ['rules.0.name']],
    [{ rules: [{ ...rule, name: 'a\nb' }] }, ['rules.0.name']],
    [{ rules: [{ ...rule, name: 'x'.repeat(65) }] }, ['rules.0.name']],
    [{ rules: [rule, rule] }, ['rules.1.name']],
    [{ rules: [{ name: 'r' }] }, ['rules.0']],
    [{ rules: [{ name: 'r', silent_for: '10m' }] }, ['rules.0']],
    [{ rules: [{ ...rule, actoin: 'x' }] }, ['rules.0.actoin']],
    [{ rules: [{ ...rule, constructor: 'x' }] }, ['rules.0.constructor']],
    [{ rules: [{ ...rule, action: 7 }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, action: '' }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, action: [] }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, action: ['x', 7] }] }, ['rules.0.action.1']],
    [{ rules: [{ ...rule, action: 'x\\' }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, action: 'x'.repeat(513) }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, action: Array(65).fill('x') }] }, ['rules.0.action']],
    [{ rules: [{ ...rule, where: 'x' }] }, ['rules.0.where']],
    [{ rules: [{ ...rule, where: { user: 'x' } }] }, ['rules.0.where.user']],
    [{ rules: [{ ...rule, where: { '/a~2': 'x' } }] }, ['rules.0.where./a~2']],
    [{ rules: [{ ...rule, where: { '/a': 7 } }] }, ['rules.0.where./a']],
    ...['10', '0m', '10 m', '1.5h', '-1m', '10M', '367d', 600, '', '1000000000s'].map(
      (silent_for) => [{ rules: [{ ...rule, silent_for }] }, ['rules.0.silent_for']] as const,
    ),
    [
      {
        rules: [
          { name: '', action: '' },
          { name: 's', actor: 5 },
        ],
      },
      ['rules.0.name', 'rules.0.action', 'rules.1.actor'],
    ],
    [{ rules: Array.from({ length: 257 }, (_, i) => ({ ...rule, name: `r${i}` })) }, ['rules']],
  ])('%j', (value, paths) => {
    let problems: readonly string[] = [];
    try {
      parseRules(value);
    } catch (error) {
      if (!(error instanceof RulesError)) throw error;
      expect(error.code).toBe('malformed_rules');
      problems = error.problems.map(({ path }) => path.join('.'));
    }
    expect(problems).toEqual(paths);
  });

  test('times are what they say', () => {
    const times = ['90s', '10m', '12h', '2d', '366d'].map(
      (silent_for) => parseRules({ rules: [{ ...rule, silent_for }] })[0]?.silentFor,
    );
    expect(times).toEqual([90_000, 600_000, 43_200_000, 172_800_000, 366 * 86_400_000]);
  });
});
