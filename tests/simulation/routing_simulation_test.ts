import assert from "node:assert/strict";
import { quantile, seededRandom } from "../../bench/stats.ts";
import { type Policy, sharedPrefixTrace, simulate } from "./routing_simulation.ts";

const NODES = 3;
const REQUESTS = 1500;

function run(policy: Policy, seed: number, everyMs: number) {
  const trace = sharedPrefixTrace(seededRandom(seed), REQUESTS, everyMs);
  const { firstTokens, hitShare } = simulate(trace, policy, NODES, seededRandom(seed + 1));
  assert.equal(firstTokens.length, REQUESTS, "every request is answered");
  return { p50: quantile(firstTokens, 0.5), p99: quantile(firstTokens, 0.99), hitShare };
}

// Where nodes idle, a cold prompt costs no queue, only its own computation.
for (const [load, everyMs, share] of [["light", 120, 0.8], ["busy", 70, 0.4]] as const) {
  Deno.test(`a shared-prefix trace, ${load}: ours beats routing without prefixes`, () => {
    for (const seed of [1, 2, 3]) {
      const ours = run("ours", seed, everyMs);
      for (const policy of ["random", "round robin", "least load"] as const) {
        const other = run(policy, seed, everyMs);
        const figures = `seed ${seed}: ours ${JSON.stringify(ours)}, ${policy} ` +
          JSON.stringify(other);
        if (Deno.env.get("REDRAFT_SHOW")) console.log(figures);
        assert.ok(ours.p50 <= share * other.p50, figures);
        assert.ok(ours.p99 <= other.p99, figures);
        assert.ok(ours.hitShare > other.hitShare + 0.1, figures);
      }
    }
  });
}

Deno.test("one prefix that everyone asks for still spreads over the fleet", () => {
  const random = seededRandom(5);
  const blocks = BigUint64Array.from({ length: 20 }, (_, i) => BigInt(i + 1));
  // More than one node's slots hold, less than the fleet's.
  const requests = Array.from(
    { length: 1500 },
    (_, i) => ({ at: i * 30, blocks, decodeTokens: 40 }),
  );
  const tail = (policy: Policy) => {
    const { firstTokens } = simulate({ requests }, policy, NODES, random);
    return quantile(firstTokens, 0.98);
  };
  const [ours, least] = [tail("ours"), tail("least load")];
  assert.ok(ours <= 1.5 * least, `${ours} and ${least}`);
});

Deno.test("the simulation is the same again for the same seed", () => {
  assert.deepEqual(run("ours", 9, 100), run("ours", 9, 100));
  assert.notDeepEqual(run("ours", 9, 100), run("ours", 10, 100));
});
