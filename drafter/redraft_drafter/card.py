"""CARD.md: what a head was trained on and what it was measured to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .dataset import Split
from .evaluate import HorizonFigures, TreeFigures
from .exact_zip import exact_zip
from .model import HeadConfig, parameter_count
from .train import TrainOptions


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells."""

    model_name: str
    config: HeadConfig
    options: TrainOptions
    steps: int
    starts_per_step: int
    coverage: float
    horizons: HorizonFigures
    trees: TreeFigures | None
    beam: tuple[int, int]
    """Width and length of the search that `trees` was measured with."""
    file_bytes: int
    started_from: str | None
    """SHA-256 of the weights of the head that this one was trained on from."""


def data_table(split: Split) -> str:
    """Tokens by source and temperature, a Markdown table."""
    tokens: Counter[tuple[str, float]] = Counter()
    answers: Counter[tuple[str, float]] = Counter()
    for example in split.examples:
        tokens[example.source, example.temperature] += example.count
        answers[example.source, example.temperature] += 1
    lines = ["| source | temperature | answers | tokens |", "|---|---|---|---|"]
    for (source, temperature), count in sorted(tokens.items()):
        lines.append(f"| {source} | {temperature:g} | {answers[source, temperature]} | {count} |")
    return "\n".join(lines)


def render_card(facts: CardFacts, trained_on: Split) -> str:
    """The card, Markdown."""
    c, o = facts.config, facts.options
    horizons = "\n".join(
        f"| {k} | {nats:.3f} | {100 * share:.1f} % |"
        for k, (nats, share) in enumerate(
            exact_zip(facts.horizons.nats, facts.horizons.agreement), 1
        )
    )
    if facts.trees:
        trees = "\n".join(
            f"| {size} | {rate:.2f} |"
            for size, rate in exact_zip(facts.trees.packed_sizes, facts.trees.tokens_per_step)
        )
        tree_text = (
            f"Greedy, {facts.trees.answers} held-out answers of {facts.trees.tokens} tokens, beam "
            f"width {facts.beam[0]}, beam length {facts.beam[1]}, bonus token included:\n\n"
            f"| packed tokens, root included | tokens per step |\n|---|---|\n{trees}\n"
        )
    else:
        tree_text = "No greedy answer is in the held-out split, so no tokens per step.\n"
    started = f"| trained on from | weights `{facts.started_from}` |\n" if facts.started_from else ""
    return f"""# Draft head for {facts.model_name}

| | |
|---|---|
| target (SHA-256 of the GGUF file) | `{c.target_digest}` |
| cell | GRU, state {c.state_size}; MLP {c.mlp_layers} x {c.mlp_size} |
| draft vocabulary | {c.draft_vocab_size} of {c.target_vocab_size}, {100 * facts.coverage:.1f} % of probability |
| weights | {parameter_count(c)}, float16, {facts.file_bytes} bytes |
{started}| training | {trained_on.rows} answer tokens, {facts.steps} steps of {facts.starts_per_step} start positions |
| optimiser | AdamW, rate {o.learning_rate:g}, decay {o.weight_decay:g}, dropout {o.dropout:g}, {o.horizon_decay:g}^k |

## Figures on held-out prompts

{tree_text}
| horizon | nats | best token agrees |
|---|---|---|
{horizons}

## Data

The answers are the target's own; the split is by prompt.

{data_table(trained_on)}
"""
