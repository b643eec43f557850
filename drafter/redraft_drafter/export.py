"""Writes a head in the form that the engine loads: config.json and model.safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from .model import HeadConfig, tensor_shapes

FILE_BYTES_MAX = 16 * 1024 * 1024


class HeadError(Exception):
    """A head that cannot be written or read."""


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def write_head(
    folder: Path,
    config: HeadConfig,
    params: dict[str, np.ndarray],
    draft_vocab: np.ndarray,
) -> int:
    """Writes a head; weights are rounded to float16, which is finer than the engine's 8 bits.

    Args:
        params: The tensors of `tensor_shapes`, float32.
        draft_vocab: [draft_vocab_size] ascending target ids.

    Returns:
        Bytes of model.safetensors.

    Raises:
        HeadError: If a tensor is missing, misshapen, too big for float16, or the file too long.
    """
    tensors: dict[str, np.ndarray] = {}
    for name, shape in tensor_shapes(config).items():
        if name not in params or tuple(params[name].shape) != shape:
            found = "missing" if name not in params else list(params[name].shape)
            raise HeadError(f"Cannot write head: tensor {name} is {found}, want {list(shape)}")
        with np.errstate(over="ignore"):  # The check below says it better.
            tensors[name] = np.asarray(params[name]).astype(np.float16)
        if not np.all(np.isfinite(tensors[name])):
            raise HeadError(f"Cannot write head: tensor {name} has values that float16 cannot hold")
    vocab = np.asarray(draft_vocab)
    if len(vocab) != config.draft_vocab_size or not np.all(np.diff(vocab) > 0):
        raise HeadError(
            f"Cannot write head: draft_vocab of {len(vocab)} ids must rise and hold "
            f"{config.draft_vocab_size}"
        )
    tensors["draft_vocab"] = vocab.astype(np.int32)
    content = save(tensors)
    if len(content) > FILE_BYTES_MAX:
        raise HeadError(
            f"Cannot write head: {len(content)} bytes, at most {FILE_BYTES_MAX}; "
            "lower --mlp-size or --draft-vocab"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "model.safetensors", content)
    _write(folder / "config.json", (json.dumps(config.to_json(), indent=2) + "\n").encode())
    return len(content)


def read_head(folder: Path) -> tuple[HeadConfig, dict[str, np.ndarray], np.ndarray, float]:
    """Reads what `write_head` wrote.

    Returns:
        Shapes, float32 tensors, draft vocabulary [draft_vocab_size] i32, and the logit scale.

    Raises:
        HeadError: If a file is missing, damaged, or its tensors do not fit config.json.
    """
    try:
        fields = json.loads((folder / "config.json").read_text())
        if not isinstance(fields, dict):
            raise ValueError("config.json is not an object")
        config = HeadConfig.from_json(fields)
        tensors = load_file(str(folder / "model.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        raise HeadError(f"Cannot read head {folder}: {error}") from error
    params = {}
    for name, shape in tensor_shapes(config).items():
        if name not in tensors or tensors[name].shape != shape:
            raise HeadError(f"Cannot read head {folder}: tensor {name} does not fit config.json")
        params[name] = tensors[name].astype(np.float32)
    vocab = tensors.get("draft_vocab")
    if vocab is None or vocab.shape != (config.draft_vocab_size,):
        raise HeadError(f"Cannot read head {folder}: draft_vocab does not fit config.json")
    return config, params, vocab, float(fields.get("logit_scale", 1.0))
