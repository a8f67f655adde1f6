"""CuPy, on NVIDIA GPUs. Imported only when a tensor on a GPU is asked for.

The functions below that take NumPy's name are those in which CuPy (14) differs from NumPy; this file is
the one place that knows. Two more differences need no function: a result of shape () is an array, and
arrays have no read-only flag (which minigrad does not rely on: what leaves a tensor is a copy).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy

from minigrad.backends.base import Backend
from minigrad.errors import BackendError, IndexingError

_ON_CPU = "or stay on the CPU with minigrad.use_backend('numpy')"
_INSTALL = "pip install 'cupy-cuda12x[ctk]>=14' (or 'cupy-cuda13x[ctk]>=14', for CUDA 13)"


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =-")]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _imported() -> Any:
    """Return the module, checked to be usable."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise BackendError(f"CuPy is not installed; run {_INSTALL}, {_ON_CPU}") from None
        raise BackendError(_broken(error)) from error
    except Exception as error:
        raise BackendError(_broken(error)) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise BackendError(
            f"CuPy is installed but finds no GPU ({_reason(error)}); check the driver with "
            f"nvidia-smi, {_ON_CPU}"
        ) from error
    if not count:
        raise BackendError(
            "CuPy is installed but this machine has no GPU that it may use; check nvidia-smi and "
            f"CUDA_VISIBLE_DEVICES, {_ON_CPU}"
        )
    try:
        _compute(cupy)
    except Exception as error:
        raise BackendError(
            f"CuPy finds a GPU but cannot compute on it ({_reason(error)}); its wheels come without the "
            f"libraries of CUDA: run {_INSTALL}, {_ON_CPU}"
        ) from error
    return cupy, count


def _compute(cupy: Any) -> None:
    """Compute a sum and a product: they need the compiler of kernels, and cuBLAS."""
    ones = cupy.ones((2, 2), dtype=numpy.float32)
    if not bool(((ones + ones) @ ones == 4).all()):
        raise ArithmeticError("(1 + 1) * 1 + (1 + 1) * 1 is not 4 there")


def _broken(error: Exception) -> str:
    return (
        f"CuPy is installed but cannot be imported ({_reason(error)}); run "
        f"pip uninstall cupy cupy-cuda12x cupy-cuda13x, then {_INSTALL}, {_ON_CPU}"
    )


