"""Composed prompts: whole passages, no repeats of functions, the same for the same seed."""

from __future__ import annotations

from collections import Counter

from redraft_drafter.compose import compose_prompts

PROSE = [
    (f"What is river number {n}?", f"River {n} runs from the hills to the sea. " * (10 + n % 5))
    for n in range(40)
]
CODE = [
    (f"Write function {n}", f"Here it is:\n```python\ndef f{n % 7}(x):\n    return x + {n}\n```")
    for n in range(20)
]


def test_all_kinds_come_in_turn() -> None:
    prompts = compose_prompts(PROSE + CODE, 28, seed=1)
    kinds = Counter(prompt.source for prompt in prompts)
    assert kinds == {
        "compose-summary": 7,
        "compose-passages": 7,
        "compose-translation": 7,
        "compose-code": 7,
    }
    assert len({prompt.text for prompt in prompts}) == 28


def test_passages_are_whole_and_their_question_is_there() -> None:
    answers = {answer.strip(): question for question, answer in PROSE}
    for prompt in compose_prompts(PROSE, 60, seed=2):
        if prompt.source == "compose-summary":
            assert any(answer in prompt.text for answer in answers)
        if prompt.source == "compose-passages":
            assert any(a in prompt.text and q in prompt.text for a, q in answers.items())


def test_functions_are_cut_after_their_head() -> None:
    made = [p.text for p in compose_prompts(CODE, 100, seed=3)]
    assert len(made) == 7
    assert all('"""Write function' in text and "return x" not in text for text in made)


def test_the_seed_decides() -> None:
    assert compose_prompts(PROSE, 20, seed=4) == compose_prompts(PROSE, 20, seed=4)
    assert compose_prompts(PROSE, 20, seed=4) != compose_prompts(PROSE, 20, seed=5)
    assert compose_prompts([], 20, seed=4) == []
