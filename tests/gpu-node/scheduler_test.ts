import assert from "node:assert/strict";
import type { EngineEvent, SequenceRequest } from "../../gpu-node/engine.ts";
import { FakeEngine } from "../../gpu-node/engine_fake.ts";
import { Scheduler, type SchedulerOptions } from "../../gpu-node/scheduler.ts";
import { StepCodec } from "../../gpu-node/step_codec.ts";
import { StepCost } from "../../gpu-node/step_cost.ts";
import { NO_BUDGET, type StepPlan } from "../../gpu-node/step_plan.ts";
import { hashPromptBlocks } from "../../kernels/glue/mod.ts";
import { promptTokens, sequenceRequest } from "./requests.ts";

const OPTIONS: SchedulerOptions = {
  slotsMax: 4,
  pagesMax: 32,
  pageTokens: 16,
  vocabSize: 97,
  rowsMax: 32,
  contextMax: 256,
  chunkMax: 32,
  mixedContextRowsMax: 16,
  costs: new StepCost(),
  budget: NO_BUDGET,
  queueMax: 2,
  hashBlocks: hashPromptBlocks,
  seedOf: () => new Uint8Array(0),
};

/** A scheduler over the fake, one step at a time. */
class Bench {
  readonly scheduler: Scheduler;
  readonly events: EngineEvent[] = [];
  readonly #fake: FakeEngine;
  readonly #codec: StepCodec;
  now = 0;

  constructor(changes: Partial<SchedulerOptions> = {}) {
    const options = { ...OPTIONS, ...changes };
    this.scheduler = new Scheduler(options);
    this.#fake = new FakeEngine(options);
    this.#codec = new StepCodec(options);
  }

  submit(id: number, changes: Partial<SequenceRequest> = {}): void {
    const request = sequenceRequest({ id, tokensMax: 20, ...changes });
    this.scheduler.submit(request, (event) => this.events.push(event), this.now);
    this.#deliver();
  }

  /** Plans, and lets `during` act while the step is under way. */
  step(during?: () => void): StepPlan | undefined {
    this.now++;
    const plan = this.scheduler.plan(this.now);
    if (plan !== undefined) {
      const bytes = this.#codec.encode(plan);
      during?.();
      this.#fake.stepNow(bytes, this.#codec.result);
      this.scheduler.apply(this.#codec.decode(plan), this.now);
    }
    this.scheduler.check();
    this.#deliver();
    return plan;
  }

  ends(): string[] {
    return this.events.flatMap((event) =>
      event.kind === "step"
        ? []
        : [`${event.id} ${event.kind === "finish" ? event.finish.reason : event.code}`]
    );
  }

  #deliver(): void {
    for (const { sink, event } of this.scheduler.takeDeliveries()) sink(event);
  }
}

const shape = (plan: StepPlan | undefined) =>
  plan?.records.map(({ slot, tokenCount }) => [slot, tokenCount]);

Deno.test("an idle scheduler plans nothing", () => {
  const bench = new Bench();
  assert.equal(bench.step(), undefined);
  assert.equal(bench.scheduler.nextDeadline(), Infinity);
});

Deno.test("context comes in chunks, beside those in generation", () => {
  const bench = new Bench();
  bench.submit(1);
  assert.deepEqual(shape(bench.step()), [[0, 3]]);
  bench.submit(2, { tokens: promptTokens(40, 1) });
  assert.deepEqual(shape(bench.step()), [[0, 0], [1, 16]]);
  assert.deepEqual(shape(bench.step()), [[0, 0], [1, 16]]);
  const last = bench.step();
  assert.deepEqual(shape(last), [[0, 0], [1, 8]]);
  assert.equal(last?.records[1].sample, true);
});

Deno.test("the higher priority goes first, then the earlier arrival", () => {
  const bench = new Bench({ slotsMax: 1, queueMax: 8 });
  bench.submit(1, { tokensMax: 1 });
  bench.submit(2, { tokensMax: 1 });
  bench.submit(3, { tokensMax: 1, priority: 1 });
  for (let i = 0; i < 3; i++) bench.step();
  assert.deepEqual(bench.ends(), ["3 length", "1 length", "2 length"]);
});

Deno.test("the queue is bounded, and what a free slot will take is not queued", () => {
  const bench = new Bench({ slotsMax: 1, queueMax: 1 });
  bench.submit(1);
  bench.submit(2);
  bench.submit(3);
  assert.deepEqual(bench.ends(), ["3 queue_full"]);
});

