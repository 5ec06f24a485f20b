/**
 * The chart: every figure that has a target, in units of it, so that all fit on one axis: right of the line is good enough. A scenario
 * that failed has a line of text, or its figures would look as if nobody had asked for them.
 */
import type { Ratio } from '../scenario.ts';
import { spread, target } from './format.ts';
import { failureLine, type Report, type ScenarioReport } from './report.ts';
import { inMusts, summarize } from './statistics.ts';

const WIDTH = 860;
const LEFT = 24;
const ROW = 44;
const TOP = 64;
/** The axis ends at that many times the target; what is beyond is cut there. */
const END = 4;
const SCALE = (WIDTH - 2 * LEFT) / END;

// An SVG file in a page cannot see the page's colours, so it asks for the reader's preference itself.
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 } .soft { fill: #59636e; font-size: 11px }
  .failed { fill: #cf222e } .back { fill: #ffffff } .track { fill: #eaeef2 } .met { fill: #2da44e } .missed { fill: #cf222e }
  .line { stroke: #1f2328; stroke-width: 1.5 } .must { stroke: #59636e; stroke-dasharray: 3 3 } .aim { stroke: #59636e; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #9198a1 } .back { fill: #0d1117 } .track { fill: #21262d }
    .met { fill: #3fb950 } .missed, .failed { fill: #f85149 } .line { stroke: #e6edf3 } .must, .aim { stroke: #9198a1 }
  }`;

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function x(musts: number): number {
  return Number((LEFT + SCALE * Math.min(END, Math.max(0, musts))).toFixed(1));
}

/** Draws a row whose upper edge is at that height. */
type Row = (y: number) => string;

function failureRow(id: string, failed: string): Row {
  return (y) => `<text class="failed" x="${LEFT}" y="${y + 13}">${escaped(`${id}  ${failureLine(failed)}`)}</text>`;
}

/** Undefined where nothing is asked of the figure. */
function ratioRow(id: string, ratio: Ratio): Row | undefined {
  const { median, min, max } = summarize(ratio.values);
  const musts = inMusts(median, ratio);
  if (musts === undefined) return undefined;
  const [low, high] = [inMusts(min, ratio) ?? 0, inMusts(max, ratio) ?? 0].sort((a, b) => a - b) as [number, number];
  const aim = ratio.aim === undefined ? undefined : inMusts(ratio.aim, ratio);
  return (y) => {
    const bar = y + 20;
    return `<text x="${LEFT}" y="${y + 13}">${escaped(`${id}  ${ratio.text}`)}</text>
<text x="${WIDTH - LEFT}" y="${y + 13}" text-anchor="end">${escaped(spread(ratio.values, ratio.unit ?? '×'))} <tspan class="soft">${escaped(target(ratio))}</tspan></text>
<rect class="track" x="${LEFT}" y="${bar}" width="${WIDTH - 2 * LEFT}" height="10" rx="2"/>
<rect class="${musts >= 1 ? 'met' : 'missed'}" x="${LEFT}" y="${bar}" width="${(x(musts) - LEFT).toFixed(1)}" height="10" rx="2"/>
<line class="line" x1="${x(low)}" y1="${bar + 5}" x2="${x(high)}" y2="${bar + 5}"/>${
      aim === undefined
        ? ''
        : `\n<line class="aim" x1="${x(aim)}" y1="${bar - 2}" x2="${x(aim)}" y2="${bar + 12}"><title>aim</title></line>`
    }`;
  };
}

function rowsOf({ id, finding, failed }: ScenarioReport): Row[] {
  if (failed !== undefined) return [failureRow(id, failed)];
  return (finding?.ratios ?? []).flatMap((ratio) => ratioRow(id, ratio) ?? []);
}

/** An SVG document. Without anything to show it says so. */
export function chart({ scenarios, date, commit, machine }: Report): string {
  const rows = scenarios.flatMap(rowsOf);
  const height = TOP + rows.length * ROW + 28;
  const drawn = rows.map((draw, i) => draw(TOP + i * ROW));
  const bottom = TOP + rows.length * ROW;
  const axis = `<line class="must" x1="${x(1)}" y1="${TOP - 8}" x2="${x(1)}" y2="${bottom}"/>
<text class="soft" x="${x(1)}" y="${bottom + 14}" text-anchor="middle">must</text>
<text class="soft" x="${x(2)}" y="${bottom + 14}" text-anchor="middle">2× better</text>
<text class="soft" x="${x(END)}" y="${bottom + 14}" text-anchor="end">${END}× and more</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Figures of the bench in units of their targets</title>
<style>${STYLE}
</style>
<rect class="back" width="${WIDTH}" height="${height}"/>
<text class="title" x="${LEFT}" y="28">Figures in units of what they must reach</text>
<text class="soft" x="${LEFT}" y="46">${escaped(`${machine.cpu}, ${machine.cores} cores, ${date.slice(0, 10)}, commit ${commit}. Bar: median; line: spread; mark: aim.`)}</text>
${rows.length === 0 ? `<text x="${LEFT}" y="${TOP + 13}">nothing measured has a target</text>` : [...drawn, axis].join('\n')}
</svg>
`;
}
