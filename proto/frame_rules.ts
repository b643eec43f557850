/** What each kind of frame may hold. The sender checks before it encodes, the receiver after it
 * decoded: a pair, so that neither side's bug becomes the other's. Pure. @module */

import { checkCount, checkInteger, checkNumber, checkText, checkTokens } from "./frame_check.ts";
import { fieldError, type FieldOwner } from "./frame_check.ts";
import type * as t from "./frame_types.ts";
import { LIMITS } from "./limits.ts";
import type { Sampling } from "./sampling.ts";

const U32_MAX = 0xffff_ffff;
const F32_MAX = 3.4028234663852886e38;
const DIGEST = /^(?:[0-9a-f]{64})?$/;

function checkDigest(owner: FieldOwner, field: string, value: string): void {
  if (!DIGEST.test(value)) throw fieldError(owner, field, "is not a SHA-256 in hex");
}

function checkStream(owner: FieldOwner): void {
  checkInteger(owner, "stream_id", owner.streamId, 1, U32_MAX);
}

function checkWelcome(frame: t.WelcomeFrame): void {
  const owner = { kind: "welcome", streamId: 0 };
  checkText(owner, "node_id", frame.nodeId, LIMITS.idBytesMax);
  checkText(owner, "backend", frame.backend, LIMITS.idBytesMax);
  checkText(owner, "model.id", frame.model.id, LIMITS.idBytesMax);
  checkText(owner, "model.architecture", frame.model.architecture, LIMITS.idBytesMax);
  checkDigest(owner, "model.digest", frame.model.digest);
  checkDigest(owner, "model.tokenizer_digest", frame.model.tokenizerDigest);
  checkDigest(owner, "model.head_digest", frame.model.headDigest);
  checkInteger(owner, "model.vocab_size", frame.model.vocabSize, 1, LIMITS.vocabSizeMax);
  checkInteger(owner, "model.context_max", frame.model.contextMax, 1, LIMITS.contextMax);
  checkInteger(owner, "model.created", frame.model.created, 0, U32_MAX);
  checkInteger(owner, "page_tokens", frame.pageTokens, 1, LIMITS.pageTokensMax);
  checkInteger(owner, "slots_max", frame.slotsMax, 1, LIMITS.slotsMax);
  checkInteger(owner, "pages_max", frame.pagesMax, 1, LIMITS.pagesMax);
  checkInteger(owner, "queue_max", frame.queueMax, 0, LIMITS.queueMax);
}

function checkSampling(owner: FieldOwner, sampling: Sampling): void {
  checkNumber(owner, "sampling.temperature", sampling.temperature, 0, LIMITS.temperatureMax);
  checkNumber(owner, "sampling.top_p", sampling.topP, 0, 1);
  checkNumber(owner, "sampling.min_p", sampling.minP, 0, 1);
  checkNumber(
    owner,
    "sampling.repetition_penalty",
    sampling.repetitionPenalty,
    0,
    LIMITS.repetitionPenaltyMax,
  );
  checkNumber(
    owner,
    "sampling.presence_penalty",
    sampling.presencePenalty,
    -LIMITS.penaltyMax,
    LIMITS.penaltyMax,
  );
  checkNumber(
    owner,
    "sampling.frequency_penalty",
    sampling.frequencyPenalty,
    -LIMITS.penaltyMax,
    LIMITS.penaltyMax,
  );
  checkInteger(owner, "sampling.top_k", sampling.topK, 0, LIMITS.topKMax);
  checkInteger(owner, "sampling.seed_low", sampling.seedLow, 0, U32_MAX);
  checkInteger(owner, "sampling.seed_high", sampling.seedHigh, 0, U32_MAX);
  checkInteger(owner, "sampling.logprobs", sampling.logprobs, 0, LIMITS.logprobsMax + 1);
  checkCount(owner, "sampling.logit_bias", sampling.logitBias.length, 0, LIMITS.logitBiasMax);
  sampling.logitBias.forEach(([token, bias], i) => {
    checkInteger(owner, `sampling.logit_bias[${i}].token`, token, 0, LIMITS.vocabSizeMax - 1);
    checkNumber(owner, `sampling.logit_bias[${i}].bias`, bias, -LIMITS.biasMax, LIMITS.biasMax);
  });
}

