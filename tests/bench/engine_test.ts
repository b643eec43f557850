/** `bench engine` as its readers run it, with fewer rounds. */
import assert from "node:assert/strict";
import { runOrThrow } from "../../tools/process.ts";
import { shownWords } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";

Deno.test("bench engine reports the speed of prompts, of decoding and of steps", async () => {
  const line = "npx -y deno@2.9.6 task bench engine --json";
  const { program, args } = await shownWords("CONTRIBUTING.md", line);
  const { stdout } = await runOrThrow(program, [...args, "--rounds=1"], { cwd: ROOT });
  const report = JSON.parse(stdout);
  assert.ok(report.prompt_tokens_per_second > report.decode_tokens_per_second, stdout);
  assert.ok(report.decode_tokens_per_second > 1, stdout);
});
