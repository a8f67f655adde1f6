"""Functions that make tensors out of sizes and numbers."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad import dtypes, random
from minigrad.backends import backend_named, parse_device
from minigrad.errors import ArgumentError
from minigrad.random import Shape
from minigrad.tensor import Tensor, leaf, make, tensor


def full(
    shape: Shape,
    fill_value: float,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of ``shape`` in which every element is ``fill_value``.

    The dtype is that of ``tensor(fill_value)`` unless given.
    """
    sizes = random.sizes_of(shape)
    scalar = tensor(fill_value, dtype=dtype, device=device, requires_grad=requires_grad)
    name, number = parse_device(scalar.device)
    backend = backend_named(name)
    content = numpy.broadcast_to(numpy.asarray(fill_value), sizes)
    return leaf(backend.asarray(content, scalar.dtype, number), requires_grad)


def zeros(
    shape: Shape, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of zeros, of the default dtype unless given."""
    return full(shape, 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(
    shape: Shape, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of ones, of the default dtype unless given."""
    return full(shape, 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    x: Tensor, fill_value: float, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Return a tensor of the shape, dtype and device of ``x``, filled with ``fill_value``."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def zeros_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return zeros of the shape, dtype and device of ``x``."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return ones of the shape, dtype and device of ``x``."""
    return full_like(x, 1, dtype=dtype, device=device)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return numbers from ``start`` to below ``stop``; int64 if all three are integers.

    With one argument, the numbers from 0 to below it.

    Raises
    ------
    ArgumentError
        If ``step`` is 0.
    """
    if step == 0:
        raise ArgumentError("arange: a step of 0 never arrives; use full()")
    if stop is None:
        start, stop = 0, start
    whole = all(isinstance(n, (int, numpy.integer)) for n in (start, stop, step))
    kind = dtype or (dtypes.int64 if whole else dtypes.get_default_dtype())
    return tensor(numpy.arange(start, stop, step), kind, device)


def linspace(
    start: float,
    stop: float,
    num: int,
    *,
    endpoint: bool = True,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return ``num`` evenly spaced numbers from ``start`` to ``stop``."""
    (num,) = random.sizes_of(num)
    values = numpy.linspace(start, stop, num, endpoint=endpoint)
    return tensor(values, dtype or dtypes.get_default_dtype(), device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return a matrix with ones on diagonal ``k`` and zeros elsewhere."""
    random.sizes_of((n_rows, n_rows if n_cols is None else n_cols))
    return tensor(numpy.eye(n_rows, n_cols, k=k), dtype or dtypes.get_default_dtype(), device)


def rand(
    *shape: int, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers evenly distributed between 0 and 1, from the global generator."""
    t = random.default_generator.uniform(_flat(shape), dtype=dtype, device=device)
    return t.requires_grad_(requires_grad)


def randn(
    *shape: int, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers from the standard normal distribution, from the global generator."""
    t = random.default_generator.normal(_flat(shape), dtype=dtype, device=device)
    return t.requires_grad_(requires_grad)


def randint(low: int, high: int, shape: Shape = (), *, device: str | None = None) -> Tensor:
    """Return int64 numbers from ``low`` to below ``high``, from the global generator."""
    return random.default_generator.integers(low, high, shape, device=device)


def _flat(shape: tuple[Any, ...]) -> Shape:
    """Return the shape that ``rand(2, 3)`` or ``rand((2, 3))`` was given."""
    return shape[0] if len(shape) == 1 else shape


def asarray(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return ``data`` as a tensor: itself if it is one already and nothing else is asked for."""
    if isinstance(data, Tensor):
        t: Tensor = data if dtype is None else data.astype(dtype)
        return t if device is None else t.to(device)
    return tensor(data, dtype=dtype, device=device)


def from_dlpack(source: Any) -> Tensor:
    """Return a copy of an array of another library (NumPy, CuPy, PyTorch) that speaks DLPack.

    The content is copied, because nobody else may write to a tensor's memory.

    Raises
    ------
    TypeError
        If ``source`` does not speak DLPack.
    """
    if not hasattr(source, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: a {type(source).__name__} does not speak DLPack; use minigrad.tensor(...)"
        )
    kind = source.__dlpack_device__()[0]
    if kind == 2:  # kDLCUDA
        cupy = backend_named("cupy")
        return make(cupy.copy(cupy.namespace.from_dlpack(source)), None)
    return tensor(numpy.from_dlpack(source))
