"""The store and its split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DIGEST
from redraft_drafter.dataset import (
    DataError,
    draft_vocabulary,
    is_held_out,
    open_split,
    read_shard,
    shard_folders,
)
from redraft_drafter.prompts import prompt_hash


def test_split_is_by_prompt_and_leaks_nothing(store: Path) -> None:
    train = open_split(store, DIGEST, held_percent=20, held=False)
    held = open_split(store, DIGEST, held_percent=20, held=True)
    ours, theirs = ({e.prompt_hash for e in s.examples} for s in (train, held))
    assert ours and theirs and not ours & theirs
    total = sum(e.count for f in shard_folders(store) for e in read_shard(f, DIGEST).examples)
    assert train.rows + held.rows == total


def test_split_ignores_case_and_white_space() -> None:
    assert prompt_hash("Write  a\nhaiku ") == prompt_hash("write a haiku")
    assert prompt_hash("Write a haiku") != prompt_hash("Write a haiku.")


def test_held_share_is_near_what_was_asked() -> None:
    share = np.mean([is_held_out(prompt_hash(str(n)), 5.0) for n in range(20_000)])
    assert abs(share - 0.05) < 0.005


def test_a_smaller_share_is_part_of_a_larger_one(store: Path) -> None:
    def prompts(share: float) -> set[int]:
        split = open_split(store, DIGEST, held_percent=5, held=False, share=share)
        return {example.prompt_hash for example in split.examples}

    quarter, half, whole = prompts(0.25), prompts(0.5), prompts(1.0)
    assert quarter < half < whole
    assert 0.3 * len(whole) < len(half) < 0.7 * len(whole)


def test_take_gathers_over_shards(store: Path) -> None:
    split = open_split(store, DIGEST, held_percent=20, held=False)
    rows = np.random.default_rng(0).permutation(split.rows)
    got = split.take("token", rows)
    want = np.concatenate(
        [
            np.asarray(shard.token[e.first : e.first + e.count])
            for shard in split.shards
            for e in shard.examples
            if not is_held_out(e.prompt_hash, 20)
        ]
    )
    np.testing.assert_array_equal(got, want[rows])


def test_draft_vocabulary_is_the_likeliest_and_rises(store: Path) -> None:
    split = open_split(store, DIGEST, held_percent=20, held=False)
    few, covered = draft_vocabulary(split, 20, 200)
    many, all_covered = draft_vocabulary(split, 500, 200)
    assert len(few) == 20 and np.all(np.diff(few) > 0) and len(many) == 200
    assert 0.1 < covered < all_covered == pytest.approx(1.0)


def test_shard_of_another_model_is_refused(store: Path) -> None:
    with pytest.raises(DataError, match="states are of the model"):
        open_split(store, "cd" * 32, held_percent=20, held=True)


def test_half_written_shard_is_not_seen(store: Path) -> None:
    (store / "009.partial").mkdir()
    assert len(shard_folders(store)) == 2


@pytest.mark.parametrize("damage", ["missing", "short", "kind", "json", "rows"])
def test_damaged_shard_is_refused_by_name(store: Path, damage: str) -> None:
    folder = shard_folders(store)[0]
    if damage == "missing":
        (folder / "token.npy").unlink()
    elif damage == "short":
        (folder / "hidden.npy").write_bytes((folder / "hidden.npy").read_bytes()[:-7])
    elif damage == "kind":
        np.save(folder / "token.npy", np.load(folder / "token.npy").astype(np.int64))
    elif damage == "json":
        (folder / "shard.json").write_text("{")
    else:
        fields = json.loads((folder / "shard.json").read_text())
        fields["rows"] += 1
        (folder / "shard.json").write_text(json.dumps(fields))
    with pytest.raises(DataError, match="000"):
        read_shard(folder, DIGEST)


def test_empty_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training answers"):
        open_split(tmp_path, DIGEST, held_percent=5, held=False)
