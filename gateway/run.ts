/** A request under way: its choices as readers of generations. @module */
import { mayUse, type Principal } from "./auth.ts";
import type { CacheDirectives, CacheOutcome, CacheState } from "./cache_control.ts";
import type { GenerationSpec } from "./generation_spec.ts";
import {
  type ApiError,
  forField,
  modelNotAllowed,
  modelNotFound,
  notCached,
  unavailable,
} from "./errors.ts";
import { promptName, tokensMaxName } from "./field_names.ts";
import type { Generation, GenerationReader } from "./generation.ts";
import { Admission } from "./limit_store.ts";
import { planChoices, type Planned } from "./plan_choices.ts";
import {
  budgetError,
  limitError,
  rateHeaders,
  type TokenAsk,
  tooManyTokens,
} from "./rate_headers.ts";
import type { SharedAnswer } from "./redis_answers.ts";
import type { GenerateRequest } from "./request.ts";
import type { RoutingWishes } from "./routing_headers.ts";
import type { ServedModel } from "./served_model.ts";
import type { Services } from "./services.ts";

export interface Choice {
  index: number;
  promptIndex: number;
  reader: GenerationReader;
  cache: CacheOutcome;
}

const COSTS: Record<CacheState, number> = { HIT: 0, COALESCED: 1, BYPASS: 2, REFRESH: 3, MISS: 4 };

/** Wakes whoever writes the answer; leaving it cancels what nobody else reads. */
export class Run {
  readonly choices: Choice[] = [];
  readonly promptTokens: Uint32Array[] = [];
  nodeUrl: string | undefined;
  /** Its number, which is what clients are told. */
  nodeIndex: number | undefined;
  retryCount = 0;
  admission: Admission | undefined;
  /** Called whenever a choice may have more. */
  onWake: () => void = () => {};
  #left = false;

  constructor(readonly model: ServedModel, readonly request: GenerateRequest) {}

  get done(): boolean {
    return this.choices.every((choice) => choice.reader.outcome !== undefined);
  }

  /** Every outcome stands, read or not. */
  get ended(): boolean {
    return this.choices.every(({ reader }) => reader.generation.outcome !== undefined);
  }

  get ready(): boolean {
    return this.choices.some((choice) => choice.reader.ready);
  }

