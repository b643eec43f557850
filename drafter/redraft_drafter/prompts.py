"""Prompts: read, checked against what must never be trained on, or written by the model itself."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINE_BYTES_MAX = 1 << 20


class PromptError(Exception):
    """A prompt file that cannot be used."""


@dataclass(frozen=True)
class Prompt:
    """A user's message."""

    text: str
    source: str


def prompt_hash(text: str) -> int:
    """64 bits of SHA-256 of the text, blind to case and white space, so that a prompt pasted with
    other line breaks is still the same one."""
    plain = " ".join(text.split()).lower()
    return int.from_bytes(hashlib.sha256(plain.encode()).digest()[:8], "big")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as handle:
            for number, line in enumerate(
                iter(lambda: handle.readline(LINE_BYTES_MAX + 1), b""), 1
            ):
                if len(line) > LINE_BYTES_MAX:
                    raise PromptError(
                        f"Cannot read {path}, line {number}: over {LINE_BYTES_MAX} bytes"
                    )
                if not line.strip():
                    continue
                try:
                    fields = json.loads(line)
                except ValueError as error:
                    raise PromptError(f"Cannot read {path}, line {number}: {error}") from error
                if not isinstance(fields, dict):
                    raise PromptError(f"Cannot read {path}, line {number}: not a JSON object")
                yield number, fields
    except (OSError, EOFError) as error:
        raise PromptError(f"Cannot read {path}: {error}") from error


def read_prompts(path: Path) -> list[Prompt]:
    """Reads JSON lines {"prompt": text, "source": name, optional}.

    Raises:
        PromptError: If a line is not such, or there is none.
    """
    prompts = []
    for number, fields in _lines(path):
        text = fields.get("prompt")
        if not isinstance(text, str) or not text.strip():
            raise PromptError(
                f'Cannot read {path}, line {number}: field "prompt" is missing or empty'
            )
        prompts.append(Prompt(text, str(fields.get("source", path.stem))))
    if not prompts:
        raise PromptError(f"Cannot use {path}: it has no prompts")
    return prompts


@dataclass(frozen=True)
class Answer:
    """A prompt and the target's tokens, the end token included where it came."""

    prompt: Prompt
    temperature: float
    tokens: tuple[int, ...]


def read_answers(path: Path, vocab_size: int) -> list[Answer]:
    """Reads JSON lines {"prompt", "tokens", optional "temperature" and "source"}.

    Raises:
        PromptError: If a line is not such, or a token is not one of the model's.
    """
    answers = []
    for number, fields in _lines(path):
        text, tokens = fields.get("prompt"), fields.get("tokens")
        if not isinstance(text, str) or not isinstance(tokens, list):
            raise PromptError(f'Cannot read {path}, line {number}: want "prompt" and "tokens"')
        if not all(isinstance(t, int) and 0 <= t < vocab_size for t in tokens):
            raise PromptError(f"Cannot read {path}, line {number}: a token is not of this model")
        answers.append(
            Answer(
                Prompt(text, str(fields.get("source", path.stem))),
                float(fields.get("temperature", 0.0)),
                tuple(tokens),
            )
        )
    return answers


def read_excluded(paths: Iterable[Path]) -> frozenset[int]:
    """Hashes of all texts in exclusion files: fields "prompt", and every turn of "turns".

    Raises:
        PromptError: If a file cannot be read or names no text: a guard that guards nothing.
    """
    hashes = set()
    for path in paths:
        before = len(hashes)
        for _, fields in _lines(path):
            texts = [fields.get("prompt"), *(fields.get("turns") or [])]
            hashes.update(prompt_hash(text) for text in texts if isinstance(text, str))
        if len(hashes) == before:
            raise PromptError(
                f'Cannot use {path} as an exclusion: no "prompt" and no "turns" in it'
            )
    return frozenset(hashes)


def refuse_excluded(prompts: Iterable[Prompt], excluded: frozenset[int], where: str) -> None:
    """Stops a run that would train on an evaluation prompt.

    Raises:
        PromptError: Naming the first such prompt. Dropping it in silence would hide that the
            rest of the file may be evaluation data too.
    """
    for number, prompt in enumerate(prompts, 1):
        if prompt_hash(prompt.text) in excluded:
            raise PromptError(
                f"Cannot train on {where}: prompt {number} is in an exclusion file: "
                f"{prompt.text[:60]!r}"
            )


def unique(prompts: Iterable[Prompt]) -> list[Prompt]:
    """The first of each prompt, in order."""
    seen: dict[int, Prompt] = {}
    for prompt in prompts:
        seen.setdefault(prompt_hash(prompt.text), prompt)
    return list(seen.values())
