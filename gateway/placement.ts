/** One generation on its way over nodes: where it is lost, another node goes on from its last token
 * with the same seed and position, so that the text is the one an undisturbed node would have
 * given. @module */
import type { Span } from "@opentelemetry/api";
import type { FailureFrame } from "../proto/frame_types.ts";
import type { Waiting } from "./admission_queue.ts";
import { type ApiError, badRequest, internalError, upstreamError } from "./errors.ts";
import { CREDIT_TOKENS, type Generation, type NodeStream } from "./generation.ts";
import type { GenerationSpec } from "./generation_spec.ts";
import type { NodeLink, OpenStream } from "./node_link.ts";
import type { PickRequest } from "./node_pool.ts";
import type { PrefixIndex } from "./prefix_index.ts";
import type { ServedModel } from "./served_model.ts";
import { failureError, nodeIsToBlame, submitFields } from "./submit.ts";
import { endNodeSpan, startNodeSpan, traceparentOf } from "./tracing.ts";

/** Tries in a row that brought no token: then the request itself may be what breaks nodes. */
const FRUITLESS_MAX = 3;
/** Nodes that one generation may be on in all. */
const TRIES_MAX = 16;
/** Beyond this, a longer answer is not more of a burden on others who wait. */
const COST_TOKENS_MAX = 1024;

export interface DispatchEvents {
  /** Another node is asked; `moved` if tokens had come already. */
  onRetry(moved: boolean): void;
  onHedge(): void;
  onNode(link: NodeLink): void;
}

/** What a placement asks of the dispatcher. */
export interface PlacementHost {
  now(): number;
  random(): number;
  /** It needs a node: now, or when there is one. */
  enter(placement: Placement): void;
  /** Its outcome stands. */
  left(placement: Placement): void;
  /** Whether a failure may be tried again elsewhere. */
  mayRetry(): boolean;
  readonly prefixes: PrefixIndex;
}

export interface PlacementTimes {
  /** When the whole generation must be over; `Infinity`: never. */
  deadlineAt: number;
  firstTokenMs: number;
  gapMs: number;
  /** 0: no second node is asked for a slow first token. */
  hedgeMs: number;
}

/** A stream on one node. */
interface Try {
  link: NodeLink;
  stream: OpenStream | undefined;
  startedAt: number;
  /** Of the last frame, or of the last credit. */
  heardAt: number;
  /** Blocks of the prompt that the node was thought to hold. */
  matched: number;
  span: Span;
}

export class Placement implements NodeStream, Waiting, PickRequest {
  readonly tenant: string;
  readonly priority: number;
  readonly cost: number;
  readonly createdAt: number;
  /** Nodes that failed it, by their connection then: they are asked no more, but one that was lost
   * and came back is as good as new. */
  readonly #avoided = new Map<NodeLink, number>();
  /** Until when it may wait for a node; set by the dispatcher. */
  waitsUntil = Infinity;
  lastError: ApiError | undefined;
  /** Several when hedged, until a token comes. */
  readonly #tries = new Set<Try>();
  #backend: string | undefined;
  #triesCount = 0;
  #fruitless = 0;
  #hedged = false;

  constructor(
    readonly spec: GenerationSpec,
    readonly blocks: BigUint64Array,
    readonly generation: Generation,
    readonly events: DispatchEvents,
    readonly times: PlacementTimes,
    readonly host: PlacementHost,
  ) {
    this.tenant = spec.salt;
    this.priority = spec.priority;
    this.cost = spec.tokens.length + Math.min(spec.tokensMax, COST_TOKENS_MAX);
    this.createdAt = host.now();
  }

  /** Nodes were at work on it: it comes before what has not begun. */
  get isUnderWay(): boolean {
    return this.#triesCount > 0;
  }

  /** The backend that its tokens came from: another one might draw others. */
  get backend(): string | undefined {
    return this.generation.started ? this.#backend : undefined;
  }

  get session(): string | undefined {
    return this.spec.session;
  }

  get nodeIndex(): number | undefined {
    return this.spec.nodeIndex;
  }

  get model(): ServedModel {
    return this.spec.model;
  }

