"""Functions that others call by name: Numba does not compile them again into each of their callers.

The tiles of a product, for instance, are much code, and every loop has products. Such a function is
compiled for float32 or for float64, as soon as somebody needs it for that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numpy
from llvmlite import ir
from numba import cfunc, from_dtype, types
from numba.core.cgutils import get_or_insert_function
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing import Signature
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., None])


class _External:
    """A function of ``real`` and integers, and what was compiled of it."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.parameters = list(inspect.signature(function).parameters.values())
        self.compiled: dict[Any, Any] = {}

    def signature(self, real: Any) -> Signature:
        """Return the type of the function for ``real``, of whose type there is only one value."""
        found: Signature = types.void(real, *[types.int64] * (len(self.parameters) - 1))
        return found

    def name(self, real: Any) -> str:
        """Return the name under which it is called."""
        return f"minigrad_{self.function.__name__.strip('_')}_{real.dtype}"

    def provide(self, real: Any) -> None:
        """Compile the function for ``real``, or take it from the cache, unless it is there."""
        if real not in self.compiled:
            options = {"cache": True, "error_model": "numpy", "no_rewrites": True}
            make = cfunc(self.signature(real), **options)
            self.compiled[real] = make(self.function)
            llvm.add_symbol(self.name(real), self.compiled[real].address)


_externals: list[_External] = []
_under_way: set[Any] = set()  # for what the external functions are being compiled


def external(function: F) -> F:
    """Make a function of ``real`` and integers one that compiled functions call by name.

    What Numba takes from its cache needs it at once: so all that can be called is to be made ready with
    `provide` before.
    """
    made = _External(function)
    _externals.append(made)

    def define(typing_context: Any, real: Any, *integers: Any) -> tuple[Signature, Any]:
        _provide(real)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = [context.get_value_type(kind) for kind in signature.args]
            kind = ir.FunctionType(ir.VoidType(), kinds)
            builder.call(get_or_insert_function(builder.module, kind, made.name(real)), arguments)
            return context.get_dummy_value()

        return made.signature(real), generate

    # Numba looks at the names of the arguments.
    first = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    define.__signature__ = inspect.Signature([first, *made.parameters])  # type: ignore[attr-defined]
    found: F = intrinsic(define)
    return found


def provide(real: Any) -> None:
    """See to it that all external functions can be called for np.float32, or for np.float64."""
    _provide(types.NumberClass(from_dtype(numpy.dtype(real))))


def _provide(real: Any) -> None:
    with global_compiler_lock:
        # what is being compiled calls only what was defined, and made, before
        if real in _under_way:
            return
        _under_way.add(real)
        try:
            for function in _externals:
                function.provide(real)
        finally:
            _under_way.remove(real)
