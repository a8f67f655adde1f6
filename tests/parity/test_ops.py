"""Every op and composite beside PyTorch: values, gradients and second derivatives.

`PEERS` says what the PyTorch equal of each function is and on which arguments to compare. A name of the
op table that is neither there nor in `WITHOUT_PEER` fails, so that nothing is added untested. Where we
differ on purpose, the difference is data with a reason, and a test fails if it is gone.
"""

from __future__ import annotations

import itertools
import math
import operator
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
import pytest
import torch
from torch.nn import functional

import minigrad as mg
from minigrad import tape
from minigrad.ops.index import parse_key

INF, NAN = math.inf, math.nan


@dataclass(frozen=True)
class Sample:
    """The arguments of one call. Arrays of floats are cast to the dtype of the test."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    # what differs on purpose ("outputs", "gradients", "second", "float32 gradients"), and why
    differs: dict[str, str] = field(default_factory=dict)

    def __str__(self):
        given = [described(a) for a in self.args]
        given += [f"{key}={described(value)}" for key, value in self.kwargs.items()]
        return f"({', '.join(given)})"


@dataclass(frozen=True)
class Peer:
    """PyTorch's equal of one of our functions; it is called with our arguments."""

    theirs: Any
    samples: list[Sample]
    ours: Any = None  # by default the function of that name
    order: int = 2  # how often PyTorch can differentiate it
    ties: bool = True  # whether the result for equal elements is defined, and not all rounding


def described(value):
    if isinstance(value, numpy.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(described, value))}]"
    return str(value)


def S(*args, **kwargs):
    return Sample(args, kwargs)


def but(sample, **differs):
    """Return a sample on which we differ from PyTorch on purpose."""
    return replace(sample, differs=differs)


# what samples are made of

_rng = numpy.random.default_rng(20)


def real(*shape, low=-2.0, high=2.0):
    return numpy.asarray(_rng.uniform(low, high, shape))


def whole(*shape, low=-4, high=4):
    return numpy.asarray(_rng.integers(low, high, shape, endpoint=True))


def truth(*shape):
    return whole(*shape, low=0, high=1).astype(bool)


class Fixed(numpy.ndarray):
    """An array of floats that PyTorch cannot differentiate by."""


def fixed(array):
    return array.view(Fixed)


def is_differentiable(array):
    return array.dtype.kind == "f" and not isinstance(array, Fixed)


def distinct(*shape):
    """Return numbers that differ clearly, in random order."""
    return numpy.asarray(_rng.permutation(math.prod(shape)).reshape(shape) * 0.37 - 2.0)


SHAPES = ((), (5,), (3, 4), (2, 3, 4), (0,), (2, 0, 3))
BROADCAST = (
    ((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4, 1, 3), (2, 1)), ((2, 3), ()),
    ((), (2, 3)), ((0,), (1,)), ((0, 3), (1, 3)), ((2, 0), (1, 0)), ((1, 1), (2, 3, 2)),
)  # fmt: skip


def unary(low=-2.0, high=2.0, points=(), **choices):
    """Return samples of a function of one array: shapes, special points, and its options."""
    options = [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]
    samples = [
        S(real(*shape, low=low, high=high), **given) for shape in SHAPES for given in options
    ]
    if points:
        samples += [S(numpy.array(points, dtype=float), **given) for given in options]
    return samples


def binary(low=-2.0, high=2.0, scalars=(2.0,)):
    """Return samples of a function of two arrays: broadcasting shapes, and Python numbers."""
    samples = [S(real(*a, low=low, high=high), real(*b, low=low, high=high)) for a, b in BROADCAST]
    for number in scalars:
        samples += [S(real(3, low=low, high=high), number), S(number, real(3, low=low, high=high))]
    return samples


def integer_pairs(low=-4, high=4):
    return [
        S(whole(*a, low=low, high=high), whole(*b, low=low, high=high)) for a, b in BROADCAST[:6]
    ]


def truth_pairs():
    return [S(truth(*a), truth(*b)) for a, b in BROADCAST]


def reductions(make=distinct, empty=True, several=True, **choices):
    """Return samples of a reduction: axes of either sign, several axes, keepdims."""
    cases = [((), None), ((5,), None), ((5,), 0), ((3, 4), -1), ((2, 3, 4), None), ((2, 3, 4), 1)]
    if several:
        cases += [((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 0)), ((2, 3, 4), (1,)), ((2, 3), (0, 1))]
    if empty:
        cases += [((0,), 0), ((2, 0, 3), 1), ((2, 0, 3), None)]
    cases += [((2, 0, 3), 0), ((0, 3), -1)]
    options = [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ] or [{}]
    return [
        S(make(*shape), axis=axis, keepdims=keepdims, **given)
        for shape, axis in cases
        for keepdims in (False, True)
        for given in options
    ]


def along(make=distinct, **choices):
    """Return samples of a function along one axis."""
    options = [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]
    cases = [((5,), 0), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1), ((0,), 0), ((2, 0), -2)]
    return [S(make(*shape), axis=axis, **given) for shape, axis in cases for given in options]


# PyTorch under our signatures


def torch_remainder(a, b):
    if isinstance(a, (int, float)):  # PyTorch cannot differentiate this one
        a = torch.tensor(a, dtype=b.dtype)
    return torch.remainder(a, b)


def torch_clip(x, min=None, max=None):
    if any(torch.is_tensor(bound) for bound in (min, max)):
        min, max = (
            torch.tensor(b, dtype=x.dtype) if isinstance(b, (int, float)) else b for b in (min, max)
        )
    return torch.clamp(x, min, max)


def torch_key(x, key):
    """Index; a slice with a negative step, which PyTorch lacks, is a flip of the positive one."""
    parts = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(p, slice) and (p.step or 1) < 0 for p in parts):
        return x[key]
    used = sum(1 for p in parts if p is not None and p is not Ellipsis)
    full = []
    for p in parts:
        full += [slice(None)] * (x.ndim - used) if p is Ellipsis else [p]
    axis, plain = 0, []
    for p in full:
        if isinstance(p, slice) and (p.step or 1) < 0:
            positions = list(range(*p.indices(x.shape[axis])))
            x = torch.index_select(x, axis, torch.tensor(positions, dtype=torch.int64))
            p = slice(None)
        plain.append(p)
        axis += p is not None
    return x[tuple(plain)]


def torch_put(x, key, values, accumulate):
    """Write through a key: through the flat positions that it picks."""
    positions = torch_key(torch.arange(x.numel()).reshape(x.shape), key)
    values = torch.broadcast_to(torch.as_tensor(values, dtype=x.dtype), positions.shape)
    flat = x.reshape(-1)
    written = flat.index_put((positions.reshape(-1),), values.reshape(-1), accumulate=accumulate)
    return written.reshape(x.shape)


def ours_put_zeros(values, key, shape):
    parts, arrays = parse_key(mg.zeros(shape), key)
    return mg.OPS["put_zeros"]([values, *arrays], key=parts, shape=shape)


def torch_take(x, indices, axis=None):
    axis = (axis or 0) % x.ndim
    return x[(*(slice(None),) * axis, indices)]


def torch_split(x, sections, axis=-1):
    if isinstance(sections, int):
        return torch.tensor_split(x, sections, dim=axis)
    return torch.split(x, sections, dim=axis)


def torch_expand_dims(x, axis=0):
    axes = axis if isinstance(axis, tuple) else (axis,)
    count = x.ndim + len(axes)
    for position in sorted(a % count for a in axes):
        x = torch.unsqueeze(x, position)
    return x


def torch_pad(x, pad_width, value=0.0):
    return functional.pad(x, [n for pair in reversed(pad_width) for n in pair], value=value)


def torch_prod(x, axis=None, keepdims=False):
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = sorted((a % x.ndim for a in axes), reverse=True)
    for a in axes:
        x = torch.prod(x, dim=a, keepdim=keepdims)
    return x


def torch_cumulative_prod(x, axis=0, include_initial=False):
    y = torch.cumprod(x, axis)
    return torch.cat([torch.ones_like(y.narrow(axis, 0, 1)), y], axis) if include_initial else y


def torch_cumulative_sum(x, axis=None, include_initial=False):
    y = torch.cumsum(x, dim=axis or 0)
    if include_initial:
        y = torch.cat([torch.zeros_like(y.narrow(axis or 0, 0, 1)), y], dim=axis or 0)
    return y


def torch_argsort(x, axis=-1, descending=False):
    return torch.argsort(x, dim=axis, descending=descending, stable=True)


def torch_repeat(x, repeats, axis=None):
    repeats = torch.tensor(repeats) if isinstance(repeats, tuple) else repeats
    return torch.repeat_interleave(x, repeats, dim=axis)


def torch_put_diagonal(x, shape, offset=0):
    zeros = torch.zeros((*x.shape[:-1], *shape), dtype=x.dtype)
    return torch.diagonal_scatter(zeros, x, offset, -2, -1)


def along_dim(function, all_axes=None):
    """Give a PyTorch reduction our names; ``all_axes`` is what to call for ``axis=None``."""

    def call(x, axis=None, keepdims=False, **options):
        if axis is None and all_axes is not None:
            axis = tuple(range(x.ndim))
        return function(x, dim=axis, keepdim=keepdims, **options)

    return call


# the table

_MATRICES = (
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)), ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((0,), (0,)), ((5, 2, 0), (0, 3)),
    ((0, 2, 3), (3, 2)), ((1, 1), (1, 1)),
)  # fmt: skip

_KEYS = (
    ((4, 3), 1), ((4, 3), -1), ((4, 3), (2, -1)), ((4, 3), ...), ((4, 3), None), ((), ...), ((), None),
    ((4, 3), slice(1, 3)), ((4, 3), slice(None, None, 2)), ((4, 3), slice(None, None, -1)),
    ((4, 3), (slice(3, 0, -2), slice(None, None, -1))), ((4, 3), (..., slice(None, None, -2))),
    ((4, 3), (slice(None), None, 0)), ((4, 3), (None, ..., None)), ((4, 3), slice(2, 2)),
    ((4, 3), slice(-100, 100)), ((0, 3), slice(None)), ((2, 3, 4), (..., 1)), ((2, 3, 4), (0, ..., -1)),
    ((4, 3), numpy.array([0, 2, 2, -1])), ((4, 3), numpy.array([[0, 1], [3, 3]])),
    ((4, 3), numpy.array([], dtype=numpy.int64)), ((4, 3), [0, 2]),
    ((4, 3), (numpy.array([0, 2]), numpy.array([1, -1]))),
    ((4, 3), (numpy.array([[0], [2]]), numpy.array([1, 0]))),
    ((4, 3), (slice(None), numpy.array([2, 0]))), ((4, 3), (numpy.array([2, 0]), slice(1, None))),
    ((4, 3), (None, numpy.array([2, 0]))), ((4, 3), (numpy.array(2), slice(None))),
    ((4, 3), (1, numpy.array([2, 0]))), ((2, 3, 4), (numpy.array([0, 1, 1]), slice(None), 0)),
    ((2, 3, 4), (numpy.array([0, 1]), slice(None), numpy.array([3, 1]))),
    ((2, 3, 4), (slice(None), numpy.array([0, 2]), numpy.array([3, 1]))),
    ((2, 3, 4), (..., numpy.array([0, 2]), numpy.array([3, 1]))),
    ((4, 3), numpy.array([True, False, True, False])), ((4, 3), numpy.zeros(4, bool)),
    ((2, 3), numpy.array([[True, False, True], [False, False, True]])),
    ((4, 3), (slice(None), numpy.array([True, False, True]))),
    ((2, 3, 4), (numpy.array([True, False]), slice(None, None, 2))),
    ((2, 3, 4), (numpy.array([[True, False, True], [False, True, False]]), 1)),
)  # fmt: skip


