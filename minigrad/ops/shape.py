"""Ops that rearrange elements, convert them, or move them, but compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from minigrad.backends import backend_named, backend_of, parse_device
from minigrad.checks import as_integer, check_integer, check_integers, listed, sizes_of
from minigrad.composite import composite
from minigrad.conversion import check_fits
from minigrad.dispatch import apply
from minigrad.errors import ShapeError, check_choice
from minigrad.op import Arguments, Domain, Draw, EachArgument, define_op


def normal_axis(axis: int, ndim: int, of: str) -> int:
    """Return ``axis`` counted from the front.

    Raises
    ------
    ShapeError
        If a tensor with ``ndim`` axes has no such axis.
    """
    position = as_integer(axis)
    if position is None:
        raise ShapeError(f"{of}: an axis is an integer, not {axis!r}")
    if not -ndim <= position < ndim:
        raise ShapeError(
            f"{of}: there is no axis {axis} in a tensor with {ndim} axes; "
            "axes count from 0, or from -1 backwards"
        )
    return position % ndim


def normal_axes(axes: int | Sequence[int], ndim: int, of: str) -> tuple[int, ...]:
    """Return ``axes`` counted from the front; refuse those that do not exist or come twice."""
    given = listed(axes)
    found = tuple(normal_axis(axis, ndim, of) for axis in given)
    if len(set(found)) < len(found):
        raise ShapeError(f"{of}: axes {given} name an axis twice; name each once")
    return found


def _linear(arguments: Any, strict: str | None = None) -> Domain:
    return Domain(sharp="linear", arguments=arguments, strict=strict)


# what the engine itself needs


def _sum_to(m: Any, x: Any, /, *, shape: tuple[int, ...]) -> Any:
    extra = x.ndim - len(shape)
    if extra:
        x = m.sum(x, axis=tuple(range(extra)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1)
    return m.sum(x, axis=stretched, keepdims=True) if stretched else x


def _sum_to_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    target = tuple(draw.choice((1, n)) for n in shape)[draw.integer(0, len(shape)) :]
    return (draw.array(*shape),), {"shape": target}


sum_to = define_op(
    "sum_to", _sum_to,
    lambda m, g, y, x, shape: m.broadcast_to(g, shape=x.shape),
    domain=_linear(_sum_to_arguments),
    doc="Sum over the axes that broadcasting from ``shape`` would have stretched.",
)  # fmt: skip


def _broadcast_arguments(draw: Draw) -> Arguments:
    (x,), attrs = _sum_to_arguments(draw)
    return (draw.array(*attrs["shape"]),), {"shape": tuple(x.shape)}


broadcast_to = define_op(
    "broadcast_to", lambda m, x, /, shape: m.broadcast_to(x, sizes_of(shape)),
    lambda m, g, y, x, shape: m.sum_to(g, shape=x.shape),
    domain=_linear(_broadcast_arguments), moves=True,
    doc="Stretch axes of size 1, and add axes in front.",
)  # fmt: skip


def _to_dtype(draw: Draw) -> Arguments:
    return (draw.array(*draw.shape()),), {"dtype": "float64"}


astype = define_op(
    "astype", lambda m, x, /, dtype: m.astype(m.asarray(x), m.native(dtype)),
    lambda m, g, y, x, dtype: m.astype(g, dtype=x.dtype),
    domain=_linear(_to_dtype), promotion="none", doc="Convert the elements to another dtype.",
)  # fmt: skip


def _transfer(m: Any, x: Any, /, device: str, source: str = "cpu") -> Any:
    holder = backend_of(x)
    name, number = parse_device(device)
    content = x if holder is None or holder.name == name else holder.to_numpy(x)
    return backend_named(name).asarray(content, x.dtype, number)


def _to_cpu(draw: Draw) -> Arguments:
    return (draw.array(*draw.shape()),), {"device": "cpu"}


def _transfer_back(m: Any, g: Any, y: Any, x: Any, device: str, source: str) -> Any:
    return m.transfer(g, device=source, source=device)


transfer = define_op(
    "transfer", _transfer, _transfer_back,
    domain=_linear(_to_cpu, strict="it names a device of NumPy or CuPy"),
    promotion="none", doc="Copy to another device; ``source`` is where the tensor is.",
)  # fmt: skip

# one new order or shape


def _reshape(m: Any, x: Any, /, shape: Any) -> Any:
    sizes = sizes_of(shape, low=-1)
    known, count = prod(n for n in sizes if n != -1), prod(x.shape)
    open_ = sizes.count(-1)
    if open_ > 1:
        raise ShapeError(
            f"only one size can be worked out, and {sizes} has {open_}; give the others"
        )
    if (known != count and not open_) or (open_ and (not known or count % known)):
        raise ShapeError(
            f"{count} elements do not fill the shape {sizes}; the product of its sizes must be {count}"
            + (", whatever the one that is -1" if open_ else "")
        )
    return m.reshape(x, sizes)


def _reshape_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_side=1)
    return (draw.array(*shape),), {"shape": draw.choice([(-1,), (*shape, 1), shape[::-1]])}


reshape = define_op(
    "reshape", _reshape, lambda m, g, y, x, shape: m.reshape(g, shape=x.shape),
    domain=_linear(_reshape_arguments),
    moves=True, doc="The same elements in another shape; one size may be -1 and is worked out.",
)  # fmt: skip


def _permute(m: Any, x: Any, /, axes: Sequence[int]) -> Any:
    return m.permute_dims(x, normal_axes(axes, x.ndim, "permute_dims"))


def _permute_rule(m: Any, g: Any, y: Any, x: Any, axes: Sequence[int]) -> Any:
    positions = [axis % len(axes) for axis in axes]
    return m.permute_dims(g, axes=tuple(positions.index(i) for i in range(len(positions))))


def _permute_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.array(*shape),), {"axes": draw.permutation(len(shape))}


permute_dims = define_op(
    "permute_dims", _permute, _permute_rule, domain=_linear(_permute_arguments),
    moves=True, doc="Put the axes in another order.",
)  # fmt: skip


def _one_axis(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1)
    return (draw.array(*shape), draw.integer(-len(shape), len(shape) - 1)), {}


def _two_axes(draw: Draw) -> Arguments:
    (x, axis), _ = _one_axis(draw)
    return (x, axis, draw.integer(-x.ndim, x.ndim - 1)), {}


@composite(domain=_linear(_two_axes))
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Swap two axes.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis1 : int
        One axis.
    axis2 : int
        The other one.

    Returns
    -------
    Tensor
        The shape of ``x`` with two sizes swapped.

    Raises
    ------
    ShapeError
        If one of them does not exist.

    Examples
    --------
    >>> mg.swapaxes(mg.zeros((2, 3, 5)), 0, -1).shape
    (5, 3, 2)
    """
    axes = list(range(x.ndim))
    first, second = (normal_axis(a, x.ndim, "swapaxes") for a in (axis1, axis2))
    axes[first], axes[second] = second, first
    return permute_dims(x, tuple(axes))


