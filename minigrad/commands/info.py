"""``python -m minigrad info``: what minigrad finds on this machine."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from minigrad.backends import backend_named
from minigrad.commands.cache import cache_folder, size
from minigrad.commands.openblas import openblas
from minigrad.commands.products import SIZE, hint, measure
from minigrad.errors import BackendError
from minigrad.threads import get_num_threads
from minigrad.versions import version_of

_INSTRUCTIONS = {64: "AVX-512", 32: "AVX2"}


def info() -> Iterator[str]:
    """Yield lines that tell versions, backends, processor, threads, cache, compiler and products.

    Raises
    ------
    ArgumentError
        If ``MINIGRAD_NUM_THREADS`` is no number of threads, or ``MINIGRAD_COMPILE`` not on or off.
    """
    from minigrad.kernels.cpu.simd.instruction_set import vector_bytes
    from minigrad.kernels.runtime.switch import switch

    yield from _versions()
    yield _line("backend numpy", "cpu")
    yield _line("backend cupy", _cupy())
    yield from _processor()
    chosen = bool(os.environ.get("MINIGRAD_NUM_THREADS", "").strip())
    source = "MINIGRAD_NUM_THREADS" if chosen else "the cores that this process may use"
    yield _line("threads", f"{get_num_threads()}, from {source}")
    yield _line("cache", _cache())
    if switch.is_off:
        yield _line("compiler", f"off, from {switch.reason}")
        return
    yield _line("compiler", "on")
    library = openblas()
    rates = measure(library)
    for rate in rates:
        yield _line(
            "products",
            f"{rate.threads}: NumPy {rate.numpy:.0f}, minigrad {rate.own:.0f} GFLOP/s "
            f"(float32, {SIZE} x {SIZE} x {SIZE})",
        )
    if advice := hint(rates, library, vector_bytes()):
        yield _line("hint", advice)


def _line(name: str, text: str) -> str:
    return f"{name:<14} {text}"


def _versions() -> Iterator[str]:
    yield _line("minigrad", version_of("minigrad"))
    yield _line("Python", f"{platform.python_version()}, {platform.platform()}")
    for name, package in (("NumPy", "numpy"), ("Numba", "numba"), ("llvmlite", "llvmlite")):
        yield _line(name, version_of(package))


def _cupy() -> str:
    """Return CuPy's version and devices, or why it cannot be used."""
    try:
        backend_named("cupy")
    except BackendError as error:
        return f"not usable: {error}"
    cupy = sys.modules["cupy"]
    devices = [
        f"cuda:{i} ({cupy.cuda.runtime.getDeviceProperties(i)['name'].decode()})"
        for i in range(cupy.cuda.runtime.getDeviceCount())
    ]
    return f"{cupy.__version__}, {', '.join(devices)}"


def _processor() -> Iterator[str]:
    from minigrad.kernels.cpu.processor import processor
    from minigrad.kernels.cpu.simd.instruction_set import vector_bytes, vector_registers
    from minigrad.kernels.cpu.simd.lanes import DOUBLE, SINGLE

    yield _line("processor", f"{_model()}, compiled for as {processor().split()[1]}")
    neon = platform.machine() in {"arm64", "aarch64"}
    instructions = _INSTRUCTIONS.get(vector_bytes(), "NEON" if neon else "SSE")
    yield _line(
        "vectors",
        f"{instructions}: {vector_registers()} registers of {SINGLE.lanes} float32 or {DOUBLE.lanes} "
        "float64",
    )


def _model() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cache() -> str:
    from minigrad.kernels.jit.cache_folder import obstacle

    folder = cache_folder()
    error = obstacle(folder)
    if error is not None:
        return (
            f"{folder}, cannot be written ({error}); what is not there is kept in a folder for "
            "temporary files: set MINIGRAD_CACHE_DIR to a folder that can be written"
        )
    return f"{folder}, {size(folder) / 1e6:.1f} MB, can be written"
