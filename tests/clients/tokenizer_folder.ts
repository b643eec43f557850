/** The test model's tokenizer in the files that Hugging Face's libraries read: tools that count
 * tokens themselves would else fetch one. @module */
import { join } from "node:path";
import { testTokenizerJson } from "../support/test_model.ts";

const TYPE_CONTROL = 3;

export async function writeTokenizer(folder: string): Promise<void> {
  const { tokens, token_types, merges } = JSON.parse(
    new TextDecoder().decode(await testTokenizerJson()),
  );
  const control = tokens.flatMap((content: string, id: number) =>
    token_types[id] === TYPE_CONTROL ? [{ id, content, special: true, ...PLAIN }] : []
  );
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const tokenizer = {
    version: "1.0",
    added_tokens: control,
    normalizer: null,
    pre_tokenizer: { ...byteLevel, use_regex: true },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token: string, id: number) => [token, id])),
      merges,
    },
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  const config = { tokenizer_class: "PreTrainedTokenizerFast", eos_token: "<|im_end|>" };
  await Deno.writeTextFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false };
