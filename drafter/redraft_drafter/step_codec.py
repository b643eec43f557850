"""Plans and results of `redraft_step` as words; the layout is that of kernels/include/redraft.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PLAN_MAGIC, RESULT_MAGIC, VERSION = 0x4E4C5052, 0x53455252, 3
FLAG_RESET, FLAG_SAMPLE = 1, 2
HEADER_WORDS, RECORD_WORDS = 8, 14
RESULT_HEADER_WORDS, RESULT_RECORD_WORDS = 12, 10


@dataclass(frozen=True)
class Sampling:
    """How a sequence draws. Temperature 0 is greedy; the seed and the position decide the rest."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Record:
    """One sequence's part of a plan. Drafts nothing: generation for training is plain decoding."""

    slot: int
    computed_count: int
    tokens: Sequence[int] = ()
    """New context tokens; none in the generation phase."""
    sample: bool = True
    pages: Sequence[int] = ()
    """The slot's pages from its first on; sent with `reset`."""
    reset: Sampling | None = None
    prompt_count: int = 0


def encode_plan(step_id: int, records: Sequence[Record]) -> np.ndarray:
    """A plan, [words] u32."""
    parts: list[np.ndarray] = []
    for record in records:
        flags = (FLAG_RESET if record.reset else 0) | (FLAG_SAMPLE if record.sample else 0)
        sampling = np.zeros(0, "<u4")
        if record.reset:
            sampling = np.zeros(12, "<u4")
            floats = sampling.view("<f4")
            # temperature, top_k, top_p, min_p, three penalties, seed, logprobs, prompt, biases
            floats[0], sampling[1], floats[2] = (
                record.reset.temperature,
                record.reset.top_k,
                record.reset.top_p,
            )
            floats[4] = 1.0
            sampling[7] = record.reset.seed & 0xFFFFFFFF
            sampling[8] = record.reset.seed >> 32
            sampling[10] = record.prompt_count
        body = [np.asarray(record.tokens, "<u4"), np.asarray(record.pages, "<u4"), sampling]
        words = RECORD_WORDS + sum(len(part) for part in body)
        head = [4 * words, record.slot, flags, record.computed_count, len(record.tokens)]
        head += [0, len(record.pages), 0, 0, 0, 0, 0, 0, 0]
        parts += [np.array(head, "<u4"), *body]
    total = HEADER_WORDS + sum(len(part) for part in parts)
    header = [PLAN_MAGIC, VERSION, 4 * total, step_id, len(records), 0, 0, 0]
    return np.concatenate([np.array(header, "<u4"), *parts])


@dataclass(frozen=True)
class Gained:
    """What a sequence gained in a step."""

    slot: int
    computed_count: int
    tokens: tuple[int, ...]


def decode_result(words: np.ndarray) -> list[Gained]:
    """Reads a result, [words] u32.

    Raises:
        ValueError: If it is not one.
    """
    if len(words) < RESULT_HEADER_WORDS or int(words[0]) != RESULT_MAGIC or int(words[1]) != VERSION:
        raise ValueError("Cannot read result: wrong magic or version")
    gained, at = [], RESULT_HEADER_WORDS
    for _ in range(int(words[4])):
        count = int(words[at + 3])
        first = at + RESULT_RECORD_WORDS
        if first + count > len(words):
            raise ValueError("Cannot read result: a record passes its end")
        tokens = tuple(int(token) for token in words[first : first + count])
        gained.append(Gained(int(words[at + 1]), int(words[at + 2]), tokens))
        at += int(words[at]) // 4
    return gained


def result_words_max(records: int) -> int:
    """Words that the result of a plan of `records` sequences can take: one token each."""
    return RESULT_HEADER_WORDS + records * (RESULT_RECORD_WORDS + 64)
