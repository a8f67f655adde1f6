"""What the runs of a compiled loop have in common: its code, and where its buffers lie in memory.

Sequences of other lengths have another number of rows, in each batch. So places are linear in that
number, and a frame fits all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy
from numba.core.errors import NumbaError

from minigrad.errors import KernelError
from minigrad.kernels.cpu.gemm.weight_gradients import is_narrow, scratch_size
from minigrad.kernels.cpu.simd.lanes import DOUBLE, SINGLE
from minigrad.kernels.cpu.workspaces import Workspace
from minigrad.kernels.emit.arguments import (
    NUMBERS,
    collected,
    multiplied,
    slots,
    spread,
)
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.jit.source_cache import load_source
from minigrad.kernels.plan.ir import Buffer, LoopPlan
from minigrad.kernels.runtime.layout import CHUNK_ROWS, Layout
from minigrad.recent import Recent
from minigrad.reuse import address_of

_LANES = {numpy.dtype("float32"): SINGLE.lanes, numpy.dtype("float64"): DOUBLE.lanes}

_LINE = 64  # bytes: vectors that lie across two cache lines are slow
_LINE_ROWS = 16  # so many rows of any width, of float32, end with a line
_GAP = 9  # lines
# About how many multiplications take as long as an element of a sweep.
_SWEEP_COST = 20
_MOST = 128  # kinds of layouts that are known
_TABLES, _PORTIONS, _BOUNDS, _PRESENT, _FRESH, MEETING, _SCRATCH, PACKING, _ORDER = map(
    NUMBERS.index,
    "tables portion_tables bounds present fresh meeting scratch packing order".split(),
)
IN_KEPT, IN_WORKING = 2, 3  # columns of `Frame.basis`

# A number of bytes: a constant, and how many there are for each row.
Linear = tuple[int, int]


class State(NamedTuple):
    """Where a state begins and ends, in bytes, and the initial one of fresh rows, if there are any."""

    is_history: bool
    shape: tuple[int, int]
    start: int
    end: int
    first: int | None


class Code:
    """The compiled loop of a plan, and the positions of its arguments.

    Attributes
    ----------
    entry : int
        The address of the function.
    positions : dict
        Of `minigrad.kernels.emit.arguments.slots`.
    read, vectors : list of tuple
        The variables, with the position of the address, and of the row stride if there is one.
    batch : dict
        The positions of the address and the row stride in the batch, by what is read there.
    written : list of tuple
        What the loop writes in the order of the batch, to memory of its own: the variables, with the
        position of the address and the width.
    sums : list of tuple
        The results, with the position, the shape, and whether they are to be transposed then.
    matrix_bytes : int
        Of all matrices together.
    row_cost : int
        About how many multiplications a row of a step takes as long as.
    runs : dict
        Its `minigrad.kernels.targets.runs.Runs`, for each kind of layout.
    """

    def __init__(self, plan: LoopPlan) -> None:
        self.plan, self.dtype = plan, plan.dtype
        source = numba_source(plan, _LANES[plan.dtype])
        self.entry = _compiled(source.text)
        self.widths, self.matrices = source.widths, multiplied(plan)
        first = len(NUMBERS) + len(self.widths)
        self.positions = {slot: first + i for i, slot in enumerate(slots(plan))}
        self.read = [
            (v, self.positions[b], self.positions["stride", b]) for v, b in plan.read.items()
        ]
        self.vectors = [(v, self.positions[b]) for v, b in plan.fixed.items() if b.kind == "vector"]
        self.batch = {
            v: (self.positions["batch", b], self.positions["batch_stride", b])
            for v, b in plan.read.items()
            if plan.broken
        }
        if plan.broken:
            written = {v: (self.positions["batch", b], b) for v, b in spread(plan).items()}
        else:
            written = {
                v: (self.positions[b], b) for v, b in plan.stored.items() if v in plan.given_away
            }
        self.written = [(v, position, b.width) for v, (position, b) in written.items()]
        self.sums = []
        for s in plan.sums:
            turned = s.inner > 1 and is_narrow(s.inner)
            shape = (s.inner, s.outer) if turned else s.result.shape
            self.sums.append((s.result, self.positions[s], shape, turned))
        products = [p for phase in plan.phases for p in phase.products]
        self.in_chunks = bool(plan.sums) or any(p.ahead or p.behind for p in products)
        self.matrix_bytes = sum(p.inner * p.width for p in products) * self.dtype.itemsize
        self.row_cost = (
            sum(p.inner * p.width for p in products)
            + sum(s.outer * s.inner for s in plan.sums)
            + sum(_SWEEP_COST * s.width for phase in plan.phases for s in phase.sweeps.values())
        )
        self.runs: Recent[Any, Any] = Recent(_MOST)
        self._kept: Recent[int, tuple[dict[Buffer, Linear], Linear]] = Recent(_MOST)

    def kept(self, layout: Layout) -> tuple[dict[Buffer, Linear], Linear]:
        """Return where the buffers lie that are kept for the backward pass, and how large it all is."""
        before, item = (layout.steps + 1) * layout.count, self.dtype.itemsize

        def places() -> tuple[dict[Buffer, Linear], Linear]:
            return _side_by_side(
                {
                    b: (before * b.width * item, 0) if b.kind == "history" else (0, b.width * item)
                    for b in self.plan.kept
                }
            )

        return self._kept.found(before, places)


def code_of(plan: LoopPlan) -> Code:
    """Return the compiled loop of a plan; the second time it is cached."""
    code: Code | None = plan.compiled.get(__name__)
    if code is None:
        code = plan.compiled[__name__] = Code(plan)
    return code


def _compiled(text: str) -> int:
    """Return the address of the function ``loop`` of a generated source.

    Raises
    ------
    KernelError
        If Numba refuses it.
    """
    try:
        found: int = load_source(text, "loop").loop.address
    except NumbaError as error:
        raise KernelError(
            f"Numba {numba.__version__} does not compile what minigrad generated "
            f"({' '.join(str(error).split())}); that is a mistake of minigrad: please report it. "
            "MINIGRAD_COMPILE=0 in the environment runs everything without the compiler"
        ) from error
    return found


class Frame:
    """What runs over so many steps and sequences have in common.

    Attributes
    ----------
    basis : numpy.ndarray
        Of the arguments of the compiled function, which are ``basis @ terms``: numbers, and offsets in
        the place of addresses; what is to be added for each row; and 1 for what is in the memory that is
        kept, and in that which is borrowed for the run.
    kept, working : dict
        Where the buffers lie that are kept for the backward pass, and those that are borrowed.
    tables, bounds : numpy.ndarray
        Of the blocks and chunks of a whole layout: their addresses are among the arguments.
    states : list of State
    shares, portions : int
        Of columns; of sequences, see `minigrad.kernels.runtime.layout.Layout`.
    region : int
        How many rows a chunk has at most.
    apart : bool
        Whether threads take the sums over the rows of their portions by themselves.
    scratch_bytes : int
        Scratch memory of a thread for sums.
    matrices : list of tuple
        Of each matrix: its variable, the positions of its address and of its source among the arguments,
        how many bytes it has, and into how many parts it is divided.
    """

    def __init__(
        self, code: Code, layout: Layout, reverse: bool, backward: bool, threads: int
    ) -> None:
        plan, count = code.plan, layout.count
        self.shares = threads if len(layout.tables) == 1 and plan.columns is not None else 1
        whole = layout.index is None
        self.portions = 1 if whole else len(layout.portions)
        self.apart = not whole and threads <= self.portions == len(layout.tables)
        self.region = max(CHUNK_ROWS, count)  # those of one step at least
        scratch = max((scratch_size(code.dtype.type, s.inner) for s in plan.sums), default=0)
        self.scratch_bytes = -(-scratch * code.dtype.itemsize // _LINE) * _LINE  # of a thread

        self.kept, self._kept_bytes = code.kept(layout)
        sizes = self._sizes(code, layout, threads)
        self.working, self._working_bytes = _side_by_side(sizes)
        self._set_arguments(code, layout, reverse, backward)
        self.states = [self._state(code, layout, reverse, buffer) for buffer in plan.states]
        self.matrices = [
            (v, code.positions[b], code.positions["from", b], sizes[b][0], self._parts(code, b))
            for v, b in plan.fixed.items()
            if b.kind == "matrix"
        ]

    def _parts(self, code: Code, matrix: Buffer) -> int:
        """Return into how many parts the columns of a matrix fall: one, unless threads share them."""
        columns = code.plan.columns
        return columns.parts(code.matrices[matrix]) if columns and self.shares > 1 else 1

    def _sizes(self, code: Code, layout: Layout, threads: int) -> dict[Any, Linear]:
        """Return how many bytes there are of each buffer in the memory that is borrowed."""
        plan, item, count = code.plan, code.dtype.itemsize, layout.count
        whole = layout.index is None
        regions = self.region * (1 if whole else threads)
        sizes: dict[Any, Linear] = {"sums": (threads * self.scratch_bytes, 0)}
        for buffer in plan.scratch:
            there = regions if buffer.kind == "ahead" else count
            sizes[buffer] = (there * buffer.width * item, 0)
        for buffer in plan.states:
            if buffer.kind == "state":
                copies = 3 if layout.fresh is None else 4
                sizes[buffer] = (copies * count * buffer.width * item, 0)
        line = _LINE // item
        for buffer, product in code.matrices.items():
            # the columns of each part are rounded up to whole vectors, however many share them
            parts = plan.columns.parts(product) if plan.columns else 1
            width = parts * (-(-buffer.width // parts // line) * line)
            sizes[buffer] = (product.inner * width * item, 0)
        if not whole:
            for buffer in collected(plan):
                sizes[buffer] = (0, buffer.width * item)
        for var, buffer in plan.stored.items():
            if buffer.kind == "passing" or (var in plan.given_away and not whole):
                size = buffer.width * item
                in_chunk = buffer.kind == "passing" and (whole or self.apart)
                in_chunk |= buffer in plan.leaving
                sizes[buffer] = (regions * size, 0) if in_chunk else (0, size)
        if not whole:
            for s in plan.sums:
                sizes["parts", s] = (self.portions * s.outer * s.inner * item, 0)
        return sizes

    def _set_arguments(self, code: Code, layout: Layout, reverse: bool, backward: bool) -> None:
        """Set the arguments, as far as they stay; the others come with a run."""
        whole, first = layout.index is None, len(NUMBERS)
        numbers = {
            "steps": layout.steps,
            "rows": layout.count,
            "reverse": reverse,
            "backward": backward,
            "blocks": len(layout.tables),
            "shares": self.shares,
            "region": self.region,
            "portions": self.portions,
            "apart": self.apart,
            "scratch": self.working["sums"][0],
            "scratch_bytes": self.scratch_bytes,
        }
        self.basis = numpy.zeros((first + len(code.widths) + len(code.positions), 4), numpy.int64)
        for name, value in numbers.items():
            self.basis[NUMBERS.index(name), 0] = value
        self.basis[first : first + len(code.widths), 0] = code.widths
        for buffer in code.plan.read.values():
            self.basis[code.positions["stride", buffer], 0] = buffer.width
        self.basis[_SCRATCH, IN_WORKING] = 1
        for places, inside in ((self.kept, IN_KEPT), (self.working, IN_WORKING)):
            for slot, at in code.positions.items():
                if slot in places:
                    self.basis[at, :2] = places[slot]
                    self.basis[at, inside] = 1
        if whole:  # the same in all runs
            chunk = CHUNK_ROWS // max(layout.count, 1) if code.in_chunks else layout.steps
            starts = range(0, layout.steps, max(1, chunk))
            self.tables = layout.tables
            self.bounds = numpy.array([len(starts), *starts, layout.steps])
            self.basis[_TABLES, 0] = address_of(self.tables)
            self.basis[_BOUNDS, 0] = address_of(self.bounds)

    def _state(self, code: Code, layout: Layout, reverse: bool, buffer: Buffer) -> State:
        """Return where a state lies: before the loop, and behind it."""
        shape = layout.count, buffer.width
        size = layout.count * buffer.width * code.dtype.itemsize
        if buffer.kind == "history":
            start = self.kept[buffer][0]
            first, last = (layout.steps, 0) if reverse else (0, layout.steps)
            return State(True, shape, start + first * size, start + last * size, None)
        start = self.working[buffer][0]
        parked, begun = start + 2 * size, start + 3 * size
        return State(False, shape, parked, parked, None if layout.fresh is None else begun)

    def sizes(self, layout: Layout) -> tuple[int, int]:
        """Return how many bytes a run keeps, and how many it borrows."""
        rows = whole_lines(layout.size)
        (kept, kept_row), (working, working_row) = self._kept_bytes, self._working_bytes
        return kept + kept_row * rows, working + working_row * rows

    def arguments_for(self, layout: Layout, kept: int, working: Workspace) -> Any:
        """Return the arguments of a run, for what is kept at an address."""
        arguments = self.basis.dot((1, whole_lines(layout.size), kept, working.address))
        arguments[MEETING] = working.meeting
        if layout.index is not None:
            arguments[_TABLES] = address_of(layout.tables)
            arguments[_PORTIONS] = address_of(layout.portions)
            arguments[_BOUNDS] = address_of(layout.bounds)
            arguments[_ORDER] = address_of(layout.order)
        if layout.present is not None:
            arguments[_PRESENT] = address_of(layout.present)
        if layout.fresh is not None:
            arguments[_FRESH] = address_of(layout.fresh)
        return arguments

    def places(
        self, kind: Any, kept: Any, working: Workspace
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return where states begin and end, and what fresh rows begin with, or hand over backwards."""
        starts, ends, firsts = [], [], []
        for state in self.states:
            memory, skipped = (kept, 0) if state.is_history else (working.memory, working.skipped)
            starts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.start))
            ends.append(numpy.ndarray(state.shape, kind, memory, skipped + state.end))
            if state.first is not None:
                firsts.append(numpy.ndarray(state.shape, kind, memory, skipped + state.first))
        return starts, ends, firsts


def whole_lines(rows: int) -> int:
    """Return a number of rows that, however wide they are, end with a cache line."""
    return -(-rows // _LINE_ROWS) * _LINE_ROWS


def bytes_at(place: Linear, layout: Layout) -> int:
    """Return a number of bytes, for the rows of a layout."""
    return place[0] + place[1] * whole_lines(layout.size)


def _side_by_side(sizes: Mapping[Any, Linear]) -> tuple[dict[Any, Linear], Linear]:
    """Return where buffers of so many bytes begin, each on a cache line, and how many there are.

    Between them some lines are left free: buffers whose distance is a multiple of a page get into each
    other's way in the first-level cache.
    """
    total, per_row, starts = 0, 0, {}
    for name, (size, row) in sizes.items():
        starts[name] = (total, per_row)
        total += (-(-size // _LINE) + _GAP) * _LINE
        per_row += row
    return starts, (total, per_row)
