"""Whether TensorRT-LLM's ReDrafter can run a draft head: check_head.py FOLDER.

Its graph has one cell, SiLU(W E(token) + U state), a state that starts at nothing and logits over the whole
vocabulary: the form of Apple's released drafters. Exit status 0 if the head is of that form, else 1 with the reason.
"""

import json
import sys
from pathlib import Path


WEIGHTS = ("model.safetensors", "llm_drafter.safetensors")
SIZES = ("hidden_size", "vocab_size", "exit_dim", "num_draft_layers")
HEADER_BYTES_MAX = 100_000_000  # The safetensors library's own bound.


def problem(folder: Path) -> str | None:
    """What keeps the head out; None if nothing."""
    if not folder.is_dir():
        return "it is no folder"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it has no config.json"
    except OSError as error:
        return f"config.json cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"config.json is no JSON: {error}"
    if not isinstance(config, dict):
        return "config.json is no object"
    if config.get("format") == "redraft-head-1":
        return ours(config)
    if config.get("rnn") is not True:
        return 'config.json: "rnn" is not true; a head without the recurrent cell is another graph'
    for field in SIZES:
        value = config.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            return f'config.json: "{field}" is not a whole number from 1'
    for name in WEIGHTS:
        if (folder / name).exists():
            return weights_problem(folder / name)
    return f"it has no {WEIGHTS[0]}"


def weights_problem(path: Path) -> str | None:
    """What is wrong with a file of weights, by its header alone: 8 bytes of length, then JSON, then the numbers."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, HEADER_BYTES_MAX):
                return f"{path.name} is no safetensors file: its header is not whole"
            header = json.loads(file.read(length))
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return f"{path.name} is no safetensors file: its header is no JSON"
    if not isinstance(header, dict):
        return f"{path.name} is no safetensors file: its header is no object"
    tensors = [value for name, value in header.items() if name != "__metadata__"]
    if not tensors:
        return f"{path.name} holds no tensor"
    for tensor in tensors:
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(isinstance(each, int) for each in offsets):
            return f"{path.name} is no safetensors file: a tensor has no data_offsets"
        if not 0 <= offsets[0] <= offsets[1] <= size - 8 - length:
            return f"{path.name} is cut short: a tensor lies beyond its end"
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
