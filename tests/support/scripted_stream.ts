/** One stream of a scripted node. @module */
import type {
  FailureCode,
  FinishFrame,
  StepTrace,
  SubmitFrame,
  TokenLogprobs,
} from "../../proto/frame_types.ts";
import type { ScriptedNode } from "./scripted_node.ts";

/** Ends an answer; above all bytes. */
export const STOP_TOKEN = 256;

/** One stream as the script sees it. */
export class ScriptedStream {
  sent = 0;
  credit: number;
  cancelled = false;
  #ended = false;
  #wakes: Array<() => void> = [];

  constructor(readonly node: ScriptedNode, readonly submit: SubmitFrame) {
    this.credit = submit.credit;
  }

  get promptText(): string {
    return new TextDecoder().decode(Uint8Array.from(this.submit.tokens));
  }

  /** Sends tokens at once, as one frame. */
  tokens(
    tokens: readonly number[],
    more: { logprobs?: TokenLogprobs[]; steps?: StepTrace[] } = {},
  ): void {
    const steps = more.steps ?? [{
      tokenCount: Math.min(tokens.length, 16),
      draftedCount: 4,
      acceptedCount: 2,
      tree: [],
    }];
    this.node.send({
      kind: "tokens",
      streamId: this.submit.streamId,
      firstIndex: this.sent,
      tokens,
      logprobs: more.logprobs ?? [],
      steps,
    });
    this.node.count(steps);
    this.sent += tokens.length;
  }

  text(text: string): void {
    this.tokens([...new TextEncoder().encode(text)]);
  }

  finish(reason: FinishFrame["reason"] = "stop", more: Partial<FinishFrame> = {}): void {
    if (this.#ended) return;
    this.#ended = true;
    this.node.streams.delete(this.submit.streamId);
    this.node.send({
      kind: "finish",
      streamId: this.submit.streamId,
      reason,
      promptCount: this.submit.tokens.length,
      generatedCount: this.sent,
      cachedCount: 0,
      draftedCount: 8,
      acceptedCount: 4,
      stepCount: 2,
      queueMs: 1,
      contextMs: 2,
      generationMs: 3,
      ...(reason === "stop" ? { stopToken: STOP_TOKEN } : {}),
      ...more,
    });
  }

  fail(code: FailureCode, replaySafe: boolean): void {
    this.#ended = true;
    this.node.streams.delete(this.submit.streamId);
    const { streamId } = this.submit;
    this.node.send({ kind: "failure", streamId, code, message: `scripted ${code}`, replaySafe });
  }

  /** Resolves with the next credit or cancel. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#wakes.push(resolve));
  }

  wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
