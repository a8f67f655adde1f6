"""Run the loop of a plan on the CPU: generated code that Numba compiles, on a team of threads."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy

from minigrad.backends import backend_named
from minigrad.backends.numpy_ import join_by
from minigrad.kernels.cpu.gemm.matmul import matmul
from minigrad.kernels.cpu.ragged.copies import joined_rows, take_rows
from minigrad.kernels.cpu.ragged.packed_sequences import packed_rows
from minigrad.kernels.plan.ir import Buffer, LoopPlan
from minigrad.kernels.runtime.layout import Layout
from minigrad.kernels.targets.frames import bytes_at, code_of
from minigrad.kernels.targets.runs import Runs
from minigrad.threads import get_num_threads

__all__ = [
    "bind",
    "blocks",
    "code_of",
    "kept_rows",
    "namespace",
    "packed_rows",
    "take_rows",
]

# Fewer rows than this for each thread: threads share columns, so that a product has more rows. Matrices
# that do not fit into a core's own cache are worth it for more rows, since each thread reads only a part.
_FEW_ROWS, _FEW_ROWS_OF_LARGE = 8, 12
_LARGE = 1 << 21  # bytes

join_by(joined_rows)
# What is outside of a loop is computed with our kernels, which are there, whatever the size.
namespace = SimpleNamespace(**{**vars(backend_named("numpy").namespace), "matmul": matmul})


def blocks(plan: LoopPlan, count: int) -> int:
    """Return into how many blocks the sequences are divided: 1 if the threads share columns."""
    threads = get_num_threads()
    if plan.columns is not None:
        is_large = code_of(plan).matrix_bytes > _LARGE
        if count < (_FEW_ROWS_OF_LARGE if is_large else _FEW_ROWS) * threads:
            return 1
    return max(1, min(threads, count))


def bind(plan: LoopPlan, layout: Layout, reverse: bool, backward: bool) -> Runs:
    """Return the runs of a loop with layouts like this; the second time they are cached."""
    key = layout.kind, reverse, backward, get_num_threads()
    code = code_of(plan)
    found: Runs = code.runs.found(key, lambda: Runs(code, reverse, backward))
    return found


def kept_rows(
    plan: LoopPlan, layout: Layout, kept: Any, buffers: Sequence[Buffer]
) -> dict[Buffer, Any]:
    """Return what was kept of buffers; see `minigrad.kernels.runtime.executable.Target`."""
    code, steps, size = code_of(plan), (layout.steps + 1, layout.count), (layout.size,)
    (places, _), found = code.kept(layout), {}
    for buffer in buffers:
        shape = *(steps if buffer.kind == "history" else size), buffer.width
        at = bytes_at(places[buffer], layout)
        found[buffer] = numpy.ndarray(shape, code.dtype, kept, at)
    return found
