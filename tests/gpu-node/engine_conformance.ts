/** What every engine must do, whatever stands behind it. One suite: the fake runs it, and so does
 * the real library where there is one; that is what makes the fake honest. @module */

import assert from "node:assert/strict";
import type { DraftBudget, Engine, SequenceRequest } from "../../gpu-node/engine.ts";
import type { SchedulingOptions } from "../../gpu-node/engine_step.ts";
import { generate, type Generation, GenerationError } from "../../gpu-node/generate.ts";
import { NO_BUDGET } from "../../gpu-node/step_plan.ts";
import { GREEDY } from "../../proto/sampling.ts";
import { promptTokens, sequenceRequest } from "./requests.ts";

export interface EngineBounds {
  slotsMax: number;
  pagesMax: number;
  rowsMax: number;
  contextMax: number;
}

/** Opens the engine under test with the bounds that a case needs. */
export type OpenEngine = (
  bounds: EngineBounds,
  scheduling: SchedulingOptions,
) => Promise<Engine>;

export const ROOMY: EngineBounds = { slotsMax: 8, pagesMax: 128, rowsMax: 128, contextMax: 256 };
/** Three of the prompts below fit, but not with what they generate. */
const NARROW: EngineBounds = { slotsMax: 8, pagesMax: 11, rowsMax: 64, contextMax: 160 };

const DRAFTING: DraftBudget = { beamWidth: 3, beamLength: 5, packedMax: 10 };
const PROMPTS = 5;
const TOKENS_MAX = 24;

function prompts(): SequenceRequest[] {
  return Array.from({ length: PROMPTS }, (_, i) =>
    sequenceRequest({
      id: i + 1,
      tokens: promptTokens(33 + i, i + 1),
      tokensMax: TOKENS_MAX,
      // Greedy and sampled side by side, and once with every penalty.
      sampling: i === 0 ? GREEDY : {
        ...GREEDY,
        temperature: i % 2 === 0 ? 0 : 0.8,
        seedLow: i,
        ...(i === 3 ? { repetitionPenalty: 1.2, presencePenalty: 0.5, topK: 40, topP: 0.9 } : {}),
      },
    }));
}

/** The tokens of all prompts, run as `run` says, from an engine of its own. */
async function tokensOf(
  open: OpenEngine,
  bounds: EngineBounds,
  scheduling: SchedulingOptions,
  run: (engine: Engine, requests: SequenceRequest[]) => Promise<Generation[]>,
): Promise<number[][]> {
  const engine = await open(bounds, scheduling);
  try {
    const generations = await run(engine, prompts());
    assertIdle(engine);
    return generations.map(({ tokens }) => tokens);
  } finally {
    await engine.close();
  }
}

function assertIdle(engine: Engine): void {
  const { slotsBusy, queueCount, pagesFree, pagesMax } = engine.status();
  assert.deepEqual({ slotsBusy, queueCount, pagesFree }, {
    slotsBusy: 0,
    queueCount: 0,
    pagesFree: pagesMax,
  });
}

async function oneByOne(engine: Engine, requests: SequenceRequest[]): Promise<Generation[]> {
  const generations: Generation[] = [];
  for (const request of requests) generations.push(await generate(engine, request));
  return generations;
}

const together = (engine: Engine, requests: SequenceRequest[]) =>
  Promise.all(requests.map((request) => generate(engine, request)));

async function sameTokens(t: Deno.TestContext, open: OpenEngine): Promise<void> {
  const plain = await tokensOf(open, ROOMY, { budget: NO_BUDGET }, oneByOne);
  for (const tokens of plain) assert.equal(tokens.length, TOKENS_MAX);
  const same = (
    name: string,
    bounds: EngineBounds,
    scheduling: SchedulingOptions,
    run: (engine: Engine, requests: SequenceRequest[]) => Promise<Generation[]>,
  ) =>
    t.step(`the same tokens ${name}`, async () => {
      assert.deepEqual(await tokensOf(open, bounds, scheduling, run), plain);
    });
  await same("with speculation", ROOMY, { budget: DRAFTING }, oneByOne);
  await same("in a batch", ROOMY, { budget: NO_BUDGET }, together);
  await same("in a batch with speculation", ROOMY, { budget: DRAFTING }, together);
  for (const chunkMax of [1, 7, 16]) {
    await same(`in chunks of ${chunkMax}`, ROOMY, { budget: DRAFTING, chunkMax }, together);
  }
  const fewRows = { ...ROOMY, rowsMax: 64 };
  await same("with fewer rows than trees", fewRows, {
    budget: { beamWidth: 8, beamLength: 8, packedMax: 64 },
  }, together);
  await same("after prefix hits", ROOMY, { budget: DRAFTING }, async (engine, requests) => {
    await oneByOne(engine, requests);
    const again = await together(engine, requests);
    for (const { finish } of again) assert.equal(finish.cachedCount, 32, "two pages were cached");
    return again;
  });
  await same("after preemption", NARROW, { budget: DRAFTING }, async (engine, requests) => {
    // Each of three grows by three pages where two are left, whoever is faster.
    const longer = requests.map((request) => ({ ...request, tokensMax: 60 }));
    const generations = await together(engine, longer);
    assert(engine.counters().preemptions > 0, "there were too few pages");
    return generations.map((one) => ({ ...one, tokens: one.tokens.slice(0, TOKENS_MAX) }));
  });
  await same("after a move", ROOMY, { budget: DRAFTING }, async (engine, requests) => {
    const halves = await together(engine, requests.map((one) => ({ ...one, tokensMax: 10 })));
    return Promise.all(requests.map(async (request, i) => {
      const { tokens } = halves[i];
      const moved = Uint32Array.of(...request.tokens, ...tokens);
      const rest = await generate(engine, {
        ...request,
        tokens: moved,
        generatedCount: tokens.length,
        tokensMax: TOKENS_MAX - tokens.length,
      });
      return { ...rest, tokens: [...tokens, ...rest.tokens] };
    }));
  });
}

