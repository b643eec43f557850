import assert from "node:assert/strict";
import process from "node:process";
import fc from "fast-check";
import { PromptTooLongError } from "../../gateway/served_model.ts";
import { ModelTokenizer, TokenizerError } from "../../gateway/tokenizer.ts";
import { testTokenizerJson } from "../support/test_model.ts";

const VECTORS: Record<string, [text: string, ids: number[]][]> = JSON.parse(
  await Deno.readTextFile(new URL("golden/tokenizer_vectors.json", import.meta.url)),
);
const PLAIN = { parseSpecial: false };
const KEEP = { skipSpecial: false };
const json = await testTokenizerJson();
const tokenizer = new ModelTokenizer(json);
const fields = JSON.parse(new TextDecoder().decode(json));

function withFields(changes: Record<string, unknown>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...fields, ...changes }));
}

/** What decoding is defined by: the bytes of all tokens, read as UTF-8 with replacement. */
function decodeBytes(ids: Uint32Array): string {
  const bytes = [...ids].flatMap((id) => [...tokenizer.tokenBytes(id) ?? []]);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

for (const pre of Object.keys(VECTORS).filter((name) => name !== "special")) {
  Deno.test(`encode() gives the ids of Hugging Face's tokenizers under ${pre}`, () => {
    const subject = pre === fields.pre ? tokenizer : new ModelTokenizer(withFields({ pre }));
    for (const [text, ids] of VECTORS[pre]!) {
      assert.deepEqual([...subject.encode(text, PLAIN)], ids, JSON.stringify(text));
    }
  });
}

Deno.test("a SentencePiece vocabulary gives the ids of SentencePiece's own library", async () => {
  const url = new URL("golden/sentence_piece_vectors.json", import.meta.url);
  const golden = JSON.parse(await Deno.readTextFile(url));
  const subject = new ModelTokenizer(new TextEncoder().encode(JSON.stringify(golden.tokenizer)));
  for (const [text, ids] of golden.vectors) {
    const encoded = subject.encode(text, PLAIN);
    assert.deepEqual([...encoded], ids, JSON.stringify(text));
    assert.equal(subject.decode(encoded, KEEP), ` ${text.replaceAll("▁", " ")}`);
  }
  assert.deepEqual([...subject.encodePrompt("")], [subject.bosId]);
});

Deno.test("encode() parses special tokens only if asked", () => {
  for (const [text, ids] of VECTORS["special"]!) {
    assert.deepEqual([...tokenizer.encode(text, { parseSpecial: true })], ids, text);
    const plain = tokenizer.encode(text, PLAIN);
    assert(!plain.some((id) => tokenizer.specialIds.has(id)), text);
    assert.equal(tokenizer.decode(plain, { skipSpecial: true }), text);
  }
});

Deno.test("decode() gives back what encode() read", () => {
  // Not every byte has a token in this vocabulary, so characters of ordinary text alone.
  const text = fc.string({ unit: fc.constantFrom(..." \n\tabcXYZ019.,'\"éßЖ中あ한🙂👍🏽\u0301") });
  fc.assert(fc.property(text, (text) => {
    assert.equal(tokenizer.decode(tokenizer.encode(text, PLAIN), KEEP), text);
  }));
});

Deno.test("encode() takes any string, lone surrogates included", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.boolean(), (text, parseSpecial) => {
    for (const id of tokenizer.encode(text, { parseSpecial })) assert(id < tokenizer.vocabSize);
  }));
  const replaced = tokenizer.encode("a\ufffdb", PLAIN);
  assert.deepEqual(tokenizer.encode("a\ud800b", PLAIN), replaced);
});

