/** The report as text: for the terminal, and as Markdown for docs/performance.md. */
import type { Ratio, Series } from '../scenario.ts';
import type { Report, ScenarioReport } from './report.ts';
import { isMet, summarize } from './statistics.ts';

/** Three digits, or all of those before the point. */
export function number(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `2.11× (2.05–2.30)`. */
export function spread(values: readonly number[], unit: string): string {
  const { median, min, max } = summarize(values);
  const space = unit === '×' || unit === '/s' ? '' : ' ';
  return `${number(median)}${space}${unit}${values.length > 1 ? ` (${number(min)}–${number(max)})` : ''}`;
}

function target({ atLeast, atMost, aim, unit = '×' }: Ratio): string {
  const space = unit === '×' || unit === '/s' ? '' : ' ';
  const parts: string[] = [];
  if (atLeast !== undefined) parts.push(`≥ ${number(atLeast)}${space}${unit}`);
  if (atMost !== undefined) parts.push(`≤ ${number(atMost)}${space}${unit}`);
  if (aim !== undefined) parts.push(`aim ${number(aim)}${space}${unit}`);
  return parts.join(', ');
}

/** Columns as wide as their longest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  ')}`.trimEnd()).join('\n');
}

function verdict(ratio: Ratio): string {
  const met = isMet(ratio);
  return met === undefined ? '' : met ? 'met' : 'MISSED';
}

function scenarioText({ id, title, finding, failed }: ScenarioReport): string {
  const lines = [`${id}  ${title}`];
  if (failed !== undefined) lines.push(`   FAILED: ${failed}`);
  if (finding !== undefined) {
    const ratios = finding.ratios.map((ratio) => [
      `   ${ratio.text}`,
      spread(ratio.values, ratio.unit ?? '×'),
      target(ratio),
      verdict(ratio),
    ]);
    const series = finding.series.map(({ subject, figure, unit, values }) => [
      `   ${subject}: ${figure}`,
      spread(values, unit),
    ]);
    lines.push(columns([...ratios, ...series]));
    if (finding.found !== undefined) {
      lines.push(`   after kill -9 all ${number(finding.found)} acknowledged entries that were looked for are there`);
    }
    for (const reason of finding.skipped ?? []) lines.push(`   SKIPPED: ${reason}`);
  }
  return lines.join('\n');
}

/** The report for a terminal. */
export function terminalText(report: Report): string {
  const { machine, mode } = report;
  const head = columns([
    ['machine', `${machine.cpu}, ${machine.cores} cores, ${machine.memory}, ${machine.disk}`],
    ['run', `${mode}, ${report.date}, commit ${report.commit}, load average ${number(machine.loadAverage)} at start`],
    [
      'versions',
      Object.entries(report.versions)
        .map((pair) => pair.join(' '))
        .join(', '),
    ],
  ]);
  return `${[head, ...report.scenarios.map(scenarioText)].join('\n\n')}\n`;
}

function seriesOf(series: readonly Series[]): string {
  return series.map(({ subject, figure, unit, values }) => `${subject} ${figure} ${spread(values, unit)}`).join('<br>');
}

/** The table of docs/performance.md. */
export function markdownTable(report: Report): string {
  const rows = report.scenarios.flatMap(({ id, title, finding }) =>
    (finding?.ratios ?? []).map((ratio, i) => [
      i === 0 ? id : '',
      i === 0 ? title : '',
      ratio.text,
      spread(ratio.values, ratio.unit ?? '×'),
      target(ratio),
      verdict(ratio),
      i === 0 ? seriesOf(finding?.series ?? []) : '',
    ]),
  );
  const header = ['#', 'What', 'Ratio', 'Median (spread)', 'Must, aim', '', 'Figures'];
  return `${[header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`;
}
