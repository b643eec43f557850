"""Makes tokenizer_vectors.json: token ids from Hugging Face's Python tokenizers, for the tests.

    pip install tokenizers==0.23.3 gguf
    python make_tokenizer_vectors.py MODEL.gguf > tokenizer_vectors.json

An independent path to the ids: the stable 0.23 code with its regular-expression engine, built here
of the GGUF file's vocabulary. "smollm" is the model's own pre-tokenizer; the others cut the same
vocabulary another way, which is enough to check where they cut.
"""

import json
import random
import sys

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

CONTROL = 3
WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+{0}|[^\r\n\\p{{L}}\\p{{N}}]?" + UPPER
CASED += "+" + LOWER + "*{0}|"
SLASH_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(pattern):
    return [Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]


def cased(suffix):
    return CASED.replace("{0}", suffix).replace("{{", "{").replace("}}", "}")


PRE_TOKENIZERS = {
    "smollm": [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)],
    "gpt-2": [ByteLevel(add_prefix_space=False)],
    "llama-bpe": split(WORD + r"\p{N}{1,3}" + REST),
    "qwen2": split(WORD + r"\p{N}" + REST),
    "tekken": split(cased("") + r"\p{N}" + SLASH_REST),
    "gpt-4o": split(cased(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?") + r"\p{N}{1,3}" + SLASH_REST),
}
IGNORE_MERGES = {"llama-bpe", "tekken"}

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "What is the capital of France?",
    "  leading and trailing  ",
    "a  b   c    d\t\te\n\nf\r\n\r\n  g \n",
    "It's we're I'LL they'd can't SHE'S o'clock 'tis",
    "0 1 12 123 1234 3.14159 1,000,000 2024-05-17 0x1F ½ ² ⅷ ٣٤ 七",
    'def f(x: int) -> str:\n    return f"{x!r:>10}" # comment\n\n\nclass A:\n\tpass\n',
    "for (let i = 0; i < n; ++i) { a[i] = b[i] ?? c?.d; } // ok\n",
    "SELECT * FROM t WHERE a >= 'x''y' AND b != \"z\";",
    "<html><body class='x'>&nbsp;</body></html>",
    "Ünïcödé naïve café e\u0301 Å ﬁ ß ẞ İstanbul",
    "你好，世界。日本語のテキスト、カタカナ。한국어 문장",
    "Привет мир! Γειά σου Κόσμε! שלום עולם مرحبا",
    "بالعالم नमस्ते दुनिया สวัสดี",
    "🙂👍🏽👨‍👩‍👧‍👦🇩🇪 ❤️ ☃ 𝔘𝔫𝔦 𐍈",
    "zero\u200bwidth\u200djoin \u00a0nbsp \u2003em \u3000ideographic\ufeffbom",
    "control \x00 \x01 \x07 \x1b[31m \x7f \x85 end",
    "lost bytes \x04 \x13 \U000fffff end",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "                                                                x",
    "\n" * 20 + "y",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org ../x/y.tar.gz",
    "$x^2 + \\frac{1}{2} \\alpha_{i}$ ≤ ∑ ∫ → ∞ €£¥",
    "CamelCaseWord snake_case_word SCREAMING_CASE kebab-case-word iPhone",
    "......!!!???---***===///\\\\\\___###@@@",
]
SPECIAL_TEXTS = [
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|im_end|><|im_end|>",
    "a<|im_end|>b <|endoftext|> c<repo_name>d",
    "<|im_start|",
    "<|im_<|im_end|>end|>",
]


def random_texts(count):
    """Short strings of characters that pre-tokenizers treat unlike each other."""
    source = random.Random(4711)
    alphabet = list("abzABZ019 \t\n\r'!/.,-_ßéÑЖжΩ中あ١²\u0301\u00a0\u2009🙂")
    alphabet += ["'s", "'LL", "  "]
    return ["".join(source.choices(alphabet, k=source.randint(1, 24))) for _ in range(count)]


def main():
    reader = gguf.GGUFReader(sys.argv[1])

    def field(name):
        return reader.fields[f"tokenizer.ggml.{name}"].contents()

    tokens = field("tokens")
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in field("merges")]
    control = [t for t, kind in zip(tokens, field("token_type")) if kind == CONTROL]

    vectors = {}
    random_part = random_texts(300)
    for pre, pre_tokenizers in PRE_TOKENIZERS.items():
        model = models.BPE(vocab, merges, ignore_merges=pre in IGNORE_MERGES)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = Sequence(pre_tokenizers)
        added = [AddedToken(token, special=True, normalized=False) for token in control]
        tokenizer.add_special_tokens(added)
        encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        vectors[pre] = [[text, encode(text)] for text in TEXTS + random_part]
        if pre == "smollm":
            vectors["special"] = [[text, encode(text)] for text in SPECIAL_TEXTS]
    lines = []
    for name, pairs in vectors.items():
        body = ",\n".join("  " + json.dumps(pair, separators=(",", ":")) for pair in pairs)
        lines.append(f" {json.dumps(name)}: [\n{body}\n ]")
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
