/** What requests share: made once in `main.ts`, handed to every route. @module */
import type { KeyRing } from "./auth.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { LimitStore } from "./limit_store.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { NodePool } from "./node_pool.ts";
import type { PromptCache } from "./prompt_cache.ts";
import type { PromptMemo } from "./prompt_memo.ts";
import type { RequestMemo } from "./request_memo.ts";
import type { RedisAnswers } from "./redis_answers.ts";
import type { RedisStore } from "./redis_store.ts";
import type { SocketSlots } from "./socket_slots.ts";

export interface ServiceOptions {
  bodyBytesMax: number;
  /** Host header names that are taken on a loopback address; `undefined`: any. */
  hostsAllowed: ReadonlySet<string> | undefined;
  /** Origins of web pages that may open the WebSocket, besides the gateway's own. */
  originsAllowed: ReadonlySet<string>;
  /** Origins of web pages that may read answers. */
  corsOrigins: ReadonlySet<string>;
  socketsMax: number;
  /** A stream's headers are held back for its first token, so that an error can still be a status;
   * after this long they go out, or proxies would give the connection up. */
  holdHeadersMs: number;
  keepAliveMs: number;
  /** A stream whose reader takes nothing for so long is ended: its slot is others'. */
  readerMsMax: number;
  /** The playground is served at `/`. */
  playground: boolean;
  /** Requests are logged with their texts. */
  logText: boolean;
}

export interface Services {
  options: ServiceOptions;
  /** Tells this gateway from others; drawn at start. */
  readonly gatewayId: string;
  readonly pool: NodePool;
  readonly dispatcher: Dispatcher;
  readonly cache: PromptCache;
  readonly prompts: PromptMemo;
  readonly requests: RequestMemo;
  readonly deadlines: Deadlines;
  keys: KeyRing;
  readonly limits: LimitStore;
  /** Only with a shared store. */
  readonly store: RedisStore | undefined;
  readonly answers: RedisAnswers | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** 64 bits, for requests that give no seed. */
  readonly drawSeed: () => bigint;
  /** Readiness says no: load balancers should look elsewhere. */
  draining: boolean;
  /** No new generations. */
  closing: boolean;
  /** Generating requests under way, over HTTP and WebSocket. */
  activeCount: number;
  /** Told when the gateway drains, and when its keys change. */
  readonly sockets: Set<OpenSocket>;
  readonly socketSlots: SocketSlots;
}

export interface OpenSocket {
  drain(): void;
  rekey(keys: KeyRing): void;
  close(code: number, reason: string): void;
}
