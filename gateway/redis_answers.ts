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
  /** What this gateway has put there, the oldest first. */
  readonly #stored = new Map<string, { chars: number; endsAt: number }>();
  #chars = 0;

  /** @param charsMax Of all that this gateway has there; nearly all are ASCII, so bytes. */
  constructor(
    readonly redis: RedisStore,
    readonly charsMax: () => number,
    readonly now: () => number,
  ) {}

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
    const most = Math.min(ANSWER_CHARS_MAX, this.charsMax());
    return ttlMs > 0 && this.redis.isReady && textLength <= most;
  }

  /** Keeps a whole answer, if it can: nobody waits for it. */
  store(key: string, generation: Generation, ttlMs: number): void {
    const { outcome, pieces } = generation;
    if (outcome?.kind !== "finish" || !this.mayKeep(generation, ttlMs)) return;
    const { reason, usage } = outcome;
    const text = JSON.stringify({ at: this.now(), reason, usage, pieces } satisfies StoredAnswer);
    if (text.length > Math.min(ANSWER_CHARS_MAX, this.charsMax())) return;
    const name = nameOf(key);
    this.#makeRoom(name, text.length);
    this.#stored.set(name, { chars: text.length, endsAt: this.now() + ttlMs });
    this.#chars += text.length;
    this.redis.command("SET", name, text, "PX", String(Math.ceil(ttlMs))).catch(() => {});
  }

  /** Redis's memory holds limits and budgets too: whoever asks to have answers held for long must
   * not fill it. */
  #makeRoom(name: string, chars: number): void {
    this.#forget(name);
    for (const [oldest, { endsAt }] of this.#stored) {
      const isOver = this.#chars + chars > this.charsMax();
      if (!isOver && endsAt > this.now()) break;
      this.#forget(oldest);
      if (isOver) this.redis.command("DEL", oldest).catch(() => {});
    }
  }

  #forget(name: string): void {
    this.#chars -= this.#stored.get(name)?.chars ?? 0;
    this.#stored.delete(name);
  }
}

/** The key is a digest over the tenant and all that makes the answer. */
function nameOf(key: string): string {
  return `redraft:answer:${key}`;
}
