/** TensorRT-LLM's executor behind our C ABI (`kernels/trtllm/redraft_trtllm.h`): requests in,
 * events out. As in `engine_ffi.ts` there are no pointers, buffers are kept while a call lasts, and
 * the library is never closed. @module */

import { type EngineStatusName, STATUS_NAMES } from "./abi.ts";
import { loadFault } from "./engine_ffi.ts";
import { EngineError } from "./native_engine.ts";

const SYMBOLS = {
  // uint32_t redraft_trtllm_abi_version(void)
  redraft_trtllm_abi_version: { parameters: [], result: "u32" },
  // int32_t redraft_trtllm_open(const uint8_t* config, size_t bytes, uint32_t* executor_out)
  redraft_trtllm_open: {
    parameters: ["buffer", "usize", "buffer"],
    result: "i32",
    nonblocking: true, // Loads an engine.
  },
  // int32_t redraft_trtllm_close(uint32_t executor)
  redraft_trtllm_close: { parameters: ["u32"], result: "i32", nonblocking: true },
  // int32_t redraft_trtllm_info(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* out)
  redraft_trtllm_info: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
  // int32_t redraft_trtllm_submit(uint32_t executor, const uint8_t* request, size_t bytes)
  redraft_trtllm_submit: { parameters: ["u32", "buffer", "usize"], result: "i32" },
  // int32_t redraft_trtllm_cancel(uint32_t executor, uint64_t id)
  redraft_trtllm_cancel: { parameters: ["u32", "u64"], result: "i32" },
  // int32_t redraft_trtllm_drain(uint32_t executor, uint8_t* events, size_t bytes_max,
  //                              size_t* bytes_out, uint32_t timeout_ms)
  redraft_trtllm_drain: {
    parameters: ["u32", "buffer", "usize", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  // int32_t redraft_trtllm_stats(uint32_t executor, uint8_t* json, size_t bytes_max, size_t* out)
  redraft_trtllm_stats: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
  // int32_t redraft_trtllm_last_error(uint32_t executor, uint8_t* text, size_t max, size_t* out)
  redraft_trtllm_last_error: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
type TextCall = "redraft_trtllm_info" | "redraft_trtllm_stats" | "redraft_trtllm_last_error";

const ABI_VERSION = 1;
const TEXT_BYTES_MAX = 4096;
/** Holds the events of a few hundred sequences; what does not fit comes with the next call. */
const EVENT_BYTES = 1 << 20;
const REQUEST_WORDS = 10;
const EVENT_WORDS = 7;
const NO_TOKEN = 0xffff_ffff;

export interface ExecutorInfo {
  release: string;
  vocab_size: number;
  context_max: number;
  batch_max: number;
  beams: number;
  draft_length: number;
  /** The engine takes the best token, whatever the temperature. */
  greedy: boolean;
}

export interface ExecutorStats {
  iteration: number;
  active: number;
  queued: number;
  pages_max: number;
  pages_free: number;
  page_tokens: number;
}

export interface ExecutorRequest {
  id: number;
  tokens: Uint32Array;
  tokensMax: number;
  temperature: number;
  seedLow: number;
  seedHigh: number;
  /** The executor stops there, and leaves it out. */
  endToken?: number;
  /** In [0, 1]. */
  priority: number;
}

const KINDS = ["tokens", "final", "failure"] as const;
const REASONS = ["running", "end", "length", "cancelled", "other"] as const;

export interface ExecutorEvent {
  id: number;
  kind: typeof KINDS[number];
  reason: typeof REASONS[number];
  /** Of the model for this request, so far. */
  iterations: number;
  tokens: Uint32Array;
  message: string;
}

export interface ExecutorOptions {
  /** The folder that trtllm-build wrote. */
  engine: string;
  library: string;
  /** Share of the free GPU memory for KV pages; 0.9 by default. */
  kvFraction?: number;
}

function loadLibrary(path: string): Library {
  try {
    return Deno.dlopen(path, SYMBOLS).symbols;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new EngineError(
      `Cannot load the TensorRT-LLM shim from ${path} (deploy/trtllm/build_shim.sh makes it ` +
        `where TensorRT-LLM is installed): ${loadFault(cause)}`,
      "unsupported",
    );
  }
}

export class FfiExecutor {
  readonly info: ExecutorInfo;
  readonly #library: Library;
  readonly #executor: number;
  readonly #events = new Uint32Array(EVENT_BYTES / 4);
  readonly #eventBytes = new BigUint64Array(1);

  private constructor(library: Library, executor: number) {
    this.#library = library;
    this.#executor = executor;
    this.info = JSON.parse(this.#text("redraft_trtllm_info"));
  }

  /** @throws {EngineError} That says what is wrong with the library, the engine or a setting. */
  static async open(options: ExecutorOptions): Promise<FfiExecutor> {
    const library = loadLibrary(options.library);
    const version = library.redraft_trtllm_abi_version();
    if (version !== ABI_VERSION) {
      throw new EngineError(
        `Cannot use the TensorRT-LLM shim at ${options.library}: its ABI version is ${version}, ` +
          `not ${ABI_VERSION}; deploy/trtllm/build_shim.sh makes it anew`,
        "unsupported",
      );
    }
    const config = new TextEncoder().encode(JSON.stringify({
      engine: options.engine,
      ...(options.kvFraction === undefined ? {} : { kv_fraction: options.kvFraction }),
    }));
    const executor = new Uint32Array(1);
    const status = await library.redraft_trtllm_open(config, BigInt(config.length), executor);
    if (status !== 0) throw errorOf(library, 0, status);
    return new FfiExecutor(library, executor[0]);
  }

  submit(request: ExecutorRequest): void {
    const words = new Uint32Array(REQUEST_WORDS + request.tokens.length);
    const { id, tokensMax, seedLow, seedHigh, endToken = NO_TOKEN, tokens } = request;
    const low = id >>> 0, high = Math.floor(id / 2 ** 32);
    words.set([words.length, low, high, tokensMax, 0, seedLow, seedHigh, endToken, 0]);
    words[9] = tokens.length;
    const floats = new Float32Array(words.buffer);
    floats[4] = request.temperature;
    floats[8] = request.priority;
    words.set(tokens, REQUEST_WORDS);
    const bytes = new Uint8Array(words.buffer);
    this.#check(
      this.#library.redraft_trtllm_submit(this.#executor, bytes, BigInt(bytes.length)),
    );
  }

  cancel(id: number): void {
    this.#check(this.#library.redraft_trtllm_cancel(this.#executor, BigInt(id)));
  }

  /** Waits for events, one call at a time. */
  async drain(timeoutMs: number): Promise<ExecutorEvent[]> {
    this.#check(
      await this.#library.redraft_trtllm_drain(
        this.#executor,
        new Uint8Array(this.#events.buffer),
        BigInt(EVENT_BYTES),
        this.#eventBytes,
        timeoutMs,
      ),
    );
    return readEvents(this.#events);
  }

  stats(): ExecutorStats {
    return JSON.parse(this.#text("redraft_trtllm_stats"));
  }

  async close(): Promise<void> {
    this.#check(await this.#library.redraft_trtllm_close(this.#executor));
  }

  #text(call: TextCall): string {
    return textOf(this.#library, call, this.#executor);
  }

  #check(status: number): void {
    if (status !== 0) throw errorOf(this.#library, this.#executor, status);
  }
}

function readEvents(words: Uint32Array): ExecutorEvent[] {
  const events: ExecutorEvent[] = [];
  let at = 1;
  for (let i = 0; i < words[0]; i++) {
    const [length, low, high, kind, reason, iterations, count] = words.subarray(at, at + 7);
    const body = words.slice(at + EVENT_WORDS, at + length);
    const failed = KINDS[kind] === "failure";
    const message = failed
      ? new TextDecoder().decode(new Uint8Array(body.buffer).subarray(0, count))
      : "";
    events.push({
      id: high * 2 ** 32 + low,
      kind: KINDS[kind],
      reason: REASONS[reason],
      iterations,
      tokens: failed ? new Uint32Array(0) : body,
      message,
    });
    at += length;
  }
  return events;
}

function textOf(library: Library, call: TextCall, executor: number): string {
  const bytes = new Uint8Array(TEXT_BYTES_MAX);
  const length = new BigUint64Array(1);
  const status = library[call](executor, bytes, BigInt(bytes.length), length);
  if (status !== 0) throw new EngineError(`Cannot read ${call}: status ${status}`, nameOf(status));
  return new TextDecoder().decode(bytes.subarray(0, Number(length[0])));
}

function nameOf(status: number): EngineStatusName {
  return STATUS_NAMES[status] ?? "internal";
}

function errorOf(library: Library, executor: number, status: number): EngineError {
  return new EngineError(textOf(library, "redraft_trtllm_last_error", executor), nameOf(status));
}
