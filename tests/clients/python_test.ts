/** Official Python clients against a running gateway, streamed and not. @module */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Progress } from "../../tools/progress.ts";
import { runOrThrow } from "../../tools/process.ts";
import { ensurePackages, findPython } from "../../tools/python_packages.ts";
import { Served } from "../support/served.ts";

/** Each in a folder of its own: LangChain wants an older openai than the newest. */
const PACKAGES = { openai: "openai==3.54.0", langchain: "langchain-openai==1.7.3" };
const CLIENTS = [
  ["openai", "openai"],
  ["openai-responses", "openai"],
  ["langchain", "langchain"],
] as const;
const SCRIPT = fileURLToPath(new URL("python_clients.py", import.meta.url));

Deno.test("Python clients get a chat answer, streamed and not", async (t) => {
  await using served = await Served.start();
  for (const [name, library] of CLIENTS) {
    await t.step(name, async () => {
      const progress = new Progress(`Python client ${name}`);
      const requirement = PACKAGES[library];
      const PYTHONPATH = await ensurePackages(`client-${library}`, [requirement], { progress });
      const args = [SCRIPT, name, `${served.url}/v1`, served.model];
      const { stdout } = await runOrThrow(await findPython(), args, { env: { PYTHONPATH } });
      const [whole, streamed] = JSON.parse(stdout);
      assert.ok(whole.length > 10, whole);
      assert.equal(streamed, whole);
    });
  }
});
