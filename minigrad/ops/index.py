"""Ops that pick elements by position, and their mirror images that put elements back.

A key is data: a tuple of integers, slices, ``None``, ``...`` and, for each index array, `ARRAY`; the
arrays themselves are arguments of the op, so that they can be traced.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy

from minigrad.backends import backend_of
from minigrad.checks import check_integer
from minigrad.composite import composite
from minigrad.conversion import check_fits
from minigrad.dispatch import apply
from minigrad.dtypes import as_dtype
from minigrad.errors import DtypeError, IndexingError, TraceError
from minigrad.op import Arguments, Domain, Draw, EachArgument, define_op
from minigrad.ops.shape import along, broadcast_to, normal_axis
from minigrad.promotion import rounded_once

_STRICT = "the standard has no assignment through integer arrays"


class Marker(Enum):
    """What stands in a key for an index array."""

    ARRAY = "array"

    def __repr__(self) -> str:
        return self.name


ARRAY = Marker.ARRAY


def filled(key: tuple[Any, ...], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Return ``key`` with its arrays in place, and with a ``...``: the standard wants every axis."""
    remaining = iter(arrays)
    full = tuple(next(remaining) if part is ARRAY else part for part in key)
    return full if Ellipsis in key else (*full, ...)


# the primitives: pick, put, add


def _getitem(m: Any, *xs: Any, key: tuple[Any, ...]) -> Any:
    return m.pick(xs[0], filled(key, xs[1:]))


def _getitem_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, key: Any) -> Any:
    return m.put_zeros(g, *xs[1:], key=key, shape=tuple(xs[0].shape))


def _key_arguments(draw: Draw) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Draw an array, a key for it, and the index arrays of the key."""
    rows, columns = draw.integer(1, 4), draw.integer(1, 4)
    x = draw.array(rows, columns)
    count = draw.integer(0, 3)
    i = draw.integers(count, low=-rows, high=rows - 1)
    j = draw.integers(count, low=0, high=columns - 1)
    key, arrays = draw.choice(
        [
            ((0,), ()),
            ((slice(None, None, 2),), ()),
            ((slice(None), -1), ()),
            ((..., slice(None, None, -1)), ()),
            ((None, slice(1, None)), ()),
            ((ARRAY,), (i,)),
            ((ARRAY, ARRAY), (i, j)),
            ((slice(None), ARRAY), (j,)),
            ((ARRAY, slice(0, 1)), (i,)),
        ]
    )
    return x, key, arrays


def _getitem_arguments(draw: Draw) -> Arguments:
    x, key, arrays = _key_arguments(draw)
    return (x, *arrays), {"key": key}


getitem = define_op(
    "getitem", _getitem, EachArgument(_getitem_rule),
    domain=Domain(sharp="linear", arguments=_getitem_arguments, strict=_STRICT), selects=True,
    moves=True, doc="Elements by position; written ``x[key]``.",
)  # fmt: skip


def _put_zeros(m: Any, *xs: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    values = xs[0]
    return m.scatter_add(m.zeros(shape, dtype=values.dtype), filled(key, xs[1:]), values)


def _put_zeros_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, key: Any, shape: Any) -> Any:
    return m.getitem(g, *xs[1:], key=key)


def _put_zeros_arguments(draw: Draw) -> Arguments:
    x, key, arrays = _key_arguments(draw)
    return (draw.array(*x[filled(key, arrays)].shape), *arrays), {"key": key, "shape": x.shape}


put_zeros = define_op(
    "put_zeros", _put_zeros, EachArgument(_put_zeros_rule),
    domain=Domain(sharp="linear", arguments=_put_zeros_arguments, strict=_STRICT),
    doc="Zeros, with values added at the places of a key: the adjoint of ``getitem``.",
)  # fmt: skip


def _copied(m: Any, x: Any) -> Any:
    """Return an array of one's own to write to."""
    return m.astype(m.asarray(x), x.dtype)


def _index_add(m: Any, *xs: Any, key: tuple[Any, ...]) -> Any:
    check_fits("", xs[1], xs[0].dtype, writing=True)
    return m.scatter_add(_copied(m, xs[0]), filled(key, xs[2:]), xs[1])


def _picked_for(m: Any, g: Any, xs: tuple[Any, ...], key: Any) -> Any:
    """Return the elements of ``g`` that were written from ``xs[1]``, with at least its axes."""
    picked = m.getitem(g, *xs[2:], key=key)
    extra = len(getattr(xs[1], "shape", ())) - picked.ndim
    return m.reshape(picked, shape=(*(1,) * extra, *picked.shape)) if extra > 0 else picked