def picked(shape, key):
    return numpy.zeros(shape)[key].shape


def twice(shape, key):
    """Say whether a key names a place twice."""
    places = numpy.arange(math.prod(shape)).reshape(shape)[key]
    return numpy.unique(places).size < places.size


_ONCE = [(shape, key) for shape, key in _KEYS if not twice(shape, key)]
_TWICE = [(shape, key) for shape, key in _KEYS if twice(shape, key)]
_ADVANCED = (
    "an integer beside an index array counts as one, so a slice between them sends their axis to the "
    "front: as in NumPy, unlike PyTorch"
)
_LAST = (
    "of several values written to one place the last one stays, and it alone gets a gradient; "
    "PyTorch gives the gradient to all of them"
)


def indexed(shape, axis, count):
    """Return an array and indices that go along ``axis`` of it."""
    sizes = list(shape)
    sizes[axis] = count
    return real(*shape), whole(*sizes, low=0, high=shape[axis] - 1)


_ALONG = (((5,), 0, 3), ((3, 4), 0, 2), ((3, 4), -1, 5), ((2, 3, 4), 1, 3), ((2, 3), 0, 0))

_FLAT = "where all elements are equal PyTorch's second derivative is NaN; ours is 0"
_DIGITS = "PyTorch's exp(x - y) loses digits where y is large"
_TIES = "PyTorch gives the gradient to the first of equal elements, we share it among them"
_MASKED = (
    "PyTorch gives NaN for a row of minus infinity; ours is 0, or minus infinity for the logarithm"
)

_WINDOWS = (  # input, kernel, stride, dilation
    ((2, 3, 7), (3,), (1,), (1,)), ((2, 3, 8), (2,), (2,), (3,)), ((1, 1, 5, 6), (2, 3), (1, 1), (1, 1)),
    ((2, 3, 6, 7), (3, 2), (2, 1), (1, 2)), ((0, 2, 5), (2,), (1,), (1,)),
)  # fmt: skip


def images(shape):
    """Return a shape (N, C, L) as (N, C, 1, L)."""
    return (*shape[:2], 1, *shape[2:]) if len(shape) == 3 else shape


def squares(sizes, missing):
    return (missing, *sizes) if len(sizes) == 1 else sizes


def torch_windows(x, kernel, stride, dilation):
    counts = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    y = functional.unfold(
        x.reshape(images(x.shape)), squares(kernel, 1), squares(dilation, 1), 0, squares(stride, 1)
    )
    return y.reshape(*x.shape[:2], math.prod(kernel), *counts)


def torch_put_windows(values, size, kernel, stride, dilation):
    columns = values.reshape(values.shape[0], values.shape[1] * values.shape[2], -1)
    y = functional.fold(
        columns, squares(size, 1), squares(kernel, 1), squares(dilation, 1), 0, squares(stride, 1)
    )
    return y.reshape(*values.shape[:2], *size)


def torch_convolution(x, weight, stride, dilation, groups):
    convolve = functional.conv1d if x.ndim == 3 else functional.conv2d
    return convolve(x, weight, None, stride, 0, dilation, groups)


def torch_convolution_input(g, weight, size, stride, dilation, groups):
    rank = len(size)
    shape = (g.shape[0], weight.shape[1] * groups, *size)
    back = (torch.nn.grad.conv1d_input, torch.nn.grad.conv2d_input)[rank - 1]
    return back(shape, weight, g, stride, (0,) * rank, dilation, groups)


def torch_convolution_weight(x, g, kernel, stride, dilation, groups):
    rank = len(kernel)
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    back = (torch.nn.grad.conv1d_weight, torch.nn.grad.conv2d_weight)[rank - 1]
    return back(x, shape, g, stride, (0,) * rank, dilation, groups)


_CONVOLUTIONS = (  # input, weight, groups, what is as in _WINDOWS
    ((2, 2, 7), (4, 2, 3), 1, (1,), (1,)), ((2, 4, 8), (6, 2, 2), 2, (2,), (3,)),
    ((1, 2, 5, 6), (3, 2, 2, 3), 1, (1, 1), (1, 1)), ((2, 4, 6, 7), (4, 2, 3, 2), 2, (2, 1), (1, 2)),
)  # fmt: skip


def result_shape(x, weight, groups, stride, dilation):
    return torch_convolution(torch.zeros(x), torch.zeros(weight), stride, dilation, groups).shape


def over_axes(function):
    """Give softmax several axes, or all of them."""

    def call(x, axis=-1):
        if axis is not None and not isinstance(axis, tuple):
            return function(x, dim=axis)
        axes = tuple(range(x.ndim)) if axis is None else axis
        last = tuple(range(-len(axes), 0))
        moved = torch.movedim(x, axes, last)
        flat_axes = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
        return torch.movedim(function(flat_axes, dim=-1).reshape(moved.shape), last, axes)

    return call


def torch_nll_loss(x, *args, **kwargs):
    """Go around PyTorch's second derivative, which refuses transposed arrays."""
    return functional.nll_loss(x.contiguous(), *args, **kwargs)


def torch_put_class(values, target, classes, ignore_index):
    axis = min(1, values.ndim)
    kept = target != ignore_index
    shape = (*values.shape[:axis], classes, *values.shape[axis:])
    zeros = torch.zeros(shape, dtype=values.dtype)
    indices = torch.where(kept, target, 0).unsqueeze(axis)
    return zeros.scatter_add(axis, indices, torch.where(kept, values, 0.0).unsqueeze(axis))


_CLASSES = (((4, 3), (4,)), ((3,), ()), ((2, 3, 5), (2, 5)), ((2, 3, 2, 2), (2, 2, 2)))


def classified(*, ignore_index=-100, probabilities=False, **options):
    """Return samples of a loss over 3 classes; one target is ignored."""
    samples = []
    for scores, targets in _CLASSES:
        if probabilities:
            target = _rng.dirichlet(numpy.ones(3), targets)
            target = numpy.moveaxis(target, -1, min(1, len(targets)))
        else:
            target = whole(*targets, low=0, high=2)
            if target.ndim:
                target[0] = ignore_index
        ignore = {} if probabilities else {"ignore_index": ignore_index}
        for reduction in ("mean", "sum", "none"):
            samples += [
                S(real(*scores), target, *weight, reduction=reduction, **ignore, **options)
                for weight in ((), (fixed(real(3, low=0.5)),))
            ]
    return samples


def paired(*bounds, **choices):
    """Return samples of a loss of two tensors of one shape."""
    options = [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]
    return [
        S(real(*shape), real(*shape, low=low, high=high), **given)
        for low, high in (bounds or (-2.0, 2.0),)
        for shape in SHAPES
        for given in options
        if math.prod(shape) or given["reduction"] != "mean"
    ]


_REDUCTIONS = ("mean", "sum", "none")


def pooled(rank, make):
    shape = (2, 3, 8) if rank == 1 else (2, 3, 6, 7)
    return [
        S(make(*shape), 2), S(make(*shape[1:]), 3), S(make(*shape), 3, 1), S(make(*shape), 3, 2, 1),
        S(make(*shape), (2,) * rank, stride=(1,) * rank, padding=1), S(make(0, *shape[1:]), 2),
        S(make(*shape), 3, 2),
    ]  # fmt: skip


def convolved(rank):
    size = (9,) if rank == 1 else (6, 7)
    kernel = (3,) if rank == 1 else (3, 2)
    samples = [
        S(real(2, 2, *size), real(4, 2, *kernel), *bias, **options)
        for bias in ((), (real(4),))
        for options in (
            {}, {"stride": 2}, {"padding": 1}, {"padding": "same"}, {"padding": "valid"},
            {"dilation": 2}, {"stride": (2,) * rank, "padding": (1,) * rank, "dilation": 2},
            {"padding": "same", "dilation": (2,) * rank},
        )
    ]  # fmt: skip
    return [
        *samples,
        S(real(4, *size), real(6, 2, *kernel), real(6), groups=2),
        S(real(2, 4, *size), real(8, 1, *kernel), groups=4, padding=1),
        S(real(0, 2, *size), real(4, 2, *kernel)),
    ]


def transposed_convolved(rank):
    size = (5,) if rank == 1 else (4, 5)
    kernel = (3,) if rank == 1 else (3, 2)
    samples = [
        S(real(2, 4, *size), real(4, 2, *kernel), *bias, **options)
        for bias in ((), (real(2),))
        for options in (
            {}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"stride": 3, "output_padding": 2},
            {"stride": (2,) * rank, "padding": (1,) * rank, "output_padding": 1, "dilation": 2},
            {"dilation": 3, "output_padding": (2,) * rank, "padding": 1},
        )
    ]  # fmt: skip
    return [
        *samples,
        S(real(4, *size), real(4, 3, *kernel), real(6), groups=2),
        S(real(2, 4, *size), real(4, 1, *kernel), groups=4, padding=1, stride=2),
        S(real(0, 4, *size), real(4, 2, *kernel)),
        S(real(1, 4, *(1,) * rank), real(4, 2, *(1,) * rank)),
    ]


_NOTHING = "what has no probability costs nothing, also where the other's logarithm is -inf"


