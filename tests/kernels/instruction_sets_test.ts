/** The engine on each instruction set that this machine runs, for what is chosen at run time must
 * be right where it is not the best, too.
 * @module */
import assert from "node:assert/strict";
import { buildKernels } from "../../tools/build_kernels.ts";
import { runProcess } from "../../tools/process.ts";

const run = (binary: string, isa: string) => runProcess(binary, [], { env: { REDRAFT_ISA: isa } });

Deno.test("the engine passes its tests on each instruction set", async (t) => {
  const { tests } = await buildKernels({ tests: true, only: "kernels/engine/engine_" });
  assert.ok(tests.length >= 3, tests.join());
  const refused = await run(tests[0]!, "none");
  const machine = /none of (.+)/.exec(refused.stdout + refused.stderr)![1]!.trim().split(", ");
  for (const isa of machine) {
    for (const binary of tests) {
      const name = `${binary.slice(binary.lastIndexOf("/") + 1)} on ${isa}`;
      const { code, stdout, stderr } = await run(binary, isa);
      if (/which this machine does not run|asks for tile registers/.test(stderr + stdout)) {
        assert.notEqual(code, 0, `${name} fails where it cannot run`);
        assert.notEqual(isa, "portable");
        continue;
      }
      await t.step(name, () => {
        assert.equal(code, 0, stdout + stderr);
        assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m);
      });
    }
  }
});
