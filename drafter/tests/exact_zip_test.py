from __future__ import annotations

import numpy as np
import pytest

from redraft_drafter.exact_zip import exact_zip


def test_pairs_what_is_of_one_length() -> None:
    assert list(exact_zip([1, 2], np.array([3, 4]), {"a": 0, "b": 0})) == [(1, 3, "a"), (2, 4, "b")]


def test_refuses_two_lengths() -> None:
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        exact_zip([1, 2], [3])
