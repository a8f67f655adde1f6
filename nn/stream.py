"""Recurrent layers over inputs like those of before: sequences and single steps, begun soon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from minigrad import dispatch
from minigrad.errors import KernelError
from minigrad.kernels.rows import Rows, rows_of
from minigrad.kernels.stream import Stream, side_by_side
from minigrad.kernels.switch import switch
from minigrad.kernels.trace import name_of
from minigrad.nn.layer_loops import Layered, loops_of
from minigrad.nn.recorded_layer import RecordedLayer
from minigrad.tensor import Tensor, make

_MOST = 8  # streams of a layer
# of the input: whether its gradient is recorded, None if nothing is; whether it is a whole sequence, and
# has lengths; its shape and its dtype
Kind = tuple[bool | None, bool, bool, tuple[int, ...], Any]


class LayerStream:
    """Runs a layer without gradients as before: on inputs and states of the same shapes and dtypes.

    Parameters
    ----------
    layer : Recurrent
    input : Tensor
        Shape (T, N, input_size), or without T of a single step, which may be without N, too.
    states : sequence of Tensor
        Shape (num_layers * directions, N, width), or without N.
    whole : bool
        Whether the input has T.
    broken : bool
        Whether sequences have lengths.
    """

    def __init__(
        self, layer: Layered, input: Tensor, states: Sequence[Tensor], whole: bool, broken: bool
    ) -> None:
        self._states = [(state.shape, state._array.dtype) for state in states]
        rows = input.shape[:-1] if input.ndim > 1 else (1,)
        first = make(input._array.reshape(*rows, -1), None)
        shape = len(states[0]), rows[-1], -1
        batched = [make(state._array.reshape(shape), None) for state in states]
        self._zeros = [numpy.zeros(shape, kind) for shape, kind in self._states]
        self._output = (*input.shape[:-1], states[0].shape[-1])
        self._whole = whole
        steps = input.shape[0] if whole else None
        self._layers: list[list[tuple[str, Stream]]] = [[] for _ in range(layer.num_layers)]
        for ending, level, reverse, cell, parameters, x, ends in loops_of(layer, first, batched):
            stream = Stream(cell, [x], ends, parameters, steps, reverse, broken)
            self._layers[level].append((ending, stream))

    def run(
        self, layer: Layered, input: Tensor, hx: Any, rows: Rows | None
    ) -> tuple[Tensor, Any] | None:
        """Run the layer, see `Recurrent`; None if the states are of another kind, or wrong ones."""
        x, there = input._array, rows and rows.as_arrays()
        arrays = self._zeros
        if hx is not None:
            given = hx if isinstance(hx, tuple) else (hx,)
            arrays = [s._array for s in given if type(s) is Tensor]
            if [(array.shape, array.dtype) for array in arrays] != self._states:
                return None
        ends: list[Any] = []
        for streams in self._layers:
            outputs = []
            for ending, stream in streams:
                cell, parameters = layer._run_of(ending)
                starts = [array[len(ends)] for array in arrays]
                arrays_of = [p._array for p in parameters.values()]
                new = stream.take(cell, [x], starts, arrays_of, there)
                if new is None:
                    return None
                outputs.append(new[0])
                ends.append(new[1:] if self._whole else new)
            x = outputs[0] if len(outputs) == 1 else side_by_side(outputs)
        columns = ends[0] if len(ends) == 1 else map(numpy.stack, zip(*ends, strict=True))
        finals = [
            make(array.reshape(shape), None)
            for array, (shape, _) in zip(columns, self._states, strict=True)
        ]
        output = make(x if self._whole else x.reshape(self._output), None)
        return output, tuple(finals) if len(finals) > 1 else finals[0]


def is_recorded() -> bool | None:
    """Say whether loops are recorded; None if somebody looks at each op, or loops are interpreted."""
    interpreter = dispatch.current()
    if getattr(interpreter, "checking", True) or switch.is_off:
        return None
    return bool(getattr(interpreter, "tracking", True))


class LayerStreams:
    """The streams of a layer, one for each kind of input that it has got twice."""

    def __init__(self) -> None:
        self._streams: dict[Kind, LayerStream | RecordedLayer | None] = {}

    def run(
        self,
        layer: Layered,
        input: Any,
        hx: Any,
        recorded: bool,
        whole: bool,
        lengths: Any = None,
    ) -> tuple[Tensor, Any] | None:
        """Run the layer; None if no stream can do it, or there is none yet."""
        if type(input) is not Tensor or _drops(layer):
            return None
        rows = None
        if lengths is not None:
            if input.ndim != 3:
                return None
            rows = _rows_of(layer, input, lengths)
            if rows is not None and rows.nobody:
                return None
        array, tracked = input._array, input._tracked if recorded else None
        stream = self._streams.get((tracked, whole, rows is not None, array.shape, array.dtype))
        return None if stream is None else stream.run(layer, input, hx, rows)

    def add(
        self,
        layer: Layered,
        input: Tensor,
        states: Sequence[Tensor],
        recorded: bool,
        whole: bool,
        lengths: Any = None,
    ) -> None:
        """Note an input like this; make a stream for it the second time, if there can be one."""
        broken = lengths is not None and _rows_of(layer, input, lengths) is not None
        tracked = input._tracked if recorded else None
        kind = tracked, whole, broken, input.shape, input._array.dtype
        if _drops(layer):
            return
        if len(self._streams) >= _MOST:
            self._streams.clear()
        if kind not in self._streams:
            self._streams[kind] = None
            return
        try:
            if recorded:
                self._streams[kind] = RecordedLayer(layer, input, states, broken)
            else:
                self._streams[kind] = LayerStream(layer, input, states, whole, broken)
        except KernelError:
            self._streams[kind] = None


def _rows_of(layer: Layered, input: Tensor, lengths: Any) -> Rows | None:
    """Return which rows of a batch take part in which step; None if all do."""
    where = f"scan of step {name_of(layer.cell)!r}"
    steps, count, _ = input.shape
    return rows_of(where, steps, count, "cpu", lengths, None, None)


def _drops(layer: Layered) -> bool:
    """Say whether each run drops something else."""
    return layer.training and layer.dropout > 0 and layer.num_layers > 1
