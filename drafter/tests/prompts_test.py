"""Prompt files and the guard against evaluation prompts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from redraft_drafter.prompts import (
    Prompt,
    PromptError,
    read_answers,
    read_excluded,
    read_prompts,
    refuse_excluded,
    unique,
)


def write(path: Path, *lines: object) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def test_prompts_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"prompt": "one"}, "", {"prompt": "two", "source": "s"})
    assert read_prompts(path) == [Prompt("one", "p"), Prompt("two", "s")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "no prompts"),
        (("{",), "line 1"),
        (([1],), "not a JSON object"),
        (({"prompt": "a"}, {"prompt": "  "}), "line 2"),
        (({"text": "a"},), '"prompt" is missing'),
    ],
)
def test_bad_prompt_files_are_refused(tmp_path: Path, lines: tuple, words: str) -> None:
    with pytest.raises(PromptError, match=words):
        read_prompts(write(tmp_path / "p.jsonl", *lines))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="nowhere.jsonl"):
        read_prompts(tmp_path / "nowhere.jsonl")


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps({"prompt": "a", "tokens": [1]}).encode() * 50)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(PromptError, match="a.jsonl.gz"):
        read_answers(tmp_path / "a.jsonl.gz", 10)


def test_answers_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "a", "tokens": [1, 10]})
    assert read_answers(path, 11)[0].tokens == (1, 10)
    with pytest.raises(PromptError, match="token is not of this model"):
        read_answers(path, 10)


def test_evaluation_prompts_are_refused_whatever_their_form(tmp_path: Path) -> None:
    path = write(
        tmp_path / "dev.jsonl",
        {"id": 1, "turns": ["First  turn", "Second turn"]},
        {"prompt": "Third"},
    )
    excluded = read_excluded([path])
    refuse_excluded([Prompt("fine", "s")], excluded, "p.jsonl")
    for text in ("first turn", "SECOND\nturn", "third"):
        with pytest.raises(PromptError, match="p.jsonl: prompt 2"):
            refuse_excluded([Prompt("fine", "s"), Prompt(text, "s")], excluded, "p.jsonl")


def test_exclusion_file_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="as an exclusion"):
        read_excluded([write(tmp_path / "e.jsonl", {"question": "a"})])


def test_unique_keeps_the_first() -> None:
    assert unique([Prompt("A b", "x"), Prompt("a  B", "y"), Prompt("c", "z")]) == [
        Prompt("A b", "x"),
        Prompt("c", "z"),
    ]
