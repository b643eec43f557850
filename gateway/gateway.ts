/** A running gateway: its parts joined, its listener, its orderly end. @module */
import { createApp } from "./app.ts";
import type { KeyRing } from "./auth.ts";
import { Deadlines } from "./deadlines.ts";
import { Dispatcher } from "./dispatcher.ts";
import { addGauges } from "./gauges.ts";
import { HttpServer } from "./http_server.ts";
import { loadModel } from "./load_model.ts";
import { MemoryLimits } from "./limit_store.ts";
import { hasBudget } from "./limits.ts";
import { describeError, type Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { NodePool } from "./node_pool.ts";
import {
  checkExposure,
  checkKeysLost,
  type GatewayOptions,
  isLoopback,
  readKeys,
} from "./options.ts";
import { PromptCache } from "./prompt_cache.ts";
import type { LoadModel } from "./served_model.ts";
import { PromptMemo } from "./prompt_memo.ts";
import { RequestMemo } from "./request_memo.ts";
import { RedisAnswers } from "./redis_answers.ts";
import { RedisLimits } from "./redis_limits.ts";
import { RedisStore } from "./redis_store.ts";
import { SocketSlots } from "./socket_slots.ts";
import type { ServiceOptions, Services } from "./services.ts";

const HOLD_HEADERS_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
/** The front's own `send_timeout`. */
const READER_MS_MAX = 60_000;
const DRAIN_POLL_MS = 25;
const CLOSE_MS_LEAST = 1000;
/** Names by which a machine calls itself. */
const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"];

/** Settings that a running gateway takes over; the others wait for its next start. */
export const RELOADED = [
  "bodyBytesMax",
  "cacheBytesMax",
  "cacheTtlMs",
  "corsOrigins",
  "deadlineMs",
  "failoverMs",
  "firstTokenMs",
  "gapMs",
  "hedgeMs",
  "hosts",
  "logText",
  "origins",
  "queueMax",
  "queueMs",
  "socketsMax",
] as const satisfies ReadonlyArray<keyof GatewayOptions>;

export interface Gateway {
  readonly services: Services;
  readonly port: number;
  /** Counts and logs a bug of ours, by which something failed that nobody else tells of. */
  fault(error: unknown): void;
  /** From now on, these are the keys. HTTP requests under way go on; WebSockets, which have no end
   * of their own, are closed where their key is gone.
   * @throws {OptionError} If without any the gateway would stand open. */
  setKeys(keys: KeyRing): void;
  /** The same of the settings in `RELOADED`; what was admitted before keeps its times. */
  reconfigure(options: GatewayOptions): void;
  /** Readiness first, then new work, then what runs, then the connections. Idempotent. */
  drain(): Promise<void>;
  /** At once: what runs is cut. */
  close(): Promise<void>;
}

function serviceOptions(options: GatewayOptions): ServiceOptions {
  return {
    bodyBytesMax: options.bodyBytesMax,
    hostsAllowed: isLoopback(options.host)
      ? new Set([...LOOPBACK_HOSTS, options.host, ...options.hosts])
      : undefined,
    originsAllowed: new Set(options.origins),
    corsOrigins: new Set(options.corsOrigins),
    socketsMax: options.socketsMax,
    holdHeadersMs: HOLD_HEADERS_MS,
    keepAliveMs: KEEP_ALIVE_MS,
    readerMsMax: READER_MS_MAX,
    playground: options.playground,
    logText: options.logText,
  };
}

function cacheLimits(options: GatewayOptions) {
  return { bytesMax: options.cacheBytesMax, ttlMs: options.cacheTtlMs };
}

/** @throws {OptionError} For options that cannot be served safely. */
export function createServices(options: GatewayOptions, log: Log, load: LoadModel): Services {
  const keys = readKeys(options);
  checkExposure(options, !keys.isEmpty);
  const now = () => performance.now();
  const epochMs = () => performance.timeOrigin + performance.now();
  const gatewayId = `gateway-${crypto.randomUUID().slice(0, 8)}`;
  const localLimits = new MemoryLimits(epochMs);
  const store = options.store === "memory"
    ? undefined
    : new RedisStore(options.store, gatewayId, log);
  const pool = new NodePool({
    urls: options.nodes,
    token: options.nodeToken,
    gatewayId,
    loadModel: load,
    log,
    now,
    random: Math.random,
  });
  const seed = new BigUint64Array(1);
  const metrics = new Metrics();
  const cache = new PromptCache({ ...cacheLimits(options), now });
  const services: Services = {
    options: serviceOptions(options),
    gatewayId,
    pool,
    dispatcher: new Dispatcher(pool, {
      ...options,
      now,
      random: Math.random,
      onPlaced: (waitedMs) => metrics.queueWait.observe(waitedMs / 1000),
      onShed: (reason) => metrics.shed.add(1, { reason }),
    }),
    cache,
    prompts: new PromptMemo(),
    requests: new RequestMemo(),
    deadlines: new Deadlines(now),
    keys,
    limits: store === undefined ? localLimits : new RedisLimits(store, localLimits, epochMs),
    store,
    answers: store === undefined
      ? undefined
      : new RedisAnswers(store, () => cache.bytesMax, epochMs),
    metrics,
    log,
    now,
    drawSeed: () => crypto.getRandomValues(seed)[0]!,
    draining: false,
    closing: false,
    activeCount: 0,
    sockets: new Set(),
    socketSlots: new SocketSlots(),
  };
  addGauges(services);
  return services;
}

function listenError(error: unknown, { host, port }: GatewayOptions): unknown {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return error;
  return new Error(`Cannot listen on ${host}:${port}: the port is in use; --port names another`);
}

/** What is used of a budget is then kept by this process alone, and for as long as it lives. */
function warnOfBudgets({ keys, store, log }: Services): void {
  if (store === undefined && hasBudget(keys.principals)) log.write("warn", "budgets.not_kept");
}

/** Starts to listen and to connect to the nodes; it serves as soon as one is ready.
 * @throws {OptionError} For options that cannot be served safely.
 * @throws {Error} Where it cannot listen. */
export async function startGateway(
  options: GatewayOptions,
  log: Log,
  load: LoadModel = loadModel,
): Promise<Gateway> {
  const services = createServices(options, log, load);
  warnOfBudgets(services);
  const fault = (error: unknown) => {
    services.metrics.faults.add(1);
    log.write("error", "fault", { error: describeError(error) });
  };
  let server: HttpServer;
  try {
    server = await HttpServer.listen({
      port: options.port,
      host: options.host,
      handle: createApp(services),
      messageBytesMax: () => services.options.bodyBytesMax,
      readerMsMax: () => services.options.readerMsMax,
      isClosing: () => services.closing,
      onFault: fault,
    });
  } catch (error) {
    services.pool.close();
    services.store?.close();
    throw listenError(error, options);
  }
  let drained: Promise<void> | undefined;
  /** @param graceMs For answers that are on their way: a reader who takes nothing ends none. */
  const close = async (graceMs = CLOSE_MS_LEAST) => {
    services.draining = true;
    services.closing = true;
    for (const socket of [...services.sockets]) socket.close(1001, "the gateway is going away");
    services.dispatcher.close(); // What still runs ends, so no handler is left waiting.
    services.pool.close();
    await server.close(graceMs);
    services.deadlines.close();
    await services.store?.close();
  };
  return {
    services,
    port: server.port,
    fault,
    setKeys: (keys) => {
      checkExposure(options, !keys.isEmpty);
      checkKeysLost(options, services.keys, keys);
      services.keys = keys;
      warnOfBudgets(services);
      for (const socket of [...services.sockets]) socket.rekey(keys);
      services.limits.retain(new Set(keys.principals.map(({ keyId }) => keyId)));
    },
    reconfigure: (given) => {
      const next = { ...options };
      for (const name of RELOADED) Object.assign(next, { [name]: given[name] });
      services.options = serviceOptions(next);
      services.dispatcher.reconfigure(next);
      services.cache.reconfigure(cacheLimits(next));
    },
    drain: () => drained ??= drain(services, options, close),
    close: () => close(),
  };
}

async function drain(
  services: Services,
  options: GatewayOptions,
  close: (graceMs: number) => Promise<void>,
): Promise<void> {
  services.draining = true;
  services.log.write("info", "drain", { active: services.activeCount });
  for (const socket of services.sockets) socket.drain();
  // Load balancers see readiness only when they next ask: until then work still comes.
  await sleep(options.drainSettleMs);
  services.closing = true;
  const deadline = services.now() + options.drainDeadlineMs;
  while (services.activeCount > 0 && services.now() < deadline) await sleep(DRAIN_POLL_MS);
  await close(Math.max(CLOSE_MS_LEAST, deadline - services.now()));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
