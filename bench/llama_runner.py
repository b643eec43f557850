"""llama.cpp (PyPI llama-cpp-python) on orders of bench/peer_llama.ts: a JSON object a line in, one a line out.

{"op": "quantize", "source", "target"}          -> {}
{"op": "open", "model", "threads", "sequences"} -> {"system"}; contexts of one sequence and of so many
{"op": "prompt", "tokens"}                      -> {"seconds"}: until the first token is known
{"op": "decode", "prompts", "count"}            -> {"seconds"} of count - 1 steps of all prompts together
{"op": "generate", "tokens", "count", "lookup"} -> {"seconds", "tokens", "steps"}, prompt included, past stop tokens
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

import llama_cpp as lib
import numpy as np
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

BATCH_MAX = 2048
SEQUENCE_TOKENS_MAX = 256
CONTEXT_TOKENS_MAX = 8192
LOOKUP_TOKENS = 2  # The package's README: "10 is the default and generally good for gpu, 2 performs better for cpu".


@lib.llama_log_callback
def quiet(_level: int, _text: bytes, _data: Any) -> None:
    """Standard error is for our own words."""


class Context:
    """KV of some sequences, and a batch to fill it."""

    def __init__(self, model: Any, sequences: int, context_max: int, threads: int) -> None:
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_seq_max = context_max, BATCH_MAX, sequences
        params.n_threads = params.n_threads_batch = threads
        self.handle = lib.llama_init_from_model(model, params)
        if not self.handle:
            raise RuntimeError(f"Cannot make a context of {sequences} sequences")
        self.vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self.memory = lib.llama_get_memory(self.handle)
        self.batch = lib.llama_batch_init(BATCH_MAX, 0, 1)

    def clear(self) -> None:
        lib.llama_memory_clear(self.memory, False)

    def decode(self, rows: list[tuple[int, int, int, bool]]) -> np.ndarray:
        """Computes rows of (token, position, sequence, wants logits). Returns logits, [wanted, vocab_size]."""
        batch, wanted = self.batch, 0
        batch.n_tokens = len(rows)
        for row, (token, position, sequence, wants) in enumerate(rows):
            batch.token[row], batch.pos[row] = token, position
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
            batch.logits[row] = wants
            wanted += wants
        status = lib.llama_decode(self.handle, batch)
        if status != 0:
            raise RuntimeError(f"Cannot decode {len(rows)} rows: llama_decode() says {status}")
        if wanted == 0:
            lib.llama_synchronize(self.handle)
            return np.empty((0, self.vocab_size), np.float32)
        pointer = ctypes.cast(lib.llama_get_logits(self.handle), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, (wanted, self.vocab_size))

    def read_prompt(self, tokens: list[int], sequence: int = 0) -> int:
        """Returns the greedy token after `tokens`."""
        rows = [(token, at, sequence, at == len(tokens) - 1) for at, token in enumerate(tokens)]
        for start in range(0, len(rows), BATCH_MAX):
            logits = self.decode(rows[start : start + BATCH_MAX])
        return int(logits[-1].argmax())

    def logits(self, tokens: list[int]) -> np.ndarray:
        """[len(tokens), vocab_size]"""
        self.clear()
        rows = [(token, at, 0, True) for at, token in enumerate(tokens)]
        starts = range(0, len(rows), BATCH_MAX)
        return np.concatenate([self.decode(rows[start : start + BATCH_MAX]).copy() for start in starts])


class Peer:
    def __init__(self) -> None:
        lib.llama_log_set(quiet, None)
        lib.llama_backend_init()

    def quantize(self, source: str, target: str) -> dict:
        params = lib.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = lib.LLAMA_FTYPE_MOSTLY_Q4_0, True
        status = lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
        if status != 0:
            raise RuntimeError(f"Cannot requantise {source}: llama_model_quantize() says {status}")
        return {}

    def open(self, model: str, threads: int, sequences: int) -> dict:
        handle = lib.llama_model_load_from_file(model.encode(), lib.llama_model_default_params())
        if not handle:
            raise RuntimeError(f"Cannot load {model}")
        context_max = min(lib.llama_model_n_ctx_train(handle), CONTEXT_TOKENS_MAX)
        self.single = Context(handle, 1, context_max, threads)
        self.many = Context(handle, sequences, sequences * SEQUENCE_TOKENS_MAX, threads)
        return {"system": lib.llama_print_system_info().decode()}

    def prompt(self, tokens: list[int]) -> dict:
        self.single.clear()
        started = time.perf_counter()
        self.single.read_prompt(tokens)
        return {"seconds": time.perf_counter() - started}

    def decode(self, prompts: list[list[int]], count: int) -> dict:
        context = self.single if len(prompts) == 1 else self.many
        context.clear()
        last = [context.read_prompt(tokens, at) for at, tokens in enumerate(prompts)]
        started = time.perf_counter()
        for step in range(count - 1):
            rows = [
                (last[at], len(tokens) + step, at, True) for at, tokens in enumerate(prompts)
            ]
            last = context.decode(rows).argmax(1).tolist()
        return {"seconds": time.perf_counter() - started}

    def generate(self, tokens: list[int], count: int, lookup: bool) -> dict:
        draft = LlamaPromptLookupDecoding(num_pred_tokens=LOOKUP_TOKENS) if lookup else None
        context = self.single
        context.clear()
        known = np.empty(len(tokens) + count + LOOKUP_TOKENS + 1, np.intc)
        known[: len(tokens)] = tokens
        started = time.perf_counter()
        known[len(tokens)] = context.read_prompt(tokens)
        size, steps = len(tokens) + 1, 1
        while size < len(tokens) + count:
            drafted = draft(known[:size]).tolist() if draft else []
            rows = [int(known[size - 1]), *drafted]
            chosen = context.decode([(t, size - 1 + at, 0, True) for at, t in enumerate(rows)]).argmax(1)
            accepted = 0
            while accepted < len(drafted) and chosen[accepted] == drafted[accepted]:
                accepted += 1
            known[size : size + accepted + 1] = chosen[: accepted + 1]
            size, steps = size + accepted + 1, steps + 1
            if accepted < len(drafted):
                lib.llama_memory_seq_rm(context.memory, 0, size - 1, -1)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": known[len(tokens) : size].tolist(), "steps": steps}


def main() -> None:
    # What llama.cpp itself prints must not stand between our lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer = Peer()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(peer, order.pop("op"))(**order)
        except RuntimeError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
