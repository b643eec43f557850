/** The fenced examples of Markdown pages. Pure. @module */

export interface Example {
  /** Of the opening fence, from 1. */
  line: number;
  language: string;
  text: string;
  /** What else runs it, where it takes too long to be run here. */
  runBy: string | undefined;
}

/** Examples are blocks in these languages; others show output or files. */
const LANGUAGES = new Set(["sh", "python", "ts", "yaml", "console"]);
const RUN_BY = /^<!-- run by (.+) -->$/;

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
      open = { line: i + 1, language: fence[1], text: "", runBy: RUN_BY.exec(before)?.[1] };
    }
    if (line !== "") before = line;
  });
  if (open !== undefined) throw new Error(`The block of line ${open.line} does not end`);
  return examples;
}
