"""Whether TensorRT-LLM's ReDrafter can run a draft head: check_head.py FOLDER.

Its graph has one cell, SiLU(W E(token) + U state), a state that starts at nothing and logits over the whole
vocabulary: the form of Apple's released drafters. Exit status 0 if the head is of that form, else 1 with the reason.
"""

import json
import sys
from pathlib import Path


def problem(folder: Path) -> str | None:
    """What keeps the head out; None if nothing."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it has no config.json"
    except ValueError as error:
        return f"config.json is no JSON: {error}"
    if not isinstance(config, dict):
        return "config.json is no object"
    if config.get("format") == "redraft-head-1":
        return ours(config)
    if config.get("rnn") is not True:
        return 'config.json: "rnn" is not true; a head without the recurrent cell is another graph'
    for field in ("hidden_size", "vocab_size", "exit_dim", "num_draft_layers"):
        if not isinstance(config.get(field), int) or isinstance(config[field], bool):
            return f'config.json: "{field}" is not a whole number'
    if not any((folder / name).is_file() for name in ("model.safetensors", "llm_drafter.safetensors")):
        return "it has no model.safetensors"
    return None


def ours(config: dict) -> str:
    """Why a head of this repository's own format cannot go there."""
    if config.get("cell") == "gru":
        return (
            "its cell is a GRU, whose gates have no place in TensorRT-LLM's graph of SiLU(W E(token) + U state); "
            "serve it with --backend cuda or cpu, or train a drafter with Apple's code"
        )
    if config.get("draft_vocab_size") != config.get("target_vocab_size"):
        return (
            f"it drafts from {config.get('draft_vocab_size')} of {config.get('target_vocab_size')} tokens; "
            "TensorRT-LLM's drafter has logits for all"
        )
    return "its state starts from init.weight, TensorRT-LLM's starts at nothing; use one of Apple's format"


def main() -> int:
    """Prints the reason and returns the exit status."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    reason = problem(Path(sys.argv[1]))
    if reason is None:
        return 0
    print(f"Cannot convert draft head {sys.argv[1]}: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
