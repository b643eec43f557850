/** Bodies of `/tokenize` and `/detokenize`, with vLLM's fields. Pure. @module */
import {
  DETOKENIZE_PROPERTIES,
  NAME_CHARS_MAX,
  namesOf,
  TEXT_CHARS_MAX,
  TOKENIZE_PROPERTIES,
  TOKENS_MAX,
} from "./api_schema.ts";
import { invalidType, invalidValue, missing } from "./errors.ts";
import { Fields } from "./fields.ts";
import { type ChatMessage, readMessages } from "./request_messages.ts";
import { type FunctionTool, readToolList } from "./request_tools.ts";

export interface TokenizeRequest {
  model: string;
  /** As a prompt of `/v1/completions`, or as the messages of a chat. */
  prompt: { kind: "text"; text: string } | {
    kind: "messages";
    messages: ChatMessage[];
    tools: FunctionTool[];
  };
  wantTexts: boolean;
}

export interface DetokenizeRequest {
  model: string;
  tokens: Uint32Array;
}

const TOKENIZE_FIELDS = namesOf(TOKENIZE_PROPERTIES);
const DETOKENIZE_FIELDS = namesOf(DETOKENIZE_PROPERTIES);

/** @throws {ApiError} 400, naming the field. */
export function readTokenizeRequest(body: unknown): TokenizeRequest {
  const fields = Fields.of(body);
  fields.refuseUnknown(TOKENIZE_FIELDS);
  const model = fields.requiredString("model", NAME_CHARS_MAX);
  const wantTexts = fields.boolean("return_token_strs") ?? false;
  const tools = readToolList(fields, "chat");
  if (fields.has("messages")) {
    const messages = readMessages(fields);
    if (fields.has("prompt")) {
      throw invalidValue("prompt", "'prompt' and 'messages' exclude each other.");
    }
    return { model, wantTexts, prompt: { kind: "messages", messages, tools } };
  }
  const text = fields.requiredString("prompt", TEXT_CHARS_MAX);
  if (tools.length > 0) throw invalidValue("tools", "'tools' needs 'messages'.");
  return { model, wantTexts, prompt: { kind: "text", text } };
}

/** @throws {ApiError} 400, naming the field. */
export function readDetokenizeRequest(body: unknown): DetokenizeRequest {
  const fields = Fields.of(body);
  fields.refuseUnknown(DETOKENIZE_FIELDS);
  const model = fields.requiredString("model", NAME_CHARS_MAX);
  const items = fields.array("tokens", TOKENS_MAX);
  if (items === undefined) throw missing("tokens");
  const tokens = new Uint32Array(items.length);
  items.forEach((token, i) => {
    if (typeof token !== "number" || !Number.isInteger(token) || token < 0 || token > 0xffffffff) {
      throw invalidType(`tokens[${i}]`, "a token id");
    }
    tokens[i] = token;
  });
  return { model, tokens };
}
