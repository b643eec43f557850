"""The engine's binding: plans, in-flight batching against a fake, and what is said where it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from redraft_drafter.answers import Job, generate, label_rows
from redraft_drafter.cli import main
from redraft_drafter.engine import Engine, EngineError
from redraft_drafter.step_codec import (
    FLAG_RESET,
    FLAG_SAMPLE,
    PLAN_MAGIC,
    RECORD_WORDS,
    RESULT_HEADER_WORDS,
    RESULT_MAGIC,
    RESULT_RECORD_WORDS,
    VERSION,
    Record,
    Sampling,
    decode_result,
    encode_plan,
)


class FakeEngine:
    """Answers each sequence with the tokens that follow its prompt's last: last + 1, last + 2, ..."""

    rows_max = 16

    def __init__(self) -> None:
        self.computed: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.rows: list[int] = []

    def step(self, plan: np.ndarray, result_words_max: int) -> np.ndarray:
        assert int(plan[0]) == PLAN_MAGIC and int(plan[2]) == plan.nbytes
        out, at, rows = [], 8, 0
        for _ in range(int(plan[4])):
            words, slot, flags, computed, count = (int(w) for w in plan[at : at + 5])
            tokens = plan[at + RECORD_WORDS : at + RECORD_WORDS + count]
            if flags & FLAG_RESET:
                assert computed == 0
                self.computed[slot] = 0
            assert self.computed[slot] == computed
            self.computed[slot] += max(count, 1)
            rows += max(count, 1)
            gained = []
            if flags & FLAG_SAMPLE:
                self.last[slot] = (int(tokens[-1]) if count else self.last[slot]) + 1
                gained = [self.last[slot]]
            out += [
                4 * (RESULT_RECORD_WORDS + len(gained)),
                slot,
                self.computed[slot],
                len(gained),
                *(0 for _ in range(RESULT_RECORD_WORDS - 4)),
                *gained,
            ]
            at += words // 4
        self.rows.append(rows)
        size = 4 * (RESULT_HEADER_WORDS + len(out))
        head = [RESULT_MAGIC, VERSION, size, int(plan[3]), int(plan[4]), rows]
        head += [0] * (RESULT_HEADER_WORDS - len(head))
        return np.array(head + out, np.uint32)


def test_generate_keeps_slots_full_and_answers_right() -> None:
    fake = FakeEngine()
    jobs = [
        Job(n, tuple(range(100 * n, 100 * n + 1 + 3 * n)), 4 + n % 3, Sampling()) for n in range(9)
    ]
    done = {
        job.key: tokens
        for job, tokens in generate(fake, jobs, slots=3, pages_per_slot=4, chunk_max=8)  # type: ignore[arg-type]
    }
    assert sorted(done) == list(range(9))
    for job in jobs:
        first = job.prompt[-1] + 1
        assert done[job.key] == list(range(first, first + job.tokens_max))
    assert max(fake.rows) <= 8 + 3


def test_generate_stops_at_a_stop_token() -> None:
    job = Job(0, (5,), 50, Sampling(), frozenset({8}))
    done = generate(FakeEngine(), [job], slots=2, pages_per_slot=4)  # type: ignore[arg-type]
    assert list(done) == [(job, [6, 7, 8])]


def test_generate_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        job = Job(0, (1,) * 60, 5, Sampling())
        list(generate(FakeEngine(), [job], slots=1, pages_per_slot=4))  # type: ignore[arg-type]


def test_plan_layout() -> None:
    sampling = Sampling(0.5, 7, 0.9, (3 << 32) | 4)
    plan = encode_plan(9, [Record(2, 0, (11, 12), True, (5, 6), sampling, 2), Record(1, 40)])
    assert list(plan[:8]) == [PLAN_MAGIC, VERSION, plan.nbytes, 9, 2, 0, 0, 0]
    first = plan[8:]
    assert list(first[:7]) == [4 * 30, 2, FLAG_RESET | FLAG_SAMPLE, 0, 2, 0, 2]
    assert list(first[14:18]) == [11, 12, 5, 6]
    assert (
        first[18:20].view("<f4")[0] == 0.5 and first[19] == 7 and first[22:23].view("<f4")[0] == 1.0
    )
    assert (first[25], first[26], first[28], first[29]) == (4, 3, 2, 0)
    assert list(first[30:36]) == [56, 1, FLAG_SAMPLE, 40, 0, 0]


def test_bad_results_are_refused() -> None:
    with pytest.raises(ValueError, match="magic"):
        decode_result(np.zeros(RESULT_HEADER_WORDS, np.uint32))
    with pytest.raises(ValueError, match="passes its end"):
        header = [RESULT_MAGIC, VERSION, 80, 0, 1, *([0] * (RESULT_HEADER_WORDS - 5))]
        decode_result(np.array([*header, 64, 0, 1, 9, 0, 0, 0, 0], np.uint32))


def test_label_rows_are_the_best_in_order() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 100)).astype(np.float32)
    ids, probs = label_rows(logits, 10)
    full = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(ids, np.argsort(-logits, axis=1)[:, :10])
    np.testing.assert_allclose(probs, np.take_along_axis(full, ids, 1), atol=1e-3)


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    monkeypatch.setenv("REDRAFT_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(EngineError, match="none.so"):
        Engine(model)
    (tmp_path / "none.so").write_bytes(b"not a library")
    with pytest.raises(EngineError, match="Cannot load engine"):
        Engine(model)


def test_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    arguments = ["train", "--model", str(tmp_path / "no.gguf"), "--work", str(tmp_path)]
    assert main([*arguments, "--prompts", str(tmp_path / "empty.jsonl")]) == 1
    assert "has no prompts" in capsys.readouterr().err
    assert main(arguments) == 1
    assert "no.gguf" in capsys.readouterr().err
