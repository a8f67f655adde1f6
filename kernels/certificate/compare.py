"""How much results differ, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy


class Violation(Exception):
    """A property does not hold in a case. The message is a line or two for the report."""


def difference(found: Any, expected: Any, scale: float = 0.0) -> float:
    """Return the largest difference, relative to the largest value expected, or to ``scale``."""
    return float(_gaps(found, expected).max(initial=0.0)) / max(scale, size_of(expected))


def size_of(*arrays: Any) -> float:
    """Return the largest finite absolute value; the smallest number there is if all are zero."""
    finite = [float(abs(a[numpy.isfinite(a)]).max(initial=0.0)) for a in map(_as_double, arrays)]
    return max([*finite, float(numpy.finfo("float64").tiny)])


def compare(
    found: Mapping[str, Any],
    expected: Mapping[str, Any],
    tolerance: float,
    here: str,
    there: str,
    rounding: float = 0.0,
) -> float:
    """Return the largest difference between results of the same name, each on its own scale.

    Parameters
    ----------
    found, expected : dict of array
    tolerance : float
        The largest difference that may be; see `difference`.
    here, there : str
        Where the two come from, for messages.
    rounding : float
        As much of the largest of all results may be left where numbers cancel out.

    Raises
    ------
    Violation
        If a result has another shape, or a larger difference.
    """
    largest = 0.0
    scale = rounding / tolerance * size_of(*expected.values()) if tolerance else 0.0
    for name, array in found.items():
        other = expected[name]
        if array.shape != other.shape:
            raise Violation(f"{name}: shape {array.shape} {here}, {other.shape} {there}")
        error = difference(array, other, scale)
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
    a, b = _as_double(found), _as_double(expected)
    same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
    with numpy.errstate(invalid="ignore"):
        gaps = numpy.where(same, 0.0, abs(a - b))
    return numpy.where(numpy.isnan(gaps), numpy.inf, gaps)


def _as_double(array: Any) -> Any:
    return numpy.asarray(array, dtype="float64")
