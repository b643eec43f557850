/** An engine in this process with its tokenizer and chat template: what the benchmarks measure.
 * @module */
import { NODE_OPTIONS, prepareNode } from "../cli/node_options.ts";
import { type ParsedOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { ChatTemplate } from "../gateway/chat_template.ts";
import type { ChatMessage } from "../gateway/request_messages.ts";
import { ModelTokenizer } from "../gateway/tokenizer.ts";
import type { Backend } from "../gpu-node/backend.ts";
import { parseBudget } from "../gpu-node/draft_budget.ts";
import type { DraftBudget, EngineEvent, SequenceFinish, SequenceStep } from "../gpu-node/engine.ts";
import { openStepEngine, type StepEngine } from "../gpu-node/engine_step.ts";
import { GREEDY, type Sampling } from "../proto/sampling.ts";
import type { Side } from "./turns.ts";

/** Drafts nothing: plain decoding by the same engine. */
export const PLAIN: DraftBudget = { beamWidth: 0, beamLength: 0, packedMax: 0 };

export const SESSION_OPTIONS = NODE_OPTIONS;

/** Read from the same options as a node's. */
export interface SessionOptions {
  model: string;
  head: string | null;
  backend: Backend;
  threads: number;
  slotsMax: number;
  pagesMax: number;
  contextMax: number;
  rowsMax: number;
  budget?: DraftBudget;
  /** Context tokens of one sequence in one step. */
  chunkMax?: number;
}

/** Fetches the model, builds the engine, reads the options.
 * @throws {UsageError} Naming the option that is wrong. */
export async function prepareSession(values: ParsedOptions["values"]): Promise<SessionOptions> {
  const number = (name: string, min: number, max: number, fallback: number) =>
    wholeNumber(values, name, { min, max, fallback });
  const cores = Math.min(navigator.hardwareConcurrency, 256);
  const settings = {
    threads: number("threads", 1, 256, cores),
    slotsMax: number("slots-max", 1, 1024, 32),
    pagesMax: number("pages-max", 1, 1 << 24, 2048),
    contextMax: number("context-max", 0, 1 << 18, 0),
    rowsMax: number("rows-max", 64, 8192, 512),
    budget: readBudget(values.spec as string | undefined),
  };
  const { model, head, backend } = await prepareNode(values);
  return { model, head, backend, ...settings };
}

function readBudget(text: string | undefined): DraftBudget | undefined {
  try {
    return text === undefined ? undefined : parseBudget(text);
  } catch (error) {
    throw new UsageError(`Option '--spec' ${(error as Error).message}`);
  }
}

export interface GenerateOptions {
  tokensMax: number;
  temperature: number;
  seed: number;
  /** `undefined`: the engine's own budget. */
  budget?: DraftBudget;
  /** Reuse prefix pages, and leave them for others. */
  usePrefix?: boolean;
  /** Goes on to `tokensMax`, past stop tokens. */
  ignoreStops?: boolean;
}

export interface Generated {
  tokens: number[];
  steps: SequenceStep[];
  finish: SequenceFinish;
  /** From submission to the end, prompt included, by the session's clock. */
  seconds: number;
  firstTokenSeconds: number;
}

function samplingOf({ temperature, seed }: GenerateOptions): Sampling {
  return { ...GREEDY, temperature, seedLow: seed };
}

/** Tokens that the sequence drew: a stop token is drawn too, though it is not among them. */
export function drawnCount(generated: Generated): number {
  return generated.tokens.length + (generated.finish.stopToken === undefined ? 0 : 1);
}

/** Text in, tokens out, on an engine of this process. Close it: it owns native threads. */
export class Session {
  readonly #template: ChatTemplate;
  #nextId = 1;

  private constructor(
    readonly engine: StepEngine,
    readonly tokenizer: ModelTokenizer,
    /** Milliseconds. */
    readonly now: () => number,
  ) {
    this.#template = new ChatTemplate(tokenizer);
  }

  /** @param side Of two sessions that take turns: this one's, whose clock its times are by. */
  static async open(options: SessionOptions, side?: Side): Promise<Session> {
    const engine = await openStepEngine({
      model: options.model,
      head: options.head ?? undefined,
      backend: options.backend,
      threads: options.threads,
      slotsMax: options.slotsMax,
      pagesMax: options.pagesMax,
      rowsMax: options.rowsMax,
      contextMax: options.contextMax,
      scheduling: {
        chunkMax: options.chunkMax,
        budget: options.budget,
        queueMax: 1024,
        takeTurn: side?.take,
      },
    });
    try {
      const tokenizer = new ModelTokenizer(engine.model.tokenizerJson);
      return new Session(engine, tokenizer, side?.now ?? (() => performance.now()));
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.engine.close();
  }

  encodeChat(messages: readonly ChatMessage[]): Uint32Array {
    return this.#template.renderAndEncode(messages);
  }

  decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(Uint32Array.from(tokens), { skipSpecial: true });
  }

  /** Runs one sequence to its end.
   * @throws {Error} If the engine fails it: a benchmark has no use for half a run. */
  generate(prompt: Uint32Array, options: GenerateOptions): Promise<Generated> {
    const { promise, resolve, reject } = Promise.withResolvers<Generated>();
    const steps: SequenceStep[] = [];
    const startedAt = this.now();
    let firstAt = NaN;
    const onEvent = (event: EngineEvent) => {
      if (event.kind === "step") {
        if (steps.length === 0) firstAt = this.now();
        steps.push(event.step);
      } else if (event.kind === "failure") {
        reject(new Error(`Cannot generate: ${event.code}, ${event.message}`));
      } else {
        resolve({
          tokens: steps.flatMap((step) => step.tokens),
          steps,
          finish: event.finish,
          seconds: (this.now() - startedAt) / 1000,
          firstTokenSeconds: (firstAt - startedAt) / 1000,
        });
      }
    };
    this.engine.submit({
      id: this.#nextId++,
      tokens: prompt,
      generatedCount: 0,
      tokensMax: options.tokensMax,
      stopTokens: new Set(options.ignoreStops ? [] : this.tokenizer.endIds),
      sampling: samplingOf(options),
      budget: options.budget,
      wantTree: false,
      priority: 0,
      salt: "",
      ignorePrefix: !options.usePrefix,
      deadline: Infinity,
    }, onEvent);
    return promise;
  }

  /** Generates for all prompts, `width` at once, each as soon as a place is free. */
  async generateAll(
    prompts: readonly Uint32Array[],
    optionsOf: (index: number) => GenerateOptions,
    width: number,
    onDone: () => void = () => {},
  ): Promise<Generated[]> {
    const results: Generated[] = [];
    let next = 0;
    const worker = async () => {
      while (next < prompts.length) {
        const index = next++;
        results[index] = await this.generate(prompts[index], optionsOf(index));
        onDone();
      }
    };
    await Promise.all(Array.from({ length: Math.min(width, prompts.length) }, worker));
    return results;
  }
}
