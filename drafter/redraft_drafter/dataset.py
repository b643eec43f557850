"""Rows of training data on disk: hidden states, tokens and the target's distributions.

A row is one answer token: the target's hidden state that it was drawn from, the token, and the
best `label_count` probabilities of the distribution. A store is a folder of shards; a shard is a
folder that appears whole (written beside, then renamed), so a killed run leaves no half shard.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABEL_COUNT = 64
_ARRAYS = {"hidden": "<f2", "token": "<i4", "label_ids": "<i4", "label_probs": "<f2"}


class DataError(Exception):
    """Training data on disk that cannot be used."""


@dataclass(frozen=True)
class Example:
    """One answer in a shard: rows [first, first + count)."""

    first: int
    count: int
    prompt_hash: int
    """The 64-bit hash that decides the split (see `prompts.prompt_hash`)."""
    temperature: float
    source: str


@dataclass(frozen=True)
class Shard:
    """Arrays of a shard, mapped from disk."""

    hidden: np.ndarray
    """[rows, hidden_size] f16"""
    token: np.ndarray
    """[rows] i32"""
    label_ids: np.ndarray
    """[rows, LABEL_COUNT] i32, falling probability"""
    label_probs: np.ndarray
    """[rows, LABEL_COUNT] f16"""
    examples: tuple[Example, ...]


def write_shard(
    folder: Path, arrays: dict[str, np.ndarray], examples: list[Example], target_digest: str
) -> None:
    """Writes a shard so that it is there whole or not at all.

    Args:
        arrays: The four arrays of `Shard`, rows in the order of `examples`.
    """
    rows = sum(example.count for example in examples)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, kind in _ARRAYS.items():
        if len(arrays[name]) != rows:
            raise ValueError(
                f"Cannot write shard: {name} has {len(arrays[name])} rows, want {rows}"
            )
        np.save(partial / f"{name}.npy", np.ascontiguousarray(arrays[name].astype(kind)))
    described = {
        "target_digest": target_digest,
        "rows": rows,
        "examples": [
            [e.first, e.count, f"{e.prompt_hash:016x}", e.temperature, e.source] for e in examples
        ],
    }
    (partial / "shard.json").write_text(json.dumps(described))
    os.replace(partial, folder)


def read_shard(folder: Path, target_digest: str) -> Shard:
    """Maps a shard.

    Raises:
        DataError: If it is damaged or of another target model.
    """
    try:
        described = json.loads((folder / "shard.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        rows = int(described["rows"])
        examples = tuple(
            Example(int(first), int(count), int(hashed, 16), float(temperature), str(source))
            for first, count, hashed, temperature, source in described["examples"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"Cannot read shard {folder}: {error}; delete the folder") from error
    if described["target_digest"] != target_digest:
        raise DataError(
            f"Cannot use shard {folder}: its states are of the model {described['target_digest'][:12]}…, "
            f"want {target_digest[:12]}…; choose another --work folder"
        )
    for name, kind in _ARRAYS.items():
        if len(arrays[name]) != rows or arrays[name].dtype != np.dtype(kind):
            raise DataError(
                f"Cannot read shard {folder}: {name} is {arrays[name].dtype} of {len(arrays[name])} "
                f"rows, want {kind} of {rows}; delete the folder"
            )
    if sum(example.count for example in examples) != rows:
        raise DataError(f"Cannot read shard {folder}: its examples do not add up to {rows} rows")
    return Shard(examples=examples, **arrays)


def shard_folders(store: Path) -> list[Path]:
    """The complete shards of a store, in the order of their names."""
    if not store.is_dir():
        return []
    return sorted(p for p in store.iterdir() if p.is_dir() and not p.name.endswith(".partial"))


@dataclass(frozen=True)
class Split:
    """Rows of one side of the split, as if the shards were one array."""

    shards: tuple[Shard, ...]
    row_shard: np.ndarray
    """[rows] i16: a row's shard"""
    row_index: np.ndarray
    """[rows] i32: its row in that shard"""
    row_example: np.ndarray
    """[rows] i32: running number of its answer"""
    examples: tuple[Example, ...]

    @property
    def rows(self) -> int:
        """Answer tokens."""
        return len(self.row_shard)

    def take(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Gathers rows of one array, [len(rows), ...]."""
        first = getattr(self.shards[0], name)
        out = np.empty((len(rows), *first.shape[1:]), first.dtype)
        shard_of = self.row_shard[rows]
        for shard in np.unique(shard_of):
            at = np.flatnonzero(shard_of == shard)
            out[at] = getattr(self.shards[shard], name)[self.row_index[rows[at]]]
        return out

    def answers(self) -> Iterator[tuple[Example, np.ndarray]]:
        """Every answer with its rows' numbers in this split, [count]."""
        start = 0
        for example in self.examples:
            yield example, np.arange(start, start + example.count)
            start += example.count


def is_held_out(prompt_hash: int, held_percent: float) -> bool:
    """Whether a prompt's answers are kept for evaluation: by prompt, never by position."""
    return prompt_hash % 10_000 < held_percent * 100


def open_split(
    store: Path, target_digest: str, *, held_percent: float, held: bool, share: float = 1.0
) -> Split:
    """Opens one side of the split of a store.

    Args:
        share: Of the prompts on that side, by their hash: smaller shares are parts of larger ones.

    Raises:
        DataError: If no row is on that side.
    """
    shards = tuple(read_shard(folder, target_digest) for folder in shard_folders(store))
    chosen: list[Example] = []
    pieces: list[tuple[int, int, int]] = []
    for number, shard in enumerate(shards):
        for example in shard.examples:
            if is_held_out(example.prompt_hash, held_percent) != held or example.count < 2:
                continue
            if example.prompt_hash // 10_000 % 10_000 >= share * 10_000:
                continue
            pieces.append((number, example.first, example.count))
            chosen.append(example)
    if not chosen:
        side = "held-out" if held else "training"
        raise DataError(
            f"Cannot open {store}: no {side} answers in its {len(shards)} shards; raise --tokens, "
            f"or {'raise' if held else 'lower'} --held"
        )
    counts = np.array([count for _, _, count in pieces])
    return Split(
        shards=shards,
        row_shard=np.repeat(np.array([s for s, _, _ in pieces], np.int16), counts),
        row_index=np.concatenate([np.arange(f, f + c, dtype=np.int32) for _, f, c in pieces]),
        row_example=np.repeat(np.arange(len(pieces), dtype=np.int32), counts),
        examples=tuple(chosen),
    )


def draft_vocabulary(split: Split, size: int, target_vocab_size: int) -> tuple[np.ndarray, float]:
    """The tokens that the target is most likely to draw, by summed probability.

    Returns:
        Ascending token ids [size] i32, and the share of the probability that they cover.
    """
    mass = np.zeros(target_vocab_size, np.float64)
    for start in range(0, split.rows, 65_536):
        rows = np.arange(start, min(start + 65_536, split.rows))
        ids = split.take("label_ids", rows).ravel()
        probs = split.take("label_probs", rows).ravel()
        mass += np.bincount(ids, probs.astype(np.float64), target_vocab_size)
    size = min(size, target_vocab_size)
    chosen = np.sort(np.argsort(-mass, kind="stable")[:size]).astype(np.int32)
    return chosen, float(mass[chosen].sum() / max(mass.sum(), 1e-9))
