/** How the two processes are started: which file, with what permissions and settings. @module */
import { join } from "node:path";
import { configPath } from "../gateway/options.ts";
import { CPU_LIBRARY, ROOT } from "../tools/paths.ts";

export interface NodeSettings {
  model: string;
  head: string | null;
  /** Further flags of gpu-node/main.ts. */
  flags: readonly string[];
}

function denoArgs(permissions: string[], script: string, args: readonly string[]): string[] {
  return ["run", "--no-prompt", ...permissions, join(ROOT, script), ...args];
}

/** The node may load the engine's library, and nothing else native; of the disk it reads what it
 * needs to know its memory, and writes nothing. The model's file is mapped by the library. */
export function nodeArgs(settings: NodeSettings, host: string, port: number): string[] {
  const readable = [CPU_LIBRARY, settings.model, ...(settings.head ? [settings.head] : [])];
  return denoArgs(
    [
      `--allow-ffi=${CPU_LIBRARY}`,
      "--allow-net",
      `--allow-read=${[...readable, "/proc/self"].join(",")}`,
      "--allow-env",
    ],
    "gpu-node/main.ts",
    [
      `--library=${CPU_LIBRARY}`,
      `--model=${settings.model}`,
      ...(settings.head ? [`--head=${settings.head}`] : []),
      ...settings.flags,
      `--host=${host}`,
      `--port=${port}`,
    ],
  );
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
