"""A model that only counts characters: what a network of text has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np

Codes = np.ndarray[Any, Any]


class NGram:
    """Models that only count: how often a character occurs, and how often after another one.

    Parameters
    ----------
    codes : array of int
        The text to count.
    size : int
        How many characters there are.
    """

    STRENGTH = 5.0
    """How many characters the unigram counts for where the bigram is estimated."""

    def __init__(self, codes: Codes, size: int) -> None:
        self._size = size
        self._single = (np.bincount(codes, minlength=size) + 1) / (len(codes) + size)
        self._first = np.bincount(codes[:-1], minlength=size)
        self._pairs, self._counts = np.unique(codes[:-1] * size + codes[1:], return_counts=True)

    def unigram_bits(self, targets: Codes) -> float:
        """Return bits per character of a model that knows how frequent characters are."""
        return float(-np.log2(self._single[targets]).mean())

    def bigram_bits(self, inputs: Codes, targets: Codes) -> float:
        """Return bits per character of a model that knows the character before.

        Its probabilities are smoothed by a Dirichlet prior around the unigram [MacKay & Peto 1995].
        """
        pairs = inputs * self._size + targets
        found = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        counts = np.where(self._pairs[found] == pairs, self._counts[found], 0)
        smoothed = counts + self.STRENGTH * self._single[targets]
        return float(-np.log2(smoothed / (self._first[inputs] + self.STRENGTH)).mean())
