/** What a bench measured, with all that a reader needs to measure it again. Pure. @module */

export interface Machine {
  cpu: string;
  vcpus: number;
  /** The widest integer products that the processor has. */
  isa: string;
}

export type Figures = Readonly<Record<string, unknown>>;

export interface BenchRecord {
  bench: string;
  /** As it would be typed again, less what says where the output goes. */
  command: string;
  /** The model's file name; the mock of `bench gateway` has none. */
  model: string | null;
  machine: Machine;
  /** `YYYY-MM-DD` */
  date: string;
  /** `-dirty` stands after it where files differed from the commit. */
  commit: string;
  figures: Figures;
}

const TEXTS = ["bench", "command", "date", "commit"] as const;

/** Reads what `--save` wrote.
 * @param where Named in errors.
 * @throws {TypeError} Naming the file and what it lacks. */
export function parseRecord(text: string, where: string): BenchRecord {
  const refuse = (reason: string): never => {
    throw new TypeError(`Cannot report ${where}: ${reason}; it must be what --save writes`);
  };
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse((error as Error).message);
  }
  for (const name of TEXTS) {
    if (typeof value?.[name] !== "string") refuse(`${name} is missing`);
  }
  const { cpu, vcpus, isa } = value.machine ?? {};
  if (typeof cpu !== "string" || typeof isa !== "string" || !Number.isInteger(vcpus)) {
    refuse("machine is missing");
  }
  if (typeof value.figures !== "object" || value.figures === null) refuse("figures are missing");
  if (value.model !== null && typeof value.model !== "string") refuse("model is missing");
  return value;
}

/** A number inside the figures.
 * @throws {TypeError} Naming the figure that is missing. */
export function numberAt(figures: Figures, ...path: string[]): number {
  let value: unknown = figures;
  for (const name of path) value = (value as Figures | undefined)?.[name];
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new TypeError(`Cannot report figure ${path.join(".")}: it is ${JSON.stringify(value)}`);
  }
  return value;
}

/** An object inside the figures, its entries in the order in which they were measured.
 * @throws {TypeError} If it is missing. */
export function entriesAt(figures: Figures, name: string): [string, Figures][] {
  const value = figures[name];
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`Cannot report figure ${name}: it is ${JSON.stringify(value)}`);
  }
  return Object.entries(value);
}

/** Options that say where the output goes, and change no figure. */
const OUTPUT_OPTIONS = new Set(["--json", "--save"]);

/** The command as it is shown: files by their names alone, since folders differ between machines.
 */
export function shownCommand(name: string, args: readonly string[]): string {
  const shown: string[] = [];
  for (let index = 0; index < args.length; ++index) {
    const [option, value] = splitOnce(args[index], "=");
    if (OUTPUT_OPTIONS.has(option)) {
      if (option === "--save" && value === undefined) ++index;
      continue;
    }
    if (value === undefined) shown.push(baseName(option));
    else shown.push(`${option}=${baseName(value)}`);
  }
  return [name, ...shown].join(" ");
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.startsWith("--") ? text.indexOf(separator) : -1;
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function baseName(word: string): string {
  if (!/^(\/|\.\.?\/|~\/)/.test(word)) return word;
  return word.replace(/\/+$/, "").split("/").at(-1)!;
}
