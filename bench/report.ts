/** `redraft bench report`: the README's figures and charts, from what the benches kept. @module */
import { basename, dirname, join, relative } from "node:path";
import { type Command, parseOptions, UsageError } from "../cli/options.ts";
import { ROOT, statOrNull, writeAtomic } from "../tools/paths.ts";
import { learningCurve, plotOf } from "./report_plots.ts";
import { parseRecord } from "./report_record.ts";
import { replaceFigures, reportMarkdown, type ReportPart } from "./report_tables.ts";

const RESULTS = join(ROOT, "bench", "results");
const README = join(ROOT, "README.md");
const CURVE = join(ROOT, "drafter", "learning_curve.json");
const FILES_MAX = 200;

/** Records by name, so that what is written does not depend on how a folder lists them. */
async function recordFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const stat = await statOrNull(path);
    if (!stat) throw new UsageError(`Cannot report ${path}: there is no such file or folder`);
    if (!stat.isDirectory) {
      files.push(path);
      continue;
    }
    for await (const entry of Deno.readDir(path)) {
      if (entry.name.endsWith(".json")) files.push(join(path, entry.name));
    }
  }
  if (files.length > FILES_MAX) {
    throw new UsageError(`Cannot report ${files.length} files: at most ${FILES_MAX}`);
  }
  return files.sort((a, b) => a < b ? -1 : 1);
}

/** All that the report writes: text by path. */
async function compose(files: string[], readme: string, plots: string) {
  const written = new Map<string, string>();
  const parts: ReportPart[] = [];
  for (const file of files) {
    try {
      const record = parseRecord(await Deno.readTextFile(file), file);
      const plot = plotOf(record);
      const path = join(plots, basename(file).replace(/\.json$/, ".svg"));
      if (plot) {
        if (written.has(path)) throw new TypeError(`two records would write ${path}`);
        written.set(path, plot.svg);
      }
      parts.push({
        record,
        plot: plot && { path: relative(dirname(readme), path), alt: plot.alt },
      });
      reportMarkdown(parts.slice(-1)); // So that an error names the file.
    } catch (error) {
      const { message } = error as Error;
      if (message.includes(file)) throw error;
      throw new TypeError(`Cannot report ${file}: ${message}`);
    }
  }
  const text = await Deno.readTextFile(readme);
  try {
    written.set(readme, replaceFigures(text, reportMarkdown(parts)));
  } catch (error) {
    throw new TypeError(`Cannot report into ${readme}: ${(error as Error).message}`);
  }
  return written;
}

async function differing(written: ReadonlyMap<string, string>): Promise<string[]> {
  const paths: string[] = [];
  for (const [path, text] of written) {
    const held = await statOrNull(path) ? await Deno.readTextFile(path) : null;
    if (held !== text) paths.push(path);
  }
  return paths;
}

async function report(args: string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, {
    readme: { type: "string", default: README },
    plots: { type: "string" },
    curve: { type: "string", default: CURVE },
    check: { type: "boolean" },
  }, FILES_MAX);
  // git keeps no empty folder, so the default one may not be there.
  const ours = await statOrNull(RESULTS) ? [RESULTS] : [];
  const paths = positionals.length > 0 ? positionals : ours;
  const plots = String(values.plots ?? RESULTS);
  const written = await compose(await recordFiles(paths), String(values.readme), plots);
  const curve = String(values.curve);
  if (await statOrNull(curve)) {
    const svg = learningCurve(await Deno.readTextFile(curve), curve);
    written.set(curve.replace(/\.json$/, "") + ".svg", svg);
  } else if (curve !== CURVE) {
    throw new UsageError(`Cannot plot ${curve}: there is no such file`);
  }
  const changed = await differing(written);
  if (values.check) {
    for (const path of changed) console.error(`${path} is not what the results say`);
    if (changed.length > 0) console.error("Run: npx -y deno@2.9.6 task bench report");
    return changed.length === 0 ? 0 : 1;
  }
  for (const path of changed) {
    await writeAtomic(path, written.get(path)!);
    console.log(path);
  }
  return 0;
}

export const command: Command = {
  summary: "the README's figures and charts",
  help: `Writes charts (SVG) and the README's tables of figures from what benches kept with --save.

  redraft bench report [FILE|FOLDER ...] [--check]

  FILE, FOLDER       what --save wrote; of a folder every .json (default bench/results)
  --check            writes nothing; the exit status is 1 if README or charts are not what the
                     results say
  --readme FILE      holds the two marker comments (default README.md of the repository)
  --plots FOLDER     where charts go, named after the records (default bench/results)
  --curve FILE       JSON {"series": [{"name", "points": [{"tokens", "tokens_per_step"}]}]}, charted
                     beside itself (default drafter/learning_curve.json, if it is there)

Prints the files that it changed. Example:
  redraft bench spec --prompts dev.jsonl --save bench/results/spec_temperature_0.json
  redraft bench report
`,
  run: report,
};
