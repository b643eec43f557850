"""The head's files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from redraft_drafter.export import FILE_BYTES_MAX, HeadError, read_head, write_head
from redraft_drafter.model import HeadConfig, init_params, tensor_shapes
from safetensors.numpy import load_file

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "smollm2-135m-instruct"


def params_of(config: HeadConfig, embedding: np.ndarray) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in init_params(0, config, embedding[:50]).items()}


def test_round_trip(config: HeadConfig, embedding: np.ndarray, tmp_path: Path) -> None:
    params, vocab = params_of(config, embedding), np.arange(50) * 3
    size = write_head(tmp_path / "head", config, params, vocab)
    assert size == (tmp_path / "head" / "model.safetensors").stat().st_size
    read_config, read_params, read_vocab, scale = read_head(tmp_path / "head")
    assert read_config == config and scale == 1.0
    np.testing.assert_array_equal(read_vocab, vocab)
    for name, value in params.items():
        np.testing.assert_array_equal(read_params[name], value.astype(np.float16))
    tensors = load_file(str(tmp_path / "head" / "model.safetensors"))
    assert tensors["draft_vocab"].dtype == np.int32
    assert {t.dtype for n, t in tensors.items() if n != "draft_vocab"} == {np.dtype("float16")}


@pytest.mark.parametrize("damage", ["missing", "shape", "nan", "huge", "vocab"])
def test_bad_heads_are_not_written(
    damage: str, config: HeadConfig, embedding: np.ndarray, tmp_path: Path
) -> None:
    params, vocab = params_of(config, embedding), np.arange(50)
    if damage == "missing":
        del params["init.bias"]
    elif damage == "shape":
        params["init.bias"] = np.zeros(9, np.float32)
    elif damage == "vocab":
        vocab = vocab[::-1]
    else:
        params["init.bias"] = params["init.bias"] + (np.nan if damage == "nan" else 1e6)
    with pytest.raises(HeadError, match="draft_vocab" if damage == "vocab" else "init.bias"):
        write_head(tmp_path / "head", config, params, vocab)
    assert not (tmp_path / "head" / "model.safetensors").exists()


def test_too_long_a_file_is_refused(config: HeadConfig, tmp_path: Path) -> None:
    wide = HeadConfig(**{**config.__dict__, "draft_vocab_size": 1_000_000})
    params = {n: np.zeros(s, np.float32) for n, s in tensor_shapes(wide).items()}
    with pytest.raises(HeadError, match=str(FILE_BYTES_MAX)):
        write_head(tmp_path, wide, params, np.arange(1_000_000))


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": "other"}', '{"format": "redraft-head-1", "cell": "gru"}']
)
def test_bad_config_is_refused(
    content: str, config: HeadConfig, embedding: np.ndarray, tmp_path: Path
) -> None:
    write_head(tmp_path, config, params_of(config, embedding), np.arange(50))
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(HeadError, match="Cannot read head"):
        read_head(tmp_path)


@pytest.mark.skipif(not (SHIPPED / "CARD.md").is_file(), reason="no head is shipped")
def test_shipped_head_is_whole() -> None:
    config, params, vocab, scale = read_head(SHIPPED)
    assert (config.hidden_size, config.target_vocab_size) == (576, 49152)
    assert np.all(np.diff(vocab) > 0) and vocab[-1] < config.target_vocab_size and scale > 0
    assert all(np.all(np.isfinite(value)) for value in params.values())
    assert (SHIPPED / "model.safetensors").stat().st_size <= FILE_BYTES_MAX
    assert config.target_digest in (SHIPPED / "CARD.md").read_text()
    assert json.loads((SHIPPED / "config.json").read_text())["logit_scale"] == scale
