"""Recurrent layers with gradients: a layer is a single record on the tape, begun soon."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy

from minigrad import dispatch
from minigrad.kernels.cell import Cell
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.rows import Rows, rows_of
from minigrad.kernels.scan import replayed, scan
from minigrad.kernels.stream import Lesson, side_by_side
from minigrad.op import Domain, Op
from minigrad.ops.shape import concat, stack
from minigrad.tensor import Tensor, make
from minigrad.threads import get_num_threads


class Layered(Protocol):
    """A layer that has a cell for each of its layers."""

    num_layers: int
    training: bool
    dropout: float
    bidirectional: bool

    def _run_of(self, ending: str) -> tuple[Cell, dict[str, Any]]: ...


class LayerTraining:
    """Runs a layer as it has been run before: on arguments of the same shapes and dtypes.

    Parameters
    ----------
    layer : Layered
    input : Tensor
        Shape (T, N, input_size).
    states : sequence of Tensor
        Shape (num_layers * directions, N, width).
    broken : bool
        Whether sequences have lengths.

    Raises
    ------
    Refusal
        If a loop of it cannot be compiled, or does not stand alone, or no gradient is wanted.
    """

    def __init__(
        self, layer: Layered, input: Tensor, states: Sequence[Tensor], broken: bool
    ) -> None:
        self._zeros = [make(numpy.zeros(s.shape, s._array.dtype), None) for s in states]
        self._directions = ("", "_reverse") if layer.bidirectional else ("",)
        self._endings = [
            f"_l{number}{direction}"
            for number in range(layer.num_layers)
            for direction in self._directions
        ]
        self._states, self._width = len(states), states[0].shape[-1]
        runs = [layer._run_of(ending) for ending in self._endings]
        arguments = [input, *states]
        self._parameters, self._names, self._cells = (
            [],
            [list(p) for _, p in runs],
            [c for c, _ in runs],
        )
        for _, parameters in runs:
            self._parameters.append(slice(len(arguments), len(arguments) + len(parameters)))
            arguments += parameters.values()
        self._kinds = [_kind(t) for t in arguments]
        self.wanted = tuple([i for i, t in enumerate(arguments) if t._tracked])
        if not self.wanted:
            raise Refusal("no gradient is wanted")
        self._threads = get_num_threads()
        self._lessons: list[Lesson] = []
        x, first = input, 1 + len(states)
        for number, (cell, parameters) in enumerate(runs):
            layered = number // len(self._directions)
            if number and number % len(self._directions) == 0:
                width = self._width * len(self._directions)
                like = numpy.broadcast_to(input._array[..., :1], (*input.shape[:2], width))
                x = make(like, None)
            asked = [first + i for i, p in enumerate(parameters.values()) if p._tracked]
            if layered or input._tracked:
                asked.insert(0, 0)
            ends = [make(s._array[number], None) for s in states]
            back = self._endings[number].endswith("_reverse")
            self._lessons.append(Lesson(cell, [x], ends, parameters, asked, broken, back))

    def run(
        self, layer: Layered, input: Tensor, hx: Any, lengths: Any
    ) -> tuple[Tensor, Any] | None:
        """Run the layer, see `Recurrent`; None if an argument is of another kind, or a wrong one."""
        states = self._zeros if hx is None else hx if isinstance(hx, tuple) else (hx,)
        arguments = [input, *states]
        for ending, lesson in zip(self._endings, self._lessons, strict=True):
            cell, parameters = layer._run_of(ending)
            if lesson.is_changed(cell):
                return None
            arguments += parameters.values()
        try:
            is_known = [_kind(t) for t in arguments] == self._kinds
        except AttributeError:  # no tensor: this is told by who checks it
            return None
        if not is_known or self._threads != get_num_threads():
            return None
        rows = None
        if lengths is not None:
            steps, count, _ = input.shape
            rows = rows_of(self._lessons[0].where, steps, count, "cpu", lengths, None, None)
            if rows is not None and rows.nobody:
                return None
        results = dispatch.apply(_LAYER, tuple(arguments), {"training": self, "rows": rows})
        finals = results[1 : 1 + self._states]
        return results[0], finals if len(finals) > 1 else finals[0]

    def forward(self, arrays: Sequence[Any], rows: Rows | None) -> tuple[Any, ...]:
        """Return the outputs, the final states, what each loop has kept, and what goes between layers.

        Parameters
        ----------
        arrays : sequence of array
            The input, the initial states, and the parameters.
        rows : Rows, optional
            Which rows take part in which step; None if all do.
        """
        rows = rows and rows.as_arrays()
        x, states = arrays[0], arrays[1 : 1 + self._states]
        ends, kept, between, outputs = [], [], [], []
        for number, lesson in enumerate(self._lessons):
            starts = [state[number] for state in states]
            given = arrays[self._parameters[number]]
            output, finals, memory = lesson.forward([x], starts, given, rows)
            outputs.append(output)
            ends.append(finals)
            kept.append(memory)
            if len(outputs) == len(self._directions):
                x = outputs[0] if len(outputs) == 1 else side_by_side(outputs)
                between.append(x)
                outputs = []
        return (x, *_stacked(ends), *kept, *between[:-1])

    def backward(
        self,
        arrays: Sequence[Any],
        rows: Rows | None,
        results: Sequence[Any],
        cotangents: Sequence[Any],
    ) -> list[Any]:
        """Return the cotangents of all arguments; None if one is not wanted.

        Parameters
        ----------
        arrays, rows, results
            The arguments and results of `forward`.
        cotangents : sequence of array or None
            Of the results.
        """
        rows = rows and rows.as_arrays()
        first, count = 1 + self._states, len(self._directions)
        kept = results[first : first + len(self._lessons)]
        inputs = [arrays[0], *results[first + len(self._lessons) :]]
        found: list[Any] = [None] * len(arrays)
        starts: list[Any] = [None] * len(self._lessons)
        g = numpy.zeros_like(results[0]) if cotangents[0] is None else cotangents[0]
        for number in reversed(range(len(self._lessons))):
            x, direction = inputs[number // count], number % count
            if direction == count - 1:
                outputs, g = g, None
            from_outputs = outputs
            if count > 1:
                columns = slice(direction * self._width, (direction + 1) * self._width)
                from_outputs = outputs[..., columns]
            given = [
                from_outputs,
                *(None if c is None else c[number] for c in cotangents[1:first]),
            ]
            place, before = self._parameters[number], [s[number] for s in arrays[1:first]]
            wanted, starts[number] = self._lessons[number].backward(
                [x], before, arrays[place], kept[number], given, rows
            )
            for i, array in wanted.items():
                if i > 0:
                    found[place.start + i - first] = array
                else:
                    g = array if g is None else g + array
        found[0] = g
        found[1:first] = _stacked(starts)
        return found

    def on_tensors(self, arguments: Sequence[Tensor], rows: Rows | None) -> list[Tensor]:
        """Return the outputs and the final states, by a loop for each layer and direction."""
        x, states = arguments[0], arguments[1 : 1 + self._states]
        lengths = None if rows is None else rows.lengths
        ends, outputs = [], []
        for number, cell in enumerate(self._cells):
            parameters = dict(
                zip(self._names[number], arguments[self._parameters[number]], strict=True)
            )
            back = self._endings[number].endswith("_reverse")
            starts = [state[number] for state in states]
            output, finals = scan(cell, x, starts, parameters, lengths=lengths, reverse=back)
            outputs.append(output)
            ends.append(finals)
            if len(outputs) == len(self._directions):
                x, outputs = concat(outputs, axis=-1), []
        return [x, *(stack(parts) for parts in zip(*ends, strict=True))]

    def __repr__(self) -> str:
        return f"cell {self._cells[0].__name__!r}"


def _kind(t: Tensor) -> tuple[Any, ...]:
    array = t._array
    return t._tracked, type(array), array.shape, array.dtype


def _stacked(ends: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the states of all layers and directions together; of a single one a view."""
    if len(ends) == 1:
        return [array.reshape(1, *array.shape) for array in ends[0]]
    return [numpy.stack(parts) for parts in zip(*ends, strict=True)]


def _formula(m: Any, *arrays: Any, training: LayerTraining, rows: Rows | None) -> tuple[Any, ...]:
    return training.forward(arrays, rows)


def _rule(
    m: Any, g: Any, y: Any, *arguments: Any, training: LayerTraining, rows: Rows | None
) -> tuple[Any, ...]:
    if any(isinstance(part, Tensor) for part in g):
        again = partial(training.on_tensors, rows=rows)
        return replayed(again, arguments, training.wanted, g)
    return tuple(training.backward(arguments, rows, y, g))


_LAYER = Op("recurrent", _formula, _rule, domain=Domain(), joint=True, takes_none=True, saves="all")