/** Where sequences end. Not every engine gives log-probabilities. */
export async function truncation(
  t: Deno.TestContext,
  engine: Engine,
  givesLogprobs = true,
): Promise<void> {
  const request = sequenceRequest({ tokens: promptTokens(20, 3), tokensMax: 20, budget: DRAFTING });
  const { tokens } = await generate(engine, request);
  await t.step("a length limit truncates, wherever it falls", async () => {
    for (let tokensMax = 1; tokensMax <= 8; tokensMax++) {
      const cut = await generate(engine, { ...request, tokensMax });
      assert.deepEqual(cut.tokens, tokens.slice(0, tokensMax));
      assert.equal(cut.finish.reason, "length");
      assert.equal(cut.finish.generatedCount, tokensMax);
    }
  });
  await t.step("a stop token truncates and is not delivered", async () => {
    for (const at of [0, 3, 7]) {
      const first = tokens.indexOf(tokens[at]);
      const cut = await generate(engine, { ...request, stopTokens: new Set([tokens[at]]) });
      assert.deepEqual(cut.tokens, tokens.slice(0, first));
      assert.equal(cut.finish.reason, "stop");
      assert.equal(cut.finish.stopToken, tokens[at]);
      assert.equal(cut.finish.generatedCount, first);
    }
  });
  await t.step("the context's end is a length limit", async () => {
    const long = promptTokens(ROOMY.contextMax - 3, 2);
    const { tokens, finish } = await generate(engine, { ...request, tokens: long });
    assert.equal(tokens.length, 3);
    assert.equal(finish.reason, "length");
  });
  if (!givesLogprobs) return;
  await t.step("log-probabilities come one a token, the best first", async () => {
    const sampling = { ...GREEDY, logprobs: 4 };
    const { tokens, logprobs } = await generate(engine, { ...request, sampling });
    assert.equal(logprobs.length, tokens.length);
    for (const { logprob, top } of logprobs) {
      assert(logprob <= 0 && top.length === 3);
      assert(top[0][1] >= top[1][1] && top[1][1] >= top[2][1]);
    }
  });
}

/** Cancelled, refused, paused. */
export async function endings(t: Deno.TestContext, engine: Engine): Promise<void> {
  const request = sequenceRequest({ tokens: promptTokens(20, 3), tokensMax: 200 });
  await t.step("a cancelled sequence frees slot and pages within one step", async () => {
    let stepCount = Infinity;
    const { finish } = await new Promise<Generation>((resolve, reject) => {
      generate(engine, { ...request, id: 50 }).then(resolve, reject);
      setTimeout(() => {
        stepCount = engine.counters().stepCount;
        engine.cancel(50);
      }, 20);
    });
    assert.equal(finish.reason, "cancelled");
    // The step under way, and the one that had been planned when the cancellation came.
    assert(engine.counters().stepCount <= stepCount + 2);
    assertIdle(engine);
  });
  await t.step("a refused one ends in one failure", async () => {
    const refusals: [Partial<SequenceRequest>, string][] = [
      [{ tokens: new Uint32Array(0) }, "bad_request"],
      [{ tokens: Uint32Array.of(0xffff_ffff) }, "bad_request"],
      [{ tokensMax: 0 }, "bad_request"],
      [{ sampling: { ...GREEDY, temperature: NaN } }, "bad_request"],
      [{ budget: { beamWidth: 33, beamLength: 2, packedMax: 2 } }, "bad_request"],
      [{ tokens: promptTokens(ROOMY.contextMax, 1) }, "context_overflow"],
      [{ deadline: 0 }, "deadline"],
    ];
    for (const [changes, code] of refusals) {
      const ended = generate(engine, { ...request, ...changes, id: 60 });
      await assert.rejects(
        ended,
        (error) => error instanceof GenerationError && error.code === code,
      );
    }
    assertIdle(engine);
  });
  await t.step("a paused one waits, and goes on as if it had not", async () => {
    const whole = await generate(engine, { ...request, tokensMax: 30 });
    const running = generate(engine, { ...request, id: 70, tokensMax: 30 });
    engine.setPaused(70, true);
    await new Promise((resolve) => setTimeout(resolve, 30));
    engine.setPaused(70, false);
    assert.deepEqual((await running).tokens, whole.tokens);
  });
}

/** Runs the suite. `open` is called for each case that needs bounds of its own. */
export async function testEngine(t: Deno.TestContext, open: OpenEngine): Promise<void> {
  await sameTokens(t, open);
  const engine = await open(ROOMY, {});
  try {
    await truncation(t, engine);
    await endings(t, engine);
  } finally {
    await engine.close();
  }
  await closing(t, () => open(ROOMY, {}));
}

/** Whoever still runs then learns it. */
export async function closing(t: Deno.TestContext, open: () => Promise<Engine>): Promise<void> {
  await t.step("closing ends what runs as a failure", async () => {
    const closing = await open();
    const running = generate(closing, sequenceRequest({ tokensMax: 200 }));
    const rejected = assert.rejects(running, GenerationError);
    await new Promise((resolve) => setTimeout(resolve, 10));
    await closing.close();
    await rejected;
  });
}
