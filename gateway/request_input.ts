/** The `input` of a Responses request, as the messages of a chat. Pure. @module */
import { Fields } from "./fields.ts";
import { type ChatMessage, type MadeCall, readContent } from "./request_messages.ts";

/** @param fields Of a body that was checked. */
export function readInput(fields: Fields): ChatMessage[] {
  const value = fields.get("input");
  if (typeof value === "string") return [{ role: "user", content: value }];
  const messages: ChatMessage[] = [];
  for (const item of fields.array("input")!) addItem(messages, Fields.of(item));
  return messages;
}

/** A message, a call or its output, as a client writes it or an earlier answer of ours had it. */
function addItem(messages: ChatMessage[], item: Fields): void {
  switch (item.string("type") ?? "message") {
    case "message": {
      const role = item.requiredString("role") as ChatMessage["role"] | "developer";
      const content = readContent(item, "content");
      messages.push({ role: role === "developer" ? "system" : role, content });
      break;
    }
    case "function_call":
      addCall(messages, item);
      break;
    case "function_call_output":
      messages.push({
        role: "tool",
        content: readContent(item, "output"),
        toolCallId: item.requiredString("call_id"),
      });
  }
}

/** Calls side by side, and the text before them, are one message of the assistant. */
function addCall(messages: ChatMessage[], item: Fields): void {
  const call: MadeCall = {
    id: item.requiredString("call_id"),
    name: item.requiredString("name"),
    arguments: item.requiredString("arguments"),
  };
  const last = messages.at(-1);
  if (last?.role === "assistant") (last.toolCalls ??= []).push(call);
  else messages.push({ role: "assistant", content: "", toolCalls: [call] });
}
