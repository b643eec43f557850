/** A model as the gateway knows it: its card, and the text work done for it. Pure types. @module */
import type { ModelCard } from "../proto/frame_types.ts";
import type { ChatMessage } from "./request_messages.ts";
import type { FunctionTool } from "./request_tools.ts";

/** Text for tokens as they come, never splitting a character. */
export interface TokenText {
  push(tokens: Uint32Array): string;
  flush(): string;
  /** Its memory is wasm's, which no garbage collector sees. */
  free(): void;
}

export interface ServedModel {
  readonly card: ModelCard;
  /** Tokens of a prompt block, in which prefixes are hashed and cached. */
  readonly pageTokens: number;
  /** Tokens that end an answer. */
  readonly stopTokens: readonly number[];
  /** @throws {ApiError} 400 if the template refuses the messages. */
  renderAndEncode(messages: readonly ChatMessage[], tools?: readonly FunctionTool[]): Uint32Array;
  encodeText(text: string): Uint32Array;
  tokenText(): TokenText;
  /** `undefined` for an id outside the vocabulary. */
  tokenBytes(token: number): Uint8Array | undefined;
  hashBlocks(tokens: Uint32Array, salt: string): BigUint64Array;
}

/** Makes a model of what a node sent: its card and its tokenizer's JSON.
 * @throws {Error} If the JSON is not a tokenizer that we can run. */
export type LoadModel = (
  card: ModelCard,
  pageTokens: number,
  tokenizerJson: Uint8Array,
) => ServedModel | Promise<ServedModel>;
