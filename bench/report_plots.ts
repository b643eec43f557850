/** Which chart each bench's figures make. Pure. @module */
import { type BenchRecord, entriesAt, type Figures, numberAt } from "./report_record.ts";
import { barChart, lineChart, type Series } from "./report_svg.ts";

export interface Plot {
  svg: string;
  /** What who cannot see it reads. */
  alt: string;
}

const numbers = (figures: Figures, name: string) =>
  entriesAt(figures, name).map(([key]) => ({ x: Number(key), y: numberAt(figures, name, key) }));

/** Rates of so many sequences together as the cost of their step over a step of one. */
function costOfRates(peer: Figures): { x: number; y: number }[] {
  const one = numberAt(peer, "batch_tokens_per_second", "1");
  return numbers(peer, "batch_tokens_per_second").map(({ x, y }) => ({ x, y: x * one / y }));
}

function stepCost(figures: Figures): Plot {
  const series: Series[] = [{ name: "Redraft", points: numbers(figures, "step_cost") }];
  const peer = figures.peer as Figures | undefined;
  if (peer) series.push({ name: String(peer.name), points: costOfRates(peer) });
  const title = "Cost of a step by its rows, over a step of one row";
  const svg = lineChart({
    title,
    xLabel: "rows",
    yLabel: "steps of one row",
    xScale: "log",
    yMark: 1,
    series,
  });
  return { svg, alt: title };
}

function byCategory(figures: Figures): Plot {
  const title = "Tokens per step and speed-up over plain decoding, by kind of prompt";
  const groups = entriesAt(figures, "by_category").map(([name, own]) => ({
    name,
    values: [numberAt(own, "tokens_per_step"), numberAt(own, "speedup")],
  }));
  const svg = barChart({
    title,
    xLabel: "plain decoding = 1",
    xMark: 1,
    groups,
    series: ["tokens per step", "speed-up"],
  });
  return { svg, alt: title };
}

function ratioBySequences(figures: Figures): Plot {
  const points = entriesAt(figures, "sequences").map(([key, own]) => ({
    x: Number(key),
    y: numberAt(own, "ratio"),
    low: numberAt(own, "ratio_low"),
  }));
  const title = "Tokens per second with speculation, over without, by sequences at once";
  const svg = lineChart({
    title,
    xLabel: "sequences at once (whisker: low end of the 95 % interval)",
    yLabel: "on / off",
    xScale: "log",
    yMark: 1,
    series: [{ name: "on / off", points }],
  });
  return { svg, alt: title };
}

const PLOTS: Readonly<Record<string, (figures: Figures) => Plot>> = {
  engine: stepCost,
  spec: byCategory,
  serve: ratioBySequences,
};

/** The chart of a record, or `null` where tables say it all. */
export function plotOf({ bench, figures }: BenchRecord): Plot | null {
  return Object.hasOwn(PLOTS, bench) ? PLOTS[bench](figures) : null;
}

/** The learning curve of the draft head.
 * @param text JSON `{"series": [{"name", "points": [{"tokens", "tokens_per_step"}]}]}`.
 * @param where Named in errors.
 * @throws {TypeError} If it is not of that shape. */
export function learningCurve(text: string, where: string): string {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Cannot plot ${where}: ${(error as Error).message}`);
  }
  if (!Array.isArray(value?.series) || value.series.length === 0) {
    throw new TypeError(`Cannot plot ${where}: "series" must be a list that is not empty`);
  }
  const series = value.series.map(({ name, points }: { name: string; points: Figures[] }) => ({
    name: String(name),
    points: [...points].map((point) => ({
      x: numberAt(point, "tokens"),
      y: numberAt(point, "tokens_per_step"),
    })),
  }));
  return lineChart({
    title: "Tokens per step by the draft head's training data",
    xLabel: "answer tokens trained on",
    yLabel: "tokens per step",
    xScale: "log",
    series,
  });
}
