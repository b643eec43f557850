"""A small target and its data, made from a seed: no engine and no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from redraft_drafter.dataset import LABEL_COUNT, Example, write_shard
from redraft_drafter.model import HeadConfig
from redraft_drafter.prompts import prompt_hash

DIGEST = "ab" * 32
VOCAB, HIDDEN = 200, 12


@pytest.fixture
def config() -> HeadConfig:
    return HeadConfig(
        hidden_size=HIDDEN,
        state_size=8,
        mlp_size=10,
        mlp_layers=2,
        draft_vocab_size=50,
        target_vocab_size=VOCAB,
        target_digest=DIGEST,
    )


@pytest.fixture
def embedding() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.3, (VOCAB, HIDDEN)).astype(np.float16)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """60 answers in two shards."""
    random = np.random.default_rng(2)
    folder = tmp_path / "states"
    for number in range(2):
        examples, first = [], 0
        for answer in range(30):
            count = int(random.integers(5, 40))
            hashed = prompt_hash(f"prompt {number} {answer}")
            examples.append(Example(first, count, hashed, 0.0 if answer % 2 else 0.8, "made up"))
            first += count
        ids = np.stack([random.permutation(VOCAB)[:LABEL_COUNT] for _ in range(first)])
        probs = np.sort(random.dirichlet(np.ones(LABEL_COUNT) * 0.2, first))[:, ::-1]
        arrays = {
            "hidden": random.normal(0, 1, (first, HIDDEN)),
            "token": ids[:, 0],
            "label_ids": ids,
            "label_probs": probs,
        }
        write_shard(folder / f"{number:03d}", arrays, examples, DIGEST)
    return folder
