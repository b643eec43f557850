"""Drafting in plain NumPy: the engine's beam search and packing over many start positions at once.

Mirrors kernels/beam_search: every candidate seen is kept, the best `packed_max` by path
log-probability make the tree. With it a head can be judged without the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _silu(x: np.ndarray) -> np.ndarray:
    return x * _sigmoid(x)


class NumpyHead:
    """The head's arithmetic in float32, from exported tensors."""

    def __init__(
        self, params: dict[str, np.ndarray], draft_vocab: np.ndarray, logit_scale: float = 1.0
    ) -> None:
        self.params = params
        self.draft_vocab = draft_vocab
        self.logit_scale = logit_scale
        self._size = params["init.weight"].shape[0]
        self._hidden = params["init.weight"].shape[1]

    def begin(self, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First state [rows, state_size] and mlp.0's part of the context [rows, mlp_size].

        Args:
            context: [rows, hidden_size].
        """
        p = self.params
        state = np.tanh(context @ p["init.weight"].T + p["init.bias"])
        return state, context @ p["mlp.0.weight"][:, : self._hidden].T + p["mlp.0.bias"]

    def advance(self, state: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The cell: [rows, state_size] and embeddings [rows, hidden_size] to the next state."""
        p, s = self.params, self._size
        gates_x = x @ p["gru.w_ih"].T + p["gru.b_ih"]
        gates_s = state @ p["gru.w_hh"].T + p["gru.b_hh"]
        reset = _sigmoid(gates_x[:, :s] + gates_s[:, :s])
        update = _sigmoid(gates_x[:, s : 2 * s] + gates_s[:, s : 2 * s])
        new = np.tanh(gates_x[:, 2 * s :] + reset * gates_s[:, 2 * s :])
        return (1.0 - update) * new + update * state

    def logprobs(self, context_part: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Log-probabilities over the draft vocabulary, [rows, draft_vocab_size]."""
        p = self.params
        y = _silu(context_part + state @ p["mlp.0.weight"][:, self._hidden :].T)
        layer = 1
        while f"mlp.{layer}.weight" in p:
            y = y + _silu(y @ p[f"mlp.{layer}.weight"].T + p[f"mlp.{layer}.bias"])
            layer += 1
        logits = (y @ p["head.weight"].T + p.get("head.bias", 0.0)) * self.logit_scale
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Nodes:
    """All candidates seen from each start; column 0 is the root, parents stand before children."""

    token: np.ndarray
    """[starts, nodes] target ids"""
    parent: np.ndarray
    """[starts, nodes], -1 at the root"""
    logprob: np.ndarray
    """[starts, nodes] of the path from the root"""


def _best(logprob: np.ndarray, token: np.ndarray, count: int) -> np.ndarray:
    """Columns of the `count` best of each row; among equals the lower token, then the earlier."""
    index = np.broadcast_to(np.arange(logprob.shape[1]), logprob.shape)
    return np.lexsort((index, token, -logprob), axis=-1)[:, :count]


def grow(
    head: NumpyHead,
    embedding: np.ndarray,
    context: np.ndarray,
    init_token: np.ndarray,
    beam_width: int,
    beam_length: int,
) -> Nodes:
    """Searches from each start.

    Args:
        embedding: The target's embedding table, [target_vocab_size, hidden_size].
        context: [starts, hidden_size].
        init_token: [starts], the token that the target drew there.
        beam_length: Includes the init token.
    """
    starts = len(init_token)
    width = min(beam_width, len(head.draft_vocab))
    tokens = [np.asarray(init_token, np.int64)[:, None]]
    parents = [np.full((starts, 1), -1)]
    logprobs = [np.zeros((starts, 1), np.float32)]
    state, part = head.begin(context.astype(np.float32))
    state = state[:, None]  # [starts, beams, state_size]
    frontier, beam_token, beam_logprob = np.zeros((starts, 1), int), tokens[0], logprobs[0]
    first = 1  # Column of the next candidate.
    for _ in range(beam_length - 1):
        beams = beam_token.shape[1]
        x = embedding[beam_token.ravel()].astype(np.float32)
        flat = head.advance(state.reshape(starts * beams, -1), x)
        scores = head.logprobs(np.repeat(part, beams, axis=0), flat)
        top = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        value = np.take_along_axis(scores, top, 1)
        top = np.take_along_axis(top, _best(value, top, width), 1)
        value = np.take_along_axis(scores, top, 1).reshape(starts, beams, width)
        path = (beam_logprob[:, :, None] + np.minimum(value, 0.0)).reshape(starts, -1)
        token = head.draft_vocab[top].astype(np.int64).reshape(starts, -1)
        tokens.append(token)
        logprobs.append(path.astype(np.float32))
        parents.append(np.repeat(frontier, width, axis=1))
        chosen = _best(path, token, width)
        state = np.take_along_axis(
            flat.reshape(starts, beams, -1), (chosen // width)[:, :, None], axis=1
        )
        frontier = first + chosen
        beam_token = np.take_along_axis(token, chosen, 1)
        beam_logprob = np.take_along_axis(path, chosen, 1)
        first += token.shape[1]
    return Nodes(np.hstack(tokens), np.hstack(parents), np.hstack(logprobs))


def ranks(nodes: Nodes) -> np.ndarray:
    """Place of each node in the packing order, [starts, nodes]: a tree of `packed_max` tokens holds
    the nodes of a lower rank. Among equals the older comes first, so the root has rank 0."""
    order = np.argsort(-nodes.logprob, axis=1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.arange(order.shape[1])[None, :], axis=1)
    return out


def accepted_counts(nodes: Nodes, truth: np.ndarray, packed_sizes: Sequence[int]) -> np.ndarray:
    """Draft tokens that greedy validation accepts, [starts, len(packed_sizes)].

    Args:
        truth: [starts, draft_length] the tokens that follow the init token, -1 past the end.
        packed_sizes: Packed tokens, root included.
    """
    rank = ranks(nodes)
    starts = len(truth)
    at = np.zeros(starts, np.int64)
    alive = np.ones(starts, bool)
    counts = np.zeros((starts, len(packed_sizes)), np.int64)
    sizes = np.asarray(packed_sizes)
    for depth in range(truth.shape[1]):
        hit = (nodes.parent == at[:, None]) & (nodes.token == truth[:, depth : depth + 1])
        alive &= hit.any(axis=1) & (truth[:, depth] >= 0)
        at = np.where(alive, hit.argmax(axis=1), 0)
        place = rank[np.arange(starts), at]
        counts += (alive[:, None] & (place[:, None] < sizes)).astype(np.int64)
    return counts