PEERS = {
    # arithmetic
    "add": Peer(torch.add, binary() + integer_pairs()),
    "subtract": Peer(lambda a, b: a - b, binary() + integer_pairs()),
    "multiply": Peer(lambda a, b: a * b, binary() + integer_pairs()),
    "divide": Peer(lambda a, b: a / b, binary(0.3, 2.0)),
    "power": Peer(
        torch.pow,
        binary(0.3, 2.0, scalars=(2.0, 0.5, 3))
        + integer_pairs(0, 4)
        + [S(real(4), n) for n in (0, 1, 2, 3, -1, -2, 2.0, 3.0, 0.0)]
        + [S(numpy.array([0.0, 0.0, 2.0]), n) for n in (0, 1, 2, 3)]
        + [but(S(numpy.array([0.0, 0.0, 2.0]), numpy.array([1.0, 2.0, 3.0])),
               second="at base 0 PyTorch's second derivatives are NaN; ours are the limits, or 0")]
        + [S(numpy.array([-2.0, -1.5]), numpy.array([3.0, 2.0]))],
    ),
    "negative": Peer(torch.neg, [*unary(), S(whole(3))]),
    "positive": Peer(torch.positive, [*unary(), S(whole(3))]),
    "abs": Peer(torch.abs, [*unary(points=(0.0, -0.0)), S(whole(3))]),
    "square": Peer(torch.square, [*unary(), S(whole(3))]),
    "reciprocal": Peer(torch.reciprocal, unary(0.3, 2.0) + unary(-2.0, -0.3)),
    "remainder": Peer(
        torch_remainder,
        # 1.0 / 0.1 rounds to 10, but 0.1 goes into 1.0 nine times
        [S(numpy.array([1.0, -1.0]), numpy.array([0.1, 0.1])), *binary(0.5, 3.0), *integer_pairs(1, 4),
         S(numpy.array([5.3, -5.3, 5.3, -5.3]), numpy.array([3.0, 3.0, -3.0, -3.0])),
         S(numpy.array([5, -5, 5, -5]), numpy.array([3, 3, -3, -3]))],
    ),
    "floor_divide": Peer(
        torch.floor_divide,
        binary(0.5, 3.0) + integer_pairs(1, 4)
        + [S(numpy.array([5.3, -5.3, 5.3, -5.3]), numpy.array([3.0, 3.0, -3.0, -3.0])),
           S(numpy.array([5, -5, 5, -5]), numpy.array([3, 3, -3, -3]))],
        order=0,
    ),
    "zeros_like": Peer(torch.zeros_like, [*unary(), S(whole(3))]),
    "sign": Peer(torch.sign, [*unary(points=(0.0, -0.0)), S(whole(3))]),
    **{
        name: Peer(theirs, [*unary(-3.0, 3.0, points=(0.5, 1.5, 2.5, -0.5, -1.5, -2.0)), S(whole(3))])
        for name, theirs in (
            ("floor", torch.floor), ("ceil", torch.ceil), ("round", torch.round), ("trunc", torch.trunc),
        )
    },
    # signs and neighbours
    "copysign": Peer(torch.copysign, [
        *binary(0.3, 2.0, scalars=()), *binary(-2.0, -0.3, scalars=()),
        but(
            S(numpy.array([1.5, -2.0, 0.0, -0.0]), numpy.array([-0.0, 3.0, -1.0, 0.0])),
            second="PyTorch divides by 0, and multiplies NaN by 0",
        ),
    ]),
    "signbit": Peer(torch.signbit, unary(points=(0.0, -0.0, INF, -INF))),
    "nextafter": Peer(torch.nextafter, binary(scalars=())),
    # exponentials, logarithms, roots
    "exp": Peer(torch.exp, unary()),
    "expm1": Peer(torch.expm1, unary(points=(1e-9, -1e-9))),
    "exp2": Peer(torch.exp2, unary()),
    **{
        name: Peer(getattr(torch, name), unary(0.3, 3.0)) for name in ("log", "log2", "log10", "sqrt")
    },
    "log1p": Peer(torch.log1p, unary(-0.7, 3.0, points=(1e-9, -1e-9))),
    # trigonometric and hyperbolic functions
    **{
        name: Peer(getattr(torch, name), unary())
        for name in ("sin", "cos", "atan", "sinh", "cosh", "tanh", "asinh", "sigmoid", "erf")
    },
    "tan": Peer(torch.tan, unary(-1.2, 1.2)),
    **{
        name: Peer(getattr(torch, name), unary(-0.9, 0.9)) for name in ("asin", "acos", "atanh")
    },
    "acosh": Peer(torch.acosh, unary(1.2, 3.0)),
    "atan2": Peer(torch.atan2, binary(0.3, 2.0, scalars=()) + binary(-2.0, -0.3, scalars=())),
    "hypot": Peer(torch.hypot, binary(0.3, 2.0, scalars=())),
    "logaddexp": Peer(torch.logaddexp, binary(scalars=())),
    # activations
    "relu": Peer(torch.relu, [*unary(points=(0.0,)), S(whole(3))]),
    "leaky_relu": Peer(functional.leaky_relu, unary(points=(0.0,), negative_slope=(0.01, 0.3))),
    "elu": Peer(functional.elu, unary(alpha=(1.0, 0.5))),
    "gelu": Peer(functional.gelu, unary(points=(0.0, -8.0, 8.0), approximate=("none", "tanh"))),
    "silu": Peer(functional.silu, unary(points=(0.0, -50.0, 50.0))),
    # below its threshold PyTorch computes log(1 + exp(x)), above it returns x
    "softplus": Peer(
        lambda x: functional.softplus(x, threshold=40), unary(points=(0.0, -30.0, 30.0, 100.0))
    ),
    # the slope of PyTorch's own hardsigmoid is 1/6 of float32 in float64, too
    "hard_sigmoid": Peer(
        lambda x: functional.relu6(x + 3) / 6, unary(-4.0, 4.0, points=(-3.0, 3.0, 0.0))
    ),
    "hard_tanh": Peer(
        functional.hardtanh,
        unary(points=(-1.0, 1.0, 0.5, 0.0), min_val=(-1.0, 0.5), max_val=(1.0, 1.5)),
    ),
    "softsign": Peer(functional.softsign, unary(points=(0.0,))),
    # choosing
    **{
        name: Peer(
            getattr(torch, name),
            binary(scalars=()) + integer_pairs()
            + [S(numpy.array([1.0, 2.0, -1.0]), numpy.array([1.0, -2.0, -1.0]))],
        )
        for name in ("maximum", "minimum")
    },
    "clip": Peer(
        torch_clip,
        [S(real(*shape), *bounds) for shape in SHAPES
         for bounds in ((-1.0, 1.0), (None, 0.5), (-0.5, None), (1.0, -1.0))]
        + [S(real(2, 3), real(3, high=-0.5), real(2, 1, low=0.5)), S(real(3), real(3), real(3)),
           S(real(3), real(2, 1), None), S(real(4), None, real(4)), S(real(4), real(4), 3.0),
           S(numpy.array([-1.0, 1.0, 0.0]), -1.0, 1.0), S(whole(6), -2, 2)],
    ),
    "where": Peer(
        torch.where,
        [S(truth(*c), real(*a), real(*b)) for c, a, b in (
            ((3,), (3,), (3,)), ((2, 1), (1, 3), (2, 3)), ((), (3,), ()), ((2, 3), (), (3,)),
            ((0,), (1,), (0,)), ((2, 3, 4), (4,), (3, 1)),
        )]
        + [S(truth(4), real(4), 0.0), S(truth(4), 1.5, real(4)), S(truth(3), whole(3), whole(3))],
    ),
    # comparisons and logic
    **{
        name: Peer(theirs, binary() + integer_pairs())
        for name, theirs in (
            ("equal", lambda a, b: a == b), ("not_equal", lambda a, b: a != b),
            ("less", lambda a, b: a < b), ("less_equal", lambda a, b: a <= b),
            ("greater", lambda a, b: a > b), ("greater_equal", lambda a, b: a >= b),
        )
    },
    **{
        name: Peer(getattr(torch, name), unary(points=(INF, -INF, NAN)))
        for name in ("isnan", "isinf", "isfinite")
    },
    **{
        name: Peer(getattr(torch, name), truth_pairs() + binary(scalars=()) + integer_pairs())
        for name in ("logical_and", "logical_or", "logical_xor")
    },
    "logical_not": Peer(torch.logical_not, [S(truth(3)), S(truth()), S(truth(0)), S(whole(4))]),
    **{
        name: Peer(getattr(torch, name), truth_pairs() + integer_pairs())
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    },
    **{
        name: Peer(theirs, [S(whole(*a), whole(*b, low=0, high=5)) for a, b in BROADCAST[:6]])
        for name, theirs in (
            ("bitwise_left_shift", torch.bitwise_left_shift),
            ("bitwise_right_shift", torch.bitwise_right_shift),
        )
    },
    "bitwise_invert": Peer(torch.bitwise_not, [S(truth(3)), S(truth()), S(truth(0)), S(whole(4))]),
    # shape
    "sum_to": Peer(
        lambda x, shape: x.sum_to_size(shape),
        [S(real(*big), shape=small) for small, big in (
            ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 3), (4, 2, 3)), ((), (2, 3)), ((2, 3), (2, 3)),
            ((1,), (0,)), ((1, 0), (3, 0)),
        )],
    ),
    "broadcast_to": Peer(
        torch.broadcast_to,
        [S(real(*small), big) for small, big in (
            ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 3), (4, 2, 3)), ((), (2, 3)), ((), ()),
            ((1,), (0,)), ((1, 0), (3, 0)),
        )],
    ),
    "astype": Peer(
        lambda x, dtype: x.to(getattr(torch, dtype)),
        [S(real(*shape), dtype) for shape in SHAPES for dtype in ("float64", "float32")]
        + [S(whole(3), "float32"), S(truth(3), "int64"), S(whole(3), "bool")],
    ),
    "transfer": Peer(lambda x, device: x.to(device), [S(real(2, 3), device="cpu")]),
    "reshape": Peer(
        torch.reshape,
        [S(real(2, 6), (3, 4)), S(real(2, 6), (-1,)), S(real(12), (2, -1, 3)), S(real(1), ()),
         S(real(), (1, 1)), S(real(0, 3), (3, 0)), S(real(2, 0), (0, 5)), S(whole(4), (2, 2))],
    ),
    "permute_dims": Peer(
        torch.permute,
        [S(real(2, 3, 4), (2, 0, 1)), S(real(2, 3), (-1, 0)), S(real(), ()), S(real(0, 2), (1, 0))],
    ),
    "swapaxes": Peer(
        torch.swapaxes, [S(real(2, 3, 4), 0, -1), S(real(2, 3), 1, 1), S(real(0, 3), -2, -1)]
    ),
    "moveaxis": Peer(
        torch.movedim,
        [S(real(2, 3, 4), 0, -1), S(real(2, 3, 4), (0, 1), (-1, 0)), S(real(2, 3, 4), (2, 0), (0, 1)),
         S(real(2, 0), 1, 0)],
    ),
    "squeeze": Peer(
        torch.squeeze,
        [S(real(1, 3), 0), S(real(3, 1), -1), S(real(1, 3, 1), (0, -1)), S(real(1), 0), S(real(0, 1), 1)],
    ),
    "expand_dims": Peer(
        torch_expand_dims,
        [S(real(3), 0), S(real(3), -1), S(real(2, 3), 1), S(real(), 0), S(real(2, 3), (0, -1)),
         S(real(0), 1), S(real(3))],
    ),
    "flatten": Peer(torch.flatten, [S(real(*shape)) for shape in SHAPES]),
    "concat": Peer(
        lambda xs, axis=0: torch.cat([x.reshape(-1) for x in xs] if axis is None else xs, dim=axis or 0),
        [S([real(2, 3), real(4, 3)]), S([real(2, 3), real(2, 1), real(2, 0)], axis=-1), S([real(3)]),
         S([real(0), real(2)]), S([whole(2), whole(3)]),
         S([real(2, 3), real(4)], axis=None), S([real(), real(2)], axis=None)],
    ),
    "stack": Peer(
        lambda xs, axis=0: torch.stack(xs, dim=axis),
        [S([real(2, 3), real(2, 3)], axis=axis) for axis in (0, 1, 2, -1, -3)]
        + [S([real(), real(), real()]), S([real(0)], axis=1), S([whole(2), whole(2)])],
    ),
    "split": Peer(
        torch_split,
        [S(real(6), 3), S(real(2, 6), 2), S(real(4, 3), 4, axis=0), S(real(5), (2, 0, 3)),
         S(real(3, 4), (1, 2), axis=-2), S(real(0, 2), 3, axis=0), S(whole(4), 2)],
    ),
    "unstack": Peer(
        lambda x, axis=0: torch.unbind(x, dim=axis),
        [S(real(3, 2)), S(real(3, 2), axis=-1), S(real(3)), S(real(2, 0)), S(real(0, 2))],
    ),
    "pad": Peer(
        torch_pad,
        [S(real(3), ((1, 2),)), S(real(2, 3), ((0, 1), (2, 0)), value=1.5), S(real(), ()),
         S(real(0, 2), ((1, 0), (0, 0))), S(real(2, 3, 4), ((1, 1), (0, 0), (2, 3)), value=-1.0)],
    ),
    **{
        name: Peer(
            lambda x, k=0, *, theirs=theirs: theirs(x, diagonal=k),
            [S(real(*shape), k=k) for shape in ((3, 3), (2, 4), (4, 2), (2, 3, 3), (0, 3), (3, 0))
             for k in (-1, 0, 2)]
            + [S(real(3, 3)), S(whole(3, 3), k=1)],
        )
        for name, theirs in (("tril", torch.tril), ("triu", torch.triu))
    },
    "flip": Peer(
        lambda x, axis=None: torch.flip(
            x, tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        ),
        [S(real(5)), S(real(2, 3)), S(real(2, 3), 0), S(real(2, 3), -1), S(real(2, 3, 4), (0, -1)),
         S(real()), S(real(0, 2), 0)],
    ),
    "meshgrid": Peer(
        lambda *xs, indexing="xy": torch.meshgrid(*xs, indexing=indexing),
        [S(*[real(n) for n in sizes], indexing=indexing)
         for sizes in ((2,), (3, 2), (2, 3, 4), (0, 2)) for indexing in ("xy", "ij")],
    ),
    "roll": Peer(
        lambda x, shift, axis=None: torch.roll(x, shift, axis),
        [S(real(5), 2), S(real(5), -7, 0), S(real(2, 3), 4), S(real(2, 3), 1, -1),
         S(real(3, 4), (1, -1), (0, 1)), S(real(3, 4), (1, 2), (0, 0)), S(real(0), 3),
         S(real(2, 3), (1, 2), (-1, 0))],
    ),
    "repeat": Peer(
        torch_repeat,
        [S(real(3), 2), S(real(2, 3), 2), S(real(2, 3), 3, 0), S(real(2, 3), 2, -1), S(real(2, 3), 0, 1),
         S(real(3), (1, 0, 2), 0), S(real(2, 3), (2, 1), 0), S(real(0), 2), S(real(2, 3), (1, 2, 0), -1)],
    ),
    "tile": Peer(
        torch.tile,
        [S(real(3), (2,)), S(real(2, 3), (2,)), S(real(2, 3), (1, 2)), S(real(3), (2, 1, 2)),
         S(real(2), (0,)), S(real(), (3,)), S(real(2, 3), ())],
    ),
    "broadcast_arrays": Peer(
        torch.broadcast_tensors,
        [S(real(3, 1), real(1, 2)), S(real(), real(2, 3)), S(real(2)), S(real(2, 1), real(3), real(1, 1)),
         S(real(0), real(1)), S(real(2, 0), real(1, 1))],
    ),
    # index
    "getitem": Peer(
        torch_key,
        [S(real(*shape), key) for shape, key in _KEYS]
        + [but(S(real(2, 3, 4), (0, slice(None), numpy.array([3, 1]))),
               outputs=_ADVANCED, gradients=_ADVANCED, second=_ADVANCED)],
        ours=lambda x, key: x[key]
    ),
    "put_zeros": Peer(
        lambda v, key, shape: torch_put(torch.zeros(shape, dtype=v.dtype), key, v, True),
        [S(real(*picked(shape, key)), key=key, shape=shape) for shape, key in _KEYS],
        ours=ours_put_zeros,
    ),
    "index_add": Peer(
        lambda x, key, values: torch_put(x, key, values, True),
        [S(real(*shape), key, real(*picked(shape, key))) for shape, key in _KEYS]
        + [S(real(4, 3), 1, real()), S(real(4, 3), slice(1, 3), real(3)), S(real(4, 3), 2, 1.5),
           S(real(4, 3), numpy.array([0, 0, 1]), real(3)), S(whole(4), numpy.array([1, 1]), whole(2))],
        ours=lambda x, key, values: x.at[key].add(values),
    ),
    "index_set": Peer(
        lambda x, key, values: torch_put(x, key, values, False),
        [S(real(*shape), key, real(*picked(shape, key))) for shape, key in _ONCE]
        + [but(S(real(*shape), key, real(*picked(shape, key))), gradients=_LAST, second=_LAST)
           for shape, key in _TWICE]
        + [S(real(4, 3), 1, real()), S(real(4, 3), slice(1, 3), real(3)), S(real(4, 3), 2, 1.5),
           S(real(4, 3), numpy.array([2, 0]), real(3)), S(whole(4), numpy.array([1, 2]), whole(2))],
        ours=lambda x, key, values: x.at[key].set(values),
    ),
    "gather": Peer(
        lambda x, indices, axis=-1: torch.gather(x, axis, indices),
        [S(*indexed(*case), axis=case[1]) for case in _ALONG]
        + [S(real(3, 4), whole(2, 5, low=0, high=3)), S(real(3, 4), whole(5, 2, low=0, high=2), axis=0)],
    ),
    "put_along_axis": Peer(
        lambda v, indices, axis, shape: torch.zeros(shape, dtype=v.dtype).scatter_add(axis, indices, v),
        [S(real(*i.shape), i, axis=axis, shape=x.shape)
         for (_, axis, _), (x, i) in ((case, indexed(*case)) for case in _ALONG)],
    ),
    "scatter_add": Peer(
        lambda x, indices, values, axis=-1: torch.scatter_add(x, axis, indices, values),
        [S(x, i, real(*i.shape), axis=axis)
         for (_, axis, _), (x, i) in ((case, indexed(*case)) for case in _ALONG)],
    ),
    "take": Peer(
        torch_take,
        [S(real(5), numpy.array([0, 4, 4, -1])), S(real(3, 4), numpy.array([2, 0]), axis=0),
         S(real(3, 4), numpy.array([[2, 0], [1, 1]]), axis=-1), S(real(2, 3, 4), numpy.array(1), axis=1),
         S(real(3, 4), numpy.array([], dtype=numpy.int64), axis=1)],
    ),
    "take_along_axis": Peer(
        lambda x, indices, axis=-1: torch.take_along_dim(x, indices, dim=axis),
        [S(*indexed(*case), axis=case[1]) for case in _ALONG]
        + [S(real(3, 4), numpy.array([[1, 3, 0]]), axis=1), S(real(1, 4), whole(3, 2, low=0, high=3))],
    ),
    "one_hot": Peer(
        lambda indices, num_classes: functional.one_hot(indices, num_classes).to(torch.float32),
        [S(whole(*shape, low=0, high=2), num_classes=3) for shape in SHAPES],
    ),
    # reduce
    "sum": Peer(along_dim(torch.sum), [*reductions(), S(whole(2, 3)), S(truth(2, 3), axis=0)]),
    "mean": Peer(along_dim(torch.mean), reductions(empty=False)),
    **{
        name: Peer(along_dim(theirs, all_axes=theirs), [
            s for s in reductions(empty=False, correction=(0, 1, 0.5)) if s.args[0].ndim
        ] + ([but(S(numpy.ones((2, 3)), axis=1), second=_FLAT)] if name == "std" else []),
            ties=name == "var")
        for name, theirs in (("var", torch.var), ("std", torch.std))
    },
    **{
        name: Peer(
            along_dim(theirs, all_axes=theirs),
            reductions(empty=False)
            + [S(numpy.array([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0]]), axis=axis) for axis in (None, 1, 0)]
            + [S(whole(2, 3), axis=1)],
        )
        for name, theirs in (("max", torch.amax), ("min", torch.amin))
    },
    "logsumexp": Peer(
        along_dim(torch.logsumexp, all_axes=torch.logsumexp),
        [*reductions(empty=False), S(numpy.array([-INF, 1.0])),
         but(S(numpy.array([1e3, 999.0, -1e3])), **{"float32 gradients": _DIGITS}),
         but(S(numpy.array([-INF, -INF])), gradients=_MASKED, second=_MASKED)],
    ),
    "prod": Peer(
        torch_prod,
        reductions()
        + [S(numpy.array(x)) for x in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0])]
        + [S(numpy.array([[0.0, 2.0, 0.0], [1.0, 0.0, 4.0]]), axis=axis) for axis in (0, 1, None)]
        + [S(whole(2, 3), axis=1)],
    ),
    "cumulative_sum": Peer(
        torch_cumulative_sum,
        along(include_initial=(False, True))[:8] + along() + [S(real(4)), S(whole(3, 2), axis=0)],
    ),
    "cumulative_prod": Peer(
        torch_cumulative_prod,
        along(include_initial=(False, True))[:8] + along() + [S(real(4)), S(whole(3, 2), axis=0)]
        + [S(numpy.array(x)) for x in ([2.0, 0.0, 3.0, 5.0], [0.0, 0.0, 3.0], [0.0, 2.0, 0.0])],
    ),
    "diff": Peer(
        lambda x, axis=-1, n=1, prepend=None, append=None: torch.diff(x, n, axis, prepend, append),
        [
            *along(n=(0, 1, 2)),
            S(real(2, 3), axis=1, prepend=fixed(real(2, 1)), append=fixed(real(2, 2))),
            S(whole(4)), S(real(0, 2), axis=0),
        ],
    ),
    "count_nonzero": Peer(
        lambda x, axis=None, keepdims=False: torch.count_nonzero(x, dim=axis),
        [s for s in reductions(lambda *n: whole(*n, low=-1, high=1)) if not s.kwargs["keepdims"]],
    ),
    "searchsorted": Peer(
        lambda x, values, sorter=None, side="left": torch.searchsorted(
            *(t.contiguous() for t in (x, values)), side=side,
            sorter=None if sorter is None else sorter.contiguous(),
        ),
        [S(numpy.array([-1.0, 0.0, 0.0, 2.0]), numpy.array([[0.0, -2.0], [3.0, 1.0]]), side=side)
         for side in ("left", "right")]
        + [S(numpy.array([3, 1, 2]), whole(4), numpy.array([1, 2, 0]))],
    ),
    "all": Peer(along_dim(torch.all), reductions(truth)),
    "any": Peer(along_dim(torch.any), reductions(truth)),
    **{
        name: Peer(along_dim(theirs), [*reductions(empty=False, several=False)[:-4],
        S(numpy.array([1.0, 3.0, 3.0, 1.0])), S(whole(3, 4), axis=1)])
        for name, theirs in (("argmax", torch.argmax), ("argmin", torch.argmin))
    },
    "argsort": Peer(
        torch_argsort,
        along(descending=(False, True)) + [S(numpy.array([1.0, 3.0, 1.0, 3.0, 2.0]), descending=d)
                                           for d in (False, True)] + [S(whole(3, 5)), S(real(3, 4))],
    ),
    "sort": Peer(
        lambda x, axis=-1, descending=False: torch.sort(
            x, dim=axis, descending=descending, stable=True
        ).values,
        along(descending=(False, True)) + [S(numpy.array([1.0, 3.0, 1.0, 3.0, 2.0]), descending=d)
                                           for d in (False, True)] + [S(whole(3, 5)), S(real(3, 4))],
    ),
    "topk": Peer(
        lambda x, k, axis=-1, largest=True: tuple(torch.topk(x, k, dim=axis, largest=largest)),
        [S(distinct(*shape), k, axis=axis, largest=largest)
         for shape, k, axis in (
             ((5,), 2, 0), ((3, 4), 1, 0), ((3, 4), 4, -1), ((3, 4), 0, 1), ((0,), 0, 0))
         for largest in (True, False)],
        ties=False,
    ),
    # linear algebra
    "matmul": Peer(torch.matmul, [S(real(*a), real(*b))
    for a, b in _MATRICES] + [S(whole(2, 3), whole(3, 2))]),
    "matmul_transposed": Peer(lambda a, b: a @ b.mT, [S(real(*a), real(*b)) for a, b in (
        ((2, 3), (4, 3)), ((3,), (4, 3)), ((5, 2, 3), (4, 3)), ((0, 3), (4, 3)), ((2, 0), (4, 0)))]),
    "matrix_transpose": Peer(lambda x: x.mT, [S(real(*s)) for s in ((2, 3), (4, 2, 3), (0, 3))]),
    "linear": Peer(
        functional.linear,
        [S(real(*x), real(4, 3), *bias) for x in ((3,), (2, 3), (5, 2, 3), (0, 3))
         for bias in ((), (real(4),))]
        + [S(real(2, 0), real(4, 0), real(4)), S(real(2, 3), real(0, 3), real(0))],
    ),
    "scaled_dot_product_attention": Peer(
        functional.scaled_dot_product_attention,
        [S(real(*lead, 4, 2), real(*lead, 5, 2), real(*lead, 5, 3), mask, is_causal=causal, scale=scale)
         for lead in ((), (2,), (2, 3)) for scale in (None, 0.3)
         for mask, causal in ((None, False), (None, True), (real(4, 5), False), (real(1, 5), False),
                              (truth(4, 5) | numpy.eye(4, 5, dtype=bool), False))]
        + [S(real(2, 4, 2), real(2, 3, 2), real(2, 3, 2), numpy.arange(3) < 0),
           S(real(2, 4, 2), real(2, 3, 2), real(2, 3, 2), numpy.full((4, 3), -numpy.inf)),
           S(real(2, 0, 2), real(2, 3, 2), real(2, 3, 2)),
           S(real(2, 4, 0), real(2, 3, 0), real(2, 3, 2)),
           S(real(0, 4, 2), real(0, 3, 2), real(0, 3, 2)),
           S(real(2, 4, 2), real(2, 0, 2), real(2, 0, 2))],
    ),
    "vecdot": Peer(
        lambda a, b, axis=-1: torch.linalg.vecdot(a, b, dim=axis),
        [S(real(3), real(3)), S(real(2, 3), real(3)), S(real(2, 3), real(2, 3), axis=-2),
         S(real(2, 1, 3), real(4, 3)), S(real(2, 0), real(2, 0))],
    ),
    "outer": Peer(torch.outer, [S(real(2), real(3)), S(real(0), real(3)), S(real(2), real(0)),
    S(whole(2), whole(3))]),
    "tensordot": Peer(
        lambda a, b, axes=2: torch.tensordot(a, b, dims=axes),
        [S(real(2, 3), real(3, 4), 1), S(real(2, 3, 4), real(3, 4, 5)), S(real(2), real(3), 0),
         S(real(2, 3, 4), real(4, 2), ((0, 2), (1, 0))), S(real(2, 3, 4), real(4, 2), ((-1, 0), (0, -1))),
         S(real(2, 0), real(0, 3), 1)],
    ),
    **{
        name: Peer(
            torch.einsum,
            [S(text, *(real(*shape) for shape in shapes)) for text, *shapes in cases],
            ours=ours,
        )
        for name, ours, cases in (
            ("einsum", None, [
                ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)),
                ("ij->", (2, 3)),
                ("ii", (3, 3)), ("ii->i", (3, 3)), ("bii->bi", (2, 3, 3)), ("i,j->ij", (2,), (3,)),
                ("...ij,...jk->...ik", (5, 2, 3), (3, 4)), ("...i->...", (2, 3)),
                ("i...,i...", (2, 3), (2, 3)),
                ("...,...", (2, 1), (3,)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
                ("i,i,i->", (3,), (3,), (3,)),
                ("ij,ij->ij", (2, 3), (2, 3)), ("iij,j->i", (2, 2, 3), (3,)),
                ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
                (",i->i", (), (3,)), ("i,->i", (3,), ()), ("ij->ji", (0, 3)),
                ("ij,jk->ik", (2, 0), (0, 3)),
                ("i,j->", (2,), (3,)), ("iii->i", (3, 3, 3)), (" i j , j -> i ", (2, 3), (3,)),
                ("...ii->...i", (2, 3, 3)),
                ("ij,...j->...i", (2, 3), (4, 5, 3)), ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)), ("->", ()),
            ]),
            ("contract", lambda text, *xs: mg.OPS["contract"](list(xs), subscripts=text), [
                ("ij,jk->ik", (2, 3), (3, 4)), ("ij->j", (2, 3)), ("i,j->ij", (2,), (3,)),
                ("ij,i->", (2, 3), (2,)),
                ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("ij,ij->ij", (2, 3), (2, 3)),
                ("ij,jk->ik", (2, 0), (0, 3)),
            ]),
        )
    },
    "diagonal": Peer(
        lambda x, offset=0: torch.diagonal(x, offset, -2, -1),
        [S(real(*shape), offset=k) for shape in ((3, 3), (2, 4), (4, 2), (2, 3, 4))
        for k in (-1, 0, 1, 2)]
        + [S(real(3, 3)), S(real(0, 3))],
    ),
    "put_diagonal": Peer(
        torch_put_diagonal,
        [S(real(3), shape=(3, 3)), S(real(3), shape=(4, 3), offset=-1),
        S(real(3), shape=(3, 5), offset=2),
         S(real(2, 3), shape=(3, 4)), S(real(0), shape=(0, 3))],
    ),
    "trace": Peer(
        lambda x, offset=0: torch.diagonal(x, offset, -2, -1).sum(-1),
        [S(real(*shape), k) for shape in ((3, 3), (2, 4), (2, 3, 4))
        for k in (-1, 0, 1)] + [S(real(3, 3))],
    ),
    "vector_norm": Peer(
        lambda x, axis=None, keepdims=False, ord=2: torch.linalg.vector_norm(x, ord, axis, keepdims),
        [*reductions(empty=False, ord=(2, 1, 3.5, 0.5, 0)), *(
            s for s in reductions(empty=False, ord=(INF, -INF, -1, -2.5)) if s.args[0].size
        ), *(but(S(numpy.array(x), ord=0.5), second="PyTorch gives NaN for an element of 0; ours is 0")
             for x in ([0.0, 4.0, 1.0], [0.0, 0.0]))],
    ),
    # network
    **{
        name: Peer(
            over_axes(theirs),
            [S(real(*s.args[0].shape), **s.kwargs) for s in along()]
            + [S(real()), S(real(2, 3, 4)), S(real(2, 3), axis=None), S(real(2, 3, 4), axis=(0, 2)),
               S(numpy.array([1e3, 999.0, -1e3])), S(numpy.array([[-INF, 1.0, 2.0], [0.0, -INF, 0.0]]))]
            + [but(S(numpy.array([[-INF, -INF], [1.0, 2.0]])),
                   outputs=_MASKED, gradients=_MASKED, second=_MASKED)],
        )
        for name, theirs in (("softmax", torch.softmax), ("log_softmax", torch.log_softmax))
    },
    "layer_norm": Peer(
        lambda x, shape, *args, **kwargs: functional.layer_norm(
            x, shape if isinstance(shape, tuple) else (shape,), *args, **kwargs
        ),
        [S(real(*x, *shape), shape, *parts, eps=eps)
         for x in ((), (2,), (2, 3)) for shape in ((4,), (3, 4)) for eps in (1e-5, 0.1)
         for parts in ((), (real(*shape), real(*shape)), (real(*shape),))]
        + [S(real(2, 4), 4), S(real(0, 4), (4,))],
        ties=False,
    ),
    "group_norm": Peer(
        functional.group_norm,
        [S(real(n, c, *rest), groups, *parts, eps=eps)
         for n, c, rest, groups in ((2, 4, (3,), 2), (1, 3, (2, 3), 1), (2, 24, (), 3), (0, 2, (3,), 2))
         for eps in (1e-5, 0.1) for parts in ((), (real(c), real(c)), (real(c),))],
        ties=False,
    ),
    "batch_norm": Peer(
        lambda x, mean=None, var=None, weight=None, bias=None, eps=1e-5: functional.batch_norm(
            x, mean, var, weight, bias, mean is None, eps=eps
        ),
        [S(real(*shape), *statistics, *parts, eps=eps)
         for shape in ((5, 3), (3, 3, 4), (2, 3, 2, 3), (1, 3, 4)) for eps in (1e-5, 0.1)
         for statistics in ((None, None), (fixed(real(3)), fixed(real(3, low=0.5))))
         for parts in ((), (real(3), real(3)), (real(3),))]
        + [S(real(0, 3), fixed(real(3)), fixed(real(3, low=0.5)))],
        ties=False,
    ),
    "embedding": Peer(  # without indices PyTorch cannot differentiate it
        functional.embedding,
        [S(whole(*shape, low=0, high=3), real(4, 3), **options) for shape in SHAPES[:4]
         for options in ({}, {"padding_idx": 1}, {"padding_idx": -1})],
    ),
    "pick_class": Peer(
        lambda x, target, ignore_index: -torch_nll_loss(
            x, target, ignore_index=ignore_index, reduction="none"
        ),
        [S(*s.args[:2], ignore_index=s.kwargs["ignore_index"]) for i in (-100, 1)
         for s in classified(ignore_index=i)],
    ),
    "put_class": Peer(
        torch_put_class,
        [S(real(*s.args[1].shape), s.args[1], classes=3, ignore_index=s.kwargs["ignore_index"])
         for i in (-100, 1) for s in classified(ignore_index=i)],
    ),
    "nll_loss": Peer(torch_nll_loss, classified() + classified(ignore_index=1)),
    "cross_entropy": Peer(
        functional.cross_entropy,
        classified() + classified(ignore_index=1) + classified(label_smoothing=0.1)
        + classified(probabilities=True) + classified(probabilities=True, label_smoothing=0.3),
    ),
    "binary_cross_entropy_with_logits": Peer(
        functional.binary_cross_entropy_with_logits,
        paired(0.0, 1.0, reduction=_REDUCTIONS)
        + [S(real(2, 3), real(2, 3, low=0.0, high=1.0), fixed(real(3, low=0.5)), reduction=r,
             pos_weight=fixed(real(3, low=0.5))) for r in _REDUCTIONS]
        + [S(numpy.array([-1e3, 1e3, 50.0]), numpy.array([0.0, 1.0, 0.0]))],
    ),
    "binary_log_loss": Peer(
        lambda x, target: functional.binary_cross_entropy(x, target, reduction="none"),
        [S(real(*shape, low=0.1, high=0.9), real(*shape, low=0.0, high=1.0)) for shape in SHAPES],
        order=1,  # PyTorch's second derivative is right to eleven digits
    ),
    "binary_cross_entropy": Peer(
        functional.binary_cross_entropy,
        [S(real(*shape, low=0.1, high=0.9), real(*shape, low=0.0, high=1.0), *weight, reduction=r)
         for shape in SHAPES for r in _REDUCTIONS if math.prod(shape) or r != "mean"
         for weight in ((), (fixed(real(*shape[-1:], low=0.5)),))[: 1 + len(shape)]]
        + [S(numpy.array([0.0, 1.0, 0.0, 1.0, 1e-13]), fixed(numpy.array([0.0, 1.0, 1.0, 0.0, 1.0])),
             reduction="sum")],
        order=1,
    ),
    "kl_div": Peer(
        functional.kl_div,
        # below the targets: of terms with both signs the sum is all rounding
        [S(real(*shape, low=-5.0, high=-2.5), real(*shape, low=low, high=0.9), reduction=r,
           log_target=log_target)
         for shape in SHAPES for log_target, low in ((False, 0.1), (True, -2.0))
         for r in (*_REDUCTIONS, "batchmean") if math.prod(shape) or r in ("none", "sum")]
        + [S(real(3), fixed(numpy.array([0.0, 0.5, 0.5])), reduction="none"),
           but(S(numpy.array([-INF, -1.0]), fixed(numpy.array([0.0, 1.0])), reduction="sum"),
               outputs=_NOTHING)],
    ),
    "cosine_similarity": Peer(
        lambda x, y, axis=1, eps=1e-8: functional.cosine_similarity(x, y, dim=axis, eps=eps),
        [S(real(*x, low=0.3), real(*y, low=0.3), **options) for x, y, options in  # norms above eps
         (((3, 4), (3, 4), {}), ((3, 4), (4,), {}), ((2, 1, 4), (3, 4), {"axis": -1}),
          ((2, 3, 4), (2, 3, 4), {"axis": 0, "eps": 0.1}), ((4,), (4,), {"axis": 0}),
          ((0, 4), (0, 4), {}), ((2, 0), (2, 0), {}), ((3, 1), (3, 4), {}))]
        + [but(S(numpy.array([[0.0, 0.0], [3.0, 4.0]]), real(2, 2), eps=0.5),
               second="PyTorch's is NaN for a vector of zeros; ours is that of the least norm")],
    ),
    "mse_loss": Peer(functional.mse_loss, paired(reduction=_REDUCTIONS)),
    "l1_loss": Peer(
        functional.l1_loss,
        [*paired(reduction=_REDUCTIONS), S(numpy.array([1.0, 2.0]), numpy.array([1.0, 3.0]))],
    ),
    "huber_loss": Peer(
        functional.huber_loss,
        [*paired(reduction=_REDUCTIONS, delta=(0.3, 1.0, 2.5)),
        S(numpy.array([0.0, 2.0]), numpy.array([0.0, 0.5]))],
    ),
    "smooth_l1_loss": Peer(
        functional.smooth_l1_loss,
        [*paired(reduction=_REDUCTIONS, beta=(0.0, 0.3, 1.0, 2.5)),
        S(numpy.array([0.0, 2.0]), numpy.array([0.0, 0.5]))],
    ),
    "windows": Peer(
        torch_windows,
        [S(real(*x), kernel=k, stride=s, dilation=d) for x, k, s, d in _WINDOWS if x[0]],
    ),
    "put_windows": Peer(
        torch_put_windows,
        [S(real(*torch_windows(torch.zeros(x), k, s, d).shape), size=x[2:],
        kernel=k, stride=s, dilation=d)
         for x, k, s, d in _WINDOWS if x[0]],
    ),
    "convolution": Peer(
        torch_convolution,
        [S(real(*x), real(*w), stride=s, dilation=d, groups=n) for x, w, n, s, d in _CONVOLUTIONS],
    ),
    "convolution_input": Peer(
        torch_convolution_input,
        [S(real(*result_shape(x, w, n, s, d)), real(*w), size=x[2:], stride=s, dilation=d, groups=n)
         for x, w, n, s, d in _CONVOLUTIONS],
    ),
    "convolution_weight": Peer(
        torch_convolution_weight,
        [S(real(*x), real(*result_shape(x, w, n, s, d)), kernel=w[2:], stride=s, dilation=d, groups=n)
         for x, w, n, s, d in _CONVOLUTIONS],
    ),
    "conv1d": Peer(functional.conv1d, convolved(1)),
    "conv2d": Peer(functional.conv2d, convolved(2)),
    "conv_transpose1d": Peer(functional.conv_transpose1d, transposed_convolved(1)),
    "conv_transpose2d": Peer(functional.conv_transpose2d, transposed_convolved(2)),
    **{
        f"max_pool{rank}d": Peer(
            theirs,
            [*pooled(rank, distinct),
             *(S(distinct(2, 3, *((n,) * rank)), kernel, stride, padding, dilation, ceil_mode)
               for n, kernel, stride, padding, dilation in
               ((7, 2, 2, 0, 1), (8, 3, 2, 1, 2), (9, 2, 3, 1, 3), (5, 2, 5, 0, 1), (4, 3, 4, 1, 1),
                (6, 2, 3, 1, 1))
               for ceil_mode in (False, True)),
             but(S(numpy.ones((1, 1, *((4,) * rank))), 2), gradients=_TIES, second=_TIES)],
            ties=False,
        )
        for rank, theirs in ((1, functional.max_pool1d), (2, functional.max_pool2d))
    },
    "adaptive_avg_pool1d": Peer(
        functional.adaptive_avg_pool1d,
        [S(real(*shape), n) for shape in ((2, 3, 7), (3, 6), (0, 3, 5)) for n in (1, 2, 3, 5, 7, 9)],
    ),
    "adaptive_avg_pool2d": Peer(
        functional.adaptive_avg_pool2d,
        [S(real(*shape), n) for shape in ((2, 3, 7, 6), (3, 6, 4), (0, 3, 5, 5))
         for n in (1, 3, (2, 4), (None, 3), (9, 1))],
    ),
    "prelu": Peer(
        functional.prelu,
        [S(real(*shape), real(*weight)) for shape, weight in
         (((), ()), ((4,), (1,)), ((2, 3), (3,)), ((2, 3, 4), (3,)), ((2, 3, 4), ()), ((0, 2, 3), (2,)))]
        + [but(S(numpy.array([[0.0, -1.0], [2.0, 0.0]]), real(2)),
               second="ours is that of the slope on the left, as the first; PyTorch's is 0")],
    ),
    "avg_pool1d": Peer(functional.avg_pool1d, pooled(1, real)),
    "avg_pool2d": Peer(functional.avg_pool2d, pooled(2, real)),
}  # fmt: skip

