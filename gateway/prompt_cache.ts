/** Answers by exact question: finished ones for a while, and those under way, which identical
 * requests share. @module */
import { createHash } from "node:crypto";
import type { Generation } from "./generation.ts";
import type { GenerationSpec } from "./dispatcher.ts";

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
}

/** The key of an answer, or `undefined` where the same question may have many answers. The tenant
 * comes first and from us: no field of a request can reach another tenant's answers. */
export function cacheKey(tenant: string, spec: GenerationSpec): string | undefined {
  if (spec.sampling.temperature > 0 && !spec.seeded) return undefined;
  if (spec.speculation?.trace) return undefined; // A trace is a measurement, not an answer.
  const { sampling, tokens } = spec;
  const greedy = sampling.temperature === 0;
  const hash = createHash("sha256");
  hash.update(JSON.stringify([
    tenant,
    spec.model.card.digest,
    spec.tokensMax,
    spec.stop,
    spec.stopTokens,
    // A seed changes nothing where nothing is drawn.
    greedy ? { ...sampling, seedLow: 0, seedHigh: 0, topK: 0, topP: 1, minP: 0 } : sampling,
    // It does not change the text, but whoever sets it wants to see its effect.
    spec.speculation ?? null,
    tokens.length,
  ]));
  hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  return hash.digest("base64");
}

export class PromptCache {
  readonly #options: PromptCacheOptions;
  /** Insertion order is use: the first is the least recently used. */
  readonly #finished = new Map<string, Entry>();
  readonly #underWay = new Map<string, Generation>();
  #bytes = 0;

  constructor(options: PromptCacheOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entryCount(): number {
    return this.#finished.size;
  }

  find(key: string): CachedAnswer | undefined {
    const entry = this.#finished.get(key);
    if (entry !== undefined) {
      const ageMs = this.#options.now() - entry.storedAt;
      if (ageMs < this.#options.ttlMs) {
        this.#finished.delete(key);
        this.#finished.set(key, entry);
        const ttlMs = this.#options.ttlMs - ageMs;
        return { generation: entry.generation, kind: "hit", ageMs, ttlMs };
      }
      this.#drop(key, entry);
    }
    const generation = this.#underWay.get(key);
    return generation && { generation, kind: "collapsed", ageMs: 0, ttlMs: this.#options.ttlMs };
  }

  /** From now until `settle()`, identical requests share `generation`. */
  begin(key: string, generation: Generation): void {
    // A caller who bypasses the lookup may start a second one: the first keeps its sharers.
    if (!this.#underWay.has(key)) this.#underWay.set(key, generation);
  }

  /** The outcome of `generation` stands: kept if it is a whole answer. */
  settle(key: string, generation: Generation): void {
    if (this.#underWay.get(key) === generation) this.#underWay.delete(key);
    if (generation.outcome?.kind !== "finish") return;
    const bytes = ENTRY_BYTES + generation.textLength * 2 +
      generation.pieces.length * PIECE_BYTES + generation.entryCount * LOGPROB_BYTES;
    const held = this.#finished.get(key);
    if (held !== undefined) this.#drop(key, held);
    if (bytes > this.#options.bytesMax) return;
    this.#finished.set(key, { generation, bytes, storedAt: this.#options.now() });
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

/** What a request's Cache-Control lets us do. */
export interface CacheDirectives {
  mayRead: boolean;
  mayStore: boolean;
  onlyIfCached: boolean;
}

const NO_DIRECTIVES: CacheDirectives = { mayRead: true, mayStore: true, onlyIfCached: false };

/** `no-cache` asks for a fresh answer, which may be kept; `no-store` for one that is not. */
export function readCacheControl(header: string | null): CacheDirectives {
  if (header === null) return NO_DIRECTIVES;
  const directives = new Set(header.toLowerCase().split(",").map((part) => part.trim()));
  const noStore = directives.has("no-store");
  return {
    mayRead: !noStore && !directives.has("no-cache") && !directives.has("max-age=0"),
    mayStore: !noStore,
    onlyIfCached: directives.has("only-if-cached"),
  };
}