def _index_add_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, key: Any) -> Any:
    return g if position == 0 else _picked_for(m, g, xs, key)


def _update_arguments(draw: Draw) -> Arguments:
    x, key, arrays = _key_arguments(draw)
    return (x, draw.array(*x[filled(key, arrays)].shape), *arrays), {"key": key}


index_add = define_op(
    "index_add", _index_add, EachArgument(_index_add_rule),
    domain=Domain(sharp="linear", arguments=_update_arguments, strict=_STRICT),
    doc="Add values at the places of a key; written ``x.at[key].add(values)``.",
)  # fmt: skip


def _index_set(m: Any, *xs: Any, key: tuple[Any, ...]) -> Any:
    check_fits("", xs[1], xs[0].dtype, writing=True)
    return m.scatter_set(_copied(m, xs[0]), filled(key, xs[2:]), xs[1])


def _index_set_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, key: Any) -> Any:
    if position == 0:
        return m.index_set(g, 0.0, *xs[2:], key=key)
    picked = _picked_for(m, g, xs, key)
    if ARRAY not in key:
        return picked
    return m.where(m.written_last(g, *xs[2:], key=key), picked, 0.0)


index_set = define_op(
    "index_set", _index_set, EachArgument(_index_set_rule),
    domain=Domain(sharp="linear", arguments=_update_arguments, strict=_STRICT), selects=True,
    moves=True, doc="Put values at the places of a key; written ``x.at[key].set(values)``.",
)  # fmt: skip


def _written_last(m: Any, *xs: Any, key: tuple[Any, ...]) -> Any:
    full = filled(key, xs[1:])
    places = m.zeros(xs[0].shape, dtype=m.int64)
    shape = places[full].shape
    numbers = m.reshape(m.arange(places[full].size, dtype=m.int64), shape)
    return m.scatter_set(places, full, numbers)[full] == numbers


written_last = define_op(
    "written_last", _written_last,
    domain=Domain(arguments=_getitem_arguments, strict=_STRICT),
    promotion="none",
    doc="For each place of a key, whether a write through the key leaves this value there.",
)  # fmt: skip

# reading a key as users write it


def _is_array(part: Any) -> bool:
    return hasattr(part, "shape") and hasattr(part, "dtype")


