"""A model that only counts, interpolated Kneser-Ney: what a network of text has to beat.

Each level holds the distinct grams of one length as sorted integers: the number of the gram's context,
times the size of the vocabulary, plus its last code. To count is to sort, to look up is to bisect.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minigrad.checks import as_number
from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts

Array = np.ndarray[Any, Any]


class NGram:
    """How likely each code is after the ``order - 1`` before it, by interpolated Kneser-Ney smoothing.

    After a context h the probability of w is ``(c(hw) - D(c(hw)) + held(h) p(w | h')) / c(h)``, where
    h' is h without its first code, c(h) the sum of c(hw) over all w, and held(h) what the discounts D
    took from them. Below the highest order, c(hw) is the number of different codes that stand before
    hw [Kneser & Ney 1995]. The lowest distribution is the uniform one, so nothing is impossible.

    The discounts of counts of 1, of 2, and of 3 or more are ``i - (i + 1) Y n[i + 1] / n[i]`` with
    ``Y = n[1] / (n[1] + 2 n[2])``, where n[i] grams of the level have count i [Chen & Goodman 1998].
    Where these do not exist, or do not lie between 0 and i, all three are Y, or 1/2 where n[1] is 0.

    Parameters
    ----------
    codes : array of int
        Shape (length,): the text to count.
    size : int
        How many different codes there are.
    order : int
        The longest gram that is counted: 3 for a trigram model.
    discount : float, optional
        One discount for all counts and levels, above 0 and at most 1 (default: estimated, as above).

    Raises
    ------
    ArgumentError
        If the text is shorter than ``order``, or holds something else than integers from 0 to
        ``size - 1``, or another argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> model = nn.text.NGram(np.array([0, 1, 0, 1, 0, 1]), size=2, order=2)
    >>> model.probabilities([0]).round(2)
    array([0.08, 0.92])
    >>> model.bits(np.array([0, 1, 0, 1])) < 1
    True
    """

    def __init__(
        self, codes: ArrayLike, size: int, order: int = 3, discount: float | None = None
    ) -> None:
        self._size, order = check_counts("NGram", size=size, order=order)
        fixed = None if discount is None else as_number(discount)
        if discount is not None and (fixed is None or not 0 < fixed <= 1):
            raise ArgumentError(
                f"NGram: discount must be a number above 0 and at most 1, not {discount!r}"
            )
        text = self._checked(codes, least=order)
        if self._size > np.iinfo(np.int64).max // len(text):
            raise ArgumentError(
                f"NGram: size {size} is too large for grams to be numbered; renumber"
            )
        contexts = np.zeros(len(text), np.int64)  # all the empty one
        found: list[_Grams] = []
        for k in range(order):
            grams = _Grams(*np.unique(contexts * self._size + text[k:], True, True, True))
            if k:
                found[-1] = found[-1].counted_before(grams)
            found.append(grams)
            contexts = grams.ids[:-1]
        sizes = [1, *(len(grams.keys) for grams in found[:-1])]
        self._levels = [
            _level(grams, contexts, self._size, fixed)
            for grams, contexts in zip(found, sizes, strict=True)
        ]

    def probabilities(self, context: ArrayLike) -> Array:
        """Return how likely each code is to come next; the numbers add up to 1.

        Parameters
        ----------
        context : array of int
            Shape (length,): what comes before, of any length. Only the last ``order - 1`` count, and
            where there are fewer, the distributions of a lower order.

        Returns
        -------
        array of float64
            Shape (size,).

        Raises
        ------
        ArgumentError
            If the context holds something else than integers from 0 to ``size - 1``.
        """
        contexts = self._contexts(self._checked(context))
        return self._interpolated([ids[-1:] for ids in contexts], np.arange(self._size))

    def log_probabilities(self, codes: ArrayLike, context: ArrayLike = ()) -> Array:
        """Return the natural logarithm of the probability of each code after those before it.

        Their sum is the log-probability of a sentence.

        Parameters
        ----------
        codes : array of int
            Shape (length,).
        context : array of int
            What comes before them, as for `probabilities`.

        Returns
        -------
        array of float64
            Shape (length,).

        Raises
        ------
        ArgumentError
            If there are no codes, or they or the context are not integers from 0 to ``size - 1``.
        """
        before, row = self._checked(context), self._checked(codes, least=1)
        contexts = self._contexts(np.concatenate([before, row]))
        return np.log(self._interpolated([ids[len(before) : -1] for ids in contexts], row))

    def bits(self, codes: ArrayLike, context: ArrayLike = ()) -> float:
        """Return the mean number of bits for a code of a text; 2 to the power of it is the perplexity.

        Parameters
        ----------
        codes : array of int
            Shape (length,).
        context : array of int
            What comes before them, as for `probabilities`.

        Returns
        -------
        float
            Bits per code.

        Raises
        ------
        ArgumentError
            As `log_probabilities`.
        """
        return float(-self.log_probabilities(codes, context).mean() / np.log(2))

    def _contexts(self, text: Array) -> list[Array]:
        """Return for each level the numbers of the contexts at the len(text) + 1 places of a text."""
        contexts = [np.zeros(len(text) + 1, np.int64)]
        for level in self._levels[:-1]:
            found = level.find(contexts[-1][:-1] * self._size + text)
            contexts.append(np.concatenate([[-1], found]))
        return contexts

    def _interpolated(self, contexts: list[Array], codes: Array) -> Array:
        probabilities = np.full(len(codes), 1 / self._size)
        for level, ids in zip(self._levels, contexts, strict=True):
            counts = level.counts[level.find(ids * self._size + codes)]
            probabilities = (counts + level.held[ids] * probabilities) / level.totals[ids]
        return probabilities

    def _checked(self, row: ArrayLike, least: int = 0) -> Array:
        """Return a row of codes as int64."""
        codes = np.asarray(row)
        if codes.ndim != 1 or len(codes) < least or (codes.size and codes.dtype.kind not in "iu"):
            raise ArgumentError(
                f"NGram: codes must be a row of at least {least} integers, not {codes.dtype} of shape "
                f"{codes.shape}; encode a text with a Vocabulary"
            )
        if codes.size and (codes.min() < 0 or codes.max() >= self._size):
            raise ArgumentError(
                f"NGram: codes go from 0 to {self._size - 1}, and these from {codes.min()} to "
                f"{codes.max()}; give the size of the vocabulary that made them"
            )
        return codes.astype(np.int64)


class _Grams(NamedTuple):
    """The distinct grams of one length, in the order of their keys: context times size plus code."""

    keys: Array
    first: Array  # where in the text each of them begins for the first time
    ids: Array  # which of them begins at each place of the text
    counts: Array

    def counted_before(self, longer: _Grams) -> _Grams:
        """Return the same with the number of different codes before each gram as its count."""
        ends = self.ids[longer.first + 1]
        return self._replace(counts=np.bincount(ends, minlength=len(self.keys)))


class _Level(NamedTuple):
    """What interpolation needs of one order; number -1 stands for what was never seen."""

    keys: Array
    counts: Array  # of grams, discounted; and 0 at the end
    totals: Array  # of contexts; and 1 at the end
    held: Array  # what the discounts took from a context; and 1 at the end

    def find(self, keys: Array) -> Array:
        """Return the numbers of these grams."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


def _level(grams: _Grams, contexts: int, size: int, discount: float | None) -> _Level:
    context = grams.keys // size
    taken = _discounts(grams.counts, discount)[np.minimum(grams.counts, 3)]
    totals = np.bincount(context, grams.counts, contexts + 1)
    held = np.bincount(context, taken, contexts + 1)
    never = totals == 0  # nothing came after it: the lower order decides alone
    totals[never] = held[never] = 1
    return _Level(grams.keys, np.append(grams.counts - taken, 0), totals, held)


def _discounts(counts: Array, fixed: float | None) -> Array:
    """Return the discounts of the counts 0, 1, 2, and 3 or more."""
    n = [int(number) for number in np.bincount(counts, minlength=5)[:5]]
    y = fixed or (n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5)
    if fixed is None and all(n[1:]):
        several = np.array([i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)])
        if ((several > 0) & (several <= (1, 2, 3))).all():
            return np.append(0, several)
    return np.array([0, y, y, y])
