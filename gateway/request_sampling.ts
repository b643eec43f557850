/** How a request wants its tokens drawn: sampling, stop strings, speculation. Pure. @module */
import { LIMITS } from "../proto/limits.ts";
import { STOP_CHARS_MAX, STOP_STRINGS_MAX } from "./api_schema.ts";
import { invalidType, invalidValue, missing } from "./errors.ts";
import { checkString, type Fields } from "./fields.ts";

export const LOGIT_BIASES_MAX = LIMITS.logitBiasMax;

export interface SamplingParameters {
  /** 0 = greedy. */
  temperature: number;
  /** 0 = off. */
  topK: number;
  /** 1 = off. */
  topP: number;
  minP: number;
  repetitionPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** As two's complement in 64 bits; `undefined`: any. */
  seed: bigint | undefined;
  /** 0 = none, 1 + n = the drawn token's and the n best. */
  logprobs: number;
  logitBias: Array<{ token: number; bias: number }>;
}

export interface SpeculationParameters {
  mode: "default" | "off" | "fixed";
  beamWidth: number;
  beamLength: number;
  packedMax: number;
  /** Sends each step's draft tree along with its tokens. */
  trace: boolean;
}

/** @param logprobs Already in the wire's form, for its field differs between routes. */
export function readSampling(fields: Fields, logprobs: number): SamplingParameters {
  const topK = fields.integer("top_k", -1, LIMITS.topKMax) ?? 0;
  const topP = fields.number("top_p", 0, 1) ?? 1;
  const seed = fields.integer("seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return {
    temperature: fields.number("temperature", 0, 2) ?? 1,
    topK: topK < 0 ? 0 : topK, // vLLM's clients write "off" as -1.
    topP: topP === 0 ? TOP_P_LEAST : topP,
    minP: fields.number("min_p", 0, 1) ?? 0,
    repetitionPenalty: fields.number("repetition_penalty", 0.01, 10) ?? 1,
    presencePenalty: fields.number("presence_penalty", -2, 2) ?? 0,
    frequencyPenalty: fields.number("frequency_penalty", -2, 2) ?? 0,
    seed: seed === undefined ? undefined : BigInt.asUintN(64, BigInt(seed)),
    logprobs,
    logitBias: readLogitBias(fields),
  };
}

/** 0 means "off" on the wire, but "the best token alone" to a client. */
const TOP_P_LEAST = 1e-6;

function readLogitBias(fields: Fields): Array<{ token: number; bias: number }> {
  const biases = fields.object("logit_bias");
  if (biases === undefined) return [];
  const keys = biases.keys();
  if (keys.length > LOGIT_BIASES_MAX) {
    throw invalidValue("logit_bias", `'logit_bias' has over ${LOGIT_BIASES_MAX} entries.`);
  }
  return keys.map((key) => {
    if (!/^(0|[1-9][0-9]{0,8})$/.test(key)) throw invalidType("logit_bias", "token ids as keys");
    return { token: Number(key), bias: biases.number(key, -100, 100) ?? 0 };
  });
}

export function readStop(fields: Fields): string[] {
  const value = fields.get("stop");
  if (value === undefined) return [];
  const items = typeof value === "string" ? [value] : fields.array("stop", STOP_STRINGS_MAX)!;
  return items.map((item, i) => {
    const name = typeof value === "string" ? "stop" : `stop[${i}]`;
    const stop = checkString(item, name, STOP_CHARS_MAX);
    if (stop === "") throw invalidValue(name, `'${name}' is empty.`);
    return stop;
  });
}

const SPECULATION_FIELDS: ReadonlySet<string> = new Set([
  "mode",
  "beam_width",
  "beam_length",
  "packed_max",
  "trace",
]);

export function readSpeculation(fields: Fields): SpeculationParameters | undefined {
  const speculation = fields.object("speculation");
  if (speculation === undefined) return undefined;
  speculation.refuseUnknown(SPECULATION_FIELDS);
  const mode = speculation.oneOf("mode", ["default", "off", "fixed"]) ?? "default";
  const budget = {
    beamWidth: speculation.integer("beam_width", 1, LIMITS.beamWidthMax),
    beamLength: speculation.integer("beam_length", 1, LIMITS.beamLengthMax),
    packedMax: speculation.integer("packed_max", 1, LIMITS.treeTokensMax),
  };
  if (mode === "fixed") {
    for (const field of ["beam_width", "beam_length", "packed_max"]) {
      if (!speculation.has(field)) throw missing(speculation.name(field));
    }
  }
  return {
    mode,
    beamWidth: budget.beamWidth ?? 0,
    beamLength: budget.beamLength ?? 0,
    packedMax: budget.packedMax ?? 0,
    trace: speculation.boolean("trace") ?? false,
  };
}
