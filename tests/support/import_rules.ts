/** Who may import whom (ARCHITECTURE.md), as predicates over one import. Pure. @module */
import { dirname, join } from "node:path";

export interface Import {
  /** The importing file, relative to the repository. */
  from: string;
  /** What it imports: a path relative to the repository, or a package. */
  to: string;
}

const TS_IMPORT =
  /\bfrom\s+["']([^"'\n]+)["']|\bimport\s*["']([^"'\n]+)["']|\bimport\(\s*["']([^"'\n]+)["']/g;
const CC_IMPORT = /^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm;

export function importsOf(path: string, text: string): Import[] {
  const native = /\.(cc|h|cu|cuh)$/.test(path);
  return [...text.matchAll(native ? CC_IMPORT : TS_IMPORT)].map((match) => {
    const name = match.slice(1).find(Boolean)!;
    if (native) return { from: path, to: nativeTarget(path, name) };
    return { from: path, to: name.startsWith(".") ? join(dirname(path), name) : name };
  });
}

/** Headers are found beside the file first, then under kernels/, as the build does. */
function nativeTarget(path: string, name: string): string {
  if (name.startsWith(".") || !name.includes("/")) return join(dirname(path), name);
  return join("kernels", name);
}

function folderOf(path: string): string {
  return path.split("/")[0];
}

const OURS = new Set([
  "gateway",
  "gpu-node",
  "proto",
  "kernels",
  "cli",
  "bench",
  "tools",
  "tests",
  "playground",
]);
/** Beside its own folder, what each may import of ours. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  gateway: ["proto", "kernels/glue/mod.ts", "playground/pkg"],
  "gpu-node": ["proto", "kernels/glue/mod.ts"],
  kernels: [],
  tools: [],
  playground: ["proto/fleet.ts"],
};

/** Why an import is not allowed, or `null`. */
export function refuseImport({ from, to }: Import): string | null {
  const folder = folderOf(from);
  if (/^(npm:\/?)?hono(\/|@|$)/.test(to)) {
    const allowed = from === "gateway/app.ts" || from.startsWith("gateway/routes/") ||
      folder === "tests";
    return allowed ? null : "Hono belongs to gateway/app.ts and gateway/routes/ alone";
  }
  const target = folderOf(to);
  if (!OURS.has(target)) return null;
  if (folder === "kernels" && /\.(cc|h|cu|cuh)$/.test(from)) return refuseInclude(from, to);
  const allowed = MAY_IMPORT[folder];
  if (!allowed || target === folder) return null;
  const match = allowed.some((name) => to === name || to.startsWith(`${name}/`));
  return match ? null : `${folder} may import ${["itself", ...allowed].join(", ")} of ours`;
}

/** What a kernel source sees of kernels/cuda: CUDA itself, and the shape of a launch. */
const CUDA_FOR_KERNELS = ["kernels/cuda/device.h", "kernels/cuda/launch.h"];

/** Operations see kernels/common and the ABI; kernels/engine and kernels/cuda join them. A test may
 * see everything. */
function refuseInclude(from: string, to: string): string | null {
  const [, operation] = from.split("/");
  const [, target] = to.split("/");
  const shared = target === "common" || target === "include" || target === operation;
  const joins = operation === "engine" || operation === "cuda";
  if (shared || joins || /_(test|bench)\.(cc|cu)$/.test(from)) return null;
  if (/\.(cu|cuh)$/.test(from) && CUDA_FOR_KERNELS.includes(to)) return null;
  return `kernels/${operation} may include kernels/common alone; kernels/engine joins operations`;
}

/** Files that do no I/O and are handed time and chance, so that runs can be simulated. */
export const PURE_FILES: readonly string[] = [
  "gateway/request.ts",
  "gateway/request_memo.ts",
  "gateway/request_input.ts",
  "gateway/request_responses.ts",
  "gateway/request_tokens.ts",
  "gateway/request_tools.ts",
  "gateway/template_values.ts",
  "gateway/tool_prompt.ts",
  "gateway/api_schema.ts",
  "gateway/bounds.ts",
  "gateway/check_schema.ts",
  "gateway/document_schema.ts",
  "gateway/form_schema.ts",
  "gateway/message_schema.ts",
  "gateway/schema.ts",
  "gateway/openapi.ts",
  "gateway/answer_schema.ts",
  "gateway/responses_schema.ts",
  "gateway/schema_words.ts",
  "gateway/field_names.ts",
  "gateway/routing_headers.ts",
  "gateway/prompt_blocks.ts",
  "gateway/prompt_memo.ts",
  "gateway/prefix_index.ts",
  "gateway/pick_node.ts",
  "gateway/admission_queue.ts",
  "gateway/circuit.ts",
  "gateway/submit.ts",
  "gateway/limits.ts",
  "gateway/cache_control.ts",
  "gateway/rate_headers.ts",
  "gateway/config.ts",
  "gateway/cors.ts",
  "gateway/option_table.ts",
  "gateway/options.ts",
  "proto/answer_grammar.ts",
  "proto/char_set.ts",
  "proto/fleet.ts",
  "proto/frame.ts",
  "proto/grammar_builder.ts",
  "proto/limits.ts",
  "proto/number_machine.ts",
  "proto/pattern_parser.ts",
  "proto/sampling.ts",
  "proto/schema_grammar.ts",
  "proto/schema_joins.ts",
  "proto/text_formats.ts",
  "proto/text_grammar.ts",
  "proto/text_machine.ts",
  "proto/text_piece.ts",
  "gpu-node/sequence.ts",
  "gpu-node/scheduler.ts",
  "gpu-node/draft_budget.ts",
  "gpu-node/model_id.ts",
  "gpu-node/step_cost.ts",
  "gpu-node/kv_pages.ts",
  "gpu-node/step_codec.ts",
  "bench/report_gateway.ts",
  "cli/completion_scripts.ts",
  "cli/fleet_table.ts",
  "playground/src/settings_fields.ts",
  "playground/src/trace.ts",
  "playground/src/tree_layout.ts",
  "bench/report_plots.ts",
  "bench/report_record.ts",
  "bench/report_svg.ts",
  "bench/report_tables.ts",
  "bench/stats.ts",
  "tools/cuda_report.ts",
  "tools/model_source.ts",
  "tools/test_counts.ts",
];

/** Words of I/O, time and chance. */
export const IMPURE = new RegExp(
  `\\b(${
    [
      "Deno\\.",
      "fetch\\(",
      "Date\\.now",
      "new Date\\(\\)",
      "Math\\.random",
      "performance\\.now",
      "setTimeout",
      "setInterval",
      "console\\.",
      "crypto\\.(?:getRandomValues|randomUUID)",
    ].join("|")
  })`,
);
