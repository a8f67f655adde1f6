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
from minigrad.ops.network import log_softmax, softmax
from minigrad.ops.reduce import cumulative_sum, logsumexp, max, mean, min, sum
from minigrad.ops.shape import broadcast_to, concat, expand_dims, flip, roll, split, stack

_MOST_AXES = 4  # besides N
_POINTWISE = {f.__name__: f for f in (abs, relu, sigmoid, silu, sin, tanh)}
_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "maximum": maximum,
    "where": lambda a, b: where(a > 0, a, b),
}
_REDUCTIONS = {f.__name__: f for f in (sum, mean, max)}
_OVER_AXES = {f.__name__: f for f in (sum, mean, max, min, logsumexp)}
_ALONG: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (softmax, log_softmax, cumulative_sum, flip)
}


@dataclass
class RandomStep:
    """A step of straight-line code over values of shape (N, width), and some with more axes.

    Parameters
    ----------
    inputs, states : list of int
        Their widths.
    parameters : dict
        From names to shapes.
    lines : list
        Pairs of a description and a function from all values so far, and the parameters, to new ones.
    results : list of int
        Which value each new state is made of.
    wide : list of tuple
        The shapes, without N, of inputs with more axes. They come after the other inputs.

    Examples
    --------
    >>> from minigrad.testing.steps import RandomStep
    >>> step = RandomStep(inputs=[2], states=[2], results=[0])
    >>> (h,) = step(mg.ones((3, 2)), mg.zeros((3, 2)))
    >>> h.shape
    (3, 2)
    """

    inputs: list[int]
    states: list[int]
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    lines: list[tuple[str, Callable[[list[Any], dict[str, Any]], list[Any]]]] = field(
        default_factory=list
    )
    results: list[int] = field(default_factory=list)
    wide: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Those of all inputs, without N."""
        return [*((width,) for width in self.inputs), *self.wide]

    def __call__(self, *values: Any, **parameters: Any) -> tuple[Any, ...]:
        known = list(values)
        for _, line in self.lines:
            known += line(known, parameters)
        return tuple(known[position] for position in self.results)

    def __repr__(self) -> str:
        program = "; ".join(text for text, _ in self.lines)
        return (
            f"RandomStep(inputs {self.shapes}, states {self.states}: {program} -> {self.results})"
        )


class _Writer:
    """Writes a step line by line, and knows the shape of each value, without N.

    Parameters
    ----------
    anything : bool
        Whether what depends on a state may have more axes, too, which no compiled loop takes.
    """

    def __init__(
        self, draw: Any, step: RandomStep, widths: Sequence[int], anything: bool = False
    ) -> None:
        self.draw = draw
        self.products = widths
        self.step = step
        self.anything = anything
        self.shapes = [*step.shapes, *((width,) for width in step.states)]
        self.late = [False] * len(step.shapes) + [True] * len(step.states)

    def pick(self, *widths: int) -> int:
        """Choose a row of numbers, if widths are given one of these widths."""
        rows = [i for i, s in enumerate(self.shapes) if len(s) == 1 and s[0]]
        fitting = [i for i in rows if not widths or self.shapes[i][0] in widths]
        return int(self.draw(st.sampled_from(fitting)))

    def parameter(self, *shape: int) -> str:
        name = f"p{len(self.step.parameters)}"
        self.step.parameters[name] = shape
        return name

    def write(
        self,
        text: str,
        line: Callable[[list[Any], dict[str, Any]], Any],
        read: Sequence[int],
        *shapes: tuple[int, ...],
    ) -> int:
        """Append a line that reads some values; return the position of the first of its results."""
        several = len(shapes) > 1
        self.step.lines.append((text, lambda v, p: [*line(v, p)] if several else [line(v, p)]))
        self.shapes += shapes
        self.late += [any(self.late[i] for i in read)] * len(shapes)
        return len(self.shapes) - len(shapes)

    def product(self, a: int, width: int) -> int:
        """Multiply value ``a`` by a parameter, written in one of two ways."""
        *axes, inner = self.shapes[a]
        shape = (*axes, width)
        if self.draw(st.booleans()):
            w, bias = self.parameter(width, inner), self.parameter(width)
            return self.write(
                f"linear({a}, {w}, {bias})", lambda v, p: linear(v[a], p[w], p[bias]), [a], shape
            )
        w = self.parameter(inner, width)
        return self.write(f"{a} @ {w}", lambda v, p: v[a] @ p[w], [a], shape)

    def any_line(self) -> None:
        """Append a line of some kind."""
        kind = self.draw(
            st.sampled_from(
                "pointwise pair product unit scale reduce softmax split slice concat".split()
            )
        )
        a = self.pick()
        ((width,), shape) = self.shapes[a], self.shapes[a]
        if kind == "pointwise":
            self.pointwise(a)
        elif kind == "pair":
            name, b = self.draw(st.sampled_from(sorted(_PAIRS))), self.pick(width, 1)
            self.write(f"{name}({a}, {b})", lambda v, p: _PAIRS[name](v[a], v[b]), [a, b], shape)
        elif kind == "product":
            self.product(a, self.draw(st.sampled_from(self.products)))
        elif kind == "unit":
            u = self.parameter(width)
            self.write(f"{a} * {u}", lambda v, p: v[a] * p[u], [a], shape)
        elif kind == "scale":
            factor = self.draw(st.sampled_from([-1.0, 0.5, 2]))
            self.write(f"{factor} * {a} + 1", lambda v, p: factor * v[a] + 1, [a], shape)
        elif kind == "reduce":
            name = self.draw(st.sampled_from(sorted(_REDUCTIONS)))
            self.write(
                f"{name}({a})",
                lambda v, p: _REDUCTIONS[name](v[a], axis=-1, keepdims=True),
                [a],
                (1,),
            )
        elif kind == "softmax":
            self.write(f"softmax({a})", lambda v, p: softmax(v[a], axis=-1), [a], shape)
        elif kind == "split" and width > 1:
            at = self.draw(st.integers(1, width - 1))
            sizes = (at, width - at)
            self.write(
                f"split({a}, {sizes})", lambda v, p: split(v[a], sizes), [a], (at,), (width - at,)
            )
        elif kind == "slice" and width > 1:
            at = self.draw(st.integers(1, width - 1))
            self.write(f"{a}[:, {at}:]", lambda v, p: v[a][:, at:], [a], (width - at,))
        elif kind == "concat":
            b = self.pick()
            self.write(
                f"concat({a}, {b})",
                lambda v, p: concat([v[a], v[b]], axis=-1),
                [a, b],
                (width + self.shapes[b][0],),
            )

    def pointwise(self, a: int) -> int:
        name = self.draw(st.sampled_from(sorted(_POINTWISE)))
        return self.write(f"{name}({a})", lambda v, p: _POINTWISE[name](v[a]), [a], self.shapes[a])

    def line_of_axes(self) -> None:
        """Append a line that works along some axis of a value, with as many axes as it may have."""
        fitting = [
            i for i, s in enumerate(self.shapes) if s and (self.anything or not self.late[i])
        ]
        a = self.draw(st.sampled_from(fitting))
        shape = self.shapes[a]
        axis = self.draw(st.integers(1, len(shape)))
        size, before, behind = shape[axis - 1], shape[: axis - 1], shape[axis:]
        shown = axis if self.draw(st.booleans()) else axis - len(shape) - 1
        kinds = (
            "pointwise product reduce along pair repeated stack concat split roll index slice new"
        )
        kind = self.draw(st.sampled_from(kinds.split()))
        if kind == "pointwise":
            self.pointwise(a)
        elif kind == "product":
            self.product(a, self.draw(st.integers(1, 4)))
        elif kind == "reduce":
            names = sorted(_OVER_AXES) if size else ["sum"]
            name, keep = self.draw(st.sampled_from(names)), self.draw(st.booleans())
            self.write(
                f"{name}({a}, {shown}, {keep})",
                lambda v, p: _OVER_AXES[name](v[a], axis=shown, keepdims=keep),
                [a],
                (*before, *(1,) * keep, *behind),
            )
        elif kind == "along":
            name = self.draw(st.sampled_from(sorted(_ALONG) if size else ["flip"]))
            self.write(
                f"{name}({a}, {shown})", lambda v, p: _ALONG[name](v[a], axis=shown), [a], shape
            )
        elif kind == "pair":
            name = self.draw(st.sampled_from(sorted(_PAIRS)))
            same = [i for i in fitting if self.shapes[i] in (shape, (*before, 1, *behind))]
            b = self.draw(st.sampled_from(same))
            self.write(f"{name}({a}, {b})", lambda v, p: _PAIRS[name](v[a], v[b]), [a, b], shape)
        elif kind == "repeated":
            u = self.parameter(*shape[-self.draw(st.integers(1, len(shape))) :])
            self.write(
                f"{a} * broadcast_to({u}, {a}.shape)",
                lambda v, p: v[a] * broadcast_to(p[u], v[a].shape),
                [a],
                shape,
            )
        elif kind in ("stack", "concat"):
            same = [i for i in fitting if self.shapes[i] == shape]
            b, join = self.draw(st.sampled_from(same)), stack if kind == "stack" else concat
            new = (*before, 2, size, *behind) if kind == "stack" else (*before, 2 * size, *behind)
            self.write(
                f"{kind}({a}, {b}, {axis})",
                lambda v, p: join([v[a], v[b]], axis=axis),
                [a, b],
                new,
            )
        elif kind == "split":
            at = self.draw(st.integers(0 if self.anything else 1, size))
            sizes = (at, size - at) if 0 < at < size or self.anything else (size,)
            self.write(
                f"split({a}, {sizes}, {shown})",
                lambda v, p: split(v[a], sizes, axis=shown)[0],
                [a],
                (*before, sizes[0], *behind),
            )
        elif kind == "roll":
            shift = self.draw(st.integers(-size - 1, size + 1))
            self.write(
                f"roll({a}, {shift}, {shown})",
                lambda v, p: roll(v[a], shift, axis=shown),
                [a],
                shape,
            )
        elif kind == "index" and size:
            at = self.draw(st.integers(-size, size - 1))
            key = (slice(None),) * axis + (at,)
            self.write(f"{a}[{axis} colons, {at}]", lambda v, p: v[a][key], [a], (*before, *behind))
        elif kind == "slice":
            chosen = self.draw(st.slices(size))
            count = len(range(*chosen.indices(size)))
            if count or self.anything:
                part = (slice(None),) * axis + (chosen,)
                new = (*before, count, *behind)
                self.write(f"{a}[{axis} colons, {chosen}]", lambda v, p: v[a][part], [a], new)
        elif kind == "new" and len(shape) < _MOST_AXES:
            self.write(
                f"expand_dims({a}, {axis})",
                lambda v, p: expand_dims(v[a], axis),
                [a],
                (*before, 1, size, *behind),
            )

    def rows_of(self, a: int) -> int:
        """Sum a value over all axes but the last, so that it is a row of numbers."""
        shape = self.shapes[a]
        if len(shape) == 1 and shape[0]:
            return a
        if not shape:
            return self.write(f"expand_dims({a}, 1)", lambda v, p: expand_dims(v[a], 1), [a], (1,))
        axes = tuple(range(1, len(shape))) if shape[-1] else tuple(range(1, len(shape) + 1))
        left = shape[len(axes) :]
        return self.rows_of(
            self.write(f"sum({a}, {axes})", lambda v, p: sum(v[a], axis=axes), [a], left)
        )

    def finish(self) -> RandomStep:
        """Choose or make a value for each new state."""
        most = [i for i, s in enumerate(self.shapes) if len(s) != 1 or not s[0]]
        for width in self.step.states:
            a = self.pick()
            if self.shapes[a] != (width,):
                a = self.product(a, width)
            if most:
                b = self.product(self.rows_of(self.draw(st.sampled_from(most))), width)
                text = f"{a} + {b}"
                a = self.write(text, lambda v, p, a=a, b=b: v[a] + v[b], [a, b], (width,))  # type: ignore[misc]
            if self.draw(st.integers(0, 3)):  # mostly bounded, so that long loops stay finite
                bounded = a
                a = self.write(f"tanh({a})", lambda v, p, a=bounded: tanh(v[a]), [a], (width,))  # type: ignore[misc]
            self.step.results.append(a)
        return self.step


@st.composite
def random_steps(
    draw: Any,
    max_lines: int = 12,
    widths: Sequence[int] = (1, 2, 3, 4),
    axes: bool = False,
    anything: bool = False,
) -> RandomStep:
    """Steps with one or two inputs and one to three states of different widths.

    Parameters
    ----------
    max_lines : int
        How many operations a step has at most, besides those that make its results.
    widths : sequence of int
        What inputs, states and products are as wide as.
    axes : bool
        Whether there are inputs with more axes, (N, a, b) or (N, a, b, c), and operations along any axis
        of them.
    anything : bool
        Whether such operations also read the states, so that most of the loops cannot be compiled.

    Returns
    -------
    strategy
        Of `RandomStep`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from minigrad.testing.steps import random_steps
    >>> step = find(random_steps(max_lines=2), lambda step: True)
    >>> 1 <= len(step.states) <= 3
    True
    """
    some = st.sampled_from(widths)
    step = RandomStep(
        draw(st.lists(some, min_size=1, max_size=2)), draw(st.lists(some, min_size=1, max_size=3))
    )
    if axes or anything:
        shapes = st.lists(st.integers(1, 3), min_size=2, max_size=3).map(tuple)
        step.wide = draw(st.lists(shapes, min_size=0 if anything else 1, max_size=2))
    writer = _Writer(draw, step, widths, anything)
    for _ in range(draw(st.integers(0, max_lines))):
        if (axes or anything) and draw(st.booleans()):
            writer.line_of_axes()
        else:
            writer.any_line()
    return writer.finish()
