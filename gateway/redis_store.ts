/** The connection to the Redis that gateways share. While it is away, everyone serves on alone.
 * @module */
import { createClient } from "@redis/client";
import type { Log } from "./log.ts";

const CONNECT_MS_MAX = 1000;
/** A command that takes longer would cost more than what it is for. */
const COMMAND_MS_MAX = 250;
const BACKOFF_MS_LEAST = 50;
const BACKOFF_MS_MOST = 2000;
/** A gateway that has not said for this long that it lives holds nothing any more. */
export const LEASE_MS = 15_000;
const HEARTBEAT_MS = 5_000;

/** A command could not be carried out in time. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

type Argument = string | Uint8Array;

export class RedisStore {
  readonly #client: ReturnType<typeof createClient>;
  readonly #log: Log;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #epoch = 0;
  #isReady = false;
  #closed = false;
  #problem = "";

  /** @param url May hold a password: it is neither logged nor kept. */
  constructor(url: string, readonly gatewayId: string, log: Log) {
    this.#log = log;
    this.#client = createClient({
      url,
      disableOfflineQueue: true,
      socket: {
        connectTimeout: CONNECT_MS_MAX,
        reconnectStrategy: (tries: number) =>
          Math.min(BACKOFF_MS_LEAST * 2 ** Math.min(tries, 10), BACKOFF_MS_MOST),
      },
    });
    this.#client.on("ready", () => this.#up());
    this.#client.on("error", (error: Error) => this.#down(error.message));
    this.#client.on("end", () => this.#down("the connection ended"));
    this.#client.connect().catch(() => {}); // It keeps trying; `error` has told why.
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Names what this gateway holds since it connected last. What it held before ends with its old
   * lease: nobody knows whether those releases arrived. */
  get lease(): string {
    return `${this.gatewayId}.${this.#epoch}`;
  }

  /** @throws {StoreError} When Redis is away, slow, or refuses. */
  async command(...args: Argument[]): Promise<unknown> {
    if (!this.#isReady) throw new StoreError("Cannot reach Redis");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new StoreError("Redis took too long")), COMMAND_MS_MAX);
    });
    try {
      // deno-lint-ignore no-explicit-any -- bytes are Buffers to it.
      return await Promise.race([this.#client.sendCommand(args as any), late]);
    } catch (error) {
      throw error instanceof StoreError ? error : new StoreError((error as Error).message);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    if (this.#isReady) await this.command("DEL", leaseKey(this.lease)).catch(() => {});
    this.#isReady = false;
    try {
      this.#client.destroy();
    } catch {
      // It was never connected.
    }
  }

  async #up(): Promise<void> {
    if (this.#closed) return;
    ++this.#epoch;
    this.#isReady = true;
    this.#problem = "";
    await this.#beat();
    this.#log.write("info", "store.ready");
  }

  #down(reason: string): void {
    this.#isReady = false;
    if (this.#closed || reason === this.#problem) return;
    this.#problem = reason;
    this.#log.write("warn", "store.down", { reason });
  }

  async #beat(): Promise<void> {
    if (!this.#isReady) return;
    try {
      await this.command("SET", leaseKey(this.lease), "1", "PX", String(LEASE_MS));
    } catch {
      // The next beat tries again; until then the lease still stands.
    }
  }
}

/** Alive while it exists. */
export function leaseKey(lease: string): string {
  return `redraft:lease:${lease}`;
}
