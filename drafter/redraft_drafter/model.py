"""The draft head: a GRU over the target's embeddings, an MLP, and a head over a trimmed vocabulary.

ReDrafter (arXiv 2403.09919) has an RNN cell and a head over the whole vocabulary; the GRU cell, the
learnt first state and the trimmed vocabulary are Redraft's own (DESIGN.md, section 5). Tensor names
and shapes are those that the engine's loader checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]

FORMAT = "redraft-head-1"


@dataclass(frozen=True)
class HeadConfig:
    """Shapes of a head. `target_digest` is the SHA-256 of the GGUF file, in hex."""

    hidden_size: int
    state_size: int
    mlp_size: int
    mlp_layers: int
    draft_vocab_size: int
    target_vocab_size: int
    target_digest: str

    def to_json(self) -> dict[str, Any]:
        """The object that config.json holds."""
        return {"format": FORMAT, "cell": "gru", **asdict(self), "logit_scale": 1.0}

    @staticmethod
    def from_json(fields: dict[str, Any]) -> HeadConfig:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If it is of another format or a field is missing.
        """
        if fields.get("format") != FORMAT or fields.get("cell") != "gru":
            raise ValueError(
                f'Cannot read head config: format {fields.get("format")!r}, cell '
                f'{fields.get("cell")!r}, want {FORMAT!r} and "gru"'
            )
        names = list(HeadConfig.__dataclass_fields__)
        missing = [name for name in names if name not in fields]
        if missing:
            raise ValueError(f"Cannot read head config: no field {missing[0]!r}")
        return HeadConfig(**{name: fields[name] for name in names})


def tensor_shapes(config: HeadConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every trained tensor, in the file's order (`draft_vocab` is not trained)."""
    h, s, d = config.hidden_size, config.state_size, config.mlp_size
    shapes: dict[str, tuple[int, ...]] = {
        "init.weight": (s, h),
        "init.bias": (s,),
        "gru.w_ih": (3 * s, h),
        "gru.b_ih": (3 * s,),
        "gru.w_hh": (3 * s, s),
        "gru.b_hh": (3 * s,),
        "mlp.0.weight": (d, h + s),
        "mlp.0.bias": (d,),
    }
    for layer in range(1, config.mlp_layers):
        shapes[f"mlp.{layer}.weight"] = (d, d)
        shapes[f"mlp.{layer}.bias"] = (d,)
    shapes["head.weight"] = (config.draft_vocab_size, d)
    shapes["head.bias"] = (config.draft_vocab_size,)
    return shapes


def parameter_count(config: HeadConfig) -> int:
    """Trained weights of a head."""
    return sum(int(np.prod(shape)) for shape in tensor_shapes(config).values())


def init_params(seed: int, config: HeadConfig, head_rows: np.ndarray) -> Params:
    """A fresh head.

    Args:
        head_rows: The target's own output rows of the draft vocabulary, [draft_vocab_size,
            hidden_size]: the head starts from them, cut to their leading directions where mlp_size
            is smaller, so that tokens alike to the target are alike to the head from the start.
    """
    rng = np.random.default_rng(seed)
    params: dict[str, np.ndarray] = {}
    for name, shape in tensor_shapes(config).items():
        if len(shape) == 1:
            params[name] = np.zeros(shape, np.float32)
        else:
            params[name] = rng.normal(0.0, shape[1] ** -0.5, shape).astype(np.float32)
    rows = head_rows.astype(np.float32)
    width = min(config.mlp_size, config.hidden_size)
    if width < config.hidden_size:
        _, _, directions = np.linalg.svd(rows, full_matrices=False)
        rows = rows @ directions[:width].T  # Fewer columns where the vocabulary is smaller still.
    params["head.weight"] *= 0.1
    params["head.weight"][:, : rows.shape[1]] = rows
    # An update gate that starts at 0.73 keeps the state, so that the later steps see the context.
    params["gru.b_ih"][config.state_size : 2 * config.state_size] = 1.0
    return {name: jnp.asarray(value) for name, value in params.items()}


@jax.custom_vjp
def linear(x: jax.Array, weight: jax.Array) -> jax.Array:
    """x [rows, n] times weight [m, n] transposed, in bfloat16 with float32 sums.

    Both passes run in bfloat16: with AVX-512 BF16 a training step took 0.80 s, in float32 1.01 s.
    """
    return _dot(x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16), 1, 1)


