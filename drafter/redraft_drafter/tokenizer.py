"""The model's own tokenizer and chat template, from what the engine read out of the GGUF file."""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from .exact_zip import exact_zip

_CONTROL, _USER_DEFINED = 3, 4  # GGUF token types.
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class TokenizerError(Exception):
    """A tokenizer or a template that the trainer cannot use."""


class ChatTokenizer:
    """Renders chat prompts and encodes them."""

    def __init__(self, described: dict[str, Any]) -> None:
        """
        Args:
            described: `Engine.tokenizer()`.

        Raises:
            TokenizerError: If the model's tokenizer is of a kind that is not byte-level BPE.
        """
        if described.get("model") != "gpt2":
            raise TokenizerError(
                f"Cannot train for a tokenizer of kind {described.get('model')!r}, only gpt2 (BPE)"
            )
        tokens, kinds = described["tokens"], described["token_types"]
        merges = [tuple(merge.split(" ", 1)) for merge in described["merges"]]
        vocab = {token: index for index, token in enumerate(tokens)}
        self._tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        self._tokenizer.pre_tokenizer = _pre_tokenizer(str(described.get("pre")))
        self._tokenizer.decoder = decoders.ByteLevel()
        special = [
            AddedToken(token, special=kind == _CONTROL, normalized=False)
            for token, kind in exact_zip(tokens, kinds)
            if kind in (_CONTROL, _USER_DEFINED)
        ]
        self._tokenizer.add_special_tokens(special)
        self._special = {
            name: tokens[described[f"{name}_id"]] if described.get(f"{name}_id") is not None else ""
            for name in ("bos_token", "eos_token")
        }
        self.eos_token: int | None = described.get("eos_token_id")
        text = described.get("chat_template")
        if not text:
            raise TokenizerError("Cannot train: the model has no chat template")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self._template = environment.from_string(text)

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text; special tokens in it count as such."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: list[int]) -> str:
        """Text of ids, special tokens left out."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def render(self, prompt: str) -> str:
        """A user's message as the model gets it, up to the assistant's header."""
        messages = [{"role": "user", "content": prompt}]
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=True, **self._special
            )
        except TemplateError as error:
            raise TokenizerError(f"Cannot render the chat template: {error}") from error

    def user_header(self) -> str:
        """All that comes before a user's message: what a Magpie prompt is sampled from."""
        marker = "\x1fprompt\x1f"
        return self.render(marker).split(marker, 1)[0]


def _pre_tokenizer(name: str) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    patterns: dict[str, list[Any]] = {
        "gpt-2": [pre_tokenizers.Split(Regex(_GPT2), "isolated")],
        "smollm": [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(_GPT2), "isolated"),
        ],
        "llama-bpe": [pre_tokenizers.Split(Regex(_LLAMA3), "isolated")],
        "default": [pre_tokenizers.Split(Regex(_GPT2), "isolated")],
    }
    if name not in patterns:
        raise TokenizerError(f"Cannot train for pre-tokenizer {name!r}, only {', '.join(patterns)}")
    return pre_tokenizers.Sequence([*patterns[name], byte_level])
