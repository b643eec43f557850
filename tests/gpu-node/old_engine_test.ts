/** An engine of another version than the node's is refused before the node listens. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ABI } from "../../gpu-node/abi.ts";
import { findCompiler } from "../../tools/compiler.ts";
import { runOrThrow, runProcess } from "../../tools/process.ts";
import { ROOT } from "../support/source_files.ts";

/** Every symbol of the ABI; only the version is ever asked for. */
const NAMES = ["open", "close", "last_error", "model_info", "tokenizer", "step", "hidden"];
const SOURCE = `#include <stdint.h>
extern "C" {
uint32_t redraft_abi_version(void) { return ${ABI.version - 1}; }
${NAMES.map((name) => `int32_t redraft_${name}(void) { return 1; }`).join("\n")}
}
`;

Deno.test("an old engine is refused by name, with what to do about it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const library = join(folder, "libold.so");
    const source = join(folder, "old.cc");
    await Deno.writeTextFile(source, SOURCE);
    const { path, prefix } = await findCompiler();
    await runOrThrow(path, [...prefix, "-shared", "-fPIC", "-o", library, source]);
    const flags = ["--model=/nowhere.gguf", `--library=${library}`, "--port=0"];
    const { code, stdout, stderr } = await runProcess(Deno.execPath(), [
      ...["run", "--no-prompt", "--allow-ffi", "--allow-env", "--allow-read", "--allow-net"],
      ...[join(ROOT, "gpu-node", "main.ts"), ...flags],
    ]);
    assert.equal(code, 1, stderr);
    assert.equal(stdout, "");
    const advice = "name another, or leave out --library";
    const words = `its ABI version is ${ABI.version - 1}, not ${ABI.version}; ${advice}`;
    assert.ok(stderr.includes(words), stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
