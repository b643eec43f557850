/** The fenced examples of Markdown pages, and what stands between backquotes. Pure. @module */

export interface Example {
  /** Of the opening fence, from 1. */
  line: number;
  language: string;
  text: string;
  /** What else runs it, where it takes too long to be run here. */
  runBy: readonly string[];
  /** Why no test runs it, where none can. */
  notRun: string | undefined;
}

/** Examples are blocks in these languages; others show output or files. */
const LANGUAGES = new Set(["sh", "python", "ts", "yaml", "console"]);
const RUN_BY = /^<!-- run by (.+) -->$/;
const NOT_RUN = /^<!-- not run: (.+) -->$/;

export function readExamples(markdown: string): Example[] {
  const examples: Example[] = [];
  let open: Example | undefined;
  let before = "";
  markdown.split("\n").forEach((line, i) => {
    const fence = /^```(\w*)$/.exec(line);
    if (open !== undefined && fence?.[1] === "") {
      if (LANGUAGES.has(open.language)) examples.push(open);
      open = undefined;
    } else if (open !== undefined) {
      open.text += line + "\n";
    } else if (fence !== null) {
      const runBy = RUN_BY.exec(before)?.[1]?.split(/, and by |, /) ?? [];
      const notRun = NOT_RUN.exec(before)?.[1];
      open = { line: i + 1, language: fence[1]!, text: "", runBy, notRun };
    }
    if (line !== "") before = line;
  });
  if (open !== undefined) throw new Error(`The block of line ${open.line} does not end`);
  return examples;
}

/** The command lines of a shell block, or those behind the prompts of a console block: without
 * comments, each on one line. */
export function commandsOf({ language, text }: Example): string[] {
  const lines = text.replaceAll(/ *\\\n */g, " ").split("\n");
  const own = language === "console"
    ? lines.filter((line) => line.startsWith("$ ")).map((line) => line.slice(2))
    : lines;
  return own.map((line) => line.replace(/(^|\s+)# .*$/, "").trim()).filter((line) => line !== "");
}

/** What stands between single backquotes, outside of blocks. */
export function inlineCode(markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[^]*?^```$/gm, "");
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, words]) => words!);
}
