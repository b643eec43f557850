/** Tools, calls and results as plain text, for a model whose chat template does not know them: the
 * words that the Hermes models were trained on, and Qwen's after them. Pure. @module */
import { CALL_CLOSE, CALL_OPEN } from "../proto/answer_grammar.ts";
import type { ChatMessage } from "./request_messages.ts";
import type { FunctionTool } from "./request_tools.ts";

/** A tool as chat templates expect it. */
export function toolJson(tool: FunctionTool): {
  type: string;
  function: Record<string, unknown>;
} {
  const { name, description, parameters } = tool;
  const empty = { type: "object", properties: {} };
  const said = description === undefined ? {} : { description };
  return { type: "function", function: { name, ...said, parameters: parameters ?? empty } };
}

function toolPrompt(tools: readonly FunctionTool[]): string {
  const list = tools.map((tool) => JSON.stringify(toolJson(tool))).join("\n");
  return `# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
${list}
</tools>

For each function call, return a json object with function name and arguments within ${CALL_OPEN}\
${CALL_CLOSE} XML tags:
${CALL_OPEN}
{"name": <function-name>, "arguments": <args-json-object>}
${CALL_CLOSE}`;
}

/** Messages that any template can render: tools stand in the system message, calls in the
 * assistant's text, and the results that follow one another in one message of the user. */
export function plainMessages(
  messages: readonly ChatMessage[],
  tools: readonly FunctionTool[],
): ChatMessage[] {
  const plain: ChatMessage[] = [];
  let isResult = false;
  for (const message of messages) {
    const content = textOf(message);
    if (message.role === "tool" && isResult) plain.at(-1)!.content += `\n${content}`;
    else plain.push({ role: message.role === "tool" ? "user" : message.role, content });
    isResult = message.role === "tool";
  }
  if (tools.length === 0) return plain;
  const prompt = toolPrompt(tools);
  const [first] = plain;
  if (first?.role === "system") first.content += `\n\n${prompt}`;
  else plain.unshift({ role: "system", content: prompt });
  return plain;
}

function textOf({ role, content, toolCalls = [] }: ChatMessage): string {
  if (role === "tool") return `<tool_response>\n${content}\n</tool_response>`;
  const calls = toolCalls.map(({ name, arguments: text }) =>
    `${CALL_OPEN}\n{"name": ${JSON.stringify(name)}, "arguments": ${text}}\n${CALL_CLOSE}`
  );
  return (content === "" ? calls : [content, ...calls]).join("\n");
}
