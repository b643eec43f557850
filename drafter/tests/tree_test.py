"""Search and packing against brute force."""

from __future__ import annotations

import itertools

import numpy as np
from redraft_drafter.evaluate import walk_steps
from redraft_drafter.model import HeadConfig, init_params
from redraft_drafter.tree import NumpyHead, Nodes, accepted_counts, grow, ranks


def small_head(config: HeadConfig, embedding: np.ndarray, vocab: int) -> NumpyHead:
    small = HeadConfig(**{**config.__dict__, "draft_vocab_size": vocab})
    chosen = np.arange(vocab) * 7 + 3
    params = {k: np.asarray(v) for k, v in init_params(2, small, embedding[chosen]).items()}
    params["head.weight"] = params["head.weight"] * 8.0
    return NumpyHead(params, chosen)


def brute_force(
    head: NumpyHead, embedding: np.ndarray, context: np.ndarray, init_token: int, depth: int
) -> dict[tuple[int, ...], float]:
    """Log-probability of every path of at most `depth` draft tokens."""
    out: dict[tuple[int, ...], float] = {}
    for length in range(1, depth + 1):
        for path in itertools.product(range(len(head.draft_vocab)), repeat=length):
            state, part = head.begin(context[None])
            total, token = 0.0, init_token
            for column in path:
                state = head.advance(state, embedding[token][None].astype(np.float32))
                total += float(head.logprobs(part, state)[0, column])
                token = int(head.draft_vocab[column])
            out[tuple(int(head.draft_vocab[c]) for c in path)] = total
    return out


def paths(nodes: Nodes, start: int) -> list[tuple[int, ...]]:
    out: list[tuple[int, ...]] = []
    for column in range(nodes.token.shape[1]):
        parent = int(nodes.parent[start, column])
        out.append(() if parent < 0 else (*out[parent], int(nodes.token[start, column])))
    return out


def test_full_width_search_packs_the_best_paths(config: HeadConfig, embedding: np.ndarray) -> None:
    vocab, depth = 5, 3
    head = small_head(config, embedding, vocab)
    contexts = np.random.default_rng(6).normal(0, 1, (3, config.hidden_size)).astype(np.float32)
    nodes = grow(head, embedding, contexts, np.array([1, 2, 3]), vocab**depth, depth + 1)
    # A width past the vocabulary is cut to it, so the second level keeps 5 of 25: still enough for
    # the best few.
    for start, token in enumerate((1, 2, 3)):
        want = brute_force(head, embedding, contexts[start], token, depth)
        best = sorted(want, key=lambda path: -want[path])[:5]
        rank = ranks(nodes)[start]
        named = paths(nodes, start)
        got = [named[c] for c in np.argsort(rank)[1:6]]
        assert got == best
        for column, path in enumerate(named):
            if path:
                assert abs(want[path] - nodes.logprob[start, column]) < 1e-4


def test_any_prefix_of_the_packing_is_a_tree(config: HeadConfig, embedding: np.ndarray) -> None:
    head = small_head(config, embedding, 20)
    contexts = np.random.default_rng(7).normal(0, 1, (4, config.hidden_size)).astype(np.float32)
    nodes = grow(head, embedding, contexts, np.array([1, 2, 3, 4]), 4, 5)
    rank = ranks(nodes)
    for start in range(4):
        for column in range(1, nodes.token.shape[1]):
            assert rank[start, nodes.parent[start, column]] < rank[start, column]


def test_accepted_counts_equal_a_walk_of_the_tree(
    config: HeadConfig, embedding: np.ndarray
) -> None:
    head = small_head(config, embedding, 8)
    random = np.random.default_rng(8)
    contexts = random.normal(0, 1, (20, config.hidden_size)).astype(np.float32)
    nodes = grow(head, embedding, contexts, random.integers(0, 200, 20), 4, 4)
    truth = head.draft_vocab[random.integers(0, 3, (20, 3))]
    truth[::5, 1] = -1
    got = accepted_counts(nodes, truth, (1, 2, 4, 8, 64))
    rank = ranks(nodes)
    for start in range(20):
        named = paths(nodes, start)
        for place, size in enumerate((1, 2, 4, 8, 64)):
            tree = {named[c] for c in range(len(named)) if rank[start, c] < size}
            count = 0
            while count < 3 and tuple(truth[start, : count + 1]) in tree:
                count += 1
            assert got[start, place] == count


def test_walk_steps() -> None:
    assert walk_steps(np.array([0, 0, 0, 0])) == 3
    assert walk_steps(np.array([1, 5, 0, 0])) == 2
    assert walk_steps(np.array([9, 9])) == 1
    assert walk_steps(np.array([0])) == 0
