/** How the two processes are started: which file, with what permissions and settings. @module */
import { join } from "node:path";
import { CPU_LIBRARY, ROOT } from "../tools/paths.ts";

export interface NodeSettings {
  model: string;
  head: string | null;
  threads: number;
  slotsMax: number;
  pagesMax: number;
  contextMax: number;
}

function denoArgs(permissions: string[], script: string, args: string[]): string[] {
  return ["run", "--no-prompt", ...permissions, join(ROOT, script), ...args];
}

/** The node may load the engine's library, and nothing else native; it reads, but never writes,
 * files. */
export function nodeArgs(settings: NodeSettings, host: string, port: number): string[] {
  const args = [
    `--library=${CPU_LIBRARY}`,
    `--model=${settings.model}`,
    ...(settings.head ? [`--head=${settings.head}`] : []),
    `--threads=${settings.threads}`,
    `--slots-max=${settings.slotsMax}`,
    `--pages-max=${settings.pagesMax}`,
    `--context-max=${settings.contextMax}`,
    `--host=${host}`,
    `--port=${port}`,
  ];
  return denoArgs(
    [`--allow-ffi=${CPU_LIBRARY}`, "--allow-net", `--allow-read=${ROOT}`, "--allow-env"],
    "gpu-node/main.ts",
    args,
  );
}

/** The gateway has no FFI, no subprocess and no disk: what stands at the edge should hold nothing
 * else. */
export function gatewayArgs(nodeUrls: string[], host: string, port: number): string[] {
  return denoArgs(["--allow-net", "--allow-env"], "gateway/main.ts", [
    ...nodeUrls.map((url) => `--node=${url}`),
    `--host=${host}`,
    `--port=${port}`,
  ]);
}
