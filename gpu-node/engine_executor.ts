/** The executor engine: TensorRT-LLM batches, keeps KV pages and drafts itself; here requests
 * become its own, and its events ours. What it cannot do is refused by the field's name.
 *
 * Draft trees are of the size that the engine was built with, so budgets are passed over: they
 * never change output. Stop tokens past the first are found here, a step late.
 * @module */

import type {
  BlockReport,
  Engine,
  EngineCounters,
  EngineFailureCode,
  EngineStatus,
  EventSink,
  ModelInfo,
  SequenceFinish,
  SequenceRequest,
} from "./engine.ts";
import type { ExecutorEvent, FfiExecutor } from "./executor_ffi.ts";
import { emptyCounters, unsupportedField } from "./executor_request.ts";
import { requestProblem } from "./request_check.ts";

const DRAIN_TIMEOUT_MS = 25;
const NO_BLOCKS = new BigUint64Array(0);

export interface ExecutorScheduling {
  /** Sequences past those that the engine runs at once; 256 by default. */
  queueMax?: number;
}

interface Running {
  /** Its name at the executor, where it may outlive its end here. */
  nativeId: number;
  request: SequenceRequest;
  sink: EventSink;
  startedAt: number;
  firstAt: number;
  generated: number;
  steps: number;
  accepted: number;
  paused: boolean;
  cancelled: boolean;
  /** Our side has ended; the executor's final event is still to come. */
  ended: boolean;
  /** Events that came while it was paused; at most its tokens. */
  held: ExecutorEvent[];
}

export class ExecutorEngine implements Engine {
  readonly ended: Promise<void>;
  /** By their names at the executor, until its final event. */
  readonly #running = new Map<number, Running>();
  /** By the caller's, until they end here. */
  readonly #byId = new Map<number, Running>();
  #lastId = 0;
  readonly #counters = emptyCounters();
  #wake: (() => void) | undefined;
  #draining = false;
  #closing = false;

  constructor(
    readonly model: ModelInfo,
    readonly executor: FfiExecutor,
    readonly scheduling: ExecutorScheduling = {},
  ) {
    this.ended = this.#run();
    // Whoever awaits it sees the rejection; nobody is obliged to.
    this.ended.catch(() => {});
  }

  submit(request: SequenceRequest, sink: EventSink): void {
    const refuse = (code: EngineFailureCode, message: string, replaySafe = false) =>
      sink({ kind: "failure", id: request.id, code, message, replaySafe });
    const { vocabSize, contextMax, slotsMax } = this.model;
    const problem = requestProblem(request, { vocabSize, contextMax });
    if (problem) return refuse(problem.code, problem.message);
    const field = unsupportedField(request);
    if (field) return refuse("bad_request", `Cannot run request: trtllm does not apply ${field}`);
    if (this.executor.info.greedy && request.sampling.temperature > 0) {
      return refuse("bad_request", "Cannot run request: the engine was built for temperature 0");
    }
    if (this.#byId.has(request.id)) {
      return refuse("bad_request", `Cannot run request: ${request.id} runs already`);
    }
    if (this.#draining || this.#closing) {
      return refuse("draining", "Cannot run request: the node is draining", true);
    }
    const queued = this.#running.size - slotsMax;
    if (queued >= (this.scheduling.queueMax ?? 256)) {
      return refuse("queue_full", `Cannot run request: ${queued} wait already`, true);
    }
    const now = performance.now();
    if (request.deadline <= now) return refuse("deadline", "Cannot run request: it is too late");
    const nativeId = ++this.#lastId;
    try {
      this.#submit(nativeId, request);
    } catch (error) {
      return refuse("engine", (error as Error).message, true);
    }
    const running: Running = {
      ...{ nativeId, request, sink, startedAt: now, firstAt: NaN, generated: 0, steps: 0 },
      ...{ accepted: 0, paused: false, cancelled: false, ended: false, held: [] },
    };
    this.#running.set(nativeId, running);
    this.#byId.set(request.id, running);
    this.#counters.promptTokens += request.tokens.length;
    this.#wake?.();
  }

