"""Resuming, checkpoints and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from redraft_drafter.batches import Batches, WindowPlan
from redraft_drafter.dataset import open_split
from redraft_drafter.model import HeadConfig, init_params
from redraft_drafter.train import (
    CheckpointError,
    Progress,
    TrainOptions,
    TrainState,
    fit,
    load_checkpoint,
    new_state,
    options_fingerprint,
    windows_kept,
)

OPTIONS = TrainOptions(steps=8, warmup_steps=2, learning_rate=1e-2)
KEPT = (4, 4, 2)


def make(store: Path, config: HeadConfig, embedding: np.ndarray) -> tuple[Batches, TrainState]:
    split = open_split(store, config.target_digest, held_percent=10, held=False)
    plan = WindowPlan(windows=4, starts=8, horizons=3)
    state = new_state(init_params(0, config, embedding[::4]), OPTIONS)
    return Batches(split, plan, embedding, np.arange(0, 200, 4), 0.1), state


def run(batches: Batches, state: TrainState, path: Path, stop: int | None = None) -> TrainState:
    return fit(
        state,
        batches,
        OPTIONS,
        KEPT,
        checkpoint=path,
        fingerprint={"a": 1},
        report=lambda progress: None,
        checkpoint_steps=4,
        stop_step=stop,
    )


def test_resumed_run_equals_an_unbroken_one(
    store: Path, config: HeadConfig, embedding: np.ndarray, tmp_path: Path
) -> None:
    whole = run(*make(store, config, embedding), tmp_path / "whole")
    run(*make(store, config, embedding), tmp_path / "half", stop=4)
    batches, fresh = make(store, config, embedding)
    resumed = load_checkpoint(tmp_path / "half", fresh, {"a": 1})
    assert resumed.step == 4
    resumed = run(batches, resumed, tmp_path / "half")
    for name, value in whole.params.items():
        np.testing.assert_array_equal(value, resumed.params[name])
        np.testing.assert_array_equal(whole.average[name], resumed.average[name])


def test_training_lowers_the_loss(store: Path, config: HeadConfig, embedding: np.ndarray) -> None:
    batches, _ = make(store, config, embedding)
    options = TrainOptions(steps=60, warmup_steps=5, learning_rate=1e-2, dropout=0.0)
    seen: list[Progress] = []
    fit(
        new_state(init_params(0, config, embedding[::4]), options),
        batches,
        options,
        KEPT,
        checkpoint=None,
        fingerprint={},
        report=seen.append,
        report_steps=20,
    )
    assert [one.step for one in seen] == [1, 20, 40, 60]
    assert seen[-1].loss[0] < seen[1].loss[0]  # A mean over twenty steps, not of one.


def test_checkpoint_of_other_options_is_refused_by_name(
    store: Path, config: HeadConfig, embedding: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    run(*make(store, config, embedding), path, stop=4)
    _, fresh = make(store, config, embedding)
    with pytest.raises(CheckpointError, match="a was 1, now 2"):
        load_checkpoint(path, fresh, {"a": 2})


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\xff" * 4096])
def test_damaged_checkpoint_is_refused(
    content: bytes, store: Path, config: HeadConfig, embedding: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    _, fresh = make(store, config, embedding)
    with pytest.raises(CheckpointError, match="Cannot read checkpoint"):
        load_checkpoint(path, fresh, {})


def test_batches_depend_on_the_step_alone(
    store: Path, config: HeadConfig, embedding: np.ndarray
) -> None:
    one, _ = make(store, config, embedding)
    two, _ = make(store, config, embedding)
    for step in range(2 * one.steps_per_epoch):
        one.batch(step)
    last = one.batch(3)
    np.testing.assert_array_equal(last.context, two.batch(3).context)
    np.testing.assert_array_equal(last.labels, two.batch(3).labels)


def test_far_horizons_keep_fewer_windows() -> None:
    assert windows_kept(32, 6, 2) == (32, 32, 16, 16, 8, 8)
    assert windows_kept(1, 4, 2) == (1, 1, 1, 1)


def test_fingerprint_holds_every_option() -> None:
    assert options_fingerprint(OPTIONS, {"x": 1})["learning_rate"] == 1e-2
