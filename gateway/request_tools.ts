/** The tools of a request and how it wants them called. Pure. @module */
import { type CalledTool, compileTools, type ToolForm } from "../proto/answer_grammar.ts";
import { LIMITS } from "../proto/limits.ts";
import { SchemaError } from "../proto/schema_grammar.ts";
import { invalidValue } from "./errors.ts";
import { Fields } from "./fields.ts";

/** Calls of one answer where they may stand side by side. */
export const CALLS_MAX = 8;

export interface FunctionTool {
  name: string;
  description?: string;
  /** A JSON schema; none where it takes no arguments. */
  parameters?: Record<string, unknown>;
  strict: boolean;
}

export interface ToolUse {
  tools: FunctionTool[];
  /** `named`: the one that `name` names. */
  choice: "auto" | "required" | "named";
  name?: string;
  callsMax: number;
}

/** Where a route keeps what it says of a function: `responses` beside the type, `chat` under
 * `function`. */
export type ToolStyle = "chat" | "responses";

/** @returns Nothing where no tool may be called.
 * @throws {ApiError} 400, naming the field. */
export function readTools(fields: Fields, style: ToolStyle): ToolUse | undefined {
  const tools = readToolList(fields, style);
  const isParallel = fields.boolean("parallel_tool_calls") ?? true;
  const choice = readChoice(fields, style);
  if (tools.length === 0 || choice.choice === "none") return undefined;
  const { name } = choice;
  if (name !== undefined && !tools.some((tool) => tool.name === name)) {
    throw invalidValue("tool_choice", `'tool_choice' names '${name}', which is not in 'tools'.`);
  }
  const callsMax = isParallel && name === undefined ? CALLS_MAX : 1;
  return { tools, choice: choice.choice, ...(name === undefined ? {} : { name }), callsMax };
}

/** @throws {ApiError} 400, naming the field. */
export function readToolList(fields: Fields, style: ToolStyle): FunctionTool[] {
  const tools = (fields.array("tools") ?? []).map((item) => readTool(Fields.of(item), style));
  const names = new Set<string>();
  tools.forEach(({ name }, i) => {
    if (!names.has(name)) return names.add(name);
    throw invalidValue(`tools[${i}]`, `'tools' has two functions '${name}'.`);
  });
  return tools;
}

function readTool(tool: Fields, style: ToolStyle): FunctionTool {
  const body = style === "chat" ? tool.object("function")! : tool;
  const description = body.string("description");
  const parameters = body.get("parameters");
  return {
    name: body.requiredString("name"),
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters: parameters as Record<string, unknown> }),
    strict: body.boolean("strict") ?? false,
  };
}

interface Choice {
  choice: "none" | ToolUse["choice"];
  name?: string;
}

function readChoice(fields: Fields, style: ToolStyle): Choice {
  const value = fields.get("tool_choice") ?? "auto";
  if (typeof value === "string") return { choice: value as Choice["choice"] };
  const named = fields.object("tool_choice")!;
  const body = style === "chat" ? named.object("function")! : named;
  return { choice: "named", name: body.requiredString("name") };
}

/** The form that the node holds answers to; empty where they are free. Calls that are asked for are
 * always made, and those of a strict tool always right; else the model may err, as at OpenAI.
 * @param content The schema of `response_format`; empty where the text is free.
 * @throws {ApiError} 400, naming the tool. */
export function toolForm(use: ToolUse, content: string, style: ToolStyle): string {
  const isForced = use.choice !== "auto";
  const isStrict = use.tools.some((tool) => tool.strict);
  if (!isForced && !isStrict && content === "") return "";
  const called = use.tools.filter(({ name }) => use.name === undefined || name === use.name);
  const tools: CalledTool[] = called.map(({ name, parameters, strict }) => ({
    name,
    parameters: parameters ?? null,
    strict,
  }));
  const kept = content === ""
    ? { kind: "text" as const }
    : { kind: "schema" as const, schema: JSON.parse(content) };
  const form: ToolForm = {
    tool_calls: { tools, calls_max: use.callsMax, ...(isForced ? {} : { content: kept }) },
  };
  return checkForm(form, use, style);
}

function checkForm(form: ToolForm, use: ToolUse, style: ToolStyle): string {
  const text = JSON.stringify(form);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > LIMITS.schemaBytesMax) {
    const most = LIMITS.schemaBytesMax;
    throw invalidValue("tools", `'tools' have ${bytes} bytes, at most ${most} are allowed.`);
  }
  try {
    compileTools(form);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const [, index, path] = /^\[(\d+)\](.*)$/s.exec(error.path) ?? [];
    if (index === undefined) throw invalidValue("tools", `Invalid 'tools': ${error.message}.`);
    const place = use.tools.findIndex(({ name }) =>
      name === form.tool_calls.tools[Number(index)]!.name
    );
    const at = `tools[${place}].${style === "chat" ? "function." : ""}parameters${path}`;
    throw invalidValue(at, `Invalid schema at '${at}': ${error.message}.`);
  }
  return text;
}
