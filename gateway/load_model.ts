/** Makes a served model of a node's card and tokenizer. @module */
import { blockSeed } from "../proto/block_seed.ts";
import type { ModelCard } from "../proto/frame_types.ts";
import { ChatTemplate, ChatTemplateError } from "./chat_template.ts";
import { badRequest } from "./errors.ts";
import { hashPromptBlocks } from "./prompt_blocks.ts";
import type { ChatMessage } from "./request_messages.ts";
import type { RenderOptions, ServedModel } from "./served_model.ts";
import { ModelTokenizer } from "./tokenizer.ts";

/** @throws {TokenizerError} If the JSON is no tokenizer that we can run. */
export function loadModel(
  card: ModelCard,
  pageTokens: number,
  tokenizerJson: Uint8Array,
): ServedModel {
  const tokenizer = new ModelTokenizer(tokenizerJson);
  const template = readTemplate(tokenizer);
  return {
    card,
    pageTokens,
    stopTokens: tokenizer.endIds,
    renderAndEncode(messages, options = {}) {
      if (template instanceof ChatTemplateError) {
        throw badRequest("chat_template_missing", `Model '${card.id}': ${template.message}.`);
      }
      return render(card.id, template, messages, options);
    },
    encodeText: (text, { tokensMax, addBos = true } = {}) => {
      if (addBos) return tokenizer.encodePrompt(text, tokensMax);
      return tokenizer.encodeBounded(text, { parseSpecial: false }, tokensMax);
    },
    tokenText: () => tokenizer.detokenizer({ skipSpecial: true }),
    tokenBytes: (token) => tokenizer.tokenBytes(token),
    hashBlocks: (tokens, salt) =>
      hashPromptBlocks(tokens, { pageTokens, seed: blockSeed(card.digest, salt) }),
  };
}

/** A model without a usable template still completes plain text, so its error waits for a chat. */
function readTemplate(tokenizer: ModelTokenizer): ChatTemplate | ChatTemplateError {
  try {
    return new ChatTemplate(tokenizer);
  } catch (error) {
    if (error instanceof ChatTemplateError) return error;
    throw error;
  }
}

function render(
  id: string,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): Uint32Array {
  try {
    return template.renderAndEncode(messages, options);
  } catch (error) {
    // RangeError: the messages leave no private-use character to protect special tokens with.
    if (error instanceof ChatTemplateError || error instanceof RangeError) {
      throw badRequest("chat_template_failed", `Model '${id}': ${error.message}.`);
    }
    throw error;
  }
}
