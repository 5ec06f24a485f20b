/** The absolute figures of a scenario as rows and columns: a row for each subject and condition, a column for each figure. */
import type { Series } from '../scenario.ts';
import { figure, number } from './format.ts';
import { summarize } from './statistics.ts';

/** Medians, with a header. Figures that would leave most of a table empty get a line each instead. */
export function figureRows(series: readonly Series[]): string[][] {
  const rowName = ({ under, subject }: Series): string => (under === undefined ? subject : `${under}: ${subject}`);
  const columnName = ({ figure: name, unit }: Series): string => `${name} ${unit}`.trim();
  const names = [...new Set(series.map(rowName))];
  const columns = [...new Set(series.map(columnName))];
  if (names.length * columns.length > 2 * series.length) {
    return series.map((one) => [`${rowName(one)}, ${one.figure}`, figure(summarize(one.values).median, one.unit)]);
  }
  const cell = (name: string, column: string): string => {
    const found = series.find((one) => rowName(one) === name && columnName(one) === column);
    return found === undefined ? '' : number(summarize(found.values).median);
  };
  return [['', ...columns], ...names.map((name) => [name, ...columns.map((column) => cell(name, column))])];
}
