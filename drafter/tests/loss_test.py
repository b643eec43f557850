"""The loss and its gradients."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from redraft_drafter.batches import Batches, WindowPlan
from redraft_drafter.dataset import open_split
from redraft_drafter.exact_zip import exact_zip
from redraft_drafter.loss import cross_entropy, loss
from redraft_drafter.model import Dropout, HeadConfig, init_params


def batches(store: Path, config: HeadConfig, embedding: np.ndarray, hard: float = 0.2) -> Batches:
    split = open_split(store, config.target_digest, held_percent=10, held=False)
    plan = WindowPlan(windows=4, starts=8, horizons=3)
    return Batches(split, plan, embedding, np.arange(0, 200, 4), hard)


def test_cross_entropy_of_uniform_logits_is_log_of_size() -> None:
    labels = jnp.full((2, 50), 1 / 50)
    np.testing.assert_allclose(cross_entropy(jnp.zeros((2, 50)), labels), np.log(50), rtol=1e-6)


def test_cross_entropy_survives_huge_logits() -> None:
    logits = jnp.array([[3e4, -3e4], [-3e4, -3e4]])
    assert np.all(np.isfinite(cross_entropy(logits, jnp.array([[1.0, 0.0], [0.5, 0.5]]))))


def test_gradients_are_finite_and_reach_every_tensor(
    store: Path, config: HeadConfig, embedding: np.ndarray
) -> None:
    params = init_params(0, config, embedding[::4])
    batch = batches(store, config, embedding).batch(0)
    dropout = Dropout(jax.random.key(0), 0.1)
    value, grads = jax.value_and_grad(
        lambda p: loss(p, batch, windows_kept=(4, 4, 2), decay=0.8, dropout=dropout)[0]
    )(params)
    assert np.isfinite(value)
    for name, grad in grads.items():
        assert np.all(np.isfinite(grad)), name
        assert float(jnp.abs(grad).max()) > 0, name


def test_positions_past_an_answers_end_do_not_count(
    store: Path, config: HeadConfig, embedding: np.ndarray
) -> None:
    made = batches(store, config, embedding)
    batch = made.batch(1)
    params = init_params(0, config, embedding[::4])
    arguments = {"windows_kept": (4, 4, 4), "decay": 0.8}
    changed = np.array(batch.labels)
    # Labels that no valid start reads may be anything.
    read = np.zeros(changed.shape[:2], bool)
    for k in range(3):
        read[:, k : k + 8] |= np.asarray(batch.valid)[:, :, k] > 0
    assert not read.all()
    changed[~read] = 7.0
    other = type(batch)(batch.context, batch.inputs, changed, batch.valid)
    assert loss(params, batch, **arguments)[0] == loss(params, other, **arguments)[0]


def test_labels_hold_the_targets_probabilities(
    store: Path, config: HeadConfig, embedding: np.ndarray
) -> None:
    split = open_split(store, config.target_digest, held_percent=10, held=False)
    labels = batches(store, config, embedding, hard=0.0)._labels(np.array([5]))
    ids, probs = (
        split.take("label_ids", np.array([5]))[0],
        split.take("label_probs", np.array([5]))[0],
    )
    want = np.zeros(50)
    for token, share in exact_zip(ids, probs):
        if token % 4 == 0:
            want[token // 4] = share
    np.testing.assert_allclose(labels[0], want)
