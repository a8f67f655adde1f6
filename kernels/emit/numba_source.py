"""A plan as Python text for Numba: one function that runs the whole loop for some rows of the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from textwrap import indent
from typing import Any

from minigrad.dtypes import bool_
from minigrad.graph import Var
from minigrad.kernels.plan import Buffer, LoopPlan, Place, Product, Sweep
from minigrad.kernels.scalar import FUNCTIONS, Call, Tracer

_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "equal": "==", "not_equal": "!=",
    "logical_and": "&", "logical_or": "|",
}  # fmt: skip
# where a reduction begins, and the sign of what it takes the sum or the largest of
_REDUCTIONS = {"sum": ("0.0", ""), "max": ("-inf", ""), "min": ("-inf", "-")}
_HEAD = """\
from math import inf, nan

from numba import cfunc, {real} as real

from minigrad.kernels.cpu.product import rows_product
from minigrad.kernels.cpu.vector import (
    first{bits} as first, load{bits} as load, load{bits}_masked as load_masked,
    load_integer, load_one{bits} as load_one,
    max_lanes, splat{bits} as splat, store, store_masked, sum_lanes, where,
)
from minigrad.kernels.cpu.vector_math import (
    {functions},
)


@cfunc("void(int64, int64, CPointer(int64))", cache=True, error_model="numpy")
def loop(thread, threads, arguments):
    steps, rows, reverse, backward = arguments[0], arguments[1], arguments[2], arguments[3]
    present, fresh = arguments[4], arguments[5]
{addresses}
    begin = rows * thread // threads
    n = rows * (thread + 1) // threads - begin
    if n == 0:
        return
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        now, later = step % 2, 1 - step % 2
        flags = (t * rows + begin) * 8
{pointers}
        if fresh != 0 and not backward:
{refreshed}
{body}
        if present != 0:
{carried}
        if fresh != 0 and backward:
{released}
"""


# From the name of a column, and how to load from an address, to the address and the value to store.
Store = Callable[[str, Callable[[str], str]], tuple[str, str]]

FIRST = 6  # T, N, reverse, backward, present, fresh


def argument_order(plan: LoopPlan) -> tuple[Buffer, ...]:
    """Return the buffers whose addresses the function takes, behind `FIRST` other arguments."""
    return (
        *plan.read.values(),
        *plan.stored.values(),
        *plan.fixed.values(),
        *plan.states,
        *plan.scratch,
    )


def numba_source(plan: LoopPlan, lanes: int) -> str:
    """Return a module with a function ``loop(thread, threads, arguments)``.

    Its arguments are numbers and addresses: T, N, whether time runs backwards, whether this is a
    backward pass; the flags of present and of fresh rows, each int64 (T, N), or 0; then the buffers in
    `argument_order`. Rows are divided between the threads.

    Buffers of states hold (3, N, width): step ``k`` reads the part ``k % 2``, and writes the other of
    the first two. The third holds the initial states that fresh rows begin with; in a backward pass
    what comes to them there is added to it. Rows that are absent are not computed: their states are
    carried, and what is stored of them is zero.

    Parameters
    ----------
    plan : LoopPlan
    lanes : int
        How many elements a vector of the plan's dtype holds.
    """
    return _Writer(plan, lanes).text()


class _Writer:
    def __init__(self, plan: LoopPlan, lanes: int) -> None:
        self.plan = plan
        self.lanes = lanes
        self.size = plan.dtype.itemsize

    def text(self) -> str:
        """Return the whole module."""
        order = argument_order(self.plan)
        addresses = [f"{b.name} = arguments[{FIRST + i}]" for i, b in enumerate(order)]
        body = []
        for phase in self.plan.phases:
            body += [self.product(p) for p in phase.products]
            body += [self.sweep(s) for s in phase.sweeps.values()]
        functions = sorted(FUNCTIONS.difference(_INFIX, {"where"}))
        return _HEAD.format(
            real=self.plan.dtype.name,
            bits=8 * self.size,
            functions=", ".join(functions),
            addresses=indent("\n".join(addresses), " " * 4),
            pointers=indent("\n".join(self.pointers()), " " * 8),
            refreshed=indent(self.refreshed(), " " * 12),
            carried=indent(self.carried(), " " * 12),
            released=indent(self.released(), " " * 12),
            body=indent("\n".join(body), " " * 8),
        )

    # memory

    def pointers(self) -> list[str]:
        """Return lines that set the address of the thread's first row in each buffer."""
        lines = []
        for buffer in argument_order(self.plan):
            stride = self.stride(buffer)
            start = {
                "read": "t * rows + begin",
                "stored": "t * rows + begin",
                "scratch": "begin",
                "state": "now * rows + begin",
            }.get(buffer.kind)
            if start:
                lines.append(f"{buffer.name}_row = {buffer.name} + ({start}) * {stride}")
            if buffer.kind == "state":
                for name, part in (("next", "later"), ("first", "2")):
                    start = f"({part} * rows + begin) * {stride}"
                    lines.append(f"{buffer.name}_{name}_row = {buffer.name} + {start}")
        return lines

    def stride(self, buffer: Buffer) -> int:
        """Return the bytes from row to row."""
        return 0 if buffer.kind == "vector" else buffer.width * self.size

    def base(self, place: Place) -> str:
        """Return the address of a place in the thread's first row."""
        name = place.buffer.name
        if place.buffer.kind != "vector":
            name += "_next_row" if place.next else "_row"
        return f"{name} + {place.offset * self.size}" if place.offset else name

    # products

    def product(self, p: Product) -> str:
        """Return the call of a product."""
        start, start_stride = "0", 0
        if p.start is not None:
            start = self.base(p.start)
            start_stride = self.stride(p.start.buffer) // self.size
        return (
            f"rows_product(real, n, {self.base(p.source)}, {p.source.buffer.width}, {p.matrix.name}, "
            f"{p.inner}, {p.width}, {start}, {start_stride}, {self.base(p.target)}, {p.width})"
        )

    # absent and fresh rows

    def refreshed(self) -> str:
        """Return lines that give fresh rows their initial states."""
        return self.where("fresh", "!=", self.copies("first_row", "row"))

    def carried(self) -> str:
        """Return lines that carry the states of absent rows, and store zeros for them."""
        lines = self.copies("row", "next_row")
        for buffer in self.plan.stored.values():
            lines += self.columns(buffer.width, _zeros(self.current(buffer, "row")))
        return self.where("present", "==", lines)

    def released(self) -> str:
        """Return lines that hand the cotangents of fresh rows to the initial states."""
        lines = []
        for buffer in self.plan.states:
            later, first = (self.current(buffer, part) for part in ("next_row", "first_row"))
            lines += self.columns(buffer.width, _sum(first, later))
            lines += self.columns(buffer.width, _zeros(later))
        return self.where("fresh", "!=", lines)

    def copies(self, source: str, target: str) -> list[str]:
        """Return lines that copy one part of each state to another, in the current row."""
        lines = []
        for buffer in self.plan.states:
            copy = _copy(self.current(buffer, source), self.current(buffer, target))
            lines += self.columns(buffer.width, copy)
        return lines

    def current(self, buffer: Buffer, part: str) -> str:
        """Return the address of the current row in a part of a buffer."""
        return f"{buffer.name}_{part} + row * {self.stride(buffer)}"

    def where(self, flags: str, comparison: str, lines: list[str]) -> str:
        """Return a loop over rows that runs ``lines`` where a flag is zero or not."""
        test = f"load_integer({flags} + flags + row * 8) {comparison} 0"
        return "\n".join(
            ["for row in range(n):", f"    if {test}:", *(f"        {line}" for line in lines)]
        )

    def columns(self, width: int, store: Store) -> list[str]:
        """Return lines that store vectors in all columns of the current row."""
        full = width // self.lanes * self.lanes
        lines = []
        if full:
            at, value = store("column", "load({})".format)
            lines.append(f"for column in range(0, {full * self.size}, {self.lanes * self.size}):")
            lines.append(f"    store({at}, {value})")
        if width > full:
            mask = f"first({width - full})"
            at, value = store(str(full * self.size), f"load_masked({{}}, {mask})".format)
            lines.append(f"store_masked({at}, {value}, {mask})")
        return lines

    # sweeps

    def sweep(self, sweep: Sweep) -> str:
        """Return the loop over rows and columns."""
        full = sweep.width // self.lanes * self.lanes
        tail = sweep.width - full
        tracer = Tracer()
        names: dict[Var, str] = {}
        once: list[tuple[Var, Place]] = []
        each: list[tuple[Var, Place]] = []
        for var, place in sweep.loads.items():
            names[var] = f"x{len(names)}"
            width = var.shape[-1] if var.shape else 1
            stretched = width == 1 and sweep.width > 1
            (once if stretched else each).append((var, place))
        for node in sweep.nodes:
            tracer.lower(node, names)
        lines = []
        for var, place in once:
            value = f"splat(load_one({self.address(place, None)}))"
            lines.append(f"{names[var]} = {self.truth(var, value)}")
        for i, (node, _) in enumerate(sweep.reductions):
            start, _ = _REDUCTIONS[node.op.name]
            lines.append(f"total{i} = splat({start})")

        def body(masked: bool) -> list[str]:
            column = str(full * self.size) if masked else "column"
            text = []
            for var, place in each:
                at = self.address(place, column)
                value = f"load_masked({at}, mask)" if masked else f"load({at})"
                text.append(f"{names[var]} = {self.truth(var, value)}")
            text += [self.line(call) for call in tracer.calls]
            for i, (node, _) in enumerate(sweep.reductions):
                text.append(self.accumulated(i, node.op.name, names[node.inputs[0]], masked))
            for value, place in sweep.stores:
                text.append(self.stored(value, names, self.address(place, column), masked))
            return text

        if full:
            lines.append(f"for column in range(0, {full * self.size}, {self.lanes * self.size}):")
            lines += [f"    {line}" for line in body(False)]
        if tail:
            lines.append(f"mask = first({tail})")
            lines += body(True)
        for i, (node, place) in enumerate(sweep.reductions):
            _, sign = _REDUCTIONS[node.op.name]
            total = "sum_lanes" if node.op.name == "sum" else "max_lanes"
            lines.append(f"store({self.address(place, None)}, {sign}{total}(total{i}))")
        absent = "if present != 0 and load_integer(present + flags + row * 8) == 0:"
        head = ["for row in range(n):", f"    {absent}", "        continue"]
        return "\n".join([*head, *(f"    {line}" for line in lines)])

    def address(self, place: Place, column: str | None) -> str:
        """Return the address of the column in the current row."""
        parts = [self.base(place)]
        if stride := self.stride(place.buffer):
            parts.append(f"row * {stride}")
        if column is not None:
            parts.append(column)
        return " + ".join(parts)

    @staticmethod
    def truth(var: Var, value: str) -> str:
        """Return a value as it is computed with; truth values lie in memory as numbers."""
        return f"{value} != 0.0" if var.dtype == bool_ else value

    def accumulated(self, number: int, kind: str, name: str, masked: bool) -> str:
        """Return the line that takes one vector into a total."""
        start, sign = _REDUCTIONS[kind]
        value = f"where(mask, {sign}{name}, {start})" if masked else f"{sign}{name}"
        total = f"total{number}"
        joined = f"{total} + {value}" if kind == "sum" else f"maximum({total}, {value})"
        return f"{total} = {joined}"

    def stored(self, value: Any, names: dict[Var, str], at: str, masked: bool) -> str:
        """Return the line that stores a value."""
        if isinstance(value, Var):
            name = names[value]
            name = f"where({name}, splat(1.0), 0.0)" if value.dtype == bool_ else name
        else:
            name = f"splat({float(value)})"
        return f"store_masked({at}, {name}, mask)" if masked else f"store({at}, {name})"

    def line(self, call: Call) -> str:
        """Return the line of one call."""
        arguments = [a if isinstance(a, str) else _number(a) for a in call.arguments]
        values = arguments[1:] if call.function == "where" else arguments
        if all(not isinstance(a, str) for a in call.arguments[-len(values) :]):
            arguments[-1] = f"splat({arguments[-1]})"  # two numbers make no vector
        if call.function in _INFIX:
            left, right = arguments
            return f"{call.result} = {left} {_INFIX[call.function]} {right}"
        if call.function == "negative":
            return f"{call.result} = -{arguments[0]}"
        if call.function == "logical_not":
            return f"{call.result} = ~{arguments[0]}"
        return f"{call.result} = {call.function}({', '.join(arguments)})"


def _zeros(target: str) -> Store:
    return lambda column, load: (f"{target} + {column}", "splat(0.0)")


def _copy(source: str, target: str) -> Store:
    return lambda column, load: (f"{target} + {column}", load(f"{source} + {column}"))


def _sum(target: str, other: str) -> Store:
    """Return what adds ``other`` to ``target``."""

    def store(column: str, load: Callable[[str], str]) -> tuple[str, str]:
        at = f"{target} + {column}"
        return at, f"{load(at)} + {load(f'{other} + {column}')}"

    return store


def _number(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return f"({value})"
    return f"({value!r})" if value < 0 else repr(value)
