/** The `input` of a Responses request, as the messages of a chat. Pure. @module */
import { MESSAGES_MAX, TEXT_CHARS_MAX } from "./api_schema.ts";
import { invalidType, invalidValue, missing, unsupported } from "./errors.ts";
import { checkString, Fields } from "./fields.ts";
import type { ChatMessage, MadeCall } from "./request_messages.ts";

const PARTS_MAX = 4096;
const ROLES = ["system", "developer", "user", "assistant"] as const;
const MESSAGE_FIELDS: ReadonlySet<string> = new Set(["type", "id", "status", "role", "content"]);
const CALL_FIELDS: ReadonlySet<string> = new Set([
  ...["type", "id", "status", "call_id", "name", "arguments", "parsed_arguments"],
]);
const OUTPUT_FIELDS: ReadonlySet<string> = new Set(["type", "id", "status", "call_id", "output"]);

/** @throws {ApiError} 400, naming the item and the field. */
export function readInput(fields: Fields): ChatMessage[] {
  const value = fields.get("input");
  if (value === undefined) throw missing("input");
  if (typeof value === "string") {
    return [{ role: "user", content: checkString(value, "input", TEXT_CHARS_MAX) }];
  }
  if (!Array.isArray(value)) throw invalidType("input", "a string or an array");
  const items = fields.array("input", MESSAGES_MAX)!;
  if (items.length === 0) throw invalidValue("input", "'input' is empty.");
  const messages: ChatMessage[] = [];
  items.forEach((item, i) => addItem(messages, Fields.of(item, `input[${i}]`)));
  return messages;
}

/** A message, a call or its output, as a client writes it or an earlier answer of ours had it. */
function addItem(messages: ChatMessage[], item: Fields): void {
  const type = item.string("type", 64) ?? "message";
  switch (type) {
    case "message":
      messages.push(readMessage(item));
      break;
    case "function_call":
      addCall(messages, item);
      break;
    case "function_call_output":
      item.refuseUnknown(OUTPUT_FIELDS);
      messages.push({
        role: "tool",
        content: readContent(item, "output"),
        toolCallId: item.requiredString("call_id", 256),
      });
      break;
    default: {
      const known = "'message', 'function_call' and 'function_call_output'";
      throw unsupported(item.name("type"), `Only input items of type ${known} are supported.`);
    }
  }
}

/** Calls side by side, and the text before them, are one message of the assistant. */
function addCall(messages: ChatMessage[], item: Fields): void {
  item.refuseUnknown(CALL_FIELDS);
  const call: MadeCall = {
    id: item.requiredString("call_id", 256),
    name: item.requiredString("name", 256),
    arguments: item.requiredString("arguments", TEXT_CHARS_MAX),
  };
  const last = messages.at(-1);
  if (last?.role === "assistant") (last.toolCalls ??= []).push(call);
  else messages.push({ role: "assistant", content: "", toolCalls: [call] });
}

function readMessage(item: Fields): ChatMessage {
  item.refuseUnknown(MESSAGE_FIELDS);
  const role = item.oneOf("role", ROLES);
  if (role === undefined) throw missing(item.name("role"));
  const content = readContent(item, "content");
  return { role: role === "developer" ? "system" : role, content };
}

function readContent(item: Fields, field: string): string {
  const value = item.get(field);
  const name = item.name(field);
  if (value === undefined) throw missing(name);
  return typeof value === "string"
    ? checkString(value, name, TEXT_CHARS_MAX)
    : readParts(item, field);
}

function readParts(item: Fields, field: string): string {
  let text = "";
  item.array(field, PARTS_MAX)!.forEach((value, i) => {
    const part = Fields.of(value, `${item.name(field)}[${i}]`);
    const type = part.requiredString("type", 64);
    if (type !== "input_text" && type !== "output_text") {
      const message = "Only content parts of type 'input_text' and 'output_text' are supported.";
      throw unsupported(part.name("type"), message);
    }
    text += part.requiredString("text", TEXT_CHARS_MAX);
  });
  return text;
}
