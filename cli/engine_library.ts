/** Makes the engine that a backend needs, before a node starts. @module */
import { type Backend, BACKENDS } from "../gpu-node/backend.ts";
import { buildCudaKernels } from "../tools/build_cuda.ts";
import { buildCudaLibrary } from "../tools/build_cuda_host.ts";
import { buildKernels } from "../tools/build_kernels.ts";
import { exists } from "../tools/paths.ts";
import { UsageError } from "./options.ts";

/** What is there where NVIDIA's driver is loaded: on Linux, in WSL. */
const DRIVER_SIGNS = ["/dev/nvidiactl", "/dev/dxg"];

/** Told otherwise where a test puts a library in the driver's place. */
async function hasDriver(): Promise<boolean> {
  if (Deno.env.get("REDRAFT_CUDA_DRIVER")) return true;
  for (const path of DRIVER_SIGNS) if (await exists(path)) return true;
  return false;
}

/** Why no CUDA engine can run here, as far as files tell; `null` where one may. */
export async function missingDevice(): Promise<string | null> {
  return await hasDriver() ? null : `no NVIDIA driver, no ${DRIVER_SIGNS[0]}`;
}

/** @throws {UsageError} If the word is no backend. */
export function readBackend(word: string | undefined): Backend {
  const found = BACKENDS.find((name) => name === (word ?? "auto"));
  if (found) return found;
  throw new UsageError(`Option '--backend' must be one of ${BACKENDS.join(", ")}, not '${word}'`);
}

/** Builds what `backend` runs on. The CPU engine is built always but for "cuda"; the CUDA engine
 * only where a driver is, for it takes a compiler of 100 MB.
 * @throws {Error} In one line, if "cuda" was asked for on a machine without a driver. */
export async function prepareEngine(backend: Backend): Promise<void> {
  const driver = await hasDriver();
  if (backend === "cuda" && !driver) {
    throw new Error(
      `Cannot use --backend cuda: no NVIDIA driver on this machine (no ${DRIVER_SIGNS[0]}); ` +
        "install it, or use --backend cpu",
    );
  }
  if (backend === "auto" || backend === "cpu") await buildKernels();
  if (!driver || backend === "cpu" || backend === "trtllm") return;
  if (Deno.env.get("REDRAFT_CUDA_LIBRARY")) return; // Someone else made it.
  try {
    const { fatbins } = await buildCudaKernels();
    await buildCudaLibrary(fatbins);
  } catch (error) {
    if (backend === "cuda") throw error;
    const [line] = (error as Error).message.split("\n");
    console.error(`Cannot build the CUDA engine, so the CPU's runs: ${line}`);
  }
}
