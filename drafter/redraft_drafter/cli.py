"""The command line: `train` does it all, `evaluate` judges a head that is there, `curve` asks what more data brings."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .collect import SpaceError
from .dataset import DataError
from .engine import EngineError
from .export import HeadError
from .gguf_model import ModelError
from .prompts import PromptError
from .tokenizer import TokenizerError
from .train import CheckpointError

_FAILURES = (
    CheckpointError,
    DataError,
    EngineError,
    HeadError,
    ModelError,
    PromptError,
    SpaceError,
    TokenizerError,
    FloatingPointError,
    ValueError,
    OSError,
)


def _add_shape(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--state-size", type=int, default=576, help="width of the GRU")
    add("--mlp-size", type=int, default=576, help="width of the MLP")
    add("--mlp-layers", type=int, default=2, help="layers of the MLP")
    add("--draft-vocab", type=int, default=4096, help="tokens that the head can propose")


def build_parser() -> argparse.ArgumentParser:
    """All options and their defaults."""
    parser = argparse.ArgumentParser(
        prog="redraft_drafter", description="Trains the draft head of a GGUF model."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train",
        help="prompts, answers, hidden states, training, report and export in one go",
        description="Trains a draft head. Each stage keeps what it made under --work; the same "
        "command again goes on from there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = train.add_argument
    add("--model", type=Path, required=True, help="the GGUF file")
    add("--out", type=Path, default=Path("drafter-head"), help="folder for the head and its card")
    add(
        "--work",
        type=Path,
        default=Path(".cache/train"),
        help="folder for answers, states, checkpoints",
    )
    add(
        "--prompts",
        type=Path,
        action="append",
        default=[],
        help='JSON lines {"prompt"}; none: the model writes its own',
    )
    add(
        "--answers",
        type=Path,
        action="append",
        default=[],
        help='JSON lines {"prompt", "temperature", "tokens"} made earlier (.gz may be)',
    )
    add(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        help="evaluation files, of which no prompt may be trained on",
    )
    add("--tokens", type=int, default=1_000_000, help="answer tokens to train on")
    add(
        "--composed",
        type=float,
        default=0.2,
        help="share of the answers that are to tasks over the other answers",
    )
    add("--magpie", type=int, default=4000, help="prompts to sample where none are given")
    add("--slots", type=int, default=24, help="answers generated at once")
    add("--threads", type=int, default=os.cpu_count() or 1, help="engine threads")
    add("--seed", type=int, default=0, help="of sampling, shuffling and dropout")
    add("--held", type=float, default=5.0, help="percent of prompts kept for evaluation")
    _add_shape(train)
    add("--steps", type=int, default=6000, help="optimiser steps")
    add("--windows", type=int, default=32, help="windows of 32 start positions a step")
    add("--horizons", type=int, default=6, help="tokens ahead that are trained")
    add("--rate", type=float, default=1.5e-3, help="learning rate")
    add("--dropout", type=float, default=0.1, help="while training")
    add("--hard", type=float, default=0.1, help="share of the label that is the likeliest token's")
    add("--beam-width", type=int, default=8, help="of the report's trees")
    add("--beam-length", type=int, default=6, help="of the report's trees, init token included")
    add(
        "--start-from",
        type=Path,
        help="folder of a head to train on, which then gives the shape and the draft vocabulary",
    )
    add("--fresh", action="store_true", help="forget the last checkpoint")

    judge = commands.add_parser(
        "evaluate",
        help="report on a head over a work folder's held-out answers",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    judge.add_argument("--model", type=Path, required=True, help="the GGUF file")
    judge.add_argument("--head", type=Path, required=True, help="folder of the head")
    judge.add_argument("--work", type=Path, default=Path(".cache/train"), help="as given to train")
    judge.add_argument("--held", type=float, default=5.0, help="as given to train")
    judge.add_argument("--horizons", type=int, default=6, help="tokens ahead")
    judge.add_argument("--beam-width", type=int, default=8, help="of the trees")
    judge.add_argument("--beam-length", type=int, default=6, help="of the trees")
    judge.add_argument("--answers-max", type=int, default=64, help="answers to walk")

    curve = commands.add_parser(
        "curve",
        help="the learning curve: heads trained alike on parts of a work folder's answers",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    curve.add_argument("--model", type=Path, required=True, help="the GGUF file")
    curve.add_argument("--work", type=Path, default=Path(".cache/train"), help="as given to train")
    curve.add_argument("--out", type=Path, default=Path("learning_curve.json"), help="the curve")
    curve.add_argument("--held", type=float, default=5.0, help="as given to train")
    curve.add_argument(
        "--shares",
        type=float,
        nargs="+",
        default=[0.125, 0.25, 0.5, 1.0],
        help="of the training prompts",
    )
    _add_shape(curve)
    curve.add_argument("--steps", type=int, default=1000, help="optimiser steps of each head")
    curve.add_argument("--windows", type=int, default=32, help="windows of 32 positions a step")
    curve.add_argument("--seed", type=int, default=0, help="of shuffling and dropout")
    return parser


class Reporter:
    """Lines of progress: rewritten in place on a terminal, now and then in a log."""

    def __init__(self, label: str, seconds_between: float = 10.0) -> None:
        self._label, self._begun, self._last = label, time.monotonic(), -1e9
        self._first: int | None = None
        self._ended = False
        self._live = sys.stderr.isatty()
        self._between = 0.2 if self._live else seconds_between

    def show(self, done: int, total: int, extra: str = "") -> None:
        """Says how far a stage is and how long it will take at this rate."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if self._ended or (now - self._last < self._between and done < total):
            return
        self._ended = done >= total
        self._last = now
        rate = (done - self._first) / max(now - self._begun, 1e-9)
        left = f"{(total - done) / rate / 60:.1f} min left" if rate > 0 and done < total else ""
        text = f"{self._label}: {min(done, total)}/{total} {extra} {left}".rstrip()
        print(
            ("\r\x1b[K" if self._live else "") + text,
            end="" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )
        if self._live and done >= total:
            print(file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """Runs a command. Returns the exit status; what went wrong is one line on stderr."""
    options = build_parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # JAX takes a second to import: --help need not wait for it.
    from . import pipeline
    from .curve import learning_curve

    try:
        if options.command == "train":
            pipeline.train_head(options, Reporter)
        elif options.command == "curve":
            learning_curve(options, Reporter)
        else:
            pipeline.evaluate_head(options, Reporter)
    except _FAILURES as error:
        print(f"redraft_drafter: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("redraft_drafter: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0
