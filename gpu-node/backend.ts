/** Which engine a node runs: the CUDA one where a driver and a device answer, else the CPU's, and
 * why. @module */

import { FfiEngine, type FfiOptions, mayLoad, variable } from "./engine_ffi.ts";
import { EngineError } from "./native_engine.ts";

export const BACKENDS = ["auto", "cpu", "cuda", "trtllm"] as const;
export type Backend = typeof BACKENDS[number];

export interface OpenedEngine {
  native: FfiEngine;
  /** Why this engine: one line for people. */
  reason: string;
}

const builtLibrary = (path: string) =>
  decodeURIComponent(new URL(`../build/${path}`, import.meta.url).pathname);

const LIBRARIES = {
  cpu: { path: builtLibrary("libredraft_cpu.so"), remedy: "deno task build makes it" },
  cuda: {
    path: builtLibrary("cuda/libredraft_cuda.so"),
    remedy: "deno task build:cuda makes it",
  },
} as const;

/** Opens the engine that `backend` asks for. `options.library`, or `REDRAFT_LIBRARY`, names the
 * file itself: then nothing is chosen, and the file must be that backend's.
 * @throws {EngineError} In one line: what is missing and what to do. */
export async function openNative(
  options: FfiOptions,
  backend: Backend,
): Promise<OpenedEngine> {
  if (backend === "trtllm") {
    throw new EngineError(
      "Cannot open a step engine: trtllm is another kind of engine",
      "unsupported",
    );
  }
  if (options.library !== undefined) {
    return await openNamed(
      { ...options, library: options.library },
      backend,
      "leave out --library",
    );
  }
  const library = variable("REDRAFT_LIBRARY");
  if (library) return await openNamed({ ...options, library }, backend, "unset REDRAFT_LIBRARY");
  if (backend === "cpu") return await openCpu(options, "asked for");
  if (backend === "cuda") return { native: await openCuda(options), reason: "asked for" };
  try {
    return { native: await openCuda(options), reason: "a CUDA device answers" };
  } catch (error) {
    if (!isNoDevice(error)) throw error;
    return await openCpu(options, error.message.replace(/^cannot/, "Cannot"));
  }
}

/** What "auto" goes on from with the CPU: no driver, device, library or memory. A bad model or
 * setting would be as bad there. */
function isNoDevice(error: unknown): error is EngineError {
  return error instanceof EngineError &&
    (error.status === "unsupported" || error.status === "no_memory");
}

/** @param unname What leaves the choice open again: while a file is named, to ask for another
 * backend changes nothing. */
async function openNamed(
  options: FfiOptions & { library: string },
  backend: "auto" | "cpu" | "cuda",
  unname: string,
): Promise<OpenedEngine> {
  const { library } = options;
  const remedy = `name another, or ${unname}`;
  const native = await FfiEngine.open({ ...options, remedy }).catch((error) => {
    if (!isNoDevice(error)) throw error;
    throw new EngineError(error.message.replace("ask for the cpu backend", unname), error.status);
  });
  const found = native.info.backend;
  if (backend === "auto" || backend === found) return { native, reason: `${library} was named` };
  native.close();
  throw new EngineError(
    `Cannot use --backend ${backend}: ${library} holds the ${found} engine; ${remedy}`,
    "unsupported",
  );
}

async function openCpu(options: FfiOptions, reason: string): Promise<OpenedEngine> {
  const { path, remedy } = LIBRARIES.cpu;
  return { native: await FfiEngine.open({ ...options, library: path, remedy }), reason };
}

/** `REDRAFT_CUDA_LIBRARY` names another than the build's. */
async function openCuda(options: FfiOptions): Promise<FfiEngine> {
  const { remedy } = LIBRARIES.cuda;
  const path = variable("REDRAFT_CUDA_LIBRARY") ?? LIBRARIES.cuda.path;
  const refuse = (why: string) => new EngineError(`cannot use CUDA: ${why}`, "unsupported");
  if (!mayLoad(path)) throw refuse(`--allow-ffi does not name ${path}`);
  if (!await exists(path)) {
    throw refuse(`there is no engine at ${path}; ${remedy}, or ask for the cpu backend`);
  }
  const native = await FfiEngine.open({ ...options, library: path, remedy });
  const found = native.info.backend;
  if (found === "cuda") return native;
  native.close(); // Served as CUDA, its device and its speed would be a lie.
  throw refuse(`${path} holds the ${found} engine; REDRAFT_CUDA_LIBRARY must name a CUDA one`);
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