@composite(domain=_linear(_two_axes))
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Move axes to new places; the others keep their order.

    Parameters
    ----------
    x : Tensor
        Any shape.
    source : int or sequence of int
        The axes to move.
    destination : int or sequence of int
        Where each of them stands in the result.

    Returns
    -------
    Tensor
        The shape of ``x`` in the new order.

    Raises
    ------
    ShapeError
        If an axis does not exist or comes twice, or there are not as many places as axes.

    Examples
    --------
    >>> mg.moveaxis(mg.zeros((2, 3, 5)), 0, -1).shape
    (3, 5, 2)
    """
    origins = normal_axes(source, x.ndim, "moveaxis")
    places = normal_axes(destination, x.ndim, "moveaxis")
    if len(origins) != len(places):
        raise ShapeError(
            f"moveaxis: {len(origins)} axes to move but {len(places)} places; give as many of each"
        )
    order = [axis for axis in range(x.ndim) if axis not in origins]
    for place, origin in sorted(zip(places, origins, strict=True)):
        order.insert(place, origin)
    return permute_dims(x, tuple(order))


def _squeeze_arguments(draw: Draw) -> Arguments:
    shape = list(draw.shape())
    place = draw.integer(0, len(shape))
    shape.insert(place, 1)
    return (draw.array(*shape), draw.choice([place, place - len(shape)])), {}


@composite(domain=_linear(_squeeze_arguments))
def squeeze(x: Any, axis: int | Sequence[int]) -> Any:
    """Drop axes of size 1.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int
        The axes to drop.

    Returns
    -------
    Tensor
        The shape of ``x`` without these axes.

    Raises
    ------
    ShapeError
        If one of the axes does not exist or has another size.

    Examples
    --------
    >>> mg.squeeze(mg.zeros((2, 1, 3)), 1).shape
    (2, 3)
    """
    axes = normal_axes(axis, x.ndim, "squeeze")
    for position in axes:
        if x.shape[position] != 1:
            raise ShapeError(
                f"squeeze: axis {position} has size {x.shape[position]}, not 1; "
                "index it, or reduce over it"
            )
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _expand_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.array(*shape), draw.integer(-len(shape) - 1, len(shape))), {}


@composite(domain=_linear(_expand_arguments))
def expand_dims(x: Any, axis: int | Sequence[int] = 0) -> Any:
    """Add axes of size 1 at these places of the result.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int
        The places of the new axes in the result.

    Returns
    -------
    Tensor
        The shape of ``x`` with the new axes.

    Raises
    ------
    ShapeError
        If the result has no such place, or one comes twice.

    Examples
    --------
    >>> mg.expand_dims(mg.zeros((2, 3)), 1).shape
    (2, 1, 3)
    """
    count = len(listed(axis))
    axes = normal_axes(axis, x.ndim + count, "expand_dims")
    sizes = iter(x.shape)
    shape = tuple(1 if i in axes else next(sizes) for i in range(x.ndim + count))
    return reshape(x, shape)


def _any_shape(draw: Draw) -> Arguments:
    return (draw.array(*draw.shape()),), {}


@composite(domain=_linear(_any_shape))
def flatten(x: Any) -> Any:
    """All elements in one axis, the last axis fastest.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape (x.size,).

    Raises
    ------
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.flatten(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return reshape(x, (prod(x.shape),))


# joining and taking apart


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the key that indexes one axis, which counts from the front, by ``part``."""
    return (*(slice(None),) * axis, part)


def _concat(m: Any, *xs: Any, axis: int | None = 0) -> Any:
    return m.concat(xs, axis=axis)


def _concat_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, axis: int | None) -> Any:
    if axis is None:
        start = sum(prod(x.shape) for x in xs[:position])
        part = m.getitem(g, key=(slice(start, start + prod(xs[position].shape)),))
        return m.reshape(part, shape=xs[position].shape)
    axis = normal_axis(axis, xs[0].ndim, "concat")
    start = sum(x.shape[axis] for x in xs[:position])
    key = along(axis, slice(start, start + xs[position].shape[axis]))
    return m.getitem(g, key=key)


def _concat_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1)
    axis = draw.integer(-len(shape), len(shape) - 1)

    def part() -> Any:
        sizes = list(shape)
        sizes[axis] = draw.integer(0, 3)
        return draw.array(*sizes)

    return tuple(part() for _ in range(draw.integer(1, 3))), {"axis": axis}


concat = define_op(
    "concat", _concat, EachArgument(_concat_rule), domain=_linear(_concat_arguments),
    promotion="common", moves=True,
    doc="Join tensors along an axis they have; ``axis=None`` flattens them first.",
)  # fmt: skip


def _stack_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, axis: int) -> Any:
    axis = normal_axis(axis, xs[0].ndim + 1, "stack")
    return m.getitem(g, key=along(axis, position))


def _stack_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    xs = tuple(draw.array(*shape) for _ in range(draw.integer(1, 3)))
    return xs, {"axis": draw.integer(-len(shape) - 1, len(shape))}


stack = define_op(
    "stack", lambda m, *xs, axis=0: m.stack(xs, axis=axis), EachArgument(_stack_rule),
    domain=_linear(_stack_arguments), promotion="common", moves=True,
    doc="Join tensors along a new axis.",
)  # fmt: skip


def part_sizes(sections: int | Sequence[int], size: int) -> tuple[int, ...]:
    """Return the sizes of the parts that ``split`` makes of an axis of ``size``."""
    if isinstance(sections, Sequence):
        sizes = check_integers("split", "a size", sections)
        if sum(sizes) != size or any(n < 0 for n in sizes):
            raise ShapeError(
                f"split: sizes {sizes} add up to {sum(sizes)}, but the axis has size {size}; "
                "they must add up to it"
            )
        return sizes
    count = check_integer("split", "the number of parts", sections)
    if count < 1 or size % count:
        raise ShapeError(
            f"split: an axis of size {size} cannot be split into {sections} equal parts; "
            "give the sizes of the parts"
        )
    return (size // count,) * count


def _split(m: Any, x: Any, /, sections: int | Sequence[int], axis: int = -1) -> tuple[Any, ...]:
    axis = normal_axis(axis, x.ndim, "split")
    ends = (0, *accumulate(part_sizes(sections, x.shape[axis])))
    tail = (slice(None),) * (x.ndim - axis - 1)
    return tuple(x[(*along(axis, slice(a, b)), *tail)] for a, b in pairwise(ends))


def _split_arguments(draw: Draw) -> Arguments:
    shape = list(draw.shape(min_dims=1))
    axis = draw.integer(-len(shape), len(shape) - 1)
    sections = draw.choice([2, 3, (1, 2), (0, 2, 1)])
    shape[axis] = 6 if isinstance(sections, int) else sum(sections)
    return (draw.array(*shape),), {"sections": sections, "axis": axis}


split = define_op(
    "split", _split, lambda m, gs, ys, x, sections, axis: m.concat(*gs, axis=axis),
    domain=_linear(_split_arguments),
    moves=True,
    doc="Cut an axis, by default the last, into a number of equal parts or parts of given sizes.",
)  # fmt: skip


def _unstack(m: Any, x: Any, /, axis: int = 0) -> tuple[Any, ...]:
    axis = normal_axis(axis, x.ndim, "unstack")
    tail = (slice(None),) * (x.ndim - axis - 1)
    return tuple(x[(*along(axis, i), *tail)] for i in range(x.shape[axis]))


def _unstack_arguments(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1, min_side=1)
    return (draw.array(*shape),), {"axis": draw.integer(-len(shape), len(shape) - 1)}


unstack = define_op(
    "unstack", _unstack, lambda m, gs, ys, x, axis: m.stack(*gs, axis=axis),
    domain=_linear(_unstack_arguments), moves=True, doc="The slices along an axis, as a tuple.",
)  # fmt: skip

# repeating and padding


@composite(domain=_linear(_one_axis))
def flip(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Reverse the order along these axes; by default along all.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axis : int or sequence of int, optional
        The axes to reverse; by default all.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If there is no such axis, or it is named twice.

    Examples
    --------
    >>> mg.flip(mg.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    axes = range(x.ndim) if axis is None else normal_axes(axis, x.ndim, "flip")
    return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))]


def _roll_arguments(draw: Draw) -> Arguments:
    (x, axis), _ = _one_axis(draw)
    return (x, draw.integer(-5, 5), draw.choice([axis, None])), {}


@composite(domain=_linear(_roll_arguments))
def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """Shift elements along axes; those that fall off the end come back at the start.

    Without an axis the tensor is rolled as if it were flat.

    Parameters
    ----------
    x : Tensor
        Any shape.
    shift : int or sequence of int
        How many places, for all axes or for each.
    axis : int or sequence of int, optional
        The axes to shift along.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ShapeError
        If an axis does not exist, or there are not as many shifts as axes.

    Examples
    --------
    >>> mg.roll(mg.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    if axis is None:
        return reshape(roll(flatten(x), shift, 0), x.shape)
    axes = tuple([normal_axis(a, x.ndim, "roll") for a in listed(axis)])
    shifts = check_integers("roll", "shift", shift)
    if len(listed(axis)) > 1 and as_integer(shift) is not None:
        shifts *= len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes; give as many of each")
    for position, amount in zip(axes, shifts, strict=True):
        size = x.shape[position]
        cut = (size - amount) % size if size else 0
        head = x[along(position, slice(0, cut))]
        x = concat([x[along(position, slice(cut, size))], head], axis=position)
    return x


def _repeat_arguments(draw: Draw) -> Arguments:
    (x, axis), _ = _one_axis(draw)
    return (x, draw.integer(0, 3), draw.choice([axis, None])), {}


@composite(domain=_linear(_repeat_arguments))
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each element along an axis; without an axis the tensor is flattened first.

    Parameters
    ----------
    x : Tensor
        Any shape.
    repeats : int, or sequence or tensor of int
        How often; one number for each element of the axis, shape (size,), or the same for all.
    axis : int, optional
        The axis to repeat along.

    Returns
    -------
    Tensor
        The shape of ``x``, longer along the axis; or one axis.

    Raises
    ------
    ShapeError
        If the axis does not exist, or has another size than ``repeats``.
    ArgumentError
        If a number is no integer, or negative.

    Examples
    --------
    >>> mg.repeat(mg.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    if axis is None:
        return repeat(flatten(x), repeats, 0)
    if hasattr(repeats, "tolist"):  # a tensor or an array
        repeats = repeats.tolist()
    position = normal_axis(axis, x.ndim, "repeat")
    counts = check_integers("repeat", "repeats", repeats, low=0)
    if isinstance(repeats, Sequence):
        if len(counts) != x.shape[position]:
            raise ShapeError(
                f"repeat: {len(counts)} counts for an axis of size {x.shape[position]}; "
                "give one for each element"
            )
        order = [i for i, count in enumerate(counts) for _ in range(count)]
        return x[along(position, order)]
    before, size, after = x.shape[:position], x.shape[position], x.shape[position + 1 :]
    (times,) = counts
    wide = broadcast_to(reshape(x, (*before, size, 1, *after)), (*before, size, times, *after))
    return reshape(wide, (*before, size * times, *after))


def _tile_arguments(draw: Draw) -> Arguments:
    repetitions = draw.choice([(2,), (1, 3), (2, 1, 2), (0,), ()])
    return (draw.array(*draw.shape()), repetitions), {}


@composite(domain=_linear(_tile_arguments))
def tile(x: Any, repetitions: int | Sequence[int]) -> Any:
    """Lay copies of the whole tensor side by side, so many along each axis.

    Parameters
    ----------
    x : Tensor
        Any shape.
    repetitions : int or sequence of int
        How many copies along each axis, counted from the last.

    Returns
    -------
    Tensor
        The shape of ``x`` with each size multiplied; axes are added in front if need be.

    Raises
    ------
    ArgumentError
        If a number is no integer, or negative.

    Examples
    --------
    >>> mg.tile(mg.tensor([1.0, 2.0]), (2,))
    tensor([1., 2., 1., 2.])
    """
    counts = check_integers("tile", "repetitions", repetitions, low=0)
    ndim = max(x.ndim, len(counts))
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    times = (1,) * (ndim - len(counts)) + counts
    narrow = tuple(n for size in shape for n in (1, size))
    wide = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    return reshape(
        broadcast_to(reshape(x, narrow), wide),
        tuple(t * n for t, n in zip(times, shape, strict=True)),
    )


def _inner(shape: Sequence[int], widths: Sequence[Sequence[int]]) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for n, (a, _) in zip(shape, widths, strict=True))


def _pad(m: Any, x: Any, /, pad_width: Sequence[Sequence[int]], *, value: float = 0.0) -> Any:
    pairs = [listed(pair) for pair in listed(pad_width)]
    widths = [[n for n in map(as_integer, pair) if n is not None and n >= 0] for pair in pairs]
    if len(pairs) != x.ndim or any(len(p) != 2 for p in (*pairs, *widths)):
        raise ShapeError(
            f"pad_width must hold a pair (before, after) of sizes for each of the {x.ndim} axes, "
            f"not {pad_width!r}"
        )
    check_fits("value", value, x.dtype, writing=True)
    shape = tuple(n + sum(pair) for n, pair in zip(x.shape, widths, strict=True))
    return m.scatter_set(m.full(shape, value, dtype=x.dtype), _inner(x.shape, widths), x)


def _pad_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    widths = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in shape)
    return (draw.array(*shape),), {"pad_width": widths, "value": draw.choice([0.0, 1.5])}


pad = define_op(
    "pad", _pad,
    lambda m, g, y, x, pad_width, value: m.getitem(g, key=_inner(x.shape, pad_width)),
    domain=Domain(arguments=_pad_arguments),
    moves=True,
    doc="Add a border of a constant; ``pad_width`` holds a pair (before, after) for each axis.",
)  # fmt: skip


def matrices(x: Any) -> Any:
    """Return ``x``, which must have two axes at least.

    Raises
    ------
    ShapeError
        If it has fewer.
    """
    if x.ndim < 2:
        raise ShapeError(
            f"a matrix needs two axes, but the shape is {tuple(x.shape)}; add one with expand_dims"
        )
    return x


def _triangle_arguments(draw: Draw) -> Arguments:
    return (draw.array(*draw.shape(min_dims=2)),), {"k": draw.integer(-2, 2)}


tril = define_op(
    "tril", lambda m, x, /, *, k=0: m.tril(matrices(x), k=k),
    lambda m, g, y, x, k: m.tril(g, k=k),
    domain=_linear(_triangle_arguments), selects=True,
    moves=True, doc="The lower triangle of matrices, up to diagonal ``k``; zero elsewhere.",
)  # fmt: skip
triu = define_op(
    "triu", lambda m, x, /, *, k=0: m.triu(matrices(x), k=k),
    lambda m, g, y, x, k: m.triu(g, k=k),
    domain=_linear(_triangle_arguments), selects=True,
    moves=True, doc="The upper triangle of matrices, from diagonal ``k``; zero elsewhere.",
)  # fmt: skip


@composite(domain=_linear(lambda draw: ((draw.array(3, 1), draw.array(1, 2)), {})))
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Stretch all tensors to their common shape.

    Parameters
    ----------
    *arrays : Tensor
        Shapes that broadcast.

    Returns
    -------
    tuple of Tensor
        The tensors in the common shape.

    Raises
    ------
    ShapeError
        If they have none.

    Examples
    --------
    >>> a, b = mg.broadcast_arrays(mg.zeros((3, 1)), mg.zeros(2))
    >>> a.shape, b.shape
    ((3, 2), (3, 2))
    """
    shape: tuple[int, ...] = ()
    for x in arrays:
        longest = max(len(shape), x.ndim)
        pairs = zip(
            (1,) * (longest - len(shape)) + shape,
            (1,) * (longest - x.ndim) + tuple(x.shape),
            strict=True,
        )
        merged = []
        for a, b in pairs:
            if a != b and 1 not in (a, b):
                shapes = ", ".join(str(tuple(x.shape)) for x in arrays)
                raise ShapeError(
                    f"broadcast_arrays: shapes {shapes} do not fit; sizes must be equal or 1"
                )
            merged.append(b if a == 1 else a)
        shape = tuple(merged)
    return tuple(apply(broadcast_to, (x,), {"shape": shape}) for x in arrays)


@composite(domain=_linear(lambda draw: ((draw.array(3), draw.array(2)), {})))
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Return the coordinates of each point of a grid, from those along its axes.

    Parameters
    ----------
    *arrays : Tensor
        Shapes (n1,), (n2,), ...; a scalar is one coordinate.
    indexing : {"xy", "ij"}
        Whether the first two axes of the results are (n2, n1), as on a picture, or (n1, n2).

    Returns
    -------
    tuple of Tensor
        One for each array, all of shape (n2, n1, n3, ...) or (n1, n2, n3, ...).

    Raises
    ------
    ShapeError
        If an array has more than one axis.
    ArgumentError
        If ``indexing`` is another word.

    Examples
    --------
    >>> mg.meshgrid(mg.tensor([1, 2, 3]), mg.tensor([10, 20]))
    (tensor([[1, 2, 3],
             [1, 2, 3]]), tensor([[10, 10, 10],
             [20, 20, 20]]))
    """
    check_choice("meshgrid", ("xy", "ij"), indexing=indexing)
    for x in arrays:
        if x.ndim > 1:
            raise ShapeError(
                f"meshgrid: an array has shape {tuple(x.shape)}; pass coordinates along one axis each"
            )
    sizes = [x.size for x in arrays]
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = [1, 0]
    shape = tuple(sizes[i] for i in order)
    return tuple(
        broadcast_to(reshape(x, tuple(x.size if k == i else 1 for k in order)), shape)
        for i, x in enumerate(arrays)
    )