  /** Whether a further try must not go to `link`. */
  excludes(link: NodeLink): boolean {
    if (this.#avoided.get(link) === link.connectCount) return true;
    for (const attempt of this.#tries) if (attempt.link === link) return true;
    return false;
  }

  submit(link: NodeLink): void {
    const { generation, spec, host } = this;
    if (this.#triesCount > 0 && !this.#hedged) this.events.onRetry(generation.started);
    ++this.#triesCount;
    const now = host.now();
    const matched = host.prefixes.matched(link.url, this.blocks);
    const span = startNodeSpan(spec.traceparent, link.url, this.#triesCount);
    const attempt: Try = { link, stream: undefined, startedAt: now, heardAt: now, matched, span };
    const credit = Math.min(generation.remainingCount, CREDIT_TOKENS);
    const remainingMs = this.times.deadlineAt - now;
    const deadlineMs = Number.isFinite(remainingMs) ? Math.max(1, Math.ceil(remainingMs)) : 0;
    this.#tries.add(attempt);
    try {
      const fields = submitFields(spec, generation.history, credit, deadlineMs);
      fields.traceparent = traceparentOf(span);
      attempt.stream = link.submit(fields, {
        onTokens: (frame) => this.#take(attempt, () => generation.tokens(frame)),
        onFinish: (frame) => {
          const isCurrent = this.#take(attempt, () => generation.finish(frame));
          if (!isCurrent) return;
          link.circuit.succeeded();
          // One more than it says: to draw from it, a node computes the last token anew.
          const held = Math.floor(frame.cachedCount / spec.model.pageTokens) + 1;
          host.prefixes.correct(link.url, this.blocks, matched, held);
        },
        onFailure: (frame) => this.#refused(attempt, frame),
        onLost: () => this.#failed(attempt, upstreamError("The connection to the node was lost.")),
      });
    } catch (error) {
      // Bounds of the wire that the request's own bounds did not foresee.
      const message = error instanceof Error ? error.message : String(error);
      return generation.fail(badRequest("invalid_value", `${message}.`));
    }
    host.prefixes.assume(link.url, this.blocks);
    link.circuit.started(now);
    if (this.#tries.size === 1) generation.submitted(credit);
    this.#backend = link.welcome?.backend;
    this.events.onNode(link);
  }

  /** A client takes tokens, so the node may send more. */
  grant(tokens: number): void {
    for (const attempt of this.#tries) {
      attempt.heardAt = this.host.now();
      attempt.stream?.grant(tokens);
    }
  }

  /** Nobody wants the rest. */
  cancel(): void {
    for (const { stream, link } of this.#tries) {
      stream?.cancel();
      link.circuit.unknown();
    }
  }

  /** The outcome stands: whatever still runs for it is stopped. */
  ended(): void {
    const { outcome } = this.generation;
    const error = outcome?.kind === "failure" ? outcome.error : undefined;
    for (const { span } of this.#tries) endNodeSpan(span, error);
    this.#tries.clear();
    this.host.left(this);
  }

  /** Looks at the clock: too slow a node is left, and a second one asked if that is wanted.
   * @returns Whether a second node should be asked. */
  check(now: number): boolean {
    const { firstTokenMs, gapMs, hedgeMs } = this.times;
    const { generation } = this;
    for (const attempt of [...this.#tries]) {
      // A reader who lags, not the node, is what is waited for.
      if (!generation.hasCredit || generation.isStopping) attempt.heardAt = now;
      const silentMs = now - attempt.heardAt;
      const limitMs = attempt.heardAt === attempt.startedAt ? firstTokenMs : gapMs;
      if (limitMs === 0 || silentMs < limitMs) continue;
      attempt.stream?.cancel();
      this.#blame(attempt, upstreamError(`The node sent nothing for ${Math.round(silentMs)} ms.`));
    }
    const [only] = this.#tries;
    return hedgeMs > 0 && !this.#hedged && this.#tries.size === 1 && !generation.started &&
      this.#triesCount === 1 && now - only!.startedAt >= hedgeMs;
  }

  hedge(link: NodeLink): void {
    this.#hedged = true;
    this.events.onHedge();
    this.submit(link);
  }

  /** @returns Whether the frame was of the node that leads. */
  #take(attempt: Try, act: () => void): boolean {
    if (!this.#tries.has(attempt)) return false;
    attempt.heardAt = this.host.now();
    this.#fruitless = 0;
    if (this.#tries.size > 1) this.#lead(attempt);
    // A throw here would otherwise end the node's socket, and with it everyone's streams.
    try {
      act();
    } catch (error) {
      this.generation.abort(internalError(error));
    }
    return true;
  }

  /** The first to send is kept. */
  #lead(leader: Try): void {
    for (const attempt of this.#tries) {
      if (attempt === leader) continue;
      attempt.stream?.cancel();
      attempt.link.circuit.unknown();
      this.#drop(attempt);
    }
    this.#backend = leader.link.welcome?.backend;
    this.events.onNode(leader.link);
  }

  #refused(attempt: Try, frame: FailureFrame): void {
    if (!this.#tries.has(attempt)) return;
    const error = failureError(frame, this.spec);
    const mayMove = frame.replaySafe || (this.generation.started && frame.code === "engine");
    if (!mayMove && this.#tries.size === 1) {
      if (nodeIsToBlame(frame.code)) {
        attempt.link.circuit.failed(this.host.now(), this.host.random());
      }
      return this.generation.fail(error);
    }
    if (nodeIsToBlame(frame.code)) return this.#blame(attempt, error);
    this.#avoided.set(attempt.link, attempt.link.connectCount);
    this.#failed(attempt, error);
  }

  #blame(attempt: Try, error: ApiError): void {
    attempt.link.circuit.failed(this.host.now(), this.host.random());
    this.#avoided.set(attempt.link, attempt.link.connectCount);
    if (this.#tries.size === 1 && !this.generation.isStopping && !this.host.mayRetry()) {
      this.#drop(attempt, error);
      return this.generation.fail(error);
    }
    this.#failed(attempt, error);
  }

  /** One node is out; unless another is at work on it, a further one is looked for. */
  #failed(attempt: Try, error: ApiError): void {
    if (!this.#drop(attempt, error) || this.#tries.size > 0) return;
    const { generation } = this;
    if (generation.outcome !== undefined) return;
    this.lastError = error;
    this.#hedged = false;
    if (generation.isStopping || generation.remainingCount <= 0) return generation.complete();
    ++this.#fruitless;
    if (this.#fruitless >= FRUITLESS_MAX || this.#triesCount >= TRIES_MAX) {
      return generation.fail(error);
    }
    this.host.enter(this);
  }

  #drop(attempt: Try, error?: ApiError): boolean {
    endNodeSpan(attempt.span, error);
    return this.#tries.delete(attempt);
  }
}
