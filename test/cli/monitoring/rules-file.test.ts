/** The file of watch rules: YAML, and the line of whatever is wrong. */
import { expect, test } from '@jest/globals';
import { parseRulesFile } from '../../../cli/monitoring/rules-file.ts';
import { utf8 } from '../../../tree/bytes.ts';

const read = (text: string | Uint8Array): string => {
  try {
    return parseRulesFile(typeof text === 'string' ? utf8(text) : text, 'rules.yaml')
      .map(({ name, places, silentFor }) =>
        `${name}: ${places.map((place) => place.name).join(',')} ${silentFor ?? ''}`.trim(),
      )
      .join('; ');
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    if (code === undefined) throw error;
    return `${String(code)}: ${message}`;
  }
};

test('the file of the documentation is read', () => {
  expect(
    read(`# who is watched
rules:
  - name: deletions by people
    action: ['*.deleted', '*.purged']
    actor: 'user_*'
  - name: the EHR is silent
    source: ehr-api-3
    silent_for: 10m
  - name: cluster secrets
    where:
      /objectRef/resource: secrets
      /verb: [delete, deletecollection]
`),
  ).toBe(
    'deletions by people: action,actor; the EHR is silent: source 600000; cluster secrets: /objectRef/resource,/verb',
  );
});

test.each([
  ['', 'malformed_rules: rules.yaml:1: there is no list "rules"'],
  ['rules:\n  - name: a\n    actoin: x\n', 'malformed_rules: rules.yaml:3: rules.0.actoin is no member'],
  [
    'rules:\n- {name: a, action: x}\n- {name: a, action: x}\n',
    'malformed_rules: rules.yaml:3: rules.1.name is the name',
  ],
  [
    'rules:\n- name: a\n  action:\n  - x\n  - 7\n',
    'malformed_rules: rules.yaml:5: rules.0.action.1 a pattern is a text',
  ],
  [
    'rules:\n- name: a\n  action: yes\n  silent_for: 10\n',
    'malformed_rules: rules.yaml:4: rules.0.silent_for is no time',
  ],
  ['rules: [\n', 'malformed_rules: rules.yaml: line'],
  ['rules:\n  - name: a\n    name: b\n', 'malformed_rules: rules.yaml: line 3: a name stands twice'],
  ['rules:\n- &a {name: a, action: x}\n- *a\n', 'malformed_rules: rules.yaml: line 3: aliases are not accepted'],
  ['rules:\n- name: !!binary AAAA\n', 'malformed_rules: rules.yaml:2: rules.0.name'],
  ['rules: 1\n---\nrules: 2\n', 'malformed_rules: rules.yaml: line'],
  ['rules:\n\t- x\n', 'malformed_rules: rules.yaml: line'],
  ['<<: {rules: []}\n', 'malformed_rules'],
  ['- 1\n', 'malformed_rules: rules.yaml:1: there is no list "rules"'],
])('%j is refused with its line', (text, expected) => {
  expect(read(text)).toContain(expected);
});

test('what is no text, and what is too long, is refused', () => {
  expect(read(Uint8Array.of(0xff, 0xfe))).toBe('malformed_rules: rules.yaml: is not UTF-8');
  expect(read('#'.repeat(262_145))).toContain('more than 262144 bytes');
  expect(read(`${'['.repeat(100_000)}`)).toContain('malformed_rules');
});

test('all problems are listed, up to twenty', () => {
  const many = `rules:\n${Array.from({ length: 25 }, (_, i) => `- {name: r${i}, bad: x, action: x}\n`).join('')}`;
  const lines = read(many).split('; ');
  expect([lines.length, lines.at(-1)]).toEqual([21, 'and 5 more']);
});
