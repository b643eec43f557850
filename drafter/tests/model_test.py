"""The head's arithmetic against loops of plain Python."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from redraft_drafter.exact_zip import exact_zip
from redraft_drafter.model import HeadConfig, init_params, parameter_count, tensor_shapes, unroll
from redraft_drafter.tree import NumpyHead


def reference_logits(p: dict, context: np.ndarray, tokens: list[np.ndarray]) -> list[np.ndarray]:
    """One start position, float64, straight from the definition."""
    p = {name: np.asarray(value, np.float64) for name, value in p.items()}
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    size = len(p["init.bias"])
    state = np.tanh(p["init.weight"] @ context + p["init.bias"])
    out = []
    for x in tokens:
        a = p["gru.w_ih"] @ x + p["gru.b_ih"]
        b = p["gru.w_hh"] @ state + p["gru.b_hh"]
        r = sigmoid(a[:size] + b[:size])
        z = sigmoid(a[size : 2 * size] + b[size : 2 * size])
        n = np.tanh(a[2 * size :] + r * b[2 * size :])
        state = (1 - z) * n + z * state
        y = p["mlp.0.weight"] @ np.concatenate([context, state]) + p["mlp.0.bias"]
        y = y * sigmoid(y)
        u = p["mlp.1.weight"] @ y + p["mlp.1.bias"]
        y = y + u * sigmoid(u)
        out.append(p["head.weight"] @ y + p["head.bias"])
    return out


def random_params(config: HeadConfig, embedding: np.ndarray) -> dict:
    params = init_params(0, config, embedding[: config.draft_vocab_size])
    random = np.random.default_rng(3)
    return {
        k: v + jnp.asarray(random.normal(0, 0.1, v.shape), jnp.float32) for k, v in params.items()
    }


def test_numpy_head_equals_reference(config: HeadConfig, embedding: np.ndarray) -> None:
    params = {k: np.asarray(v) for k, v in random_params(config, embedding).items()}
    head = NumpyHead(params, np.arange(config.draft_vocab_size))
    random = np.random.default_rng(4)
    context = random.normal(0, 1, config.hidden_size).astype(np.float32)
    tokens = [embedding[t].astype(np.float32) for t in (3, 9, 100)]
    state, part = head.begin(context[None])
    for x, logits in exact_zip(tokens, reference_logits(params, context, tokens)):
        state = head.advance(state, x[None])
        want = logits - np.log(np.exp(logits).sum())
        np.testing.assert_allclose(head.logprobs(part, state)[0], want, atol=1e-5)


def test_unroll_equals_reference_within_bfloat16(config: HeadConfig, embedding: np.ndarray) -> None:
    params = random_params(config, embedding)
    random = np.random.default_rng(5)
    windows, starts, horizons = 3, 4, 3
    context = random.normal(0, 1, (windows, starts, config.hidden_size)).astype(np.float32)
    inputs = embedding[random.integers(0, 200, (windows, starts + horizons - 1))].astype(np.float32)
    kept = (3, 3, 1)
    got = unroll(params, jnp.asarray(context), jnp.asarray(inputs), kept)
    for w in range(windows):
        for t in range(starts):
            want = reference_logits(params, context[w, t], list(inputs[w, t : t + horizons]))
            for k in range(horizons):
                if w < kept[k]:
                    np.testing.assert_allclose(got[k][w * starts + t], want[k], atol=0.06)


def test_shapes_and_count(config: HeadConfig) -> None:
    assert parameter_count(config) == sum(int(np.prod(s)) for s in tensor_shapes(config).values())
    assert HeadConfig.from_json(config.to_json()) == config


def test_narrow_mlp_starts_from_leading_directions(embedding: np.ndarray) -> None:
    narrow = HeadConfig(12, 8, 6, 1, 50, 200, "ab" * 32)
    params = init_params(0, narrow, embedding[:50])
    assert params["head.weight"].shape == (50, 6)
    assert bool(jax.numpy.isfinite(params["head.weight"]).all())
