/** Brings generations to nodes: at once, after a wait in turn, or again when a node is lost.
 * @module */
import { AdmissionQueue, DrainRate } from "./admission_queue.ts";
import { AnswerText } from "./answer_text.ts";
import { RetryBudget } from "./circuit.ts";
import { nodeFull, noNode, queueTimedOut, tooManyWaiting, unavailable } from "./errors.ts";
import { Generation } from "./generation.ts";
import type { GenerationSpec } from "./generation_spec.ts";
import type { NodePool } from "./node_pool.ts";
import { type DispatchEvents, Placement, type PlacementHost } from "./placement.ts";
import type { PrefixIndex } from "./prefix_index.ts";
import { recordWait } from "./tracing.ts";

const CHECK_MS = 100;
const RETRY_MS_LEAST = 1000;
const RETRY_MS_MOST = 60_000;

export interface DispatcherOptions {
  /** For a whole generation, from its start; 0 = none. */
  deadlineMs: number;
  /** Requests that may wait for a node. */
  queueMax: number;
  /** How long one may wait. */
  queueMs: number;
  /** How long a generation that lost its node may wait for another. */
  failoverMs: number;
  firstTokenMs: number;
  gapMs: number;
  hedgeMs: number;
  now: () => number;
  random: () => number;
  /** A request that waited has a node. */
  onPlaced: (waitedMs: number) => void;
  /** A request was turned away. */
  onShed: (reason: "full" | "slow" | "timeout") => void;
}

export type DispatchLimits = Omit<DispatcherOptions, "now" | "random" | "onPlaced" | "onShed">;

/** Those who wait for one model. */
interface Line {
  queue: AdmissionQueue<Placement>;
  rate: DrainRate;
}

export class Dispatcher implements PlacementHost {
  readonly #pool: NodePool;
  #options: DispatcherOptions;
  /** By model digest: one model's full nodes must not hold up another's. Dropped when empty. */
  readonly #lines = new Map<string, Line>();
  /** They lost their node, and no other one can go on with them yet. */
  readonly #stranded = new Set<Placement>();
  readonly #active = new Set<Placement>();
  readonly #retries = new RetryBudget();
  #timer: ReturnType<typeof setInterval> | undefined;
  #pumping = false;

  constructor(pool: NodePool, options: DispatcherOptions) {
    this.#pool = pool;
    this.#options = options;
    pool.onCapacity = () => this.#pump();
  }

