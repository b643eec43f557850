/** Bodies of `/tokenize` and `/detokenize`, with vLLM's fields. Pure. @module */
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "./api_schema.ts";
import { checkBody } from "./check_schema.ts";
import { Fields } from "./fields.ts";
import { type ChatMessage, readMessages } from "./request_messages.ts";
import { type FunctionTool, readToolList } from "./request_tools.ts";

export interface TokenizeRequest {
  /** `undefined`: the only one. */
  model: string | undefined;
  /** As a prompt of `/v1/completions`, or as the messages of a chat. */
  prompt: { kind: "text"; text: string; addBos: boolean } | {
    kind: "messages";
    messages: ChatMessage[];
    tools: FunctionTool[];
    addGenerationPrompt: boolean;
  };
  wantTexts: boolean;
}

export interface DetokenizeRequest {
  /** `undefined`: the only one. */
  model: string | undefined;
  tokens: Uint32Array;
}

/** @throws {ApiError} 400, naming the field. */
export function readTokenizeRequest(body: unknown): TokenizeRequest {
  checkBody(TOKENIZE_REQUEST, body);
  const fields = Fields.of(body);
  const model = fields.string("model");
  const wantTexts = fields.boolean("return_token_strs") ?? false;
  const text = fields.string("prompt");
  if (text !== undefined) {
    const addBos = fields.boolean("add_special_tokens") ?? true;
    return { model, wantTexts, prompt: { kind: "text", text, addBos } };
  }
  const tools = readToolList(fields, "chat");
  const addGenerationPrompt = fields.boolean("add_generation_prompt") ?? true;
  const messages = readMessages(fields);
  return { model, wantTexts, prompt: { kind: "messages", messages, tools, addGenerationPrompt } };
}

/** @throws {ApiError} 400, naming the field. */
export function readDetokenizeRequest(body: unknown): DetokenizeRequest {
  checkBody(DETOKENIZE_REQUEST, body);
  const fields = Fields.of(body);
  const tokens = new Uint32Array(fields.array("tokens") as number[]);
  return { model: fields.string("model"), tokens };
}