def _dot(a: jax.Array, b: jax.Array, a_axis: int, b_axis: int) -> jax.Array:
    dims = (((a_axis,), (b_axis,)), ((), ()))
    return jax.lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)


def _linear_forward(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, Any]:
    x16, weight16 = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
    return _dot(x16, weight16, 1, 1), (x16, weight16)


def _linear_backward(saved: Any, grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    x16, weight16 = saved
    grad16 = grad.astype(jnp.bfloat16)
    return _dot(grad16, weight16, 1, 0), _dot(grad16, x16, 0, 0)


linear.defvjp(_linear_forward, _linear_backward)


def gru_step(params: Params, gates_x: jax.Array, state: jax.Array) -> jax.Array:
    """One step of the cell, PyTorch's gate order r, z, n.

    Args:
        gates_x: W_ih x + b_ih, [rows, 3 * state_size].
        state: [rows, state_size].
    """
    size = state.shape[1]
    gates_s = linear(state, params["gru.w_hh"]) + params["gru.b_hh"]
    gate = jax.nn.sigmoid(gates_x[:, : 2 * size] + gates_s[:, : 2 * size])
    reset, update = gate[:, :size], gate[:, size:]
    new = jnp.tanh(gates_x[:, 2 * size :] + reset * gates_s[:, 2 * size :])
    return (1.0 - update) * new + update * state


@dataclass(frozen=True)
class Dropout:
    """Dropout while training: a head of millions of weights learns a small corpus by heart."""

    key: jax.Array
    rate: float

    def apply(self, place: int, x: jax.Array) -> jax.Array:
        """x with a share `rate` of its values zeroed and the rest scaled up; `place` tells uses
        apart."""
        key = jax.random.fold_in(self.key, place)
        keep = jax.random.bernoulli(key, 1.0 - self.rate, x.shape)
        return jnp.where(keep, x / (1.0 - self.rate), 0.0)


def draft_logits(
    params: Params,
    context_part: jax.Array,
    state: jax.Array,
    dropout: Dropout | None = None,
    place: int = 0,
) -> jax.Array:
    """Logits over the draft vocabulary, [rows, draft_vocab_size].

    Args:
        context_part: What mlp.0 makes of the context, bias included, [rows, mlp_size]: it is the
            same in every step of a round.
        state: The state after the step, [rows, state_size].
    """
    hidden_size = params["mlp.0.weight"].shape[1] - state.shape[1]
    y = jax.nn.silu(context_part + linear(state, params["mlp.0.weight"][:, hidden_size:]))
    layer = 1
    while f"mlp.{layer}.weight" in params:
        y = y + jax.nn.silu(linear(y, params[f"mlp.{layer}.weight"]) + params[f"mlp.{layer}.bias"])
        layer += 1
    if dropout:
        y = dropout.apply(place, y)
    return linear(y, params["head.weight"]) + params["head.bias"]


def unroll(
    params: Params,
    context: jax.Array,
    inputs: jax.Array,
    windows_kept: Sequence[int],
    dropout: Dropout | None = None,
) -> list[jax.Array]:
    """Logits of every horizon for windows of neighbouring start positions.

    Neighbours share their inputs: W_ih x is computed once per token and shifted, not once per token
    and horizon.

    Args:
        context: The target's hidden states at the starts, [windows, starts, hidden_size].
        inputs: Embeddings of the tokens drawn at the starts and after them,
            [windows, starts + horizons - 1, hidden_size].
        windows_kept: How many of the windows, from the first, go on to each horizon; falling.
        dropout: On the context and before the head; None when not training.

    Returns:
        Per horizon k (from 0) logits [windows_kept[k] * starts, draft_vocab_size].
    """
    windows, starts, hidden_size = context.shape
    flat = context.reshape(windows * starts, hidden_size).astype(jnp.float32)
    if dropout:
        flat = dropout.apply(0, flat)
    gates_x = linear(inputs.reshape(-1, hidden_size), params["gru.w_ih"]) + params["gru.b_ih"]
    gates_x = gates_x.reshape(windows, inputs.shape[1], -1)
    state = jnp.tanh(linear(flat, params["init.weight"]) + params["init.bias"])
    part = linear(flat, params["mlp.0.weight"][:, :hidden_size]) + params["mlp.0.bias"]
    logits = []
    for step, kept in enumerate(windows_kept):
        rows = kept * starts
        gates = gates_x[:kept, step : step + starts].reshape(rows, -1)
        state = gru_step(params, gates, state[:rows])
        logits.append(draft_logits(params, part[:rows], state, dropout, step + 1))
    return logits
