/** The connection to the Redis that gateways share. While it is away, everyone serves on alone.
 * @module */
import { ClientOfflineError, createClient, ErrorReply } from "@redis/client";
import type { Log } from "./log.ts";

const CONNECT_MS_MAX = 1000;
/** A command that takes longer would cost more than what it is for. */
const COMMAND_MS_MAX = 250;
const BACKOFF_MS_LEAST = 50;
const BACKOFF_MS_MOST = 2000;
/** A gateway that has not said for this long that it lives holds nothing any more. */
export const LEASE_MS = 15_000;
const HEARTBEAT_MS = 5_000;
/** How often a Redis that is of no use is asked whether it is again. */
const PROBE_MS = 500;

/** A command could not be carried out in time. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

type Argument = string | Uint8Array;

export class RedisStore {
  readonly #client: ReturnType<typeof createClient>;
  readonly #log: Log;
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #probe: ReturnType<typeof setTimeout> | undefined;
  #epoch = 0;
  #isReady = false;
  /** The connection stands, but a command got no answer, as where a network is cut, or an error, as
   * where its memory is full. */
  #isUseless = false;
  #closed = false;
  #problem = "";

  /** Called whenever commands work again, and when the lease is another one. */
  onUsable: () => void = () => {};

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
    return this.#isReady && !this.#isUseless;
  }

  /** Names what this gateway holds since it connected last, or since its lease lapsed. What it held
   * before ended with the old lease, as nobody knows which releases arrived; what it still holds it
   * takes again. A lease that ended never comes back. */
  get lease(): string {
    return `${this.gatewayId}.${this.#epoch}`;
  }

  /** @throws {StoreError} When Redis is away, silent, slow, or refuses. */
  command(...args: Argument[]): Promise<unknown> {
    return this.ask(args, () => {});
  }

  /** As `command`, for one that must be undone where nobody waits for it any more.
   * @param onLate Told of an answer that came after it had been given up.
   * @throws {StoreError} */
  async ask(args: readonly Argument[], onLate: (reply: unknown) => void): Promise<unknown> {
    if (!this.isReady) throw new StoreError("Cannot reach Redis");
    return await this.#timed(args, onLate);
  }

  /** Sends what must arrive whenever it can, and waits for nothing.
   * @param onLost It was certainly not carried out. */
  post(args: readonly Argument[], onLost: () => void): void {
    if (!this.isReady) return onLost(); // Into a silent connection it might get lost.
    this.#send(args).catch((error) => {
      if (error instanceof ErrorReply || error instanceof ClientOfflineError) onLost();
    });
  }

  async #send(args: readonly Argument[]): Promise<unknown> {
    let reply: unknown;
    try {
      // deno-lint-ignore no-explicit-any -- bytes are Buffers to it.
      reply = await this.#client.sendCommand(args as any);
    } catch (error) {
      if (error instanceof ErrorReply) this.#useless(error.message);
      throw error;
    }
    if (this.#isUseless && this.#isReady) {
      this.#isUseless = false;
      this.#problem = "";
      this.#log.write("info", "store.ready");
      this.onUsable();
    }
    return reply;
  }

  async #timed(args: readonly Argument[], onLate: (reply: unknown) => void): Promise<unknown> {
    let isLate = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        isLate = true;
        this.#useless(`no answer in ${COMMAND_MS_MAX} ms`);
        reject(new StoreError("Redis took too long"));
      }, COMMAND_MS_MAX);
    });
    const reply = this.#send(args);
    reply.then((value) => isLate && onLate(value), () => {});
    try {
      return await Promise.race([reply, late]);
    } catch (error) {
      throw error instanceof StoreError ? error : new StoreError((error as Error).message);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#probe);
    if (this.isReady) await this.command("DEL", leaseKey(this.lease)).catch(() => {});
    this.#isReady = false;
    try {
      this.#client.destroy();
    } catch {
      // It was never connected.
    }
  }

  async #up(): Promise<void> {
    if (this.#closed) return;
    this.#isReady = true;
    this.#isUseless = false;
    this.#problem = "";
    await this.#begin();
    if (this.isReady) this.#log.write("info", "store.ready");
  }

  #down(reason: string): void {
    this.#isReady = false;
    if (this.#closed || reason === this.#problem) return;
    this.#problem = reason;
    this.#log.write("warn", "store.down", { reason });
  }

  /** From now on nobody waits for it, but for the probe. */
  #useless(reason: string): void {
    if (this.#closed || !this.#isReady || this.#isUseless) return;
    this.#isUseless = true;
    this.#log.write("warn", "store.down", { reason });
    const probe = async () => {
      await this.#beat();
      if (!this.#closed && this.#isUseless && this.#isReady) {
        this.#probe = setTimeout(probe, PROBE_MS);
      }
    };
    clearTimeout(this.#probe);
    this.#probe = setTimeout(probe, PROBE_MS);
  }

  /** Begins a new lease, unless that was done since `lapsed` was found to have ended. */
  async renew(lapsed: string): Promise<void> {
    if (this.lease === lapsed) await this.#begin();
  }

  async #begin(): Promise<void> {
    const { lease } = this;
    ++this.#epoch;
    // Else both would count, until the old one has lapsed.
    this.post(["DEL", leaseKey(lease)], () => {});
    if (await this.#setLease() !== undefined) this.onUsable();
  }

  /** Also begins a new lease where the old one ended, as after a pause of this process. */
  async #beat(): Promise<void> {
    if (!this.#isReady) return;
    const { lease } = this;
    if (await this.#setLease("XX") === null) await this.renew(lease);
  }

  /** @returns `null` where `only` forbade it. */
  async #setLease(...only: string[]): Promise<unknown> {
    try {
      const set = ["SET", leaseKey(this.lease), "1", ...only, "PX", String(LEASE_MS)];
      return await this.#timed(set, () => {});
    } catch {
      // The next beat tries again; until then the lease still stands.
      return undefined;
    }
  }
}

/** Alive while it exists. */
export function leaseKey(lease: string): string {
  return `redraft:lease:${lease}`;
}
