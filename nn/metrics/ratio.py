"""A score as two sums, so that batches of any size add up to the score of the whole set."""

from __future__ import annotations

import math
from typing import NamedTuple


class Ratio(NamedTuple):
    """A score that is a sum divided by another one; ``float(ratio)`` is the score.

    Numerators and denominators are added over batches: a mean of the scores of batches would weigh
    short batches, and padding, too much.

    Attributes
    ----------
    numerator, denominator : float
        For accuracy, for instance, the right predictions and all of them.

    Examples
    --------
    >>> ratio = nn.metrics.Ratio(3, 4)
    >>> ratio.value, float(ratio)
    (0.75, 0.75)
    >>> correct, items = ratio
    """

    numerator: float
    denominator: float

    @property
    def value(self) -> float:
        """The score; NaN if there was nothing to judge, which leaves 0 / 0."""
        return self.numerator / self.denominator if self.denominator else math.nan

    def __float__(self) -> float:
        return self.value
