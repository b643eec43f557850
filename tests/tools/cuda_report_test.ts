import assert from "node:assert/strict";
import {
  areaRatios,
  type Counted,
  occupancy,
  readResources,
  reportLines,
  reportProblems,
  reportTable,
} from "../../tools/cuda_report.ts";
import { type Inspected, readSass } from "../../tools/cuda_sass.ts";

const WORDS = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'redraft_a' for 'sm_80'
ptxas info    : Function properties for redraft_a
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 4096 bytes smem, 448 bytes cmem[0]
ptxas info    : Compile time = 37.381 ms
ptxas info    : Compiling entry function 'redraft_a' for 'sm_90a'
ptxas info    : Function properties for redraft_a
    24 bytes stack frame, 48 bytes spill stores, 72 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers
`;

function counted(changes: Partial<Counted> = {}): Counted {
  return {
    name: "redraft_a",
    shape: "small",
    threads: 256,
    dynamic_shared_bytes: 0,
    ctas: 4,
    bytes_per_call: 3350,
    cta_bytes_per_call: 6700,
    least_bytes: 3350,
    operations_per_call: 67e6,
    peak: "f32",
    ...{ area: "", area_calls: 0, area_least_bytes: 0 },
    ...changes,
  };
}

/** As `cuobjdump -sass` writes, one kernel with a predicate, a matrix instruction, local memory. */
const SASS = `
Fatbin elf code:
================
arch = sm_80

\tcode for sm_80
\t\tFunction : redraft_a
\t.headerflags\t@"EF_CUDA_SM80"
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;  /* 0x00000a00ff017624 */
                                                                            /* 0x000fe400078e00ff */
        /*0010*/              @!P0 BRA 0xb0 ;                               /* 0x0000005000008947 */
        /*0020*/                   IMMA.16832.S8.S8 R4, R4.ROW, R2.COL, RZ ; /* 0x0 */
        /*0030*/              @P1 STL [R1], R4 ;                            /* 0x0 */
\tcode for sm_90a
\t\tFunction : redraft_a
        /*0000*/                   HMMA.16816.F32 R4, R4, R2, RZ ;          /* 0x0 */