  get waitingCount(): number {
    let count = 0;
    for (const { queue } of this.#lines.values()) count += queue.size;
    return count;
  }

  get strandedCount(): number {
    return this.#stranded.size;
  }

  /** The generation starts at once or waits; a failure to place it is its outcome.
   * @param onEnd Called once, when the outcome stands. */
  start(
    spec: GenerationSpec,
    events: DispatchEvents,
    onEnd: (generation: Generation) => void,
  ): Generation {
    const { deadlineMs, firstTokenMs, gapMs, hedgeMs } = this.#options;
    const wantTrace = spec.speculation?.trace ?? false;
    const generation = new Generation({
      answerText: new AnswerText(spec.model.tokenText(), spec.stop, wantTrace),
      promptCount: spec.tokens.length,
      tokensMax: spec.tokensMax,
      wantTrace,
      onEnd: (ended) => {
        placement.ended();
        onEnd(ended);
      },
    });
    const blocks = spec.model.hashBlocks(spec.tokens, spec.salt);
    const deadlineAt = deadlineMs === 0 ? Infinity : this.now() + deadlineMs;
    const times = { deadlineAt, firstTokenMs, gapMs, hedgeMs };
    const placement = new Placement(spec, blocks, generation, events, times, this);
    generation.attach(placement);
    this.#active.add(placement);
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    this.#retries.request();
    this.enter(placement);
    return generation;
  }

  /** What is under way keeps its times. */
  reconfigure(limits: DispatchLimits): void {
    this.#options = { ...this.#options, ...limits };
  }

  get prefixes(): PrefixIndex {
    return this.#pool.prefixes;
  }

  now(): number {
    return this.#options.now();
  }

  random(): number {
    return this.#options.random();
  }

  mayRetry(): boolean {
    return this.#retries.take();
  }

  enter(placement: Placement): void {
    const pick = this.#pool.pick(placement);
    // Nobody overtakes those who wait, but who was under way before is not behind them.
    const isTurn = placement.isUnderWay || !this.#lines.has(digestOf(placement));
    if (pick.kind === "node" && isTurn) return placement.submit(pick.link);
    if (placement.isUnderWay) return this.#strand(placement, pick.kind === "none");
    if (pick.kind === "none") return placement.generation.fail(noNode());
    // One node's room is not the line's: it would hold up those whom any node can take.
    if (placement.nodeIndex !== undefined) {
      this.#options.onShed("full");
      return placement.generation.fail(nodeFull());
    }
    this.#enqueue(placement);
  }

  left(placement: Placement): void {
    this.#active.delete(placement);
    this.#stranded.delete(placement);
    const line = this.#lines.get(digestOf(placement));
    if (line?.queue.remove(placement)) this.#dropIfEmpty(digestOf(placement), line);
    if (this.#active.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Ends what waits; what runs ends with its links. */
  close(): void {
    for (const placement of [...this.#active]) {
      placement.generation.abort(unavailable("draining", "The gateway is shutting down."));
    }
  }

  /** @param isAlone There is no node that could take it, not even a full one. */
  #strand(placement: Placement, isAlone: boolean): void {
    // Where every node failed it there is nothing to wait for; where nodes are away, there is.
    if (isAlone && !this.#pool.isAwaited(placement)) {
      return placement.generation.fail(placement.lastError ?? noNode());
    }
    placement.waitsUntil = this.now() + this.#options.failoverMs;
    this.#stranded.add(placement);
  }

  #enqueue(placement: Placement): void {
    const { queueMs, queueMax, onShed } = this.#options;
    const now = this.now();
    const digest = digestOf(placement);
    let line = this.#lines.get(digest);
    if (line === undefined) {
      line = { queue: new AdmissionQueue(queueMax), rate: new DrainRate(now) };
      this.#lines.set(digest, line);
    }
    const { queue, rate } = line;
    const perSecond = rate.perSecond(now);
    const waitMs = perSecond === undefined ? 0 : queue.size / Math.max(perSecond, 0.01) * 1000;
    const isHopeless = waitMs > queueMs && queue.isLast(placement);
    const shed = isHopeless ? placement : queue.push(placement);
    placement.waitsUntil = Math.min(now + queueMs, placement.times.deadlineAt);
    this.#dropIfEmpty(digest, line);
    if (shed === undefined) return;
    onShed(isHopeless ? "slow" : "full");
    const retryMs = Math.min(Math.max(waitMs, RETRY_MS_LEAST), RETRY_MS_MOST);
    shed.generation.fail(tooManyWaiting(retryMs));
  }

  #dropIfEmpty(digest: string, line: Line): void {
    if (line.queue.size === 0) this.#lines.delete(digest);
  }

  /** A node may have room: those under way first, then whose turn it is. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (const placement of [...this.#stranded]) {
        const pick = this.#pool.pick(placement);
        if (pick.kind !== "node") continue;
        this.#stranded.delete(placement);
        placement.submit(pick.link);
      }
      for (const [digest, line] of [...this.#lines]) {
        this.#pumpLine(line);
        this.#dropIfEmpty(digest, line);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #pumpLine({ queue, rate }: Line): void {
    for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
      const pick = this.#pool.pick(next);
      if (pick.kind !== "node") return;
      queue.take();
      const now = this.now();
      rate.taken(now);
      this.#options.onPlaced(now - next.createdAt);
      recordWait(next.spec.traceparent, now - next.createdAt);
      next.submit(pick.link);
    }
  }

  #check(): void {
    const now = this.now();
    for (const placement of [...this.#active]) {
      if (!placement.check(now)) continue;
      const pick = this.#pool.pick(placement);
      if (pick.kind === "node") placement.hedge(pick.link);
    }
    for (const placement of [...this.#stranded]) {
      if (placement.waitsUntil <= now) placement.generation.fail(placement.lastError ?? noNode());
    }
    for (const { queue } of [...this.#lines.values()]) {
      for (const placement of [...queue]) {
        if (placement.waitsUntil > now) continue;
        this.#options.onShed("timeout");
        placement.generation.fail(queueTimedOut());
      }
    }
    this.#pump(); // A circuit may have half opened, which no frame tells of.
  }
}

function digestOf(placement: Placement): string {
  return placement.model.card.digest;
}
