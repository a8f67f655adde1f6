"""Sweeps as Python text for Numba: loops over rows and columns that compute with whole vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minigrad.dtypes import bool_
from minigrad.graph import Var
from minigrad.kernels.emit.addresses import Addresses
from minigrad.kernels.emit.dialect import INFIX, lowered, number
from minigrad.kernels.plan.ir import Buffer, Sweep
from minigrad.kernels.plan.scalar import FUNCTIONS, Call

_INFIX = {**INFIX, "logical_and": "&", "logical_or": "|"}
# where a reduction begins, and the sign of what it takes the sum or the largest of
_REDUCTIONS = {"sum": ("0.0", ""), "max": ("-inf", ""), "min": ("-inf", "-")}

CALLED = sorted(FUNCTIONS.difference(_INFIX, {"where"}))  # functions of the vector type

# From the name of a column, and how to load from an address, to the address and the value to store.
Store = Callable[[str, Callable[[str], str]], tuple[str, str]]


class SweepWriter:
    """Writes sweeps, and copies of the same form.

    Parameters
    ----------
    addresses : Addresses
    lanes : int
        How many elements a vector of the plan's dtype holds.
    """

    def __init__(self, addresses: Addresses, lanes: int) -> None:
        self.addresses = addresses
        self.lanes = lanes

    def head(self, width: str, masked: bool) -> list[str]:
        """Return the head of a loop over the thread's columns of a width."""
        step = self.lanes * self.addresses.size
        lines = [f"for column in range(from_{width}, to_{width}, {step}):"]
        if masked:
            lines.append(f"    mask = first_lanes({width} - column // {self.addresses.size})")
        return lines

    def columns(self, buffer: Buffer, make: Store) -> list[str]:
        """Return lines that store vectors in the thread's columns of the current row of a buffer."""
        masked = buffer.width % self.lanes != 0
        at, value = make("column", "load_masked({}, mask)".format if masked else "load({})".format)
        end = f"store_masked({at}, {value}, mask)" if masked else f"store({at}, {value})"
        return [*self.head(self.addresses.widths.of(buffer), masked), f"    {end}"]

    def sweep(self, sweep: Sweep) -> str:
        """Return the loop over rows and columns."""
        masked = sweep.width % self.lanes != 0
        code = lowered(sweep)
        names = code.names
        lines = []
        for var, place in code.for_rows.items():
            value = f"splat(load_one({self.addresses.address(place, None)}))"
            lines.append(f"{names[var]} = {self.truth(var, value)}")
        for i, (node, _) in enumerate(sweep.reductions):
            start, _ = _REDUCTIONS[node.op.name]
            lines.append(f"total{i} = splat({start})")
        body = []
        for var, place in code.for_columns.items():
            at = self.addresses.address(place, "column")
            value = f"load_masked({at}, mask)" if masked else f"load({at})"
            body.append(f"{names[var]} = {self.truth(var, value)}")
        body += [self.line(call) for call in code.calls]
        for i, (node, _) in enumerate(sweep.reductions):
            body.append(self.accumulated(i, node.op.name, names[node.inputs[0]], masked))
        for value, place in sweep.stores:
            body.append(self.stored(value, names, self.addresses.address(place, "column"), masked))
        lines += self.head(self.addresses.widths.of_sweep(sweep), masked)
        lines += [f"    {line}" for line in body]
        for i, (node, place) in enumerate(sweep.reductions):
            _, sign = _REDUCTIONS[node.op.name]
            total = "sum_lanes" if node.op.name == "sum" else "max_lanes"
            lines.append(f"store({self.addresses.address(place, None)}, {sign}{total}(total{i}))")
        head = ["for row in range(n):"]
        if self.addresses.plan.broken:
            absent = "present != 0 and load_integer(present + (at + row) * 8) == 0"
            head += [f"    if {absent}:", "        continue"]
        return "\n".join([*head, *(f"    {line}" for line in lines)])

    @staticmethod
    def truth(var: Var, value: str) -> str:
        """Return a value as it is computed with; truth values lie in memory as numbers."""
        return f"{value} != 0.0" if var.dtype == bool_ else value

    def accumulated(self, index: int, kind: str, name: str, masked: bool) -> str:
        """Return the line that takes one vector into a total."""
        start, sign = _REDUCTIONS[kind]
        value = f"where(mask, {sign}{name}, {start})" if masked else f"{sign}{name}"
        total = f"total{index}"
        joined = f"{total} + {value}" if kind == "sum" else f"maximum({total}, {value})"
        return f"{total} = {joined}"

    def stored(self, value: Any, names: Mapping[Var, str], at: str, masked: bool) -> str:
        """Return the line that stores a value."""
        if isinstance(value, Var):
            name = names[value]
            name = f"where({name}, splat(1.0), 0.0)" if value.dtype == bool_ else name
        else:
            name = f"splat({float(value)})"
        return f"store_masked({at}, {name}, mask)" if masked else f"store({at}, {name})"

    def line(self, call: Call) -> str:
        """Return the line of one call."""
        arguments = [
            a if isinstance(a, str) else number(a, infinity="inf", nan="nan")
            for a in call.arguments
        ]
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


def zeros(target: str) -> Store:
    """Return what sets ``target`` to zero."""
    return lambda column, load: (f"{target} + {column}", "splat(0.0)")


def copied(source: str, target: str) -> Store:
    """Return what copies ``source`` to ``target``."""
    return lambda column, load: (f"{target} + {column}", load(f"{source} + {column}"))


def added(target: str, other: str) -> Store:
    """Return what adds ``other`` to ``target``."""

    def store(column: str, load: Callable[[str], str]) -> tuple[str, str]:
        at = f"{target} + {column}"
        return at, f"{load(at)} + {load(f'{other} + {column}')}"

    return store
