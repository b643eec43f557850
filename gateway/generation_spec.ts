/** One choice, ready to run: every default applied. Pure types. @module */
import type { Sampling } from "../proto/sampling.ts";
import type { SpeculationParameters } from "./request_sampling.ts";
import type { ServedModel } from "./served_model.ts";

export interface GenerationSpec {
  model: ServedModel;
  tokens: Uint32Array;
  tokensMax: number;
  stop: readonly string[];
  stopTokens: readonly number[];
  sampling: Sampling;
  /** Whether the client gave the seed. */
  seeded: boolean;
  /** The text of a JSON schema that the answer keeps; empty or absent = free. */
  schema?: string;
  speculation: SpeculationParameters | undefined;
  /** Prefix pages are shared among equal salts alone, and waiting requests take turns by it. */
  salt: string;
  /** Of waiting requests, the highest goes first. */
  priority: number;
  /** Requests of one session go to one node where they can. */
  session: string | undefined;
  /** The only node that may take it; `undefined`: any. */
  nodeIndex: number | undefined;
  traceparent: string;
}
