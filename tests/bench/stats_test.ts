import assert from "node:assert/strict";
import {
  bootstrap,
  countDiffering,
  isLooping,
  mean,
  median,
  quantile,
  seededRandom,
  slope,
} from "../../bench/stats.ts";

Deno.test("slope() is that of the nearest line", () => {
  assert.ok(Math.abs(slope([[0, 1], [1, 3], [2, 5]]) - 2) < 1e-12);
  assert.ok(Math.abs(slope([[0, 1], [1, 0], [2, 1], [3, 0]]) + 0.2) < 1e-12);
});

Deno.test("quantile() is linear between neighbours", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([10, 20], 0.25), 12.5);
  assert.equal(quantile([5], 0.99), 5);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

Deno.test("bootstrap() covers the truth about as often as it says, and repeats itself", () => {
  const random = seededRandom(7);
  let covered = 0;
  const trials = 200;
  for (let trial = 0; trial < trials; ++trial) {
    // A sum of twelve uniforms is close enough to a normal distribution around 0.
    const draw = () => Array.from({ length: 12 }, random).reduce((a, b) => a + b) - 6;
    const sample = Array.from({ length: 40 }, draw);
    const { low, high } = bootstrap(sample, mean, random, 300);
    if (low <= 0 && 0 <= high) ++covered;
  }
  assert.ok(covered / trials > 0.88 && covered / trials <= 1, `${covered} of ${trials}`);
  const once = () => bootstrap([1, 2, 3, 4], mean, seededRandom(1));
  assert.deepEqual(once(), once());
});

Deno.test("isLooping() finds a 20-gram that comes more than four times", () => {
  const phrase = Array.from({ length: 20 }, (_, index) => index);
  const repeated = (times: number) => Array.from({ length: times }, () => phrase).flat();
  assert.equal(isLooping(repeated(4)), false);
  assert.equal(isLooping(repeated(5)), true);
  assert.equal(isLooping(Array.from({ length: 500 }, (_, index) => index)), false);
  assert.equal(isLooping([]), false);
});

Deno.test("countDiffering() counts tokens that only one side has", () => {
  assert.equal(countDiffering([1, 2, 3], [1, 2, 3]), 0);
  assert.equal(countDiffering([1, 2, 3], [1, 9]), 2);
  assert.equal(countDiffering([], [1, 2]), 2);
});
