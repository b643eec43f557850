/** How a request wants its tokens drawn: sampling, stop strings, speculation. Pure. @module */
import type { Fields } from "./fields.ts";

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
  const topK = fields.integer("top_k") ?? 0;
  const topP = fields.number("top_p") ?? 1;
  const seed = fields.integer("seed");
  return {
    temperature: fields.number("temperature") ?? 1,
    topK: topK < 0 ? 0 : topK, // vLLM's clients write "off" as -1.
    topP: topP === 0 ? TOP_P_LEAST : topP,
    minP: fields.number("min_p") ?? 0,
    repetitionPenalty: fields.number("repetition_penalty") ?? 1,
    presencePenalty: fields.number("presence_penalty") ?? 0,
    frequencyPenalty: fields.number("frequency_penalty") ?? 0,
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
  return biases.keys().map((key) => ({ token: Number(key), bias: biases.number(key)! }));
}

export function readStop(fields: Fields): string[] {
  const value = (fields.get("stop") ?? []) as string | string[];
  return typeof value === "string" ? [value] : [...value];
}

export function readSpeculation(fields: Fields): SpeculationParameters | undefined {
  const speculation = fields.object("speculation");
  if (speculation === undefined) return undefined;
  return {
    mode: (speculation.string("mode") ?? "default") as SpeculationParameters["mode"],
    beamWidth: speculation.integer("beam_width") ?? 0,
    beamLength: speculation.integer("beam_length") ?? 0,
    packedMax: speculation.integer("packed_max") ?? 0,
    trace: speculation.boolean("trace") ?? false,
  };
}
