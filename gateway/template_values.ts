/** Messages and tools as chat templates take them. Pure. @module */
import { CALL_OPEN } from "../proto/answer_grammar.ts";
import type { ChatMessage } from "./request_messages.ts";
import { toolJson } from "./tool_prompt.ts";

/** What a template is given: `tools` only where there are any. */
export interface Variables {
  messages: MessageValue[];
  tools?: { type: string; function: Record<string, unknown> }[];
}

/** In the form that Hugging Face's templates read. */
export interface MessageValue {
  role: string;
  content: string;
  tool_calls?: { id: string; type: string; function: { name: string; arguments: unknown } }[];
  tool_call_id?: string;
}

export function messageJson(message: ChatMessage): MessageValue {
  const { role, content, toolCalls, toolCallId } = message;
  const json: MessageValue = { role, content };
  if (toolCallId !== undefined) json.tool_call_id = toolCallId;
  if (toolCalls !== undefined) {
    json.tool_calls = toolCalls.map(({ id, name, arguments: text }) => ({
      id,
      type: "function",
      function: { name, arguments: parsed(text) },
    }));
  }
  return json;
}

/** Templates write arguments as JSON; what is none stays the text that it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether a template shows tools, calls and results, and calls as we read them: asked by having it
 * render some. */
export function knowsTools(
  source: string,
  render: (variables: Variables) => string,
): boolean {
  if (!source.includes(CALL_OPEN)) return false;
  const call = { id: "call_0", name: "probe_name", arguments: '{"probe_argument":"probe_value"}' };
  const messages: ChatMessage[] = [
    { role: "user", content: "probe_question" },
    { role: "assistant", content: "", toolCalls: [call] },
    { role: "tool", content: "probe_result", toolCallId: "call_0" },
  ];
  const tool = toolJson({ name: "probe_name", description: "probe_description", strict: false });
  try {
    const text = render({ messages: messages.map(messageJson), tools: [tool] });
    return [CALL_OPEN, "probe_description", "probe_value", "probe_result"].every((word) =>
      text.includes(word)
    );
  } catch {
    return false;
  }
}

/** Every text of a client that the template is given. */
export function textsOf(variables: Variables): string[] {
  const texts: string[] = [];
  mapTexts(variables, (text) => {
    texts.push(text);
    return text;
  });
  return texts;
}

/** The variables with every text of a client changed. Roles and types stay: templates compare them,
 * and no client makes its own. */
export function mapTexts(variables: Variables, change: (text: string) => string): Variables {
  const messages = variables.messages.map((message) => mapMessage(message, change));
  if (variables.tools === undefined) return { messages };
  const tools = variables.tools.map(({ type, function: body }) => ({
    type,
    function: mapDeep(body, change) as Record<string, unknown>,
  }));
  return { messages, tools };
}

function mapMessage(message: MessageValue, change: (text: string) => string): MessageValue {
  const { content, tool_calls, tool_call_id } = message;
  return {
    ...message,
    content: change(content),
    ...(tool_call_id === undefined ? {} : { tool_call_id: change(tool_call_id) }),
    ...(tool_calls === undefined ? {} : {
      tool_calls: tool_calls.map(({ id, type, function: called }) => ({
        id: change(id),
        type,
        function: {
          name: change(called.name),
          arguments: mapDeep(called.arguments, change, true),
        },
      })),
    }),
  };
}

/** @param withKeys The keys are the client's too. Of a tool they are not, on its first level. */
function mapDeep(value: unknown, change: (text: string) => string, withKeys = false): unknown {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => mapDeep(item, change, true));
  const entries = Object.entries(value).map(([key, item]) => [
    withKeys ? change(key) : key,
    mapDeep(item, change, true),
  ]);
  return Object.fromEntries(entries);
}
