"""Steps of a recurrent layer for data that arrive step by step, as fast as they can be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy

from minigrad.errors import KernelError
from minigrad.kernels.cell import Cell
from minigrad.kernels.stream import Stream
from minigrad.tensor import Tensor, make


class Layered(Protocol):
    """A layer that has a cell for each of its layers."""

    num_layers: int
    training: bool
    dropout: float

    def _run_of(self, ending: str) -> tuple[Cell, dict[str, Any]]: ...


class LayerStream:
    """Takes steps like one that the layer has taken: of the same shapes and dtypes.

    Parameters
    ----------
    layer : Recurrent
    input : Tensor
        Shape (N, input_size), or (input_size,).
    states : sequence of Tensor
        Shape (num_layers, N, width), or without N.
    """

    def __init__(self, layer: Layered, input: Tensor, states: Sequence[Tensor]) -> None:
        self._endings = [f"_l{number}" for number in range(layer.num_layers)]
        self._input = (input.shape, input._array.dtype)
        self._states = [(state.shape, state._array.dtype) for state in states]
        rows = (1,) if input.ndim == 1 else input.shape[:1]
        # for their shapes and dtypes alone
        ends = [make(state._array[0].reshape(*rows, -1), None) for state in states]
        x = make(input._array.reshape(*rows, -1), None)
        self._zeros = [numpy.zeros(shape, kind) for shape, kind in self._states]
        self._output = (*input.shape[:-1], states[0].shape[-1])
        self._streams = []
        for ending in self._endings:
            cell, parameters = layer._run_of(ending)
            self._streams.append(Stream(cell, [x], ends, parameters))
            x = ends[0]

    def step(self, layer: Layered, input: Any, hx: Any) -> tuple[Tensor, Any] | None:
        """Take one step, see `Recurrent.step`; None if it is another kind of step, or a wrong one."""
        if type(input) is not Tensor:
            return None
        x = input._array
        if (x.shape, x.dtype) != self._input:
            return None
        arrays = self._zeros
        if hx is not None:
            given = hx if isinstance(hx, tuple) else (hx,)
            arrays = [s._array for s in given if type(s) is Tensor]
            if [(array.shape, array.dtype) for array in arrays] != self._states:
                return None
        rows = []
        for number, (stream, ending) in enumerate(zip(self._streams, self._endings, strict=True)):
            _, parameters = layer._run_of(ending)
            starts = [array[number] for array in arrays]
            new = stream.take([x], starts, [p._array for p in parameters.values()])
            if new is None:
                return None
            x = new[0]
            rows.append(new)
        columns = rows[0] if len(rows) == 1 else map(numpy.stack, zip(*rows, strict=True))
        ends = [
            make(array.reshape(shape), None)
            for array, (shape, _) in zip(columns, self._states, strict=True)
        ]
        output = make(x.reshape(self._output), None)
        return output, tuple(ends) if len(ends) > 1 else ends[0]


def stream_of(layer: Any, input: Tensor, states: Sequence[Tensor]) -> LayerStream | None:
    """Return a stream for steps like this one; None if there cannot be one."""
    if layer.training and layer.dropout and layer.num_layers > 1:
        return None  # each step drops something else
    try:
        return LayerStream(layer, input, states)
    except KernelError:
        return None
