/** `deno task build`. @module */
import { relative } from "node:path";
import { buildKernels } from "../tools/build_kernels.ts";
import { ROOT } from "../tools/paths.ts";
import { type Command, parseOptions, runCommand } from "./options.ts";

export const command: Command = {
  summary: "build the CPU engine",
  help: `Builds the CPU engine into build/libredraft_cpu.so. Quick when nothing changed.

  deno task build [--tests] [--benches] [--sanitize] [--only TEXT]

  --tests      also build/tests/NAME for each *_test.cc
  --benches    also build/benches/NAME for each *_bench.cc
  --sanitize   with address and undefined-behaviour sanitizers, in build/sanitize/
  --only TEXT  only tests and benches whose path contains TEXT

CXX names a compiler (CXX=zig: the one from PyPI); else c++, g++, clang++, then zig c++ from PyPI.

Examples:
  deno task build
  deno task build --tests --only beam_search && build/tests/beam_search_test
`,
  async run(args) {
    const { values } = parseOptions(args, {
      tests: { type: "boolean" },
      benches: { type: "boolean" },
      sanitize: { type: "boolean" },
      only: { type: "string" },
    });
    console.log(relative(ROOT, (await buildKernels(values)).library));
    return 0;
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
