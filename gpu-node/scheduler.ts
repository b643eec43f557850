/** The scheduler: in-flight batching over a step function that it never sees. Pure: a plan goes
 * out, its result comes back, and time is handed in.
 *
 * Calls may come while a step is under way; whatever they would take from it waits for `apply`.
 * @module */

import { assert, assertEqual } from "../proto/assert.ts";
import { ABI } from "./abi.ts";
import { Batch } from "./batch.ts";
import { type Constrain, constraintOf } from "./constraint.ts";
import type {
  BlockReport,
  EngineCounters,
  EngineEvent,
  EngineFailureCode,
  EngineStatus,
  EventSink,
  SequenceFinish,
  SequenceRequest,
} from "./engine.ts";
import { type HashBlocks, KvPages } from "./kv_pages.ts";
import { requestProblem } from "./request_check.ts";
import { HeadWorth, weighStep, WorthStart } from "./head_worth.ts";
import { Sequence } from "./sequence.ts";
import { type PlannedSequence, type PlannerOptions, planRecords } from "./step_planner.ts";
import { NO_MICROS, STEP_PARTS, type StepPlan, type StepResult } from "./step_plan.ts";
import { takeTokens } from "./take_tokens.ts";

export interface SchedulerOptions extends PlannerOptions {
  slotsMax: number;
  pagesMax: number;
  pageTokens: number;
  vocabSize: number;
  /** Sequences that may wait for their first slot. */
  queueMax: number;
  hashBlocks: HashBlocks;
  seedOf: (salt: string) => Uint8Array;
  /** None where the engine applies no masks. */
  constrain?: Constrain;
}