WITHOUT_PEER = {
    "dropout": "PyTorch draws the mask itself; test_dropout_with_the_mask_of_pytorch compares",
    "written_last": "which of several writes to one place stays is not defined in PyTorch",
}

# running both


def mapped(function, value):
    """Apply ``function`` to the arrays in nested tuples, lists and dictionaries."""
    if isinstance(value, numpy.ndarray):
        return function(value)
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(function, v) for v in value)
    if isinstance(value, dict):
        return {k: mapped(function, v) for k, v in value.items()}
    return value


def flat(outputs):
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def cast(sample, dtype):
    def convert(array):
        return array.astype(dtype) if array.dtype.kind == "f" else array

    return replace(sample, args=mapped(convert, sample.args), kwargs=mapped(convert, sample.kwargs))


class Ours:
    """minigrad, as the comparison uses it."""

    def __init__(self, name, peer):
        table = {**mg.OPS, **{k: c.function for k, c in mg.COMPOSITES.items()}}
        self.call = peer.ours or table[name]

    @staticmethod
    def leaf(array):
        return mg.tensor(array, requires_grad=is_differentiable(array))

    @staticmethod
    def grad(outputs, inputs, cotangents):
        with_path = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not with_path:
            return [None] * len(inputs)
        outputs, cotangents = zip(*with_path, strict=True)
        return list(
            mg.grad(list(outputs), inputs, list(cotangents), create_graph=True, allow_unused=True)
        )

    @staticmethod
    def numpy(t):
        return t.detach().numpy()

    swapaxes = staticmethod(mg.swapaxes)
    flip = staticmethod(mg.flip)
    broadcast_to = staticmethod(mg.broadcast_to)


