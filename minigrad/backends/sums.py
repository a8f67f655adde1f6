"""Sums and moments of floating-point numbers, with rounding errors that hardly grow with the count.

NumPy adds in pairs along the axis that is innermost in memory, but along any other one row to the
next, and so loses digits: in float32, the mean of 2**25 rows of ones is 0.5. Here the rows are added in
short stretches, then their sums, and so on: the cascade of Higham, The accuracy of floating point
summation (1993). A stretch is added by a product with ones, which is also faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy
from numpy.lib.array_utils import normalize_axis_tuple

Axes = int | Sequence[int] | None

_FEW = 32  # so few rows are added by NumPy, one to the next
_STRETCH = 32
_ENOUGH = 128  # rows for one product, if there are no more
_NARROW = 8  # BLAS adds such rows one to the next
_WIDTH = 1024  # of wider rows a part at a time: OpenBLAS would wake its threads for more
_SMALL = 2**14  # so many elements are copied if they do not lie side by side
_OURS = frozenset({numpy.dtype("float32"), numpy.dtype("float64")})
_ONES = {dtype: numpy.ones(_ENOUGH, dtype) for dtype in _OURS}

_add: Any = numpy.add.reduce


def sum(x: Any, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Do what `numpy.sum` does."""
    if x.dtype not in _OURS or not x.ndim:  # of a number NumPy takes an axis, too
        return numpy.sum(x, axis=axis, keepdims=keepdims)
    shape = x.shape
    ndim = len(shape)
    if axis is None:
        axes: Sequence[int] = range(ndim)
    elif type(axis) is int and -ndim <= axis < ndim:
        axes = (axis % ndim,)
    else:
        axes = sorted(normalize_axis_tuple(axis, ndim))
    count = math.prod([shape[i] for i in axes])
    contiguous = x.flags.c_contiguous
    if not contiguous and x.size <= _SMALL:
        x, contiguous = numpy.ascontiguousarray(x), True
    innermost, i = 1, ndim - 1  # how many NumPy adds in pairs
    while contiguous and i in axes:
        innermost *= shape[i]
        i -= 1
    if count <= _FEW * innermost:
        return _add(x, axis=tuple(axes), keepdims=keepdims)
    first, last = axes[0], axes[-1]
    if not contiguous or last - first + 1 > len(axes):
        y = _apart(x, axes)
    elif ndim == 2:
        y = _over_rows(x)
    else:
        before, after = shape[:first], shape[last + 1 :]
        y = _over_rows(x.reshape(math.prod(before), count, math.prod(after)))
        y = y.reshape(*before, *after)
    if keepdims:
        return y.reshape([1 if i in axes else n for i, n in enumerate(shape)])
    return y


def _apart(x: Any, axes: Sequence[int]) -> Any:
    """Return the sum over ``axes`` that lie apart, or in an array that does."""
    shape = x.shape
    kept = [i for i in range(x.ndim) if i not in axes]
    repeated = [i for i, stride in enumerate(x.strides) if stride == 0 and shape[i] > 1]
    if repeated:  # one number again and again
        times = math.prod([shape[i] for i in repeated if i in axes])
        x = x[tuple([slice(0, 1) if i in repeated else slice(None) for i in range(x.ndim)])]
        once = sum(x, axis=tuple(axes)) * x.dtype.type(times)
        return numpy.array(numpy.broadcast_to(once, [shape[i] for i in kept]))
    order = sorted(range(x.ndim), key=lambda i: -abs(x.strides[i]))  # as in memory
    reduced = [i in axes for i in order]
    y = x.transpose(order)
    if y.flags.c_contiguous:  # neighbouring axes of one kind become one
        pairs = zip(reduced, y.shape, strict=True)
        groups = [(k, [n for _, n in group]) for k, group in groupby(pairs, itemgetter(0))]
        y = y.reshape([math.prod(sizes) for _, sizes in groups])
        reduced = [k for k, _ in groups]
    outer = [i for i, k in enumerate(reduced[:-1]) if k]
    if math.prod([y.shape[i] for i in outer]) > _FEW:
        if y.strides[-1] != y.itemsize or min(y.strides) < 0:  # BLAS takes no such matrix
            y = numpy.ascontiguousarray(y)
        for i in reversed(outer):
            y = _over_rows(numpy.moveaxis(y, i, -2))
        outer = []
    y = _add(y, axis=(*outer, y.ndim - 1) if reduced[-1] else tuple(outer))
    found = [i for i in order if i not in axes]
    return y.reshape([shape[i] for i in found]).transpose([found.index(i) for i in kept])[()]


def _over_rows(x: Any) -> Any:
    """Return the sum over the last axis but one."""
    if x.shape[-1] < _NARROW:
        return _add(numpy.ascontiguousarray(x.mT), axis=-1)
    most = _ENOUGH
    while x.shape[-2] > most:
        most = _STRETCH
        *before, rows, width = x.shape
        full, rest = divmod(rows, _STRETCH)
        cut = full * _STRETCH
        sums = numpy.empty((*before, full + (rest > 0), width), x.dtype)
        stretches = x[..., :cut, :].reshape(*before, full, _STRETCH, width)
        _over_a_stretch(stretches, sums[..., :full, :])
        if rest:
            _over_a_stretch(x[..., cut:, :], sums[..., full, :])
        x = sums
    return _over_a_stretch(x)


def _over_a_stretch(x: Any, out: Any = None) -> Any:
    *before, rows, width = x.shape
    ones = _ONES[x.dtype][:rows]
    if width <= _WIDTH:
        return numpy.matmul(ones, x, out=out)
    y = numpy.empty((*before, width), x.dtype) if out is None else out
    for start in range(0, width, _WIDTH):
        part = slice(start, start + _WIDTH)
        numpy.matmul(ones, x[..., part], out=y[..., part])
    return y


def mean(x: Any, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Do what `numpy.mean` does."""
    if x.dtype not in _OURS or not x.size:
        return numpy.mean(x, axis=axis, keepdims=keepdims)
    total = sum(x, axis=axis, keepdims=keepdims)
    return total / (x.size // total.size)


def var(x: Any, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Do what `numpy.var` does."""
    if x.dtype in _OURS and x.size:
        apart = x - mean(x, axis=axis, keepdims=True)
        apart *= apart
        total = sum(apart, axis=axis, keepdims=keepdims)
        free = x.size // total.size - float(correction)
        if free > 0:
            return total / free
    return numpy.var(x, axis=axis, correction=correction, keepdims=keepdims)


def std(x: Any, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Do what `numpy.std` does."""
    return numpy.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def cumulative_sum(x: Any, /, *, axis: int | None = None, include_initial: bool = False) -> Any:
    """Do what `numpy.cumulative_sum` does; of float32 in float64, since no cascade shares the work."""
    if x.dtype != numpy.float32:
        return numpy.cumulative_sum(x, axis=axis, include_initial=include_initial)
    y = numpy.cumulative_sum(x.astype(numpy.float64), axis=axis, include_initial=include_initial)
    return y.astype(numpy.float32)
