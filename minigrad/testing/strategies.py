"""Hypothesis strategies for the arguments of ops, as their domains describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError(
        "minigrad.testing.strategies draws with Hypothesis; run 'pip install hypothesis'"
    ) from None

from minigrad.op import Arguments, Composite, Domain, Op

_GRID = 2**16
_LONGEST_SIDE = 4


class HypothesisDraw:
    """The `minigrad.op.Draw` of a domain, made of a Hypothesis ``draw`` function.

    Floats lie on a fine grid that misses integers and halves, where functions have their kinks.

    Parameters
    ----------
    draw : callable
        What ``hypothesis.strategies.composite`` gives a function.
    domain : Domain
        Where values come from.

    Examples
    --------
    >>> from hypothesis import strategies as st
    >>> from minigrad.testing.strategies import HypothesisDraw
    >>> @st.composite
    ... def vectors(draw):
    ...     return HypothesisDraw(draw, mg.Domain(0.0, 1.0)).array(3)
    """

    def __init__(self, draw: Any, domain: Domain) -> None:
        self._draw = draw
        self._domain = domain

    def integer(self, low: int, high: int) -> int:
        """Draw an integer between ``low`` and ``high``, both included.

        Parameters
        ----------
        low : int
            The smallest number.
        high : int
            The largest number.

        Returns
        -------
        int
            The number.
        """
        return int(self._draw(st.integers(low, high)))

    def boolean(self) -> bool:
        """Draw True or False.

        Returns
        -------
        bool
            Either.
        """
        return bool(self._draw(st.booleans()))

    def choice(self, options: Sequence[Any]) -> Any:
        """Draw one of ``options``.

        Parameters
        ----------
        options : sequence
            What to choose from.

        Returns
        -------
        Any
            One of them.
        """
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """Draw a shape; an empty one now and then if ``min_side`` is 0.

        Parameters
        ----------
        min_dims : int
            The smallest number of axes.
        max_dims : int
            The largest number of axes.
        min_side : int
            The smallest size of an axis.

        Returns
        -------
        tuple of int
            The sizes, at most 4 each.
        """
        sides = st.integers(min_side or 1, _LONGEST_SIDE)
        if min_side == 0 and self.integer(0, 7) == 7:
            sides = st.integers(0, _LONGEST_SIDE)
        return tuple(self._draw(st.lists(sides, min_size=min_dims, max_size=max_dims)))

    def array(self, *shape: int, low: float | None = None, high: float | None = None) -> Any:
        """Draw a float64 array with values of the domain, or between ``low`` and ``high``.

        Parameters
        ----------
        *shape : int
            The sizes of the axes.
        low : float, optional
            The smallest value; by default that of the domain.
        high : float, optional
            The largest value; by default that of the domain.

        Returns
        -------
        array
            Of this shape, float64.
        """
        bottom = self._domain.low if low is None else low
        top = self._domain.high if high is None else high
        grid = self.integers(*shape, low=0, high=_GRID - 1)
        return numpy.asarray(bottom + (top - bottom) * ((grid + 2**-0.5) / _GRID))

    def distinct(self, *shape: int) -> Any:
        """Draw a float64 array whose elements differ by at least a fixed part of the domain.

        Parameters
        ----------
        *shape : int
            The sizes of the axes.

        Returns
        -------
        array
            Of this shape, float64.
        """
        low, high = self._domain.low, self._domain.high
        size = int(numpy.prod(shape, dtype=int))
        order = numpy.asarray(self.permutation(size), dtype=float).reshape(shape)
        return numpy.asarray(low + (high - low) * (order + 2**-0.5) / max(size, 1))

    def integers(self, *shape: int, low: int, high: int) -> Any:
        """Draw an int64 array with values between ``low`` and ``high``, both included.

        Parameters
        ----------
        *shape : int
            The sizes of the axes.
        low : int
            The smallest number.
        high : int
            The largest number.

        Returns
        -------
        array
            Of this shape, int64.
        """
        return self._filled(st.integers(low, high), shape, numpy.int64)

    def booleans(self, *shape: int) -> Any:
        """Draw a bool array.

        Parameters
        ----------
        *shape : int
            The sizes of the axes.

        Returns
        -------
        array
            Of this shape.
        """
        return self._filled(st.booleans(), shape, numpy.bool_)

    def permutation(self, n: int) -> tuple[int, ...]:
        """Draw the numbers below ``n`` in some order.

        Parameters
        ----------
        n : int
            How many numbers.

        Returns
        -------
        tuple of int
            The numbers.
        """
        return tuple(self._draw(st.permutations(range(n))))

    def _filled(self, elements: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(numpy.prod(shape, dtype=int))
        values = self._draw(st.lists(elements, min_size=size, max_size=size))
        return numpy.array(values, dtype=dtype).reshape(shape)


def _broadcasting(draw: HypothesisDraw, count: int) -> tuple[Any, ...]:
    """Draw arrays whose shapes broadcast; now and then one of several is a Python number."""
    common = draw.shape()
    arrays = []
    for _ in range(count):
        sides = common[draw.integer(0, len(common)) :] if count > 1 else common
        arrays.append(draw.array(*(draw.choice((n, n, 1)) if count > 1 else n for n in sides)))
    scalar = draw.integer(0, 4 * count) if count > 1 else count
    if scalar < count:
        arrays[scalar] = float(draw.array())
    return tuple(arrays)


@st.composite
def arguments(draw: Any, row: Op | Composite) -> Arguments:
    """Arguments and attributes for an op or a composite: NumPy arrays (float64) and Python values.

    Parameters
    ----------
    row : Op or Composite
        Its domain says what to draw. Elementwise ops that do not say get arrays whose shapes broadcast,
        empty and zero-dimensional ones among them.

    Returns
    -------
    strategy
        Of pairs: a tuple of arguments, and a dict of attributes.

    Raises
    ------
    TypeError
        When it draws, if the domain of an op that is not elementwise does not say what.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minigrad.testing.strategies import arguments
    >>> (x,), attrs = find(arguments(mg.OPS["sin"]), lambda drawn: drawn[0][0].size == 0)
    >>> x.dtype, attrs
    (dtype('float64'), {})
    """
    source = HypothesisDraw(draw, row.domain)
    if row.domain.arguments is not None:
        args, attrs = row.domain.arguments(source)
        return tuple(args), dict(attrs)
    if isinstance(row, Composite) or not row.elementwise:
        raise TypeError(
            f"the domain of {row.name} does not say how to draw arguments; "
            "give it Domain(arguments=...)"
        )
    return _broadcasting(source, row.arity), {}
