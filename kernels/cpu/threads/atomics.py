"""Atomic access to 64-bit integers at an address, and how a thread waits for another.

Every access is sequentially consistent. They are rare (a few for each phase, two for each barrier),
so the weaker orders would gain nothing.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.typing import Signature
from numba.extending import intrinsic

_INT64 = ir.IntType(64)
_ALIGNMENT = 8
# On ARM the barrier "isb" holds a core back about as long as "pause" does; "yield" does nothing.
_FULL_SYSTEM = 15
_ARM = ("llvm.aarch64.isb", [ir.IntType(32)(_FULL_SYSTEM)])
_X86: tuple[str, list[Any]] = ("llvm.x86.sse2.pause", [])
_PAUSES = {
    "x86_64": _X86,
    "AMD64": _X86,
    "aarch64": _ARM,
    "arm64": _ARM,
}

# Waiting: a core that pauses reacts at once, but takes its time from a thread that has no core.
PAUSES_BEFORE_YIELD = 1000

_yield_to_others = types.ExternalFunction("sched_yield", types.int32())


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _INT64.as_pointer())


@intrinsic
def atomic_load(typing_context: Any, address: Any) -> tuple[Signature, Any]:
    """Return the integer at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(
            _pointer(builder, arguments[0]), "seq_cst", _ALIGNMENT, typ=_INT64
        )

    return types.int64(types.int64), generate


@intrinsic
def atomic_store(typing_context: Any, address: Any, value: Any) -> tuple[Signature, Any]:
    """Write ``value`` at ``address``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, value = arguments
        builder.store_atomic(value, _pointer(builder, address), "seq_cst", _ALIGNMENT)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def atomic_add(typing_context: Any, address: Any, value: Any) -> tuple[Signature, Any]:
    """Add ``value`` to the integer at ``address``, and return what it was before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, value = arguments
        return builder.atomic_rmw("add", _pointer(builder, address), value, "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def atomic_replace(
    typing_context: Any, address: Any, expected: Any, value: Any
) -> tuple[Signature, Any]:
    """Write ``value`` at ``address`` if ``expected`` is there; say whether it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, expected, value = arguments
        pair = builder.cmpxchg(_pointer(builder, address), expected, value, "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def pause(typing_context: Any) -> tuple[Signature, Any]:
    """Let the core rest for a moment, some tens of nanoseconds, while a thread waits for another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine() in _PAUSES:
            name, operands = _PAUSES[platform.machine()]
            shape = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, shape, name), operands)
        return context.get_dummy_value()

    return types.void(), generate


@njit(types.void(types.int64), cache=True, nogil=True, error_model="numpy")
def wait_a_moment(count: int) -> None:
    """Wait for the ``count``-th time in a row: pause at first, then give the core to others."""
    if count < PAUSES_BEFORE_YIELD:
        pause()
    else:
        _yield_to_others()
