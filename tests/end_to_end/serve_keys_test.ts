/** `redraft serve` with API keys: it starts, says what to try, and lets in who has the key. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runPiped } from "../support/command.ts";
import { ROOT } from "../support/source_files.ts";

const KEY = "sk-serve-0123456789";
const START_MS_MAX = 180_000;

/** What it prints up to its last line. */
async function announcementOf(process: Deno.ChildProcess): Promise<string> {
  let text = "";
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!text.includes("task chat")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`serve ended: ${text}`);
    text += value;
  }
  reader.cancel();
  return text;
}

Deno.test("serve with keys says how to use them, and asks for them", async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "mod.ts"), "serve", "--port=0", "--no-playground"],
    env: { REDRAFT_API_KEYS: KEY },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => process.kill("SIGKILL"), START_MS_MAX);
  try {
    const words = await announcementOf(process);
    assert.match(words, /-H 'authorization: Bearer KEY'/);
    assert.match(words, /REDRAFT_API_KEY=KEY npx .* task chat/);
    assert.doesNotMatch(words, /playground|undefined/);
    const url = /at (http:\S+)\/v1\./.exec(words)![1]!;
    const page = await fetch(url);
    await page.body?.cancel();
    assert.equal(page.status, 404);
    const args = ["chat", "--url", url, "--max-tokens", "4"];
    const denied = await runPiped(args, "Hi\n");
    assert.match(denied.stderr, /HTTP 401/);
    const answer = await runPiped(args, "Hi\n", { REDRAFT_API_KEY: KEY });
    assert.equal(answer.stderr, "");
    assert.match(answer.stdout, /\n4 tokens, /);
  } finally {
    process.kill("SIGTERM");
    await process.status;
    clearTimeout(timer);
  }
});