def parse_key(x: Any, key: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return a user's key as data, and its index arrays; masks become positions.

    Raises
    ------
    IndexingError
        If a part cannot index, or there are more parts than axes.
    """
    parts: list[Any] = []
    arrays: list[Any] = []
    masks: list[tuple[int, Any]] = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, list):
            part = numpy.asarray(part) if part else numpy.zeros(0, dtype=numpy.int64)
        if part is None or part is Ellipsis or isinstance(part, slice):
            parts.append(part)
        elif isinstance(part, (bool, numpy.bool_)) or _is_single_bool(part):
            raise IndexingError(
                "x[True] is not supported; use minigrad.where, or a mask of a shape"
            )
        elif _is_array(part) and not isinstance(part, numpy.generic):
            kind = getattr(part.dtype, "kind", str(part.dtype))
            if kind[0] == "b":
                positions = _positions(part)
                masks.append((len(parts), part))
                parts.extend([ARRAY] * len(positions))
                arrays.extend(positions)
            elif kind[0] in "iu":
                parts.append(ARRAY)
                arrays.append(part)
            else:
                raise IndexingError(
                    f"a tensor of {part.dtype} cannot index; convert it with .astype('int64')"
                )
        else:
            try:
                parts.append(operator.index(part))
            except TypeError:
                raise IndexingError(
                    f"{part!r} cannot index a tensor; use integers, slices, None, ..., "
                    "integer or bool tensors"
                ) from None
    used = sum(part is not None and part is not Ellipsis for part in parts)
    if used > len(x.shape):
        raise IndexingError(
            f"{used} indices for a tensor with {len(x.shape)} axes (shape {tuple(x.shape)}); "
            "remove some"
        )
    for place, mask in masks:
        before = parts[:place]
        axis = sum(part is not None and part is not Ellipsis for part in before)
        if any(part is Ellipsis for part in before):
            axis += len(x.shape) - used
        sizes = tuple(x.shape[axis : axis + len(mask.shape)])
        if tuple(mask.shape) != sizes:
            raise IndexingError(
                f"a mask of shape {tuple(mask.shape)} cannot index axes of size {sizes}; "
                "they must be equal"
            )
    return tuple(parts), tuple(arrays)


def _is_single_bool(part: Any) -> bool:
    return _is_array(part) and not part.shape and part.dtype == bool


def _positions(mask: Any) -> tuple[Any, ...]:
    array = getattr(mask, "_array", mask)
    backend = backend_of(array)
    if backend is None:
        raise TraceError(
            "a traced step cannot index by a bool mask, because the shape would depend on values; "
            "use minigrad.where"
        )
    with backend.place(array):
        return tuple(backend.namespace.nonzero(array))


def index(x: Any, key: Any) -> Any:
    """Return ``x[key]``."""
    parts, arrays = parse_key(x, key)
    return apply(getitem, (x, *arrays), {"key": parts})


class At:
    """What ``x.at`` is: it waits for a key."""

    def __init__(self, x: Any) -> None:
        self._x = x

    def __getitem__(self, key: Any) -> IndexUpdate:
        return IndexUpdate(self._x, key)


class IndexUpdate:
    """What ``x.at[key]`` is: the places that an update writes to. Updates return a new tensor."""

    def __init__(self, x: Any, key: Any) -> None:
        self._x = x
        self._key = key

    def set(self, values: Any) -> Any:
        """Return a copy of the tensor with ``values`` at the key."""
        return self._update(index_set, values)

    def add(self, values: Any) -> Any:
        """Return a copy of the tensor with ``values`` added; a place named twice gets both."""
        return self._update(index_add, values)

    def _update(self, op: Any, values: Any) -> Any:
        parts, arrays = parse_key(self._x, self._key)
        return apply(op, (self._x, values, *arrays), {"key": parts})


# picking along one axis


def _take_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=1)
    axis = draw.integer(-len(shape), len(shape) - 1)
    return (draw.array(*shape), draw.integers(3, low=0, high=shape[axis] - 1), axis), {}


@composite(domain=Domain(sharp="linear", arguments=_take_arguments, strict=_STRICT))
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Return the elements at ``indices`` along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    indices : Tensor of int
        Any shape; negative ones count from the end.
    axis : int, optional
        The axis that they count along; may be left out for a tensor with one axis.

    Returns
    -------
    Tensor
        The shape of ``x`` with the axes of ``indices`` in place of the axis.

    Raises
    ------
    IndexingError
        If an index is out of range, or the axis is left out for a tensor with several.
    ShapeError
        If there is no such axis.

    Examples
    --------
    >>> mg.take(mg.tensor([1.0, 2.0, 3.0]), mg.tensor([2, 0]))
    tensor([3., 1.])
    """
    if axis is None and x.ndim != 1:
        raise IndexingError(f"take: say which axis of a tensor with {x.ndim} axes is meant")
    position = normal_axis(axis or 0, x.ndim, "take")
    return index(x, along(position, indices))


def _along(m: Any, indices: Any, axis: int, ndim: int) -> tuple[Any, ...]:
    """Return a full key that goes along ``axis`` by ``indices`` and straight along the others."""
    if as_dtype(indices.dtype).kind not in "iu":
        raise IndexingError(
            f"the indices must be integers, not {indices.dtype}; convert them with .astype('int64')"
        )
    grids = []
    for i, size in enumerate(indices.shape):
        shape = tuple(size if j == i else 1 for j in range(ndim))
        grids.append(indices if i == axis else m.reshape(m.arange(size, dtype=m.int64), shape))
    return tuple(grids)


def _along_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=1)
    axis = draw.integer(-len(shape), len(shape) - 1)
    sizes = list(shape)
    sizes[axis] = draw.integer(1, 3)
    indices = draw.integers(*sizes, low=0, high=shape[axis] - 1)
    return (draw.array(*shape), indices), {"axis": axis}


def _check_along(x: Any, indices: Any, axis: int, of: str) -> int:
    if indices.ndim != x.ndim:
        raise IndexingError(
            f"{of}: indices have {indices.ndim} axes and the tensor has {x.ndim}; they need as many"
        )
    return normal_axis(axis, x.ndim, of)


def _gather(m: Any, x: Any, indices: Any, /, axis: int = -1) -> Any:
    position = _check_along(x, indices, axis, "gather")
    return m.pick(x, _along(m, indices, position, x.ndim))


gather = define_op(
    "gather", _gather,
    (
        lambda m, g, y, x, indices, axis: m.put_along_axis(g, indices, axis=axis, shape=x.shape),
        None,
    ),
    domain=Domain(sharp="linear", arguments=_along_arguments, strict=_STRICT), selects=True,
    moves=True,
    doc="Pick along an axis by an index for each place of the result, as PyTorch's gather.",
)  # fmt: skip


