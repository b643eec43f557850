/** Official JavaScript clients against a running gateway, streamed and not. @module */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runOrThrow } from "../../tools/process.ts";
import { Served } from "../support/served.ts";

const SCRIPT = fileURLToPath(new URL("javascript_clients.ts", import.meta.url));

Deno.test("JavaScript clients get a chat answer, streamed and not", async (t) => {
  await using served = await Served.start();
  for (const name of ["openai", "openai-responses", "ai-sdk", "langchain"]) {
    await t.step(name, async () => {
      const args = ["run", "-A", "--no-lock", "--no-config", SCRIPT];
      const client = [name, `${served.url}/v1`, served.model];
      const { stdout } = await runOrThrow(Deno.execPath(), [...args, ...client]);
      const [whole, streamed] = JSON.parse(stdout);
      assert.ok(whole.length > 10, whole);
      assert.equal(streamed, whole);
    });
  }
});
