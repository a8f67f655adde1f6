"""How much results differ, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy


class Violation(Exception):
    """A property does not hold in a case. The message is a line or two for the report."""


def difference(found: Any, expected: Any) -> float:
    """Return the largest difference, relative to the larger of 1 and the largest value expected."""
    finite = expected[numpy.isfinite(expected)]
    scale = max(1.0, float(abs(finite).max())) if finite.size else 1.0
    return float(_gaps(found, expected).max(initial=0.0)) / scale


def compare(
    found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float, here: str, there: str
) -> float:
    """Return the largest difference between results of the same name.

    Parameters
    ----------
    found, expected : dict of array
    tolerance : float
        The largest difference that may be; see `difference`.
    here, there : str
        Where the two come from, for messages.

    Raises
    ------
    Violation
        If a result has another shape, or a larger difference.
    """
    largest = 0.0
    for name, array in found.items():
        other = expected[name]
        if array.shape != other.shape:
            raise Violation(f"{name}: shape {array.shape} {here}, {other.shape} {there}")
        error = difference(array, other)
        if error > tolerance:
            worst = numpy.argmax(_gaps(array, other))
            index = tuple(map(int, numpy.unravel_index(worst, array.shape)))
            raise Violation(
                f"{name}, element {index}: {array[index]:.10g} {here}, {other[index]:.10g} {there}"
            )
        largest = max(largest, error)
    return largest


def _gaps(found: Any, expected: Any) -> Any:
    """Return the distance of each element: none between two NaN, infinite between one and a number."""
    a, b = (numpy.asarray(values, dtype="float64") for values in (found, expected))
    same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
    with numpy.errstate(invalid="ignore"):
        gaps = numpy.where(same, 0.0, abs(a - b))
    return numpy.where(numpy.isnan(gaps), numpy.inf, gaps)
