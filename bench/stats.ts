/** Statistics of paired runs. Pure. @module */

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** @param share 0.5 is the median. Linear between the two nearest values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Of the straight line that is nearest to `points` by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  let covariance = 0, variance = 0;
  for (const point of points) {
    covariance += (point[0] - x) * (point[1] - y);
    variance += (point[0] - x) ** 2;
  }
  return covariance / variance;
}

/** Uniform in [0, 1) from a seed: an interval that is printed must come out again (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Interval {
  low: number;
  high: number;
}

/** 95 % interval of `estimate` over resamples of `units`; what belongs to one unit (both sides of a
 * pair) stays together.
 * @param random Uniform in [0, 1). */
export function bootstrap<T>(
  units: readonly T[],
  estimate: (sample: readonly T[]) => number,
  random: () => number,
  resamples = 2000,
): Interval {
  if (units.length === 0) return { low: NaN, high: NaN };
  const estimates = Array.from(
    { length: resamples },
    () => estimate(units.map(() => units[Math.floor(random() * units.length)])),
  );
  return { low: quantile(estimates, 0.025), high: quantile(estimates, 0.975) };
}

/** A median and its interval over rounds, by the names that figures have. */
export function medianFigures<N extends string>(name: N, values: readonly number[]) {
  const { low, high } = bootstrap(values, median, seededRandom(1));
  return {
    [name]: round4(median(values)),
    [`${name}_low`]: round4(low),
    [`${name}_high`]: round4(high),
  };
}

const LOOP_GRAM = 20;
const LOOP_REPEATS_MAX = 4;

/** Whether some 20 tokens in a row come more than four times: such text flatters every drafter. */
export function isLooping(tokens: readonly number[]): boolean {
  const counts = new Map<string, number>();
  for (let start = 0; start + LOOP_GRAM <= tokens.length; ++start) {
    const gram = tokens.slice(start, start + LOOP_GRAM).join(",");
    const count = (counts.get(gram) ?? 0) + 1;
    if (count > LOOP_REPEATS_MAX) return true;
    counts.set(gram, count);
  }
  return false;
}

/** Positions at which two token lists differ; tokens that only one has count too. */
export function countDiffering(a: readonly number[], b: readonly number[]): number {
  let count = Math.abs(a.length - b.length);
  for (let i = 0; i < Math.min(a.length, b.length); ++i) if (a[i] !== b[i]) ++count;
  return count;
}

/** Rounds for people: four significant digits. */
export function round4(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value;
}