  #submit(id: number, request: SequenceRequest): void {
    const { tokens, tokensMax, sampling, stopTokens, priority } = request;
    const [endToken] = stopTokens;
    this.executor.submit({
      id,
      tokens,
      tokensMax: Math.min(tokensMax, this.model.contextMax - tokens.length),
      temperature: sampling.temperature,
      seedLow: sampling.seedLow,
      seedHigh: sampling.seedHigh,
      ...(endToken === undefined ? {} : { endToken }),
      priority: 0.5 + 0.5 * Math.tanh(priority / 8),
    });
  }

  cancel(id: number): void {
    const running = this.#byId.get(id);
    if (running === undefined || running.cancelled) return;
    running.cancelled = true;
    this.executor.cancel(running.nativeId);
  }

  /** Its events are held; the executor itself cannot pause. */
  setPaused(id: number, paused: boolean): void {
    const running = this.#byId.get(id);
    if (running === undefined) return;
    running.paused = paused;
    if (paused) return;
    for (const event of running.held.splice(0)) this.#take(running, event);
  }

  drain(): void {
    this.#draining = true;
  }

  status(): EngineStatus {
    const { active, queued, pages_max, pages_free } = this.executor.stats();
    const { pagesMax } = this.model;
    const waiting = [...this.#running.values()].filter(({ steps }) => steps === 0);
    return {
      queueCount: queued,
      slotsBusy: Math.min(active, this.model.slotsMax),
      slotsMax: this.model.slotsMax,
      // Before its first iteration it has not told.
      pagesFree: pages_max === 0 ? pagesMax : pages_free,
      pagesCached: 0,
      pagesMax: pages_max === 0 ? pagesMax : pages_max,
      contextTokensWaiting: waiting.reduce((sum, { request }) => sum + request.tokens.length, 0),
    };
  }

  counters(): EngineCounters {
    return { ...this.#counters, acceptedByDepth: [...this.#counters.acceptedByDepth] };
  }

  /** TensorRT-LLM keeps its prefixes to itself. */
  takeBlockReport = (): BlockReport => ({ stored: NO_BLOCKS, removed: NO_BLOCKS });
  storedBlocks = (): BigUint64Array => NO_BLOCKS;

  async close(): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    await this.ended.catch(() => {});
    await this.executor.close();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closing) {
        if (this.#running.size === 0) await this.#idle();
        else {
          for (const event of await this.executor.drain(DRAIN_TIMEOUT_MS)) this.#dispatch(event);
          this.#expire();
        }
      }
    } finally {
      this.#closing = true;
      const why = "Cannot go on with request: the engine is closing";
      for (const running of this.#running.values()) this.#fail(running, "engine", why, true);
      this.#running.clear();
    }
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #expire(): void {
    const now = performance.now();
    for (const running of this.#running.values()) {
      if (running.ended || running.request.deadline > now) continue;
      this.#fail(running, "deadline", "Cannot go on with request: its deadline has passed", false);
      this.executor.cancel(running.nativeId);
    }
  }

  #dispatch(event: ExecutorEvent): void {
    const running = this.#running.get(event.id);
    if (running === undefined) return;
    if (event.kind !== "tokens") this.#running.delete(event.id);
    if (running.ended) return;
    if (running.paused && event.reason !== "cancelled") running.held.push(event);
    else this.#take(running, event);
    // A paused one is out of the table when its last event is held: it keeps itself alive.
    if (running.held.length > 0 && event.kind !== "tokens") this.#running.set(event.id, running);
  }

  #take(running: Running, event: ExecutorEvent): void {
    if (running.ended) return;
    this.#counters.stepCount = Math.max(this.#counters.stepCount, event.iterations);
    const stopAt = event.tokens.findIndex((token) => running.request.stopTokens.has(token));
    const tokens = [...(stopAt < 0 ? event.tokens : event.tokens.subarray(0, stopAt))];
    const last = event.kind !== "tokens";
    if (tokens.length > 0 || stopAt >= 0) this.#step(running, tokens);
    if (stopAt >= 0) {
      this.#finish(running, "stop", event.tokens[stopAt]);
      if (!last) this.executor.cancel(event.id);
    } else if (event.kind === "failure") this.#fail(running, "engine", event.message, true);
    else if (last) this.#end(running, event);
    if (last) this.#running.delete(event.id);
  }

  #end(running: Running, { reason }: ExecutorEvent): void {
    const [endToken] = running.request.stopTokens;
    if (running.cancelled) this.#finish(running, "cancelled");
    else if (reason === "end") this.#finish(running, "stop", endToken);
    else if (reason === "length") this.#finish(running, "length");
    else this.#fail(running, "engine", `Cannot go on with request: it ended (${reason})`, true);
  }

  #step(running: Running, tokens: number[]): void {
    const counters = this.#counters;
    if (running.steps === 0) running.firstAt = performance.now();
    const acceptedCount = Math.max(0, tokens.length - 1);
    const { beams, draft_length } = this.executor.info;
    // The first token comes of the context, without a tree.
    const draftedCount = running.steps === 0 ? 0 : beams * draft_length;
    running.steps++;
    running.generated += tokens.length;
    running.accepted += acceptedCount;
    counters.generatedTokens += tokens.length;
    counters.sequenceSteps++;
    counters.draftedTokens += draftedCount;
    counters.acceptedTokens += acceptedCount;
    if (draftedCount > 0) counters.draftCount++;
    for (let depth = 0; depth < acceptedCount; depth++) {
      counters.acceptedByDepth[depth] = (counters.acceptedByDepth[depth] ?? 0) + 1;
    }
    const step = { tokens, logprobs: [], draftedCount, acceptedCount, tree: [] };
    running.sink({ kind: "step", id: running.request.id, step });
  }

  #finish(running: Running, reason: SequenceFinish["reason"], stopToken?: number): void {
    this.#forget(running);
    const { request, startedAt, firstAt, generated, steps, accepted } = running;
    const { beams, draft_length } = this.executor.info;
    const now = performance.now();
    const finish: SequenceFinish = {
      reason,
      ...(stopToken === undefined ? {} : { stopToken }),
      promptCount: request.tokens.length,
      generatedCount: generated,
      cachedCount: 0,
      draftedCount: Math.max(0, steps - 1) * beams * draft_length,
      acceptedCount: accepted,
      stepCount: steps,
      queueMs: 0, // Not told apart from the context's time.
      contextMs: (steps > 0 ? firstAt : now) - startedAt,
      generationMs: steps > 0 ? now - firstAt : 0,
    };
    running.sink({ kind: "finish", id: request.id, finish });
  }

  #forget(running: Running): void {
    running.ended = true;
    this.#byId.delete(running.request.id);
  }

  #fail(running: Running, code: EngineFailureCode, message: string, replaySafe: boolean): void {
    if (running.ended) return;
    this.#forget(running);
    running.sink({ kind: "failure", id: running.request.id, code, message, replaySafe });
  }
}
