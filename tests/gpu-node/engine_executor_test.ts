/** The executor engine over the C ABI, with a fake executor in TensorRT-LLM's place. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Engine, SequenceRequest } from "../../gpu-node/engine.ts";
import { openExecutorEngine } from "../../gpu-node/executor_model.ts";
import { generate, GenerationError } from "../../gpu-node/generate.ts";
import { buildFakeExecutor } from "../../tools/build_trtllm.ts";
import { ROOT } from "../support/source_files.ts";
import { closing, endings, ROOMY, truncation } from "./engine_conformance.ts";
import { GREEDY } from "../../proto/sampling.ts";
import { promptTokens, sequenceRequest } from "./requests.ts";

/** The fake takes a prompt that starts with one of the last two tokens for a wish. */
const VOCAB = 99, FAILS = 98, THROWS = 97;
const CONFIG = {
  version: "1.2.1",
  pretrained_config: {
    architecture: "ReDrafterForLLaMALM",
    vocab_size: VOCAB,
    redrafter_num_beams: 4,
    redrafter_draft_len_per_beam: 5,
    redrafter_greedy_search: false,
  },
  build_config: { max_seq_len: ROOMY.contextMax, max_batch_size: 2 },
};
const DESCRIPTION = {
  format: "redraft-trtllm-1",
  model: { name: "fake", architecture: "llama", digest: "00", hidden_size: 64 },
  head_digest: "11",
  tokenizer: { tokens: Array.from({ length: VOCAB }, (_, i) => `t${i}`) },
};

async function writeEngine(folder: string, config: unknown, description: unknown): Promise<void> {
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
  await Deno.writeTextFile(join(folder, "redraft.json"), JSON.stringify(description));
}

async function sameTokens(t: Deno.TestContext, engine: Engine): Promise<void> {
  const requests = Array.from({ length: 6 }, (_, i) =>
    sequenceRequest({
      id: i + 1,
      tokens: promptTokens(10 + i, i + 1),
      tokensMax: 30,
      sampling: { ...GREEDY, temperature: i % 2 ? 0.8 : 0, seedLow: i },
    }));
  const alone: number[][] = [];
  for (const request of requests) alone.push((await generate(engine, request)).tokens);
  await t.step("the same tokens in company, more than it runs at once", async () => {
    const together = await Promise.all(requests.map((request) => generate(engine, request)));
    assert.deepEqual(together.map(({ tokens }) => tokens), alone);
    for (const { finish, steps } of together) {
      assert(finish.stepCount === steps.length && finish.stepCount < 30, "steps gain several");
      assert(finish.acceptedCount === 30 - finish.stepCount && finish.draftedCount > 0);
    }
  });
  await t.step("the same tokens after a greedy one has moved", async () => {
    const [request] = requests;
    const half = await generate(engine, { ...request, tokensMax: 13 });
    const tokens = Uint32Array.of(...request.tokens, ...half.tokens);
    const rest = await generate(engine, { ...request, tokens, generatedCount: 13, tokensMax: 17 });
    assert.deepEqual([...half.tokens, ...rest.tokens], alone[0]);
  });
  await t.step("any stop token ends it, not the first alone", async () => {
    const [{ tokens }] = [await generate(engine, requests[0])];
    const never = Array.from({ length: 97 }, (_, i) => i).find((token) => !tokens.includes(token))!;
    const stopTokens = new Set([never, tokens[9]]);
    const cut = await generate(engine, { ...requests[0], stopTokens });
    assert.deepEqual(cut.tokens, tokens.slice(0, tokens.indexOf(tokens[9])));
    assert.equal(cut.finish.stopToken, tokens[9]);
  });
}

async function refusals(t: Deno.TestContext, engine: Engine): Promise<void> {
  const refused = (changes: Partial<SequenceRequest>, code: string, words: RegExp) =>
    assert.rejects(generate(engine, sequenceRequest({ id: 90, ...changes })), (error) => {
      assert(error instanceof GenerationError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, words);
      return true;
    });
  await t.step("what TensorRT-LLM's ReDrafter does not apply is refused by name", async () => {
    const wishes: Array<[string, Record<string, unknown>]> = [
      ["topK", { topK: 5 }],
      ["topP", { topP: 0.9 }],
      ["minP", { minP: 0.1 }],
      ["repetitionPenalty", { repetitionPenalty: 1.1 }],
      ["presencePenalty", { presencePenalty: 1 }],
      ["frequencyPenalty", { frequencyPenalty: 1 }],
      ["logitBias", { logitBias: [[1, 2]] }],
      ["logprobs", { logprobs: 1 }],
    ];
    for (const [field, change] of wishes) {
      const sampling = { ...GREEDY, ...change };
      await refused({ sampling }, "bad_request", new RegExp(`does not apply ${field}$`));
    }
    await refused({ schema: "{}" }, "bad_request", /does not apply schema/);
  });
  await t.step("the executor's failures and exceptions end one request each", async () => {
    await refused({ tokens: Uint32Array.of(FAILS, 1) }, "engine", /told to fail/);
    await refused({ tokens: Uint32Array.of(THROWS, 1) }, "engine", /told to throw/);
    const { tokens } = await generate(engine, sequenceRequest({ id: 91 }));
    assert.equal(tokens.length, 16);
  });
  await t.step("a deadline passes while it runs", async () => {
    const deadline = performance.now() + 5;
    await refused({ deadline, tokensMax: 200 }, "deadline", /deadline has passed/);
  });
}

