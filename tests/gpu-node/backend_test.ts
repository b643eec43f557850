/** `--backend`: which engine a node takes, on this machine and over a simulated device. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { buildCudaEngineTests } from "../../tools/build_cuda_host.ts";
import { type CutFiles, writeCut } from "../support/cut_model.ts";
import { ROOT } from "../support/source_files.ts";
import { testModelPath } from "../support/test_model.ts";

const CPU_LIBRARY = join(ROOT, "build", "libredraft_cpu.so");
const HEAD = join(ROOT, "drafter", "weights", "smollm2-135m-instruct");
/** No step costs are measured within so short a context: a simulated device is slow. */
const SMALL = ["--slots-max=2", "--rows-max=64", "--pages-max=64", "--context-max=40"];

interface Answer {
  code: number;
  /** Of `--info`. */
  info: Record<string, string> | null;
  error: string;
}

async function askNode(
  cut: CutFiles,
  flags: string[],
  env: Record<string, string>,
  bounds = SMALL,
): Promise<Answer> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--allow-ffi", "--allow-env", "--allow-read"],
      join(ROOT, "gpu-node", "main.ts"),
      ...[`--model=${cut.model}`, `--head=${cut.head}`, "--info", ...bounds, ...flags],
    ],
    env: { REDRAFT_LIBRARY: "", ...env },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  const error = stderr.length ? JSON.parse(text(stderr).split("\n").at(-1)!).error : "";
  return { code, info: code === 0 ? JSON.parse(text(stdout)) : null, error };
}

