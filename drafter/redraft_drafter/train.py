"""Fits a head to a store of rows: AdamW, warm-up and cosine, checkpoints that survive a kill."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors import safe_open
from safetensors.numpy import save_file

from .batches import Batches
from .exact_zip import exact_zip
from .loss import Batch, loss
from .model import Dropout, Params


class CheckpointError(Exception):
    """A checkpoint that cannot be resumed from."""


@dataclass(frozen=True)
class TrainOptions:
    """What a run is made of; a checkpoint is resumed only by a run of the same options."""

    steps: int = 6000
    warmup_steps: int = 100
    learning_rate: float = 1.5e-3
    final_rate: float = 0.02
    """Share of the learning rate left at the last step."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    dropout: float = 0.1
    seed: int = 0
    average_decay: float = 0.998
    """Decay of the running average of the weights, which is what is exported."""
    horizon_decay: float = 0.8
    horizons_full: int = 2
    """Horizons that every window goes through; half as many windows go on with every two more."""


@dataclass
class TrainState:
    """All that a step changes."""

    params: Params
    average: Params
    optimiser: Any
    step: int


def windows_kept(windows: int, horizons: int, full: int) -> tuple[int, ...]:
    """Windows of each horizon. Far horizons weigh little and cost as much, so fewer are drawn; the
    loss takes each horizon's mean, so their weight stays."""
    halvings = (max(0, (k - full) // 2 + 1) for k in range(horizons))
    return tuple(max(1, windows >> count) for count in halvings)


def make_optimiser(options: TrainOptions) -> optax.GradientTransformation:
    """AdamW with warm-up and cosine; biases are not decayed."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0,
        options.learning_rate,
        min(options.warmup_steps, max(1, options.steps // 2)),
        options.steps,
        options.learning_rate * options.final_rate,
    )
    decayed = lambda params: {name: value.ndim > 1 for name, value in params.items()}  # noqa: E731
    return optax.chain(
        optax.clip_by_global_norm(options.clip_norm),
        optax.adamw(rate, b1=0.9, b2=0.99, weight_decay=options.weight_decay, mask=decayed),
    )


def new_state(params: Params, options: TrainOptions) -> TrainState:
    """The state before the first step."""
    average = jax.tree.map(jnp.copy, params)  # The step gives both buffers away.
    return TrainState(params, average, make_optimiser(options).init(params), 0)


@lru_cache(maxsize=4)
def make_step(
    options: TrainOptions, kept: tuple[int, ...]
) -> Callable[[TrainState, Batch], tuple[TrainState, jax.Array]]:
    """One optimiser step, compiled; gives the loss of each horizon, [horizons]."""
    optimiser = make_optimiser(options)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def compiled(
        params: Params, average: Params, opt: Any, batch: Batch, blend: Any, number: Any
    ) -> Any:
        # The key is of the step's number alone, so that a resumed run draws the same masks.
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        dropout = Dropout(key, options.dropout) if options.dropout > 0 else None
        fit = partial(loss, windows_kept=kept, decay=options.horizon_decay, dropout=dropout)
        (_, horizons), grads = jax.value_and_grad(fit, has_aux=True)(params, batch)
        updates, opt = optimiser.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, p: a * blend + p * (1.0 - blend), average, params)
        return params, average, opt, horizons

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, jax.Array]:
        # Early on the average forgets faster, else it would hold the first weights for long.
        blend = min(options.average_decay, (1.0 + state.step) / (10.0 + state.step))
        params, average, opt, horizons = compiled(
            state.params, state.average, state.optimiser, batch, jnp.float32(blend), state.step
        )
        return TrainState(params, average, opt, state.step + 1), horizons

    return step


def save_checkpoint(path: Path, state: TrainState, fingerprint: dict[str, Any]) -> None:
    """Writes a checkpoint beside `path`, then renames it over: a kill leaves the old one whole."""
    leaves = jax.tree.leaves((state.params, state.average, state.optimiser))
    # Not ascontiguousarray: it makes a vector of a scalar, and the resumed step another program.
    tensors = {f"{i:04d}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    partial_path = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"step": str(state.step), "fingerprint": json.dumps(fingerprint, sort_keys=True)}
    save_file(tensors, str(partial_path), metadata)
    with open(partial_path, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(partial_path, path)


def load_checkpoint(path: Path, fresh: TrainState, fingerprint: dict[str, Any]) -> TrainState:
    """Reads a checkpoint into the shapes of `fresh`.

    Raises:
        CheckpointError: If it is damaged, or of a run with other options.
    """
    try:
        with safe_open(str(path), "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        step, found = int(metadata["step"]), json.loads(metadata["fingerprint"])
    except Exception as error:  # safetensors raises its own type, and the file may be anything.
        raise CheckpointError(f"Cannot read checkpoint {path}: {error}; delete it") from error
    wanted = json.loads(json.dumps(fingerprint))
    for name in sorted(set(found) | set(wanted)):
        if found.get(name) != wanted.get(name):
            raise CheckpointError(
                f"Cannot resume {path}: {name} was {found.get(name)!r}, now {wanted.get(name)!r}; "
                "give the old value, or --fresh to start over"
            )
    tree = (fresh.params, fresh.average, fresh.optimiser)
    leaves, structure = jax.tree.flatten(tree)
    names = sorted(tensors)
    if len(names) != len(leaves):
        raise CheckpointError(f"Cannot resume {path}: {len(names)} tensors, want {len(leaves)}")
    loaded = [jnp.asarray(tensors[name]) for name in names]
    for name, was, now in exact_zip(names, leaves, loaded):
        if was.shape != now.shape or was.dtype != now.dtype:
            raise CheckpointError(
                f"Cannot resume {path}: tensor {name} is {now.dtype}{list(now.shape)}, "
                f"want {was.dtype}{list(was.shape)}"
            )
    params, average, optimiser = jax.tree.unflatten(structure, loaded)
    return TrainState(params, average, optimiser, step)


@dataclass(frozen=True)
class Progress:
    """What a run reports now and then."""

    step: int
    steps: int
    loss: tuple[float, ...]
    """Nats per horizon, mean since the last report."""
    seconds_left: float


def fit(
    state: TrainState,
    batches: Batches,
    options: TrainOptions,
    kept: tuple[int, ...],
    *,
    checkpoint: Path | None,
    fingerprint: dict[str, Any],
    report: Callable[[Progress], None],
    report_steps: int = 50,
    checkpoint_steps: int = 250,
    stop_step: int | None = None,
) -> TrainState:
    """Runs from `state.step` to the last step (or `stop_step`)."""
    step = make_step(options, kept)
    sums: list[jax.Array] = []
    begun, first = time.monotonic(), state.step
    last = options.steps if stop_step is None else min(stop_step, options.steps)
    while state.step < last:
        state, horizons = step(state, batches.batch(state.step))
        sums.append(horizons)
        if state.step % report_steps == 0 or state.step in (first + 1, last):
            means = tuple(float(x) for x in np.mean([np.asarray(s) for s in sums], axis=0))
            if not np.all(np.isfinite(means)):
                raise FloatingPointError(f"Cannot go on: the loss is {means} at step {state.step}")
            per_step = (time.monotonic() - begun) / (state.step - first)
            report(Progress(state.step, last, means, per_step * (last - state.step)))
            sums.clear()
        if checkpoint and (state.step % checkpoint_steps == 0 or state.step == last):
            save_checkpoint(checkpoint, state, fingerprint)
    return state


def options_fingerprint(options: TrainOptions, extra: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for a run to be resumed."""
    return {**asdict(options), **extra}
