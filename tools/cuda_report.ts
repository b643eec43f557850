/** What is known of each kernel without running it on a GPU. Pure. @module */
import type { Inspected } from "./cuda_sass.ts";

/** Of one kernel and architecture, from `ptxas -v`. */
export interface Resources {
  name: string;
  arch: string;
  registers: number;
  shared_bytes: number;
  spill_bytes: number;
  stack_bytes: number;
}

/** Of one kernel at one shape, from running it on the host. */
export interface Counted {
  name: string;
  shape: string;
  threads: number;
  dynamic_shared_bytes: number;
  ctas: number;
  bytes_per_call: number;
  cta_bytes_per_call: number;
  least_bytes: number;
  operations_per_call: number;
  /** The arithmetic whose peak bounds it: plain, or of matrix instructions. */
  peak: "f32" | "f16" | "int8";
  /** The whole that it is a launch of, or "": how often that has it, and its part of the least
   * bytes. What one launch hands to the next is no part of them. */
  area: string;
  area_calls: number;
  area_least_bytes: number;
}

type Call = Omit<Counted, "threads" | "dynamic_shared_bytes" | "ctas">;

export interface ReportLine extends Resources, Call, Omit<Inspected, "instructions"> {
  occupancy: number;
  /** The least time of the call on an H100 by its bytes and by its operations. */
  h100_memory_micros: number;
  h100_compute_micros: number;
}

/** Per multiprocessor, from the CUDA programming guide's table of compute capabilities. */
const SHARED_BYTES: Readonly<Record<string, number>> = {
  sm_80: 164 << 10,
  sm_90a: 228 << 10,
  sm_100: 228 << 10,
};
const REGISTERS = 65536;
const WARPS_MAX = 64;
const CTAS_MAX = 32;
/** What the driver keeps of shared memory for itself, a CTA. */
const SHARED_RESERVED = 1024;

/** An H100 SXM: bytes a second of its memory; operations a second in f32, and in matrices of 16 and
 * of 8 bits. */
const H100 = { bytes: 3.35e12, f32: 67e12, f16: 989e12, int8: 1979e12 };

/** @param words What `ptxas -v` wrote for one source and all architectures.
 * @throws {Error} If it names no kernel. */
export function readResources(words: string): Resources[] {
  const found: Resources[] = [];
  let open: Resources | null = null;
  for (const line of words.split("\n")) {
    const entry = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line);
    if (entry) {
      const [, name, arch] = entry;
      open = { name, arch, registers: 0, shared_bytes: 0, spill_bytes: 0, stack_bytes: 0 };
      found.push(open);
    }
    if (!open) continue;
    const spills = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/
      .exec(line);
    if (spills) {
      open.stack_bytes = Number(spills[1]);
      open.spill_bytes = Number(spills[2]) + Number(spills[3]);
    }
    const used = /Used (\d+) registers/.exec(line);
    if (used) {
      open.registers = Number(used[1]);
      open.shared_bytes = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0);
    }
  }
  if (found.length === 0) throw new Error("Cannot read ptxas: it names no kernel");
  return found;
}

/** The part of a multiprocessor's 64 warps that can be resident at once. */
export function occupancy(resources: Resources, threads: number, dynamicBytes: number): number {
  const warps = threads / 32;
  // Registers are given out by 256 a warp.
  const warpRegisters = Math.ceil(resources.registers * 32 / 256) * 256;
  const shared = resources.shared_bytes + dynamicBytes + SHARED_RESERVED;
  const ctas = Math.min(
    CTAS_MAX,
    Math.floor(WARPS_MAX / warps),
    Math.floor(REGISTERS / (warpRegisters * warps)),
    Math.floor(SHARED_BYTES[resources.arch] / shared),
  );
  return ctas * warps / WARPS_MAX;
}

/** One line a kernel, architecture and shape.
 * @throws {Error} If the machine code of one was not inspected. */
export function reportLines(
  resources: Resources[],
  inspected: Inspected[],
  counted: Counted[],
): ReportLine[] {
  const sass = new Map(inspected.map((each) => [`${each.name} ${each.arch}`, each]));
  const shown = ({ name, arch }: Resources) => {
    const own = sass.get(`${name} ${arch}`);
    if (!own) throw new Error(`Cannot report: ${name} (${arch}) was not disassembled`);
    return { hmma: own.hmma, imma: own.imma, local: own.local };
  };
  return counted.flatMap(({ threads, dynamic_shared_bytes, ctas: _, ...call }) =>
    resources.filter(({ name }) => name === call.name).map((each) => ({
      ...each,
      ...shown(each),
      ...call,
      shared_bytes: each.shared_bytes + dynamic_shared_bytes,
      occupancy: occupancy(each, threads, dynamic_shared_bytes),
      h100_memory_micros: call.bytes_per_call / H100.bytes * 1e6,
      h100_compute_micros: call.operations_per_call / H100[call.peak] * 1e6,
    }))
  );
}

