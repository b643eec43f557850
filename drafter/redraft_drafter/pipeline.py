"""The stages of `train`, joined: collect, split, fit, judge, export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from .batches import Batches, WindowPlan
from .card import CardFacts, render_card
from .collect import (
    CollectOptions,
    check_space,
    collect_answers,
    collect_states,
    write_magpie_prompts,
)
from .compose import compose_prompts
from .dataset import Split, draft_vocabulary, open_split
from .engine import PAGE_TOKENS, Engine
from .evaluate import horizon_figures, tree_figures
from .exact_zip import exact_zip
from .export import HeadError, read_head, write_head
from .gguf_model import file_digest, read_tables
from .model import HeadConfig, Params, init_params
from .prompts import (
    Answer,
    Prompt,
    prompt_hash,
    read_answers,
    read_excluded,
    read_prompts,
    refuse_excluded,
    unique,
)
from .tokenizer import ChatTokenizer
from .train import (
    Progress,
    TrainOptions,
    fit,
    load_checkpoint,
    new_state,
    options_fingerprint,
    windows_kept,
)
from .tree import NumpyHead

ReporterFactory = Callable[[str], Any]

# Prompts enough that the tokens wanted come together however short the answers are.
_COMPOSED_TOKENS_MIN = 20


def collect(options: argparse.Namespace, reporter: ReporterFactory) -> tuple[Path, str, str]:
    """Prompts, answers and states.

    Returns:
        The store's folder, the target's digest and its name.
    """
    work: Path = options.work
    made = CollectOptions(slots=options.slots, seed=options.seed)
    excluded = read_excluded(options.exclude)
    prompts: list[Prompt] = []
    for path in options.prompts:
        found = read_prompts(path)
        refuse_excluded(found, excluded, str(path))
        prompts += found
    pages = made.slots * (made.context_max // PAGE_TOKENS)
    with Engine(
        options.model,
        threads=options.threads,
        slots_max=made.slots,
        pages_max=pages,
        context_max=made.context_max,
    ) as engine:
        check_space(work, options.tokens, engine.hidden_size)
        tokenizer = ChatTokenizer(engine.tokenizer())
        answers: list[Answer] = []
        for path in options.answers:
            found_answers = read_answers(path, engine.vocab_size)
            refuse_excluded([answer.prompt for answer in found_answers], excluded, str(path))
            answers += found_answers
        wanted = options.tokens - sum(len(answer.tokens) for answer in answers)
        if wanted > 0:
            if not prompts:
                prompts = _magpie(engine, tokenizer, options, made, reporter)
                # The model may have learnt an evaluation prompt by heart: those are left out.
                prompts = [p for p in prompts if prompt_hash(p.text) not in excluded]
            shown = reporter("answers, tokens")
            shuffled = unique(prompts)
            np.random.default_rng(options.seed).shuffle(shuffled)  # type: ignore[arg-type]
            composed = int(wanted * options.composed)
            answers += collect_answers(
                engine,
                tokenizer,
                shuffled,
                work / "answers.jsonl",
                wanted - composed,
                made,
                lambda done: shown.show(done, wanted),
            )
            pairs = [(a.prompt.text, tokenizer.decode(list(a.tokens))) for a in answers]
            tasks = compose_prompts(pairs, composed // _COMPOSED_TOKENS_MIN, options.seed)
            answers += collect_answers(
                engine,
                tokenizer,
                [p for p in tasks if prompt_hash(p.text) not in excluded],
                work / "answers-composed.jsonl",
                composed,
                made,
                lambda done: shown.show(wanted - composed + done, wanted),
            )
        total = sum(len(answer.tokens) for answer in answers)
        shown = reporter("hidden states, tokens")
        store = work / "states"
        collect_states(engine, tokenizer, answers, store, lambda done: shown.show(done, total))
        return store, engine.digest, str(engine.info["model"].get("name") or options.model.stem)


def _magpie(
    engine: Engine,
    tokenizer: ChatTokenizer,
    options: argparse.Namespace,
    made: CollectOptions,
    reporter: ReporterFactory,
) -> list[Prompt]:
    import json

    path = options.work / "magpie.jsonl"
    if not path.exists():
        shown = reporter("prompts of its own")
        written = write_magpie_prompts(
            engine, tokenizer, options.magpie, made, lambda done: shown.show(done, options.magpie)
        )
        prompts = unique(written)
        partial = path.with_name(path.name + ".partial")
        lines = [json.dumps({"source": p.source, "prompt": p.text}) + "\n" for p in prompts]
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(path)
    return read_prompts(path)


def train_head(options: argparse.Namespace, reporter: ReporterFactory) -> None:
    """Runs all stages and writes the head and its card into `options.out`."""
    if options.steps < 1 or options.draft_vocab < 2 or not 0 < options.held < 50:
        raise ValueError("Cannot train: want --steps >= 1, --draft-vocab >= 2, 0 < --held < 50")
    if not 0 <= options.composed < 1:
        raise ValueError("Cannot train: want 0 <= --composed < 1")
    store, digest, name = collect(options, reporter)
    embedding, output_rows = read_tables(options.model)
    split = open_split(store, digest, held_percent=options.held, held=False)
    held = open_split(store, digest, held_percent=options.held, held=True)
    config, params, vocab = _first_head(options, digest, split, embedding, output_rows)
    _, coverage = _coverage(held, vocab, len(embedding))
    started_from = (
        file_digest(options.start_from / "model.safetensors") if options.start_from else None
    )
    plan = WindowPlan(windows=options.windows, horizons=options.horizons, seed=options.seed)
    chosen = TrainOptions(
        steps=options.steps, learning_rate=options.rate, dropout=options.dropout, seed=options.seed
    )
    state = new_state(params, chosen)
    checkpoint = options.work / "checkpoint.safetensors"
    extra = {
        **config.to_json(),
        "rows": split.rows,
        "hard": options.hard,
        "held": options.held,
        "windows": plan.windows,
        "horizons": plan.horizons,
        "start_from": started_from,
    }
    fingerprint = options_fingerprint(chosen, extra)
    if checkpoint.exists() and not options.fresh:
        state = load_checkpoint(checkpoint, state, fingerprint)
    shown = reporter("training, steps")

    def report(progress: Progress) -> None:
        nats = " ".join(f"{x:.3f}" for x in progress.loss)
        shown.show(progress.step, progress.steps, f"nats per horizon {nats}")

    shown.show(state.step, options.steps, "compiling the step, which takes a minute")
    batches = Batches(split, plan, embedding, vocab, options.hard)
    kept = windows_kept(plan.windows, plan.horizons, chosen.horizons_full)
    state = fit(
        state, batches, chosen, kept, checkpoint=checkpoint, fingerprint=fingerprint, report=report
    )
    params = {key: np.asarray(value) for key, value in state.average.items()}
    head = NumpyHead(params, vocab)
    file_bytes = write_head(options.out, config, params, vocab)
    print("measuring on held-out answers", file=sys.stderr, flush=True)
    horizons, trees = _figures(head, embedding, held, options, plan.horizons)
    facts = CardFacts(
        name,
        config,
        chosen,
        state.step,
        plan.windows * plan.starts,
        coverage,
        horizons,
        trees,
        (options.beam_width, options.beam_length),
        file_bytes,
        started_from,
    )
    (options.out / "CARD.md").write_text(render_card(facts, split), encoding="utf-8")
    print(f"wrote {options.out} ({file_bytes} bytes)")


def _first_head(
    options: argparse.Namespace,
    digest: str,
    split: Split,
    embedding: np.ndarray,
    output_rows: np.ndarray,
) -> tuple[HeadConfig, Params, np.ndarray]:
    """What training starts from: a fresh head of the wanted shape, or the one that is named."""
    if options.start_from:
        config, found, vocab, _ = _read_head_of(options.start_from, digest)
        return config, {name: jnp.asarray(value) for name, value in found.items()}, vocab
    vocab, _ = draft_vocabulary(split, options.draft_vocab, len(embedding))
    shape = (options.state_size, options.mlp_size, options.mlp_layers)
    config = HeadConfig(embedding.shape[1], *shape, len(vocab), len(embedding), digest)
    return config, init_params(options.seed, config, output_rows[vocab]), vocab


def _read_head_of(
    folder: Path, digest: str
) -> tuple[HeadConfig, dict[str, np.ndarray], np.ndarray, float]:
    head = read_head(folder)
    if head[0].target_digest != digest:
        raise HeadError(
            f"Cannot use head {folder}: it is for the model {head[0].target_digest[:12]}…, "
            f"this one is {digest[:12]}…"
        )
    return head


def _coverage(split: Split, vocab: np.ndarray, vocab_size: int) -> tuple[np.ndarray, float]:
    inside = np.zeros(vocab_size, bool)
    inside[vocab] = True
    rows = np.arange(split.rows)
    probs = split.take("label_probs", rows).astype(np.float64)
    covered = probs[inside[split.take("label_ids", rows)]].sum()
    return inside, float(covered / max(probs.sum(), 1e-9))


def _figures(
    head: NumpyHead, embedding: np.ndarray, held: Split, options: argparse.Namespace, horizons: int
) -> tuple[Any, Any]:
    by_horizon = horizon_figures(head, embedding, held, horizons)
    for k, (nats, share) in enumerate(exact_zip(by_horizon.nats, by_horizon.agreement), 1):
        print(f"horizon {k}: {nats:.3f} nats, best token agrees {100 * share:.1f} %")
    trees = None
    if any(example.temperature == 0.0 for example in held.examples):
        trees = tree_figures(
            head,
            embedding,
            held,
            beam_width=options.beam_width,
            beam_length=options.beam_length,
            answers_max=getattr(options, "answers_max", 64),
        )
        for size, rate in exact_zip(trees.packed_sizes, trees.tokens_per_step):
            print(f"{size} packed tokens: {rate:.3f} tokens per step")
    return by_horizon, trees


def evaluate_head(options: argparse.Namespace, reporter: ReporterFactory) -> None:
    """Reports on a head over the held-out answers of a work folder."""
    digest = file_digest(options.model)
    _, params, vocab, scale = _read_head_of(options.head, digest)
    embedding, _ = read_tables(options.model)
    held = open_split(options.work / "states", digest, held_percent=options.held, held=True)
    _figures(NumpyHead(params, vocab, scale), embedding, held, options, options.horizons)
