import assert from "node:assert/strict";
import { join } from "node:path";
import { keptAcceptance } from "../../bench/gpu_acceptance.ts";
import {
  findShape,
  headShapeOf,
  kvBytesPerToken,
  parameterCount,
  SHAPES,
} from "../../bench/gpu_shapes.ts";
import { planLine } from "../../cli/plan.ts";
import { type CheckLine, compare } from "../../cli/plan_check.ts";
import {
  findGpu,
  GPU_NAMES,
  machineOf,
  sequencesThatFit,
  targetSeconds,
} from "../../cli/plan_roofline.ts";
import { ROOT } from "../support/source_files.ts";

const workOf = (name: string) => {
  const model = findShape(name);
  return { model, head: headShapeOf(model), bits: 4 as const, context: 1024 };
};

Deno.test("shapes have the parameters that their names say", () => {
  const millions = { "smollm2-135m": 134.5, "7b": 6738, "llama3-8b": 8030, "13b": 13016 };
  for (const [name, count] of Object.entries(millions)) {
    assert(Math.abs(parameterCount(findShape(name)) / 1e6 / count - 1) < 0.01, name);
  }
  assert.equal(kvBytesPerToken(findShape("smollm2-135m")), 23040); // As the engine says.
});

Deno.test("a plan's figures hang together, for every shape on every GPU", async () => {
  const { tokens_per_step: gained } = await keptAcceptance();
  for (const { name } of SHAPES) {
    for (const gpu of GPU_NAMES) {
      const work = workOf(name);
      const machine = findGpu(gpu, 1, 2);
      const fit = sequencesThatFit(machine, work);
      if (fit === 0) continue;
      const lines = [1, fit].map((count) =>
        planLine(machine, { ...work, sequences: count }, gained, 2)
      );
      for (const line of lines) {
        assert(line.speedup >= 1 && line.speedup <= gained[64], `${name} on ${gpu}`);
        const hours = 1e6 / line.tokens_per_second / 3600;
        assert(Math.abs(line.cost_per_million! - 2 * hours) < 1e-9 * hours);
      }
      assert(lines[1].tokens_per_second >= lines[0].tokens_per_second);
      assert(lines[1].tree <= lines[0].tree, "the fuller the batch, the smaller the tree");
      // Reading the weights alone is a bound that no plan may beat.
      const least = parameterCount(work.model) * 0.6 / machine.bytesPerSecond;
      assert(lines[0].step_ms / 1e3 > least * (work.model.tied ? 1 : 0.9));
    }
  }
});

Deno.test("a machine is found again from two of its steps", () => {
  const work = { ...workOf("tinyllama-1.1b"), levels: 0, beamWidth: 0 };
  const made = {
    ...{ name: "made up", memoryBytes: Infinity, bytesPerSecond: 4e10, opsPerSecond: 3e11 },
    ...{ launchSeconds: 0, opsPerProduct: 2 },
  };
  // Without context or logits rows cost no bytes, as the inversion takes it.
  const bare = { ...work, context: 0, model: { ...work.model, vocab: 0 } };
  const at = (rows: number) => ({
    rows,
    seconds: targetSeconds(made, { ...bare, sequences: rows, tree: 1 }),
  });
  const found = machineOf("found", bare, at(1), at(16));
  assert(Math.abs(found.bytesPerSecond / made.bytesPerSecond - 1) < 1e-6);
  assert(Math.abs(found.opsPerSecond / made.opsPerSecond - 1) < 1e-6);
});

Deno.test("the check tells a prediction that is off", () => {
  const calibration = new Map([[1, 1.7e-3], [2, 2e-3], [4, 3e-3], [8, 5.5e-3], [16, 10.5e-3]]);
  const { lines } = compare(calibration, calibration);
  const exact = new Map(lines.map(({ rows, predicted_ms }) => [rows, predicted_ms / 1e3]));
  for (const { error } of compare(calibration, exact).lines) assert(Math.abs(error) < 1e-9);
  const slower = new Map([...exact].map(([rows, seconds]) => [rows, 1.5 * seconds]));
  for (const { error } of compare(calibration, slower).lines) {
    assert(Math.abs(error + 1 / 3) < 1e-9);
  }
});

Deno.test("redraft plan names the option that is wrong", async (t) => {
  const cases: Array<[string[], RegExp, number]> = [
    [["--model=7b"], /'--gpu' is missing/, 2],
    [["--model=8b", "--gpu=h100"], /'--model' must be one of .*7b.*not "8b"/, 2],
    [["--model=7b", "--gpu=h1"], /'--gpu' must be one of .*h100.*not "h1"/, 2],
    [["--model=7b", "--gpu=h100", "--bits=5"], /'--bits' must be 4 or 8/, 2],
    [["--model=7b", "--gpu=h100", "--context=0"], /'--context' must be/, 2],
    [["--model=70b", "--gpu=l4"], /70b in 4 bits takes 43\.1 GB.*l4 has 24 GB/, 1],
  ];
  for (const [args, words, status] of cases) {
    await t.step(args.join(" "), async () => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", join(ROOT, "mod.ts"), "plan", ...args],
        env: { NO_COLOR: "1" },
      }).output();
      assert.match(new TextDecoder().decode(stderr), words);
      assert.equal(code, status);
    });
  }
});

Deno.test("plan --check measures this machine, and its status tells what it found", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "mod.ts"), "plan", "--check", "--rounds=1", "--json"],
    env: { NO_COLOR: "1" },
  }).output();
  const words = new TextDecoder().decode(stdout);
  assert(words.startsWith("{"), new TextDecoder().decode(stderr));
  const { worst_error, lines } = JSON.parse(words);
  assert.deepEqual(lines.map(({ rows }: CheckLine) => rows), [1, 2, 4, 8, 16]);
  for (const { predicted_ms, measured_ms, error } of lines as CheckLine[]) {
    assert(predicted_ms > 0 && measured_ms > 0, words);
    assert(Math.abs(predicted_ms / measured_ms - 1 - error) < 1e-9);
    assert(Math.abs(error) <= worst_error);
  }
  // One round beside other work says nothing of the 25 %; forty on an idle machine do.
  assert.equal(code, worst_error <= 0.25 ? 0 : 1);
});

Deno.test("plan --check takes no other option's place", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "mod.ts"), "plan", "--check", "--gpu", "h100"],
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /'--gpu' does not go with --check/);
});