def _namespace(cupy: Any) -> SimpleNamespace:
    """Return CuPy's functions as the formulas call them."""

    def check_key(shape: tuple[int, ...], key: tuple[Any, ...]) -> bool:
        """Say whether ``key`` has index arrays, all within ``shape``: CuPy would wrap them silently."""
        used = sum(part is not None and part is not Ellipsis for part in key)
        axis, found = 0, False
        for part in key:
            if part is Ellipsis:
                axis += len(shape) - used
            elif part is not None:
                if isinstance(part, cupy.ndarray):
                    found = True
                    size = shape[axis]
                    wide = part.astype(numpy.int64)
                    if part.size and bool(((wide < -size) | (wide >= size)).any()):
                        raise IndexingError(
                            f"an index from {int(part.min())} to {int(part.max())} is out of bounds "
                            f"for axis {axis} with size {size}; indices run from -size to size - 1"
                        )
                axis += 1
        return found

    def pick(x: Any, key: tuple[Any, ...]) -> Any:
        check_key(x.shape, key)
        return x[key]

    def scatter_add(target: Any, key: tuple[Any, ...], values: Any) -> Any:
        # target[key] += values loses repeated indices, and atomicAdd has no signed 64-bit form
        if not check_key(target.shape, key):
            target[key] += values
        elif target.dtype == numpy.int64:
            values = cupy.asarray(values, dtype=numpy.int64)
            target.view(numpy.uint64).scatter_add(key, values.view(numpy.uint64))
        else:
            target.scatter_add(key, values)
        return target

    def scatter_set(target: Any, key: tuple[Any, ...], values: Any) -> Any:
        # which of two writes to one place wins is left open by CUDA; in NumPy it is the last
        if not check_key(target.shape, key):
            target[key] = values
            return target
        place = target[key].shape
        values = cupy.broadcast_to(cupy.asarray(values, dtype=target.dtype), place).ravel()
        numbers = cupy.arange(1, values.size + 1, dtype=numpy.uint64).reshape(place)
        last = cupy.zeros(target.shape, dtype=numpy.uint64)
        last.scatter_max(key, numbers)
        if values.size:
            written = values[cupy.maximum(last.astype(numpy.int64) - 1, 0)]
            target[...] = cupy.where(last > 0, written, target)
        return target

    def argsort(x: Any, /, *, axis: int = -1, stable: bool = True) -> Any:
        return cupy.argsort(x, axis=axis)  # always stable, and without that argument

    def diagonal(x: Any, /, *, offset: int = 0) -> Any:
        return cupy.diagonal(x, offset=offset, axis1=-2, axis2=-1)

    def divided(x1: Any, x2: Any) -> tuple[Any, Any]:
        """Return quotient and remainder of floats, as NumPy and Python round them."""
        rest = cupy.fmod(x1, x2)
        whole = (x1 - rest) / x2
        beyond = (rest != 0) & ((rest < 0) != (x2 < 0))
        whole, rest = cupy.where(beyond, whole - 1, whole), cupy.where(beyond, rest + x2, rest)
        below = cupy.floor(whole)
        nearest = cupy.where(whole - below > 0.5, below + 1, below)
        exact = x1 / x2
        quotient = cupy.where(whole == 0, cupy.copysign(whole, exact), nearest)
        return (
            cupy.where(x2 == 0, exact, quotient),
            cupy.where(rest == 0, cupy.copysign(rest, x2), rest),
        )

    def division(part: int, of_others: Any) -> Any:
        def divide(x1: Any, x2: Any) -> Any:
            dtype = numpy.result_type(*(getattr(x, "dtype", x) for x in (x1, x2)))
            if dtype.kind != "f":
                return of_others(x1, x2)
            wide = numpy.promote_types(dtype, numpy.float32)  # NumPy rounds halves once
            found = divided(*(cupy.asarray(x, dtype=dtype).astype(wide) for x in (x1, x2)))
            return found[part].astype(dtype, copy=False)

        return divide

    ours = {
        "native": numpy.dtype,
        "pick": pick,
        "scatter_add": scatter_add,
        "scatter_set": scatter_set,
        # CuPy's are floor(x / y), 10 for 1 // 0.1, and what is then left, NaN for 1 % inf
        "floor_divide": division(0, cupy.floor_divide),
        "remainder": division(1, cupy.remainder),
        "argsort": argsort,
        "linalg": SimpleNamespace(diagonal=diagonal),
    }
    names = [name for name in dir(cupy) if not name.startswith("_")]
    return SimpleNamespace(**{**{name: getattr(cupy, name) for name in names}, **ours})


def load() -> Backend:
    """Return the backend record.

    Raises
    ------
    BackendError
        If CuPy is missing or broken, or finds no GPU.
    """
    cupy, count = _imported()

    def asarray(data: Any, dtype: Any, index: int) -> Any:
        if index >= count:
            known = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
            raise BackendError(f'there is no device "cuda:{index}"; this machine has {known}')
        with cupy.cuda.Device(index):
            return cupy.array(data, dtype=dtype, order="C")

    def on_device(arrays: Any) -> AbstractContextManager[Any]:
        numbers = sorted({a.device.id for a in arrays if isinstance(a, cupy.ndarray)})
        if not numbers:  # the cotangent of a move to the CPU
            return nullcontext()
        if len(numbers) > 1:
            raise BackendError(
                f"its tensors are on different devices, cuda:{numbers[0]} and cuda:{numbers[1]}; "
                f'move them to one with .to("cuda:{numbers[0]}")'
            )
        place: AbstractContextManager[Any] = cupy.cuda.Device(numbers[0])
        return place

    return Backend(
        name="cupy",
        array_type=cupy.ndarray,
        namespace=_namespace(cupy),
        asarray=asarray,
        to_numpy=cupy.asnumpy,
        device_of=lambda array: f"cuda:{array.device.id}",
        on_device=on_device,
    )