/** Launches that make one whole, and how many times the least possible bytes they move. */
export interface AreaRatio {
  area: string;
  ratio: number;
  /** Where every byte counts: the most that it may be. Elsewhere it is told and no more. */
  most?: number;
}

/** What a step's time hangs on beside the weights. Attention of few sequences is cut finer, so
 * that the whole device has work: it pays for that in bytes. */
const RATIO_MAX: Readonly<Record<string, number>> = {
  "tree attention": 1.15,
  "the draft step": 1.15,
};

/** Of the areas that `lines` hold, each of their launches as often as the whole has it. */
export function areaRatios(lines: ReportLine[]): AreaRatio[] {
  const names = new Set(lines.map(({ area }) => area).filter((area) => area !== ""));
  return [...names].map((area) => {
    const own = lines.filter((line) => line.arch === lines[0].arch && line.area === area);
    const sum = (of: (line: ReportLine) => number) =>
      own.reduce((all, line) => all + line.area_calls * of(line), 0);
    const ratio = sum((line) => line.bytes_per_call) / sum((line) => line.area_least_bytes);
    const most = RATIO_MAX[area];
    return { area, ratio, ...(most === undefined ? {} : { most }) };
  });
}

/** Where a peak is that of matrix instructions: which, and how many the machine code has. */
const MATRIX: Partial<Record<Counted["peak"], (line: ReportLine) => [string, number]>> = {
  f16: ({ hmma }) => ["HMMA", hmma],
  int8: ({ imma }) => ["IMMA", imma],
};

/** What the report must never say: each problem as a line. */
export function reportProblems(lines: ReportLine[], archs: readonly string[]): string[] {
  const problems: string[] = [];
  for (const { area, ratio, most } of areaRatios(lines)) {
    if (most !== undefined && !(ratio <= most)) {
      problems.push(`${area} moves ${ratio.toFixed(2)} times the least, at most ${most}`);
    }
  }
  for (const line of lines) {
    const name = `${line.name} (${line.arch})`;
    if (line.spill_bytes > 0) problems.push(`${name} spills ${line.spill_bytes} bytes`);
    if (line.local > 0) problems.push(`${name} has ${line.local} accesses of local memory`);
    const [word, count] = MATRIX[line.peak]?.(line) ?? [];
    if (count === 0) problems.push(`${name} multiplies without ${word}`);
    if (line.occupancy === 0) problems.push(`${name} fits no multiprocessor at "${line.shape}"`);
  }
  for (const name of new Set(lines.map((line) => line.name))) {
    for (const arch of archs) {
      if (!lines.some((line) => line.name === name && line.arch === arch)) {
        problems.push(`${name} was not compiled for ${arch}`);
      }
    }
  }
  return problems;
}

/** A table for people: one architecture, then what differs on the others. */
export function reportTable(lines: ReportLine[]): string {
  const head = [
    "kernel",
    "arch",
    "registers",
    "shared",
    "spills",
    "mma",
    "occupancy",
    "bytes",
    "of least",
    "a CTA's",
    "operations",
    "H100 us",
  ];
  const rows = lines.map((line) => [
    line.name.replace("redraft_", ""),
    line.arch,
    `${line.registers}`,
    `${line.shared_bytes}`,
    `${line.spill_bytes}`,
    `${line.hmma + line.imma}`,
    `${Math.round(line.occupancy * 100)} %`,
    `${line.bytes_per_call}`,
    (line.bytes_per_call / line.least_bytes).toFixed(2),
    (line.cta_bytes_per_call / line.least_bytes).toFixed(2),
    line.operations_per_call.toExponential(1),
    Math.max(line.h100_memory_micros, line.h100_compute_micros).toFixed(2),
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column].length))
  );
  const table = [head, ...rows].map((row) =>
    row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd()
  );
  const areas = areaRatios(lines).map(({ area, ratio, most }) =>
    `bytes moved, ${area}: ${ratio.toFixed(2)} of the least possible` +
    (most === undefined ? ", for information" : `, at most ${most}`)
  );
  return [...table, ...areas].join("\n");
}
