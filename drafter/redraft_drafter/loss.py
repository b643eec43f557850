"""The loss: cross-entropy against the target's own distribution, weighted over horizons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from .model import Dropout, Params, unroll


@dataclass(frozen=True)
class Batch:
    """Windows of neighbouring rows; arrays may be NumPy or JAX.

    Row r of a window is the r-th start; its context is the hidden state whose draw is `token r`.
    """

    context: jax.Array
    """[windows, starts, hidden_size] float."""
    inputs: jax.Array
    """[windows, starts + horizons - 1, hidden_size], embeddings of the rows' tokens."""
    labels: jax.Array
    """[windows, starts + horizons - 1, draft_vocab_size]: the target's probabilities one row later;
    they sum to the mass that the draft vocabulary covers."""
    valid: jax.Array
    """[windows, starts, horizons] 1.0 where the label's row is of the same answer as the start."""


jax.tree_util.register_dataclass(
    Batch, data_fields=["context", "inputs", "labels", "valid"], meta_fields=[]
)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-sum(labels * log_softmax(logits)), [rows]; labels need not sum to 1."""
    top = jnp.max(logits, axis=-1, keepdims=True)
    shifted = logits - jax.lax.stop_gradient(top)
    log_total = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
    return jnp.sum(labels, axis=-1) * log_total - jnp.sum(labels * shifted, axis=-1)


def loss(
    params: Params,
    batch: Batch,
    *,
    windows_kept: Sequence[int],
    decay: float,
    dropout: Dropout | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Mean cross-entropy in nats, horizon k weighted decay^k.

    Returns:
        The loss, normalised by the sum of weights, and the mean of each horizon, [horizons].
    """
    starts = batch.context.shape[1]
    per_horizon = []
    unrolled = unroll(params, batch.context, batch.inputs, windows_kept, dropout)
    for step, logits in enumerate(unrolled):
        kept = windows_kept[step]
        labels = batch.labels[:kept, step : step + starts].astype(jnp.float32)
        valid = batch.valid[:kept, :, step].reshape(-1)
        nats = cross_entropy(logits, labels.reshape(kept * starts, -1)) * valid
        per_horizon.append(jnp.sum(nats) / jnp.maximum(jnp.sum(valid), 1.0))
    means = jnp.stack(per_horizon)
    weights = decay ** jnp.arange(len(per_horizon), dtype=jnp.float32)
    return jnp.sum(means * weights) / jnp.sum(weights), means