/** An event and who is to have it. */
export interface Delivery {
  sink: EventSink;
  event: EngineEvent;
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #batch: Batch;
  readonly #byId = new Map<number, Sequence>();
  readonly #counters: EngineCounters;
  readonly #worthStarts = {
    greedy: new WorthStart(),
    sampled: new WorthStart(),
    /** A grammar refuses much of what the head proposes. */
    constrained: new WorthStart(),
  };
  #planned: PlannedSequence[] = [];
  #deliveries: Delivery[] = [];
  #arrivalLast = 0;
  #stepLast = 0;
  #draining = false;

  constructor(options: SchedulerOptions) {
    const { slotsMax, rowsMax, pagesMax, pageTokens } = options;
    assert(slotsMax >= 1 && slotsMax <= rowsMax, "each slot has a row in a step");
    assert(options.chunkMax >= 1 && options.mixedContextRowsMax >= 1 && options.queueMax >= 0);
    // A sequence alone on the node must be able to end, so its length is bounded by the pages too.
    const contextMax = Math.min(options.contextMax, pagesMax * pageTokens);
    this.#options = { ...options, contextMax };
    this.#batch = new Batch(new KvPages(pagesMax, pageTokens), options);
    this.#counters = {
      stepCount: 0,
      micros: { ...NO_MICROS },
      rowCount: 0,
      promptTokens: 0,
      generatedTokens: 0,
      sequenceSteps: 0,
      draftCount: 0,
      draftedTokens: 0,
      acceptedTokens: 0,
      acceptedByDepth: Array(ABI.beamLengthMax - 1).fill(0),
      prefixQueries: 0,
      prefixHits: 0,
      preemptions: 0,
    };
  }

  submit(request: SequenceRequest, sink: EventSink, now: number): void {
    const refuse = (code: EngineFailureCode, message: string, replaySafe: boolean) =>
      this.#deliveries.push({
        sink,
        event: { kind: "failure", id: request.id, code, message, replaySafe },
      });
    const problem = requestProblem(request, this.#options);
    if (problem !== undefined) return void refuse(problem.code, problem.message, false);
    if (this.#byId.has(request.id)) {
      return void refuse("bad_request", `Cannot run request: ${request.id} runs already`, false);
    }
    if (this.#draining) {
      return void refuse("draining", "Cannot run request: the node is draining", true);
    }
    const { queueMax, slotsMax, contextMax } = this.#options;
    // What a free slot will take at the next step does not count as queued.
    const queued = this.#batch.waiting.length - (slotsMax - this.#batch.busyCount);
    if (queued >= queueMax) {
      return void refuse("queue_full", `Cannot run request: ${queued} wait already`, true);
    }
    const constraint = constraintOf(request, this.#options.constrain);
    if (typeof constraint === "string") return void refuse("bad_request", constraint, false);
    const arrival = ++this.#arrivalLast;
    const drawn = request.sampling.temperature > 0 ? "sampled" : "greedy";
    const kind = constraint === undefined ? drawn : "constrained";
    const worth = new HeadWorth(this.#worthStarts[kind]);
    const sequence = new Sequence(request, sink, arrival, now, contextMax, constraint, worth);
    this.#byId.set(request.id, sequence);
    this.#batch.enqueue(sequence);
  }

  cancel(id: number, now: number): void {
    const sequence = this.#byId.get(id);
    if (sequence === undefined) return;
    sequence.cancelled = true;
    if (!sequence.inStep) this.#finish(sequence, "cancelled", now);
  }

  setPaused(id: number, paused: boolean): void {
    const sequence = this.#byId.get(id);
    if (sequence !== undefined) sequence.paused = paused;
  }

  drain(): void {
    this.#draining = true;
  }

  /** The next step; `undefined` if nobody can move. Its result, or its failure, must come back
   * before the next call. */
  plan(now: number): StepPlan | undefined {
    assert(this.#planned.length === 0, "one step is under way at a time");
    this.#expire(now);
    this.#planned = planRecords(this.#batch, this.#options, now);
    if (this.#planned.length === 0) return undefined;
    for (const { sequence } of this.#planned) sequence.inStep = true;
    const stepId = this.#stepLast = (this.#stepLast + 1) >>> 0;
    return { stepId, records: this.#planned.map(({ record }) => record) };
  }

  /** Takes the result of the step under way. */
  apply(result: StepResult, now: number): void {
    const planned = this.#planned;
    assertEqual(result.records.length, planned.length, "the result is of the step under way");
    this.#planned = [];
    const counters = this.#counters;
    counters.stepCount++;
    for (const part of STEP_PARTS) counters.micros[part] += result.micros[part];
    counters.rowCount += result.rowCount;
    // Context rows cost less than rows that draw: they would blur the table.
    if (planned.every(({ record }) => record.tokenCount === 0)) {
      this.#options.costs.observe(result.rowCount, result.micros.step - result.micros.draft);
    }
    weighStep(planned, result, this.#options.costs);
    planned.forEach(({ sequence, record }, i) => {
      sequence.inStep = false;
      if (sequence.cancelled) return this.#finish(sequence, "cancelled", now);
      const outcome = takeTokens(sequence, record, result.records[i], now);
      this.#batch.register(sequence, result.records[i].computedCount);
      if (outcome.isFirst) counters.promptTokens += sequence.request.tokens.length;
      if (outcome.step !== undefined) {
        this.#count(outcome.step.tokens.length, result.records[i]);
        this.#deliver(sequence, { kind: "step", id: sequence.id, step: outcome.step });
      }
      if (outcome.end !== undefined) this.#finish(sequence, outcome.end, now, outcome.stopToken);
      else if (sequence.constraint !== undefined && sequence.constraint.mask === undefined) {
        this.#failSequence(sequence, "engine", "Cannot go on with answer: no token fits");
      }
    });
  }

  /** The step under way failed: so do its sequences, for which of them was to blame is unknown. */
  fail(message: string, now: number): void {
    const planned = this.#planned;
    this.#planned = [];
    for (const { sequence } of planned) {
      sequence.inStep = false;
      if (sequence.cancelled) this.#finish(sequence, "cancelled", now);
      else this.#failSequence(sequence, "engine", message);
    }
  }

  /** The engine is gone: everything fails. */
  failAll(message: string, now: number): void {
    this.fail(message, now);
    for (const sequence of [...this.#byId.values()]) {
      this.#failSequence(sequence, "engine", message);
    }
  }

  /** Events since the last call, in order. */
  takeDeliveries(): Delivery[] {
    const deliveries = this.#deliveries;
    this.#deliveries = [];
    return deliveries;
  }

  /** When the next deadline passes; `Infinity` without one. */
  nextDeadline(): number {
    let next = Infinity;
    for (const { request } of this.#byId.values()) next = Math.min(next, request.deadline);
    return next;
  }

  get sequenceCount(): number {
    return this.#byId.size;
  }

  status(): EngineStatus {
    const { pages, waiting, busyCount } = this.#batch;
    const unfinished = [...waiting, ...this.#batch.running()];
    return {
      queueCount: waiting.length,
      slotsBusy: busyCount,
      slotsMax: this.#options.slotsMax,
      pagesFree: pages.availableCount,
      pagesCached: pages.cachedCount,
      pagesMax: pages.pagesMax,
      contextTokensWaiting: unfinished.reduce(
        (sum, sequence) => sum + (sequence.inGeneration ? 0 : sequence.uncomputedCount),
        0,
      ),
    };
  }

  counters(): EngineCounters {
    const { prefixQueries, prefixHits, preemptions } = this.#batch;
    const acceptedByDepth = [...this.#counters.acceptedByDepth];
    const micros = { ...this.#counters.micros };
    return { ...this.#counters, micros, acceptedByDepth, prefixQueries, prefixHits, preemptions };
  }

  takeBlockReport(): BlockReport {
    return this.#batch.pages.takeReport();
  }

  storedBlocks(): BigUint64Array {
    return this.#batch.pages.storedBlocks();
  }

  /** Throws if any invariant is broken. */
  check(): void {
    this.#batch.check();
    const { waiting, busyCount } = this.#batch;
    assertEqual(this.#byId.size, waiting.length + busyCount, "a sequence waits or runs");
  }

  #expire(now: number): void {
    for (const sequence of [...this.#byId.values()]) {
      if (sequence.request.deadline > now) continue;
      this.#failSequence(sequence, "deadline", "Cannot go on with request: its deadline passed");
    }
  }

  #count(tokenCount: number, record: StepResult["records"][number]): void {
    const counters = this.#counters;
    counters.generatedTokens += tokenCount;
    counters.sequenceSteps++;
    if (record.draftedCount === 0) return;
    counters.draftCount++;
    counters.draftedTokens += record.draftedCount;
    counters.acceptedTokens += record.acceptedCount;
    for (let depth = 0; depth < record.acceptedCount; depth++) counters.acceptedByDepth[depth]++;
  }

  #finish(
    sequence: Sequence,
    reason: SequenceFinish["reason"],
    now: number,
    stopToken?: number,
  ): void {
    const finish = sequence.finish(reason, now, stopToken);
    this.#remove(sequence);
    this.#deliver(sequence, { kind: "finish", id: sequence.id, finish });
  }

  #failSequence(sequence: Sequence, code: EngineFailureCode, message: string): void {
    const replaySafe = code === "engine" && sequence.generatedCount === 0;
    this.#remove(sequence);
    this.#deliver(sequence, { kind: "failure", id: sequence.id, code, message, replaySafe });
  }

  #remove(sequence: Sequence): void {
    this.#batch.remove(sequence);
    assert(this.#byId.delete(sequence.id), "a sequence ends once");
  }

  #deliver(sequence: Sequence, event: EngineEvent): void {
    this.#deliveries.push({ sink: sequence.sink, event });
  }
}
