/** Lengths of function bodies in TypeScript and C++, found by their braces. Pure. @module */

export interface FunctionLength {
  /** The line that its body opens on, from 1. */
  line: number;
  lineCount: number;
}

/** A brace opens a function's body if a parameter list (and what may follow one) stands before it;
 * control flow and type bodies look else. `function_lengths_test` holds the cases. */
const AFTER_PARAMETERS = [
  "(?:const|noexcept|override|final|mutable)\\b",
  "->\\s*[\\w:<>,&*\\s]+", // A C++ lambda's result.
  ":[^;{}=()]+(?:\\([^;{}]*\\)[^;{}()=]*)?", // TypeScript's result, or a constructor's members.
].join("|");
const BODY = new RegExp(`(?:\\)|=>)(?:\\s*(?:${AFTER_PARAMETERS}))*\\s*$`);
const CONTROL =
  /\b(?:if|for|while|switch|catch|else|do|namespace|struct|class|enum|interface)\b(?:[^;{}(]|\([^{}]*\))*$/;

/** @param code Text without comments and strings. */
export function functionLengths(code: string): FunctionLength[] {
  const found: FunctionLength[] = [];
  const open: Array<{ line: number; isFunction: boolean }> = [];
  let line = 1;
  let depth = 0;
  let statement = "";
  for (const character of code) {
    if (character === "\n") ++line;
    if (character === "(") ++depth;
    if (character === ")") depth = Math.max(0, depth - 1);
    if (character === "{") {
      const head = statement.slice(-400);
      open.push({ line, isFunction: BODY.test(head) && !CONTROL.test(head) });
      statement = "";
    } else if (character === "}") {
      const block = open.pop();
      if (block?.isFunction) found.push({ line: block.line, lineCount: line - block.line + 1 });
      statement = "";
    } else if (character === ";" && depth === 0) {
      statement = "";
    } else {
      statement += character;
    }
  }
  return found;
}
