"""Makes sentence_piece_vectors.json: a small SentencePiece vocabulary and the ids that its own
library gives for some texts.

    pip install sentencepiece==0.2.3
    python make_sentence_piece_vectors.py TEXT_FILE > sentence_piece_vectors.json

The committed ones are of 600 answers of the training corpus. The settings are Llama 2's: BPE,
byte fallback, digits apart, a space before the text, no other
normalization. The vocabulary is in the form of `redraft_tokenizer` of the C ABI.
"""

import io
import json
import random
import sys

import sentencepiece

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

TEXTS = [
    "Hello, world!",
    "What is the capital of France?",
    "  leading and trailing  ",
    "a  b   c    d\t\te\n\nf\r\n",
    "1234 3.14 2024-05-17",
    "def f(x):\n    return x + 1\n",
    "naïve café — “quoted” 你好 🙂",
    "the the the then there therefore",
    "aaaaaaaaaaaaaaaaaaaa",
    "<0x41> <s> </s> <unk> ▁",
]


def main():
    text = open(sys.argv[1], encoding="utf-8").read()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=1000,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(processor.get_piece_size())

    def kind(i):
        if processor.is_unknown(i):
            return UNKNOWN
        if processor.is_control(i):
            return CONTROL
        return BYTE if processor.is_byte(i) else NORMAL

    source = random.Random(4711)
    alphabet = list("abcdeiorst  \n.,'-019éж中🙂") + ["the", " a", "ing", "er"]
    texts = TEXTS + ["".join(source.choices(alphabet, k=source.randint(1, 30))) for _ in range(300)]
    vectors = {
        "tokenizer": {
            "model": "llama",
            "pre": "default",
            "tokens": [processor.id_to_piece(i) for i in ids],
            "token_types": [kind(i) for i in ids],
            "scores": [processor.get_score(i) for i in ids],
            "merges": None,
            "bos_token_id": processor.bos_id(),
            "eos_token_id": processor.eos_id(),
            "unknown_token_id": processor.unk_id(),
            "padding_token_id": None,
            "add_bos_token": True,
            "add_eos_token": False,
            "add_space_prefix": True,
            "chat_template": None,
        },
        "vectors": [[text, processor.encode(text)] for text in texts],
    }
    print(json.dumps(vectors, separators=(",", ":"), ensure_ascii=False).replace("],[", "],\n["))


if __name__ == "__main__":
    main()
