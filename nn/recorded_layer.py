"""Recurrent layers with gradients: all loops of a layer are a single record on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy

from minigrad import dispatch
from minigrad.kernels.cell import CellFunction
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.runtime.eager import replayed
from minigrad.kernels.runtime.known_loop import KnownLoop
from minigrad.kernels.runtime.rows import Rows
from minigrad.kernels.runtime.session import kind_of, side_by_side
from minigrad.kernels.scan import scan
from minigrad.nn.layer_loops import Layered, given_states, loops_of
from minigrad.op import Domain, Op
from minigrad.ops.shape import concat, expand_dims, squeeze, stack, swapaxes
from minigrad.tensor import Tensor, make
from minigrad.threads import get_num_threads


@dataclass(frozen=True)
class _Part:
    """A loop of a layer: the names of its parameters, and which of the layer's arguments they are."""

    ending: str
    reverse: bool
    cell: CellFunction
    names: tuple[str, ...]
    place: slice
    run: KnownLoop


class RecordedLayer:
    """Runs a layer as it has been run before: on arguments of the same shapes and dtypes.

    Parameters
    ----------
    layer : Layered
    input : Tensor
        As the layer is called with it: a batch or a single sequence.
    states : sequence of Tensor
        Shape (num_layers * directions, N, width), or without N.
    broken : bool
        Whether sequences have lengths or a mask.

    Raises
    ------
    Refusal
        If a loop of it cannot be compiled, or does not stand alone, or no gradient is wanted.
    """

    def __init__(
        self, layer: Layered, input: Tensor, states: Sequence[Tensor], broken: bool
    ) -> None:
        self._threads = get_num_threads()
        self._zeros = [make(numpy.zeros_like(state._array), None) for state in states]
        self._given = [_kind(state) for state in states]
        self._batched = input.ndim == 3
        self._swapped = self._batched and layer.batch_first
        input, states = self._in_order(input, states)
        self._states, self._width = len(states), states[0].shape[-1]
        self._directions = 2 if layer.bidirectional else 1
        self._parts: list[_Part] = []
        arguments = [input, *states]
        for ending, level, reverse, cell, parameters, x, ends in loops_of(layer, input, states):
            place = slice(len(arguments), len(arguments) + len(parameters))
            wanted = [0] if level or input._tracked else []
            given = enumerate(parameters.values(), 1 + len(states))
            wanted += [i for i, parameter in given if parameter._tracked]
            run = KnownLoop(cell, [x], ends, parameters, input.shape[0], wanted, broken, reverse)
            part = _Part(ending, reverse, cell, tuple(parameters), place, run)
            self._parts.append(part)
            arguments += parameters.values()
        self._kinds = [_kind(t) for t in arguments[1 + self._states :]]
        self._wanted = tuple([i for i, t in enumerate(arguments) if t._tracked])
        if not self._wanted:
            raise Refusal("no gradient is wanted")

    def _in_order(self, input: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the input with T first, then N, and the states with N."""
        if not self._batched:
            return expand_dims(input, 1), [expand_dims(state, 1) for state in states]
        return swapaxes(input, 0, 1) if self._swapped else input, states

    def run(
        self, layer: Layered, input: Tensor, hx: Any, rows: Rows | None
    ) -> tuple[Tensor, Any] | None:
        """Run the layer, see `Recurrent`; None if states or parameters are of other kinds."""
        states = self._zeros if hx is None else given_states(layer, hx)
        if states is None or [_kind(s) for s in states] != self._given:
            return None
        parameters: list[Tensor] = []
        for part in self._parts:
            cell, own = layer._run_of(part.ending)
            if part.run.is_changed(cell):
                return None
            parameters += own.values()
        if [_kind(p) for p in parameters] != self._kinds or self._threads != get_num_threads():
            return None
        x, states = self._in_order(input, states)
        results = dispatch.apply(_LAYER, (x, *states, *parameters), {"layer": self, "rows": rows})
        output, finals = results[0], results[1 : 1 + self._states]
        if not self._batched:
            output, finals = squeeze(output, 1), tuple(squeeze(final, 1) for final in finals)
        elif self._swapped:
            output = swapaxes(output, 0, 1)
        return output, finals if len(finals) > 1 else finals[0]

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
        for number, part in enumerate(self._parts):
            starts = [state[number] for state in states]
            output, *finals, residuals = part.run.executable.forward(
                (x, *starts, *arrays[part.place]), rows
            )
            outputs.append(output)
            ends.append(finals)
            kept.append(residuals)
            if len(outputs) == self._directions:
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
        first, last = 1 + self._states, 1 + self._states + len(self._parts)
        kept, inputs = results[first:last], [arrays[0], *results[last:]]
        found: list[Any] = [None] * len(arrays)
        starts: list[Any] = [None] * len(self._parts)
        g = numpy.zeros_like(results[0]) if cotangents[0] is None else cotangents[0]
        for number in reversed(range(len(self._parts))):
            level, direction = divmod(number, self._directions)
            if direction == self._directions - 1:
                from_outputs, g = g, None
            columns = slice(direction * self._width, (direction + 1) * self._width)
            given = [
                from_outputs if self._directions == 1 else from_outputs[..., columns],
                *(None if c is None else c[number] for c in cotangents[1:first]),
            ]
            part, before = self._parts[number], [state[number] for state in arrays[1:first]]
            own = inputs[level], *before, *arrays[part.place]
            wanted = part.run.executable.backward(own, (None, *before, kept[number]), given, rows)
            starts[number] = [wanted.pop(i) for i in range(1, first)]
            if (array := wanted.pop(0, None)) is not None:
                g = array if g is None else g + array
            for i, array in wanted.items():
                found[part.place.start + i - first] = array
        found[0] = g
        found[1:first] = _stacked(starts)
        return found

    def replayed(
        self, arguments: Sequence[Tensor], rows: Rows | None, cotangents: Sequence[Any]
    ) -> tuple[Any, ...]:
        """Return the cotangents of all arguments as tensors that can be differentiated again."""
        again = partial(self._on_tensors, rows=rows)
        return replayed(again, arguments, self._wanted, cotangents)

    def _on_tensors(self, arguments: Sequence[Tensor], rows: Rows | None) -> list[Tensor]:
        """Return the outputs and the final states, by a loop for each layer and direction."""
        x, states = arguments[0], arguments[1 : 1 + self._states]
        lengths, mask = (None, None) if rows is None else (rows.lengths, rows.mask)
        ends, outputs = [], []
        for number, part in enumerate(self._parts):
            parameters = dict(zip(part.names, arguments[part.place], strict=True))
            output, finals = scan(
                part.cell,
                x,
                [state[number] for state in states],
                parameters,
                lengths=lengths,
                mask=mask,
                reverse=part.reverse,
            )
            outputs.append(output)
            ends.append(finals)
            if len(outputs) == self._directions:
                x, outputs = concat(outputs, axis=-1), []
        return [x, *(stack(parts) for parts in zip(*ends, strict=True))]

    def __repr__(self) -> str:
        return f"cell {self._parts[0].cell.__name__!r}"


def _kind(t: Tensor) -> tuple[Any, ...]:
    return t._tracked, *kind_of(t._array)


def _stacked(ends: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the states of all layers and directions together; of a single one a view."""
    if len(ends) == 1:
        return [array.reshape(1, *array.shape) for array in ends[0]]
    return [numpy.stack(parts) for parts in zip(*ends, strict=True)]


def _formula(m: Any, *arrays: Any, layer: RecordedLayer, rows: Rows | None) -> tuple[Any, ...]:
    return layer.forward(arrays, rows)


def _rule(
    m: Any, g: Any, y: Any, *arguments: Any, layer: RecordedLayer, rows: Rows | None
) -> tuple[Any, ...]:
    if any(isinstance(part, Tensor) for part in g):
        return layer.replayed(arguments, rows, g)
    return tuple(layer.backward(arguments, rows, y, g))


_LAYER = Op("recurrent", _formula, _rule, domain=Domain(), joint=True, takes_none=True, saves="all")
