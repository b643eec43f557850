/** The step engine: our scheduler over `redraft_step`, be it the native library or the fake.
 * @module */

import { hashPromptBlocks } from "../kernels/glue/mod.ts";
import { blockSeed } from "../proto/block_seed.ts";
import { ABI } from "./abi.ts";
import { type Backend, openNative } from "./backend.ts";
import { type Constrain, Constraint } from "./constraint.ts";
import { BUDGET_CEILING } from "./draft_budget.ts";
import type {
  BlockReport,
  DraftBudget,
  Engine,
  EngineCounters,
  EngineStatus,
  EventSink,
  ModelInfo,
  SequenceRequest,
} from "./engine.ts";
import type { HiddenRows, NativeEngine, NativeModelInfo } from "./native_engine.ts";
import { measureStepCost } from "./measure_step_cost.ts";
import { modelIdOf } from "./model_id.ts";
import { Scheduler } from "./scheduler.ts";
import { StepCodec } from "./step_codec.ts";
import { StepCost } from "./step_cost.ts";
import { StepLoop, type TakeTurn } from "./step_loop.ts";
import { TokenMasks } from "./token_mask.ts";

export interface StepEngineOptions {
  /** Path of a GGUF file. */
  model: string;
  /** Path of a draft head's folder or safetensors file; without one nothing is drafted. */
  head?: string;
  /** "cpu" by default. */
  backend?: Backend;
  /** Path of the native library; by default `REDRAFT_LIBRARY`, else the backend's own. */
  library?: string;
  threads?: number;
  slotsMax?: number;
  pagesMax?: number;
  /** KV memory in MiB, in place of `pagesMax`. */
  kvMib?: number;
  rowsMax?: number;
  contextMax?: number;
  scheduling?: SchedulingOptions;
}

export interface SchedulingOptions {
  /** Why this backend; for the model's description. */
  backendReason?: string;
  /** What clients call the model; by default its file's name, else the name inside. */
  modelId?: string;
  /** Sequences that may wait for a slot; 256 by default. */
  queueMax?: number;
  /** The most that a sequence drafts; measured costs and the load take from it. */
  budget?: DraftBudget;
  /** What a step costs; measured when the engine opens unless given. */
  costs?: StepCost;
  /** Context tokens of one sequence in one step; all that fit by default. */
  chunkMax?: number;
  /** Context rows of a step that also generates; 128 by default. */
  mixedContextRowsMax?: number;
  /** Awaited before each step. */
  takeTurn?: TakeTurn;
}

/** The step engine also gives rows of hidden states, which bench and training read. */
export interface StepEngine extends Engine {
  /** Not while sequences run: one native call is under way at a time. */
  hidden(tokens: Uint32Array<ArrayBuffer>, rows: HiddenRows, logitsStart?: number): Promise<void>;
}

/** Backends whose draws obey a mask. */
const MASKING: ReadonlySet<string> = new Set(["cpu", "cuda"]);
/** Backends that verify trees with a mask at each packed token. */
const MASKING_TREES: ReadonlySet<string> = new Set(["cpu", "cuda"]);

/** Opens a model with the native library and starts its step loop.
 * @throws {EngineError} That says what is wrong: the library, the model, the head or a bound. */
export async function openStepEngine(options: StepEngineOptions): Promise<StepEngine> {
  const pagesMax = options.kvMib === undefined
    ? options.pagesMax
    : await pagesOf(options, options.kvMib);
  const { scheduling, backend = "cpu" } = options;
  const opened = await openNative({ ...options, ...(pagesMax ? { pagesMax } : {}) }, backend);
  const { native, reason: backendReason } = opened;
  const costs = scheduling?.costs ?? await measureStepCost(native);
  const modelId = modelIdOf(options.model);
  return startStepEngine(native, { modelId, backendReason, ...scheduling, costs });
}

/** Only the model knows what a page takes, so it is opened twice. */
async function pagesOf(options: StepEngineOptions, kvMib: number): Promise<number> {
  const { native } = await openNative({ ...options, pagesMax: 1 }, options.backend ?? "cpu");
  const { kv_bytes_per_token, page_tokens } = native.info;
  native.close();
  return Math.max(1, Math.floor(kvMib * (1 << 20) / (kv_bytes_per_token * page_tokens)));
}

/** Starts the step loop over an open native engine, which it then owns. */
export async function startStepEngine(
  native: NativeEngine,
  options: SchedulingOptions = {},
): Promise<StepEngine> {
  const model = await describeModel(native, options.modelId, options.backendReason);
  const scheduler = new Scheduler({
    slotsMax: model.slotsMax,
    pagesMax: model.pagesMax,
    pageTokens: model.pageTokens,
    vocabSize: model.vocabSize,
    rowsMax: model.rowsMax,
    contextMax: model.contextMax,
    chunkMax: options.chunkMax ?? model.rowsMax,
    mixedContextRowsMax: options.mixedContextRowsMax ?? 128,
    budget: options.budget ?? BUDGET_CEILING,
    costs: options.costs ?? new StepCost(),
    queueMax: options.queueMax ?? 256,
    hashBlocks: hashPromptBlocks,
    seedOf: (salt) => blockSeed(model.digest, salt),
    ...(MASKING.has(model.backend) ? { constrain: constrainFor(model) } : {}),
    draftsInGrammars: MASKING_TREES.has(model.backend),
  });
  return new LoopedEngine(native, scheduler, model, options.takeTurn);
}

