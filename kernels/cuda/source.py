"""A plan as CUDA text: a kernel for each sweep of a step. Products are left to a library.

Nothing in a kernel depends on the time step or on N: whoever launches it gives it addresses of the rows
of this step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minigrad.dtypes import bool_
from minigrad.graph import Var
from minigrad.kernels.cuda.functions import REALS, assignment, definitions, expression
from minigrad.kernels.emit.dialect import LoweredSweep, lowered
from minigrad.kernels.plan.ir import Buffer, LoopPlan, Place, Sweep

Part = Literal["", "next", "first"]

_BLOCK = 256  # threads, at most
_WARP = 32
# What a reduction begins with, and what takes one more value in.
_REDUCTIONS = {
    "sum": (0.0, "add"),
    "max": (-float("inf"), "maximum"),
    "min": (float("inf"), "minimum"),
}
_SIGNATURE = """\
extern "C" __global__ void {name}(
    {parameters})
{{
"""
_ELEMENT = """\
    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long row = element / {width};
    const int column = element % {width};
"""
_ROW = """\
    __shared__ real shared[{threads}];
    const long long row = blockIdx.x;
"""
_TREE = """\
__device__ inline real block_{kind}(real value, real *shared)
{{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {{
        if (threadIdx.x < half) {{
            const real other = shared[threadIdx.x + half];
            shared[threadIdx.x] = {joined};
        }}
        __syncthreads();
    }}
    return shared[threadIdx.x]; // in the first thread that of the block
}}
"""


@dataclass(frozen=True)
class Argument:
    """An address that a kernel takes: of the first row of this step in a buffer.

    Attributes
    ----------
    buffer : Buffer
    part : {"", "next", "first"}
        Of a state: before the step, after it, or where fresh rows begin (in a backward pass: where
        their cotangents go).
    """

    buffer: Buffer
    part: Part = ""

    @property
    def name(self) -> str:
        """The name of the parameter."""
        return f"{self.buffer.name}_{self.part}" if self.part else self.buffer.name


@dataclass(frozen=True)
class Kernel:
    """A kernel of the text, and how to launch it.

    Its parameters are the number of rows (long long), the flags of the rows (bool, one for each; null
    if there are none), and addresses.

    Attributes
    ----------
    name : str
    arguments : tuple of Argument
        Whose addresses.
    threads : int
        Of a block.
    width : int
        The elements of a row.
    by_rows : bool
        Whether a block takes a row, instead of each thread one element.
    """

    name: str
    arguments: tuple[Argument, ...]
    threads: int
    width: int
    by_rows: bool

    def blocks(self, rows: int) -> int:
        """Return the number of blocks for a number of rows."""
        return rows if self.by_rows else -(-rows * self.width // self.threads)


@dataclass(frozen=True)
class CudaSource:
    """The text of all kernels of a loop, and what they are for.

    Attributes
    ----------
    text : str
        A translation unit without headers.
    refresh : Kernel
        Gives fresh rows their initial states, before a step forwards. Flags: fresh rows.
    phases : tuple of tuple of Kernel
        The sweeps of each phase of the plan, behind its products. Flags: present rows, or null.
    carry : Kernel
        Carries the states of absent rows, and stores zeros for them, behind a step. Flags: present
        rows.
    release : Kernel
        Hands the cotangents of fresh rows to the initial states, behind a step backwards. Flags: fresh
        rows.
    """

    text: str
    refresh: Kernel
    phases: tuple[tuple[Kernel, ...], ...]
    carry: Kernel
    release: Kernel


def cuda_source(plan: LoopPlan) -> CudaSource:
    """Return the kernels of a plan.

    Rows that are absent are not computed. Where a sweep has reductions a block takes a row: each
    thread takes every so many columns, and then the threads are joined in pairs.

    Parameters
    ----------
    plan : LoopPlan
        Of float32 or float64.

    Raises
    ------
    minigrad.kernels.passes.legalize.Refusal
        If an op of a sweep has no text.
    """
    return _Writer(plan).source()


class _Writer:
    def __init__(self, plan: LoopPlan) -> None:
        self.plan = plan
        self.real = REALS[plan.dtype.name]
        self.functions: set[str] = set()
        self.reductions: set[str] = set()
        self.texts: list[str] = []
        self.written: dict[Argument, bool] = {}  # by the kernel that is being made, in order

    def source(self) -> CudaSource:
        """Return the whole text."""
        plan = self.plan
        refresh = self.for_rows("refresh", "!flags[row]", self.refreshed)
        phases = tuple(
            tuple(self.sweep(f"phase{i}_width{s.width}", s) for s in phase.sweeps.values())
            for i, phase in enumerate(plan.phases)
        )
        carry = self.for_rows("carry", "flags[row]", self.carried)
        release = self.for_rows("release", "!flags[row]", self.released)
        helpers = definitions(self.functions, self.real)
        for kind in sorted(self.reductions):
            joined = expression(_REDUCTIONS[kind][1], ["shared[threadIdx.x]", "other"], self.real)
            helpers.append(_TREE.format(kind=kind, joined=joined))
        head = [f"typedef {self.real.name} real;\n"]
        if helpers:
            head.append("namespace minigrad {\n\n" + "\n".join(helpers) + "\n}\n")
        return CudaSource("\n".join([*head, *self.texts]), refresh, phases, carry, release)

    # memory

    def at(
        self, buffer: Buffer, column: str, *, offset: int = 0, part: Part = "", write: bool = False
    ) -> str:
        """Return an element of the current row, and note that the kernel takes its buffer."""
        argument = Argument(buffer, part)
        self.written[argument] = self.written.get(argument, False) or write
        terms = [] if buffer.kind == "vector" else [f"row * {buffer.width}"]
        terms += [str(offset)] * (offset > 0) + [column] * (column != "0" or not terms)
        return f"{argument.name}[{' + '.join(terms)}]"

    def place(self, place: Place, column: str, write: bool = False) -> str:
        """Return an element of a place in the current row."""
        part: Part = "next" if place.next else ""
        return self.at(place.buffer, column, offset=place.offset, part=part, write=write)

    def kernel(self, name: str, threads: int, width: int, by_rows: bool, body: str) -> Kernel:
        """Add the text of a kernel."""
        parameters = ["long long rows, const bool *flags"]
        for argument, is_written in self.written.items():
            parameters.append(f"{'' if is_written else 'const '}real *{argument.name}")
        head = _SIGNATURE.format(name=name, parameters=",\n    ".join(parameters))
        self.texts.append(f"{head}{body}}}\n")
        made = Kernel(name, tuple(self.written), threads, width, by_rows)
        self.written = {}
        return made

    # absent and fresh rows

    def for_rows(self, name: str, skip: str, lines: Callable[[], list[str]]) -> Kernel:
        """Add a kernel that runs ``lines`` for each column of the rows that are not skipped."""
        plan = self.plan
        width = max(b.width for b in (*plan.states, *plan.stored.values()))
        head = _ELEMENT.format(width=width) + f"    if (row >= rows || {skip}) return;\n"
        body = "".join(f"    {line}\n" for line in lines())
        return self.kernel(name, _BLOCK, width, False, head + body)

    def refreshed(self) -> list[str]:
        """Return lines that give a fresh row its initial states."""
        return [
            f"if (column < {b.width}) {self.at(b, 'column', write=True)} = "
            f"{self.at(b, 'column', part='first')};"
            for b in self.plan.states
        ]

    def carried(self) -> list[str]:
        """Return lines that carry the states of an absent row, and store zeros for it."""
        lines = [
            f"if (column < {b.width}) {self.at(b, 'column', part='next', write=True)} = "
            f"{self.at(b, 'column')};"
            for b in self.plan.states
        ]
        zero = self.real.number(0.0)
        return lines + [
            f"if (column < {b.width}) {self.at(b, 'column', write=True)} = {zero};"
            for b in self.plan.stored.values()
        ]

    def released(self) -> list[str]:
        """Return lines that hand the cotangents of a fresh row to the initial states."""
        lines = []
        for b in self.plan.states:
            first = self.at(b, "column", part="first", write=True)
            following = self.at(b, "column", part="next", write=True)
            lines += [
                f"if (column < {b.width}) {first} += {following};",
                f"if (column < {b.width}) {following} = {self.real.number(0.0)};",
            ]
        return lines

    # sweeps

    def sweep(self, name: str, sweep: Sweep) -> Kernel:
        """Add the kernel of a sweep."""
        code = lowered(sweep)
        once = [self.load(v, code, p, "0") for v, p in code.for_rows.items()]
        each = [self.load(v, code, p, "column") for v, p in code.for_columns.items()]
        each += [assignment(call, self.real) for call in code.calls]
        self.functions.update(call.function for call in code.calls)
        stores = [
            f"{self.place(place, 'column', write=True)} = {self.value(value, code)};"
            for value, place in sweep.stores
        ]
        skip = "    if (row >= rows || (flags && !flags[row])) return;\n"
        if not sweep.reductions:
            head = _ELEMENT.format(width=sweep.width) + skip
            body = _indented([*once, *each, *stores], 1)
            return self.kernel(name, _BLOCK, sweep.width, False, head + body)
        begin, joins, end = [], [], []
        for i, (node, place) in enumerate(sweep.reductions):
            kind = node.op.name
            start, function = _REDUCTIONS[kind]
            self.reductions.add(kind)
            self.functions.add(function)
            begin.append(f"real total{i} = {self.real.number(start)};")
            value = code.names[node.inputs[0]]
            joins.append(f"total{i} = {expression(function, [f'total{i}', value], self.real)};")
            end.append(f"total{i} = minigrad::block_{kind}(total{i}, shared);")
            end.append(f"if (threadIdx.x == 0) {self.place(place, '0', write=True)} = total{i};")
        threads = min(_BLOCK, max(_WARP, 1 << (sweep.width - 1).bit_length()))
        loop = f"for (int column = threadIdx.x; column < {sweep.width}; column += blockDim.x) {{"
        body = _indented([*once, *begin, loop], 1) + _indented([*each, *joins, *stores], 2)
        head = _ROW.format(threads=threads) + skip
        return self.kernel(
            name, threads, sweep.width, True, head + body + _indented(["}", *end], 1)
        )

    def load(self, var: Var, code: LoweredSweep, place: Place, column: str) -> str:
        """Return the line that loads a value; truth values lie in memory as numbers."""
        name, value = code.names[var], self.place(place, column)
        return (
            f"const bool {name} = {value} != 0;"
            if var.dtype == bool_
            else f"const real {name} = {value};"
        )

    def value(self, value: Any, code: LoweredSweep) -> str:
        """Return what is stored; truth becomes 1."""
        return code.names[value] if isinstance(value, Var) else self.real.number(float(value))


def _indented(lines: Sequence[str], depth: int) -> str:
    return "".join(f"{'    ' * depth}{line}\n" for line in lines)
