/** The node with its clock, its clients and its engine under one seed: the scheduler over the fake,
 * step by step, with everything that a day brings. @module */

import assert from "node:assert/strict";
import { NO_BUDGET } from "../../gpu-node/step_plan.ts";
import type { EngineEvent, SequenceRequest } from "../../gpu-node/engine.ts";
import { FakeEngine } from "../../gpu-node/engine_fake.ts";
import { FakeModel, mix, PREFIX_START } from "../../gpu-node/fake_model.ts";
import { EngineError } from "../../gpu-node/native_engine.ts";
import { Scheduler } from "../../gpu-node/scheduler.ts";
import { StepCodec } from "../../gpu-node/step_codec.ts";
import { StepCost } from "../../gpu-node/step_cost.ts";
import { hashPromptBlocks } from "../../kernels/glue/mod.ts";
import { blockSeed } from "../../proto/block_seed.ts";
import { GREEDY } from "../../proto/sampling.ts";
import { promptTokens, sequenceRequest } from "../gpu-node/requests.ts";

const VOCAB_SIZE = 97;
const PAGE_TOKENS = 16;
const STEPS_AFTER_MAX = 20_000;

/** Numbers in [0, 1) that a seed determines (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

interface Client {
  request: SequenceRequest;
  tokens: number[];
  end?: EngineEvent;
  cancelled: boolean;
  paused: boolean;
}

export interface SimulationReport {
  steps: number;
  ends: Record<string, number>;
  preemptions: number;
  prefixHits: number;
  accepted: number;
}

export class NodeSimulation {
  readonly #random: () => number;
  readonly #fake: FakeEngine;
  readonly #scheduler: Scheduler;
  readonly #codec: StepCodec;
  readonly #model: FakeModel;
  readonly #clients = new Map<number, Client>();
  readonly #contextMax: number;
  #now = 0;
  #steps = 0;
  #idLast = 0;
  /** Clients have stopped coming, going and pausing. */
  #quiet = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const slotsMax = this.#pick(1, 8);
    const rowsMax = slotsMax + this.#pick(0, 60);
    const pagesMax = this.#pick(4, 40);
    this.#contextMax = this.#pick(33, 200);
    const accuracy = this.#random();
    this.#fake = new FakeEngine({
      slotsMax,
      pagesMax,
      rowsMax,
      contextMax: this.#contextMax,
      vocabSize: VOCAB_SIZE,
      accuracy,
    });
    this.#model = new FakeModel(VOCAB_SIZE, accuracy);
    const bounds = { slotsMax, contextMax: this.#contextMax, vocabSize: VOCAB_SIZE };
    this.#codec = new StepCodec(bounds);
    this.#scheduler = new Scheduler({
      ...bounds,
      pagesMax,
      pageTokens: PAGE_TOKENS,
      rowsMax,
      chunkMax: this.#pick(1, rowsMax),
      mixedContextRowsMax: this.#pick(1, rowsMax),
      costs: new StepCost(),
      budget: { beamWidth: this.#pick(1, 4), beamLength: this.#pick(1, 8), packedMax: 20 },
      queueMax: this.#pick(0, 12),
      hashBlocks: hashPromptBlocks,
      seedOf: (salt) => blockSeed("fake", salt),
    });
  }

  /** Runs `stepCount` steps with clients coming and going, then until all have ended. */
  run(stepCount: number): SimulationReport {
    for (let i = 0; i < stepCount; i++) {
      this.#act();
      this.#step();
    }
    if (this.#random() < 0.3) this.#drain();
    this.#quiet = true;
    for (const [id, client] of this.#clients) {
      client.paused = false;
      this.#scheduler.setPaused(id, false);
    }
    for (let i = 0; this.#scheduler.sequenceCount > 0; i++) {
      assert(i < STEPS_AFTER_MAX, "every sequence ends");
      this.#step();
    }
    this.#checkEnd();
    const { preemptions, prefixHits, acceptedTokens } = this.#scheduler.counters();
    const ends: Record<string, number> = {};
    for (const { end } of this.#clients.values()) {
      const name = end?.kind === "finish" ? end.finish.reason : (end as { code: string }).code;
      ends[name] = (ends[name] ?? 0) + 1;
    }
    return { steps: this.#steps, ends, preemptions, prefixHits, accepted: acceptedTokens };
  }

  #pick(min: number, max: number): number {
    return min + Math.floor(this.#random() * (max - min + 1));
  }

  #act(): void {
    const chance = this.#random();
    if (chance < 0.45) this.#submit();
    else if (chance < 0.55) this.#cancelAny();
    else if (chance < 0.7) this.#pauseAny();
    else if (chance < 0.72) this.#fake.failNext = "bad_plan";
    else if (chance < 0.722) this.#drain();
  }

  #submit(): void {
    const id = ++this.#idLast;
    const count = this.#pick(0, Math.min(120, this.#contextMax + 3));
    const sampled = this.#random() < 0.4;
    const request = sequenceRequest({
      id,
      tokens: promptTokens(count, this.#pick(1, 3), VOCAB_SIZE),
      generatedCount: Math.min(Math.max(0, count - 1), this.#pick(0, 2)),
      tokensMax: this.#pick(1, 60),
      stopTokens: new Set(this.#random() < 0.5 ? [5, 6] : []),
      sampling: {
        ...GREEDY,
        temperature: sampled ? 0.8 : 0,
        seedLow: this.#pick(0, 9),
        logprobs: this.#pick(0, 3),
      },
      ...(this.#random() < 0.3 ? { budget: NO_BUDGET } : {}),
      wantTree: this.#random() < 0.3,
      priority: this.#pick(0, 2),
      salt: this.#random() < 0.2 ? "b" : "a",
      ignorePrefix: this.#random() < 0.1,
      deadline: this.#random() < 0.1 ? this.#now + this.#pick(0, 300) : Infinity,
    });
    this.#clients.set(id, { request, tokens: [], cancelled: false, paused: false });
    this.#scheduler.submit(request, (event) => this.#take(event), this.#now);
  }

  #anyClient(): [number, Client] | undefined {
    const live = [...this.#clients].filter(([, client]) => client.end === undefined);
    return live.length === 0 ? undefined : live[this.#pick(0, live.length - 1)];
  }

  #cancelAny(): void {
    const entry = this.#anyClient();
    if (entry === undefined) return;
    entry[1].cancelled = true;
    this.#scheduler.cancel(entry[0], this.#now);
  }

  #pauseAny(): void {
    const entry = this.#anyClient();
    if (entry === undefined) return;
    entry[1].paused = !entry[1].paused;
    this.#scheduler.setPaused(entry[0], entry[1].paused);
  }

  #drain(): void {
    this.#scheduler.drain();
  }

  #step(): void {
    this.#now += this.#pick(1, 10);
    const plan = this.#scheduler.plan(this.#now);
    this.#scheduler.check();
    this.#deliver();
    if (plan === undefined) return;
    this.#steps++;
    const bytes = this.#codec.encode(plan);
    // What comes while the native call runs must not disturb it.
    if (!this.#quiet && this.#random() < 0.3) this.#act();
    this.#now += this.#pick(1, 5);
    try {
      this.#fake.stepNow(bytes, this.#codec.result);
    } catch (error) {
      const isTold = error instanceof EngineError && /told to fail/.test(error.message);
      if (!isTold) throw error;
      this.#scheduler.fail(error.message, this.#now);
      return this.#afterStep();
    }
    this.#scheduler.apply(this.#codec.decode(plan), this.#now);
    this.#afterStep();
  }

  #afterStep(): void {
    this.#scheduler.check();
    this.#deliver();
    for (const client of this.#clients.values()) {
      assert(
        !client.cancelled || client.end !== undefined,
        "a cancelled sequence ends in one step",
      );
    }
  }

  #deliver(): void {
    for (const { sink, event } of this.#scheduler.takeDeliveries()) sink(event);
  }

  #take(event: EngineEvent): void {
    const client = this.#clients.get(event.id);
    assert(client !== undefined && client.end === undefined, "nothing follows the end");
    if (event.kind !== "step") {
      client.end = event;
      return;
    }
    const { step } = event;
    const { logprobs } = client.request.sampling;
    assert.equal(step.logprobs.length, logprobs > 0 ? step.tokens.length : 0);
    assert(step.acceptedCount <= step.draftedCount && step.acceptedCount <= step.tokens.length);
    client.tokens.push(...step.tokens);
  }

  #checkEnd(): void {
    const { pagesFree, pagesMax, slotsBusy, queueCount } = this.#scheduler.status();
    assert.equal(pagesFree, pagesMax, "all pages are free");
    assert.equal(slotsBusy + queueCount, 0, "all slots are free");
    for (const client of this.#clients.values()) {
      assert(client.end !== undefined, "every sequence ends");
      this.#checkTokens(client);
    }
  }

  /** Whatever happened to it, a sequence has the tokens that the model alone would have drawn. */
  #checkTokens({ request, tokens, end }: Client): void {
    const expected: number[] = [];
    let hash = request.tokens.reduce(mix, PREFIX_START);
    let stopToken: number | undefined;
    while (expected.length < tokens.length + 1) {
      const position = request.tokens.length + expected.length;
      const token = this.#model.next(hash, position, request.sampling);
      if (request.stopTokens.has(token)) {
        stopToken = token;
        break;
      }
      expected.push(token);
      hash = mix(hash, token);
    }
    assert.deepEqual(tokens, expected.slice(0, tokens.length), "lossless");
    if (end?.kind !== "finish") return;
    const { finish } = end;
    assert.equal(finish.generatedCount, tokens.length, "usage counts what was delivered");
    assert.equal(finish.promptCount, request.tokens.length);
    assert(finish.acceptedCount <= finish.draftedCount);
    if (finish.reason === "stop") assert.equal(finish.stopToken, stopToken);
    if (finish.reason === "length") {
      const room = Math.min(this.#contextMax, this.#scheduler.status().pagesMax * PAGE_TOKENS) -
        request.tokens.length;
      assert.equal(tokens.length, Math.min(request.tokensMax, room));
    }
  }
}
