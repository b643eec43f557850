"""What training needs of the GGUF file beside the engine: its digest and its embedding table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


class ModelError(Exception):
    """A GGUF file that cannot be trained for."""


def file_digest(path: Path) -> str:
    """SHA-256 of the file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def read_tables(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The embedding table and the output rows, both [target_vocab_size, hidden_size] f16.

    Models with tied embeddings (SmolLM2 is one) have no output.weight: both are one array then.

    Raises:
        ModelError: If the file is not a GGUF model with an embedding table.
    """
    try:
        tensors = {tensor.name: tensor for tensor in GGUFReader(str(path)).tensors}
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"Cannot read model {path}: {error}") from error
    if "token_embd.weight" not in tensors:
        raise ModelError(f"Cannot train for {path}: it has no token_embd.weight")

    def table(name: str) -> np.ndarray:
        tensor = tensors[name]
        values = dequantize(tensor.data, tensor.tensor_type)
        return values.reshape(tuple(int(n) for n in reversed(tensor.shape))).astype(np.float16)

    embedding = table("token_embd.weight")
    return embedding, table("output.weight") if "output.weight" in tensors else embedding
