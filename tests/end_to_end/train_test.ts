/** The commands of docs/heads.md and drafter/README.md, small: from training to a server that
 * drafts with the head. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runOrThrow, runProcess } from "../../tools/process.ts";
import { pullModel } from "../../tools/pull_model.ts";
import { shownWords } from "../docs/shown.ts";
import { Served } from "../support/served.ts";
import { ROOT } from "../support/source_files.ts";

/** Enough to pass through every stage, far too little for a head of use. */
const SMALL = ["--tokens=1500", "--magpie=16", "--held=40", "--steps=3", "--windows=4"];
const NARROW = ["--state-size=64", "--mlp-size=64", "--mlp-layers=1", "--draft-vocab=256"];

Deno.test("one command trains a head, and the node drafts with it", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "redraft-train-" });
  const head = join(folder, "head");
  const work = `--work=${join(folder, "work")}`;
  const train = async (...options: string[]) => {
    const model = ["--model", await pullModel()];
    const args = ["run", "-A", "mod.ts", "train", ...model, "--", ...options];
    await runOrThrow(Deno.execPath(), args, { cwd: ROOT });
  };
  try {
    await t.step("train", async () => {
      const line = "npx -y deno@2.9.6 task train --model my-model.gguf -- --out my-head";
      const given = { "my-model.gguf": await pullModel(), "my-head": head };
      const { program, args } = await shownWords("docs/heads.md", line, given);
      await runOrThrow(program, [...args, work, ...SMALL, ...NARROW], { cwd: ROOT });
      assert.match(await Deno.readTextFile(join(head, "CARD.md")), /tokens per step/i);
    });
    await t.step("train on from a head", async () => {
      const more = join(folder, "more");
      await train(work, ...SMALL, "--fresh", `--start-from=${head}`, `--out=${more}`);
      const config = JSON.parse(await Deno.readTextFile(join(more, "config.json")));
      assert.equal(config.state_size, 64, "the shape is that of the head it started from");
    });
    await t.step("what more data brings", async () => {
      const path = join(folder, "curve.json");
      const small = ["--held=40", "--steps=2", "--windows=2", "--draft-vocab=256", "--shares", "1"];
      await train("curve", work, `--out=${path}`, ...small);
      const { series } = JSON.parse(await Deno.readTextFile(path));
      assert.equal(series.length, 3);
      for (const { points: [{ tokens, tokens_per_step: rate }] } of series) {
        assert(tokens > 100 && rate >= 1, `${tokens} tokens, ${rate} a step`);
      }
    });
    await t.step("serve with it", async () => {
      const line = "npx -y deno@2.9.6 task start --model my-model.gguf --head my-head";
      const given = { "my-model.gguf": await pullModel(), "my-head": head };
      const { args } = await shownWords("docs/heads.md", line, given);
      const options = args.slice(args.indexOf("serve") + 1);
      await using served = await Served.start(...options, "--spec", "4,4,8");
      const messages = [{ role: "user", content: "Count from one to twenty." }];
      const body = JSON.stringify({
        model: served.model,
        messages,
        max_tokens: 64,
        temperature: 0,
      });
      const headers = { "content-type": "application/json" };
      const url = `${served.url}/v1/chat/completions`;
      const answer = await (await fetch(url, { method: "POST", headers, body })).json();
      const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } =
        answer.usage.completion_tokens_details;
      assert(accepted + rejected > 0, JSON.stringify(answer.usage));
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a prompt that shall be measured with is refused before anything is made", async () => {
  const folder = await Deno.makeTempDir({ prefix: "redraft-train-" });
  const prompts = join(folder, "prompts.jsonl");
  const excluded = join(folder, "excluded.jsonl");
  try {
    await Deno.writeTextFile(prompts, '{"prompt":"Name a sea."}\n{"prompt":"Name a river."}\n');
    await Deno.writeTextFile(excluded, '{"prompt":"Name a river."}\n');
    const line = "npx -y deno@2.9.6 task train -- --prompts PROMPTS.jsonl " +
      "--exclude EVALUATION.jsonl --out my-head";
    const given = {
      "PROMPTS.jsonl": prompts,
      "EVALUATION.jsonl": excluded,
      "my-head": join(folder, "head"),
    };
    const { program, args } = await shownWords("drafter/README.md", line, given);
    const more = [`--work=${join(folder, "work")}`];
    const { code, stderr } = await runProcess(program, [...args, ...more], { cwd: ROOT });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /Name a river/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
