/** The CUDA tasks refuse what they do not know, by name and before they build anything. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runProcess } from "../../tools/process.ts";
import { ROOT } from "../support/source_files.ts";

const REFUSED: Array<[task: string, args: string[], words: RegExp]> = [
  ["build:cuda", ["--reprot"], /^Unknown option '--reprot'/],
  ["build:cuda", ["--json"], /^Option '--json' goes with --report/],
  ["build:cuda", ["sm_90a"], /^Unexpected argument "sm_90a"/],
  ["verify:cuda", ["--gatway"], /^Unknown option '--gatway'/],
  ["verify:cuda", ["--tokens"], /^Option '--tokens/],
  ["verify:cuda", ["--tokens", "0"], /^Option '--tokens' must be a whole number from 1 to /],
  ["verify:cuda", ["--prompts=21"], /^Option '--prompts' must be a whole number from 1 to 20/],
  ["verify:cuda", ["--gateway", "--prompts=2"], /^Option '--prompts' does not go with --gateway/],
  ["test:gpu", ["--only=x"], /^Unknown option '--only'/],
  ["test:ptx", ["engine"], /^Unexpected argument "engine"/],
];

Deno.test("the CUDA tasks name an option that they do not know", async (t) => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  for (const [task, args, words] of REFUSED) {
    await t.step(`${task} ${args.join(" ")}`, async () => {
      const [, ...program] = (tasks[task] as string).split(" ");
      const { code, stdout, stderr } = await runProcess(Deno.execPath(), [...program, ...args], {
        cwd: ROOT,
        env: { NO_COLOR: "1" },
      });
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, words);
      assert.equal(stderr.trim().split("\n").length, 2, "the fault, and where help is");
    });
  }
});
