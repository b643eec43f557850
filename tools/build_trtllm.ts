/** The TensorRT-LLM shim, as far as a machine without TensorRT-LLM goes: its C ABI over the tests'
 * fake executor, and the one file that sees TensorRT-LLM's headers compiled against a folder of
 * them, to an object that is never linked. The library itself is built by
 * deploy/trtllm/build_shim.sh, where TensorRT-LLM is installed. @module */
import { createHash } from "node:crypto";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CudaHostBuild } from "./build_cuda_host.ts";
import { findCompiler } from "./compiler.ts";
import { COMMON_FLAGS } from "./kernel_sources.ts";
import { BUILD, exists, ROOT } from "./paths.ts";
import { runOrThrow } from "./process.ts";
import { Progress } from "./progress.ts";
import { ensurePackages } from "./python_packages.ts";

const SOURCES = [
  "kernels/trtllm/trtllm_abi.cc",
  "kernels/trtllm/engine_folder.cc",
  "kernels/trtllm/fake/fake_executor.cc",
  "kernels/common/json.cc",
  "kernels/common/json_value.cc",
  "kernels/common/json_writer.cc",
];

/** @returns The library's path. */
export async function buildFakeExecutor(): Promise<string> {
  const build = new CudaHostBuild(await findCompiler());
  const objects = await build.compile(SOURCES, false);
  return await build.link("libredraft_trtllm_fake.so", objects, ["-shared"]);
}

/** The file that sees TensorRT-LLM's headers. */
const EXECUTOR = "kernels/trtllm/trtllm_executor.cc";
const EXECUTOR_HEADER = "tensorrt_llm/executor/executor.h";

/** `cuda_fp16.h` and what it includes, 5 MB: TensorRT-LLM's headers want no more of CUDA. */
const CUDA_HEADERS = [
  "nvidia-cuda-runtime==13.0.96",
  "nvidia-cuda-cccl==13.0.85",
  "nvidia-cuda-crt==13.0.88",
];

export interface HeaderCheck {
  compiler: string;
  object: string;
  warnings: string;
  /** Those of the folder that were included, by path in it, sorted. */
  headers: Array<{ path: string; bytes: number; sha256: string }>;
}

/** A rule's prerequisites, as a compiler writes them: `\ ` is a space. */
function prerequisites(rule: string): string[] {
  return rule.replace(/^[^:]*:/, "").replaceAll("\\\n", " ").split(/(?<!\\)\s+/)
    .filter(Boolean).map((path) => path.replaceAll("\\ ", " "));
}

async function expectFile(folder: string, file: string): Promise<void> {
  if (!await exists(join(folder, file))) throw new RangeError(`${folder} has no ${file}`);
}

/** Compiles `source` against real headers, with the flags of the library, to an object file.
 * @param headers What holds `tensorrt_llm/`: `cpp/include` of TensorRT-LLM's source.
 * @param cuda The CUDA toolkit's `include`.
 * @throws {RangeError} If a folder is not what it should be.
 * @throws {ProcessError} With the compiler's words, if they do not fit each other. */
export async function compileAgainstHeaders(
  source: string,
  headers: string,
  cuda: string,
): Promise<HeaderCheck> {
  await expectFile(headers, EXECUTOR_HEADER);
  await expectFile(cuda, "cuda_fp16.h");
  const { path, prefix, identity } = await findCompiler();
  const object = join(BUILD, "trtllm", "headers_check.o"), rule = `${object}.d`;
  await Deno.mkdir(dirname(object), { recursive: true });
  const folders = [headers, cuda, join(cuda, "cccl")].flatMap((folder) => ["-isystem", folder]);
  // -MD, not -MMD: the latter leaves out what comes by -isystem.
  const files = ["-MD", "-MF", rule, "-c", source, "-o", object];
  const args = [...prefix, ...COMMON_FLAGS, "-O2", ...folders, ...files];
  const warnings = (await runOrThrow(path, args, { cwd: ROOT })).stderr.trim();
  const seen = [];
  for (const file of prerequisites(await Deno.readTextFile(rule))) {
    const name = relative(headers, resolve(ROOT, file));
    if (!name.startsWith("tensorrt_llm/")) continue;
    const bytes = await Deno.readFile(join(headers, name));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    seen.push({ path: name, bytes: bytes.length, sha256 });
  }
  seen.sort((a, b) => a.path < b.path ? -1 : 1);
  return { compiler: identity.trim(), object: relative(ROOT, object), warnings, headers: seen };
}

const HELP = `Compiles ${EXECUTOR} against a folder of TensorRT-LLM's headers,
to an object file: nothing is linked or run. Says which headers were included.

  deno run -A tools/build_trtllm.ts --headers FOLDER [--cuda FOLDER]

  --headers FOLDER  what holds ${EXECUTOR_HEADER}: cpp/include of TensorRT-LLM's source
  --cuda FOLDER     what holds cuda_fp16.h (default: fetched from PyPI, 5 MB)
`;

async function cudaHeaders(): Promise<string> {
  const options = { progress: new Progress("CUDA headers") };
  const folder = await ensurePackages("cuda-headers", CUDA_HEADERS, options);
  return join(folder, "nvidia", "cu13", "include");
}

async function main(args: string[]): Promise<number> {
  let values;
  try {
    const text = { type: "string" } as const;
    const help = { type: "boolean", short: "h" } as const;
    ({ values } = parseArgs({ args, options: { headers: text, cuda: text, help } }));
    if (!values.headers && !values.help) throw new TypeError("Option '--headers' is missing");
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (!values.headers) {
    console.log(HELP);
    return 0;
  }
  const headers = resolve(values.headers);
  let check;
  try {
    await expectFile(headers, EXECUTOR_HEADER); // Before CUDA's are fetched for nothing.
    const cuda = values.cuda ? resolve(values.cuda) : await cudaHeaders();
    check = await compileAgainstHeaders(EXECUTOR, headers, cuda);
  } catch (error) {
    console.error(`Cannot compile against these headers: ${(error as Error).message}`);
    return 1;
  }
  if (check.warnings) console.error(check.warnings);
  console.log(`${EXECUTOR} compiled by ${check.compiler} to ${check.object}; not linked, not run`);
  for (const { path, bytes, sha256 } of check.headers) {
    console.log(`  ${sha256.slice(0, 16)}  ${String(bytes).padStart(6)}  ${path}`);
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
