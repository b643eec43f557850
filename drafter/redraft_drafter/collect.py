"""From prompts to rows: Magpie prompts, answers and hidden states, each kept on disk as it comes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .answers import Job, generate, label_rows, slot_pages
from .dataset import LABEL_COUNT, Example, shard_folders, write_shard
from .engine import PAGE_TOKENS, Engine, EngineError
from .exact_zip import exact_zip
from .prompts import Answer, Prompt, prompt_hash, read_answers
from .step_codec import Sampling
from .tokenizer import ChatTokenizer

ANSWERS_PER_SHARD = 128
_MAGPIE_TOKENS_MAX = 160


class SpaceError(Exception):
    """Not enough disk."""


@dataclass(frozen=True)
class CollectOptions:
    """How answers are made."""

    slots: int = 24
    context_max: int = 1024
    tokens_max: int = 320
    greedy_share: float = 0.6
    """Share of prompts answered at temperature 0; the rest at 0.8 with top-k 50."""
    seed: int = 0


def check_space(folder: Path, rows: int, hidden_size: int) -> None:
    """Fails early where `rows` more rows would not fit the disk.

    Raises:
        SpaceError: With both figures.
    """
    wanted = rows * (2 * hidden_size + 4 + 6 * LABEL_COUNT) * 11 // 10
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SpaceError(
            f"Cannot collect {rows} tokens into {folder}: {wanted >> 20} MiB wanted, "
            f"{free >> 20} MiB free"
        )


def write_magpie_prompts(
    engine: Engine,
    tokenizer: ChatTokenizer,
    count: int,
    options: CollectOptions,
    report: Callable[[int], None],
) -> list[Prompt]:
    """Prompts that the model samples from the bare user header (Magpie, arXiv 2406.08464)."""
    header = tuple(tokenizer.encode(tokenizer.user_header()))
    stops = _stop_tokens(tokenizer)
    jobs = (
        Job(n, header, _MAGPIE_TOKENS_MAX, Sampling(1.0, 0, 0.95, options.seed + n), stops)
        for n in range(count)
    )
    pages = slot_pages(len(header), _MAGPIE_TOKENS_MAX)
    prompts = []
    report(0)
    runs = generate(engine, jobs, slots=options.slots, pages_per_slot=pages)
    for done, (_, tokens) in enumerate(runs, 1):
        report(done)
        text = tokenizer.decode(tokens).strip()
        # One that did not end is half a message; it would teach half messages.
        if tokens[-1] in stops and len(text) >= 8:
            prompts.append(Prompt(text, "magpie"))
    return prompts


def _stop_tokens(tokenizer: ChatTokenizer) -> frozenset[int]:
    return frozenset() if tokenizer.eos_token is None else frozenset({tokenizer.eos_token})


def collect_answers(
    engine: Engine,
    tokenizer: ChatTokenizer,
    prompts: Sequence[Prompt],
    path: Path,
    tokens_wanted: int,
    options: CollectOptions,
    report: Callable[[int], None],
) -> list[Answer]:
    """Answers prompts until `tokens_wanted`, appending to `path`; a second call goes on after the
    prompts that are answered there.

    A line that a kill cut short is dropped first.
    """
    _drop_half_line(path)
    done = read_answers(path, engine.vocab_size) if path.exists() else []
    answered = {prompt_hash(answer.prompt.text) for answer in done}
    total = sum(len(answer.tokens) for answer in done)
    report(total)
    random = np.random.default_rng(options.seed)
    greedy = random.random(len(prompts)) < options.greedy_share
    pages = options.context_max // PAGE_TOKENS
    temperatures = {n: 0.0 if greedy[n] else 0.8 for n in range(len(prompts))}

    def jobs() -> Iterator[Job]:
        for number, prompt in enumerate(prompts):
            if total >= tokens_wanted:
                return
            if prompt_hash(prompt.text) in answered:
                continue
            ids = tuple(tokenizer.encode(tokenizer.render(prompt.text)))
            if slot_pages(len(ids), options.tokens_max) > pages:
                continue
            hot = temperatures[number] > 0
            sampling = Sampling(temperatures[number], 50 if hot else 0, 1.0, options.seed + number)
            yield Job(number, ids, options.tokens_max, sampling, _stop_tokens(tokenizer))

    if total >= tokens_wanted:
        return done
    with open(path, "a", encoding="utf-8") as handle:
        for job, tokens in generate(engine, jobs(), slots=options.slots, pages_per_slot=pages):
            prompt = prompts[job.key]
            answer = Answer(prompt, temperatures[job.key], tuple(tokens))
            line = {
                "source": prompt.source,
                "prompt": prompt.text,
                "temperature": answer.temperature,
            }
            handle.write(json.dumps({**line, "tokens": tokens}) + "\n")
            handle.flush()
            done.append(answer)
            total += len(tokens)
            report(total)
    return done


def _drop_half_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(content[: content.rfind(b"\n") + 1])
        os.replace(partial, path)


def collect_states(
    engine: Engine,
    tokenizer: ChatTokenizer,
    answers: Sequence[Answer],
    store: Path,
    report: Callable[[int], None],
) -> int:
    """Hidden states and labels of all answers, a shard of ANSWERS_PER_SHARD at a time.

    Shards that are there are kept: they are named by what answers they hold.

    Returns:
        Rows in the store.

    Raises:
        EngineError: If the engine fails.
    """
    rows = 0
    there = {folder.name for folder in shard_folders(store)}
    for begin in range(0, len(answers), ANSWERS_PER_SHARD):
        part = answers[begin : begin + ANSWERS_PER_SHARD]
        name = f"{begin:08d}-{_digest(part)}"
        if name not in there:
            arrays, examples = _states(engine, tokenizer, part)
            if examples:
                write_shard(store / name, arrays, examples, engine.digest)
        rows += sum(len(answer.tokens) for answer in part)
        report(rows)
    return rows


def _digest(answers: Sequence[Answer]) -> str:
    mixed = prompt_hash(" ".join(f"{prompt_hash(a.prompt.text)}:{a.tokens}" for a in answers))
    return f"{mixed:016x}"


def _states(
    engine: Engine, tokenizer: ChatTokenizer, answers: Sequence[Answer]
) -> tuple[dict[str, np.ndarray], list[Example]]:
    pieces: dict[str, list[np.ndarray]] = {
        name: [] for name in ("hidden", "token", "label_ids", "label_probs")
    }
    examples: list[Example] = []
    first = 0
    for answer in answers:
        prompt = tokenizer.encode(tokenizer.render(answer.prompt.text))
        tokens = np.array([*prompt, *answer.tokens], np.int64)
        if len(tokens) - 1 > engine.context_max or len(answer.tokens) < 2:
            continue
        # The last prompt position is the first start; the last answer token is computed by none.
        start = len(prompt) - 1
        hidden, logits = engine.hidden(tokens[:-1], logits_start=start)
        if logits is None or not np.all(np.isfinite(hidden)):
            raise EngineError("Cannot train: the engine gave hidden states that are not numbers")
        ids, probs = label_rows(logits, LABEL_COUNT)
        for name, value in exact_zip(pieces, (hidden[start:], tokens[start + 1 :], ids, probs)):
            pieces[name].append(value)
        count = len(answer.tokens)
        hashed = prompt_hash(answer.prompt.text)
        examples.append(Example(first, count, hashed, answer.temperature, answer.prompt.source))
        first += count
    return {name: np.concatenate(value) for name, value in pieces.items() if value}, examples
