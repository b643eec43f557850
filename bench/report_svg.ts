/** Line and bar charts as SVG text: the same input gives the same bytes. Pure. @module */

export interface Point {
  x: number;
  y: number;
  /** The low end of an interval, drawn as a whisker. */
  low?: number;
}

export interface Series {
  name: string;
  points: Point[];
}

export interface LineChart {
  title: string;
  xLabel: string;
  yLabel: string;
  /** `log`: by doublings, a tick at each point. */
  xScale: "linear" | "log";
  /** A level that is drawn through, as 1 is of a ratio. */
  yMark?: number;
  series: Series[];
}

export interface BarChart {
  title: string;
  xLabel: string;
  xMark?: number;
  /** One value for each of `series`. */
  groups: { name: string; values: number[] }[];
  series: string[];
}

const WIDTH = 720;
const LEFT = 64, RIGHT = 24, TOP = 72, BOTTOM = 56;
const PLOT_HEIGHT = 260;
const BAR = 11, GROUP_GAP = 12, BAR_LEFT = 150;
const TICKS = 5;

/** A panel of its own colour, so that text is readable on whatever page shows it. */
const STYLE = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}
.panel{fill:#fff;stroke:#d1d9e0}.grid{stroke:#d1d9e0}.mark{stroke:#59636e;stroke-dasharray:4 3}
.line{fill:none;stroke-width:2}.c0{stroke:#0550ae;fill:#0550ae}.c1{stroke:#bc4c00;fill:#bc4c00}
.c2{stroke:#116329;fill:#116329}.c3{stroke:#8250df;fill:#8250df}.line{fill:none}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.panel{fill:#0d1117;stroke:#3d444d}
.grid{stroke:#3d444d}.mark{stroke:#9198a1}.c0{stroke:#79c0ff;fill:#79c0ff}
.c1{stroke:#ffa657;fill:#ffa657}.c2{stroke:#56d364;fill:#56d364}.c3{stroke:#d2a8ff;fill:#d2a8ff}
.line{fill:none}}
</style>`;
export const SERIES_MAX = 4;

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
/** Tenths of a pixel: enough for the eye, and no digit that depends on the machine. */
const at = (value: number) => String(Math.round(value * 10) / 10);

/** Round steps from 0 (or below a negative) to at least `max`. */
function ticksTo(max: number): number[] {
  const rough = max / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((step) => step >= rough)!;
  const count = Math.ceil(max / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/** `1.2M`, `300k`, `0.5` */
export function shortNumber(value: number): string {
  const round = (scaled: number) => String(Number(scaled.toPrecision(3)));
  if (Math.abs(value) >= 1e6) return `${round(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${round(value / 1e3)}k`;
  return round(value);
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${at(x)}" y="${at(y)}"${more}>${escape(content)}</text>`;
}

const line = (x1: number, y1: number, x2: number, y2: number, name: string) =>
  `<line class="${name}" x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}"/>`;

const MIDDLE = ' text-anchor="middle"', END = ' text-anchor="end"';

/** What the title says of a single series need not be said again. */
function legend(names: readonly string[]): string[] {
  if (names.length < 2) return [];
  let x = LEFT;
  return names.flatMap((name, index) => {
    const parts = [
      `<rect class="c${index}" x="${at(x)}" y="42" width="12" height="12"/>`,
      text(x + 18, 53, name),
    ];
    x += 34 + name.length * 7.2;
    return parts;
  });
}

function page(height: number, title: string, names: readonly string[], parts: string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
    `width="${WIDTH}" height="${height}" role="img" aria-label="${
      escape(title).replaceAll('"', "&quot;")
    }">`;
  const panel = `<rect class="panel" x="0.5" y="0.5" width="${WIDTH - 1}" height="${
    height - 1
  }" rx="6"/>`;
  const drawn = [panel, text(LEFT, 28, title, ' class="title"'), ...legend(names), ...parts];
  return [head, STYLE, ...drawn, "</svg>", ""].join("\n");
}

function refuseMany(names: readonly string[]): void {
  if (names.length > SERIES_MAX) {
    throw new RangeError(`Cannot plot ${names.length} series: at most ${SERIES_MAX}`);
  }
}

/** Shape and colour both tell series apart. */
function marker(x: number, y: number, index: number): string {
  if (index % 2 === 0) return `<circle class="c${index}" cx="${at(x)}" cy="${at(y)}" r="3.5"/>`;
  return `<rect class="c${index}" x="${at(x - 3.5)}" y="${at(y - 3.5)}" width="7" height="7"/>`;
}

/** @throws {RangeError} If there is no point, or there are more series than colours. */
export function lineChart(chart: LineChart): string {
  const names = chart.series.map((series) => series.name);
  refuseMany(names);
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) throw new RangeError(`Cannot plot ${chart.title}: no points`);
  const scale = chart.xScale === "log" ? Math.log2 : (x: number) => x;
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const yTicks = ticksTo(Math.max(chart.yMark ?? 0, ...points.map((point) => point.y)) || 1);
  const xTicks = chart.xScale === "log" ? xs : ticksTo(xs.at(-1)! || 1);
  const [xLow, xHigh] = [scale(xTicks[0]), scale(xTicks.at(-1)!)];
  const bottom = TOP + PLOT_HEIGHT, right = WIDTH - RIGHT;
  const yMiddle = TOP + PLOT_HEIGHT / 2;
  const xAt = (x: number) => LEFT + (scale(x) - xLow) / ((xHigh - xLow) || 1) * (right - LEFT);
  const yAt = (y: number) => bottom - y / yTicks.at(-1)! * PLOT_HEIGHT;
  const parts = [
    ...yTicks.flatMap((y) => [
      line(LEFT, yAt(y), right, yAt(y), "grid"),
      text(LEFT - 8, yAt(y) + 4, shortNumber(y), END),
    ]),
    ...xTicks.map((x) => text(xAt(x), bottom + 20, shortNumber(x), MIDDLE)),
    text((LEFT + right) / 2, bottom + 44, chart.xLabel, MIDDLE),
    text(18, yMiddle, chart.yLabel, `${MIDDLE} transform="rotate(-90 18 ${at(yMiddle)})"`),
  ];
  if (chart.yMark !== undefined) {
    parts.push(line(LEFT, yAt(chart.yMark), right, yAt(chart.yMark), "mark"));
  }
  for (const [index, series] of chart.series.entries()) {
    const drawn = [...series.points].sort((a, b) => a.x - b.x);
    const path = drawn.map(({ x, y }) => `${at(xAt(x))},${at(yAt(y))}`).join(" ");
    parts.push(`<polyline class="c${index} line" points="${path}"/>`);
    for (const { x, y, low } of drawn) {
      if (low !== undefined) parts.push(line(xAt(x), yAt(y), xAt(x), yAt(low), `c${index}`));
      parts.push(marker(xAt(x), yAt(y), index));
    }
  }
  return page(bottom + BOTTOM, chart.title, names, parts);
}

/** Groups of horizontal bars, one of each series, with their values beside them.
 * @throws {RangeError} If there is no group, or there are more series than colours. */
export function barChart({ title, xLabel, xMark, groups, series }: BarChart): string {
  refuseMany(series);
  if (groups.length === 0) throw new RangeError(`Cannot plot ${title}: no groups`);
  const groupHeight = series.length * BAR + GROUP_GAP;
  const bottom = TOP + groups.length * groupHeight, right = WIDTH - RIGHT - 40;
  const ticks = ticksTo(Math.max(xMark ?? 0, ...groups.flatMap((group) => group.values)) || 1);
  const xAt = (x: number) => BAR_LEFT + x / ticks.at(-1)! * (right - BAR_LEFT);
  const parts = ticks.flatMap((x) => [
    line(xAt(x), TOP - 6, xAt(x), bottom, "grid"),
    text(xAt(x), bottom + 20, shortNumber(x), MIDDLE),
  ]);
  for (const [row, { name, values }] of groups.entries()) {
    const top = TOP + row * groupHeight;
    parts.push(text(BAR_LEFT - 10, top + series.length * BAR / 2 + 5, name, END));
    for (const [index, value] of values.entries()) {
      const y = top + index * BAR;
      const width = at(xAt(value) - BAR_LEFT);
      const box = `x="${BAR_LEFT}" y="${at(y)}" width="${width}" height="${BAR - 2}"`;
      parts.push(`<rect class="c${index}" ${box}/>`);
      parts.push(text(xAt(value) + 5, y + 9, value.toFixed(2), ' style="font-size:11px"'));
    }
  }
  if (xMark !== undefined) parts.push(line(xAt(xMark), TOP - 6, xAt(xMark), bottom, "mark"));
  parts.push(text((BAR_LEFT + right) / 2, bottom + 44, xLabel, MIDDLE));
  return page(bottom + BOTTOM, title, series, parts);
}
