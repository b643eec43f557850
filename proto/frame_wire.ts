/** Between a frame's record and its generated protobuf message. Pure. @module */

import { fieldError } from "./frame_check.ts";
import type * as t from "./frame_types.ts";
import { redraft } from "./messages.js";

const v1 = redraft.v1;

type Wire = { [K in t.FrameKind]: Parameters<typeof v1.Frame.encode>[0][K] };

const MODES: readonly t.SpeculationMode[] = ["default", "off", "fixed"];
const REASONS: readonly t.FinishReason[] = ["stop", "length", "cancelled"];
const CODES: readonly t.FailureCode[] = [
  "internal",
  "bad_request",
  "context_overflow",
  "queue_full",
  "draining",
  "deadline",
  "engine",
  "bad_frame",
  "version",
  "unknown_frame",
];

/** Block hashes travel as packed little-endian u64, whatever the machine. */
function hashesToBytes(hashes: BigUint64Array): Uint8Array {
  const bytes = new Uint8Array(hashes.length * 8);
  const view = new DataView(bytes.buffer);
  hashes.forEach((hash, i) => view.setBigUint64(i * 8, hash, true));
  return bytes;
}

function hashesFromBytes(field: string, bytes: Uint8Array): BigUint64Array {
  if (bytes.length % 8 !== 0) {
    throw fieldError({ kind: "status", streamId: 0 }, field, "is no whole number of u64");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return BigUint64Array.from(
    { length: bytes.length / 8 },
    (_, i) => view.getBigUint64(i * 8, true),
  );
}

function fromEnum<T>(names: readonly T[], kind: string, field: string, value: number, id = 0): T {
  const name = names[value];
  if (name === undefined) {
    throw fieldError(
      { kind, streamId: id },
      field,
      `is ${value}, which this version does not know`,
    );
  }
  return name;
}

function submitToWire(frame: t.SubmitFrame): NonNullable<Wire["submit"]> {
  const { kind: _kind, sampling, speculation, tokens, stopTokens, ...rest } = frame;
  return {
    ...rest,
    // protobufjs walks any array-like; its types know plain arrays alone.
    tokens: tokens as unknown as number[],
    stopTokens: stopTokens as number[],
    sampling: {
      ...sampling,
      logitBias: sampling.logitBias.map(([token, bias]) => ({ token, bias })),
    },
    speculation: { ...speculation, mode: MODES.indexOf(speculation.mode) },
  };
}

function submitFromWire(wire: redraft.v1.Submit): t.SubmitFrame {
  // An absent message stands for one of defaults alone.
  const sampling = (wire.sampling ?? new v1.Sampling()) as redraft.v1.Sampling;
  const speculation = (wire.speculation ?? new v1.Speculation()) as redraft.v1.Speculation;
  const mode = fromEnum(MODES, "submit", "speculation.mode", speculation.mode, wire.streamId);
  const fixed = mode === "fixed";
  return {
    kind: "submit",
    streamId: wire.streamId,
    tokens: Uint32Array.from(wire.tokens),
    generatedCount: wire.generatedCount,
    tokensMax: wire.tokensMax,
    sampling: {
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP === 0 ? 1 : sampling.topP,
      minP: sampling.minP,
      repetitionPenalty: sampling.repetitionPenalty === 0 ? 1 : sampling.repetitionPenalty,
      presencePenalty: sampling.presencePenalty,
      frequencyPenalty: sampling.frequencyPenalty,
      seedLow: sampling.seedLow,
      seedHigh: sampling.seedHigh,
      logprobs: sampling.logprobs,
      logitBias: sampling.logitBias.map(({ token, bias }) => [token ?? 0, bias ?? 0] as const),
    },
    stopTokens: wire.stopTokens,
    speculation: {
      mode,
      beamWidth: fixed ? speculation.beamWidth : 0,
      beamLength: fixed ? speculation.beamLength : 0,
      packedMax: fixed ? speculation.packedMax : 0,
      wantTree: speculation.wantTree,
    },
    credit: wire.credit,
    priority: wire.priority,
    salt: wire.salt,
    traceparent: wire.traceparent,
    deadlineMs: wire.deadlineMs,
    ignorePrefix: wire.ignorePrefix,
    ...(wire.schema === "" ? {} : { schema: wire.schema }),
  };
}

function tokensToWire(frame: t.TokensFrame): NonNullable<Wire["tokens"]> {
  return {
    streamId: frame.streamId,
    firstIndex: frame.firstIndex,
    tokens: frame.tokens as number[],
    logprobs: frame.logprobs.map(({ logprob, top }) => ({
      logprob,
      topTokens: top.map(([token]) => token),
      topLogprobs: top.map(([, best]) => best),
    })),
    steps: frame.steps as redraft.v1.StepTrace.$Properties[],
  };
}

function tokensFromWire(wire: redraft.v1.Tokens): t.TokensFrame {
  const owner = { kind: "tokens", streamId: wire.streamId };
  return {
    kind: "tokens",
    streamId: wire.streamId,
    firstIndex: wire.firstIndex,
    tokens: wire.tokens,
    logprobs: wire.logprobs.map((entry, i) => {
      const tokens = entry.topTokens ?? [];
      const logprobs = entry.topLogprobs ?? [];
      if (tokens.length !== logprobs.length) {
        throw fieldError(owner, `logprobs[${i}]`, "has top_tokens and top_logprobs of two lengths");
      }
      return {
        logprob: entry.logprob ?? 0,
        top: tokens.map((id, k) => [id, logprobs[k]] as const),
      };
    }),
    steps: wire.steps.map((step) => ({
      tokenCount: step.tokenCount ?? 0,
      draftedCount: step.draftedCount ?? 0,
      acceptedCount: step.acceptedCount ?? 0,
      tree: (step.tree ?? []).map((packed) => ({
        token: packed.token ?? 0,
        parent: packed.parent ?? 0,
        logprob: packed.logprob ?? 0,
        accepted: packed.accepted ?? false,
      })),
    })),
  };
}

function welcomeFromWire(wire: redraft.v1.Welcome): t.WelcomeFrame {
  const { id, digest, tokenizerDigest, headDigest, vocabSize, contextMax, created, architecture } =
    (wire.model ?? new v1.ModelCard()) as redraft.v1.ModelCard;
  const { protocolVersion, nodeId, pageTokens, slotsMax, pagesMax, queueMax, backend } = wire;
  return {
    kind: "welcome",
    protocolVersion,
    nodeId,
    model: {
      id,
      digest,
      tokenizerDigest,
      headDigest,
      vocabSize,
      contextMax,
      created,
      architecture,
    },
    pageTokens,
    slotsMax,
    pagesMax,
    queueMax,
    backend,
  };
}

function finishFromWire(wire: redraft.v1.Finish): t.FinishFrame {
  const reason = fromEnum(REASONS, "finish", "reason", wire.reason, wire.streamId);
  return {
    kind: "finish",
    streamId: wire.streamId,
    reason,
    promptCount: wire.promptCount,
    generatedCount: wire.generatedCount,
    cachedCount: wire.cachedCount,
    draftedCount: wire.draftedCount,
    acceptedCount: wire.acceptedCount,
    stepCount: wire.stepCount,
    ...(reason === "stop" ? { stopToken: wire.stopToken } : {}),
    queueMs: wire.queueMs,
    contextMs: wire.contextMs,
    generationMs: wire.generationMs,
  };
}

function statusFromWire(wire: redraft.v1.Status): t.StatusFrame {
  const { totals } = wire;
  return {
    kind: "status",
    queueCount: wire.queueCount,
    slotsBusy: wire.slotsBusy,
    pagesFree: wire.pagesFree,
    blocksStored: hashesFromBytes("blocks_stored", wire.blocksStored),
    blocksRemoved: hashesFromBytes("blocks_removed", wire.blocksRemoved),
    tokensPerStep: wire.tokensPerStep,
    tokensPerSecond: wire.tokensPerSecond,
    contextTokensWaiting: wire.contextTokensWaiting,
    // A node of before there were totals tells none.
    totals: {
      promptTokens: totals?.promptTokens ?? 0,
      cachedTokens: totals?.cachedTokens ?? 0,
      steps: totals?.steps ?? 0,
      draftedTokens: totals?.draftedTokens ?? 0,
      acceptedByDepth: totals?.acceptedByDepth ?? [],
    },
  };
}

/** The generated message's fields for a frame that `checkFrame` has passed. */
export function toWire(frame: t.Frame): Wire[t.FrameKind] {
  switch (frame.kind) {
    case "submit":
      return submitToWire(frame);
    case "tokens":
      return tokensToWire(frame);
    case "finish":
      return { ...frame, reason: REASONS.indexOf(frame.reason) };
    case "failure":
      return { ...frame, code: CODES.indexOf(frame.code) };
    case "status":
      return {
        ...frame,
        blocksStored: hashesToBytes(frame.blocksStored),
        blocksRemoved: hashesToBytes(frame.blocksRemoved),
        totals: { ...frame.totals, acceptedByDepth: [...frame.totals.acceptedByDepth] },
      };
    default:
      return frame;
  }
}

/** Reads one message of `kind`; its bounds are `checkFrame`'s to judge. */
export function fromWire(kind: t.FrameKind, bytes: Uint8Array): t.Frame {
  switch (kind) {
    case "hello": {
      const { protocolVersion, gatewayId, takesSeveral } = v1.Hello.decode(bytes);
      return { kind, protocolVersion, gatewayId, ...(takesSeveral ? { takesSeveral } : {}) };
    }
    case "welcome":
      return welcomeFromWire(v1.Welcome.decode(bytes));
    case "submit":
      return submitFromWire(v1.Submit.decode(bytes));
    case "cancel":
      return { kind, streamId: v1.Cancel.decode(bytes).streamId };
    case "credit": {
      const { streamId, tokens } = v1.Credit.decode(bytes);
      return { kind, streamId, tokens };
    }
    case "tokens":
      return tokensFromWire(v1.Tokens.decode(bytes));
    case "finish":
      return finishFromWire(v1.Finish.decode(bytes));
    case "failure": {
      const { streamId, code, message, replaySafe } = v1.Failure.decode(bytes);
      return {
        kind,
        streamId,
        code: fromEnum(CODES, kind, "code", code, streamId),
        message,
        replaySafe,
      };
    }
    case "status":
      return statusFromWire(v1.Status.decode(bytes));
    case "drain":
      return { kind, deadlineMs: v1.Drain.decode(bytes).deadlineMs };
    case "tokenizerGet":
      return { kind, digest: v1.TokenizerGet.decode(bytes).digest };
    case "tokenizerChunk": {
      const { digest, index, count, json } = v1.TokenizerChunk.decode(bytes);
      // A copy: under Node's API protobufjs gives a Buffer, a view of the whole frame.
      return { kind, digest, index, count, json: new Uint8Array(json) };
    }
  }
}
