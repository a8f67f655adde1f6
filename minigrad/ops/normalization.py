"""Normalisation: elements less their mean, over the root of their variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import sizes_of
from minigrad.errors import ShapeError
from minigrad.op import Arguments, Domain, Draw, composite
from minigrad.ops import reduce
from minigrad.ops.elementwise import abs, exp2, floor, log2, sqrt, square, where
from minigrad.promotion import rounded_once


def _layer_norm_arguments(draw: Draw) -> Arguments:
    normalized = draw.shape(min_dims=1, max_dims=2, min_side=2)
    x = draw.distinct(*draw.shape(max_dims=2), *normalized)
    weight, bias = (draw.choice([None, draw.array(*normalized)]) for _ in range(2))
    # with two elements and a small eps the result hardly depends on x: nothing to measure
    return (x, normalized, weight, bias), {"eps": draw.choice([0.1, 1.0])}


def _magnitude(x: Any, axes: tuple[int, ...]) -> Any:
    """Return the power of two at or below the largest absolute value over axes; 1 where that is 0.

    To divide by it is exact, and it has no slope.
    """
    largest = reduce.max(abs(x), axis=axes, keepdims=True)
    return exp2(floor(log2(where(largest == 0, 1.0, largest))))


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
    axes = tuple(range(-len(sizes), 0))
    if eps == 0:
        x = x / _magnitude(
            x, axes
        )  # which changes nothing but that no square is too small or large
    centred = x - reduce.mean(x, axis=axes, keepdims=True)
    variance = reduce.mean(square(centred), axis=axes, keepdims=True)
    if eps == 0:
        constant = variance == 0
        y = where(constant, 0.0, centred / sqrt(where(constant, 1.0, variance)))
    else:
        y = centred / sqrt(variance + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias
