/** Prints what a bench measured, and with `--save` keeps it with machine, command, date and commit.
 * @module */
import { basename, join } from "node:path";
import type { OptionTable, ParsedOptions } from "../cli/options.ts";
import { ROOT, writeAtomic } from "../tools/paths.ts";
import { findProgram, runProcess } from "../tools/process.ts";
import { type BenchRecord, type Figures, type Machine, shownCommand } from "./report_record.ts";

export const OUTPUT_OPTIONS: OptionTable = {
  json: { type: "boolean" },
  save: { type: "string" },
};

export const OUTPUT_OPTIONS_HELP = `  --json             one JSON line
  --save PATH        also keeps the figures there with machine, command, date and commit, for
                     redraft bench report: a folder, or a file that ends in .json`;

/** Flags of /proc/cpuinfo, the best first. */
const ISA_FLAGS = [
  ["amx_int8", "AVX-512 VNNI and AMX"],
  ["avx512_vnni", "AVX-512 VNNI"],
  ["avx_vnni", "AVX-VNNI"],
  ["avx2", "AVX2"],
  ["asimddp", "NEON dot product"],
] as const;

async function readMachine(): Promise<Machine> {
  const vcpus = navigator.hardwareConcurrency;
  let text: string;
  try {
    text = await Deno.readTextFile("/proc/cpuinfo");
  } catch {
    return { cpu: `${Deno.build.os} ${Deno.build.arch}`, vcpus, isa: "unknown" };
  }
  const cpu = /^model name\s*:\s*(.+)$/m.exec(text)?.[1].trim() ?? Deno.build.arch;
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.+)$/m.exec(text)?.[1].split(/\s+/));
  const asked = Deno.env.get("REDRAFT_ISA");
  if (asked) return { cpu, vcpus, isa: `as asked: ${asked}` };
  const isa = ISA_FLAGS.find(([flag]) => flags.has(flag))?.[1] ?? "none of them";
  return { cpu, vcpus, isa };
}

async function readCommit(): Promise<string> {
  const git = await findProgram("git");
  if (!git) return "unknown";
  const { code, stdout } = await runProcess(
    git,
    ["-C", ROOT, "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
  );
  return code === 0 ? stdout.trim() : "unknown";
}

export interface Measured {
  /** `engine`, of `redraft bench engine`. */
  bench: string;
  args: readonly string[];
  values: ParsedOptions["values"];
  model?: string;
  figures: Figures;
}

/** The last thing a bench does: its figures go to standard output, and to `--save`. */
export async function publish({ bench, args, values, model, figures }: Measured): Promise<void> {
  console.log(JSON.stringify(figures, null, values.json ? undefined : 2));
  if (values.save === undefined) return;
  const path = String(values.save);
  const name = bench === "verify" ? bench : `bench ${bench}`;
  const record: BenchRecord = {
    bench,
    command: shownCommand(name, args),
    model: model === undefined ? null : basename(model),
    machine: await readMachine(),
    date: new Date().toISOString().slice(0, 10),
    commit: await readCommit(),
    figures,
  };
  const file = path.endsWith(".json") ? path : join(path, `${bench}.json`);
  await writeAtomic(file, JSON.stringify(record, null, 2) + "\n");
  console.error(`${name}: kept in ${file}`);
}
