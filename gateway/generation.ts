/** One choice being generated: what has come of it so far, for any number of readers. @module */
import type { FinishFrame, StepTrace, TokensFrame } from "../proto/frame_types.ts";
import type { AnswerText, LogprobEntry } from "./answer_text.ts";
import { type ApiError, upstreamError } from "./errors.ts";
import { addFinish, type GenerationUsage, NO_USAGE } from "./generation_usage.ts";

/** Tokens that a node may run ahead of the reader who is furthest on. */
export const CREDIT_TOKENS = 1024;
/** After a stop string, how long to wait for the node's own counts. */
const STOP_WAIT_MS = 1000;

export interface TracedToken {
  token: number;
  end: number;
}

/** Text that became showable at once, with what belongs to it. */
export interface Piece {
  text: string;
  entries: readonly LogprobEntry[];
  /** With a trace asked for: the steps that the tokens came from. */
  steps: readonly StepTrace[];
  /** With a trace asked for: the tokens that came, and where in the answer their text ends. */
  tokens?: readonly TracedToken[];
  /** Tokens behind it, held-back ones included. */
  tokenCount: number;
}

export type Outcome =
  | { kind: "finish"; reason: "stop" | "length"; usage: GenerationUsage }
  | { kind: "failure"; error: ApiError };

/** Whoever brings the tokens: one node after another. */
export interface NodeStream {
  grant(tokens: number): void;
  cancel(): void;
}

export interface GenerationOptions {
  /** None where no token will come. */
  answerText?: AnswerText;
  promptCount: number;
  tokensMax: number;
  wantTrace: boolean;
  /** Called once, when the outcome stands. */
  onEnd?: (generation: Generation) => void;
}

