/** `redraft config check`: what it says of a file that is right. */
import assert from "node:assert/strict";
import { runPiped } from "../support/command.ts";

Deno.test("config check warns of budgets that nothing would keep", async () => {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  const check = async (text: string, env: Record<string, string> = {}) => {
    await Deno.writeTextFile(path, text);
    const { code, stderr } = await runPiped(["config", "check", path], "", env);
    assert.equal(code, 0, stderr);
    return /budget_tokens without a store/.test(stderr);
  };
  const store = "redis://h:6379";
  const keys = `keys: [{ tenant: a, sha256: ${"a".repeat(64)}, budget_tokens: 5 }]\n`;
  try {
    assert.equal(await check(keys), true);
    assert.equal(await check(keys.replace("budget_tokens", "tokens_per_minute")), false);
    assert.equal(await check(`${keys}store: ${store}\n`), false);
    assert.equal(await check(keys, { REDRAFT_STORE: store }), false);
  } finally {
    await Deno.remove(path);
  }
});
