"""Random step functions for loops, drawn by Hypothesis, to compare the ways of running a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError(
        "minigrad.testing.steps draws with Hypothesis; run 'pip install hypothesis'"
    ) from None

from minigrad.ops.elementwise import abs, maximum, relu, sigmoid, silu, sin, tanh, where
from minigrad.ops.linalg import linear
from minigrad.ops.network import softmax
from minigrad.ops.reduce import max, mean, sum
from minigrad.ops.shape import concat, split

_POINTWISE = {f.__name__: f for f in (abs, relu, sigmoid, silu, sin, tanh)}
_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "maximum": maximum,
    "where": lambda a, b: where(a > 0, a, b),
}
_REDUCTIONS = {f.__name__: f for f in (sum, mean, max)}


@dataclass
class RandomStep:
    """A step of straight-line code over values of shape (N, width).

    Attributes
    ----------
    inputs, states : list of int
        Widths.
    parameters : dict
        From names to shapes.
    lines : list
        Pairs of a description and a function from all values so far, and the parameters, to new ones.
    results : list of int
        Which value each new state is made of.
    """

    inputs: list[int]
    states: list[int]
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    lines: list[tuple[str, Callable[[list[Any], dict[str, Any]], list[Any]]]] = field(
        default_factory=list
    )
    results: list[int] = field(default_factory=list)

    def __call__(self, *values: Any, **parameters: Any) -> tuple[Any, ...]:
        known = list(values)
        for _, line in self.lines:
            known += line(known, parameters)
        return tuple(known[position] for position in self.results)

    def __repr__(self) -> str:
        program = "; ".join(text for text, _ in self.lines)
        return (
            f"RandomStep(inputs {self.inputs}, states {self.states}: {program} -> {self.results})"
        )


class _Writer:
    """Writes a step line by line, and knows the width of each value."""

    def __init__(
        self, draw: Any, inputs: list[int], states: list[int], widths: Sequence[int]
    ) -> None:
        self.draw = draw
        self.products = widths
        self.step = RandomStep(inputs, states)
        self.widths = [*inputs, *states]

    def pick(self, *widths: int) -> int:
        """Choose a value, if widths are given one of these widths."""
        fitting = [i for i, w in enumerate(self.widths) if not widths or w in widths]
        return int(self.draw(st.sampled_from(fitting)))

    def parameter(self, *shape: int) -> str:
        name = f"p{len(self.step.parameters)}"
        self.step.parameters[name] = shape
        return name

    def write(
        self, text: str, line: Callable[[list[Any], dict[str, Any]], Any], *widths: int
    ) -> int:
        """Append a line with results of these widths; return the position of the first."""
        several = len(widths) > 1
        self.step.lines.append((text, lambda v, p: [*line(v, p)] if several else [line(v, p)]))
        self.widths += widths
        return len(self.widths) - len(widths)

    def product(self, a: int, width: int) -> int:
        """Multiply value ``a`` by a parameter, written in one of two ways."""
        if self.draw(st.booleans()):
            w, bias = self.parameter(width, self.widths[a]), self.parameter(width)
            return self.write(
                f"linear({a}, {w}, {bias})", lambda v, p: linear(v[a], p[w], p[bias]), width
            )
        w = self.parameter(self.widths[a], width)
        return self.write(f"{a} @ {w}", lambda v, p: v[a] @ p[w], width)

    def any_line(self) -> None:
        """Append a line of some kind."""
        kind = self.draw(
            st.sampled_from(
                "pointwise pair product unit scale reduce softmax split slice concat".split()
            )
        )
        a = self.pick()
        width = self.widths[a]
        if kind == "pointwise":
            name = self.draw(st.sampled_from(sorted(_POINTWISE)))
            self.write(f"{name}({a})", lambda v, p: _POINTWISE[name](v[a]), width)
        elif kind == "pair":
            name, b = self.draw(st.sampled_from(sorted(_PAIRS))), self.pick(width, 1)
            self.write(f"{name}({a}, {b})", lambda v, p: _PAIRS[name](v[a], v[b]), width)
        elif kind == "product":
            self.product(a, self.draw(st.sampled_from(self.products)))
        elif kind == "unit":
            u = self.parameter(width)
            self.write(f"{a} * {u}", lambda v, p: v[a] * p[u], width)
        elif kind == "scale":
            factor = self.draw(st.sampled_from([-1.0, 0.5, 2]))
            self.write(f"{factor} * {a} + 1", lambda v, p: factor * v[a] + 1, width)
        elif kind == "reduce":
            name = self.draw(st.sampled_from(sorted(_REDUCTIONS)))
            self.write(
                f"{name}({a})", lambda v, p: _REDUCTIONS[name](v[a], axis=-1, keepdims=True), 1
            )
        elif kind == "softmax":
            self.write(f"softmax({a})", lambda v, p: softmax(v[a], axis=-1), width)
        elif kind == "split" and width > 1:
            at = self.draw(st.integers(1, width - 1))
            sizes = (at, width - at)
            self.write(f"split({a}, {sizes})", lambda v, p: split(v[a], sizes), *sizes)
        elif kind == "slice" and width > 1:
            at = self.draw(st.integers(1, width - 1))
            self.write(f"{a}[:, {at}:]", lambda v, p: v[a][:, at:], width - at)
        elif kind == "concat":
            b = self.pick()
            self.write(
                f"concat({a}, {b})",
                lambda v, p: concat([v[a], v[b]], axis=-1),
                width + self.widths[b],
            )

    def finish(self) -> RandomStep:
        """Choose or make a value for each new state."""
        for width in self.step.states:
            a = self.pick()
            if self.widths[a] != width:
                a = self.product(a, width)
            if self.draw(st.integers(0, 3)):  # mostly bounded, so that long loops stay finite
                bounded = a
                a = self.write(f"tanh({a})", lambda v, p, a=bounded: tanh(v[a]), width)  # type: ignore[misc]
            self.step.results.append(a)
        return self.step


@st.composite
def random_steps(
    draw: Any, max_lines: int = 12, widths: Sequence[int] = (1, 2, 3, 4)
) -> RandomStep:
    """Steps with one or two inputs and one to three states of different widths.

    Parameters
    ----------
    max_lines : int
        How many operations a step has at most, besides those that make its results.
    widths : sequence of int
        What inputs, states and products are as wide as.
    """
    some = st.sampled_from(widths)
    inputs = draw(st.lists(some, min_size=1, max_size=2))
    states = draw(st.lists(some, min_size=1, max_size=3))
    writer = _Writer(draw, inputs, states, widths)
    for _ in range(draw(st.integers(0, max_lines))):
        writer.any_line()
    return writer.finish()
