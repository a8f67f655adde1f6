"""Compiled recurrent layers, specialised to kinds of input: sequences, steps, gradients or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy

from minigrad import dispatch
from minigrad.errors import KernelError, MinigradError
from minigrad.kernels.runtime.rows import Rows
from minigrad.kernels.runtime.session import Stream, kind_of, side_by_side
from minigrad.kernels.runtime.switch import switch
from minigrad.nn.layer_loops import Layered, given_states, loops_of
from minigrad.nn.recorded_layer import RecordedLayer
from minigrad.recent import Recent
from minigrad.tensor import Tensor, make

_MOST = 128  # streams of a layer
# of the input: whether its gradient is recorded, None if nothing is; whether it has T, and whether that
# is its second axis; whether there are lengths or a mask; its type, its shape and its dtype
Kind = tuple[bool | None, bool, bool, bool, type[Any], tuple[int, ...], Any]


class LayerStream:
    """Runs a layer without gradients as before: on inputs and states of the same shapes and dtypes.

    It checks nothing: what is not of kinds that the layer has checked before, it does not run.

    Parameters
    ----------
    layer : Recurrent
    input : Tensor
        As the layer is called with it: a batch or a single sequence, or a step of these.
    states : sequence of Tensor
        Shape (num_layers * directions, N, width), or without N.
    whole : bool
        Whether the input has T.
    broken : bool
        Whether sequences have lengths or a mask.
    on_change : callable
        See `minigrad.kernels.runtime.session.Stream`.
    """

    def __init__(
        self,
        layer: Layered,
        input: Tensor,
        states: Sequence[Tensor],
        whole: bool,
        broken: bool,
        on_change: Callable[[], None],
    ) -> None:
        self._states = [kind_of(state._array) for state in states]
        self._zeros = [numpy.zeros_like(state._array) for state in states]
        self._whole, self._batched = whole, input.ndim == (3 if whole else 2)
        self._swapped = whole and self._batched and layer.batch_first
        x = self._time_first(input._array)
        first = make(x, None)
        batched = [make(a, None) for a in self._with_rows(self._zeros)]
        steps = len(x) if whole else None
        self._layers: list[list[tuple[str, Stream]]] = [[] for _ in range(layer.num_layers)]
        for ending, level, reverse, cell, parameters, x, ends in loops_of(layer, first, batched):
            stream = Stream(cell, [x], ends, parameters, steps, reverse, broken, on_change)
            self._layers[level].append((ending, stream))

    def _time_first(self, array: Any) -> Any:
        """Return the input with T first, if it has T, then N."""
        if not self._batched:
            return array[:, None] if self._whole else array[None]
        return array.swapaxes(0, 1) if self._swapped else array

    def _with_rows(self, states: Sequence[Any]) -> Sequence[Any]:
        return states if self._batched else [state[:, None] for state in states]

    def run(
        self, layer: Layered, input: Tensor, hx: Any, rows: Rows | None
    ) -> tuple[Tensor, Any] | None:
        """Run the layer, see `Recurrent`; None if states or parameters are of other kinds."""
        arrays = self._zeros
        if hx is not None:
            given = given_states(layer, hx)
            if given is None:
                return None
            arrays = [state._array for state in given]
            if [kind_of(array) for array in arrays] != self._states:
                return None
        x, there = self._time_first(input._array), rows and rows.as_arrays()
        starts_of = self._with_rows(arrays)
        ends: list[Any] = []
        for streams in self._layers:
            outputs = []
            for ending, stream in streams:
                cell, parameters = layer._run_of(ending)
                starts = [array[len(ends)] for array in starts_of]
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
            for array, (_, shape, _) in zip(columns, self._states, strict=True)
        ]
        if not self._batched:
            x = x[:, 0] if self._whole else x[0]
        output = make(x.swapaxes(0, 1) if self._swapped else x, None)
        return output, tuple(finals) if len(finals) > 1 else finals[0]

    def release(self) -> None:
        """Let go what is packed of parameters."""
        for streams in self._layers:
            for _, stream in streams:
                stream.release()


def is_recorded() -> bool | None:
    """Say whether loops are recorded; None if somebody looks at each op, or loops are interpreted."""
    interpreter = dispatch.current()
    if getattr(interpreter, "checking", True) or switch.is_off:
        return None
    return bool(getattr(interpreter, "tracking", True))


class LayerStreams:
    """The streams of a layer, one for each kind of input that it has got twice.

    None of them refuses anything: what they do not run goes through all checks of the layer.
    """

    def __init__(self) -> None:
        self._known: Recent[Kind, list[LayerStream | RecordedLayer]] = Recent(_MOST)

    def run(
        self,
        layer: Layered,
        input: Any,
        hx: Any,
        recorded: bool,
        whole: bool,
        lengths: Any = None,
        mask: Any = None,
    ) -> tuple[Tensor, Any] | None:
        """Run the layer on its arguments; None if there is no stream for them yet."""
        if type(input) is not Tensor or _drops(layer):
            return None
        rows = None
        if lengths is not None or mask is not None:
            if input.ndim not in (2, 3) or (input.ndim == 2 and lengths is not None):
                return None
            try:
                rows = layer._rows(input, lengths, mask)
            except MinigradError:  # the checks say so, in their order
                return None
            if rows is not None and rows.nobody:
                return None
        streams = self._known.get(_kind(layer, input, recorded, whole, rows is not None))
        return streams[0].run(layer, input, hx, rows) if streams else None

    def add(
        self,
        layer: Layered,
        input: Tensor,
        states: Sequence[Tensor],
        recorded: bool,
        whole: bool,
        broken: bool,
    ) -> None:
        """Note a run on checked arguments; the second time make a stream, if there can be one."""
        if _drops(layer) or not isinstance(input._array, numpy.ndarray):  # loops are the CPU's
            return
        kind = _kind(layer, input, recorded, whole, broken)
        made: list[LayerStream | RecordedLayer] = []
        if self._known.get(kind) is not None:
            with suppress(KernelError):
                if recorded:
                    made.append(RecordedLayer(layer, input, states, broken))
                else:
                    made.append(LayerStream(layer, input, states, whole, broken, self._release))
        self._known.put(kind, made)

    def _release(self) -> None:
        """Let go what all streams have packed: the parameters have changed."""
        for streams in self._known.values():
            for stream in streams:
                if isinstance(stream, LayerStream):
                    stream.release()


def _kind(layer: Layered, input: Tensor, recorded: bool, whole: bool, broken: bool) -> Kind:
    tracked = input._tracked if recorded else None
    array = input._array
    return tracked, whole, layer.batch_first, broken, type(array), array.shape, array.dtype


def _drops(layer: Layered) -> bool:
    """Say whether each run drops something else."""
    return layer.training and layer.dropout > 0 and layer.num_layers > 1
