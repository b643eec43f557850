/** What goes to a node for a generation, and what its refusals mean. Pure. @module */
import type { FailureCode, FailureFrame, SubmitFrame } from "../proto/frame_types.ts";
import { ApiError, badRequest, contextExceeded, queueFull, unavailable } from "./errors.ts";
import { upstreamError } from "./errors.ts";
import type { GenerationSpec } from "./generation_spec.ts";

/** @param history Tokens that another node has drawn: they go with the prompt, and the seed and
 * their positions make the next one what it would have been there. */
export function submitFields(
  spec: GenerationSpec,
  history: readonly number[],
  credit: number,
  deadlineMs: number,
): Omit<SubmitFrame, "kind" | "streamId"> {
  const speculation = spec.speculation;
  const fixed = speculation?.mode === "fixed";
  return {
    tokens: withHistory(spec.tokens, history),
    generatedCount: history.length,
    tokensMax: spec.tokensMax - history.length,
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
    priority: spec.priority,
    salt: spec.salt,
    traceparent: spec.traceparent,
    deadlineMs,
    ignorePrefix: false,
    ...(spec.schema ? { schema: spec.schema } : {}),
  };
}

function withHistory(prompt: Uint32Array, history: readonly number[]): Uint32Array {
  if (history.length === 0) return prompt;
  const tokens = new Uint32Array(prompt.length + history.length);
  tokens.set(prompt);
  tokens.set(history, prompt.length);
  return tokens;
}

/** Whether a failure says something of the node rather than of the request or of its load. */
export function nodeIsToBlame(code: FailureCode): boolean {
  return code === "engine" || code === "internal";
}

export function failureError(frame: FailureFrame, spec: GenerationSpec): ApiError {
  switch (frame.code) {
    case "bad_request":
      return badRequest("invalid_value", frame.message);
    case "context_overflow":
      // Several routes may share the generation: each names its own field (`Run.failureOf()`).
      return contextExceeded(spec.tokens.length, spec.model.card.contextMax, null);
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