`;

/** Sound machine code of `redraft_NAME` on every architecture. */
const sound = (...names: string[]): Inspected[] =>
  names.flatMap((name) =>
    ["sm_80", "sm_90a"].map((arch) => ({
      ...{ name: `redraft_${name}`, arch, instructions: 9, hmma: 0, imma: 0, local: 0 },
    }))
  );

Deno.test("readSass() counts matrix instructions and local memory", () => {
  const name = "redraft_a";
  assert.deepEqual(readSass(SASS), [
    { name, arch: "sm_80", instructions: 4, hmma: 0, imma: 1, local: 1 },
    { name, arch: "sm_90a", instructions: 1, hmma: 1, imma: 0, local: 0 },
  ]);
  assert.throws(() => readSass("nothing"), /names no kernel/);
  assert.throws(() => readSass("code for sm_80\nFunction : redraft_b"), /no instructions of/);
});

Deno.test("reportProblems() names local memory and products without matrix instructions", () => {
  const problems = (peak: Counted["peak"]) =>
    reportProblems(reportLines(readResources(WORDS), readSass(SASS), [counted({ peak })]), []);
  const always = [
    "redraft_a (sm_80) has 1 accesses of local memory",
    "redraft_a (sm_90a) spills 120 bytes",
  ];
  assert.deepEqual(problems("f32"), always);
  assert.deepEqual(problems("f16"), [
    always[0],
    "redraft_a (sm_80) multiplies without HMMA",
    always[1],
  ]);
  assert.deepEqual(problems("int8"), [...always, "redraft_a (sm_90a) multiplies without IMMA"]);
  assert.throws(
    () => reportLines(readResources(WORDS), [], [counted()]),
    /redraft_a \(sm_80\) was not disassembled/,
  );
});

Deno.test("readResources() reads what ptxas says of each kernel and architecture", () => {
  const [ampere, hopper] = readResources(WORDS);
  assert.deepEqual(ampere, {
    name: "redraft_a",
    arch: "sm_80",
    registers: 40,
    shared_bytes: 4096,
    spill_bytes: 0,
    stack_bytes: 0,
  });
  assert.equal(hopper.spill_bytes, 120);
  assert.equal(hopper.stack_bytes, 24);
  assert.equal(hopper.shared_bytes, 0);
  assert.throws(() => readResources("ptxas info    : 0 bytes gmem"), /names no kernel/);
});

Deno.test("occupancy() is bounded by registers, shared memory, warps and CTAs", () => {
  const of = (registers: number, shared_bytes: number) => ({
    name: "a",
    arch: "sm_90a",
    registers,
    shared_bytes,
    spill_bytes: 0,
    stack_bytes: 0,
  });
  assert.equal(occupancy(of(32, 0), 256, 0), 1);
  assert.equal(occupancy(of(64, 0), 256, 0), 0.5);
  assert.equal(occupancy(of(32, 0), 32, 0), 0.5); // 32 CTAs of one warp.
  assert.equal(occupancy(of(32, 0), 256, 100 << 10), 0.25); // Two CTAs.
  assert.equal(occupancy(of(32, 8 << 10), 256, 220 << 10), 0); // More than there is.
  assert.equal(occupancy({ ...of(32, 0), arch: "sm_80" }, 256, 100 << 10), 0.125);
});

Deno.test("reportProblems() names spills, and kernels that an architecture lacks", () => {
  const lines = reportLines(readResources(WORDS), sound("a"), [counted()]);
  assert.equal(lines.length, 2);
  assert.ok(Math.abs(lines[0].h100_memory_micros - 1e-3) < 1e-9);
  assert.ok(Math.abs(lines[0].h100_compute_micros - 1) < 1e-9);
  assert.deepEqual(reportProblems(lines, ["sm_80", "sm_90a", "sm_100"]), [
    "redraft_a (sm_90a) spills 120 bytes",
    "redraft_a was not compiled for sm_100",
  ]);
  assert.deepEqual(reportProblems(lines.slice(0, 1), ["sm_80"]), []);
  const large = counted({ dynamic_shared_bytes: 1 << 20 });
  const huge = reportLines(readResources(WORDS), sound("a"), [large]);
  assert.match(reportProblems(huge, [])[0], /fits no multiprocessor/);
  const table = reportTable(lines).split("\n");
  assert.equal(table.length, 3);
  assert.match(table[1], /^a +sm_80 +40 +4096 +0 +0 +75 % +3350 +1\.00 +2\.00/);
});

Deno.test("areaRatios() joins what makes one whole; what moves too much is a problem", () => {
  const names = ["attention", "attention_join", "draft_cell", "beam_pack", "draft_rank4"];
  const words = names.map((name) =>
    WORDS.split("\n").slice(0, 6).join("\n").replaceAll("redraft_a", `redraft_${name}`)
  );
  const of = (name: string, area: string, bytes_per_call: number, calls: number, least: number) =>
    counted({
      ...{ name: `redraft_${name}`, shape: area, bytes_per_call },
      ...{ area, area_calls: calls, area_least_bytes: least },
    });
  const calls = [
    of("attention", "tree attention", 1000, 1, 1000),
    of("attention_join", "tree attention", 100, 1, 0), // All of it passes between launches.
    of("attention", "tree attention of few sequences", 1500, 1, 1000),
    of("attention_join", "tree attention of few sequences", 500, 1, 0),
    of("draft_cell", "the draft step", 1050, 3, 1000),
    of("beam_pack", "the draft step", 900, 1, 200),
    of("draft_rank4", "", 9000, 0, 0), // No launch of that step.
  ];
  const lines = reportLines(readResources(words.join("\n")), sound(...names), calls);
  assert.deepEqual(areaRatios(lines), [
    { area: "tree attention", ratio: 1.1, most: 1.15 },
    { area: "tree attention of few sequences", ratio: 2 },
    { area: "the draft step", ratio: (3 * 1050 + 900) / 3200, most: 1.15 },
  ]);
  assert.deepEqual(reportProblems(lines, ["sm_80"]), [
    "the draft step moves 1.27 times the least, at most 1.15",
  ]);
  const table = reportTable(lines);
  assert.match(table, /^bytes moved, tree attention: 1\.10 of the least possible, at most 1\.15$/m);
  assert.match(table, /^bytes moved, .* few sequences: 2\.00 of .* possible, for information$/m);
});
