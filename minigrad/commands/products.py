"""How fast products are, NumPy's and our own, and what to do if NumPy's are slow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy

from minigrad.commands.openblas import OpenBlas
from minigrad.threads import get_num_threads, set_num_threads

SIZE = 512
_TURNS = 9
_SLOW = 0.7  # of the rate of our own
_NARROW = ("Haswell", "Zen", "Excavator", "Sandybridge", "Nehalem", "Prescott")  # no AVX-512


@dataclass(frozen=True)
class Rates:
    """Billions of operations in a second.

    Attributes
    ----------
    threads : str
        How many.
    numpy, own : float
    """

    threads: str
    numpy: float
    own: float


def measure(library: OpenBlas | None) -> list[Rates]:
    """Return the rates of products of two float32 matrices of SIZE x SIZE, in a fraction of a second.

    With one thread, if NumPy can be told so, and with all.
    """
    from minigrad.kernels.cpu.gemm.matmul import matmul

    a, b = (numpy.random.default_rng(i).random((SIZE, SIZE), numpy.float32) for i in range(2))
    threads, found = get_num_threads(), []
    if library is not None and threads > 1:
        set_num_threads(1)
        try:
            with library.one_thread():
                found.append(_rates("1 thread", a, b, matmul))
        finally:
            set_num_threads(threads)
    with nullcontext() if threads > 1 or library is None else library.one_thread():
        found.append(_rates(f"{threads} thread{'s' * (threads > 1)}", a, b, matmul))
    return found


def _rates(threads: str, a: Any, b: Any, own: Callable[[Any, Any], Any]) -> Rates:
    """Return the best of a few turns each, one after the other."""
    products = (numpy.matmul, own)
    turns = [[_seconds(product, a, b) for product in products] for _ in range(_TURNS)]
    best = (min(turn[i] for turn in turns[1:]) for i in range(2))  # the first may compile
    return Rates(threads, *(2e-9 * SIZE**3 / seconds for seconds in best))


def _seconds(product: Callable[[Any, Any], Any], a: Any, b: Any) -> float:
    start = perf_counter()
    product(a, b)
    return perf_counter() - start


def hint(rates: list[Rates], library: OpenBlas | None, vector_bytes: int) -> str | None:
    """Return what to do about slow products of NumPy, or None.

    Parameters
    ----------
    rates : list of Rates
    library : OpenBlas or None
    vector_bytes : int
        Of the widest vectors of the processor.
    """
    share = rates[0].numpy / rates[0].own  # one thread is disturbed least by what else is running
    if share >= _SLOW:
        return None
    found = f"NumPy's products run at {share:.0%} of the speed of minigrad's own. "
    if library is None:
        return (
            f"{found}They are not those of the OpenBLAS in NumPy's wheels: try pip install "
            "--force-reinstall numpy, or the NumPy of conda-forge"
        )
    found += f"OpenBLAS computes them with its kernel for {library.kernel}"
    if vector_bytes == 64 and library.kernel in _NARROW:
        return (
            f"{found}, although this processor has AVX-512: set the environment variable "
            "OPENBLAS_CORETYPE=SkylakeX before NumPy is imported"
        )
    return (
        f"{found}; the environment variable OPENBLAS_CORETYPE, set before NumPy is imported, chooses "
        "another"
    )