function checkSubmit(frame: t.SubmitFrame): void {
  const owner = { kind: "submit", streamId: frame.streamId };
  checkStream(owner);
  checkCount(owner, "tokens", frame.tokens.length, 1, LIMITS.contextMax);
  checkTokens(owner, "tokens", frame.tokens, LIMITS.vocabSizeMax);
  checkInteger(owner, "generated_count", frame.generatedCount, 0, frame.tokens.length - 1);
  checkInteger(owner, "tokens_max", frame.tokensMax, 1, LIMITS.contextMax);
  checkSampling(owner, frame.sampling);
  checkCount(owner, "stop_tokens", frame.stopTokens.length, 0, LIMITS.stopTokensMax);
  checkTokens(owner, "stop_tokens", frame.stopTokens, LIMITS.vocabSizeMax);
  const speculation = frame.speculation;
  checkInteger(owner, "speculation.beam_width", speculation.beamWidth, 0, LIMITS.beamWidthMax);
  checkInteger(owner, "speculation.beam_length", speculation.beamLength, 0, LIMITS.beamLengthMax);
  checkInteger(owner, "speculation.packed_max", speculation.packedMax, 0, LIMITS.treeTokensMax);
  checkInteger(owner, "credit", frame.credit, 0, LIMITS.creditMax);
  checkInteger(owner, "priority", frame.priority, 0, LIMITS.priorityMax);
  checkText(owner, "salt", frame.salt, LIMITS.saltBytesMax);
  checkText(owner, "traceparent", frame.traceparent, LIMITS.traceparentBytesMax);
  checkText(owner, "schema", frame.schema ?? "", LIMITS.schemaBytesMax);
  checkInteger(owner, "deadline_ms", frame.deadlineMs, 0, LIMITS.deadlineMsMax);
}

function checkStep(owner: FieldOwner, i: number, step: t.StepTrace): void {
  const lengthMax = LIMITS.beamLengthMax;
  checkInteger(owner, `steps[${i}].token_count`, step.tokenCount, 0, lengthMax);
  checkInteger(owner, `steps[${i}].drafted_count`, step.draftedCount, 0, LIMITS.treeTokensMax);
  checkInteger(owner, `steps[${i}].accepted_count`, step.acceptedCount, 0, lengthMax);
  checkCount(owner, `steps[${i}].tree`, step.tree.length, 0, LIMITS.treeTokensMax);
  step.tree.forEach((packed, r) => {
    const field = `steps[${i}].tree[${r}]`;
    checkInteger(owner, `${field}.token`, packed.token, 0, LIMITS.vocabSizeMax - 1);
    checkInteger(owner, `${field}.parent`, packed.parent, -1, r - 1);
    checkNumber(owner, `${field}.logprob`, packed.logprob, -F32_MAX, F32_MAX);
  });
}

function checkTokensFrame(frame: t.TokensFrame): void {
  const owner = { kind: "tokens", streamId: frame.streamId };
  checkStream(owner);
  checkInteger(owner, "first_index", frame.firstIndex, 0, LIMITS.contextMax);
  checkCount(owner, "tokens", frame.tokens.length, 0, LIMITS.tokensPerFrameMax);
  checkTokens(owner, "tokens", frame.tokens, LIMITS.vocabSizeMax);
  if (frame.logprobs.length !== 0 && frame.logprobs.length !== frame.tokens.length) {
    throw fieldError(owner, "logprobs", "is neither empty nor as long as tokens");
  }
  frame.logprobs.forEach((entry, i) => {
    // -Infinity is a legal log-probability of what the distribution excludes; NaN is a bug.
    checkNumber(owner, `logprobs[${i}].logprob`, entry.logprob, -Infinity, 0);
    checkCount(owner, `logprobs[${i}].top`, entry.top.length, 0, LIMITS.logprobsMax);
    for (const [token, logprob] of entry.top) {
      checkInteger(owner, `logprobs[${i}].top_tokens`, token, 0, LIMITS.vocabSizeMax - 1);
      checkNumber(owner, `logprobs[${i}].top_logprobs`, logprob, -Infinity, 0);
    }
  });
  checkCount(owner, "steps", frame.steps.length, 0, LIMITS.stepsPerFrameMax);
  frame.steps.forEach((step, i) => checkStep(owner, i, step));
}

