/** Builds the CUDA kernels for the host, each load and store checked, with their tests. @module */
import { createHash } from "node:crypto";
import { basename, dirname, join, relative } from "node:path";
import { buildKernels } from "./build_kernels.ts";
import { type Compiler, findCompiler } from "./compiler.ts";
import {
  type Compilation,
  CUDA_BUILD,
  ENGINE_TESTS,
  listCudaSources,
  ObjectCache,
  SIM_CUBLASLT,
  SIM_DRIVER,
  SIM_IMAGES,
  WEIGHTS,
} from "./cuda_sources.ts";
import { writeImages } from "./cuda_images.ts";
import { COMMON_FLAGS, compilerFlags } from "./kernel_sources.ts";
import { exists, readJsonOrNull, ROOT, writeAtomic } from "./paths.ts";
import { Progress } from "./progress.ts";

/** The compiler reports each access of a kernel to `kernels/cuda/host/access_check.cc`, which takes
 * the place of the thread sanitizer's own runtime. */
const CHECKED = [
  "-fsanitize=thread",
  "--param=tsan-instrument-func-entry-exit=0",
  "-fno-threadsafe-statics", // Their guards would be atomic accesses, which kernels have none of.
];

export const MAIN = "kernels/common/test_main.cc";
/** The host's own harness is nothing that a device runs. */
const HARNESS_TEST = "kernels/cuda/host/cta_cuda_test.cu";
const DRIVER = "kernels/cuda/driver.cc";
const WHOLE_MODEL = "kernels/cuda/sim/whole_model.cc";
const LOGITS_PARITY = "kernels/cuda/sim/logits_parity.cc";

/** A call of libm for each fused operation would take most of the time. */
const FUSED = Deno.build.arch === "x86_64" ? ["-mfma"] : [];

export class CudaHostBuild {
  readonly progress = new Progress("cuda, on the host");
  readonly cache = new ObjectCache(this.progress);
  readonly #flags: string[];

  constructor(readonly compiler: Compiler) {
    this.#flags = [
      ...compiler.prefix,
      ...COMMON_FLAGS,
      ...compilerFlags(compiler.identity),
      ...FUSED,
      "-Wno-unknown-pragmas", // "#pragma unroll" is nvcc's.
      "-O2",
    ];
  }

  #compilation(source: string, kind: string, extra: string[]): Compilation {
    const { path, identity } = this.compiler;
    const language = source.endsWith(".cu") ? ["-x", "c++"] : [];
    return {
      source,
      kind,
      program: path,
      args: [...this.#flags, ...extra, ...language, "-c"],
      identity,
    };
  }

  /** @param checked Whether each access of a kernel is checked, at some fifty times the time. */
  async compile(sources: readonly string[], checked: boolean): Promise<string[]> {
    return await this.cache.compile(sources.map((source) => {
      // The harness's own test has small kernels beside it.
      const isKernel = source.endsWith(".cu") &&
        (!source.endsWith("_test.cu") || source.startsWith("kernels/cuda/host/"));
      return checked && isKernel
        ? this.#compilation(source, "checked.o", CHECKED)
        : this.#compilation(source, "host.o", []);
    }));
  }

  /** Compiles what runs PTX, in which time goes into short loops over lanes. */
  async compileInterpreter(sources: readonly string[]): Promise<string[]> {
    const flags = ["-O3", ...(FUSED.length ? ["-mavx2"] : [])]; // What fuses has both.
    return await this.cache.compile(
      sources.map((source) => this.#compilation(source, "lanes.o", flags)),
    );
  }

  /** Compiles tests of kernels to run on a device. */
  async compileForDevice(tests: readonly string[]): Promise<string[]> {
    return await this.cache.compile(
      tests.map((source) => this.#compilation(source, "device.o", ["-DREDRAFT_TESTS_ON_DEVICE"])),
    );
  }

  /** Compiles changed copies of kernels, which include as the originals do. */
  async compileElsewhere(files: string[], originals: readonly string[]): Promise<string[]> {
    return await this.cache.compile(
      files.map((file, index) =>
        this.#compilation(file, "checked.o", [...CHECKED, `-I${dirname(originals[index])}`])
      ),
    );
  }

  /** Links unless the file there was linked from these very objects. */
  async link(name: string, objects: string[], flags: string[] = []): Promise<string> {
    const output = join(CUDA_BUILD, name);
    const key = createHash("sha256").update(JSON.stringify([objects, flags])).digest("hex");
    const keyFile = join(CUDA_BUILD, "objects", `${basename(name)}.linked.json`);
    const linked = await readJsonOrNull<{ key: string }>(keyFile);
    if (linked?.key === key && await exists(output)) return output;
    await Deno.mkdir(dirname(output), { recursive: true });
    const args = [...this.compiler.prefix, ...objects, ...flags, "-pthread"];
    await this.cache.produce(this.compiler.path, args, output);
    await writeAtomic(keyFile, JSON.stringify({ key }));
    return output;
  }
}

/** Builds the tests of the kernels, one binary.
 * @returns Its path. */
export async function buildCudaTests(): Promise<string> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const sources = await listCudaSources();
  const objects = await build.compile(
    [...sources.kernels, ...sources.tests, ...sources.host, MAIN],
    true,
  );
  const path = await build.link("tests/cuda_test", [...objects, ...cpu]);
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return path;
}