class Theirs:
    """PyTorch, as the comparison uses it."""

    def __init__(self, name, peer):
        self.call = peer.theirs

    @staticmethod
    def leaf(array):
        return torch.tensor(array, requires_grad=is_differentiable(array))

    @staticmethod
    def grad(outputs, inputs, cotangents):
        with_path = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not with_path:
            return [None] * len(inputs)
        outputs, cotangents = zip(*with_path, strict=True)
        return list(
            torch.autograd.grad(outputs, inputs, cotangents, create_graph=True, allow_unused=True)
        )

    @staticmethod
    def numpy(t):
        return t.detach().numpy(force=True)

    swapaxes = staticmethod(torch.swapaxes)
    broadcast_to = staticmethod(torch.broadcast_to)

    @staticmethod
    def flip(x):
        return torch.flip(x, tuple(range(x.ndim)))


def contiguous(library, array):
    leaf = library.leaf(array)
    return leaf, leaf


def transposed(library, array):
    if array.ndim < 2:
        return contiguous(library, array)
    leaf = library.leaf(numpy.swapaxes(array, 0, -1).copy())
    return leaf, library.swapaxes(leaf, 0, -1)


def flipped(library, array):
    leaf = library.leaf(numpy.flip(array).copy())
    return leaf, library.flip(leaf)