function checkFinish(frame: t.FinishFrame): void {
  const owner = { kind: "finish", streamId: frame.streamId };
  checkStream(owner);
  checkInteger(owner, "prompt_count", frame.promptCount, 0, LIMITS.contextMax);
  checkInteger(owner, "generated_count", frame.generatedCount, 0, LIMITS.contextMax);
  checkInteger(owner, "cached_count", frame.cachedCount, 0, LIMITS.contextMax);
  checkInteger(owner, "drafted_count", frame.draftedCount, 0, U32_MAX);
  checkInteger(owner, "accepted_count", frame.acceptedCount, 0, frame.draftedCount);
  checkInteger(owner, "step_count", frame.stepCount, 0, U32_MAX);
  if (frame.stopToken !== undefined) {
    checkInteger(owner, "stop_token", frame.stopToken, 0, LIMITS.vocabSizeMax - 1);
  }
  for (
    const [field, ms] of [
      ["queue_ms", frame.queueMs],
      ["context_ms", frame.contextMs],
      ["generation_ms", frame.generationMs],
    ] as const
  ) {
    checkNumber(owner, field, ms, 0, Number.MAX_VALUE);
  }
}

function checkStatus(frame: t.StatusFrame): void {
  const owner = { kind: "status", streamId: 0 };
  checkInteger(owner, "queue_count", frame.queueCount, 0, LIMITS.queueMax);
  checkInteger(owner, "slots_busy", frame.slotsBusy, 0, LIMITS.slotsMax);
  checkInteger(owner, "pages_free", frame.pagesFree, 0, LIMITS.pagesMax);
  checkCount(owner, "blocks_stored", frame.blocksStored.length, 0, LIMITS.blocksPerStatusMax);
  checkCount(owner, "blocks_removed", frame.blocksRemoved.length, 0, LIMITS.blocksPerStatusMax);
  checkNumber(owner, "tokens_per_step", frame.tokensPerStep, 0, F32_MAX);
  checkNumber(owner, "tokens_per_second", frame.tokensPerSecond, 0, F32_MAX);
  checkInteger(owner, "context_tokens_waiting", frame.contextTokensWaiting, 0, U32_MAX);
  const { promptTokens, cachedTokens, steps, draftedTokens, acceptedByDepth } = frame.totals;
  const total = (field: string, value: number) =>
    checkInteger(owner, `totals.${field}`, value, 0, Number.MAX_SAFE_INTEGER);
  total("prompt_tokens", promptTokens);
  total("cached_tokens", cachedTokens);
  total("steps", steps);
  total("drafted_tokens", draftedTokens);
  const depthsMax = LIMITS.beamLengthMax - 1;
  checkCount(owner, "totals.accepted_by_depth", acceptedByDepth.length, 0, depthsMax);
  acceptedByDepth.forEach((count, depth) => total(`accepted_by_depth[${depth}]`, count));
}

function checkTokenizerChunk(frame: t.TokenizerChunkFrame): void {
  const owner = { kind: "tokenizer_chunk", streamId: 0 };
  checkDigest(owner, "digest", frame.digest);
  checkInteger(owner, "count", frame.count, 1, LIMITS.tokenizerChunksMax);
  checkInteger(owner, "index", frame.index, 0, frame.count - 1);
  checkCount(owner, "json", frame.json.length, 0, LIMITS.tokenizerChunkBytesMax);
}

function checkSmall(frame: t.HelloFrame | t.CancelFrame | t.CreditFrame | t.FailureFrame): void {
  if (frame.kind === "hello") {
    const owner = { kind: "hello", streamId: 0 };
    checkInteger(owner, "protocol_version", frame.protocolVersion, 0, U32_MAX);
    checkText(owner, "gateway_id", frame.gatewayId, LIMITS.idBytesMax);
    return;
  }
  const owner = { kind: frame.kind, streamId: frame.streamId };
  if (frame.kind === "failure") {
    checkInteger(owner, "stream_id", frame.streamId, 0, U32_MAX);
    checkText(owner, "message", frame.message, LIMITS.messageBytesMax);
    return;
  }
  checkStream(owner);
  if (frame.kind === "credit") checkInteger(owner, "tokens", frame.tokens, 1, LIMITS.creditMax);
}

/** Checks every bound of `frame`.
 * @throws {FrameError} That names the field and, where there is one, the stream. */
export function checkFrame(frame: t.Frame): void {
  switch (frame.kind) {
    case "welcome":
      return checkWelcome(frame);
    case "submit":
      return checkSubmit(frame);
    case "tokens":
      return checkTokensFrame(frame);
    case "finish":
      return checkFinish(frame);
    case "status":
      return checkStatus(frame);
    case "tokenizerChunk":
      return checkTokenizerChunk(frame);
    case "drain":
      checkInteger(
        { kind: "drain", streamId: 0 },
        "deadline_ms",
        frame.deadlineMs,
        0,
        LIMITS.deadlineMsMax,
      );
      return;
    case "tokenizerGet":
      return checkDigest({ kind: "tokenizer_get", streamId: 0 }, "digest", frame.digest);
    default:
      return checkSmall(frame);
  }
}
