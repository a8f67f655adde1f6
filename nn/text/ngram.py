"""A model that only counts characters: what a network of text has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts
from minigrad.nn.text.vocabulary import Codes


class NGram:
    """Models that only count: how often a character occurs, and how often after another one.

    Parameters
    ----------
    codes : array of int
        Shape (length,): the text to count, at least two characters.
    size : int
        How many characters there are.

    Raises
    ------
    ArgumentError
        If the text is too short, or holds something else than integers from 0 to ``size - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> model = nn.text.NGram(np.array([0, 1, 0, 1, 0, 1]), size=2)
    >>> model.unigram_bits(np.array([0, 1]))
    1.0
    """

    STRENGTH = 5.0
    """How many characters the unigram counts for where the bigram is estimated."""

    def __init__(self, codes: Codes, size: int) -> None:
        check_counts("NGram", size=size)
        self._size = size
        codes = self._checked(codes)
        if codes.ndim != 1 or len(codes) < 2:
            raise ArgumentError(
                f"NGram: codes of shape {codes.shape} hold no text to count; give a row of two or more"
            )
        self._single = (np.bincount(codes, minlength=size) + 1) / (len(codes) + size)
        self._first = np.bincount(codes[:-1], minlength=size)
        self._pairs, self._counts = np.unique(codes[:-1] * size + codes[1:], return_counts=True)

    def unigram_bits(self, targets: Codes) -> float:
        """Return bits per character of a model that knows how frequent characters are.

        One is added to each count [Laplace 1814].

        Parameters
        ----------
        targets : array of int
            The characters to be predicted, of any shape.

        Returns
        -------
        float
            Bits per character.

        Raises
        ------
        ArgumentError
            If there are none, or they are not integers from 0 to ``size - 1``.
        """
        return self._mean_bits(self._single[self._checked(targets)])

    def bigram_bits(self, inputs: Codes, targets: Codes) -> float:
        """Return bits per character of a model that knows the character before.

        Its probabilities are smoothed by a Dirichlet prior around the unigram [MacKay & Peto 1995].

        Parameters
        ----------
        inputs, targets : array of int
            The characters before, and the characters to be predicted, of the same shape.

        Returns
        -------
        float
            Bits per character.

        Raises
        ------
        ArgumentError
            As `unigram_bits`, or if the shapes differ.
        """
        inputs, targets = self._checked(inputs), self._checked(targets)
        if inputs.shape != targets.shape:
            raise ArgumentError(
                f"NGram: there are inputs of shape {inputs.shape} for targets of shape "
                f"{targets.shape}; give one for each"
            )
        pairs = inputs * self._size + targets
        found = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        counts = np.where(self._pairs[found] == pairs, self._counts[found], 0)
        smoothed = counts + self.STRENGTH * self._single[targets]
        return self._mean_bits(smoothed / (self._first[inputs] + self.STRENGTH))

    def _mean_bits(self, probabilities: np.ndarray[Any, Any]) -> float:
        return float(-np.log2(probabilities).mean())

    def _checked(self, codes: Codes) -> Codes:
        """Return codes that can be counted, as int64, in which a pair of them has room."""
        codes = np.asarray(codes)
        if codes.size == 0 or codes.dtype.kind not in "iu":
            raise ArgumentError(
                f"NGram: codes must be integers, and not none, but are {codes.dtype} of shape "
                f"{codes.shape}; encode a text with a Vocabulary"
            )
        if codes.min() < 0 or codes.max() >= self._size:
            raise ArgumentError(
                f"NGram: codes go from 0 to {self._size - 1}, and these from {codes.min()} to "
                f"{codes.max()}; give the size of the vocabulary that made them"
            )
        return codes.astype(np.int64)