Deno.test("detokenizer() joins to decode(), whatever the ids and however they are cut", () => {
  const id = fc.oneof(
    fc.nat(tokenizer.vocabSize - 1),
    fc.nat(400), // Special tokens and single bytes: where characters get torn.
    fc.constantFrom(...tokenizer.encode("🙂é中", PLAIN)),
  );
  const chunks = fc.array(fc.array(id, { maxLength: 5 }), { maxLength: 12 });
  fc.assert(
    fc.property(chunks, fc.boolean(), (chunks, skipSpecial) => {
      const stream = tokenizer.detokenizer({ skipSpecial });
      let text = "";
      for (const chunk of chunks) text += stream.push(Uint32Array.from(chunk));
      text += stream.flush();
      stream.free();
      const ids = Uint32Array.from(chunks.flat());
      assert.equal(text, tokenizer.decode(ids, { skipSpecial }));
      if (!skipSpecial) assert.equal(text, decodeBytes(ids));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("detokenizer() holds back a character until it is whole", () => {
  const ids = tokenizer.encode("👨‍👩‍👧", PLAIN);
  const stream = tokenizer.detokenizer(KEEP);
  let text = "";
  for (const id of ids) {
    const part = stream.push(Uint32Array.of(id));
    assert(!part.includes("\ufffd"));
    text += part;
  }
  assert.equal(text + stream.flush(), "👨‍👩‍👧");
  stream.push(ids.subarray(0, 1));
  assert.equal(stream.flush(), "\ufffd");
  assert.equal(stream.flush(), "");
  stream.free();
});

Deno.test("tokenBytes() knows the ids of the vocabulary and no others", () => {
  assert.equal(tokenizer.vocabSize, 49_152);
  const [space] = tokenizer.encode(" ", PLAIN);
  assert.deepEqual(tokenizer.tokenBytes(space!), Uint8Array.of(0x20));
  for (const id of [-1, 0.5, NaN, 49_152, 2 ** 32, 2 ** 53]) {
    assert.equal(tokenizer.tokenBytes(id), undefined);
  }
});

Deno.test("a tokenizer tells its special tokens", () => {
  assert.equal(tokenizer.bosId, 1);
  assert.equal(tokenizer.eosId, 2);
  assert.deepEqual([...tokenizer.endIds], [2, 0]);
  assert.equal(tokenizer.specialIds.size, 17);
  assert.equal(tokenizer.idsBySpecialText.get("<|im_end|>"), 2);
  assert.equal(tokenizer.templateTokens.eos_token, "<|im_end|>");
});

Deno.test("encodePrompt() puts the BOS token first where the model wants it, once", () => {
  assert.equal(tokenizer.addBos, false);
  const plain = [...tokenizer.encodePrompt("Hi")];
  const other = new ModelTokenizer(withFields({ add_bos_token: true }));
  assert.deepEqual([...other.encodePrompt("Hi")], [1, ...plain]);
  assert.deepEqual([...other.encodePrompt("")], [1]);
  assert.deepEqual([...other.withBos(Uint32Array.of(1, 5))], [1, 5]);
});

Deno.test("a bad tokenizer is a TokenizerError that names what is wrong", () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /invalid JSON/],
    [json.subarray(0, json.length >> 1), /invalid JSON/],
    [Uint8Array.of(0x7b, 0xff), /byte 1 is not UTF-8/],
    [withFields({ model: "bert" }), /model "bert" is neither "gpt2" nor "llama"/],
    [withFields({ pre: "mystery" }), /pre-tokenizer "mystery" is not supported/],
    [withFields({ pre: null }), /names no pre-tokenizer/],
    [withFields({ model: "llama" }), /without `scores`/],
    [withFields({ tokens: fields.tokens.slice(1) }), /49152 `token_types` for 49151 tokens/],
    [withFields({ merges: ["q qqqq"] }), /merge 0 names "qqqq"/],
    [withFields({ merges: [7] }), /`merges\[0\]` is not a string/],
    [withFields({ tokens: [...fields.tokens.slice(1), "Ġthe"] }), /are both "Ġthe"/],
    [withFields({ eos_token_id: 49_152 }), /`eos_token_id` is not one of the 49152/],
    [withFields({ eos_token_id: -1 }), /`eos_token_id` is not/],
    [withFields({ add_bos_token: 1 }), /`add_bos_token` is not a boolean/],
    [withFields({ chat_template: 1 }), /`chat_template` is not a string/],
  ];
  for (const [bytes, message] of cases) {
    assert.throws(() => new ModelTokenizer(bytes), (error) => {
      assert(error instanceof TokenizerError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("encodeBounded() counts no more of a text than shows that it is too long", () => {
  const kinds = ["word ", " ", "a", "\u00e9\u4e2d", "x = 1;\n", "\u{1F30A}"];
  for (const kind of kinds) {
    for (const length of [100, 20_000, 400_000]) {
      const text = kind.repeat(length / kind.length);
      const ids = tokenizer.encode(text, PLAIN);
      for (const tokensMax of [1000, ids.length - 1, ids.length, ids.length + 1]) {
        let countLeast = 0;
        try {
          assert.deepEqual(tokenizer.encodeBounded(text, PLAIN, tokensMax), ids);
        } catch (error) {
          assert(error instanceof PromptTooLongError, String(error));
          countLeast = error.countLeast;
          assert(countLeast > tokensMax && countLeast <= ids.length, `${kind}: ${countLeast}`);
        }
        assert(tokensMax < ids.length || countLeast === 0);
      }
    }
  }
  const before = cpuMs();
  for (const kind of kinds) {
    const text = kind.repeat(7_000_000 / kind.length);
    assert.throws(() => tokenizer.encodeBounded(text, PLAIN, 8192), PromptTooLongError);
  }
  assert(cpuMs() - before < 2500, `${cpuMs() - before} ms`);
});

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

Deno.test("no JSON of a tokenizer's shape traps", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.constantFrom("a", "b", "ab", "a b", "<0x41>"),
  );
  const shape = fc.record({
    model: fc.constantFrom("gpt2", "llama"),
    pre: fc.constantFrom("smollm", "llama-bpe", "gpt-4o", null),
    tokens: fc.array(text, { maxLength: 12 }),
    token_types: fc.option(fc.array(fc.nat(7), { maxLength: 12 })),
    merges: fc.option(fc.array(text, { maxLength: 6 })),
    scores: fc.option(fc.array(fc.double(), { maxLength: 12 })),
  });
  fc.assert(
    fc.property(shape, fc.string(), (shape, prompt) => {
      let subject: ModelTokenizer;
      try {
        subject = new ModelTokenizer(new TextEncoder().encode(JSON.stringify(shape)));
      } catch (error) {
        assert(error instanceof TokenizerError, String(error));
        return;
      }
      subject.encode(prompt, { parseSpecial: true });
    }),
    { numRuns: 2_000 },
  );
});
