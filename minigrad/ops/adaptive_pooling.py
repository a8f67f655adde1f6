"""Adaptive pooling: the means of so many windows as are wanted, which cover an axis evenly.

Window ``i`` of ``n`` on an axis of size L is from ``floor(i * L / n)`` to ``ceil((i + 1) * L / n)``. Each
is a product of ranges, so its mean is a mean along one axis of means along the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import as_integer
from minigrad.composite import composite
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops import reduce
from minigrad.ops.shape import along, concat, reshape
from minigrad.ops.windows import as_given, batched
from minigrad.promotion import rounded_once


def check_output_size(of: str, output_size: Any, rank: int) -> tuple[int | None, ...]:
    """Return how many windows each axis is to have; None keeps it.

    Raises
    ------
    ArgumentError
        If it is neither an integer from 0 on or None, nor one for each axis.
    """
    given = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * rank
    sizes = [None if n is None else as_integer(n) for n in given]
    wrong = [n for n, size in zip(given, sizes, strict=True) if n is not None and size is None]
    if len(given) != rank or wrong or min((n for n in sizes if n is not None), default=0) < 0:
        several = "" if rank == 1 else f", or {rank} of them"
        raise ArgumentError(
            f"{of}: output_size must be an integer >= 0, or None to keep the size{several}, not "
            f"{output_size!r}"
        )
    return tuple(sizes)


def _mean_along(x: Any, axis: int, count: int | None) -> Any:
    size = x.shape[axis]
    if count is None or count == size:
        return x
    before, after = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    if count and size % count == 0:
        return reduce.mean(reshape(x, (*before, count, size // count, *after)), axis=axis + 1)

    def window(start: int, stop: int) -> Any:
        return x[along(axis, slice(start, stop))]

    means = [
        reduce.mean(
            window(i * size // count, -(-(i + 1) * size // count)), axis=axis, keepdims=True
        )
        for i in range(count)
    ]
    return concat(means, axis=axis) if means else window(0, 0)


def _adaptive(of: str, rank: int, x: Any, output_size: Any) -> Any:
    sizes = check_output_size(of, output_size, rank)
    y = batched(of, x, rank)
    if 0 in y.shape[2:]:
        raise ShapeError(f"{of}: x has shape {tuple(x.shape)}, and no element to take a mean of")
    for axis, count in enumerate(sizes, 2):
        y = _mean_along(y, axis, count)
    return as_given(y, x)


def _adaptive_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        size = tuple(draw.integer(1, 5) for _ in range(rank))
        batch = draw.choice([(), (0,), (2,)])
        wanted = tuple(draw.choice([None, draw.integer(1, 6)]) for _ in range(rank))
        return (draw.array(*batch, 2, *size), wanted), {}

    return arguments


@composite(domain=Domain(sharp="linear", arguments=_adaptive_arguments(1)))
@rounded_once(promotion="float")
def adaptive_avg_pool1d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the means of ``output_size`` windows that cover the last axis evenly.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    output_size : int or None
        How many windows; None keeps the axis as it is. They overlap where it does not divide L.

    Returns
    -------
    Tensor
        Shape (N, C, output_size) or (C, output_size).

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or an axis to pool is empty.
    ArgumentError
        If ``output_size`` is negative or no integer.

    Examples
    --------
    >>> mg.adaptive_avg_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _adaptive("adaptive_avg_pool1d", 1, x, output_size)


@composite(domain=Domain(sharp="linear", arguments=_adaptive_arguments(2)))
@rounded_once(promotion="float")
def adaptive_avg_pool2d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return the means of so many windows as are wanted, which cover the last two axes evenly.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    output_size : int or None, or pair of them
        How many windows along each axis; None keeps the axis as it is. They overlap where it does not
        divide the size.

    Returns
    -------
    Tensor
        Shape (N, C, *output_size) or (C, *output_size).

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or an axis to pool is empty.
    ArgumentError
        If ``output_size`` is negative or no integer.

    Examples
    --------
    >>> mg.adaptive_avg_pool2d(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1)
    tensor([[[2.5]]])
    """
    return _adaptive("adaptive_avg_pool2d", 2, x, output_size)
