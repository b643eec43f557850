"""Batches of windows, the same for the same (seed, step) whatever came before: resuming needs no
more than the step's number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dataset import Split
from .loss import Batch


@dataclass(frozen=True)
class WindowPlan:
    """How rows are cut into batches."""

    windows: int = 32
    """Windows of a batch."""
    starts: int = 32
    """Start positions of a window, neighbours in an answer."""
    horizons: int = 6
    seed: int = 0

    @property
    def span(self) -> int:
        """Rows that a window reads."""
        return self.starts + self.horizons


class Batches:
    """Cuts a split into batches."""

    def __init__(
        self,
        split: Split,
        plan: WindowPlan,
        embedding: np.ndarray,
        draft_vocab: np.ndarray,
        hard_weight: float,
    ) -> None:
        """
        Args:
            embedding: The target's embedding table, [target_vocab_size, hidden_size] f16.
            draft_vocab: [draft_vocab_size] ascending.
            hard_weight: Share of the label given to the target's likeliest token alone; greedy
                serving asks for it, sampling for the rest.
        """
        if split.rows < plan.span:
            raise ValueError(f"Cannot make batches: {split.rows} rows, a window wants {plan.span}")
        self._split, self._plan, self._embedding = split, plan, embedding
        self._hard_weight = hard_weight
        self._draft_index = np.full(len(embedding), -1, np.int32)
        self._draft_index[draft_vocab] = np.arange(len(draft_vocab), dtype=np.int32)
        self._draft_vocab_size = len(draft_vocab)
        self._windows_per_epoch = max(1, (split.rows - plan.span) // plan.starts)
        self.steps_per_epoch = max(1, self._windows_per_epoch // plan.windows)
        self._epoch = -1
        self._order = np.zeros(0, np.int64)

    def _window_starts(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng([self._plan.seed, epoch])
            # A fresh offset each epoch, so that windows never have the same edges twice.
            offset = int(random.integers(0, self._plan.starts))
            order = random.permutation(self._windows_per_epoch)
            limit = self._split.rows - self._plan.span
            self._order = np.minimum(order * self._plan.starts + offset, limit)
            self._epoch = epoch
        begin = place * self._plan.windows
        return np.resize(self._order[begin : begin + self._plan.windows], self._plan.windows)

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        plan, split = self._plan, self._split
        first = self._window_starts(step)
        rows = first[:, None] + np.arange(plan.span)
        flat = rows.ravel()
        hidden = split.take("hidden", rows[:, : plan.starts].ravel())
        token = split.take("token", flat).reshape(rows.shape)
        example = split.row_example[flat].reshape(rows.shape)
        start_example = example[:, : plan.starts]
        valid = np.stack(
            [start_example == example[:, k : k + plan.starts] for k in range(1, plan.horizons + 1)],
            axis=-1,
        )
        return Batch(
            context=hidden.reshape(plan.windows, plan.starts, -1),
            inputs=self._embedding[token[:, : plan.span - 1]],
            labels=self._labels(rows[:, 1:].ravel()).reshape(
                plan.windows, plan.span - 1, self._draft_vocab_size
            ),
            valid=valid.astype(np.float32),
        )

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        """The target's distribution over the draft vocabulary, [rows, draft_vocab_size] f32."""
        ids = self._split.take("label_ids", rows)
        probs = self._split.take("label_probs", rows).astype(np.float32)
        probs *= 1.0 - self._hard_weight
        probs[:, 0] += self._hard_weight
        columns = self._draft_index[ids]
        row, place = np.nonzero(columns >= 0)
        dense = np.zeros((len(rows), self._draft_vocab_size), np.float32)
        dense[row, columns[row, place]] = probs[row, place]
        return dense
