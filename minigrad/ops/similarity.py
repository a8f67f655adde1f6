"""How alike vectors are."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad.checks import check_number
from minigrad.composite import composite
from minigrad.errors import ShapeError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops import reduce
from minigrad.ops.elementwise import maximum, where
from minigrad.ops.linalg import vector_norm
from minigrad.ops.normalization import magnitude
from minigrad.ops.shape import broadcast_to, normal_axis, reshape
from minigrad.promotion import rounded_once


def _cosine_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=2)
    axis = draw.integer(0, len(shape) - 1)
    other = [n if i == axis else draw.choice([1, n]) for i, n in enumerate(shape)]
    other = other[draw.integer(0, axis) :]
    # of signs that alternate along the axis: at vectors that are parallel there is no slope to measure
    signs = (-1.0) ** numpy.arange(shape[axis]).reshape(-1, *(1,) * (len(shape) - axis - 1))
    pair = (draw.array(*shape, low=0.3), signs * draw.array(*other, low=0.3))
    attrs = {"axis": axis - draw.choice([0, len(shape)]), "eps": draw.choice([1e-8, 10.0])}
    return pair if draw.boolean() else pair[::-1], attrs


@composite(domain=Domain(arguments=_cosine_arguments))
@rounded_once(promotion="float")
def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle between vectors along an axis.

    ``sum(x1 * x2) / (max(norm(x1), eps) * max(norm(x2), eps))``

    Parameters
    ----------
    x1, x2 : Tensor
        Shapes that broadcast.
    axis : int
        The axis of the vectors, in the broadcast shape.
    eps : float
        The least norm to divide by: the similarity to a vector of zeros is 0.

    Returns
    -------
    Tensor
        The broadcast shape without the axis.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast, or there is no such axis.
    ArgumentError
        If ``eps`` is negative.

    Examples
    --------
    >>> mg.cosine_similarity(mg.tensor([[3.0, 4.0], [0.0, 0.0]]), mg.tensor([4.0, 3.0]))
    tensor([0.96, 0.  ])
    """
    eps = check_number("cosine_similarity", "eps", eps, low=0)
    first, second = tuple(x1.shape), tuple(x2.shape)
    try:
        shape = numpy.broadcast_shapes(first, second)
    except ValueError:
        raise ShapeError(
            f"cosine_similarity: the shapes {first} and {second} do not broadcast; give vectors of one "
            "size along the axis, and other axes that are equal, 1 or left out"
        ) from None
    axis = normal_axis(axis, len(shape), "cosine_similarity") - len(shape)

    def direction(x: Any) -> Any:
        own = (*(1,) * (len(shape) - len(x.shape)), *x.shape)
        whole = (*own[: len(shape) + axis], shape[axis], *own[len(shape) + axis + 1 :])
        x = broadcast_to(reshape(x, own), whole)
        if 0 in whole:
            return x
        scale = magnitude(x, (axis,))  # so that no square is too small or too large
        x = x / scale
        norm = maximum(vector_norm(x, axis=axis, keepdims=True), eps / scale)
        return x / where(norm == 0, 1.0, norm)

    return reduce.sum(direction(x1) * direction(x2), axis=axis)
