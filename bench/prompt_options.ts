/** The options of every bench that asks prompts. @module */

import type { ParsedOptions } from "../cli/options.ts";
import { realNumber, UsageError, wholeNumber } from "../cli/options.ts";
import { type Prompt, readPrompts } from "./prompts.ts";

type Values = ParsedOptions["values"];

export const PROMPT_OPTIONS = {
  prompts: { type: "string" },
  limit: { type: "string" },
  "max-tokens": { type: "string" },
} as const;

/** @param limit Where `--limit` is not given.
 * @throws {UsageError} Without `--prompts`. */
export async function askedPrompts(values: Values, limit = 1e6): Promise<Prompt[]> {
  if (values.prompts === undefined) {
    throw new UsageError("Option '--prompts' is missing: a file of prompts");
  }
  const most = wholeNumber(values, "limit", { min: 1, max: 1e6, fallback: limit });
  return await readPrompts(String(values.prompts), most);
}

export const DRAW_OPTIONS = { temperature: { type: "string" }, seed: { type: "string" } } as const;

/** How answers are drawn, and how far. */
export interface DrawOptions {
  tokensMax: number;
  temperature: number;
  seed: number;
}

/** @param temperature Where `--temperature` is not given. */
export function readDraw(values: Values, temperature = 0): DrawOptions {
  return {
    tokensMax: wholeNumber(values, "max-tokens", { min: 1, max: 65536, fallback: 256 }),
    temperature: realNumber(values, "temperature", { min: 0, max: 2, fallback: temperature }),
    seed: wholeNumber(values, "seed", { min: 0, max: 2 ** 31, fallback: 1 }),
  };
}
