"""Ops that turn many elements into fewer: sums, extremes, moments, and orders."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.checks import check_flag, check_integer
from minigrad.composite import composite
from minigrad.dtypes import as_dtype, float32, int64, is_half, uint64
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.op import Arguments, Domain, Draw, define_op
from minigrad.ops.elementwise import subtract
from minigrad.ops.index import gather, index
from minigrad.ops.shape import (
    along,
    astype,
    concat,
    normal_axes,
    normal_axis,
    permute_dims,
    reshape,
)
from minigrad.promotion import rounded_once


def reduced_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes to reduce over, counted from the front; None stands for all."""
    return tuple(range(ndim)) if axis is None else normal_axes(axis, ndim, "reduction")


def spread(m: Any, g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Stretch a reduced ``g`` over the axes of ``x`` again."""
    if not keepdims:
        axes = reduced_axes(axis, x.ndim)
        g = m.reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return m.broadcast_to(g, shape=x.shape)


def count(x: Any, axis: Any) -> int:
    """Return how many elements are reduced to one."""
    return math.prod(x.shape[i] for i in reduced_axes(axis, x.ndim))


def widened(x: Any, dtype: Any) -> Any:
    """Return ``x`` in the dtype of a sum of elements of ``dtype``: wide for integers and truth values."""
    wide = dtype if dtype.kind not in "biu" else uint64 if dtype.kind == "u" else int64
    return x if x.dtype == wide else astype(x, dtype=wide)


def reduction_arguments(draw: Draw) -> Arguments:
    """Draw distinct numbers with at least one element, an axis (or several, or none) and keepdims."""
    shape = draw.shape(min_side=1)
    axes: list[Any] = [None]
    if shape:
        axes += [draw.integer(-len(shape), len(shape) - 1), draw.permutation(len(shape))[:2]]
    return (draw.distinct(*shape),), {"axis": draw.choice(axes), "keepdims": draw.boolean()}


def _axis_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=1)
    return (draw.distinct(*shape),), {"axis": draw.integer(-len(shape), len(shape) - 1)}


_LINEAR = Domain(sharp="linear", arguments=reduction_arguments)
_ANY = Domain(arguments=reduction_arguments)

# sums and means


def _in_dtype(m: Any, reduction: Callable[[Any], Any], x: Any, dtype: Any) -> Any:
    """Reduce ``x`` in a dtype that was asked for: converted before, half precision once after."""
    if dtype is None:
        return reduction(x)
    wanted = as_dtype(dtype)
    y = reduction(m.astype(m.asarray(x), m.native(float32 if is_half(wanted) else wanted)))
    return m.astype(y, m.native(wanted))


def _sum(m: Any, x: Any, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    return _in_dtype(m, lambda x: m.sum(x, axis=axis, keepdims=keepdims), x, dtype)


sum = define_op(
    "sum", _sum,
    lambda m, g, y, x, axis, keepdims, dtype: spread(m, g, x, axis, keepdims),
    domain=_LINEAR, doc="Sum over axes; by default over all.",
)  # fmt: skip


def _mean(m: Any, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return m.sum(x, axis=axis, keepdims=keepdims) / count(x, axis)  # of nothing it is NaN


mean = define_op(
    "mean", _mean,
    lambda m, g, y, x, axis, keepdims: spread(m, g / (count(x, axis) or 1), x, axis, keepdims),
    domain=_LINEAR, promotion="float", doc="Mean over axes; by default over all.",
)  # fmt: skip


def _freedom(x: Any, axis: Any, correction: float) -> float:
    return builtins.max(count(x, axis) - correction, 0)


def _variance(
    m: Any, x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False
) -> Any:
    centred = x - _mean(m, x, axis=axis, keepdims=True)
    squares = m.sum(centred * centred, axis=axis, keepdims=keepdims)
    return squares / _freedom(x, axis, correction)


def _deviation(m: Any, g: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    centred = x - m.mean(x, axis=axis, keepdims=True)
    return spread(m, g, x, axis, keepdims) * centred / _freedom(x, axis, correction)


def _moment_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=2)
    axis = draw.choice([None, draw.integer(-len(shape), len(shape) - 1)])
    attrs = {"axis": axis, "keepdims": draw.boolean(), "correction": draw.choice([0.0, 1.0])}
    return (draw.distinct(*shape),), attrs


var = define_op(
    "var", _variance,
    lambda m, g, y, x, axis, correction, keepdims: _deviation(
        m, 2 * g, x, axis, correction, keepdims
    ),
    domain=Domain(arguments=_moment_arguments),
    promotion="float",
    doc="Variance over axes; the sum of squares is divided by the count less ``correction``.",
)  # fmt: skip
std = define_op(
    "std",
    lambda m, x, /, *, axis=None, correction=0.0, keepdims=False: m.sqrt(
        _variance(m, x, axis=axis, correction=correction, keepdims=keepdims)
    ),
    lambda m, g, y, x, axis, correction, keepdims: _deviation(
        m, m.where(y == 0, 0.0, g / m.where(y == 0, 1.0, y)), x, axis, correction, keepdims
    ),
    domain=Domain(arguments=_moment_arguments),
    promotion="float",
    doc="Standard deviation over axes, as the root of `var`. The gradient is 0 where it is 0.",
)  # fmt: skip


@composite(domain=_ANY)
def prod(
    x: Any, *, axis: int | Sequence[int] | None = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """Product over axes; by default over all. One of integers has the dtype of their `sum`.

    It multiplies halves, so that every derivative is exact also where elements are zero.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or tuple of int, optional
        The axes to reduce over; by default all.
    keepdims : bool
        Whether the reduced axes stay, with size 1.
    dtype : dtype or str, optional
        What to convert the elements to before.

    Returns
    -------
    Tensor
        The shape of ``x`` without the reduced axes, and its dtype; of integers int64 or uint64.

    Raises
    ------
    ShapeError
        If there is no such axis, or it is named twice.
    DtypeError
        If there is no such dtype.

    Examples
    --------
    >>> mg.prod(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([3., 8.])
    """
    return _prod(x if dtype is None else astype(x, dtype=dtype), axis, keepdims, dtype is None)


@rounded_once()
def _prod(x: Any, axis: int | Sequence[int] | None, keepdims: bool, widen: bool) -> Any:
    if widen:
        x = widened(x, x.dtype)
    axes = reduced_axes(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    n = count(x, axis)
    y = reshape(permute_dims(x, (*axes, *rest)), (n, *(x.shape[i] for i in rest)))
    if n == 0:
        y = sum(y, axis=0) + 1
    else:
        while n > 1:
            half = n // 2
            paired = y[:half] * y[half : 2 * half]
            if n % 2:
                paired = _times_first(paired, y[2 * half])
            y, n = paired, half
        y = y[0]
    if keepdims:
        y = reshape(y, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return y


def _times_first(x: Any, last: Any) -> Any:
    return concat([x[:1] * last, x[1:]], axis=0)


# extremes


def _extreme_rule(m: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    reached = m.logical_or(x == spread(m, y, x, axis, keepdims), m.isnan(x))
    ties = m.sum(m.astype(reached, dtype=x.dtype), axis=axis, keepdims=True)
    return m.where(reached, spread(m, g, x, axis, keepdims) / ties, 0.0)


max = define_op(
    "max", lambda m, x, /, *, axis=None, keepdims=False: m.max(x, axis=axis, keepdims=keepdims),
    _extreme_rule, domain=_ANY, selects=True,
    doc="Largest element over axes; equal largest elements share the gradient.",
)  # fmt: skip
min = define_op(
    "min", lambda m, x, /, *, axis=None, keepdims=False: m.min(x, axis=axis, keepdims=keepdims),
    _extreme_rule, domain=_ANY, selects=True,
    doc="Smallest element over axes; equal smallest elements share the gradient.",
)  # fmt: skip


def _logsumexp(m: Any, x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    top = m.max(x, axis=axis, keepdims=True)
    total = m.sum(m.exp(x - m.where(m.isfinite(top), top, 0.0)), axis=axis, keepdims=True)
    y = m.log(m.where(total == 0, 1.0, total)) + top  # all elements are -inf: no log of 0
    if keepdims:
        return y
    axes = reduced_axes(axis, x.ndim)
    return m.reshape(y, tuple(n for i, n in enumerate(x.shape) if i not in axes))


logsumexp = define_op(
    "logsumexp", _logsumexp,
    lambda m, g, y, x, axis, keepdims: spread(m, g, x, axis, keepdims) * m.softmax(x, axis=axis),
    domain=_ANY, promotion="float", doc="``log(sum(exp(x)))`` over axes, without overflow.",
)  # fmt: skip

# running sums and products


def _running_axis(axis: int | None, ndim: int, of: str) -> int:
    if axis is None and ndim != 1:
        raise ShapeError(f"say which axis of a tensor with {ndim} axes to go along")
    return normal_axis(axis or 0, ndim, of)


def _running(name: str) -> Callable[..., Any]:
    def formula(
        m: Any,
        x: Any,
        /,
        *,
        axis: int | None = None,
        include_initial: bool = False,
        dtype: Any = None,
    ) -> Any:
        options = {
            "axis": _running_axis(axis, x.ndim, name), "include_initial": include_initial
        }  # fmt: skip
        return _in_dtype(m, lambda x: getattr(m, name)(x, **options), x, dtype)

    return formula


def _cumulative_sum_rule(
    m: Any, g: Any, y: Any, x: Any, axis: int | None, include_initial: bool, dtype: Any
) -> Any:
    axis = normal_axis(axis or 0, x.ndim, "cumulative_sum")
    back = along(axis, slice(None, None, -1))
    if include_initial:
        g = m.getitem(g, key=along(axis, slice(1, None)))
    return m.getitem(m.cumulative_sum(m.getitem(g, key=back), axis=axis), key=back)


def _running_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _axis_arguments(draw)
    return (x,), {**attrs, "include_initial": draw.boolean()}


cumulative_sum = define_op(
    "cumulative_sum", _running("cumulative_sum"), _cumulative_sum_rule,
    domain=Domain(sharp="linear", arguments=_running_arguments),
    doc="Running sum along an axis; ``include_initial`` puts a zero in front.",
)  # fmt: skip


def _cumulative_prod_rule(
    m: Any, g: Any, y: Any, x: Any, axis: int | None, include_initial: bool, dtype: Any
) -> Any:
    """Add what follows each element, backwards: nothing is divided, so zeros do no harm."""
    axis = normal_axis(axis or 0, x.ndim, "cumulative_prod")
    size = x.shape[axis]
    if include_initial:
        g = m.getitem(g, key=along(axis, slice(1, None)))
        y = m.getitem(y, key=along(axis, slice(1, None)))
    found: list[Any] = []
    for i in reversed(range(size)):
        part = along(axis, slice(i, i + 1))
        behind = m.getitem(g, key=part)
        if found:
            following = m.getitem(x, key=along(axis, slice(i + 1, i + 2)))
            behind = behind + following * found[-1]
        found.append(behind)
    if size < 2:
        return g
    first = m.getitem(g, key=along(axis, slice(0, 1)))
    before = m.getitem(y, key=along(axis, slice(0, size - 1)))
    sums = m.concat(*found[::-1], axis=axis)
    return m.concat(m.zeros_like(first) + 1.0, before, axis=axis) * sums


cumulative_prod = define_op(
    "cumulative_prod", _running("cumulative_prod"), _cumulative_prod_rule,
    domain=Domain(arguments=_running_arguments), saves="all",
    doc="Running product along an axis; ``include_initial`` puts a one in front. "
    "The gradient is exact where elements are 0, too.",
)  # fmt: skip


def _diff_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _axis_arguments(draw)
    return (x,), {**attrs, "n": draw.integer(0, 2)}


@composite(domain=Domain(sharp="linear", arguments=_diff_arguments))
def diff(x: Any, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Return the differences of neighbours along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        The axis to go along.
    n : int
        How many times to take differences.
    prepend, append : Tensor, optional
        What to put in front and at the end first; shapes that are equal but for the axis.

    Returns
    -------
    Tensor
        The shape of ``x``, shorter by ``n`` along the axis, and longer by what was put there; with
        ``n=0`` it is ``x``.

    Raises
    ------
    ShapeError
        If there is no such axis, or what is put there does not fit.
    ArgumentError
        If ``n`` is no integer from 0 on.
    DtypeError
        If the elements are bool.

    Examples
    --------
    >>> mg.diff(mg.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    axis = normal_axis(axis, x.ndim, "diff")
    n = check_integer("diff", "n", n, low=0)
    if n == 0:
        return index(x, (...,))
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = concat(parts, axis=axis)
    for _ in range(n):
        size = x.shape[axis]
        behind, before = slice(builtins.min(1, size), size), slice(0, builtins.max(size - 1, 0))
        x = subtract(index(x, along(axis, behind)), index(x, along(axis, before)))
    return x


# truth and order: no derivative of their own


def _truth_arguments(draw: Draw) -> Arguments:
    (x,), attrs = reduction_arguments(draw)
    return (draw.booleans(*x.shape),), attrs


all = define_op(
    "all", lambda m, x, /, *, axis=None, keepdims=False: m.all(x, axis=axis, keepdims=keepdims),
    domain=Domain(arguments=_truth_arguments), doc="Whether all elements over axes are true.",
)  # fmt: skip
any = define_op(
    "any", lambda m, x, /, *, axis=None, keepdims=False: m.any(x, axis=axis, keepdims=keepdims),
    domain=Domain(arguments=_truth_arguments), doc="Whether any element over axes is true.",
)  # fmt: skip
count_nonzero = define_op(
    "count_nonzero",
    lambda m, x, /, *, axis=None, keepdims=False: m.sum(
        m.astype(x != m.zeros_like(x), m.int64), axis=axis, keepdims=keepdims
    ),
    domain=_ANY, doc="How many elements over axes are not 0.",
)  # fmt: skip


def _position_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _axis_arguments(draw)
    return (x,), {**attrs, "keepdims": draw.boolean()}


argmax = define_op(
    "argmax",
    lambda m, x, /, *, axis=None, keepdims=False: m.argmax(x, axis=axis, keepdims=keepdims),
    domain=Domain(arguments=_position_arguments),
    doc="Position of the first largest element along an axis, or in the flat tensor.",
)  # fmt: skip
argmin = define_op(
    "argmin",
    lambda m, x, /, *, axis=None, keepdims=False: m.argmin(x, axis=axis, keepdims=keepdims),
    domain=Domain(arguments=_position_arguments),
    doc="Position of the first smallest element along an axis, or in the flat tensor.",
)  # fmt: skip


def _argsort(
    m: Any, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    check_flag("argsort", "stable", stable)
    size = x.shape[normal_axis(axis, x.ndim, "argsort")]
    if not descending:
        return m.argsort(x, axis=axis, stable=True)
    # equal elements keep their order: sort backwards, twice
    backwards = m.flip(m.argsort(m.flip(x, axis=axis), axis=axis, stable=True), axis=axis)
    return size - 1 - backwards


def _order_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _axis_arguments(draw)
    return (x,), {**attrs, "descending": draw.boolean(), "stable": draw.boolean()}


argsort = define_op(
    "argsort", _argsort, domain=Domain(arguments=_order_arguments),
    doc="The positions that sort an axis; equal elements keep their order.",
)  # fmt: skip


@composite(domain=Domain(arguments=_order_arguments, strict="it picks by integer arrays"))
def sort(x: Any, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Sort along an axis; equal elements keep their order.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int
        The axis to sort.
    descending : bool
        Whether the largest elements come first.
    stable : bool
        Whether equal elements have to keep their order. They do anyway.

    Returns
    -------
    Tensor
        The shape of ``x``, and its dtype.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Examples
    --------
    >>> mg.sort(mg.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([3., 2., 1.])
    """
    normal_axis(axis, x.ndim, "sort")
    return gather(x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis)


def _searchsorted(m: Any, x: Any, values: Any, sorter: Any = None, /, *, side: str = "left") -> Any:
    check_choice("searchsorted", ("left", "right"), side=side)
    if x.ndim != 1:
        raise ShapeError(f"a tensor with {x.ndim} axes is searched; it needs one axis")
    if sorter is not None:
        x = m.pick(x, (sorter,))
    if x.shape[0] > 1:
        before, behind = x[:-1], x[1:]
        out_of_order = m.logical_not((before <= behind) | m.isnan(behind))  # NaN may be at the end
        if bool(m.any(out_of_order)):
            raise ArgumentError(
                "the elements are not in ascending order; pass sort(x), or a sorter"
            )
    return m.astype(m.asarray(m.searchsorted(x, m.asarray(values), side=side)), m.int64)


def _searchsorted_arguments(draw: Draw) -> Arguments:
    x = draw.integers(draw.integer(0, 4), low=0, high=2).cumsum()
    values = draw.integers(*draw.shape(), low=0, high=7)
    return (x, values), {"side": draw.choice(["left", "right"])}


searchsorted = define_op(
    "searchsorted", _searchsorted, domain=Domain(arguments=_searchsorted_arguments),
    doc="Where to put each of ``values`` into the ascending ``x`` so that it stays in order.",
)  # fmt: skip


def _topk_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _axis_arguments(draw)
    k = draw.integer(1, x.shape[attrs["axis"]])
    return (x, k), {**attrs, "largest": draw.boolean()}


@composite(domain=Domain(arguments=_topk_arguments, strict="it picks by integer arrays"))
def topk(x: Any, k: int, *, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """Return the ``k`` largest (or smallest) elements along an axis in order, and their positions.

    Parameters
    ----------
    x : Tensor
        Any shape.
    k : int
        How many, from 0 to the size of the axis.
    axis : int
        The axis to search.
    largest : bool
        Whether to look for the largest elements, not the smallest.

    Returns
    -------
    values : Tensor
        The shape of ``x`` with size ``k`` on the axis.
    indices : Tensor of int64
        Their positions on the axis, in the same shape.

    Raises
    ------
    ArgumentError
        If ``k`` is no integer.
    ShapeError
        If there is no such axis, or it has fewer than ``k`` elements.

    Examples
    --------
    >>> mg.topk(mg.tensor([3.0, 1.0, 2.0]), 2)
    (tensor([3., 2.]), tensor([0, 2]))
    """
    position = normal_axis(axis, x.ndim, "topk")
    k = check_integer("topk", "k", k)
    if not 0 <= k <= x.shape[position]:
        raise ShapeError(
            f"topk: k is {k}, but axis {axis} has {x.shape[position]} elements; "
            "k must lie between 0 and that"
        )
    order = argsort(x, axis=axis, descending=largest)
    indices = order[along(position, slice(0, k))]
    return gather(x, indices, axis=axis), indices
