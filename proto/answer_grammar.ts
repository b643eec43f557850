/** The form of an answer as it travels in a Submit: a JSON schema, or calls of tools. Pure.
 *
 * Calls are written as the Hermes models write them, which most open models have learnt:
 * `<tool_call>`, a JSON object with the name and the arguments, `</tool_call>`, each on its line.
 * @module */
import { type Grammar, GRAMMAR_END, type Piece, SchemaError } from "./grammar_builder.ts";
import { compileSchema, SchemaCompiler } from "./schema_grammar.ts";

export const CALL_OPEN = "<tool_call>";
export const CALL_CLOSE = "</tool_call>";

export interface CalledTool {
  name: string;
  /** Of the arguments; `null`: it takes none. */
  parameters: unknown;
  /** The schema is kept or refused; otherwise as much of it is kept as a grammar can. */
  strict: boolean;
}

/** No JSON schema that the gateway takes has this keyword, so the two cannot be confused. */
export interface ToolForm {
  tool_calls: {
    tools: CalledTool[];
    calls_max: number;
    /** What may stand instead of calls: nothing where absent, any text, or a value by a schema. */
    content?: { kind: "text" } | { kind: "schema"; schema: unknown };
  };
}

/** @param form What `JSON.parse` made of a Submit's `schema`.
 * @throws {SchemaError} */
export function compileAnswer(form: unknown): Grammar {
  return isToolForm(form) ? compileTools(form) : compileSchema(form);
}

function isToolForm(form: unknown): form is ToolForm {
  return typeof form === "object" && form !== null && "tool_calls" in form;
}

/** @throws {SchemaError} Its path begins with the tool's place: `[0].properties`. */
export function compileTools({ tool_calls: { tools, calls_max, content } }: ToolForm): Grammar {
  const builder = new SchemaCompiler();
  const call = builder.alt(...tools.map((tool, i) => bodyOf(builder, tool, i)));
  const next = builder.seq(builder.literal(`\n${CALL_OPEN}`), call);
  const calls = builder.seq(call, builder.repeat(next, 0, calls_max - 1));
  const opened = builder.seq(builder.literal(CALL_OPEN), calls);
  if (content === undefined) return builder.grammar(opened);
  if (content.kind === "text") return builder.grammar(textThen(builder, calls));
  return builder.grammar(builder.alt(builder.whole(content.schema, "content"), opened));
}

/** One call after its opening. */
function bodyOf(builder: SchemaCompiler, tool: CalledTool, index: number): Piece {
  const name = JSON.stringify(tool.name);
  return builder.seq(
    builder.literal(`\n{"name": ${name}, "arguments": `),
    argumentsOf(builder, tool, `[${index}]`),
    builder.literal(`}\n${CALL_CLOSE}`),
  );
}

function argumentsOf(builder: SchemaCompiler, tool: CalledTool, scope: string): Piece {
  if (tool.parameters === null) return builder.literal("{}");
  try {
    return builder.whole(tool.parameters, scope, !tool.strict);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    if (tool.strict) throw new SchemaError(scope + error.path, error.message);
    return builder.whole({ type: "object" }, `${scope} any`);
  }
}

/** Any text, in which an opening begins calls. Its first byte comes nowhere else in it, so that a
 * mismatch leaves nothing matched, or that byte alone. */
function textThen(builder: SchemaCompiler, calls: Piece): Piece {
  return (next) => {
    const marks = [...new TextEncoder().encode(CALL_OPEN)];
    const [first] = marks;
    const states = marks.map(() => {
      const split = { kind: "split" as const, next: [GRAMMAR_END] };
      return { split, at: builder.add(split) };
    });
    marks.forEach((mark, matched) => {
      const { split } = states[matched]!;
      const isLast = matched === marks.length - 1;
      const bytes = (low: number, high: number, to: number) => {
        if (low <= high) split.next.push(builder.add({ kind: "bytes", low, high, next: to }));
      };
      const [low, high] = [Math.min(mark, first!), Math.max(mark, first!)];
      const start = states[0]!.at;
      bytes(0, low - 1, start);
      bytes(low + 1, high - 1, start);
      bytes(high + 1, 255, start);
      bytes(mark, mark, isLast ? calls(next) : states[matched + 1]!.at);
      if (mark !== first) bytes(first!, first!, states[1]!.at);
      split.next[0] = next;
    });
    return states[0]!.at;
  };
}
