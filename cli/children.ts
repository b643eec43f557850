/** How the two processes are started: which file, with what permissions and settings. @module */
import { join } from "node:path";
import { configPath } from "../gateway/options.ts";
import type { Backend } from "../gpu-node/backend.ts";
import { executorLibrary } from "../gpu-node/executor_model.ts";
import { CPU_LIBRARY, CUDA_LIBRARY, ROOT } from "../tools/paths.ts";

export interface NodeSettings {
  model: string;
  head: string | null;
  backend: Backend;
  /** Further flags of gpu-node/main.ts. */
  flags: readonly string[];
}

function denoArgs(permissions: string[], script: string, args: readonly string[]): string[] {
  return ["run", "--no-prompt", ...permissions, join(ROOT, script), ...args];
}

/** The node may load the engine's library, and nothing else native; of the disk it reads what it
 * needs to know its memory, and writes nothing. The model's file is mapped by the library. */
export function nodeArgs(settings: NodeSettings, host: string, port: number): string[] {
  const libraries = librariesOf(settings.backend);
  const readable = [...libraries, settings.model, ...(settings.head ? [settings.head] : [])];
  return denoArgs(
    [
      `--allow-ffi=${libraries.join(",")}`,
      "--allow-net",
      `--allow-read=${[...readable, "/proc/self"].join(",")}`,
      "--allow-env",
    ],
    "gpu-node/main.ts",
    [
      `--backend=${settings.backend}`,
      `--model=${settings.model}`,
      ...(settings.head ? [`--head=${settings.head}`] : []),
      ...settings.flags,
      `--host=${host}`,
      `--port=${port}`,
    ],
  );
}

/** What a node of this backend may load. */
function librariesOf(backend: Backend): string[] {
  if (backend === "trtllm") return [executorLibrary()];
  const named = Deno.env.get("REDRAFT_LIBRARY");
  if (named) return [named];
  const cuda = Deno.env.get("REDRAFT_CUDA_LIBRARY") || CUDA_LIBRARY;
  if (backend === "cpu") return [CPU_LIBRARY];
  return backend === "auto" ? [CPU_LIBRARY, cuda] : [cuda];
}

/** In one line, which engine runs and why, and on a GPU what its memory is planned for. */
export function engineLine(ready: Record<string, unknown>): string {
  const where = [ready.device, ready.isa].filter(Boolean).join(", ");
  const memory = ready.memory ? `; memory: ${ready.memory}` : "";
  return `Engine: ${ready.backend}${where ? ` (${where})` : ""}: ${ready.backendReason}${memory}`;
}

/** The gateway has no FFI, no subprocess and no disk but its configuration file: what stands at the
 * edge should hold nothing else.
 * @param flags Flags of gateway/main.ts; the port is the last word, so that a restart keeps it. */
export function gatewayArgs(flags: readonly string[], port?: number): string[] {
  // A small young generation: thousands of short requests otherwise double the resident memory.
  const permissions = ["--v8-flags=--max-semi-space-size=4", "--allow-net", "--allow-env"];
  const config = configPath(flags, (name) => Deno.env.get(name));
  if (config !== undefined) permissions.push(`--allow-read=${config}`);
  return denoArgs(permissions, "gateway/main.ts", [
    ...flags,
    ...(port === undefined ? [] : [`--port=${port}`]),
  ]);
}
