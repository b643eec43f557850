"""Judges a head on the held-out split: nats and agreement per horizon, expected tokens per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .dataset import Split
from .tree import NumpyHead, accepted_counts, grow

PACKED_SIZES = (4, 6, 8, 12, 16, 24, 32)
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class HorizonFigures:
    """Teacher-forced figures of the horizons, [horizons] each."""

    nats: tuple[float, ...]
    """Cross-entropy against the target's distribution, renormalised over the draft vocabulary."""
    agreement: tuple[float, ...]
    """Share of positions where the head's best token is the target's."""


@dataclass(frozen=True)
class TreeFigures:
    """Greedy tokens per step, the bonus token included."""

    packed_sizes: tuple[int, ...]
    tokens_per_step: tuple[float, ...]
    """All tokens over all steps."""
    answers: int
    tokens: int


def horizon_figures(
    head: NumpyHead, embedding: np.ndarray, split: Split, horizons: int, rows_max: int = 8192
) -> HorizonFigures:
    """Figures over evenly spread rows of a split."""
    index = np.full(len(embedding), -1, np.int64)
    index[head.draft_vocab] = np.arange(len(head.draft_vocab))
    last = split.rows - horizons
    starts = np.unique(np.linspace(0, last - 1, min(rows_max, last)).astype(np.int64))
    nats, hits, seen = np.zeros(horizons), np.zeros(horizons), np.zeros(horizons)
    mass_seen = np.zeros(horizons)
    for begin in range(0, len(starts), _ROWS_AT_ONCE):
        rows = starts[begin : begin + _ROWS_AT_ONCE]
        state, part = head.begin(split.take("hidden", rows).astype(np.float32))
        for k in range(horizons):
            x = embedding[split.take("token", rows + k)].astype(np.float32)
            state = head.advance(state, x)
            logprobs = head.logprobs(part, state)
            valid = split.row_example[rows] == split.row_example[rows + k + 1]
            ids = split.take("label_ids", rows + k + 1)
            columns = index[ids]
            probs = split.take("label_probs", rows + k + 1).astype(np.float64)
            probs = np.where((columns >= 0) & valid[:, None], probs, 0.0)
            gathered = np.take_along_axis(logprobs, np.maximum(columns, 0), axis=1)
            nats[k] -= (probs * gathered).sum()
            mass_seen[k] += probs.sum()
            best = head.draft_vocab[logprobs.argmax(axis=1)]
            hits[k] += ((best == ids[:, 0]) & valid).sum()
            seen[k] += valid.sum()
    return HorizonFigures(
        tuple(float(x) for x in nats / np.maximum(mass_seen, 1e-9)),
        tuple(float(x) for x in hits / np.maximum(seen, 1)),
    )


def tree_figures(
    head: NumpyHead,
    embedding: np.ndarray,
    split: Split,
    *,
    beam_width: int = 8,
    beam_length: int = 6,
    packed_sizes: Sequence[int] = PACKED_SIZES,
    answers_max: int = 64,
) -> TreeFigures:
    """Walks the greedy answers of a split, a step at a time, with a tree drafted at each.

    The trees of all positions are drafted once; each packed size then walks them in its own way.

    Raises:
        ValueError: If the split has no greedy answer.
    """
    greedy = [(e, rows) for e, rows in split.answers() if e.temperature == 0.0][:answers_max]
    if not greedy:
        raise ValueError("Cannot evaluate: the held-out split has no greedy answer")
    steps = np.zeros(len(packed_sizes), np.int64)
    tokens = 0
    for _, rows in greedy:
        truth = split.take("token", rows).astype(np.int64)
        padded = np.concatenate([truth, np.full(beam_length, -1)])
        follow = np.stack([padded[k : k + len(rows)] for k in range(1, beam_length)], axis=1)
        counts = np.concatenate(
            [
                accepted_counts(
                    grow(
                        head,
                        embedding,
                        split.take("hidden", rows[b : b + _ROWS_AT_ONCE]),
                        truth[b : b + _ROWS_AT_ONCE],
                        beam_width,
                        beam_length,
                    ),
                    follow[b : b + _ROWS_AT_ONCE],
                    packed_sizes,
                )
                for b in range(0, len(rows), _ROWS_AT_ONCE)
            ]
        )
        tokens += len(rows) - 1  # The context phase gives the first.
        for size in range(len(packed_sizes)):
            steps[size] += walk_steps(counts[:, size])
    per_step = tokens / np.maximum(steps, 1)
    return TreeFigures(tuple(packed_sizes), tuple(float(x) for x in per_step), len(greedy), tokens)


def walk_steps(accepted: np.ndarray) -> int:
    """Steps that an answer takes after the context phase, given the drafts accepted at each start.

    Args:
        accepted: [tokens]: at place t, with token t as root, how many of those after it.
    """
    at, steps = 0, 0
    while at < len(accepted) - 1:
        at += int(accepted[at]) + 1
        steps += 1
    return steps
