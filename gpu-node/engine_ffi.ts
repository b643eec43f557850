/** The native library: the one place that opens it. It runs under `--allow-ffi=LIBRARY` alone, so
 * there are no pointers here, only buffers and a handle.
 *
 * A step, an opening and a `hidden` run on a pool thread. Their buffers are kept in fields for as
 * long as the call lasts, one call is under way at a time, and the library is never closed: a
 * dlclose under a native thread is a crash.
 * @module */

import { ABI, type EngineStatusName, STATUS_NAMES } from "./abi.ts";
import {
  EngineError,
  type HiddenRows,
  type NativeEngine,
  type NativeModelInfo,
} from "./native_engine.ts";

const SYMBOLS = {
  // uint32_t redraft_abi_version(void)
  redraft_abi_version: { parameters: [], result: "u32" },
  // int32_t redraft_open(const uint8_t* config, size_t config_bytes, uint32_t* engine_out)
  redraft_open: { parameters: ["buffer", "usize", "buffer"], result: "i32", nonblocking: true },
  // int32_t redraft_close(uint32_t engine)
  redraft_close: { parameters: ["u32"], result: "i32" },
  // int32_t redraft_model_info(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out)
  redraft_model_info: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
  // int32_t redraft_tokenizer(uint32_t engine, uint8_t* json, size_t bytes_max, size_t* bytes_out)
  redraft_tokenizer: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
  // int32_t redraft_step(uint32_t engine, const uint8_t* plan, size_t plan_bytes, uint8_t* result,
  //                      size_t result_bytes_max)
  redraft_step: {
    parameters: ["u32", "buffer", "usize", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  // int32_t redraft_hidden(uint32_t engine, const uint32_t* tokens, size_t token_count,
  //                        float* hidden, float* logits, size_t logits_start)
  redraft_hidden: {
    parameters: ["u32", "buffer", "usize", "buffer", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  // int32_t redraft_last_error(uint32_t engine, uint8_t* text, size_t bytes_max, size_t* bytes_out)
  redraft_last_error: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
type TextCall = "redraft_model_info" | "redraft_tokenizer" | "redraft_last_error";

const ERROR_BYTES_MAX = 4096;
/** The largest text that the library may hand over: a tokenizer of a few hundred thousand words. */
const TEXT_BYTES_MAX = 64 << 20;

export interface FfiOptions {
  model: string;
  head?: string;
  library?: string;
  /** What to do where the library is missing or of another version. */
  remedy?: string;
  threads?: number;
  slotsMax?: number;
  pagesMax?: number;
  rowsMax?: number;
  contextMax?: number;
}

/** A variable of the environment, where it may be read and is not empty. */
export function variable(name: string): string | undefined {
  const state = Deno.permissions.querySync({ name: "env", variable: name }).state;
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}

/** Where the CPU engine lies: as told, else `REDRAFT_LIBRARY`, else where the build puts it. */
export function libraryPath(told?: string): string {
  const named = told ?? variable("REDRAFT_LIBRARY");
  if (named !== undefined) return named;
  const { pathname } = new URL("../build/libredraft_cpu.so", import.meta.url);
  return decodeURIComponent(pathname);
}

/** Whether this process was given the right to load a library; it is not asked for. */
export function mayLoad(path: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/** Why a library does not load, without Deno's "Could not open library", which it says twice. */
export function loadFault(cause: unknown): string {
  const words = cause instanceof Error ? cause.message : String(cause);
  return words.replace(/^(Could not open library: )+/, "");
}

function loadLibrary(path: string, remedy = "deno task build makes it"): Library {
  let library: Library;
  try {
    library = Deno.dlopen(path, SYMBOLS).symbols;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new EngineError(
      `Cannot load the engine from ${path} (${remedy}): ${loadFault(cause)}`,
      "unsupported",
    );
  }
  const version = library.redraft_abi_version();
  if (version !== ABI.version) {
    throw new EngineError(
      `Cannot use the engine at ${path}: its ABI version is ${version}, not ${ABI.version}; ` +
        remedy,
      "unsupported",
    );
  }
  return library;
}

export class FfiEngine implements NativeEngine {
  readonly info: NativeModelInfo;
  readonly tokenizerJson: Uint8Array;
  readonly #library: Library;
  readonly #engine: number;
  /** Buffers of the call under way; nothing else keeps them from the collector. */
  #pinned: ArrayBufferView[] | undefined;
  #closed = false;

  private constructor(library: Library, engine: number) {
    this.#library = library;
    this.#engine = engine;
    this.info = JSON.parse(new TextDecoder().decode(this.#text("redraft_model_info")));
    this.tokenizerJson = this.#text("redraft_tokenizer");
  }

  /** @throws {EngineError} That says what is wrong with the library, the model or a bound. */
  static async open(options: FfiOptions): Promise<FfiEngine> {
    const library = loadLibrary(libraryPath(options.library), options.remedy);
    const { model, head, threads, slotsMax, pagesMax, rowsMax, contextMax } = options;
    const config = new TextEncoder().encode(JSON.stringify({
      model,
      head: head ?? null,
      ...(threads === undefined ? {} : { threads }),
      ...(slotsMax === undefined ? {} : { slots_max: slotsMax }),
      ...(pagesMax === undefined ? {} : { pages_max: pagesMax }),
      ...(rowsMax === undefined ? {} : { rows_max: rowsMax }),
      ...(contextMax === undefined ? {} : { context_max: contextMax }),
    }));
    const engine = new Uint32Array(1);
    const status = await library.redraft_open(config, BigInt(config.length), engine);
    if (status !== 0) throw engineError(library, 0, status);
    return new FfiEngine(library, engine[0]);
  }

  async step(plan: Uint8Array<ArrayBuffer>, result: Uint8Array<ArrayBuffer>): Promise<void> {
    const sizes = [BigInt(plan.length), BigInt(result.length)] as const;
    await this.#call(
      [plan, result],
      () => this.#library.redraft_step(this.#engine, plan, sizes[0], result, sizes[1]),
    );
  }

  async hidden(
    tokens: Uint32Array<ArrayBuffer>,
    { hidden, logits }: HiddenRows,
    logitsStart: number,
  ): Promise<void> {
    const { hidden_size, vocab_size } = this.info.model;
    checkLength("hidden", hidden, tokens.length * hidden_size);
    checkLength("logits", logits, (tokens.length - logitsStart) * vocab_size);
    const pinned = [tokens, hidden, logits].filter((buffer) => buffer !== undefined);
    await this.#call(pinned, () =>
      this.#library.redraft_hidden(
        this.#engine,
        tokens,
        BigInt(tokens.length),
        hidden ?? null,
        logits ?? null,
        BigInt(logitsStart),
      ));
  }

  close(): void {
    if (this.#closed) return;
    if (this.#pinned !== undefined) throw new TypeError("Cannot close engine: a call is under way");
    this.#closed = true;
    const status = this.#library.redraft_close(this.#engine);
    if (status !== 0) throw engineError(this.#library, 0, status);
  }

  async #call(buffers: ArrayBufferView[], start: () => Promise<number>): Promise<void> {
    if (this.#closed) throw new TypeError("Cannot call engine: it is closed");
    if (this.#pinned !== undefined) throw new TypeError("Cannot call engine: a call is under way");
    this.#pinned = buffers;
    try {
      const status = await start();
      if (status !== 0) throw engineError(this.#library, this.#engine, status);
    } finally {
      this.#pinned = undefined;
    }
  }

  #text(name: TextCall): Uint8Array {
    return readText(this.#library, name, this.#engine, 0, TEXT_BYTES_MAX);
  }
}

function checkLength(name: string, rows: Float32Array | undefined, length: number): void {
  if (rows === undefined || rows.length === length) return;
  throw new RangeError(`Cannot fill ${name}: it has ${rows.length} elements, not ${length}`);
}

/** Calls for the size first, where it is not known, then for the text. */
function readText(
  library: Library,
  name: TextCall,
  engine: number,
  bytesFirst: number,
  bytesMax: number,
): Uint8Array {
  const size = new BigUint64Array(1);
  let text = new Uint8Array(bytesFirst);
  let status = library[name](engine, text, BigInt(text.length), size);
  if (STATUS_NAMES[status] === "no_space" && size[0] <= BigInt(bytesMax)) {
    text = new Uint8Array(Number(size[0]));
    status = library[name](engine, text, BigInt(text.length), size);
  }
  if (status !== 0) throw engineError(library, engine, status);
  return text.subarray(0, Number(size[0]));
}

function engineError(library: Library, engine: number, status: number): EngineError {
  const name: EngineStatusName = STATUS_NAMES[status] ?? "internal";
  const text = new Uint8Array(ERROR_BYTES_MAX);
  const size = new BigUint64Array(1);
  const asked = library.redraft_last_error(engine, text, BigInt(text.length), size);
  const words = asked === 0
    ? new TextDecoder().decode(text.subarray(0, Math.min(text.length, Number(size[0]))))
    : "";
  return new EngineError(words || `The engine answered ${name}`, name);
}
