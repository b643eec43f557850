import assert from "node:assert/strict";
import { NodeSimulation, type SimulationReport } from "./node_simulation.ts";

const SEEDS = 200;
const STEPS = 120;

/** One seed, named where it fails: `REDRAFT_SEED=n deno test -A tests/simulation` runs it alone. */
function simulate(seed: number): SimulationReport {
  try {
    return new NodeSimulation(seed).run(STEPS);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}: ${reason}`, { cause });
  }
}

Deno.test("a node keeps its invariants and its promises, whatever its clients do", () => {
  const state = Deno.permissions.querySync({ name: "env", variable: "REDRAFT_SEED" }).state;
  const one = state === "granted" ? Deno.env.get("REDRAFT_SEED") : undefined;
  if (one !== undefined) return void simulate(Number(one));
  const ends: Record<string, number> = {};
  const sums = { preemptions: 0, prefixHits: 0, accepted: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = simulate(seed);
    for (const [name, count] of Object.entries(report.ends)) {
      ends[name] = (ends[name] ?? 0) + count;
    }
    sums.preemptions += report.preemptions;
    sums.prefixHits += report.prefixHits;
    sums.accepted += report.accepted;
  }
  // A simulation in which something never happens proves nothing about it.
  const expected = ["bad_request", "cancelled", "context_overflow", "deadline", "draining"];
  assert.deepEqual(
    Object.keys(ends).sort(),
    [...expected, "engine", "length", "queue_full", "stop"],
  );
  for (const [name, count] of Object.entries(sums)) assert(count > 0, `${name} happened`);
});
