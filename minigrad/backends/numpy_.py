"""NumPy, on the CPU."""

from __future__ import annotations

import operator
from types import SimpleNamespace
from typing import Any

import numpy

from minigrad.backends.base import Backend


def _scatter_add(target: Any, key: Any, values: Any) -> Any:
    if any(isinstance(part, numpy.ndarray) for part in key):
        numpy.add.at(target, key, values)
    else:
        target[key] += values
    return target


def _scatter_set(target: Any, key: Any, values: Any) -> Any:
    if any(isinstance(part, numpy.ndarray) for part in key):
        # NumPy writes in the order of memory: only in this one does the last of several values stay
        key = tuple(
            numpy.asarray(part, order="C") if isinstance(part, numpy.ndarray) else part
            for part in key
        )
        values = numpy.asarray(values, order="C")
    target[key] = values
    return target


def load() -> Backend:
    """Return the backend record."""
    public = {name: getattr(numpy, name) for name in numpy.__all__}
    namespace = SimpleNamespace(
        **public,
        native=numpy.dtype,
        pick=operator.getitem,
        scatter_add=_scatter_add,
        scatter_set=_scatter_set,
    )
    return Backend(
        name="numpy",
        array_type=numpy.ndarray,
        namespace=namespace,
        asarray=lambda data, dtype, index: numpy.array(data, dtype=dtype, order="C"),
        to_numpy=lambda array: array,
        device_of=lambda array: "cpu",
    )
