/** The report for a terminal. */
import type { Ratio } from '../scenario.ts';
import type { Comparison } from './baseline.ts';
import { hasFallen } from './baseline.ts';
import { figureRows } from './figures.ts';
import { number, spread, target } from './format.ts';
import { failures, missed, type Report, type ScenarioReport, skipped } from './report.ts';
import { isMet } from './statistics.ts';

/** Columns as wide as their longest cell. */
export function columns(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  ');
  return rows.map((row) => `${indent}${line(row)}`.trimEnd()).join('\n');
}

function verdict(ratio: Ratio): string {
  const met = isMet(ratio);
  return met === undefined ? '' : met ? 'met' : 'MISSED';
}

function scenarioText({ id, title, finding, failed, took }: ScenarioReport): string {
  const lines = [`${id}  ${title} (${took} s)`];
  if (failed !== undefined) lines.push(`   FAILED: ${failed}`);
  if (finding !== undefined) {
    const ratios = finding.ratios.map((ratio) => [
      ratio.text,
      spread(ratio.values, ratio.unit ?? '×'),
      target(ratio),
      verdict(ratio),
    ]);
    if (ratios.length > 0) lines.push(columns(ratios, '   '));
    if (finding.series.length > 0) lines.push('', columns(figureRows(finding.series), '   '));
    if (finding.found !== undefined && finding.found > 0) {
      lines.push('', `   after kill -9: ${number(finding.found)} acknowledged entries looked for, all of them found`);
    }
    for (const reason of finding.skipped ?? []) lines.push(`   SKIPPED: ${reason}`);
  }
  return lines.join('\n');
}

function headText({ mode, date, commit, machine, versions }: Report): string {
  const { cpu, cores, memory, disk, kernel, loadAverage } = machine;
  const programs = Object.entries(versions).map((pair) => pair.join(' '));
  return columns([
    ['machine', `${cpu}, ${cores} cores, ${memory}, data on ${disk}, Linux ${kernel}`],
    ['run', `${mode}, ${date}, commit ${commit}, load average ${number(loadAverage)} at start`],
    ['programs', programs.join(', ')],
  ]);
}

function comparisonRow(comparison: Comparison): string[] {
  const { name, now, then, worse } = comparison;
  if (now === undefined) return [name, '', number(then ?? 0), '', 'MISSING'];
  if (then === undefined) return [name, number(now), '', '', 'new'];
  const change = `${worse > 0 ? '+' : ''}${Math.round(worse * 100)} %`;
  return [name, number(now), number(then), change, hasFallen(comparison) ? 'WORSE' : 'kept'];
}

function comparisonText(comparisons: readonly Comparison[]): string {
  return columns([['baseline', 'now', 'then', 'worse', ''], ...comparisons.map(comparisonRow)]);
}

function list(title: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : [`${title}:\n${items.map((item) => `   ${item}`).join('\n')}`];
}

/** All of it: where it was made, each scenario, the baseline, and what is wrong. */
export function terminalText(report: Report, comparisons: readonly Comparison[]): string {
  const parts = [
    headText(report),
    ...report.scenarios.map(scenarioText),
    ...(comparisons.length === 0 ? [] : [comparisonText(comparisons)]),
    ...list('not measured', skipped(report)),
    ...list('FAILED', failures(report)),
    ...list(report.mode === 'full' ? 'MISSED' : 'below what a full run must reach', missed(report)),
  ];
  return `${parts.join('\n\n')}\n`;
}
