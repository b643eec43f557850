/** The `messages` of a chat request. Pure. @module */
import { MESSAGES_MAX, TEXT_CHARS_MAX } from "./api_schema.ts";
import { invalidType, invalidValue, missing, unsupported } from "./errors.ts";
import { checkString, Fields } from "./fields.ts";

const PARTS_MAX = 4096;
const CALLS_MAX = 128;

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

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"] as const;
const MESSAGE_FIELDS: ReadonlySet<string> = new Set([
  "role",
  "content",
  // What an assistant's message carries when a client sends an answer of ours back.
  "name",
  "refusal",
  "annotations",
  "audio",
  "tool_calls",
  "function_call",
  "tool_call_id",
  "parsed",
]);
const CALL_FIELDS: ReadonlySet<string> = new Set(["id", "type", "function", "index"]);

/** @throws {ApiError} 400, naming the message and the field. */
export function readMessages(fields: Fields): ChatMessage[] {
  const items = fields.array("messages", MESSAGES_MAX);
  if (items === undefined) throw missing("messages");
  if (items.length === 0) throw invalidValue("messages", "'messages' is empty.");
  return items.map((item, i) => readMessage(Fields.of(item, `messages[${i}]`)));
}

function readMessage(message: Fields): ChatMessage {
  message.refuseUnknown(MESSAGE_FIELDS);
  const role = message.oneOf("role", ROLES);
  if (role === undefined) throw missing(message.name("role"));
  if (role === "function") {
    throw unsupported(message.name("role"), "The role 'function' is not supported: use 'tool'.");
  }
  for (const field of ["function_call", "audio"]) {
    if (!message.has(field)) continue;
    throw unsupported(message.name(field), `'${message.name(field)}' is not supported.`);
  }
  message.string("name", 256);
  const toolCalls = role === "assistant" ? readCalls(message) : [];
  refuseElsewhere(message, "tool_calls", role === "assistant");
  refuseElsewhere(message, "tool_call_id", role === "tool");
  const hasContent = toolCalls.length === 0 || message.has("content");
  const content = hasContent ? readContent(message) : "";
  if (role === "tool") {
    return { role, content, toolCallId: message.requiredString("tool_call_id", 256) };
  }
  const calls = toolCalls.length === 0 ? {} : { toolCalls };
  return { role: role === "developer" ? "system" : role, content, ...calls };
}

function refuseElsewhere(message: Fields, field: string, isInPlace: boolean): void {
  const value = message.get(field);
  if (isInPlace || value === undefined || (Array.isArray(value) && value.length === 0)) return;
  const name = message.name(field);
  throw invalidValue(name, `'${name}' is not allowed in a message of this role.`);
}

function readCalls(message: Fields): MadeCall[] {
  const items = message.array("tool_calls", CALLS_MAX) ?? [];
  return items.map((item, i) => {
    const call = Fields.of(item, `${message.name("tool_calls")}[${i}]`);
    call.refuseUnknown(CALL_FIELDS);
    if ((call.string("type", 64) ?? "function") !== "function") {
      throw unsupported(call.name("type"), "Only calls of type 'function' are supported.");
    }
    const body = call.object("function");
    if (body === undefined) throw missing(call.name("function"));
    return {
      id: call.requiredString("id", 256),
      name: body.requiredString("name", 256),
      arguments: body.requiredString("arguments", TEXT_CHARS_MAX),
    };
  });
}

/** A string, or text parts, which are joined as they stand. */
function readContent(message: Fields): string {
  const value = message.get("content");
  const name = message.name("content");
  if (value === undefined) throw missing(name);
  if (typeof value === "string") return checkString(value, name, TEXT_CHARS_MAX);
  if (!Array.isArray(value)) throw invalidType(name, "a string or an array of parts");
  let text = "";
  message.array("content", PARTS_MAX)!.forEach((item, i) => {
    const part = Fields.of(item, `${name}[${i}]`);
    const type = part.requiredString("type", 64);
    if (type !== "text") {
      throw unsupported(part.name("type"), "Only content parts of type 'text' are supported.");
    }
    text += part.requiredString("text", TEXT_CHARS_MAX);
  });
  return text;
}
