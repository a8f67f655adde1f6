"""Recurrent layers that look at a memory at every step: a plain step, with the memory carried along."""

from __future__ import annotations

from typing import Any

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError
from minigrad.kernels import CellFunction, scan
from minigrad.kernels.runtime.specialization import interpreted
from minigrad.nn.attention.layers import Attention
from minigrad.nn.attention.memory import Memory
from minigrad.nn.attention.pooling import checked_attention
from minigrad.nn.cell import Cell
from minigrad.nn.checks import check_counts, checked_input
from minigrad.nn.module import Module
from minigrad.nn.module_step import ModuleStep
from minigrad.nn.recurrent import Recurrent
from minigrad.ops.shape import concat, split, stack
from minigrad.tensor import Tensor

_POSITIONS = 2  # of the memory that `explain` shows: any number


class AttentionRecurrent(Module):
    """Recurrent layers with attention: what was looked at is part of the next input (Luong 2015).

    At each step the layers read the input beside the context of the step before. The state of the last
    layer is the query for the new context.

    The loop is interpreted today: its step is marked, so that no warning says so. It compiles as soon as
    the compiler takes it. `Decoder` with ``input_feeding=False`` runs at full speed.

    Parameters
    ----------
    cell : CellFunction or type
        As for `Recurrent`.
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    attention : Attention
        For queries of the width of the last layer's first state.
    num_layers : int
        Each further layer reads the outputs of the one before.
    device : str, optional
        Where the parameters of the layers are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        Their dtype; by default the default dtype, float32.
    **options : Any
        Of the cell, as for `Recurrent`.

    Attributes
    ----------
    layers : Recurrent
        For inputs of ``input_size + attention.memory_size``.
    attention : Attention

    Raises
    ------
    ArgumentError
        If a size is not positive, or ``attention`` is no attention layer for such queries.

    Examples
    --------
    >>> layer = nn.attention.AttentionRecurrent(nn.cells.gru, 3, 4, nn.DotAttention(4))
    >>> memory = layer.attention.prepare(mg.ones((5, 2, 4)), lengths=[5, 3])
    >>> output, (h, context) = layer(mg.ones((7, 2, 3)), memory)
    >>> output.shape, h.shape, context.shape
    ((7, 2, 8), (1, 2, 4), (2, 4))
    """

    def __init__(
        self,
        cell: CellFunction | type[Cell],
        input_size: int,
        hidden_size: int,
        attention: Attention,
        num_layers: int = 1,
        *,
        device: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        name = type(self).__name__
        checked_attention(name, attention)
        (self.input_size,) = check_counts(name, input_size=input_size)
        width = self.input_size + attention.memory_size
        self.layers = Recurrent(
            cell, width, hidden_size, num_layers, device=device, dtype=dtype, **options
        )
        check_forward(name, self.layers)
        self.hidden_size = self.layers.hidden_size
        checked_attention(name, attention, query_size=self.layers._widths[0])
        self.attention = attention
        widths, seen, many = self.layers._widths, attention.memory_size, _POSITIONS
        sizes: dict[str, Any] = {
            "output": widths[0] + seen,
            "packed": self.layers.num_layers * sum(widths),
            "keys": (many, attention.key_size),
            "values": (many, seen),
            "allowed": many,
        }
        self._step = ModuleStep(self, tuple(sizes), sizes)

    @property
    def cell(self) -> ModuleStep:
        """The step as a function of the parameters and buffers, for `minigrad.kernels.scan`."""
        return interpreted(self._step)

    def step(
        self, x: Any, output: Any, packed: Any, keys: Any, values: Any, allowed: Any
    ) -> tuple[Any, ...]:
        """Take one step, also of a loop.

        Parameters
        ----------
        x : Tensor
            Shape (N, input_size).
        output : Tensor
            Shape (N, width of the first state + memory_size): of the step before.
        packed : Tensor
            Shape (N, sum of the widths of all states of all layers).
        keys, values, allowed : Tensor
            The parts of a `Memory`: shapes (N, S, key size), (N, S, memory_size) and (N, S).

        Returns
        -------
        tuple of Tensor
            The new states, of the same shapes.
        """
        widths = self.layers._widths
        x = concat([x, output[:, widths[0] :]], axis=-1)
        old = split(packed, list(widths) * self.layers.num_layers, axis=-1)
        new: list[Any] = []
        for layer in range(self.layers.num_layers):
            states = old[layer * len(widths) : (layer + 1) * len(widths)]
            new += self.layers._one_step(f"_l{layer}", x, states)
            x = new[layer * len(widths)]
        context, _ = self.attention.attend(x, Memory(keys, values, allowed))
        return concat([x, context], axis=-1), concat(new, axis=-1), keys, values, allowed

    def forward(
        self,
        input: Tensor,
        memory: Memory,
        hx: Any = None,
        context: Tensor | None = None,
        *,
        lengths: Any = None,
    ) -> tuple[Tensor, tuple[Any, Tensor]]:
        """Run over a batch of sequences.

        Parameters
        ----------
        input : Tensor
            Shape (T, N, input_size); or (N, input_size) of a single step.
        memory : Memory
            What ``attention.prepare`` returned for N sequences.
        hx : Tensor or tuple of Tensor, optional
            The initial state or states, shape (num_layers, N, width); zeros by default.
        context : Tensor, optional
            What was looked at before, shape (N, memory_size); zeros by default.
        lengths : sequence or Tensor of int, optional
            Shape (N,): how many steps of each sequence are real.

        Returns
        -------
        output : Tensor
            Shape (T, N, width of the first state + memory_size): the first state of the last layer, then
            the context. Of a single step without T.
        state : tuple
            The final ``hx`` and ``context``.

        Raises
        ------
        ShapeError
            If an argument has another shape.
        DtypeError
            If ``input`` does not hold floating-point numbers, or dtypes differ.
        ArgumentError
            If there are more or fewer states than the cell has, or a length is not one.
        """
        name = type(self).__name__
        input = checked_input(name, input, next(self.layers.parameters(), None))
        rows = memory.values.shape[0]
        if input.ndim not in (2, 3) or input.shape[-2:] != (rows, self.input_size):
            raise ShapeError(
                f"{name}: the input has shape {input.shape}; for this memory of N={rows} it must be "
                f"(T, {rows}, {self.input_size}), or that without T for one step"
            )
        layers = self.layers
        widths, seen = layers._widths, self.attention.memory_size
        states = layers._checked_states(hx, input, (layers.num_layers, rows))
        if context is None:
            context = zeros((rows, seen), dtype=input.dtype, device=input.device)
        parts = [state[layer] for layer in range(layers.num_layers) for state in states]
        output = concat([parts[-len(widths)], context], axis=-1)
        start = output, concat(parts, axis=-1), *memory
        if input.ndim == 2:
            new = self.step(input, *start)
            outputs = new[0]
        else:
            outputs, new = scan(self.cell, input, start, self.cell.tensors(), lengths=lengths)
        found = split(new[1], list(widths) * layers.num_layers, axis=-1)
        finals = tuple(stack(found[i :: len(widths)]) for i in range(len(widths)))
        return outputs, (finals if len(finals) > 1 else finals[0], new[0][:, widths[0] :])


def check_forward(of: str, layers: Recurrent) -> None:
    """Refuse layers that cannot be taken step by step, or that would be taken without their dropout.

    Raises
    ------
    ArgumentError
    """
    for option in ("bidirectional", "batch_first", "dropout"):
        if getattr(layers, option):
            raise ArgumentError(
                f"{of}: it goes forward step by step, with time first and nothing dropped between its "
                f"layers; leave out {option}"
            )
