"""How the functions of this folder are compiled: by Numba, or written in LLVM's instructions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit, types
from numba.core.typing import Signature
from numba.extending import intrinsic

from minigrad.kernels.cpu.simd.vector_instructions import INT64, VectorBuilder

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of numbers at its first call; keep the code on disk.

    A first argument ``real`` is np.float32 or np.float64 itself: it chooses the code and costs nothing.
    """
    return njit(cache=True, error_model="numpy", nogil=True)(function)


def inlined(function: F) -> F:
    """Make a function a part of each compiled function that calls it."""
    return njit(inline="always")(function)


def constant(value: Callable[[VectorBuilder], int]) -> Callable[[Any], int]:
    """Make a function of ``real`` that compiles to a number."""

    def define(typing_context: Any, real: Any) -> tuple[Signature, Any]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return INT64(value(VectorBuilder(builder, context.get_value_type(real.dtype))))

        return types.int64(real), generate

    return intrinsic(define)


def instructions(write: Callable[..., None]) -> Callable[..., None]:
    """Make a function of ``real`` and integers of one that writes instructions.

    ``write`` gets a `VectorBuilder` in place of ``real`` and, for each integer, its LLVM value.
    """

    def define(typing_context: Any, real: Any, *integers: Any) -> tuple[Signature, Any]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            write(VectorBuilder(builder, context.get_value_type(real.dtype)), *arguments[1:])
            return context.get_dummy_value()

        return types.void(real, *[types.int64] * len(integers)), generate

    # Numba looks at the names of the arguments.
    first, real, *_ = inspect.signature(define).parameters.values()
    integers = list(inspect.signature(write).parameters.values())[1:]
    define.__signature__ = inspect.Signature([first, real, *integers])  # type: ignore[attr-defined]
    return intrinsic(define)