  /** The first failed choice's error: one failure fails the request. */
  get error(): ApiError | undefined {
    for (const choice of this.choices) {
      const error = this.failureOf(choice);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  /** A generation may be shared with another route: its failure names our field here. */
  failureOf({ reader, promptIndex }: Choice): ApiError | undefined {
    const { outcome } = reader.generation;
    if (outcome?.kind !== "failure") return undefined;
    return forField(outcome.error, promptName(this.request, promptIndex));
  }

  /** Of several choices, that of the one that cost most. */
  get cache(): CacheOutcome {
    const { choices } = this;
    return choices.reduce(
      (most, { cache }) => COSTS[cache.state] > COSTS[most.state] ? cache : most,
      choices[0]!.cache,
    );
  }

  /** Idempotent: finished generations do not mind. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.onWake = () => {};
    // Where a start failed halfway, some are missing.
    for (const choice of this.choices) choice?.reader.leave();
    this.admission?.release();
  }
}

export interface RunOptions extends RoutingWishes {
  principal: Principal;
  cache: CacheDirectives;
  traceparent: string;
}

/** Starts every choice, or none.
 * @throws {ApiError} 400, 403, 404 or 429 before anything was started; 503 while draining, or as
 * long as no node was reached. */
export async function startRun(
  services: Services,
  request: GenerateRequest,
  wanted: RunOptions,
): Promise<Run> {
  const options = bypassForNode(wanted);
  if (services.closing) throw unavailable("draining", "The gateway is shutting down.");
  const model = services.pool.model(request.model);
  if (model === undefined) throw modelNotFound(request.model, services.pool.models);
  if (!mayUse(options.principal, request.model)) throw modelNotAllowed(request.model);
  const run = new Run(model, request);
  const planned = planChoices(services, run, options);
  try {
    let missed = planned.filter((plan) => !joinHeld(services, run, plan, options));
    if (services.answers !== undefined && missed.length > 0) {
      const shared = await fetchShared(services, missed, options);
      missed = missed.filter((plan) =>
        !joinHeld(services, run, plan, options, shared.get(plan.key ?? ""))
      );
    }
    if (missed.length > 0 && options.cache.onlyIfCached) {
      const { states } = run.admission = await admit(services, options.principal);
      throw notCached(rateHeaders(states));
    }
    await startMissed(services, run, missed, options);
  } catch (error) {
    run.leave(); // Choices that had started would otherwise hold their slots.
    throw error;
  }
  return run;
}

/** Who names a node wants that one's work: no held answer, and none that others would share. */
function bypassForNode(options: RunOptions): RunOptions {
  if (options.nodeIndex === undefined) return options;
  return { ...options, cache: { ...options.cache, mayRead: false, mayStore: false } };
}

/** Reads a held answer, or one under way.
 * @param shared Another gateway's, which this one may have no room to keep.
 * @returns Whether there was any. */
function joinHeld(
  services: Services,
  run: Run,
  plan: Planned,
  options: RunOptions,
  shared?: SharedAnswer,
): boolean {
  const { index, promptIndex, key } = plan;
  const { mayRead, maxAgeMs } = options.cache;
  const mine = key !== undefined && mayRead ? services.cache.find(key, maxAgeMs) : undefined;
  const held = mine ??
    (shared && shared.ageMs <= maxAgeMs ? { kind: "hit" as const, ...shared } : undefined);
  if (held === undefined) return false;
  services.metrics.cacheHits.add(1, { kind: held.kind });
  const state = held.kind === "hit" ? "HIT" : "COALESCED";
  const cache = { state, ageMs: held.ageMs, ttlMs: held.ttlMs } as const;
  const reader = held.generation.read(() => run.onWake());
  run.choices[index] = { index, promptIndex, reader, cache };
  return true;
}

/** Brings answers that other gateways hold into this one's cache.
 * @returns Them, by their keys. */
async function fetchShared(
  services: Services,
  missed: readonly Planned[],
  options: RunOptions,
): Promise<Map<string, SharedAnswer>> {
  const found = new Map<string, SharedAnswer>();
  if (!options.cache.mayRead) return found;
  const keys = new Set(missed.flatMap(({ key }) => key === undefined ? [] : [key]));
  await Promise.all([...keys].map(async (key) => {
    const answer = await services.answers!.find(key);
    if (answer === undefined) return;
    services.cache.adopt(key, answer.generation, answer.ageMs, answer.ttlMs);
    found.set(key, answer);
  }));
  return found;
}

/** Reserves what the choices may use, then starts them. Held answers cost a request, no tokens. */
async function startMissed(
  services: Services,
  run: Run,
  missed: readonly Planned[],
  options: RunOptions,
): Promise<void> {
  let unstarted = 0, promptTokens = 0;
  for (const { spec } of missed) {
    unstarted += costOf(spec);
    promptTokens += spec.tokens.length;
  }
  const admission = run.admission = await admit(services, options.principal, {
    tokens: unstarted,
    promptTokens,
    choiceCount: missed.length,
    field: tokensMaxName(run.request),
  });
  try {
    for (const plan of missed) {
      const cost = costOf(plan.spec);
      // An equal choice may have begun since: one of this request, or another's while we waited.
      if (joinHeld(services, run, plan, options)) admission.settle(cost, 0);
      else startChoice(services, run, plan, options, admission);
      unstarted -= cost;
    }
  } finally {
    if (unstarted > 0) admission.settle(unstarted, 0);
  }
}

function costOf(spec: GenerationSpec): number {
  return spec.tokens.length + spec.tokensMax;
}

/** Of what generates nothing. */
const NO_TOKENS: TokenAsk = { tokens: 0, promptTokens: 0, choiceCount: 0, field: "" };

/** @throws {ApiError} 429. */
export async function admit(
  services: Services,
  principal: Principal,
  ask: TokenAsk = NO_TOKENS,
): Promise<Admission> {
  const { limits, keyId } = principal;
  if (limits === undefined) return new Admission();
  const decision = await services.limits.admit(keyId, limits, ask.tokens);
  if (decision.kind === "admitted") return new Admission(decision.states, decision.hold);
  const { what, retryMs, states, budgetUsed = 0 } = decision;
  services.metrics.limited.add(1, { limit: what });
  if (what === "request_size") throw tooManyTokens(limits, ask, states);
  if (what === "budget") throw budgetError(limits, budgetUsed, ask, retryMs, states);
  throw limitError(what, retryMs, states);
}

function startChoice(
  services: Services,
  run: Run,
  plan: Planned,
  options: RunOptions,
  admission: Admission,
): void {
  const { index, promptIndex, spec, key } = plan;
  const { cache, answers } = services;
  const ttlMs = options.cache.ttlMs ?? cache.ttlMs;
  const generation: Generation = services.dispatcher.start(spec, {
    onRetry: (moved) => {
      ++run.retryCount;
      (moved ? services.metrics.moves : services.metrics.retries).add(1);
    },
    onHedge: () => services.metrics.hedges.add(1),
    onNode: (link) => {
      run.nodeUrl = link.url;
      run.nodeIndex = services.pool.links.indexOf(link);
    },
  }, (ended) => {
    // Of an answer of which nothing came, nothing is charged.
    const { promptCount, generatedCount } = ended.usage;
    const failed = ended.outcome?.kind === "failure" && generatedCount === 0;
    admission.settle(costOf(spec), failed ? 0 : promptCount + generatedCount);
    if (key === undefined) return;
    cache.settle(key, ended, ttlMs);
    answers?.store(key, ended, ttlMs);
  });
  if (key !== undefined && generation.outcome === undefined) cache.begin(key, generation);
  const state = key === undefined ? "BYPASS" : options.cache.mayRead ? "MISS" : "REFRESH";
  if (state === "MISS") services.metrics.cacheMisses.add(1);
  const reader = generation.read(() => run.onWake());
  const mayKeep = () =>
    key !== undefined &&
    (cache.mayKeep(generation, ttlMs) || (answers?.mayKeep(generation, ttlMs) ?? false));
  const outcome = { state, ageMs: 0, ttlMs: 0, mayKeep } as const;
  run.choices[index] = { index, promptIndex, reader, cache: outcome };
}
