"""Answers of the target: plain generation through the engine with in-flight batching."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .engine import PAGE_TOKENS, Engine
from .step_codec import Record, Sampling, decode_result, encode_plan, result_words_max


@dataclass(frozen=True)
class Job:
    """One answer to make."""

    key: int
    """The caller's own number for it."""
    prompt: tuple[int, ...]
    """Token ids, template included."""
    tokens_max: int
    sampling: Sampling
    stop_tokens: frozenset[int] = frozenset()


@dataclass
class _Seat:
    """A slot's sequence."""

    job: Job
    computed: int = 0
    gained: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        last = self.gained[-1] if self.gained else -1
        return last in self.job.stop_tokens or len(self.gained) >= self.job.tokens_max


def slot_pages(prompt_tokens: int, tokens_max: int) -> int:
    """KV pages of a sequence; the newest token is uncomputed, one more is kept as room."""
    return -(-(prompt_tokens + tokens_max + 1) // PAGE_TOKENS)


def generate(
    engine: Engine, jobs: Iterable[Job], *, slots: int, pages_per_slot: int, chunk_max: int = 256
) -> Iterator[tuple[Job, list[int]]]:
    """Makes answers, `slots` at once, in the order in which they end.

    A finished sequence's slot goes to the next job in the same step, so that steps stay full: what
    a step costs hardly depends on its rows.

    Args:
        pages_per_slot: Slot i owns the pages [i * pages_per_slot, (i + 1) * pages_per_slot).
        chunk_max: Context tokens of one step over all sequences.

    Raises:
        ValueError: If a job does not fit its pages, or a step brings nobody further.
    """
    waiting = iter(jobs)
    seats: dict[int, _Seat] = {}
    step_id, exhausted = 0, False
    while True:
        while len(seats) < slots and not exhausted:
            job = next(waiting, None)
            if job is None:
                exhausted = True
                break
            if not job.prompt or slot_pages(len(job.prompt), job.tokens_max) > pages_per_slot:
                raise ValueError(
                    f"Cannot generate: a prompt of {len(job.prompt)} tokens and {job.tokens_max} "
                    f"new ones do not fit {pages_per_slot} pages"
                )
            seats[next(s for s in range(slots) if s not in seats)] = _Seat(job)
        if not seats:
            return
        records = _plan(seats, pages_per_slot, min(chunk_max, engine.rows_max - len(seats)))
        result = engine.step(encode_plan(step_id, records), result_words_max(len(records)))
        step_id = (step_id + 1) & 0xFFFFFFFF
        all_gained = decode_result(result)
        if all(seats[gained.slot].computed == gained.computed_count for gained in all_gained):
            raise ValueError("Cannot generate: the engine's step brought no sequence further")
        for gained in all_gained:
            seat = seats[gained.slot]
            seat.computed = gained.computed_count
            seat.gained.extend(gained.tokens)
            if seat.done:
                yield seat.job, seat.gained
                del seats[gained.slot]


def _plan(seats: dict[int, _Seat], pages_per_slot: int, context_rows: int) -> Sequence[Record]:
    records = []
    for slot in sorted(seats):
        seat = seats[slot]
        if seat.gained:
            records.append(Record(slot, seat.computed))
            continue
        chunk = seat.job.prompt[seat.computed : seat.computed + context_rows]
        if not chunk:
            continue  # Another sequence's context fills this step.
        context_rows -= len(chunk)
        first = seat.computed == 0
        records.append(
            Record(
                slot,
                seat.computed,
                chunk,
                sample=seat.computed + len(chunk) == len(seat.job.prompt),
                pages=range(slot * pages_per_slot, (slot + 1) * pages_per_slot) if first else (),
                reset=seat.job.sampling if first else None,
                prompt_count=len(seat.job.prompt),
            )
        )
    return records


def label_rows(logits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `count` tokens of each row and their probabilities.

    Args:
        logits: [rows, vocab_size].

    Returns:
        Ids [rows, count] i32 in falling probability, and probabilities [rows, count] f16.
    """
    ids = np.empty((len(logits), count), np.int32)
    probs = np.empty((len(logits), count), np.float16)
    for row, values in enumerate(logits):
        shifted = values - values.max()
        # Few tokens are near the best one, and picking from few is ten times as fast.
        near = np.flatnonzero(shifted > -8.0)
        if len(near) < count:
            near = np.argpartition(shifted, -count)[-count:]
            near.sort()
        best = near[np.argsort(-shifted[near], kind="stable")[:count]]
        ids[row] = best
        probs[row] = np.exp(shifted[best]) / np.exp(shifted).sum()
    return ids, probs
