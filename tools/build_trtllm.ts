/** Builds the C ABI of the TensorRT-LLM shim over the tests' fake executor. The real one is built
 * by deploy/trtllm/build_shim.sh, where TensorRT-LLM is installed. @module */
import { CudaHostBuild } from "./build_cuda_host.ts";
import { findCompiler } from "./compiler.ts";

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
