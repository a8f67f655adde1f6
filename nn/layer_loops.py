"""The loops that a recurrent layer consists of: one for each layer and direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy

from minigrad.kernels.cell import CellFunction
from minigrad.kernels.runtime.rows import Rows
from minigrad.tensor import Tensor, make


class Layered(Protocol):
    """A layer that has a cell for each of its layers."""

    cell: CellFunction
    num_layers: int
    training: bool
    dropout: float
    batch_first: bool
    bidirectional: bool

    def _run_of(self, ending: str) -> tuple[CellFunction, dict[str, Any]]: ...

    def _listed_states(self, hx: Any) -> Sequence[Any] | None: ...

    def _rows(self, input: Tensor, lengths: Any, mask: Any) -> Rows | None: ...


class LayerLoop(NamedTuple):
    """A loop of a layer, and tensors like its arguments.

    Attributes
    ----------
    ending : str
        Of the names of its parameters.
    level : int
        0 for what reads the input, 1 for what reads the outputs of that, ...
    reverse : bool
        Whether it goes through time backwards.
    cell : CellFunction
    parameters : dict of Tensor
        By the names that the cell uses.
    input : Tensor
        Shape (..., width). Of the input of a level behind the first one, shape and dtype alone count.
    states : list of Tensor
        Shape (N, width).
    """

    ending: str
    level: int
    reverse: bool
    cell: CellFunction
    parameters: dict[str, Any]
    input: Tensor
    states: list[Tensor]


def loops_of(layer: Layered, input: Tensor, states: Sequence[Tensor]) -> Iterator[LayerLoop]:
    """Yield the loops of a layer in the order in which they run.

    Parameters
    ----------
    layer : Layered
    input : Tensor
        Shape (T, N, input_size), or (N, input_size) of a single step.
    states : sequence of Tensor
        Shape (num_layers * directions, N, width).
    """
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    number = 0
    for level in range(layer.num_layers):
        for direction in directions:
            ending = f"_l{level}{direction}"
            cell, parameters = layer._run_of(ending)
            ends = [make(state._array[number], None) for state in states]
            yield LayerLoop(ending, level, bool(direction), cell, parameters, input, ends)
            number += 1
        shape = *input.shape[:-1], states[0].shape[-1] * len(directions)
        input = make(numpy.broadcast_to(input._array[..., :1], shape), None)


def given_states(layer: Layered, hx: Any) -> Sequence[Tensor] | None:
    """Return the states that a layer is given as ``hx``; None if they are no tensors."""
    given = layer._listed_states(hx)
    return given if given is not None and all(isinstance(s, Tensor) for s in given) else None
