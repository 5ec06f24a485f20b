/** The parts of the bench that judge: medians, targets, baseline, and the three forms of its report. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Baselines, compare, hasFallen, readBaselines, updated, writeBaselines } from './report/baseline.ts';
import { figureRows } from './report/figures.ts';
import { number, spread, target } from './report/format.ts';
import { markdownText } from './report/markdown.ts';
import { failureLine, failures, missed, type Report, skipped } from './report/report.ts';
import { inMusts, isMet, summarize } from './report/statistics.ts';
import { chart } from './report/svg.ts';
import { columns, terminalText } from './report/text.ts';
import type { Finding, Ratio } from './scenario.ts';

function reportOf(findings: Readonly<Record<string, Finding>>): Report {
  return {
    mode: 'full',
    date: '2030-01-02T03:04:05.678Z',
    commit: 'abcdef012345',
    machine: { cpu: CPU, cores: 2, memory: '8 GiB', disk: 'ext4 (sda)', kernel: '6.1', loadAverage: 0.25 },
    versions: { Node: 'v20.20.0', wrk: '4.1.0' },
    scenarios: Object.entries(findings).map(([id, finding]) => ({ id, title: `title of ${id}`, finding, took: 7 })),
  };
}

const kept = (text: string, ...values: number[]): Ratio => ({ text, values, kept: true });
const only = (...ratios: Ratio[]): Finding => ({ series: [], ratios });
const made = { date: '', commit: '', node: '' };
const CPU = 'A <fast> CPU';

describe('statistics', () => {
  test('medians of odd and even numbers of rounds, and the spread', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(summarize([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => summarize([])).toThrow(RangeError);
    expect(() => summarize([1, Number.NaN])).toThrow(RangeError);
  });

  test('the median is what has to reach the target, from either side', () => {
    expect(isMet({ text: '', values: [1, 2, 9], atLeast: 2 })).toBe(true);
    expect(isMet({ text: '', values: [1, 2, 9], atLeast: 2.1 })).toBe(false);
    expect(isMet({ text: '', values: [1, 2, 9], atMost: 2 })).toBe(true);
    expect(isMet({ text: '', values: [1, 2, 9], atMost: 1.9 })).toBe(false);
    expect(isMet({ text: '', values: [1], aim: 5 })).toBeUndefined();
  });

  test('in units of the target, 1 and more is good enough', () => {
    expect(inMusts(3, { text: '', values: [], atLeast: 2 })).toBe(1.5);
    expect(inMusts(40, { text: '', values: [], atMost: 10 })).toBe(0.25);
    expect(inMusts(40, { text: '', values: [] })).toBeUndefined();
  });
});

describe('baseline', () => {
  const baselines: Baselines = { [CPU]: { made, ratios: { 'a: cost': 2, 'a: gain': 3, 'c: other': 7 } } };
  const ratiosOf = (all: Baselines): unknown => all[CPU]?.ratios;
  const run = (cost: number, gain: number): Report =>
    reportOf({ a: only(kept('cost', cost), { ...kept('gain', gain), atLeast: 1 }, { text: 'shown', values: [1] }) });

  test('a cost is worse when it grows, a gain when it falls, and by more than 30 % it counts', () => {
    const worse = (cost: number, gain: number): number[] =>
      compare(run(cost, gain), baselines).map((comparison) => Number(comparison.worse.toFixed(3)));
    expect(worse(2, 3)).toEqual([0, 0]);
    expect(worse(2.5, 2)).toEqual([0.25, 0.5]);
    expect(worse(1, 6)).toEqual([-0.5, -0.5]);
    expect(compare(run(2.59, 2.31), baselines).map(hasFallen)).toEqual([false, false]);
    expect(compare(run(2.61, 2.3), baselines).map(hasFallen)).toEqual([true, true]);
  });

  test('each model of CPU has its own, and one that has none is held to the least of the others', () => {
    const others: Baselines = {
      slow: { made, ratios: { 'a: cost': 4, 'a: gain': 2 } },
      slower: { made, ratios: { 'a: cost': 5, 'a: gain': 1, 'a: gone': 1 } },
    };
    const then = (all: Baselines): unknown[] => compare(run(2, 3), all).map((comparison) => comparison.then);
    expect(then({ ...others, ...baselines })).toEqual([2, 3]);
    expect(then(others)).toEqual([5, 1, 1]);
    expect(compare(run(6.4, 0.8), others).map(hasFallen)).toEqual([false, false, true]);
    expect(updated(others, run(2, 3))).toMatchObject({ ...others, [CPU]: { ratios: { 'a: cost': 2, 'a: gain': 3 } } });
  });

  test('what it does not have is no failure, and what is not kept is not compared', () => {
    const comparisons = compare(run(99, 0.1), { [CPU]: { made, ratios: {} } });
    expect(comparisons).toEqual([
      { name: 'a: cost', now: 99, worse: 0 },
      { name: 'a: gain', now: 0.1, worse: 0 },
    ]);
    expect(comparisons.some(hasFallen)).toBe(false);
  });

  test('a ratio that is gone from a scenario that ran is missing, and that is as bad as a fall', () => {
    const renamed = reportOf({ a: only(kept('new name', 2), { ...kept('gain', 3), atLeast: 1 }) });
    const comparisons = compare(renamed, baselines);
    expect(comparisons.map(({ name, now, then }) => [name, now, then])).toEqual([
      ['a: new name', 2, undefined],
      ['a: gain', 3, 3],
      ['a: cost', undefined, 2],
    ]);
    expect(comparisons.map(hasFallen)).toEqual([false, false, true]);
    expect(terminalText(renamed, comparisons)).toMatch(/^a: cost +2\.00 +MISSING$/m);
  });

  test('nothing is missing of a scenario that did not run, failed or was skipped, nor what one says it cannot measure', () => {
    const names = (report: Report): string[] => compare(report, baselines).map(({ name }) => name);
    expect(names(reportOf({}))).toEqual([]);
    expect(names({ ...reportOf({}), scenarios: [{ id: 'a', title: '', failed: 'no', took: 0 }] })).toEqual([]);
    expect(names(reportOf({ a: { ...only(), skipped: ['no peer here'] } }))).toEqual([]);
    expect(names(reportOf({ a: { ...only(kept('cost', 2)), absent: ['gain'] } }))).toEqual(['a: cost']);
    // A peer that is missing does not excuse what is measured without it.
    expect(names(reportOf({ a: { ...only(kept('cost', 2)), skipped: ['no peer here'] } }))).toContain('a: gain');
  });

  test('an update replaces what ran, drops what is gone from it, and keeps the rest', () => {
    const now = updated(baselines, reportOf({ a: only(kept('cost', 1.23456, 1.3, 1.2)) }));
    expect(now).toEqual({
      [CPU]: {
        made: { date: '2030-01-02T03:04:05.678Z', commit: 'abcdef012345', node: 'v20.20.0' },
        ratios: { 'a: cost': 1.23, 'c: other': 7 },
      },
    });
  });

  test('an update keeps what a scenario says it cannot measure', () => {
    const now = updated(baselines, reportOf({ a: { ...only(kept('cost', 5)), absent: ['gain'] } }));
    expect(ratiosOf(now)).toEqual({ 'a: cost': 5, 'a: gain': 3, 'c: other': 7 });
  });

  test('a scenario that failed keeps its old ratios', () => {
    const failed = { ...reportOf({}), scenarios: [{ id: 'a', title: '', failed: 'no', took: 0 }] };
    expect(ratiosOf(updated(baselines, failed))).toEqual(ratiosOf(baselines));
  });

  test('is written and read, and empty where there is none', () => {
    const folder = mkdtempSync(join(tmpdir(), 'indelible-baseline-'));
    const file = join(folder, 'baseline.json');
    expect(readBaselines(file)).toEqual({});
    writeBaselines(file, baselines);
    expect(readBaselines(file)).toEqual(baselines);
    rmSync(folder, { recursive: true });
  });
});

describe('figures as text', () => {
  test.each([
    [0.1234, '0.12'],
    [9.876, '9.88'],
    [12.34, '12.3'],
    [99.96, '100.0'],
    [123.4, '123'],
    [1234567.8, '1,234,568'],
    [-1234.5, '-1,235'],
  ])('%p', (value, text) => expect(number(value)).toBe(text));

  test('median, spread and target', () => {
    expect(spread([2, 1, 3], '×')).toBe('2.00× (1.00–3.00)');
    expect(spread([2], 'ms')).toBe('2.00 ms');
    expect(target({ text: '', values: [], atLeast: 250_000, aim: 500_000, unit: '/s' })).toBe(
      '≥ 250,000/s, aim 500,000/s',
    );
    expect(target({ text: '', values: [], atMost: 0.25 })).toBe('≤ 0.25×');
    expect(target({ text: '', values: [] })).toBe('');
  });

  test('columns are as wide as their longest cell', () => {
    expect(
      columns(
        [
          ['a', 'bb', ''],
          ['ccc', '', 'd'],
        ],
        '> ',
      ),
    ).toBe('> a    bb\n> ccc      d');
  });

  test('a row for each subject and condition; a line each where a table would be nearly empty', () => {
    const one = { subject: 'x', figure: 'writes', unit: '/s', values: [1, 3] };
    expect(figureRows([one, { ...one, under: 'load', figure: 'p99', unit: 'ms' }])).toEqual([
      ['', 'writes /s', 'p99 ms'],
      ['x', '2.00', ''],
      ['load: x', '', '2.00'],
    ]);
    const apart = ['p', 'q', 'r'].map((name) => ({ ...one, subject: name, figure: name }));
    expect(figureRows(apart)).toEqual([
      ['p, p', '2.00/s'],
      ['q, q', '2.00/s'],
      ['r, r', '2.00/s'],
    ]);
  });
});

describe('the report', () => {
  const report: Report = reportOf({
    a: {
      series: [
        { subject: 'indelible', under: '256 connections', figure: 'entries', unit: '/s', values: [30_000, 31_000] },
      ],
      ratios: [
        { text: 'writes/s against <peer>', values: [1.3, 1.2, 1.4], atLeast: 1.25, aim: 2 },
        { text: 'p99', unit: 'ms', values: [60], atMost: 50 },
        kept('CPU per write', 2.2),
      ],
      found: 1234,
    },
    b: { series: [], ratios: [], skipped: ['no peer here'] },
  });
  const whole: Report = {
    ...report,
    scenarios: [...report.scenarios, { id: 'z', title: 'last', failed: 'it broke', took: 1 }],
  };

  test('says what was missed, skipped, and failed', () => {
    expect(missed(whole)).toEqual(['a: p99']);
    expect(skipped(whole)).toEqual(['b: no peer here']);
    expect(failures(whole)).toEqual(['z: it broke']);
  });

  test('on a terminal', () => {
    const text = terminalText(whole, compare(whole, { [CPU]: { made, ratios: { 'a: CPU per write': 1.5 } } }));
    expect(text).toMatch(/^machine {3}A <fast> CPU, 2 cores, 8 GiB, data on ext4 \(sda\), Linux 6\.1$/m);
    expect(text).toMatch(/^ {3}writes\/s against <peer> {2}1\.30× \(1\.20–1\.40\) {2}≥ 1\.25×, aim 2× {2}met$/m);
    expect(text).toMatch(/^ {3}p99 +60\.0 ms +≤ 50 ms +MISSED$/m);
    expect(text).toMatch(/1,234 acknowledged entries looked for, all of them found/);
    expect(text).toMatch(/^a: CPU per write {2}2\.20 {2}1\.50 {2}\+47 % {2}WORSE$/m);
    expect(text).toMatch(/SKIPPED: no peer here/);
    expect(text).toMatch(/FAILED: it broke/);
  });

  test('a scenario that failed has its row and its line, with the first line of the error', () => {
    const broken: Report = {
      ...report,
      scenarios: [{ id: 'z', title: 'last', failed: `Error: a | b & <c>\n    at ${'d'.repeat(200)}`, took: 1 }],
    };
    expect(markdownText(broken)).toContain('\n| z | failed: Error: a \\| b & <c> |  |  | **failed** |\n');
    const svg = chart(broken);
    expect(svg).toContain('>z  failed: Error: a | b &#38; &#60;c&#62;</text>');
    expect(svg).not.toContain('ddd');
    expect(svg).not.toContain('nothing measured');
    expect(failureLine('e'.repeat(101))).toBe(`failed: ${'e'.repeat(100)}…`);
    // What did not fail stands beside it.
    expect(markdownText(whole)).toMatch(/^\| a \| writes.*\n(.*\n)*\| z \| failed: it broke \|/m);
    expect(chart(whole)).toMatch(/>a {2}writes(.*\n)*.*>z {2}failed: it broke</);
  });

  test('as Markdown: rows of one width, whatever stands in them', () => {
    const text = markdownText(reportOf({ a: only({ text: 'a|b', values: [1], atLeast: 2 }) }));
    expect(text).toContain('| a | a\\|b | 1.00× | ≥ 2× | **missed** |');
    const rows = markdownText(whole)
      .split('\n')
      .filter((line) => line.startsWith('| ') && line.includes('×'));
    expect(new Set(rows.map((row) => row.split('|').length))).toEqual(new Set([7]));
  });

  test('as a chart: well-formed, cut at its edge, and only what has a target', () => {
    const svg = chart(
      reportOf({ a: only({ text: 'far & <beyond>', values: [1000], atLeast: 1 }, kept('no target', 1)) }),
    );
    expect(svg).toContain('far &#38; &#60;beyond&#62;');
    expect(svg).not.toContain('no target');
    const open: string[] = [];
    for (const [, slash, name, selfClosing] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
      if (slash === '/') expect(open.pop()).toBe(name);
      else if (selfClosing === '') open.push(name as string);
    }
    expect(open).toEqual([]);
    const widths = [...svg.matchAll(/ (?:x|x1|x2|width)="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(Math.max(...widths)).toBeLessThanOrEqual(860);
    expect(chart(reportOf({}))).toContain('nothing measured has a target');
  });
});