/** Builds the tests once for each changed kernel, all else as it is.
 * @param mutants The kernel's path, and the text that takes its place.
 * @returns The binaries, in order. */
export async function buildMutantTests(
  mutants: ReadonlyArray<{ source: string; text: string }>,
): Promise<string[]> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const sources = await listCudaSources();
  const kernels = await build.compile(sources.kernels, true);
  const rest = await build.compile([...sources.tests, ...sources.host, MAIN], true);
  const files = await Promise.all(mutants.map(async ({ source, text }, index) => {
    const file = join(CUDA_BUILD, "mutants", `${index}`, basename(source));
    await writeAtomic(file, text);
    return relative(ROOT, file);
  }));
  const changed = await build.compileElsewhere(files, mutants.map(({ source }) => source));
  const binaries: string[] = [];
  for (const [index, { source }] of mutants.entries()) {
    const place = sources.kernels.indexOf(source);
    const objects = kernels.map((object, i) => i === place ? changed[index] : object);
    binaries.push(await build.link(`mutants/test_${index}`, [...objects, ...rest, ...cpu]));
  }
  return binaries;
}

/** Tests for a device: of each operation, and of the engine through the C ABI. */
export interface DeviceTests {
  operations: string;
  engine: string;
}

/** Sources of all of them. */
export async function deviceTestSources(): Promise<string[]> {
  const { tests } = await listCudaSources();
  return [...tests.filter((source) => source !== HARNESS_TEST), ...ENGINE_TESTS];
}

/** @param images The kernels: of fat binaries, or `SIM_IMAGES` for a simulated device. */
async function linkDeviceTests(images: string, suffix: string): Promise<DeviceTests> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const sources = await listCudaSources();
  const tests = sources.tests.filter((source) => source !== HARNESS_TEST);
  const operations = [
    ...await build.compileForDevice(tests),
    ...await build.compile([DRIVER, ...WEIGHTS, images, MAIN], false),
  ];
  const engine = await build.compile([...sources.engine, images, ...ENGINE_TESTS, MAIN], false);
  const link = (name: string, objects: string[]) =>
    build.link(`tests/${name}${suffix}`, [...objects, ...withoutAbi(cpu)], ["-ldl"]);
  const result = {
    operations: await link("cuda_device_test", operations),
    engine: await link("cuda_engine_test", engine),
  };
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return result;
}

/** Builds the tests that a GPU runs. Needs none.
 * @param fatbins As `buildCudaKernels()` gives them. */
