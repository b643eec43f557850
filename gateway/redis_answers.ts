/** Finished answers that gateways of one Redis share. @module */
import { Generation, type Piece } from "./generation.ts";
import type { GenerationUsage } from "./generation_usage.ts";
import type { RedisStore } from "./redis_store.ts";

/** Longer answers stay with the gateway that has them. */
const ANSWER_CHARS_MAX = 1 << 20;

interface StoredAnswer {
  /** Epoch milliseconds. */
  at: number;
  reason: "stop" | "length";
  usage: GenerationUsage;
  pieces: Piece[];
}

export interface SharedAnswer {
  generation: Generation;
  ageMs: number;
  ttlMs: number;
}

export class RedisAnswers {
  constructor(readonly redis: RedisStore, readonly now: () => number) {}

  /** `undefined` also while Redis is away. */
  async find(key: string): Promise<SharedAnswer | undefined> {
    try {
      const name = nameOf(key);
      const text = await this.redis.command("GET", name);
      if (typeof text !== "string") return undefined;
      const ttlMs = Number(await this.redis.command("PTTL", name));
      const answer = JSON.parse(text) as StoredAnswer;
      const generation = Generation.finished(answer.pieces, answer.reason, answer.usage);
      return { generation, ageMs: Math.max(0, this.now() - answer.at), ttlMs };
    } catch {
      return undefined; // Away, or written by a later version: as good as not there.
    }
  }

  /** Whether it would be tried: of one under way, so far. */
  mayKeep({ textLength }: Generation, ttlMs: number): boolean {
    return ttlMs > 0 && this.redis.isReady && textLength <= ANSWER_CHARS_MAX;
  }

  /** Keeps a whole answer, if it can: nobody waits for it. */
  store(key: string, generation: Generation, ttlMs: number): void {
    const { outcome, pieces } = generation;
    if (outcome?.kind !== "finish" || !this.mayKeep(generation, ttlMs)) return;
    const { reason, usage } = outcome;
    const text = JSON.stringify({ at: this.now(), reason, usage, pieces } satisfies StoredAnswer);
    if (text.length > ANSWER_CHARS_MAX) return;
    this.redis.command("SET", nameOf(key), text, "PX", String(Math.ceil(ttlMs))).catch(() => {});
  }
}

/** The key is a digest over the tenant and all that makes the answer. */
function nameOf(key: string): string {
  return `redraft:answer:${key}`;
}
