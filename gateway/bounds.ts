/** Bounds of request bodies. Pure. @module */
import { LIMITS } from "../proto/limits.ts";

export const CHOICES_MAX = 16;
/** Of one completions request. */
export const PROMPTS_MAX = 64;
/** Prompts times choices: what one request may start at once. */
export const GENERATIONS_MAX = 64;
export const TOKENS_MAX = 1 << 20;
export const NAME_CHARS_MAX = 512;
export const ID_CHARS_MAX = 256;
export const TEXT_CHARS_MAX = 1 << 24;
export const MESSAGES_MAX = 4096;
/** Of a message's content. */
export const PARTS_MAX = 4096;
export const STOP_STRINGS_MAX = 4;
export const STOP_CHARS_MAX = 256;
export const TOP_LOGPROBS_MAX = 20;
export const TOOLS_MAX = 128;
/** Calls that a message may bring back. */
export const MADE_CALLS_MAX = 128;
export const LOGIT_BIASES_MAX = LIMITS.logitBiasMax;
export const METADATA_MAX = 16;
