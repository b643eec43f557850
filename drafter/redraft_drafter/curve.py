"""The learning curve: the same head trained alike on parts of the data, judged on the same held-out answers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .batches import Batches, WindowPlan
from .dataset import draft_vocabulary, open_split
from .evaluate import tree_figures
from .gguf_model import file_digest, read_tables
from .model import HeadConfig, init_params
from .train import (
    TrainOptions,
    fit,
    load_checkpoint,
    new_state,
    options_fingerprint,
    windows_kept,
)
from .tree import NumpyHead

_PACKED_SHOWN = (8, 16, 24)


def learning_curve(options: argparse.Namespace, reporter: Callable[[str], Any]) -> None:
    """Trains a head from scratch on each share of a store's prompts and writes the curve's JSON.

    The shares are nested, the draft vocabulary is that of the whole, and every head sees the same
    number of start positions: what differs is how many of them it sees again.
    """
    if any(not 0 < share <= 1 for share in options.shares):
        raise ValueError("Cannot draw a curve: --shares must be in (0, 1]")
    store = options.work / "states"
    digest = file_digest(options.model)
    embedding, output_rows = read_tables(options.model)
    held = open_split(store, digest, held_percent=options.held, held=True)
    whole = open_split(store, digest, held_percent=options.held, held=False)
    vocab, _ = draft_vocabulary(whole, options.draft_vocab, len(embedding))
    config = HeadConfig(
        embedding.shape[1],
        options.state_size,
        options.mlp_size,
        options.mlp_layers,
        len(vocab),
        len(embedding),
        digest,
    )
    points = []
    for share in sorted(options.shares):
        params, rows = _fit_share(options, reporter, share, config, vocab, embedding, output_rows)
        trees = tree_figures(NumpyHead(params, vocab), embedding, held, packed_sizes=_PACKED_SHOWN)
        points.append((rows, trees.tokens_per_step))
        figures = " / ".join(f"{rate:.3f}" for rate in trees.tokens_per_step)
        print(f"{rows} tokens: {figures} tokens per step", file=sys.stderr, flush=True)
        _write(options.out, points)


def _fit_share(
    options: argparse.Namespace,
    reporter: Callable[[str], Any],
    share: float,
    config: HeadConfig,
    vocab: np.ndarray,
    embedding: np.ndarray,
    output_rows: np.ndarray,
) -> tuple[dict[str, np.ndarray], int]:
    split = open_split(
        options.work / "states",
        config.target_digest,
        held_percent=options.held,
        held=False,
        share=share,
    )
    plan = WindowPlan(windows=options.windows, seed=options.seed)
    chosen = TrainOptions(steps=options.steps, seed=options.seed)
    state = new_state(init_params(options.seed, config, output_rows[vocab]), chosen)
    shape = f"{config.state_size}-{config.mlp_size}x{config.mlp_layers}-{config.draft_vocab_size}"
    checkpoint = options.work / f"curve-{share:g}-{shape}.safetensors"
    fingerprint = options_fingerprint(
        chosen, {**config.to_json(), "rows": split.rows, "windows": plan.windows}
    )
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, state, fingerprint)
    shown = reporter(f"{split.rows} tokens, steps")
    kept = windows_kept(plan.windows, plan.horizons, chosen.horizons_full)
    state = fit(
        state,
        Batches(split, plan, embedding, vocab, 0.1),
        chosen,
        kept,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
        report=lambda progress: shown.show(progress.step, progress.steps),
    )
    return {key: np.asarray(value) for key, value in state.average.items()}, split.rows


def _write(path: Path, points: list[tuple[int, tuple[float, ...]]]) -> None:
    series = [
        {
            "name": f"trees of {size}",
            "points": [
                {"tokens": rows, "tokens_per_step": round(rates[i], 3)} for rows, rates in points
            ],
        }
        for i, size in enumerate(_PACKED_SHOWN)
    ]
    path.write_text(json.dumps({"series": series}, indent=2) + "\n", encoding="utf-8")
