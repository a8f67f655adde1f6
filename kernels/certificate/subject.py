"""What is certified: a step function, and where the values of its arguments come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy

from minigrad.errors import ArgumentError, MinigradError
from minigrad.kernels.cell import CellFunction, Step
from minigrad.kernels.frontend.trace import argument_names, name_of
from minigrad.tensor import Tensor

_WIDTH, _HIDDEN = 3, 19  # by default; no multiples of a vector's lanes


@dataclass(frozen=True)
class Source:
    """Where the values of one argument come from.

    Attributes
    ----------
    shape : tuple of int
        Without the axes of time and of rows.
    low, high : float
        Numbers are drawn evenly from here.
    choices : array, optional
        Integers and flags are picked from these instead.
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    choices: Any = None

    def draw(self, rng: numpy.random.Generator, *leading: int) -> Any:
        """Return an array of shape ``(*leading, *shape)``: float64, or as the choices."""
        shape = (*leading, *self.shape)
        if self.choices is not None:
            return rng.choice(self.choices, shape)
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Subject:
    """A step, and where the values of its arguments come from.

    Attributes
    ----------
    step : callable
    name : str
    inputs, states, parameters : dict of Source
    written : str
        The arguments of `certify` that give this subject.
    sizes : tuple of int, optional
        ``input_size`` and ``hidden_size``; None if the arguments were given by examples.
    options : dict
        What the cell's ``params`` takes beside the sizes.
    refusal : str
        Why the loop is not compiled; empty if it is.
    """

    step: Step
    name: str
    inputs: Mapping[str, Source]
    states: Mapping[str, Source]
    parameters: Mapping[str, Source]
    written: str
    sizes: tuple[int, int] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    refusal: str = ""

    def smaller(self) -> list[Subject]:
        """Return the same cell with smaller sizes, those that it takes, the smallest first."""
        if self.sizes is None or not isinstance(self.step, CellFunction):
            return []
        width, hidden = self.sizes
        found = []
        for sizes in [(1, 1), (1, hidden), (width, 1), (width, 2), (width, hidden // 2)]:
            if sum(sizes) < width + hidden and 0 < sizes[1] <= hidden:
                try:
                    subject = _of_sizes(self.step, sizes, self.options)
                except (MinigradError, ValueError, ArithmeticError):
                    continue  # a cell may ask for more units
                found.append(replace(subject, refusal=self.refusal))
        return found


def subject_of(
    cell: Any,
    sizes: tuple[int | None, int | None],
    examples: tuple[Any, Any, Any],
    options: Mapping[str, Any],
) -> Subject:
    """Return what `certify` was asked to look at.

    Parameters
    ----------
    cell : CellFunction, Module or callable
    sizes : tuple of int or None
    examples : tuple
        Inputs, states and parameters, as for `scan`; None if they are not given.
    options : dict

    Raises
    ------
    ArgumentError
        If the arguments do not go together.
    """
    inner = getattr(cell, "cell", None)
    some_sizes, some_examples = sizes != (None, None), any(e is not None for e in examples)
    if isinstance(inner, CellFunction):
        if some_sizes or some_examples or options:
            raise ArgumentError(
                f"certify: a {type(cell).__name__} brings its sizes and options; give it alone, or "
                "give its cell and other sizes"
            )
        return _of_sizes(inner, (cell.input_size, cell.hidden_size), cell.options)
    if some_examples:
        if some_sizes or options:
            raise ArgumentError(
                "certify: the arguments of the step are given twice, by sizes or options and by "
                "xs, state and params; give one of both"
            )
        return _of_examples(cell, *examples)
    if not isinstance(cell, CellFunction):
        raise ArgumentError(
            f"certify: a {type(cell).__name__} is neither a cell nor a recurrent layer; make a cell "
            "with @cell(state=..., params=...), or give examples of the arguments of a step: "
            "certify(step, xs=..., state=..., params=...)"
        )
    width, hidden = sizes
    given = (_WIDTH if width is None else width, _HIDDEN if hidden is None else hidden)
    return _of_sizes(cell, given, options)


def _of_sizes(cell: CellFunction, sizes: tuple[int, int], options: Mapping[str, Any]) -> Subject:
    width, hidden = sizes
    starts = cell.initial_parameters(width, hidden, **options)
    bound = hidden**-0.5  # as layers draw them
    written = [cell.__name__, f"input_size={width}", f"hidden_size={hidden}"]
    written += [f"{name}={value!r}" for name, value in options.items()]
    widths = cell.state_widths(hidden, **options)
    return Subject(
        step=cell,
        name=cell.__name__,
        inputs={name: Source((width,)) for name in cell.inputs},
        states={name: Source((w,)) for name, w in zip(cell.states, widths, strict=True)},
        parameters={
            name: _like(start.detach().cpu().numpy())
            if isinstance(start, Tensor)
            else Source(tuple(start), -bound, bound)
            for name, start in starts.items()
        },
        written=", ".join(written),
        sizes=sizes,
        options=options,
    )


def _of_examples(step: Step, xs: Any, state: Any, params: Mapping[str, Any] | None) -> Subject:
    if not callable(step):
        raise ArgumentError(f"certify: a {type(step).__name__} is no step: it cannot be called")
    named = dict(params or {})
    inputs, states = _arrays("xs", xs, 2), _arrays("state", state, 1)
    parameters = _arrays("params", tuple(named.values()), 0)
    names = argument_names(step, len(inputs), len(states))
    first, second = names[: len(inputs)], names[len(inputs) :]
    written = [name_of(step), "xs=xs", "state=state", *(["params=params"] if named else [])]
    return Subject(
        step=step,
        name=name_of(step),
        inputs={name: _like(a, 2) for name, a in zip(first, inputs, strict=True)},
        states={name: _like(a, 1) for name, a in zip(second, states, strict=True)},
        parameters={name: _like(a) for name, a in zip(named, parameters, strict=True)},
        written=", ".join(written),
    )


def _arrays(what: str, given: Any, axes: int) -> list[Any]:
    """Return examples as arrays with at least so many ``axes``."""
    listed: Sequence[Any] = given if isinstance(given, (tuple, list)) else (given,)
    for value in listed:
        if not isinstance(value, Tensor) or value.ndim < axes:
            found = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(
                f"certify: {what} must be given as for scan, tensors with at least {axes} axes; "
                f"found {found}"
            )
    return [value.detach().cpu().numpy() for value in listed]


def _like(example: Any, leading: int = 0) -> Source:
    """Return a source of values in the range of an example, around it if it has one value only."""
    shape = example.shape[leading:]
    if example.dtype.kind in "iub":
        return Source(shape, choices=example.ravel())
    low, high = (float(f(example)) for f in (numpy.min, numpy.max)) if example.size else (-1.0, 1.0)
    return Source(shape, low, high) if low < high else Source(shape, low - 1, high + 1)
