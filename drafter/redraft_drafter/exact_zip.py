"""zip() that refuses sequences of two lengths, as zip(strict=True) of Python 3.10 does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def exact_zip(*sequences: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """:raises ValueError: If they are not all of one length."""
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) > 1:
        raise ValueError(f"Cannot zip sequences of lengths {sorted(lengths)}")
    return zip(*sequences)
