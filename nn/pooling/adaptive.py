"""Layers that reduce inputs of any size to a fixed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minigrad.nn.checks import checked_input
from minigrad.nn.module import Module
from minigrad.ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    check_output_size,
)


class _AdaptivePool(Module):
    rank: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        check_output_size(type(self).__name__, output_size, self.rank)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """Return one number for each window of ``input``.

        Parameters
        ----------
        input : Tensor
            Shape (N, C, *sizes) or (C, *sizes), floating-point.

        Returns
        -------
        Tensor
            Shape (N, C, *output_size) or (C, *output_size).

        Raises
        ------
        ShapeError
            If ``input`` has another number of axes, or an axis to pool is empty.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input(type(self).__name__, input)
        return type(self).function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of so many windows as are wanted along one axis; see `minigrad.adaptive_avg_pool1d`.

    Parameters
    ----------
    output_size : int or None
        How many windows; None keeps the axis as it is.

    Raises
    ------
    ArgumentError
        If ``output_size`` is negative or no integer.

    Examples
    --------
    >>> nn.AdaptiveAvgPool1d(5)(mg.ones((1, 3, 8))).shape
    (1, 3, 5)
    """

    rank = 1
    function = adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of so many windows as are wanted along two axes; see `minigrad.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or None, or pair of them
        How many windows along each axis; None keeps the axis as it is.

    Raises
    ------
    ArgumentError
        If ``output_size`` is negative or no integer.

    Examples
    --------
    >>> nn.AdaptiveAvgPool2d((5, None))(mg.ones((1, 3, 8, 9))).shape
    (1, 3, 5, 9)
    """

    rank = 2
    function = adaptive_avg_pool2d
