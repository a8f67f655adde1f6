"""Normalisation: elements less their mean, over the root of their variance.

Layer, group and batch normalisation differ in what a mean is taken over, and are one formula. Without
``eps`` it is taken of elements over their magnitude, so that no square is too small or too large.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.checks import check_integer, check_number, sizes_of
from minigrad.composite import composite
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops import reduce
from minigrad.ops.elementwise import abs, exp2, floor, log2, sqrt, square, where
from minigrad.ops.shape import reshape
from minigrad.promotion import rounded_once


def magnitude(x: Any, axes: tuple[int, ...]) -> Any:
    """Return the power of two at or below the largest absolute value over axes; 1 where that is 0.

    To divide by it is exact, and it has no slope.
    """
    largest = reduce.max(abs(x), axis=axes, keepdims=True)
    return exp2(floor(log2(where(largest == 0, 1.0, largest))))


def _standardized(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Return ``x`` with mean 0 and variance 1 over axes, and what these were; None of no elements."""
    if 0 in x.shape:
        return x, None, None
    size = magnitude(x, axes) if eps == 0 else 1.0
    if eps == 0:
        x = x / size
    mean = reduce.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = reduce.mean(square(centred), axis=axes, keepdims=True)
    if eps == 0:
        constant = variance == 0
        y = where(constant, 0.0, centred / sqrt(where(constant, 1.0, variance)))
        return y, mean * size, variance * square(size)
    return centred / sqrt(variance + eps), mean, variance


def _scaled(y: Any, weight: Any, bias: Any) -> Any:
    """Return ``y * weight + bias``, of which both are optional."""
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _by_channel(x: Any, *parts: Any) -> list[Any]:
    """Return what has one number for each channel, axis 1, in a shape that meets ``x``."""
    shape = (x.shape[1], *(1,) * (len(x.shape) - 2))
    return [None if part is None else reshape(part, shape) for part in parts]


def _check_channels(of: str, x: Any, **parts: Any) -> None:
    """Refuse an ``x`` without an axis 1, and what has not one number for each of its channels."""
    if len(x.shape) < 2:
        raise ShapeError(f"{of}: x has shape {tuple(x.shape)}; it must be (N, C, ...)")
    for name, given in parts.items():
        if given is not None and tuple(given.shape) != (x.shape[1],):
            raise ShapeError(
                f"{of}: {name} has shape {tuple(given.shape)}; x of shape {tuple(x.shape)} has "
                f"{x.shape[1]} channels, so it must be ({x.shape[1]},)"
            )


# over the last axes


def _layer_norm_arguments(draw: Draw) -> Arguments:
    normalized = draw.shape(min_dims=1, max_dims=2, min_side=2)
    x = draw.distinct(*draw.shape(max_dims=2), *normalized)
    weight, bias = (draw.choice([None, draw.array(*normalized)]) for _ in range(2))
    # with two elements and a small eps the result hardly depends on x: nothing to measure
    return (x, normalized, weight, bias), {"eps": draw.choice([0.1, 1.0])}


@composite(domain=Domain(sharp="complex", arguments=_layer_norm_arguments))
@rounded_once(promotion="float")
def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Give the last axes mean 0 and variance 1, then scale and shift (Ba 2016).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``

    Parameters
    ----------
    x : Tensor
        Shape (..., *normalized_shape).
    normalized_shape : int or sequence of int
        The shape of the last axes, which mean and variance are taken over.
    weight, bias : Tensor, optional
        Shape ``normalized_shape``.
    eps : float
        Keeps the root away from 0. With 0 the result is 0 where the variance is.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If ``x`` does not end in ``normalized_shape``, or ``weight`` or ``bias`` is not of that shape.

    Examples
    --------
    >>> mg.layer_norm(mg.tensor([[1.0, 3.0], [10.0, 30.0]]), 2)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    sizes = sizes_of(normalized_shape)
    if not sizes or tuple(x.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            f"layer_norm: x has shape {tuple(x.shape)}, which does not end in normalized_shape "
            f"{sizes}; give the sizes of the axes to normalise"
        )
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and tuple(given.shape) != sizes:
            raise ShapeError(
                f"layer_norm: {name} has shape {tuple(given.shape)}; it must have the shape "
                f"{sizes} of normalized_shape"
            )
    y, _, _ = _standardized(x, tuple(range(-len(sizes), 0)), eps)
    return _scaled(y, weight, bias)


# over groups of channels


def _group_norm_arguments(draw: Draw) -> Arguments:
    groups, share = draw.integer(1, 2), draw.integer(1, 2)
    x = draw.distinct(draw.integer(0, 2), groups * share, *draw.shape(1, 2, min_side=2))
    weight, bias = (draw.choice([None, draw.array(groups * share)]) for _ in range(2))
    return (x, groups, weight, bias), {"eps": draw.choice([0.1, 1.0])}


