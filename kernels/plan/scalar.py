"""Elementwise operations as calls of few functions, found by running their formulas on symbols.

An op that is a function of this list becomes one call. Any other elementwise op of the table is written
in them by running its own formula, so that it needs no entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from minigrad.graph import Node, Var
from minigrad.kernels.passes.legalize import Refusal
from minigrad.op import OPS, Op

FUNCTIONS = frozenset(
    """
    add subtract multiply divide negative positive power remainder floor_divide square reciprocal
    exp expm1 exp2 log log1p log2 log10 sqrt sin cos tan asin acos atan atan2
    sinh cosh tanh asinh acosh atanh
    hypot logaddexp sigmoid erf abs sign copysign floor ceil round trunc maximum minimum where zeros_like
    equal not_equal less less_equal greater greater_equal isnan isinf isfinite
    logical_and logical_or logical_xor logical_not
    """.split()
)


@dataclass(frozen=True)
class Call:
    """``result = function(arguments)``; arguments are names of values, or numbers."""

    result: str
    function: str
    arguments: tuple[str | float, ...]


class Symbol:
    """A value that has a name and no number; operators on it are calls."""

    def __init__(self, name: str, tracer: Tracer) -> None:
        self.name = name
        self.tracer = tracer


def _operator(function: str, swapped: bool = False) -> Callable[..., Symbol]:
    def method(self: Symbol, *others: Any) -> Symbol:
        arguments = (*others, self) if swapped else (self, *others)
        return self.tracer.call(function, *arguments)

    return method


for _name, _function in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
    "mod": "remainder", "floordiv": "floor_divide",
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_function))
    setattr(Symbol, f"__r{_name}__", _operator(_function, swapped=True))
for _name, _function in {
    "neg": "negative", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "eq": "equal", "ne": "not_equal", "and": "logical_and", "or": "logical_or",
    "xor": "logical_xor", "invert": "logical_not",
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_function))


class Tracer:
    """Writes down calls; the ``m`` of formulas."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._running: set[str] = set()
        self._numbers: Iterator[int] = count()

    def call(self, function: str, *arguments: Any) -> Symbol:
        """Append a call and return its result."""
        result = Symbol(f"v{next(self._numbers)}", self)
        named = tuple(a.name if isinstance(a, Symbol) else float(a) for a in arguments)
        self.calls.append(Call(result.name, function, named))
        return result

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in FUNCTIONS:
            return lambda *arguments: self.call(name, *arguments)
        if name in OPS and OPS[name].elementwise and name not in self._running:
            return lambda *arguments, **attributes: self._run(OPS[name], arguments, attributes)
        raise Refusal(f"{name} has no place in a sweep over rows")

    def _run(self, op: Op, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Write down the formula of ``op``; one that is a function of the array library is refused."""
        self._running.add(op.name)
        try:
            return op.fn(self, *arguments, **attributes)
        finally:
            self._running.discard(op.name)

    def lower(self, node: Node, names: dict[Var, str]) -> None:
        """Write down what ``node`` computes, and add the name of its result to ``names``."""
        op = node.op
        arguments = [Symbol(names[i], self) if isinstance(i, Var) else i for i in node.inputs]
        (output,) = node.outputs
        if op.name in ("broadcast_to", "astype"):  # a column stretches by itself; true is 1
            (x,) = node.inputs
            if x.dtype == output.dtype:
                names[output] = names[x]
                return
            result = self.call("where", arguments[0], 1.0, 0.0)
        elif op.name in FUNCTIONS:
            result = self.call(op.name, *arguments)
        elif op.elementwise:
            result = self._run(op, arguments, node.attributes)
        else:
            raise Refusal(f"{op.name} has no place in a sweep over rows")
        names[output] = result.name
