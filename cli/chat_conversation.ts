/** What was said in a terminal chat, and how fast; lives as long as the program. @module */
import type { Answer } from "../playground/src/trace.ts";
import {
  type ChatAnswer,
  type ChatError,
  type ChatMessage,
  streamChat,
  type Target,
} from "./chat_stream.ts";
import { harmless, hasColours, print, styled } from "./terminal.ts";

/** Prints an answer as it grows: in colours by origin where the gateway tells it, else as it comes.
 */
class AnswerPrinter {
  #stepCount = 0;
  #end = 0;

  constructor(readonly traced: boolean) {}

  grow(trace: Answer): void {
    if (!this.traced) return this.#print(trace, trace.text.length);
    for (; this.#stepCount < trace.steps.length; ++this.#stepCount) {
      for (const { end, origin } of trace.steps[this.#stepCount]!.tokens) {
        this.#print(trace, end, origin);
      }
    }
  }

  /** What no step accounts for: of a gateway without traces, all of it. */
  finish(trace: Answer): void {
    this.#print(trace, trace.text.length);
  }

  #print(trace: Answer, end: number, style?: "draft" | "bonus"): void {
    const text = harmless(trace.text.slice(this.#end, end));
    this.#end += trace.text.slice(this.#end, end).length;
    print(style === undefined ? text : styled(style, text));
  }
}

export class Conversation {
  readonly messages: ChatMessage[] = [];
  readonly #answers: ChatAnswer[] = [];
  #running: AbortController | undefined;

  constructor(
    readonly target: Target,
    readonly body: Record<string, unknown>,
    readonly system: string | undefined,
  ) {
    this.clear();
  }

  clear(): void {
    this.messages.length = 0;
    if (this.system) this.messages.push({ role: "system", content: this.system });
  }

  /** Stops the answer under way.
   * @returns Whether there was one. */
  stop(): boolean {
    this.#running?.abort();
    return this.#running !== undefined;
  }

  /** @throws {ChatError} What was asked is then taken back. */
  async say(content: string): Promise<void> {
    this.messages.push({ role: "user", content });
    const running = this.#running = new AbortController();
    const traced = hasColours();
    const printer = new AnswerPrinter(traced);
    const speculation = traced ? { speculation: { mode: "default", trace: true } } : {};
    const body = { ...this.body, ...speculation, messages: this.messages };
    let latest: Answer | undefined;
    try {
      const answer = await streamChat(this.target, body, (trace) => {
        latest = trace;
        printer.grow(trace);
      }, running.signal);
      printer.finish(answer.trace);
      this.#answers.push(answer);
      print(`\n${styled("dim", describe([answer]))}\n`);
    } catch (error) {
      if (latest !== undefined) printer.finish(latest);
      if (!running.signal.aborted) {
        this.messages.pop();
        print("\n");
        throw error as ChatError;
      }
      print("\n(stopped)\n");
    } finally {
      this.#running = undefined;
    }
    this.messages.push({ role: "assistant", content: latest?.text ?? "" });
  }

  stats(): string {
    const answers = this.#answers.filter(({ isHeld }) => !isHeld);
    if (answers.length === 0) return "no answers yet";
    const drafted = answers.reduce((sum, { draftedCount }) => sum + draftedCount, 0);
    const accepted = answers.reduce((sum, { acceptedCount }) => sum + acceptedCount, 0);
    return `${answers.length} answer${answers.length === 1 ? "" : "s"}: ${describe(answers)}\n` +
      `${accepted} of ${drafted} draft tokens accepted`;
  }
}

function describe(answers: readonly ChatAnswer[]): string {
  if (answers.every(({ isHeld }) => isHeld)) return "held from before: nothing was generated";
  const sum = (pick: (answer: ChatAnswer) => number) =>
    answers.reduce((total, answer) => total + pick(answer), 0);
  const tokens = sum((answer) => answer.tokenCount);
  const steps = sum((answer) => answer.stepCount);
  const seconds = sum((answer) => answer.generationMs) / 1000;
  const first = sum((answer) => answer.firstTokenMs) / answers.length;
  return `${tokens} tokens, ${(tokens / Math.max(1, steps)).toFixed(2)} a step, ` +
    `${(tokens / Math.max(seconds, 1e-3)).toFixed(0)} tokens/s, first after ${first.toFixed(0)} ms`;
}