export async function buildDeviceTests(fatbins: readonly string[]): Promise<DeviceTests> {
  return await linkDeviceTests(await writeImages(fatbins), "_gpu");
}

/** The same for a simulated device. */
export async function buildSimulatedDeviceTests(): Promise<DeviceTests> {
  return await linkDeviceTests(SIM_IMAGES, "");
}

export interface CudaEngineTests {
  /** The engine's own tests through the C ABI, over the CUDA engine. */
  binary: string;
  /** The simulated device, and one whose kernels report each access: for `REDRAFT_CUDA_DRIVER`. */
  driver: string;
  checkedDriver: string;
  /** What takes cuBLASLt's place on a simulated device: for `REDRAFT_CUBLASLT`. */
  cublasLt: string;
  /** The engine as a library, without kernels of its own: `REDRAFT_CUDA_LIBRARY` over a driver
   * above. */
  library: string;
  /** Compares speculation on and off over a model that it is given. */
  wholeModel: string;
  /** Compares hidden states and logits with the CPU engine's, and both with f64. */
  logitsParity: string;
}

/** The CUDA engine's sources take the place of the CPU's C ABI. */
const withoutAbi = (cpu: string[]) =>
  cpu.filter((object) => !basename(object).startsWith("engine__abi."));

/** Builds the CUDA engine with the engine's tests, and the device that they run on. */
export async function buildCudaEngineTests(): Promise<CudaEngineTests> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const sources = await listCudaSources();
  const host = await build.compile([...sources.host, ...SIM_DRIVER], false);
  const driver = async (name: string, checked: boolean) => {
    const kernels = await build.compile(sources.kernels, checked);
    return await build.link(name, [...kernels, ...host, ...withoutAbi(cpu)], ["-shared"]);
  };
  const objects = await build.compile(
    [...sources.engine, SIM_IMAGES, ...ENGINE_TESTS, MAIN],
    false,
  );
  const engine = await build.compile([...sources.engine, SIM_IMAGES], false);
  const program = async (name: string, source: string) =>
    await build.link(
      name,
      [...engine, ...await build.compile([source], false), ...withoutAbi(cpu)],
      ["-ldl"],
    );
  const result = {
    library: await build.link("libredraft_cuda_sim.so", [...engine, ...withoutAbi(cpu), "-ldl"], [
      "-shared",
    ]),
    wholeModel: await program("cuda_whole_model", WHOLE_MODEL),
    logitsParity: await program("cuda_logits_parity", LOGITS_PARITY),
    binary: await build.link("tests/cuda_engine_test", [...objects, ...withoutAbi(cpu)], ["-ldl"]),
    driver: await driver("libcuda_sim.so", false),
    checkedDriver: await driver("libcuda_sim_checked.so", true),
    cublasLt: await build.link(
      "libcublaslt_sim.so",
      await build.compile([SIM_CUBLASLT], false),
      ["-shared", "-ldl"],
    ),
  };
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return result;
}

/** Builds `libredraft_cuda.so`: the engine, with the kernels embedded. Loading it needs no driver.
 * @param fatbins As `buildCudaKernels()` gives them. */
export async function buildCudaLibrary(fatbins: readonly string[]): Promise<string> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const { engine } = await listCudaSources();
  const objects = await build.compile([...engine, await writeImages(fatbins)], false);
  const path = await build.link("libredraft_cuda.so", [...objects, ...withoutAbi(cpu), "-ldl"], [
    "-shared",
  ]);
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return path;
}

/** Builds the program that runs each kernel at its report's shape.
 * @returns Its path. */
export async function buildReportProgram(): Promise<string> {
  const { objects: cpu } = await buildKernels();
  const build = new CudaHostBuild(await findCompiler());
  const sources = await listCudaSources();
  const objects = await build.compile(
    [...sources.kernels, ...sources.host, ...sources.report],
    true,
  );
  const path = await build.link("cuda_report", [...objects, ...cpu]);
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return path;
}