/** Bounded by `tokensMax`: a reader who lags finds every piece still here. */
export class Generation {
  readonly pieces: Piece[] = [];
  outcome: Outcome | undefined;
  /** Characters and entries held, for a cache's accounts. */
  textLength = 0;
  entryCount = 0;
  readonly #options: GenerationOptions;
  readonly #readers = new Set<GenerationReader>();
  /** Exact once a finish stands; until then, what has come. */
  readonly usage: GenerationUsage;
  #stream: NodeStream | undefined;
  /** Tokens drawn so far: another node goes on from them. */
  #history: number[] = [];
  /** What there was when the node that works on it now took it. */
  #before: GenerationUsage;
  #granted = 0;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: GenerationOptions) {
    this.#options = options;
    this.usage = { ...NO_USAGE, promptCount: options.promptCount };
    this.#before = { ...this.usage };
  }

  /** One that is over, as it was kept elsewhere. */
  static finished(
    pieces: readonly Piece[],
    reason: "stop" | "length",
    usage: GenerationUsage,
  ): Generation {
    const { promptCount } = usage;
    const generation = new Generation({ promptCount, tokensMax: 0, wantTrace: false });
    Object.assign(generation.usage, usage);
    for (const { text, entries, steps, tokenCount } of pieces) {
      generation.#append(text, entries, steps, tokenCount);
    }
    generation.outcome = { kind: "finish", reason, usage: generation.usage };
    return generation;
  }

  /** Whether a token has come. */
  get started(): boolean {
    return this.usage.generatedCount > 0;
  }

  get history(): readonly number[] {
    return this.#history;
  }

  get remainingCount(): number {
    return this.#options.tokensMax - this.usage.generatedCount;
  }

  /** A stop string has come: the text is complete, only the node's counts are waited for. */
  get isStopping(): boolean {
    return this.#stopTimer !== undefined && this.outcome === undefined;
  }

  /** Whether a node may send more now. */
  get hasCredit(): boolean {
    return this.#granted > this.usage.generatedCount;
  }

  attach(stream: NodeStream): void {
    this.#stream = stream;
  }

  /** A node takes it, from the first token or from where another one stopped: `credit` tokens are
   * granted with the Submit itself. */
  submitted(credit: number): void {
    this.#before = { ...this.usage };
    this.#granted = this.usage.generatedCount + credit;
  }

  read(wake: () => void): GenerationReader {
    const reader = new GenerationReader(this, wake, (left) => {
      this.#readers.delete(left);
      if (this.#readers.size === 0) this.#abandon();
    });
    this.#readers.add(reader);
    return reader;
  }

  tokens(frame: TokensFrame): void {
    if (this.outcome !== undefined || this.#stopTimer !== undefined) return;
    const cameCount = this.usage.generatedCount - this.#before.generatedCount;
    if (frame.firstIndex !== cameCount) {
      const came = `token ${frame.firstIndex} came after ${cameCount} tokens`;
      this.abort(upstreamError(`The node's answer has a gap: ${came}.`));
      return;
    }
    const part = this.#options.answerText!.push(frame.tokens, frame.logprobs);
    for (const token of frame.tokens) this.#history.push(token);
    this.usage.generatedCount += part.tokenCount;
    for (const step of frame.steps) {
      ++this.usage.stepCount;
      this.usage.draftedCount += step.draftedCount;
      this.usage.acceptedCount += step.acceptedCount;
    }
    const steps = this.#options.wantTrace ? frame.steps : [];
    this.#append(part.text, part.entries, steps, part.tokenCount);
    if (part.ends !== undefined) {
      const tokens = part.ends.map((end, i) => ({ token: frame.tokens[i]!, end }));
      Object.assign(this.pieces.at(-1)!, { tokens });
    }
    if (part.stopped) {
      this.#stream?.cancel();
      this.#stopTimer = setTimeout(() => this.#finish("stop"), STOP_WAIT_MS);
    }
    this.#wake();
  }

  finish(frame: FinishFrame): void {
    if (this.outcome !== undefined) return;
    const before = this.#before;
    const generatedCount = this.usage.generatedCount - before.generatedCount;
    const stopped = this.#stopTimer !== undefined;
    if (frame.reason === "cancelled" && !stopped) {
      this.fail(upstreamError("The node ended the generation before it was complete."));
      return;
    }
    const stopTokenCount = frame.stopToken === undefined ? 0 : 1; // A node may count it or not.
    if (!stopped && frame.generatedCount > generatedCount + stopTokenCount) {
      const came = `${generatedCount} of ${frame.generatedCount} tokens came`;
      this.fail(upstreamError(`The node's answer is incomplete: ${came}.`));
      return;
    }
    addFinish(this.usage, before, frame);
    let reason: "stop" | "length" = frame.reason === "length" && !stopped ? "length" : "stop";
    if (!stopped) {
      const rest = this.#options.answerText!.flush();
      this.#append(rest.text, rest.entries, [], 0);
      if (rest.stopped) reason = "stop";
    }
    this.#finish(reason);
  }

  /** All its tokens, or its stop string, have come; the node that would have said so is lost. */
  complete(): void {
    if (this.outcome !== undefined) return;
    if (this.isStopping) return this.#finish("stop");
    const rest = this.#options.answerText!.flush();
    this.#append(rest.text, rest.entries, [], 0);
    this.#finish(rest.stopped ? "stop" : "length");
  }

  /** The node is done with it, or was never reached. */
  fail(error: ApiError): void {
    this.#end({ kind: "failure", error });
  }

  /** As `fail()`, while the node still works on it. */
  abort(error: ApiError): void {
    this.#stream?.cancel();
    this.fail(error);
  }

  /** @param tokenCount Tokens that the reader who is furthest on has taken. */
  consumed(tokenCount: number): void {
    const room = this.#granted - tokenCount;
    if (room > CREDIT_TOKENS / 2 || this.outcome !== undefined) return;
    const more = Math.min(CREDIT_TOKENS - room, this.#options.tokensMax - this.#granted);
    if (more <= 0) return;
    this.#granted += more;
    this.#stream?.grant(more);
  }

  #finish(reason: "stop" | "length"): void {
    this.#end({ kind: "finish", reason, usage: this.usage });
  }

  #end(outcome: Outcome): void {
    if (this.outcome !== undefined) return;
    this.outcome = outcome;
    clearTimeout(this.#stopTimer);
    this.#stream = undefined;
    this.#history = [];
    this.#options.answerText?.free();
    this.#options.onEnd?.(this);
    this.#wake();
  }

  /** The last reader left: nobody wants the rest, so the node's slot is free again. */
  #abandon(): void {
    if (this.outcome !== undefined) return;
    this.abort(upstreamError("Every reader left the generation."));
  }

  #append(
    text: string,
    entries: readonly LogprobEntry[],
    steps: readonly StepTrace[],
    tokenCount: number,
  ): void {
    this.textLength += text.length;
    this.entryCount += entries.length;
    this.pieces.push({ text, entries, steps, tokenCount });
  }

  #wake(): void {
    for (const reader of this.#readers) reader.wake();
  }
}

/** Reads a generation from its first piece, at its own pace. */
export class GenerationReader {
  #next = 0;
  #tokenCount = 0;
  #left = false;

  constructor(
    readonly generation: Generation,
    /** Called whenever there may be more to take. */
    readonly wake: () => void,
    readonly onLeave: (reader: GenerationReader) => void,
  ) {}

  /** Whether `take()` would give a piece, or the outcome stands with every piece taken. */
  get ready(): boolean {
    return this.#next < this.generation.pieces.length || this.generation.outcome !== undefined;
  }

  take(): Piece | undefined {
    const piece = this.generation.pieces[this.#next];
    if (piece === undefined) return undefined;
    ++this.#next;
    this.#tokenCount += piece.tokenCount;
    this.generation.consumed(this.#tokenCount);
    return piece;
  }

  /** The outcome, once every piece is taken. */
  get outcome(): Outcome | undefined {
    return this.#next < this.generation.pieces.length ? undefined : this.generation.outcome;
  }

  /** Idempotent. When the last reader leaves, the generation is cancelled. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.onLeave(this);
  }
}
