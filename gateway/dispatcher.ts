/** Brings a generation to a node, and to another one while nobody could tell. @module */
import type { FailureFrame, Sampling, SubmitFrame } from "../proto/frame_types.ts";
import { AnswerText } from "./answer_text.ts";
import { ApiError, badRequest, contextExceeded, internalError, queueFull } from "./errors.ts";
import { unavailable, upstreamError } from "./errors.ts";
import { CREDIT_TOKENS, Generation } from "./generation.ts";
import type { NodeLink } from "./node_link.ts";
import type { NodePool } from "./node_pool.ts";
import type { SpeculationParameters } from "./request_sampling.ts";
import type { ServedModel } from "./served_model.ts";

/** Nodes that one generation may be brought to, the first included. */
const ATTEMPTS_MAX = 3;

/** One choice, ready to run: every default applied. */
export interface GenerationSpec {
  model: ServedModel;
  tokens: Uint32Array;
  tokensMax: number;
  stop: readonly string[];
  stopTokens: readonly number[];
  sampling: Sampling;
  /** Whether the client gave the seed. */
  seeded: boolean;
  speculation: SpeculationParameters | undefined;
  /** Prefix pages are shared among equal salts alone. */
  salt: string;
  traceparent: string;
}

export interface DispatchEvents {
  onRetry(): void;
  onNode(link: NodeLink): void;
}

export class Dispatcher {
  readonly #pool: NodePool;
  readonly #deadlineMs: number;
  readonly #now: () => number;

  /** @param deadlineMs For a whole generation, from its first submit; 0 = none. */
  constructor(pool: NodePool, deadlineMs: number, now: () => number) {
    this.#pool = pool;
    this.#deadlineMs = deadlineMs;
    this.#now = now;
  }

  /** The generation starts at once; a failure to place it is its outcome.
   * @param onEnd Called once, when the outcome stands. */
  start(
    spec: GenerationSpec,
    events: DispatchEvents,
    onEnd: (generation: Generation) => void,
  ): Generation {
    const generation = new Generation({
      answerText: new AnswerText(spec.model.tokenText(), spec.stop),
      promptCount: spec.tokens.length,
      tokensMax: spec.tokensMax,
      wantTrace: spec.speculation?.trace ?? false,
      onEnd,
    });
    const blocks = spec.model.hashBlocks(spec.tokens, spec.salt);
    new Attempts(this.#pool, spec, blocks, generation, events, {
      deadlineAt: this.#deadlineMs === 0 ? Infinity : this.#now() + this.#deadlineMs,
      now: this.#now,
    }).next();
    return generation;
  }
}

interface Clock {
  deadlineAt: number;
  now: () => number;
}

/** The tries of one generation, one after another. */
class Attempts {
  readonly #tried = new Set<NodeLink>();
  #lastError: ApiError | undefined;

  constructor(
    readonly pool: NodePool,
    readonly spec: GenerationSpec,
    readonly blocks: BigUint64Array,
    readonly generation: Generation,
    readonly events: DispatchEvents,
    readonly clock: Clock,
  ) {}

  next(): void {
    const pick = this.#tried.size < ATTEMPTS_MAX
      ? this.pool.pick(this.spec.model, this.blocks, this.#tried)
      : { kind: "none" as const };
    if (pick.kind !== "node") {
      this.generation.fail(this.#lastError ?? (pick.kind === "full" ? queueFull() : noNode()));
      return;
    }
    if (this.#tried.size > 0) this.events.onRetry();
    this.#tried.add(pick.link);
    this.#submit(pick.link);
  }

  #submit(link: NodeLink): void {
    const { generation, spec } = this;
    const credit = Math.min(spec.tokensMax, CREDIT_TOKENS);
    const remainingMs = this.clock.deadlineAt - this.clock.now();
    const deadlineMs = Number.isFinite(remainingMs) ? Math.max(1, Math.ceil(remainingMs)) : 0;
    try {
      const stream = link.submit(submitFields(spec, credit, deadlineMs), {
        onTokens: (frame) => this.#contain(() => generation.tokens(frame)),
        onFinish: (frame) => this.#contain(() => generation.finish(frame)),
        onFailure: (frame) => this.#failed(failureError(frame, spec), frame.replaySafe),
        onLost: () => this.#failed(upstreamError("The connection to the node was lost."), true),
      });
      generation.attach(stream, credit);
      this.events.onNode(link);
    } catch (error) {
      // Bounds of the wire that the request's own bounds did not foresee.
      const message = error instanceof Error ? error.message : String(error);
      generation.fail(badRequest("invalid_value", `${message}.`));
    }
  }

  /** A throw here would otherwise end the node's socket, and with it everyone's streams. */
  #contain(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.generation.abort(internalError(error));
    }
  }

  /** Before the first token another node may start over; after it, the client has seen this one's
   * work and is told. */
  #failed(error: ApiError, replaySafe: boolean): void {
    if (this.generation.outcome !== undefined) return;
    if (!replaySafe || this.generation.started) {
      this.generation.fail(error);
      return;
    }
    this.#lastError = error;
    this.next();
  }
}

function submitFields(
  spec: GenerationSpec,
  credit: number,
  deadlineMs: number,
): Omit<SubmitFrame, "kind" | "streamId"> {
  const speculation = spec.speculation;
  const fixed = speculation?.mode === "fixed";
  return {
    tokens: spec.tokens,
    generatedCount: 0,
    tokensMax: spec.tokensMax,
    sampling: spec.sampling,
    stopTokens: spec.stopTokens,
    speculation: {
      mode: speculation?.mode ?? "default",
      beamWidth: fixed ? speculation.beamWidth : 0,
      beamLength: fixed ? speculation.beamLength : 0,
      packedMax: fixed ? speculation.packedMax : 0,
      wantTree: speculation?.trace ?? false,
    },
    credit,
    priority: 0,
    salt: spec.salt,
    traceparent: spec.traceparent,
    deadlineMs,
    ignorePrefix: false,
  };
}

function noNode(): ApiError {
  return unavailable("no_healthy_node", "No node that serves this model is available right now.");
}

function failureError(frame: FailureFrame, spec: GenerationSpec): ApiError {
  switch (frame.code) {
    case "bad_request":
      return badRequest("invalid_value", frame.message);
    case "context_overflow":
      return contextExceeded(spec.tokens.length, spec.model.card.contextMax, "messages");
    case "queue_full":
      return queueFull();
    case "draining":
      return unavailable("draining", "The node is shutting down. Please retry.");
    case "deadline":
      return new ApiError(504, "timeout_error", "request_timeout", "The request's time ran out.");
    default:
      return upstreamError("The node failed while it generated the answer.", frame.message);
  }
}