async function queue(t: Deno.TestContext, open: () => Promise<Engine>): Promise<void> {
  await t.step("more than the queue holds are refused, and none once it drains", async () => {
    const engine = await open();
    const runs = Array.from(
      { length: 4 },
      (_, i) =>
        generate(engine, sequenceRequest({ id: i + 1, tokensMax: 60 })).catch((error) => error),
    );
    engine.drain();
    const late = await generate(engine, sequenceRequest({ id: 9 })).catch((error) => error);
    assert.equal(late.code, "draining");
    const ended = await Promise.all(runs);
    assert.deepEqual(ended.map((one) => one.code ?? one.tokens.length), [60, 60, 60, "queue_full"]);
    await engine.close();
  });
}

Deno.test({
  name: "the executor engine conforms, over the C ABI and a fake executor",
  sanitizeResources: false, // The library stays loaded, as in every node.
  fn: async (t) => {
    const library = await buildFakeExecutor();
    const folder = await Deno.makeTempDir();
    const open = (queueMax = 256) => openExecutorEngine({ engine: folder, library, queueMax });
    try {
      await writeEngine(folder, CONFIG, DESCRIPTION);
      const engine = await open();
      assert.equal(engine.model.backend, "trtllm");
      assert.equal(engine.model.isa, "TensorRT-LLM 1.2.1");
      try {
        await sameTokens(t, engine);
        await truncation(t, engine, false);
        await endings(t, engine);
        await refusals(t, engine);
      } finally {
        await engine.close();
      }
      await queue(t, () => open(1));
      await t.step("an engine that was built greedy refuses a temperature", async () => {
        const pretrained_config = { ...CONFIG.pretrained_config, redrafter_greedy_search: true };
        await writeEngine(folder, { ...CONFIG, pretrained_config }, DESCRIPTION);
        const greedy = await open();
        const sampling = { ...GREEDY, temperature: 0.5 };
        await assert.rejects(generate(greedy, sequenceRequest({ sampling })), /temperature 0$/);
        assert.equal((await generate(greedy, sequenceRequest())).tokens.length, 16);
        await greedy.close();
      });
      await closing(t, () => open());
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "--backend trtllm says what is wrong with an engine, in one line",
  sanitizeResources: false,
  fn: async (t) => {
    const library = await buildFakeExecutor();
    const { redrafter_num_beams: _, ...plain } = CONFIG.pretrained_config;
    const cases: Array<[string, unknown, unknown, string, RegExp]> = [
      [
        "no shim",
        CONFIG,
        DESCRIPTION,
        "/nowhere.so",
        /nowhere\.so.*build_shim\.sh[^:]*: \/nowhere\.so: /,
      ],
      [
        "another release",
        { ...CONFIG, version: "1.1.0" },
        DESCRIPTION,
        library,
        /1\.1\.0.*1\.2\.1/,
      ],
      ["no ReDrafter", { ...CONFIG, pretrained_config: plain }, {}, library, /without ReDrafter/],
      ["no build", { ...CONFIG, build_config: {} }, {}, library, /no "max_seq_len"/],
      [
        "a vocabulary of less than nothing",
        { ...CONFIG, pretrained_config: { ...CONFIG.pretrained_config, vocab_size: -5 } },
        {},
        library,
        /"vocab_size" is not a whole number from 1/,
      ],
      ["no description", CONFIG, {}, library, /redraft\.json is not of format.*describe\.ts/],
      [
        "another model's description",
        CONFIG,
        { ...DESCRIPTION, tokenizer: { tokens: new Array(200).fill("t") } },
        library,
        /vocabulary is 99, redraft\.json has 200/,
      ],
    ];
    for (const [name, config, description, path, words] of cases) {
      await t.step(name, async () => {
        const folder = await Deno.makeTempDir();
        await writeEngine(folder, config, description);
        const { code, stderr } = await new Deno.Command(Deno.execPath(), {
          args: [
            ...["run", "--no-prompt", "--allow-ffi", "--allow-env", "--allow-read"],
            ...[join(ROOT, "gpu-node/main.ts"), "--backend=trtllm", `--model=${folder}`, "--info"],
          ],
          env: { REDRAFT_TRTLLM_LIBRARY: path },
        }).output();
        await Deno.remove(folder, { recursive: true });
        const { error } = JSON.parse(new TextDecoder().decode(stderr).trim().split("\n").at(-1)!);
        assert.equal(code, 1);
        assert.match(error, words);
        assert(!error.includes("\n"));
      });
    }
  },
});
