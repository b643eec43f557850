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
import { type CheckLine, compare, verdict } from "../../cli/plan_check.ts";
import {
  findGpu,
  GPU_NAMES,
  type Machine,
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

const MADE = {
  ...{ name: "made up", memoryBytes: Infinity, bytesPerSecond: 4e10, opsPerSecond: 3e11 },
  ...{ launchSeconds: 0, opsPerProduct: 2 },
};
const ROWS = [1, 2, 4, 8, 16];
const CHECKED = { ...workOf("smollm2-360m"), levels: 0, beamWidth: 0, context: 64 };
const secondsOf = (machine: Machine, rows: number) =>
  targetSeconds(machine, { ...CHECKED, sequences: rows, tree: 1 });

Deno.test("a machine is found again from its steps, however many", async (t) => {
  for (const rows of [[1, 16], [1, 2], ROWS]) {
    await t.step(rows.join(", "), () => {
      const steps = rows.map((rows) => ({ rows, seconds: secondsOf(MADE, rows) }));
      const found = machineOf("found", CHECKED, steps);
      assert(Math.abs(found.bytesPerSecond / MADE.bytesPerSecond - 1) < 1e-6);
      assert(Math.abs(found.opsPerSecond / MADE.opsPerSecond - 1) < 1e-6);
    });
  }
  const twice = [1, 2].map((seconds) => ({ rows: 4, seconds }));
  assert.throws(() => machineOf("none", CHECKED, twice), /two numbers of rows/);
});

Deno.test("one disturbed step moves no prediction of another by more than a fifth", async (t) => {
  for (const disturbed of ROWS) {
    await t.step(`${disturbed} rows took 1.8 times as long`, () => {
      const steps = ROWS.map((rows) => ({
        rows,
        seconds: secondsOf(MADE, rows) * (rows === disturbed ? 1.8 : 1),
      }));
      const found = machineOf("found", CHECKED, steps);
      for (const rows of ROWS) {
        const error = secondsOf(found, rows) / secondsOf(MADE, rows) - 1;
        assert(Math.abs(error) < 0.2, `${rows} rows: ${error}`);
      }
    });
  }
});

Deno.test("steps that no machine explains give one rate, never less than nothing", () => {
  const flat = ROWS.map((rows) => ({ rows, seconds: 2e-3 / rows })); // The more rows the quicker.
  const memory = machineOf("flat", CHECKED, flat);
  assert(memory.bytesPerSecond > 0 && memory.opsPerSecond === Infinity);
  const steep = ROWS.map((rows) => ({ rows, seconds: 1e-3 * rows ** 1.5 }));
  const compute = machineOf("steep", CHECKED, steep);
  assert(compute.opsPerSecond > 0 && compute.bytesPerSecond === Infinity);
  for (const machine of [memory, compute]) assert(secondsOf(machine, 4) > 0);
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

Deno.test("the check's verdict says whether it failed, and what to look at", () => {
  assert.equal(verdict(0.25), "worst 25.0 %, at most 25 %: passed");
  assert.equal(verdict(0.44), "worst 44.0 %, at most 25 %: failed; was the machine idle?");
});

Deno.test("redraft plan takes the names of shapes and GPUs in capitals too", async () => {
  for (const { name } of SHAPES) assert.equal(findShape(name.toUpperCase()).name, name);
  for (const name of GPU_NAMES) assert.equal(findGpu(name.toUpperCase(), 1, 2).name, name);
  const plan = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", join(ROOT, "mod.ts"), "plan", "--json", ...args],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout));
  };
  const small = await plan("--model=7b", "--gpu=h100");
  assert.deepEqual([small.model, small.gpu], ["7b", "h100"]);
  assert.deepEqual(await plan("--model=7B", "--gpu=H100"), small);
});

Deno.test("redraft plan counts one sequence as one", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      join(ROOT, "mod.ts"),
      "plan",
      "--model=70b",
      "--gpu=h100",
      "--context=65536",
    ],
  }).output();
  assert.match(new TextDecoder().decode(stdout), /: 1 sequence of 65536 tokens fits$/m);
});

Deno.test("redraft plan names the option that is wrong", async (t) => {
  const cases: Array<[string[], RegExp, number]> = [
    [["--model=7b"], /'--gpu' is missing/, 2],
    [["--model=8b", "--gpu=h100"], /'--model' must be one of .*7b.*not "8b"/, 2],
    [["--model=7b", "--gpu=h1"], /'--gpu' must be one of .*h100.*not "h1"/, 2],
    [["--model=7b", "--gpu=H1"], /'--gpu' must be one of l4, l40s, .*b200, not "H1"/, 2],
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
  const last = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
  assert.equal(last, verdict(worst_error));
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
