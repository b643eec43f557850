/** Where things lie in the repository and in its two ignored folders. @module */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Downloads and installed packages: what takes long to get again. */
export const CACHE = join(ROOT, ".cache");
/** What the sources here build: safe to delete at any time. */
export const BUILD = join(ROOT, "build");
export const MODELS = join(CACHE, "models");
export const KERNELS = join(ROOT, "kernels");
export const CPU_LIBRARY = join(BUILD, "libredraft_cpu.so");
export const CUDA_LIBRARY = join(BUILD, "cuda", "libredraft_cuda.so");

/** Whether a file or folder is there; a dangling link is not. */
export async function exists(path: string): Promise<boolean> {
  return await statOrNull(path) !== null;
}

export async function statOrNull(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return null;
    }
    throw error;
  }
}

/** Writes beside the target, then renames: a reader sees the old file or the new one, never half.
 */
export async function writeAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${Deno.pid}.tmp`;
  await Deno.mkdir(dirname(path), { recursive: true });
  try {
    if (typeof content === "string") await Deno.writeTextFile(temporary, content);
    else await Deno.writeFile(temporary, content);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/** JSON of a file that we wrote ourselves; `null` where it is missing or cut short. */
export async function readJsonOrNull<T>(path: string): Promise<T | null> {
  try {
    return JSON.parse(await Deno.readTextFile(path)) as T;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return null;
    throw error;
  }
}