Deno.test("a node's backend", async (t) => {
  const { driver, library } = await buildCudaEngineTests();
  const folder = await Deno.makeTempDir();
  try {
    const path = await testModelPath();
    const model = path instanceof URL ? decodeURIComponent(path.pathname) : path;
    const cut = await writeCut(folder, { model, head: HEAD, layerCount: 1 });
    await refusals(t, cut, library, driver);
    await t.step("auto takes CUDA where a driver and a device answer", async () => {
      const env = { REDRAFT_CUDA_LIBRARY: library, REDRAFT_CUDA_DRIVER: driver };
      const { info, error } = await askNode(cut, ["--backend=auto"], env);
      assert.equal(info?.backend, "cuda", error);
      assert.equal(info.isa, "sm_90");
      assert.equal(info.device, "simulated device");
      assert.match(info.backendReason, /device answers/);
    });
    await memoryPlan(t, cut, { REDRAFT_CUDA_LIBRARY: library, REDRAFT_CUDA_DRIVER: driver });
    await t.step("cpu is the CPU, whatever else is there", async () => {
      const env = { REDRAFT_CUDA_LIBRARY: library, REDRAFT_CUDA_DRIVER: driver };
      const { info } = await askNode(cut, ["--backend=cpu"], env);
      assert.equal(info?.backend, "cpu");
      assert.match(info.isa, /^(avx512vnni(\+amx-int8)?|avxvnni|avx2|neon-dotprod|portable)$/);
      assert.equal(info.backendReason, "asked for");
    });
    await namedLibraries(t, cut, library);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** While a file is named nothing is chosen, so the advice is to name none. */
async function namedLibraries(t: Deno.TestContext, cut: CutFiles, cuda: string): Promise<void> {
  const refused = async (flags: string[], env: Record<string, string>, words: RegExp) => {
    const { code, error } = await askNode(cut, flags, env);
    assert.equal(code, 1);
    assert.match(error, words);
    assert.doesNotMatch(error, /cpu backend/);
  };
  await t.step("a library of another backend is refused", async () => {
    const words =
      /--backend cuda: .*libredraft_cpu\.so holds the cpu engine; .*or unset REDRAFT_LIBRARY$/;
    await refused(["--backend=cuda"], { REDRAFT_LIBRARY: CPU_LIBRARY }, words);
  });
  for (const backend of ["auto", "cpu"]) {
    await t.step(`${backend} over CUDA's library without a driver: unset the name`, async () => {
      const env = { REDRAFT_CUDA_DRIVER: "/nowhere/libcuda.so.1" };
      const flags = [`--backend=${backend}`];
      await refused(flags, { ...env, REDRAFT_LIBRARY: cuda }, /, or unset REDRAFT_LIBRARY$/);
      await refused([...flags, `--library=${cuda}`], env, /, or leave out --library$/);
    });
  }
  await t.step("a library that is not there is named once", async () => {
    const words = /from \/nowhere\.so \(name another, or unset REDRAFT_LIBRARY\): \/nowhere\.so: /;
    await refused(["--backend=auto"], { REDRAFT_LIBRARY: "/nowhere.so" }, words);
  });
}

/** Without `--pages-max` a device's free memory says how many there are. */
async function memoryPlan(
  t: Deno.TestContext,
  cut: CutFiles,
  env: Record<string, string>,
): Promise<void> {
  const bounds = SMALL.filter((flag) => !flag.startsWith("--pages-max"));
  const ask = (mib: number) =>
    askNode(cut, ["--backend=cuda"], { ...env, REDRAFT_SIM_MEMORY_MIB: `${mib}` }, bounds);
  const WORDS =
    /^weights (\d+) MiB, (\d+) KV pages (\d+) MiB, workspace (\d+) MiB, of (\d+) MiB free$/;
  await t.step("pages are what 90 % of the free memory holds, and the plan is said", async () => {
    const [some, more] = await Promise.all([ask(256), ask(320)]);
    const [weights, pages, kv, workspace, free] = WORDS.exec(some.info?.memory ?? some.error)!
      .slice(1).map(Number);
    assert.equal(free, 256);
    assert(Math.abs(weights + kv + workspace - 0.9 * free) <= 2, some.info!.memory);
    assert.equal(some.info!.pagesMax, pages);
    // A page of one layer is 12 KiB: keys and values of 3 heads of 64 halves, 16 tokens.
    const added = Number(more.info!.pagesMax) - pages;
    assert(Math.abs(added - 0.9 * 64 * 1024 / 12) <= 1, `${added} pages more`);
  });
  await t.step("too little for one sequence is refused, with the numbers", async () => {
    const { code, error } = await ask(64);
    assert.equal(code, 1);
    assert.match(
      error,
      /weights \d+ MiB, workspace \d+ MiB; of 64 MiB free that leaves 0 KV pages/,
    );
    assert.match(error, /context_max 40 takes 3: lower context_max, rows_max or slots_max/);
  });
}

/** What keeps a node from CUDA: "cuda" ends in one line, "auto" takes the CPU and says why. */
async function refusals(
  t: Deno.TestContext,
  cut: CutFiles,
  library: string,
  driver: string,
): Promise<void> {
  const cases: Array<[string, Record<string, string>, RegExp]> = [
    ["no library", { REDRAFT_CUDA_LIBRARY: "/nowhere.so" }, /nowhere\.so; deno task build:cuda/],
    [
      "another engine's library",
      { REDRAFT_CUDA_LIBRARY: CPU_LIBRARY },
      /libredraft_cpu\.so holds the cpu engine; REDRAFT_CUDA_LIBRARY must name a CUDA one/,
    ],
    [
      "no driver",
      { REDRAFT_CUDA_DRIVER: "/nowhere/libcuda.so.1" },
      /no driver \(\/nowhere.*install NVIDIA's driver/,
    ],
    ["no device", { REDRAFT_SIM_DEVICES: "0" }, /no device answers/],
    [
      "an old driver",
      { REDRAFT_SIM_VERSION: "12040" },
      /of CUDA 12\.4.*install a newer driver, or ask/,
    ],
    [
      "a device that another process has",
      { REDRAFT_SIM_FAILS: "cuDevicePrimaryCtxRetain" },
      /cuDevicePrimaryCtxRetain failed with CUDA_ERROR_DEVICE_UNAVAILABLE; see .*, or ask for/,
    ],
    [
      "kernels that the driver does not take",
      { REDRAFT_SIM_FAILS: "cuModuleLoadData" },
      /cuModuleLoadData failed with CUDA_ERROR_NO_BINARY_FOR_GPU; see .*, or ask for/,
    ],
    ["an old device", { REDRAFT_SIM_CAPABILITY: "75" }, /compute capability 7\.5.*need 8\.0/],
    ["little memory", { REDRAFT_SIM_MEMORY_MIB: "1" }, /weights .* are free: lower pages_max/],
  ];
  for (const [name, changes, words] of cases) {
    const env = { REDRAFT_CUDA_LIBRARY: library, REDRAFT_CUDA_DRIVER: driver, ...changes };
    await t.step(`${name}: cuda refuses in one line`, async () => {
      const { code, error } = await askNode(cut, ["--backend=cuda"], env);
      assert.equal(code, 1);
      assert.match(error, words);
      assert(!error.includes("\n"));
    });
    await t.step(`${name}: auto takes the CPU and says why`, async () => {
      const { info, error } = await askNode(cut, ["--backend=auto"], env);
      assert.equal(info?.backend, "cpu", error);
      assert.match(info.backendReason, words);
    });
  }
}

Deno.test("redraft node --backend cuda builds nothing where no driver is", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "mod.ts"), "node", "--info", "--backend=cuda"],
    env: { NO_COLOR: "1", REDRAFT_CUDA_DRIVER: "" },
  }).output();
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  const driven = [...Deno.readDirSync("/dev")].some(({ name }) => name === "nvidiactl");
  if (driven) return; // It then has what it asks for.
  assert.equal(code, 1);
  assert.match(lines.at(-1)!, /--backend cuda: no NVIDIA driver on this machine.*--backend cpu/);
});
