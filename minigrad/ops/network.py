"""Functions that layers are made of: softmax, slopes, lookup, dropout.

A row of which every element is minus infinity (fully masked attention) has no softmax. Here it gives
zeros, and minus infinity from ``log_softmax``; its gradient is zero in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from minigrad.composite import composite
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops.elementwise import where
from minigrad.ops.index import ARRAY
from minigrad.ops.reduce import reduction_arguments
from minigrad.ops.shape import normal_axis, reshape
from minigrad.promotion import rounded_once

# softmax


def _softmax_arguments(draw: Draw) -> Arguments:
    (x,), attrs = reduction_arguments(draw)
    return (x,), {"axis": attrs["axis"]}


def _exponentials(m: Any, x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return ``x`` less its largest element, the exponentials of that, and their sum (1 if it is 0)."""
    top = m.max(x, axis=axis, keepdims=True)
    below = x - m.where(top == -math.inf, 0.0, top)
    powers = m.exp(below)
    total = m.sum(powers, axis=axis, keepdims=True)
    return below, powers, m.where(total == 0, 1.0, total)


def _softmax(m: Any, x: Any, /, axis: int | Sequence[int] | None = -1) -> Any:
    if 0 in x.shape:
        return m.exp(x)
    _, powers, total = _exponentials(m, x, axis)
    powers /= total
    return powers


def _softmax_rule(m: Any, g: Any, y: Any, x: Any, axis: Any) -> Any:
    slope = g - m.sum(g * y, axis=axis, keepdims=True)
    slope *= y
    return slope


softmax = define_op(
    "softmax", _softmax, _softmax_rule,
    domain=Domain(sharp="complex", arguments=_softmax_arguments),
    promotion="float",
    doc="""``exp(x) / sum(exp(x))`` along an axis, several axes, or all (None), without overflow.

    Where every element is minus infinity the result and the gradient are 0.""",
)  # fmt: skip


def _log_softmax(m: Any, x: Any, /, axis: int | Sequence[int] | None = -1) -> Any:
    if 0 in x.shape:
        return m.exp(x)
    below, _, total = _exponentials(m, x, axis)
    below -= m.log(total)
    return below


def _log_softmax_rule(m: Any, g: Any, y: Any, x: Any, axis: Any) -> Any:
    slope = m.exp(y)
    alive = m.sum(slope, axis=axis, keepdims=True) != 0  # 1, or 0 if all of x is minus infinity
    slope *= m.sum(-g, axis=axis, keepdims=True)
    slope += g
    slope *= m.astype(alive, dtype=g.dtype)
    return slope


log_softmax = define_op(
    "log_softmax", _log_softmax, _log_softmax_rule,
    domain=Domain(sharp="complex", arguments=_softmax_arguments),
    promotion="float",
    doc="""The logarithm of `softmax`, without overflow and accurate where the softmax is tiny.

    Where every element is minus infinity so is the result, and the gradient is 0.""",
)  # fmt: skip

# a rectifier with slopes of its own


def _prelu_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    channels = shape[1] if len(shape) > 1 else 1
    weight = draw.array(*draw.choice([(), (1,), (channels,)]), low=-1.0)
    sign = 1 - 2 * draw.booleans(*shape)  # clear of the kink at 0
    return (numpy.asarray(draw.array(*shape, low=0.1) * sign), weight), {}


@composite(domain=Domain(arguments=_prelu_arguments))
@rounded_once(promotion="float")
def prelu(x: Any, weight: Any) -> Any:
    """Return ``x`` where positive, else ``weight * x`` (He 2015).

    Parameters
    ----------
    x : Tensor
        Any shape; with several slopes (N, C, ...).
    weight : Tensor
        Shape (), (1,), or (C,): a slope for each channel.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If ``weight`` has more axes, or neither one slope nor one for each channel.

    Examples
    --------
    >>> mg.prelu(mg.tensor([[-1.0, -2.0], [3.0, 4.0]]), mg.tensor([0.5, 0.25]))
    tensor([[-0.5, -0.5],
            [ 3. ,  4. ]])
    """
    shape, slopes = tuple(x.shape), tuple(weight.shape)
    channels = shape[1] if len(shape) > 1 else 1
    if slopes not in ((), (1,), (channels,)):
        raise ShapeError(
            f"prelu: weight has shape {slopes}; x of shape {shape} has {channels} channels on axis 1, so "
            f"it must be ({channels},), or () or (1,) for all of them"
        )
    slope = reshape(
        weight, (channels, *(1,) * (len(shape) - 2)) if slopes not in ((), (1,)) else ()
    )
    return where(x > 0, x, slope * x)