/** The vocabulary is sorted when the first constrained request comes. */
function constrainFor({ tokenizerJson, vocabSize }: ModelInfo): Constrain {
  let masks: TokenMasks | undefined;
  return (schema, stops, generated) => {
    masks ??= new TokenMasks(tokenizerJson, vocabSize);
    return new Constraint(masks, schema, stops, generated);
  };
}

async function describeModel(
  native: NativeEngine,
  modelId?: string,
  backendReason = "",
): Promise<ModelInfo> {
  const { info, tokenizerJson } = native;
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(tokenizerJson));
  if (info.page_tokens !== ABI.pageTokens) {
    throw new RangeError(`Cannot start engine: its pages have ${info.page_tokens} tokens`);
  }
  return {
    id: modelId ?? info.model.name,
    digest: info.model.digest,
    tokenizerDigest: new Uint8Array(digest).toHex(),
    tokenizerJson,
    headDigest: info.head?.digest ?? "",
    architecture: info.model.architecture,
    vocabSize: info.model.vocab_size,
    contextMax: info.model.context_max,
    hiddenSize: info.model.hidden_size,
    pageTokens: info.page_tokens,
    slotsMax: info.slots_max,
    pagesMax: info.pages_max,
    rowsMax: info.rows_max,
    backend: info.backend,
    backendReason,
    isa: info.isa ?? "",
    device: info.device ?? "",
    ...(info.layer_weights && { layerWeights: `${info.layer_weights}, ${info.products}` }),
    kvBytesPerToken: info.kv_bytes_per_token,
    weightBytes: info.weight_bytes,
    ...memoryOf(info),
  };
}

const mib = (bytes: number) => `${Math.round(bytes / (1 << 20))} MiB`;

function memoryOf(info: NativeModelInfo): { memory?: string } {
  const { weight_bytes, pages_max, kv_bytes, workspace_bytes, free_bytes } = info;
  if (kv_bytes === undefined || workspace_bytes === undefined || free_bytes === undefined) {
    return {};
  }
  return {
    memory: `weights ${mib(weight_bytes)}, ${pages_max} KV pages ${mib(kv_bytes)}, ` +
      `workspace ${mib(workspace_bytes)}, of ${mib(free_bytes)} free`,
  };
}

class LoopedEngine implements StepEngine {
  readonly model: ModelInfo;
  readonly ended: Promise<void>;
  readonly #native: NativeEngine;
  readonly #scheduler: Scheduler;
  readonly #loop: StepLoop;

  constructor(
    native: NativeEngine,
    scheduler: Scheduler,
    model: ModelInfo,
    takeTurn: TakeTurn | undefined,
  ) {
    this.model = model;
    this.#native = native;
    this.#scheduler = scheduler;
    this.#loop = new StepLoop(native, scheduler, new StepCodec(model), this.#now, takeTurn);
    this.ended = this.#loop.run();
    // Whoever awaits it sees the rejection; nobody is obliged to.
    this.ended.catch(() => {});
  }

  submit(request: SequenceRequest, sink: EventSink): void {
    this.#scheduler.submit(request, sink, this.#now());
    this.#loop.wake();
  }

  cancel(id: number): void {
    this.#scheduler.cancel(id, this.#now());
    this.#loop.wake();
  }

  setPaused(id: number, paused: boolean): void {
    this.#scheduler.setPaused(id, paused);
    this.#loop.wake();
  }

  drain(): void {
    this.#scheduler.drain();
  }

  status(): EngineStatus {
    return this.#scheduler.status();
  }

  counters(): EngineCounters {
    return this.#scheduler.counters();
  }

  takeBlockReport(): BlockReport {
    return this.#scheduler.takeBlockReport();
  }

  storedBlocks(): BigUint64Array {
    return this.#scheduler.storedBlocks();
  }

  async hidden(
    tokens: Uint32Array<ArrayBuffer>,
    rows: HiddenRows,
    logitsStart = 0,
  ): Promise<void> {
    if (this.#scheduler.sequenceCount > 0) {
      throw new TypeError("Cannot read hidden states: sequences are running");
    }
    await this.#native.hidden(tokens, rows, logitsStart);
  }

  async close(): Promise<void> {
    this.#loop.stop();
    await this.ended.catch(() => {});
    this.#native.close();
  }

  #now = (): number => performance.now();
}