def _put_along_axis(m: Any, values: Any, indices: Any, /, axis: int, shape: tuple[int, ...]) -> Any:
    position = normal_axis(axis, len(shape), "scatter_add")
    key = _along(m, indices, position, len(shape))
    alone = indices.shape[position] == 1  # then no two values meet, and writing is much faster
    put = m.scatter_set if alone else m.scatter_add
    return put(m.zeros(shape, dtype=values.dtype), key, values)


def _put_along_axis_arguments(draw: Draw) -> Arguments:
    (x, indices), attrs = _along_arguments(draw)
    return (draw.array(*indices.shape), indices), {**attrs, "shape": x.shape}


put_along_axis = define_op(
    "put_along_axis", _put_along_axis,
    (lambda m, g, y, values, indices, axis, shape: m.gather(g, indices, axis=axis), None),
    domain=Domain(sharp="linear", arguments=_put_along_axis_arguments, strict=_STRICT),
    doc="Zeros, with values added along an axis at their indices: the adjoint of ``gather``.",
)  # fmt: skip


def _scatter_add_arguments(draw: Draw) -> Arguments:
    (x, indices), attrs = _along_arguments(draw)
    return (x, indices, draw.array(*indices.shape)), attrs


@composite(domain=Domain(sharp="linear", arguments=_scatter_add_arguments, strict=_STRICT))
@rounded_once(fixed=("indices",))
def scatter_add(x: Any, indices: Any, values: Any, axis: int = -1) -> Any:
    """Add each value at the place along an axis that its index names, as PyTorch's scatter_add.

    Parameters
    ----------
    x : Tensor
        Any shape.
    indices : Tensor of int
        Positions along the axis; as many axes as ``x``.
    values : Tensor
        The shape of ``indices``.
    axis : int
        The axis that the indices count along.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    IndexingError
        If an index is out of range or no integer, or the number of axes differs.
    ShapeError
        If there is no such axis.

    Examples
    --------
    >>> mg.scatter_add(mg.zeros(3), mg.tensor([0, 2, 2]), mg.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 5.])
    """
    _check_along(x, indices, axis, "scatter_add")
    return x + put_along_axis(values, indices, axis=axis, shape=tuple(x.shape))


@composite(domain=Domain(sharp="linear", arguments=_along_arguments, strict=_STRICT))
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """Pick along an axis by an index for each place; the other axes broadcast, as in NumPy.

    Parameters
    ----------
    x : Tensor
        Any shape.
    indices : Tensor of int
        Positions along the axis; as many axes as ``x``, and the other ones broadcast.
    axis : int
        The axis that the indices count along.

    Returns
    -------
    Tensor
        The shape of ``indices``, broadcast.

    Raises
    ------
    IndexingError
        If an index is out of range or no integer, or the number of axes differs.
    ShapeError
        If there is no such axis, or the others do not broadcast.

    Examples
    --------
    >>> mg.take_along_axis(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    position = _check_along(x, indices, axis, "take_along_axis")
    shape = tuple(
        size if n == 1 and i != position else n
        for i, (n, size) in enumerate(zip(indices.shape, x.shape, strict=True))
    )
    if tuple(indices.shape) != shape:
        indices = broadcast_to(indices, shape)
    wide = tuple(
        size if i == position else n for i, (n, size) in enumerate(zip(shape, x.shape, strict=True))
    )
    if tuple(x.shape) != wide:
        x = broadcast_to(x, wide)
    return gather(x, indices, axis=axis)


def _one_hot(m: Any, indices: Any, /, num_classes: int) -> Any:
    num_classes = check_integer("one_hot", "num_classes", num_classes, low=0)
    if not m.isdtype(indices.dtype, "integral"):
        raise DtypeError('indices must be integers; convert them with .astype("int64")')
    if indices.size and bool(m.any((indices < 0) | (indices >= num_classes))):
        raise IndexingError(
            f"the indices run from {int(m.min(indices))} to {int(m.max(indices))}; "
            f"with {num_classes} classes they must lie between 0 and {num_classes - 1}"
        )
    indices = m.expand_dims(m.astype(indices, m.int64), axis=-1)  # uint8 holds no class 300
    return m.astype(indices == m.arange(num_classes, dtype=m.int64), m.float32)


one_hot = define_op(
    "one_hot", _one_hot,
    domain=Domain(
        arguments=lambda draw: ((draw.integers(*draw.shape(), low=0, high=2),), {"num_classes": 3})
    ),
    promotion="none", doc="A new last axis with 1 at the index and 0 elsewhere, in float32.",
)  # fmt: skip