Deno.test("cancel() ends a waiting one at once and a running one with its step", () => {
  const bench = new Bench({ slotsMax: 1 });
  bench.submit(1);
  bench.submit(2);
  bench.step(() => {
    bench.scheduler.cancel(2, bench.now);
    bench.scheduler.cancel(1, bench.now);
    assert.equal(bench.scheduler.status().slotsBusy, 1, "the step may still write its pages");
    assert.equal(bench.scheduler.status().queueCount, 0);
  });
  assert.deepEqual(bench.ends(), ["2 cancelled", "1 cancelled"]);
  assert.equal(bench.scheduler.status().slotsBusy, 0);
  bench.scheduler.cancel(1, bench.now);
  assert.equal(bench.ends().length, 2);
});

Deno.test("a deadline ends a sequence, waiting or running", () => {
  const bench = new Bench({ slotsMax: 1 });
  bench.submit(1, { deadline: 3 });
  bench.submit(2, { deadline: 2 });
  assert.equal(bench.scheduler.nextDeadline(), 2);
  bench.step();
  bench.step();
  assert.deepEqual(bench.ends(), ["2 deadline"]);
  bench.step();
  assert.deepEqual(bench.ends(), ["2 deadline", "1 deadline"]);
});

Deno.test("a paused sequence takes no step, and makes way when others need its place", () => {
  const bench = new Bench({ slotsMax: 1 });
  bench.submit(1);
  bench.step();
  bench.scheduler.setPaused(1, true);
  assert.equal(bench.step(), undefined);
  bench.submit(2, { tokensMax: 2 });
  bench.step();
  bench.step();
  assert.deepEqual(bench.ends(), ["2 length"]);
  bench.scheduler.setPaused(1, false);
  for (let i = 0; i < 25; i++) bench.step();
  assert.deepEqual(bench.ends(), ["2 length", "1 length"]);
});

Deno.test("when pages run out, the latest of the lowest priority makes way", () => {
  const bench = new Bench({ pagesMax: 6 });
  const long = { tokensMax: 60 };
  bench.submit(1, { ...long, tokens: promptTokens(20, 1) });
  bench.submit(2, { ...long, tokens: promptTokens(20, 2) });
  for (let i = 0; i < 300 && bench.ends().length < 2; i++) bench.step();
  assert.deepEqual(bench.ends(), ["1 length", "2 length"]);
  assert(bench.scheduler.counters().preemptions > 0);
  const finish = bench.events.findLast((event) => event.kind === "finish");
  assert.equal(finish?.finish.generatedCount, 60);
});

Deno.test("a sequence longer than the pages is refused, or ends where they do", () => {
  const bench = new Bench({ pagesMax: 2 });
  bench.submit(1, { tokens: promptTokens(32, 1) });
  bench.submit(2, { tokens: promptTokens(30, 1) });
  for (let i = 0; i < 5; i++) bench.step();
  assert.deepEqual(bench.ends(), ["1 context_overflow", "2 length"]);
});

Deno.test("each in generation gets a row, however long the trees", () => {
  const budget = { beamWidth: 8, beamLength: 8, packedMax: 64 };
  const bench = new Bench({ slotsMax: 4, rowsMax: 6, chunkMax: 6, budget });
  for (let id = 1; id <= 4; id++) bench.submit(id, { tokensMax: 30 });
  while (bench.ends().length < 4) assert(bench.step() !== undefined);
  assert.deepEqual(bench.ends().map((end) => end.split(" ")[1]), Array(4).fill("length"));
});

Deno.test("drain() refuses what comes and finishes what is there", () => {
  const bench = new Bench({ slotsMax: 1 });
  bench.submit(1, { tokensMax: 1 });
  bench.submit(2, { tokensMax: 1 });
  bench.scheduler.drain();
  bench.submit(3);
  bench.step();
  bench.step();
  assert.deepEqual(bench.ends(), ["3 draining", "1 length", "2 length"]);
});

Deno.test("failAll() ends everything, also what a step holds", () => {
  const bench = new Bench({ slotsMax: 1 });
  bench.submit(1);
  bench.submit(2);
  bench.scheduler.plan(1);
  bench.scheduler.failAll("gone", 2);
  bench.step();
  assert.deepEqual(bench.ends(), ["1 engine", "2 engine"]);
  assert.equal(bench.scheduler.sequenceCount, 0);
});