@composite(domain=Domain(sharp="complex", arguments=_group_norm_arguments))
@rounded_once(promotion="float")
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Give each group of channels mean 0 and variance 1, then scale and shift (Wu 2018).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``

    Parameters
    ----------
    x : Tensor
        Shape (N, C, ...).
    num_groups : int
        How many groups of the same size the channels make up.
    weight, bias : Tensor, optional
        Shape (C,).
    eps : float
        Keeps the root away from 0. With 0 the result is 0 where the variance is.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes or channels that do not make up the groups, ``weight`` or
        ``bias`` is not of the shape (C,), or each group is a single number.
    ArgumentError
        If ``num_groups`` is not a positive integer, or ``eps`` is negative.

    Examples
    --------
    >>> mg.group_norm(mg.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    groups = check_integer("group_norm", "num_groups", num_groups, low=1)
    eps = check_number("group_norm", "eps", eps, low=0)
    _check_channels("group_norm", x, weight=weight, bias=bias)
    shape = tuple(x.shape)
    if shape[1] % groups:
        raise ShapeError(
            f"group_norm: x has shape {shape}; num_groups={groups} must divide its {shape[1]} channels"
        )
    if math.prod(shape) == groups:
        raise ShapeError(
            f"group_norm: x has shape {shape}, so that each of {groups} groups is one number, which has "
            "no variance; use fewer groups"
        )
    count = math.prod(shape[1:]) // groups
    y, _, _ = _standardized(reshape(x, (shape[0], groups, count)), (2,), eps)
    return _scaled(reshape(y, shape), *_by_channel(x, weight, bias))


# over batches


def _batch_norm_arguments(draw: Draw) -> Arguments:
    channels = draw.integer(1, 3)
    x = draw.distinct(draw.integer(2, 4), channels, *draw.shape(max_dims=2))
    weight, bias = (draw.choice([None, draw.array(channels)]) for _ in range(2))
    known = (draw.array(channels), draw.array(channels, low=0.5, high=2.0))
    statistics = draw.choice([(None, None), known])
    return (x, *statistics, weight, bias), {"eps": draw.choice([0.1, 1.0])}


@composite(domain=Domain(sharp="complex", arguments=_batch_norm_arguments))
@rounded_once(promotion="float")
def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *,
    eps: float = 1e-5,
) -> Any:
    """Give each channel mean 0 and variance 1, then scale and shift (Ioffe 2015).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias`` with the mean and the variance that are
    given, or else with those of the batch. It changes neither: `nn.BatchNorm1d` keeps running ones.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, ...).
    running_mean, running_var : Tensor, optional
        Shape (C,): the statistics to use, both or none.
    weight, bias : Tensor, optional
        Shape (C,).
    eps : float
        Keeps the root away from 0. With 0 and no statistics given the result is 0 where the variance is.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes, something else is not of the shape (C,), or statistics of
        batches with one number for each channel are wanted.
    ArgumentError
        If one of the statistics is given without the other, or ``eps`` is negative.

    Examples
    --------
    >>> mg.batch_norm(mg.tensor([[1.0, 10.0], [3.0, 30.0]]))
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(
            "batch_norm: running_mean and running_var belong together; give both, or neither to use "
            "those of the batch"
        )
    if running_mean is None:
        y, _, _ = by_batch("batch_norm", x, weight, bias, eps)
        return y
    eps = check_number("batch_norm", "eps", eps, low=0)
    parts = {"running_mean": running_mean, "running_var": running_var}
    _check_channels("batch_norm", x, **parts, weight=weight, bias=bias)
    mean, variance, weight, bias = _by_channel(x, running_mean, running_var, weight, bias)
    return _scaled((x - mean) / sqrt(variance + eps), weight, bias)


@rounded_once(promotion="float")
def by_batch(
    of: str, x: Any, weight: Any, bias: Any, eps: float, like: Any = None
) -> tuple[Any, Any, Any]:
    """Return `batch_norm` by the statistics of ``x``, its mean, and its variance; None of no elements.

    Parameters
    ----------
    of : str
        The function or layer.
    x, weight, bias, eps
        As in `batch_norm`.
    like : Tensor, optional
        Something else that the dtypes of the others meet with.

    Raises
    ------
    ShapeError, ArgumentError
        As `batch_norm`.
    """
    eps = check_number(of, "eps", eps, low=0)
    _check_channels(of, x, weight=weight, bias=bias)
    shape = tuple(x.shape)
    if shape[1] == math.prod(shape) > 0:
        raise ShapeError(
            f"{of}: x has shape {shape}, one number for each channel, which has no variance; give more "
            "rows, or use running statistics (eval())"
        )
    axes = tuple(i for i in range(len(shape)) if i != 1)
    y, *statistics = _standardized(x, axes, eps)
    mean, variance = (None if s is None else reshape(s, (shape[1],)) for s in statistics)
    return _scaled(y, *_by_channel(x, weight, bias)), mean, variance