def strided(library, array):
    if not array.ndim:
        return contiguous(library, array)
    leaf = library.leaf(numpy.repeat(array, 2, axis=-1))
    return leaf, leaf[..., ::2]


def stretched(library, array):
    """Return an array whose rows are all the first one, with a stride of zero."""
    if (
        not array.size
        or not array.ndim
        or not numpy.isfinite(array).all()
        or array.dtype.kind != "f"
    ):
        return contiguous(library, array)
    leaf = library.leaf(array[:1])
    return leaf, library.broadcast_to(leaf, array.shape)


def run(library, sample, layout, order):
    """Return outputs, gradients and second derivatives of a call, as NumPy arrays."""
    leaves, cotangents = [], []

    def place(array):
        leaf, view = layout(library, array)
        if is_differentiable(array):
            leaves.append(leaf)
        return view

    outputs = flat(library.call(*mapped(place, sample.args), **mapped(place, sample.kwargs)))
    results = {"outputs": [library.numpy(o) for o in outputs], "gradients": [], "second": []}
    rng = numpy.random.default_rng(zlib.crc32(str(sample).encode()))
    for output, array in zip(outputs, results["outputs"], strict=True):
        drawn = rng.uniform(-1, 1, array.shape).astype(array.dtype)
        if array.dtype.kind == "f" and array.dtype == library.numpy(output).dtype:
            cotangents.append(library.leaf(drawn))
        else:
            cotangents.append(None)
    floats = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None]
    if order and leaves and floats:
        outputs, cotangents = map(list, zip(*floats, strict=True))
        firsts = library.grad(outputs, leaves, cotangents)
        results["gradients"] = filled(library, firsts, leaves)
        if order == 2:
            found = [(g, leaf) for g, leaf in zip(firsts, leaves, strict=True) if g is not None]
            seeds = [
                library.leaf(rng.uniform(-1, 1, tuple(g.shape)).astype(library.numpy(g).dtype))
                for g, _ in found
            ]
            wanted = [*leaves, *cotangents]
            seconds = library.grad([g for g, _ in found], wanted, seeds)
            results["second"] = filled(library, seconds, wanted)
    return results


