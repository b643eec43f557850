"""Prompts composed of answers that are there: tasks over a passage.

Users bring texts along (to sum up, to translate, to answer questions from, code to go on with); bare
instructions teach a head little of that. The passages are the target's own answers, so that nothing
but the prompts already given goes in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from .prompts import Prompt

_SUMMARIES = (
    "Summarize the following text.\n\n{0}",
    "Write a short summary of this article:\n\n{0}",
    "{0}\n\nGive the main points of the text above in three sentences.",
    "What is the text below about? Answer briefly.\n\n{0}",
)
_QUESTIONS = (
    "Answer the question using the passages below.\n\n{1}\n\nQuestion: {0}",
    "Context:\n{1}\n\nUse the context to answer: {0}",
    "{0}\n\nHere is what I found about it:\n\n{1}",
)
_TRANSLATIONS = (
    "Translate the following text into {1}.\n\n{0}",
    "How do you say this in {1}? {0}",
    "{1} translation of: {0}",
)
_LANGUAGES = ("German", "French", "Spanish", "English", "Italian")
_CODE = (
    "Complete the following Python function.\n\n```python\n{0}\n```",
    "Write the body of this function:\n\n{0}",
    "{0}",
)
_PASSAGE_CHARACTERS = (300, 2400)
_FUNCTION = re.compile(r'^def \w+\(.*\).*:\n(?:    """.*?"""\n)?', re.MULTILINE | re.DOTALL)


def compose_prompts(pairs: Sequence[tuple[str, str]], count: int, seed: int) -> list[Prompt]:
    """Tasks over the answers of (prompt, answer) pairs.

    Args:
        count: How many at most; fewer where few answers are long enough.

    Returns:
        Prompts of sources compose-summary, -passages, -translation and -code, in turn.
    """
    random = np.random.default_rng(seed)
    kinds = (_summaries, _passages, _translations, _code)
    makers = [kind(pairs, random) for kind in kinds]
    prompts: list[Prompt] = []
    while makers and len(prompts) < count:
        for maker in list(makers):
            made = next(maker, None)
            if made is None:
                makers.remove(maker)
            elif len(prompts) < count:
                prompts.append(made)
    return prompts


def _order(pairs: Sequence[tuple[str, str]], random: np.random.Generator) -> Iterator[int]:
    yield from (int(n) for n in random.permutation(len(pairs)))


def _is_passage(text: str) -> bool:
    least, most = _PASSAGE_CHARACTERS
    return least <= len(text) <= most and "```" not in text


def _summaries(pairs: Sequence[tuple[str, str]], random: np.random.Generator) -> Iterator[Prompt]:
    for n in _order(pairs, random):
        if _is_passage(pairs[n][1]):
            form = _SUMMARIES[random.integers(len(_SUMMARIES))]
            yield Prompt(form.format(pairs[n][1].strip()), "compose-summary")


def _passages(pairs: Sequence[tuple[str, str]], random: np.random.Generator) -> Iterator[Prompt]:
    usable = [n for n in _order(pairs, random) if _is_passage(pairs[n][1])]
    for n in usable:
        question = pairs[n][0].strip()
        if len(question) > 400:
            continue
        others = [int(k) for k in random.choice(usable, int(random.integers(0, 3)))]
        chosen = [n, *(k for k in others if k != n)]
        random.shuffle(chosen)
        texts = "\n\n".join(f"Passage {i}: {pairs[k][1].strip()}" for i, k in enumerate(chosen, 1))
        form = _QUESTIONS[random.integers(len(_QUESTIONS))]
        yield Prompt(form.format(question, texts), "compose-passages")


def _translations(
    pairs: Sequence[tuple[str, str]], random: np.random.Generator
) -> Iterator[Prompt]:
    for n in _order(pairs, random):
        sentences = re.findall(r"[A-Z][^.!?\n]{30,220}[.!?]", pairs[n][1])
        if sentences:
            sentence = sentences[int(random.integers(len(sentences)))]
            form = _TRANSLATIONS[random.integers(len(_TRANSLATIONS))]
            language = _LANGUAGES[random.integers(len(_LANGUAGES))]
            yield Prompt(form.format(sentence, language), "compose-translation")


def _code(pairs: Sequence[tuple[str, str]], random: np.random.Generator) -> Iterator[Prompt]:
    seen: set[str] = set()
    for n in _order(pairs, random):
        found = _FUNCTION.search(pairs[n][1])
        if found is None or found.group() in seen or len(found.group()) > 1500:
            continue
        seen.add(found.group())
        head = found.group()
        if '"""' not in head:
            head += f'    """{" ".join(pairs[n][0].split())[:300]}"""\n'
        form = _CODE[random.integers(len(_CODE))]
        yield Prompt(form.format(head.rstrip()), "compose-code")
