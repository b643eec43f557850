/** Answers by exact question: finished ones for a while, and those under way, which identical
 * requests share. @module */
import { createHash } from "node:crypto";
import type { Generation } from "./generation.ts";
import type { GenerationSpec } from "./generation_spec.ts";

/** Rough costs of a held answer: its bookkeeping, a piece, a log-probability entry. */
const ENTRY_BYTES = 1024;
const PIECE_BYTES = 160;
const LOGPROB_BYTES = 512;

export interface PromptCacheOptions {
  /** 0: nothing is kept, but identical requests under way still share. */
  bytesMax: number;
  ttlMs: number;
  now: () => number;
}

export interface CachedAnswer {
  generation: Generation;
  kind: "hit" | "collapsed";
  ageMs: number;
  ttlMs: number;
}

interface Entry {
  generation: Generation;
  bytes: number;
  storedAt: number;
  ttlMs: number;
}

/** The key of an answer, or `undefined` where the same question may have many answers. The tenant
 * comes first and from us: no field of a request can reach another tenant's answers.
 * @param isAsked The caller wants the cache even where answers may differ. */
export function cacheKey(
  tenant: string,
  spec: GenerationSpec,
  choice: number,
  isAsked: boolean,
): string | undefined {
  const { sampling, tokens } = spec;
  const greedy = sampling.temperature === 0;
  const determined = greedy || spec.seeded;
  if (!determined && !isAsked) return undefined;
  if (spec.speculation?.trace) return undefined; // A trace is a measurement, not an answer.
  const hash = createHash("sha256");
  hash.update(JSON.stringify([
    tenant,
    spec.model.card.digest,
    spec.tokensMax,
    spec.stop,
    spec.stopTokens,
    spec.schema ?? "",
    // A seed changes nothing where nothing is drawn, and one that we drew is not part of the
    // question: but choices of one request must stay apart.
    determined ? null : choice,
    greedy ? { ...sampling, ...NO_DRAW } : determined ? sampling : { ...sampling, ...NO_SEED },
    // It does not change the text, but whoever sets it wants to see its effect.
    spec.speculation ?? null,
    tokens.length,
  ]));
  hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  return hash.digest("base64");
}

const NO_SEED = { seedLow: 0, seedHigh: 0 };
const NO_DRAW = { ...NO_SEED, topK: 0, topP: 1, minP: 0 };

export class PromptCache {
  #options: PromptCacheOptions;
  /** Insertion order is use: the first is the least recently used. */
  readonly #finished = new Map<string, Entry>();
  readonly #underWay = new Map<string, Generation>();
  #bytes = 0;

  constructor(options: PromptCacheOptions) {
    this.#options = options;
  }

  /** What is held past a smaller bound goes with the next answer that is kept. */
  reconfigure(limits: Omit<PromptCacheOptions, "now">): void {
    this.#options = { ...this.#options, ...limits };
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entryCount(): number {
    return this.#finished.size;
  }

  /** @param maxAgeMs A held answer that is older is none. */
  find(key: string, maxAgeMs = Infinity): CachedAnswer | undefined {
    const entry = this.#finished.get(key);
    if (entry !== undefined) {
      const ageMs = this.#options.now() - entry.storedAt;
      if (ageMs >= entry.ttlMs) this.#drop(key, entry);
      else if (ageMs <= maxAgeMs) {
        this.#finished.delete(key);
        this.#finished.set(key, entry);
        return { generation: entry.generation, kind: "hit", ageMs, ttlMs: entry.ttlMs - ageMs };
      }
    }
    const generation = this.#underWay.get(key);
    return generation && { generation, kind: "collapsed", ageMs: 0, ttlMs: 0 };
  }

  /** From now until `settle()`, identical requests share `generation`. */
  begin(key: string, generation: Generation): void {
    // A caller who bypasses the lookup may start a second one: the first keeps its sharers.
    if (!this.#underWay.has(key)) this.#underWay.set(key, generation);
  }

  /** Whether it is none too big, nor too short-lived: of one under way, so far. */
  mayKeep(generation: Generation, ttlMs = this.#options.ttlMs): boolean {
    return ttlMs > 0 && bytesOf(generation) <= this.#options.bytesMax;
  }

  /** The outcome of `generation` stands: kept if it is a whole answer. */
  settle(key: string, generation: Generation, ttlMs = this.#options.ttlMs): void {
    if (this.#underWay.get(key) === generation) this.#underWay.delete(key);
    this.#keep(key, generation, this.#options.now(), ttlMs);
  }

  /** Takes an answer that was kept elsewhere. */
  adopt(key: string, generation: Generation, ageMs: number, ttlMs: number): void {
    this.#keep(key, generation, this.#options.now() - ageMs, ageMs + ttlMs);
  }

  get bytesMax(): number {
    return this.#options.bytesMax;
  }

  get ttlMs(): number {
    return this.#options.ttlMs;
  }

  #keep(key: string, generation: Generation, storedAt: number, ttlMs: number): void {
    if (generation.outcome?.kind !== "finish") return;
    const held = this.#finished.get(key);
    if (held !== undefined) this.#drop(key, held);
    if (!this.mayKeep(generation, ttlMs)) return;
    const bytes = bytesOf(generation);
    this.#finished.set(key, { generation, bytes, storedAt, ttlMs });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#finished) {
      if (this.#bytes <= this.#options.bytesMax) break;
      this.#drop(oldest, entry);
    }
  }

  #drop(key: string, entry: Entry): void {
    this.#finished.delete(key);
    this.#bytes -= entry.bytes;
  }
}

function bytesOf({ textLength, pieces, entryCount }: Generation): number {
  return ENTRY_BYTES + textLength * 2 + pieces.length * PIECE_BYTES + entryCount * LOGPROB_BYTES;
}