def filled(library, gradients, inputs):
    """Return gradients as arrays; one that does not exist is zero."""
    return [
        numpy.zeros_like(library.numpy(x)) if g is None else library.numpy(g)
        for g, x in zip(gradients, inputs, strict=True)
    ]


def assert_same(ours, theirs, tolerance, where):
    """Compare lists of arrays; what cancels may differ by the tolerance of the largest number."""
    assert len(ours) == len(theirs), f"{where}: {len(ours)} results, theirs {len(theirs)}"
    finite = [b[numpy.isfinite(b)] for b in theirs if b.dtype.kind == "f"]
    # cotangents are of size one: where all results cancel to zero, what is left is rounding
    size = max((numpy.max(numpy.abs(b), initial=0.1) for b in finite), default=0.1)
    for position, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        note = f"{where}[{position}]"
        assert a.shape == b.shape, f"{note}: shape {a.shape}, theirs {b.shape}"
        assert a.dtype == b.dtype, f"{note}: dtype {a.dtype}, theirs {b.dtype}"
        if a.dtype.kind != "f":
            numpy.testing.assert_array_equal(a, b, err_msg=note)
        else:
            numpy.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size, err_msg=note)


def compare(name, sample, dtype, tolerance, layout=contiguous, order=1):
    peer = PEERS[name]
    sample = cast(sample, dtype)
    order = min(order, peer.order)
    ours = run(Ours(name, peer), sample, layout, order)
    theirs = run(Theirs(name, peer), sample, layout, order)
    for what, expected in theirs.items():
        where = f"{name}{sample}: {what}"
        if expected and (what in sample.differs or f"{dtype} {what}" in sample.differs):
            with pytest.raises(AssertionError):
                assert_same(ours[what], expected, tolerance, where)
        else:
            assert_same(ours[what], expected, tolerance, where)


def has_floats(sample):
    found = []
    mapped(lambda a: found.append(a.dtype.kind), (sample.args, sample.kwargs))
    return "f" in found


ALL = [
    pytest.param(name, sample, id=f"{name}-{number}")
    for name, peer in PEERS.items()
    for number, sample in enumerate(peer.samples)
]
FLOATS = [p for p in ALL if has_floats(p.values[1])]
LAYOUTS = (transposed, flipped, strided, stretched)


def test_every_function_of_the_tables_is_compared():
    names = {*mg.OPS, *mg.COMPOSITES}
    assert names - set(PEERS) - set(WITHOUT_PEER) == set(), "compare these with PyTorch, in PEERS"
    assert (set(PEERS) | set(WITHOUT_PEER)) - names == set(), "these are not in the tables any more"
    assert set(PEERS) & set(WITHOUT_PEER) == set()


# remarks of PyTorch
pytestmark = [
    pytest.mark.filterwarnings("ignore:(var|std)\\(\\). degrees of freedom"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss"),
]


@pytest.mark.parametrize(("name", "sample"), ALL)
def test_values_gradients_and_second_derivatives(name, sample):
    compare(name, sample, "float64", 1e-12, order=2)


@pytest.mark.parametrize(("name", "sample"), FLOATS)
def test_float32(name, sample):
    compare(name, sample, "float32", 2e-6)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", PEERS)
def test_layouts(name, layout):
    if layout is stretched and not PEERS[name].ties:
        pytest.skip("its result for equal elements is not defined, or all rounding")
    for sample in PEERS[name].samples:
        if sample.differs:  # the layout may make the elements equal that make the difference
            continue
        compare(name, sample, "float64", 1e-12, layout)


# numbers at the edge

EDGES = numpy.array(
    [
        -INF,
        -10000.0,
        -2.5,
        -1.0,
        -0.5,
        -1e-300,
        -1e-310,
        -0.0,
        0.0,
        1e-310,
        1e-300,
        0.5,
        1.0,
        2.0,
        3.0,
        10000.0,
        INF,
        NAN,
    ]
)


@dataclass(frozen=True)
class Edge:
    """Where, among `EDGES`, values or gradients differ from PyTorch's, and why. They must differ."""

    what: str
    where: Any
    reason: str


_LOST = "the gradient of a NaN says nothing: ours is 0 where an op selects, PyTorch passes it on"
_HALF = "of two infinities that are equal each gets half, as of other equal elements; PyTorch: NaN"
_NAN = "as in NumPy, the sign of NaN is NaN; PyTorch says 0"
_FAR = "at an infinite distance ours is the limit, 0; PyTorch's is NaN"
_TINY = "PyTorch divides by the square of the distance, which underflows"
EDGE_DIFFERENCES = {
    "power": [
        Edge(
            "gradient 1",
            lambda a, b: (a == 0) & ~(b >= 0),
            "the gradient of the exponent is 0 at base 0; PyTorch's is -inf, or NaN with it",
        )
    ],
    "sign": [Edge("value", numpy.isnan, _NAN)],
    "abs": [Edge("gradient 0", numpy.isnan, _NAN)],
    "elu": [Edge("gradient 0", numpy.isnan, "ours is NaN at NaN, PyTorch's is 1")],
    "atan2": [
        Edge("gradient 0", lambda a, b: numpy.isinf(b) | (numpy.isinf(a) & numpy.isnan(b)), _FAR),
        Edge("gradient 1", lambda a, b: numpy.isinf(a) | (numpy.isinf(b) & numpy.isnan(a)), _FAR),
        Edge("gradient 0", lambda a, b: (b != 0) & (abs(a) + abs(b) < 1e-290), _TINY),
        Edge("gradient 1", lambda a, b: (a != 0) & (abs(a) + abs(b) < 1e-290), _TINY),
    ],
    "nextafter": [
        Edge("gradient 0", lambda a, b: a == b, "PyTorch says 0; the slope is 1 there, too")
    ],
    "copysign": [Edge("gradient 0", lambda a, b: numpy.isinf(a), "PyTorch divides by infinity")],
    "remainder": [
        Edge(
            "value",
            lambda a, b: (abs(a) > 0.1) & (abs(a) < INF) & (b != 0) & (abs(b) < 1e-300),
            "PyTorch gives NaN for divisors below the normal numbers",
        )
    ],
    "acosh": [
        Edge("gradient 0", lambda x: x == -1, "outside of the domain, an infinity of either sign")
    ],
    "softsign": [
        Edge("gradient 0", numpy.isinf, "ours is the limit, 0; PyTorch's is NaN"),
    ],
    "hypot": [
        Edge(which, lambda a, b: (a == 0) & (b == 0), "ours is 0 at the kink, PyTorch's is NaN")
        for which in ("gradient 0", "gradient 1")
    ],
    "logaddexp": [
        Edge(which, lambda a, b: numpy.isinf(a) & (a == b), _HALF)
        for which in ("gradient 0", "gradient 1")
    ],
    **{name: [Edge("gradient 0", numpy.isnan, _LOST)] for name in ("relu", "hard_tanh")},
    "hard_sigmoid": [Edge("gradient 0", numpy.isnan, _LOST)],
    **{
        name: [
            Edge(which, lambda a, b: numpy.isnan(a) | numpy.isnan(b), _LOST)
            for which in ("gradient 0", "gradient 1")
        ]
        for name in ("maximum", "minimum")
    },
}


def at_edges(name):
    """Return value and gradients of ours and of theirs at the edges, by what they are."""
    count = mg.OPS[name].arity
    points = [grid.ravel() for grid in numpy.meshgrid(*[EDGES] * count)]
    results = []
    for library in (Ours(name, PEERS[name]), Theirs(name, PEERS[name])):
        leaves = [library.leaf(x) for x in points]
        y = library.call(*leaves)
        result = {"value": library.numpy(y)}
        if PEERS[name].order and result["value"].dtype.kind == "f":
            g = library.leaf(numpy.ones(points[0].shape))
            gradients = filled(library, library.grad([y], leaves, [g]), leaves)
            result |= {f"gradient {i}": g for i, g in enumerate(gradients)}
        results.append(result)
    return points, *results


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, op in mg.OPS.items()
        if op.elementwise and op.arity in (1, 2) and not name.startswith(("bitwise", "dropout"))
    ],
)
def test_numbers_at_the_edge(name):
    with numpy.errstate(all="ignore"):
        points, ours, theirs = at_edges(name)
    assert ours.keys() == theirs.keys()
    for what, expected in theirs.items():
        close = numpy.isclose(
            ours[what].astype(float), expected.astype(float), rtol=1e-12, atol=0, equal_nan=True
        )
        differs = numpy.zeros(close.shape, bool)
        for edge in EDGE_DIFFERENCES.get(name, ()):
            if edge.what == what:
                differs |= edge.where(*points)
        wrong = numpy.flatnonzero(close == differs)
        shown = [
            (*(float(x[i]) for x in points), "ours", ours[what][i], "theirs", expected[i])
            for i in wrong[:5]
        ]
        assert not wrong.size, f"{name}: {what} at {shown}"


