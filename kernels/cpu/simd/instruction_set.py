"""How wide the vector registers are, and how many there are, on the CPU that Numba compiles for.

LLVM itself is asked: it translates one addition, and the registers that it names tell the width.
So Numba's own settings (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES) decide, whatever they are.
"""

from __future__ import annotations

import platform
from functools import cache

import llvmlite.binding as llvm
from numba import config
from numba.core.codegen import get_host_cpu_features, initialize_llvm

_ADDITION = """
define void @add(ptr %p) {
  %x = load <16 x float>, ptr %p
  %y = fadd <16 x float> %x, %x
  store <16 x float> %y, ptr %p
  ret void
}
"""
_BYTES = {"zmm": 64, "ymm": 32}
_NEON_OR_SSE = 16


@cache
def vector_bytes() -> int:
    """Return the size of a vector register: 64 (AVX-512), 32 (AVX2) or 16 (NEON, SSE)."""
    initialize_llvm()
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=config.CPU_NAME or llvm.get_host_cpu_name(), features=features
    )
    assembly = machine.emit_assembly(llvm.parse_assembly(_ADDITION))
    return next((size for name, size in _BYTES.items() if name in assembly), _NEON_OR_SSE)


@cache
def vector_registers() -> int:
    """Return the number of vector registers."""
    many = vector_bytes() == _BYTES["zmm"] or platform.machine() in {"arm64", "aarch64"}
    return 32 if many else 16
