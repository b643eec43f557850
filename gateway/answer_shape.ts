/** What both routes' answers have in common: ids, usage, obfuscation, traces. @module */
import { randomBytes } from "node:crypto";
import type { StepTrace } from "../proto/frame_types.ts";
import type { ApiError } from "./errors.ts";
import type { Piece } from "./generation.ts";
import type { GenerationUsage } from "./generation_usage.ts";
import type { Run } from "./run.ts";
import type { ServedModel } from "./served_model.ts";

/** A WHATWG decoder that shows broken bytes instead of failing: a token may be half a character. */
const DECODER = new TextDecoder();

/** What an answer of one route looks like, whole and in chunks. */
export interface AnswerShape {
  chunks(run: Run, head: AnswerHead): ChunkWriter;
  whole(run: Run, head: AnswerHead): string;
}

export interface AnswerHead {
  id: string;
  /** Unix seconds. */
  created: number;
}

/** Writes the events of one stream, each whole with its frame. */
export interface ChunkWriter {
  /** Before a choice's first text; empty where the route has none. */
  begin(choice: number): string;
  piece(choice: number, piece: Piece): string;
  finish(choice: number, reason: "stop" | "length"): string;
  /** After every choice has finished. */
  end(): string;
  /** Instead of the rest: never a finish reason that the model did not give. */
  fail(error: ApiError): string;
}

/** One server-sent event; nothing for nothing. */
export function eventText(json: string, type?: string): string {
  if (json === "") return "";
  return type === undefined ? `data: ${json}\n\n` : `event: ${type}\ndata: ${json}\n\n`;
}

const DONE = "data: [DONE]\n\n";

/** The two ends that chat and text completions have in common. */
export function completionEnds(
  run: Run,
  usageChunk: (usage: Record<string, unknown>) => string,
): Pick<ChunkWriter, "end" | "fail"> {
  return {
    end: () => (run.request.includeUsage ? eventText(usageChunk(usageOf(run))) : "") + DONE,
    fail: (error) => eventText(JSON.stringify({ error })) + DONE,
  };
}

export function newId(prefix: string): string {
  return prefix + crypto.randomUUID().replaceAll("-", "");
}

/** Usage over all choices, in OpenAI's names; ours are under `redraft`. */
export function usageOf(run: Run): Record<string, unknown> {
  let promptCount = 0;
  for (const tokens of run.promptTokens) promptCount += tokens.length;
  const sum: GenerationUsage = {
    promptCount,
    generatedCount: 0,
    cachedCount: 0,
    draftedCount: 0,
    acceptedCount: 0,
    stepCount: 0,
    queueMs: 0,
    contextMs: 0,
    generationMs: 0,
  };
  // Choices of one prompt share it: its cached tokens count once, as its tokens do.
  const cachedByPrompt = new Float64Array(run.promptTokens.length);
  for (const { reader, promptIndex } of run.choices) {
    const { usage } = reader.generation;
    sum.generatedCount += usage.generatedCount;
    sum.draftedCount += usage.draftedCount;
    sum.acceptedCount += usage.acceptedCount;
    sum.stepCount += usage.stepCount;
    cachedByPrompt[promptIndex] = Math.max(cachedByPrompt[promptIndex]!, usage.cachedCount);
  }
  for (const count of cachedByPrompt) sum.cachedCount += count;
  return usageJson(sum);
}

function usageJson(usage: GenerationUsage): Record<string, unknown> {
  const { generatedCount, stepCount, draftedCount, acceptedCount } = usage;
  return {
    prompt_tokens: usage.promptCount,
    completion_tokens: generatedCount,
    total_tokens: usage.promptCount + generatedCount,
    prompt_tokens_details: { cached_tokens: usage.cachedCount, audio_tokens: 0 },
    completion_tokens_details: {
      accepted_prediction_tokens: acceptedCount,
      rejected_prediction_tokens: draftedCount - acceptedCount,
      reasoning_tokens: 0,
      audio_tokens: 0,
    },
    redraft: {
      steps: stepCount,
      tokens_per_step: stepCount === 0 ? 0 : Math.round(1000 * generatedCount / stepCount) / 1000,
    },
  };
}

export function tokenString(model: ServedModel, token: number): string {
  const bytes = model.tokenBytes(token);
  return bytes === undefined ? "" : DECODER.decode(bytes);
}

/** JSON has no infinities; OpenAI writes what cannot be drawn as -9999. */
export function jsonLogprob(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : -9999;
}

/** `,"redraft":{"steps":[..],"tokens":[..]}` for a choice that wants a trace, else nothing.
 * A step's tokens are the next `token_count` of those that no step has taken yet. */
export function traceJson(model: ServedModel, pieces: readonly Piece[]): string {
  const steps: StepTrace[] = pieces.flatMap((piece) => piece.steps);
  const tokens = pieces.flatMap((piece) => piece.tokens ?? []);
  if (steps.length === 0 && tokens.length === 0) return "";
  const traced = steps.map((step) => ({
    token_count: step.tokenCount,
    drafted_count: step.draftedCount,
    accepted_count: step.acceptedCount,
    tree: step.tree.map((packed) => ({
      token: packed.token,
      text: tokenString(model, packed.token),
      parent: packed.parent,
      logprob: jsonLogprob(packed.logprob),
      accepted: packed.accepted,
    })),
  }));
  return `,"redraft":${JSON.stringify({ steps: traced, tokens })}`;
}

/** Chunks padded to steps of this many characters all look alike on the network, where their sizes
 * would tell which draft tokens were accepted, and so something of the text. */
const OBFUSCATION_CHARS = 64;
const PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

export function obfuscationJson(run: Run, textLength: number): string {
  if (!run.request.includeObfuscation) return "";
  const length = OBFUSCATION_CHARS - textLength % OBFUSCATION_CHARS;
  let padding = "";
  for (const byte of randomBytes(length)) padding += PADDING[byte % PADDING.length];
  return `,"obfuscation":"${padding}"`;
}
