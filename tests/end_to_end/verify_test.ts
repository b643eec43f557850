/** `redraft verify` and `redraft bench spec` as their users run them, on a few prompts. @module */
import assert from "node:assert/strict";
import { runProcess } from "../../tools/process.ts";
import { shownWords } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";

const PROMPTS = [
  { id: "1", category: "chat", turns: ["Name three rivers.", "Which of them is the longest?"] },
  { id: "2", category: "code", turns: ["Write a Python function that adds two numbers."] },
  { id: "3", category: "chat", turns: ["Write two sentences about the moon and the tides."] },
];

async function withPrompts(test: (file: string) => Promise<void>): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    await Deno.writeTextFile(file, PROMPTS.map((prompt) => JSON.stringify(prompt)).join("\n"));
    await test(file);
  } finally {
    await Deno.remove(file);
  }
}

/** A page's command, on these prompts. */
async function shown(page: string, line: string, file: string, ...more: string[]) {
  const { program, args } = await shownWords(page, line, { "prompts.jsonl": file });
  const ran = await runProcess(program, [...args, ...more], { cwd: ROOT });
  assert.equal(ran.code, 0, ran.stderr + ran.stdout);
  return JSON.parse(ran.stdout);
}

Deno.test("verify finds no token that speculation changes, however it is served", async () => {
  await withPrompts(async (file) => {
    const line = "npx -y deno@2.9.6 task verify --prompts prompts.jsonl --limit 20";
    const report = await shown("CONTRIBUTING.md", line, file, "--max-tokens", "24", "--json");
    assert.equal(report.prompts, 3);
    assert.equal(report.differing_tokens, 0);
    // Four turns, greedy and sampled; the prefix mode runs each twice.
    const modes = Object.entries<{ comparisons: number }>(report.modes);
    for (const [name, { comparisons }] of modes) {
      assert.equal(comparisons, name.includes("prefix") ? 16 : 8, name);
    }
    assert.equal(modes.length, 9);
    assert.ok(report.modes["trees, after prefix hits"].cached_tokens > 0);
  });
});

Deno.test("bench spec reports tokens per step and speed-up, with equal text", async () => {
  await withPrompts(async (file) => {
    const line = "npx -y deno@2.9.6 task bench spec --prompts prompts.jsonl --json";
    const [page, other] = ["docs/heads.md", "CONTRIBUTING.md"];
    assert.deepEqual(await shownWords(page, line), await shownWords(other, line));
    const report = await shown(page, line, file, "--max-tokens", "24");
    assert.equal(report.differing_tokens, 0);
    assert.ok(report.tokens_per_step > 1, `${report.tokens_per_step} tokens per step`);
    assert.ok(report.speedup_low <= report.speedup && report.speedup <= report.speedup_high);
    assert.deepEqual(Object.keys(report.by_category), ["chat", "code"]);
    assert.ok(report.accepted_by_depth[0] > 0 && report.accepted_by_depth[0] < 1);
  });
});
