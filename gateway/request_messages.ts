/** The `messages` of a chat request. Pure. @module */
import { MESSAGES_MAX, TEXT_CHARS_MAX } from "./api_schema.ts";
import { invalidType, invalidValue, missing, unsupported } from "./errors.ts";
import { checkString, Fields } from "./fields.ts";

const PARTS_MAX = 4096;

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
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
]);

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
  if (role === "tool" || role === "function") {
    throw unsupported(message.name("role"), `The role '${role}' is not supported.`);
  }
  for (const field of ["tool_calls", "function_call", "tool_call_id", "audio"]) {
    const value = message.get(field);
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    throw unsupported(message.name(field), `'${message.name(field)}' is not supported.`);
  }
  message.string("name", 256);
  const content = readContent(message);
  return { role: role === "developer" ? "system" : role, content };
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
