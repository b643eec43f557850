import assert from "node:assert/strict";
import { Histogram } from "../../gpu-node/histogram.ts";

Deno.test("a histogram's buckets are cumulative and include their bound", () => {
  const histogram = new Histogram([1, 2]);
  histogram.observe(1);
  histogram.observe(1.5, 2);
  histogram.observe(9);
  assert.deepEqual(histogram.lines("t", 'm="a"'), [
    't_bucket{m="a",le="1"} 1',
    't_bucket{m="a",le="2"} 3',
    't_bucket{m="a",le="+Inf"} 4',
    't_sum{m="a"} 13',
    't_count{m="a"} 4',
  ]);
});
