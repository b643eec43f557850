/** The fleet as `GET /v1/fleet` gives it: who makes it and who shows it agree here. Pure.
 * @module */

export interface FleetNode {
  /** Addresses are the operator's business, not a key's: nodes have numbers here. */
  index: number;
  state: string;
  backend: string | null;
  model: string | null;
  slots_max: number;
  slots_busy: number;
  /** Streams of this gateway on it. */
  active: number;
  /** Requests that wait on the node, of all gateways. */
  queue: number;
  pages_max: number;
  pages_used: number;
  tokens_per_step: number;
  tokens_per_second: number;
  /** The sums are the node's own, since it opened: every gateway tells the same. */
  prompt_tokens: number;
  prompt_tokens_cached: number;
  steps: number;
  drafted: number;
  /** Element d: steps in which at least d + 1 draft tokens were accepted. */
  accepted_by_depth: readonly number[];
}

export interface Fleet {
  /** Which gateway answers; `requests_active`, `queue` and `cache` are its own. */
  gateway: string;
  requests_active: number;
  queue: { waiting: number; stranded: number };
  /** Of the answer cache. */
  cache: { entries: number; bytes: number };
  nodes: FleetNode[];
}
