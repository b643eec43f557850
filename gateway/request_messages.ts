/** The `messages` of a chat request. Pure. @module */
import { Fields } from "./fields.ts";

/** A call that an assistant made, as a later request brings it back. */
export interface MadeCall {
  id: string;
  name: string;
  /** As the model wrote it: mostly JSON. */
  arguments: string;
}

export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  /** Of an assistant. */
  toolCalls?: MadeCall[];
  /** Of a tool: the call that it answers. */
  toolCallId?: string;
}

/** @param fields Of a body that was checked. */
export function readMessages(fields: Fields): ChatMessage[] {
  return fields.array("messages")!.map((item) => readMessage(Fields.of(item)));
}

function readMessage(message: Fields): ChatMessage {
  const role = message.requiredString("role") as ChatMessage["role"] | "developer";
  const content = message.has("content") ? readContent(message, "content") : "";
  if (role === "developer") return { role: "system", content };
  if (role === "tool") return { role, content, toolCallId: message.requiredString("tool_call_id") };
  const toolCalls = (message.array("tool_calls") ?? []).map((item) => readCall(Fields.of(item)));
  return { role, content, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}

function readCall(call: Fields): MadeCall {
  const body = call.object("function")!;
  return {
    id: call.requiredString("id"),
    name: body.requiredString("name"),
    arguments: body.requiredString("arguments"),
  };
}

/** A string, or text parts, which are joined as they stand. */
export function readContent(message: Fields, field: string): string {
  const value = message.get(field);
  if (typeof value === "string") return value;
  return message.array(field)!.map((part) => Fields.of(part).requiredString("text")).join("");
}