# dtypes: as PyTorch, but for a tensor of shape (), which is a tensor like any other here, as in NumPy

PROMOTIONS = [
    ("divide", (whole(3), whole(3, low=1)), "float32"),
    ("power", (whole(3, low=0), 0.5), "float32"),
    ("sum", (whole(3).astype("int32"),), "int64"),
    ("sum", (truth(3),), "int64"),
    ("mean", (real(3).astype("float32"),), "float32"),
    ("cumulative_sum", (whole(3).astype("int32"),), "int64"),
    ("prod", (whole(3).astype("int32"),), "int64"),
    ("prod", (numpy.full(2, 100, "int8"),), "int64"),
    ("concat", ([whole(2), real(3).astype("float32")],), "float32"),
    ("where", (truth(3), real(3).astype("float32"), real(3)), "float64"),
    ("where", (truth(3), real(3).astype("float32"), whole(3)), "float32"),
    ("argmax", (real(3),), "int64"),
    ("floor", (whole(3),), "int64"),
    ("clip", (whole(3), 0.5, 1.5), "float32"),
    *((name, (whole(3),), "float32") for name in ("exp", "sin", "tanh", "sigmoid", "erf")),
    *((name, (whole(3, low=1),), "float32") for name in ("log", "sqrt", "reciprocal")),
    *((name, (truth(3),), "float32") for name in ("exp", "sigmoid")),
    *((name, (numpy.array([4, 100], "uint8"),), "float32") for name in ("sigmoid", "atan", "exp2")),
]


@pytest.mark.parametrize(("name", "args", "dtype"), PROMOTIONS)
def test_promotion(name, args, dtype):
    ours = Ours(name, PEERS[name]).call(*mapped(mg.tensor, args)).numpy()
    theirs = PEERS[name].theirs(*mapped(torch.tensor, args)).numpy()
    assert str(ours.dtype) == str(theirs.dtype) == dtype
    numpy.testing.assert_allclose(ours, theirs, rtol=2e-6)


@pytest.mark.parametrize("left", DTYPES := (
    "bool", "uint8", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64",
))  # fmt: skip
def test_tensors_and_numbers_meet_as_in_pytorch(left):
    a, theirs = mg.ones(2, dtype=left), torch.ones(2, dtype=getattr(torch, left))
    for right in DTYPES:
        b, other = mg.ones(2, dtype=right), torch.ones(2, dtype=getattr(torch, right))
        assert f"torch.{(a * b).dtype}" == str((theirs * other).dtype), right
        assert f"torch.{(a / b).dtype}" == str((theirs / other).dtype), right
        assert f"torch.{mg.concat([a, b]).dtype}" == str(torch.cat([theirs, other]).dtype), right
    for number in (True, 2, 2.0):
        for function in (operator.mul, operator.truediv, operator.add):
            expected = str(function(theirs, number).dtype)
            assert f"torch.{function(a, number).dtype}" == expected, number
            assert f"torch.{function(number, a).dtype}" == str(function(number, theirs).dtype), (
                number
            )


HALF = ("float16", "bfloat16")
HALF_CASES = {  # what PyTorch computes in one kernel, from numbers that overflow or vanish on the way
    "mean": (lambda m, x: m.mean(x), (70000,), 1.0),
    "var": (lambda m, x: m.var(x, correction=0), (1000,), 100.0),
    "vector_norm": (
        lambda m, x: m.linalg.vector_norm(x) if m is torch else m.vector_norm(x), (200,), 100.0),
    "softmax": (lambda m, x: m.softmax(x, 0), (5000,), 1.0),
    "logsumexp": (lambda m, x: m.logsumexp(x, 0), (5000,), 1.0),
    "cumulative_sum": (
        lambda m, x: m.cumsum(x, 0) if m is torch else m.cumulative_sum(x, axis=0), (300,), 1.0),
    "layer_norm": (
        lambda m, x: (functional if m is torch else m).layer_norm(x, (8,)), (4, 8), 1000.0),
    "mse_loss": (lambda m, x: (functional if m is torch else m).mse_loss(x, 0 * x), (3000,), 50.0),
    "cross_entropy": (
        lambda m, x: (functional if m is torch else m).cross_entropy(x, m.zeros(2000, dtype=m.int64)),
        (2000, 3), 10.0),
    "prod": (lambda m, x: m.prod(x), (20,), 1.2),
    "gelu": (lambda m, x: (functional if m is torch else m).gelu(x), (100,), 2.0),
    "silu": (lambda m, x: (functional if m is torch else m).silu(x), (100,), 2.0),
    "softplus": (lambda m, x: (functional if m is torch else m).softplus(x), (100,), 2.0),
    "matmul": (lambda m, x: x @ x, (64, 64), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", HALF_CASES)
def test_half_precision_is_rounded_as_in_pytorch(name, dtype):
    run, shape, scale = HALF_CASES[name]
    values = numpy.random.default_rng(0).standard_normal(shape) * scale
    x = mg.tensor(values, dtype=dtype, requires_grad=True)
    theirs = torch.tensor(values, dtype=getattr(torch, dtype), requires_grad=True)
    y, expected = run(mg, x), run(torch, theirs)
    y.sum().backward()
    expected.sum().backward()
    step = 2.0**-10 if dtype == "float16" else 2.0**-7
    for found, wanted in ((y.detach(), expected.detach()), (x.grad, theirs.grad)):
        assert f"torch.{found.dtype}" == str(wanted.dtype)
        numpy.testing.assert_allclose(
            found.astype("float64").numpy(), wanted.double().numpy(), rtol=2 * step, atol=step
        )


def test_the_last_of_several_writes_stays_in_every_layout():
    x = mg.zeros((2, 1))
    rows, columns = mg.tensor([1, 0, 0]), mg.tensor([0, 0, 0])
    values = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for turn, expected, gradient in (
        (lambda t: t, [3.0, 1.0], [1.0, 0.0, 1.0]),
        (mg.flip, [2.0, 1.0], [1.0, 1.0, 0.0]),  # NumPy alone walks these arrays backwards
    ):
        y = x.at[turn(rows), turn(columns)].set(turn(values))
        assert y[:, 0].tolist() == expected
        assert mg.grad(y.sum(), values)[0].tolist() == gradient


def test_dropout_with_the_mask_of_pytorch():
    x = real(50, 40)
    theirs = torch.tensor(x, requires_grad=True)
    y = functional.dropout(theirs, p=0.3)
    g = real(50, 40)
    y.backward(torch.tensor(g))
    ours = mg.tensor(x, requires_grad=True)
    z = mg.dropout(ours, mg.tensor(y.detach().numpy() != 0), p=0.3)
    numpy.testing.assert_allclose(z.detach(), y.detach().numpy(), rtol=1e-15)
    numpy.testing.assert_allclose(mg.grad(z, ours, mg.tensor(g))[0], theirs.grad, rtol=1e-15)


def test_the_layouts_are_what_they_say():
    array = numpy.arange(6.0).reshape(2, 3)
    strides = {
        layout.__name__: layout(Ours("add", PEERS["add"]), array)[1]._array.strides
        for layout in LAYOUTS
    }
    assert strides == {
        "transposed": (8, 16), "flipped": (-24, -8), "strided": (48, 16), "stretched": (0, 8),
    }  # fmt: skip


def test_what_is_saved_does_not_depend_on_the_numbers(monkeypatch):
    """What a rule reads is found once for each op, so no call may read what another one need not."""
    found = {}

    def needs(op, arrays, outs, several, attrs, mask):
        droppable, output = original(op, arrays, outs, several, attrs, mask)
        read = {i for i, a in enumerate(arrays) if hasattr(a, "shape")} - set(droppable)
        calls = found.setdefault((op.name, mask, len(arrays) if op.variadic else None), [])
        calls.append((set(droppable), read, output, f"{op.name}{described(arrays)} {dict(attrs)}"))
        return droppable, output

    original = tape.needs
    monkeypatch.setattr(tape, "needs", needs)
    for name, peer in PEERS.items():
        for sample in peer.samples:
            for op in mg.OPS.values():
                op.saving.clear()
            sample = cast(sample, "float32")
            Ours(name, peer).call(
                *mapped(Ours.leaf, sample.args), **mapped(Ours.leaf, sample.kwargs)
            )
    assert len(found) > 100
    for calls in found.values():
        for droppable, _, output, one in calls:
            for _, read, other_output, other in calls:
                assert not droppable & read, f"{one} saves less than {other}"
                assert output == other_output, f"{one} and {other} save different outputs"
