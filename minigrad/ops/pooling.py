"""Pooling: means and maxima over windows. It reduces the windows themselves and needs no rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from minigrad.checks import as_integer, check_flag
from minigrad.composite import composite
from minigrad.dtypes import is_floating
from minigrad.errors import ArgumentError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops import reduce
from minigrad.ops.elementwise import where
from minigrad.ops.shape import along, concat
from minigrad.ops.windows import (
    Sizes,
    as_given,
    axis_sizes,
    batched,
    padded,
    window_arguments,
    window_counts,
    window_spans,
    windows,
)
from minigrad.promotion import rounded_once


def pool_sizes(
    of: str, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """Return kernel, stride, padding and dilation of a pooling for each spatial axis.

    Raises
    ------
    ArgumentError
        If one is no integer or too small, or the padding too large.
    """
    kernel = axis_sizes(of, "kernel_size", kernel_size, rank, 1)
    steps = kernel if stride is None else axis_sizes(of, "stride", stride, rank, 1)
    widths = axis_sizes(of, "padding", padding, rank, 0)
    if any(2 * n > k for n, k in zip(widths, kernel, strict=True)):
        raise ArgumentError(
            f"{of}: padding {padding} is more than half of kernel_size {kernel_size}; use less"
        )
    return kernel, steps, widths, axis_sizes(of, "dilation", dilation, rank, 1)


def _pool_windows(
    of: str, rank: int, x: Any, *sizes: Any, border: float, ceil_mode: bool = False
) -> Any:
    kernel, steps, widths, dilation = pool_sizes(of, rank, *sizes)
    check_flag(of, "ceil_mode", ceil_mode)
    batch = batched(of, x, rank)
    borders = [(n, n) for n in widths]
    if ceil_mode:
        axes = zip(batch.shape[2:], widths, window_spans(kernel, dilation), steps, strict=True)
        borders = [(n, n + _partial(size, n, span, step)) for size, n, span, step in axes]
    batch = padded(batch, borders, border)
    window_counts(batch.shape[2:], kernel, steps, dilation, of)
    return windows(batch, kernel=kernel, stride=steps, dilation=dilation)


def _partial(size: int, width: int, span: int, step: int) -> int:
    """Return by how much a last window sticks out, if it still begins on the input or before it."""
    room = size + 2 * width - span
    extra = -room % step
    return extra if room + extra < size + width else 0


def _max_pool(of: str, rank: int, x: Any, *sizes: Any, ceil_mode: bool) -> Any:
    views = _pool_windows(of, rank, x, *sizes, border=_lowest(x.dtype), ceil_mode=ceil_mode)
    y = reduce.max(views, axis=2)
    if not is_floating(x.dtype):
        return as_given(y, x)
    # where all is -inf, the border has taken a share of the gradient: the others get theirs and that one
    shares = y
    kernel, steps, widths, dilation = pool_sizes(of, rank, *sizes)
    axes = zip(x.shape[-rank:], kernel, steps, widths, dilation, strict=True)
    for axis, (size, k, step, width, apart) in enumerate(axes, 2):
        starts = range(-width, y.shape[axis] * step - width, step)
        counted = _inside(starts, k, apart, 0, size)
        shares = _scaled(shares, axis, [k / max(n, 1) for n in counted])
    return as_given(y if shares is y else where(y == -math.inf, shares, y), x)


def _lowest(dtype: Any) -> float:
    if is_floating(dtype):
        return -math.inf
    return False if dtype.kind == "b" else int(numpy.iinfo(dtype).min)


def _inside(starts: Iterable[int], kernel: int, dilation: int, low: int, high: int) -> list[int]:
    """Return how many places of each window lie from ``low`` on and below ``high``."""
    reach = dilation * (kernel - 1)
    return [
        kernel
        if low <= start and start + reach < high
        else sum(low <= start + dilation * i < high for i in range(kernel))
        for start in starts
    ]


def _avg_pool(
    of: str,
    rank: int,
    x: Any,
    *sizes: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:
    check_flag(of, "count_include_pad", count_include_pad)
    check_divisor(of, divisor_override)
    views = _pool_windows(of, rank, x, *sizes, border=0.0, ceil_mode=ceil_mode)
    y = reduce.mean(views, axis=2)
    if divisor_override is not None:
        return as_given(y * (views.shape[2] / divisor_override), x)
    kernel, steps, widths, _ = pool_sizes(of, rank, *sizes)
    axes = zip(x.shape[-rank:], kernel, steps, widths, strict=True)
    for axis, (size, k, step, width) in enumerate(axes, 2):
        low, high = (-width, size + width) if count_include_pad else (0, size)
        starts = range(-width, y.shape[axis] * step - width, step)
        counted = _inside(starts, k, 1, low, high)
        y = _scaled(y, axis, [k / max(n, 1) for n in counted])
    return as_given(y, x)


def _scaled(y: Any, axis: int, factors: Sequence[float]) -> Any:
    """Return ``y`` times one number for each place on an axis; in a traced step they are constants."""
    if all(factor == 1 for factor in factors):
        return y
    parts, start = [], 0
    for factor, same in itertools.groupby(factors):
        stop = start + len(list(same))
        parts.append(y[along(axis, slice(start, stop))] * factor)
        start = stop
    return concat(parts, axis=axis)


def check_divisor(of: str, divisor: Any) -> None:
    """Refuse a ``divisor_override`` that is neither None nor an integer other than 0.

    Raises
    ------
    ArgumentError
    """
    if divisor is not None and not as_integer(divisor):
        raise ArgumentError(
            f"{of}: divisor_override must be an integer other than 0, or None, not {divisor!r}"
        )


def _pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x,), attrs = window_arguments(draw, rank)
        kernel = attrs["kernel"]
        size = tuple(max(n, k) for n, k in zip(x.shape[2:], kernel, strict=True))
        x = draw.distinct(*x.shape[draw.integer(0, 1) : 2], *size)
        padding = draw.choice([0, tuple(k // 2 for k in kernel)])
        stride = draw.choice([None, attrs["stride"]])
        return (x, kernel), {"stride": stride, "padding": padding}

    return arguments


def _avg_pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        args, attrs = _pool_arguments(rank)(draw)
        attrs |= {"ceil_mode": draw.boolean(), "count_include_pad": draw.boolean()}
        return args, attrs if rank == 1 else {**attrs, "divisor_override": draw.choice([None, 3])}

    return arguments


def _max_pool_arguments(rank: int) -> Any:
    def arguments(draw: Draw) -> Arguments:
        (x, kernel), attrs = _pool_arguments(rank)(draw)
        if draw.boolean():
            x = draw.distinct(*x.shape[:-rank], *(2 * n for n in x.shape[-rank:]))
            attrs["dilation"] = 2
        return (x, kernel), {**attrs, "ceil_mode": draw.boolean()}

    return arguments


@composite(domain=Domain(arguments=_max_pool_arguments(1)))
def max_pool1d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest element of each window; equal largest elements share the gradient.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Returns
    -------
    Tensor
        Shape (N, C, L') or (C, L').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large.

    Examples
    --------
    >>> mg.max_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    sizes = (kernel_size, stride, padding, dilation)
    return _max_pool("max_pool1d", 1, x, *sizes, ceil_mode=ceil_mode)


@composite(domain=Domain(arguments=_max_pool_arguments(2)))
def max_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest element of each window; equal largest elements share the gradient.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int or pair of int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Returns
    -------
    Tensor
        Shape (N, C, H', W') or (C, H', W').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large.

    Examples
    --------
    >>> mg.max_pool2d(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[4.]]])
    """
    sizes = (kernel_size, stride, padding, dilation)
    return _max_pool("max_pool2d", 2, x, *sizes, ceil_mode=ceil_mode)


@composite(domain=Domain(sharp="linear", arguments=_avg_pool_arguments(1)))
@rounded_once()
def avg_pool1d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean of each window.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, L) or (C, L).
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end. What is
        beyond never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.

    Returns
    -------
    Tensor
        Shape (N, C, L') or (C, L').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large, or an option has an impossible value.

    Examples
    --------
    >>> mg.avg_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    options = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, **options)


@composite(domain=Domain(sharp="linear", arguments=_avg_pool_arguments(2)))
@rounded_once()
def avg_pool2d(
    x: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end. What is
        beyond never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.
    divisor_override : int, optional
        What sums are divided by, instead of the number of elements that count.

    Returns
    -------
    Tensor
        Shape (N, C, H', W') or (C, H', W').

    Raises
    ------
    ShapeError
        If ``x`` has another number of axes, or no window fits it.
    ArgumentError
        If a number is too small or ``padding`` too large, or an option has an impossible value.

    Examples
    --------
    >>> mg.avg_pool2d(mg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5]]])
    """
    options: dict[str, Any] = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    options["divisor_override"] = divisor_override
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, **options)