# lookup


def _embedding(
    m: Any,
    indices: Any,
    weight: Any,
    /,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
) -> Any:
    if weight.ndim != 2:
        raise ShapeError(
            f"weight must have two axes (num_embeddings, embedding_dim), not shape {weight.shape}"
        )
    rows = weight.shape[0]
    if not m.isdtype(indices.dtype, "integral"):
        raise DtypeError('indices must be integers; convert them with .astype("int64")')
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise IndexingError(f"padding_idx is {padding_idx}, but weight has {rows} rows")
    if bool(m.any((indices < 0) | (indices >= rows))):
        raise IndexingError(
            f"the indices run from {int(m.min(indices))} to {int(m.max(indices))}; "
            f"with {rows} rows of weight they must lie between 0 and {rows - 1}"
        )
    return weight[indices, ...]


def _embedding_rule(
    m: Any, g: Any, y: Any, indices: Any, weight: Any, padding_idx: Any, scale_grad_by_freq: bool
) -> Any:
    if scale_grad_by_freq:
        once = m.astype(indices >= 0, dtype="float64")
        count = m.put_zeros(once, indices, key=(ARRAY,), shape=(weight.shape[0],))
        count = m.astype(m.getitem(count, indices, key=(ARRAY,)), dtype=g.dtype)
        g = g / m.reshape(count, shape=(*count.shape, 1))
    if padding_idx is not None:
        padded = indices == normal_axis(padding_idx, weight.shape[0], "padding_idx")
        g = m.where(m.reshape(padded, shape=(*padded.shape, 1)), 0.0, g)
    return m.put_zeros(g, indices, key=(ARRAY,), shape=tuple(weight.shape))


def _embedding_arguments(draw: Draw) -> Arguments:
    rows = draw.integer(1, 4)
    indices = draw.integers(*draw.shape(), low=0, high=rows - 1)
    if draw.boolean():
        return (indices, draw.array(rows, 3)), {"padding_idx": None}
    # a row for padding that no index names: its gradient is left out by intent, so no check would hold
    return (indices, draw.array(rows + 1, 3)), {"padding_idx": draw.choice([-1, rows])}


embedding = define_op(
    "embedding", _embedding, (None, _embedding_rule),
    domain=Domain(
        sharp="linear", arguments=_embedding_arguments, strict="it picks by integer arrays"
    ),
    moves=True,
    doc="The row of a table for each index.",
)  # fmt: skip

# dropout


def _dropout(m: Any, x: Any, mask: Any, /, p: float = 0.5) -> Any:
    if not 0 <= p <= 1:
        raise ArgumentError(f"p is the probability to drop and must lie between 0 and 1, not {p}")
    if not m.isdtype(mask.dtype, "bool"):
        raise DtypeError(
            f"mask must be a bool tensor of the elements to keep, not {mask.dtype}; "
            "for instance minigrad.rand(shape) >= p"
        )
    if p == 1:
        mask = m.zeros_like(mask)  # all is dropped, also NaN
    return m.where(mask, x * (1 / (1 - p) if p < 1 else 1.0), 0.0)


def _dropout_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    mask = draw.booleans(*(draw.choice([1, n]) for n in shape))
    return (draw.array(*shape), mask), {"p": draw.choice([0.0, 0.25, 0.5, 1.0])}


dropout = define_op(
    "dropout", _dropout, (lambda m, g, y, x, mask, p: m.dropout(g, mask, p=p), None),
    domain=Domain(sharp="linear", arguments=_dropout_arguments),
    promotion="common", doc="""``x / (1 - p)`` where ``mask`` is true, else 0 (Srivastava 2014).

    The mask is drawn by the caller: an op has no hidden state. With ``p=1`` all is 0.""",
)  # fmt: skip
