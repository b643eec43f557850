"""Holds the engine's logits against a float64 forward pass of the same GGUF file, written plainly with numpy.

Standard output: one JSON object. Needs numpy and gguf (PyPI). `deno task bench logits` calls this; see bench/logits.ts.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys

import gguf
import numpy as np


class Model:
    """A Llama of the GGUF file with its weights dequantised to float64."""

    def __init__(self, path: str) -> None:
        reader = gguf.GGUFReader(path)
        self.fields = {
            key: field.contents()
            for key, field in reader.fields.items()
            if key.startswith("llama.")
        }
        # [out, in] as numpy sees it; float32 holds dequantised weights exactly, they widen when used.
        self.weights = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors
        }

    def number(self, key: str) -> float:
        return self.fields[f"llama.{key}"]

    def forward(self, tokens: np.ndarray) -> np.ndarray:
        """Logits, [len(tokens), vocab_size], float64."""
        heads, kv_heads = (
            int(self.number("attention.head_count")),
            int(self.number("attention.head_count_kv")),
        )
        epsilon, count = self.number("attention.layer_norm_rms_epsilon"), len(tokens)
        x = self.weights["token_embd.weight"][tokens].astype(np.float64)
        size = x.shape[1] // heads
        angle = np.outer(
            np.arange(count), self.number("rope.freq_base") ** (-np.arange(0, size, 2) / size)
        )
        turn = np.exp(1j * angle)[:, None, :]
        unseen = np.triu(np.full((count, count), -np.inf), 1)

        def norm(rows: np.ndarray, name: str) -> np.ndarray:
            return (
                rows / np.sqrt((rows * rows).mean(1, keepdims=True) + epsilon) * self.weights[name]
            )

        def rotate(rows: np.ndarray) -> np.ndarray:  # Adjacent pairs as complex numbers.
            pairs = rows.reshape(count, -1, size // 2, 2)
            turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
            return np.stack([turned.real, turned.imag], -1).reshape(count, -1, size)

        for layer in range(int(self.number("block_count"))):

            def product(rows: np.ndarray, name: str) -> np.ndarray:
                return rows @ self.weights[f"blk.{layer}.{name}.weight"].astype(np.float64).T

            y = norm(x, f"blk.{layer}.attn_norm.weight")
            q, k = rotate(product(y, "attn_q")), rotate(product(y, "attn_k"))
            v = product(y, "attn_v").reshape(count, kv_heads, size)
            k, v = np.repeat(k, heads // kv_heads, 1), np.repeat(v, heads // kv_heads, 1)
            scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + unseen
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            x = x + product(np.einsum("hqk,khd->qhd", weights, v).reshape(count, -1), "attn_output")
            y = norm(x, f"blk.{layer}.ffn_norm.weight")
            gate = product(y, "ffn_gate")
            x = x + product(gate / (1 + np.exp(-gate)) * product(y, "ffn_up"), "ffn_down")
        head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return norm(x, "output_norm.weight") @ head.astype(np.float64).T


class Engine:
    """The engine's redraft_hidden() through its C ABI (kernels/include/redraft.h)."""

    def __init__(self, library: str, model: str, threads: int) -> None:
        self.library = ctypes.CDLL(library)
        config = json.dumps(
            {"model": model, "threads": threads, "slots_max": 1, "pages_max": 1}
        ).encode()
        handle = ctypes.c_uint32()
        if self.library.redraft_open(config, ctypes.c_size_t(len(config)), ctypes.byref(handle)):
            raise SystemExit(f"Cannot open the engine: {self.words(0)}")
        self.handle = handle

    def words(self, handle: int) -> str:
        text, size = ctypes.create_string_buffer(4096), ctypes.c_size_t()
        self.library.redraft_last_error(
            ctypes.c_uint32(handle), text, ctypes.c_size_t(4096), ctypes.byref(size)
        )
        return text.raw[: size.value].decode()

    def logits(self, tokens: np.ndarray, vocab_size: int) -> np.ndarray:
        ids, out = tokens.astype(np.uint32), np.empty((len(tokens), vocab_size), np.float32)
        pointer = ctypes.c_void_p
        if self.library.redraft_hidden(
            self.handle,
            pointer(ids.ctypes.data),
            ctypes.c_size_t(len(ids)),
            None,
            pointer(out.ctypes.data),
            ctypes.c_size_t(0),
        ):
            raise SystemExit(f"Cannot compute logits: {self.words(self.handle.value)}")
        return out


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


class Divergence:
    """How far logits lie from the reference, over all positions."""

    def __init__(self) -> None:
        self.divergence: list[float] = []
        self.agreed: list[bool] = []

    def add(self, expected: np.ndarray, logits: np.ndarray) -> None:
        actual = log_softmax(logits.astype(np.float64))
        self.divergence.extend((np.exp(expected) * (expected - actual)).sum(1))
        self.agreed.extend(expected.argmax(1) == actual.argmax(1))

    def figures(self) -> dict:
        return {
            "positions": len(self.agreed),
            "kl_mean": float(np.mean(self.divergence)),
            "kl_max": float(np.max(self.divergence)),
            "top1_agreement": float(np.mean(self.agreed)),
        }


def open_peer(model: str, threads: int):
    from llama_runner import Peer  # Where the package is wanted alone: it is built from sources.

    peer = Peer()
    peer.open(model, threads, 1)
    return peer.single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--library", required=True, help="libredraft_cpu.so")
    parser.add_argument("--tokens", required=True, help="a file: one JSON array of token ids a line")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", help="also llama.cpp on the same file, by this name")
    options = parser.parse_args()
    with open(options.tokens, encoding="utf-8") as lines:
        sequences = [np.array(json.loads(line), np.int64) for line in lines if line.strip()]
    model, engine = Model(options.model), Engine(options.library, options.model, options.threads)
    peer = open_peer(options.model, options.threads) if options.peer else None
    ours, theirs = Divergence(), Divergence()
    for done, tokens in enumerate(sequences):
        expected = log_softmax(model.forward(tokens))
        ours.add(expected, engine.logits(tokens, expected.shape[1]))
        if peer:
            theirs.add(expected, peer.logits(tokens.tolist()))
        print(f"{done + 1} of {len(sequences)} prompts", file=sys.stderr, flush=True)
    figures = ours.figures()
    if peer:
        figures["peer"] = {"name": options.peer, **theirs.figures()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
