/** The tables of docs/performance.md, to be put there as they are. */
import { figureRows } from './figures.ts';
import { number, spread, target } from './format.ts';
import { failureLine, type Report, type ScenarioReport, skipped } from './report.ts';
import { isMet } from './statistics.ts';

function table(rows: readonly (readonly string[])[]): string {
  const [header = [], ...rest] = rows;
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rest.map(line)].join('\n');
}

function headText({ mode, date, commit, machine, versions }: Report): string {
  const { cpu, cores, memory, disk, kernel, loadAverage } = machine;
  const programs = Object.entries(versions).map((pair) => pair.join(' '));
  return `${cpu}, ${cores} cores, ${memory}, data on ${disk}, Linux ${kernel}; load average ${number(loadAverage)} at start.
${programs.join(', ')}. \`npm run bench -- --${mode}\` of ${date.slice(0, 10)}, commit ${commit}.`;
}

function ratioRows({ id, finding, failed }: ScenarioReport): string[][] {
  if (failed !== undefined) return [[id, failureLine(failed), '', '', '**failed**']];
  return (finding?.ratios ?? []).map((ratio, i) => {
    const met = isMet(ratio);
    return [
      i === 0 ? id : '',
      ratio.text,
      spread(ratio.values, ratio.unit ?? '×'),
      target(ratio),
      met === undefined ? '' : met ? 'met' : '**missed**',
    ];
  });
}

function ratioTable({ scenarios }: Report): string {
  return table([['#', 'What', 'Median (spread)', 'Target', ''], ...scenarios.flatMap(ratioRows)]);
}

function figureTables({ scenarios }: Report): string {
  return scenarios
    .filter(({ finding }) => finding !== undefined && finding.series.length > 0)
    .map(({ id, title, finding }) => {
      const rows = figureRows(finding?.series ?? []);
      const header = rows[0]?.[0] === '' ? [] : [['', 'Median']];
      const found = finding?.found ?? 0;
      const after = found > 0 ? `\n\nAfter kill -9: ${number(found)} acknowledged entries looked for, all found.` : '';
      return `**${id}** ${title}\n\n${table([...header, ...rows])}${after}`;
    })
    .join('\n\n');
}

/** Machine, ratios, figures, what failed, and what was not measured. */
export function markdownText(report: Report): string {
  const missing = skipped(report).map((reason) => `\n\nNot measured, ${reason}.`);
  return `${headText(report)}\n\n${ratioTable(report)}${missing.join('')}\n\n${figureTables(report)}\n`;
}
