"""Which processor Numba compiles for."""

from __future__ import annotations

from numba.core.registry import cpu_target


def processor() -> str:
    """Return the kind of machine, its CPU and the CPU's features, as Numba's own cache does.

    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count.
    """
    return " ".join(cpu_target.target_context.codegen().magic_tuple())
