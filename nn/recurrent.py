"""Layers that run a cell over sequences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy

from minigrad.errors import ArgumentError, ShapeError, user_stacklevel
from minigrad.kernels import CellFunction, scan
from minigrad.kernels.runtime.checkpointing import check_checkpoint_every
from minigrad.kernels.runtime.rows import Rows, on_host, rows_of
from minigrad.nn.cell import Cell
from minigrad.nn.cell_layer import CellLayer
from minigrad.nn.checks import check_counts, check_dropout, check_flags
from minigrad.nn.dropout import Dropout
from minigrad.nn.stream import LayerStreams, is_recorded
from minigrad.nn.substitution import original_of
from minigrad.ops.shape import concat, expand_dims, reshape, squeeze, stack, swapaxes
from minigrad.tensor import Tensor

# how each layer is run without gradients, once it has been
_streams: WeakKeyDictionary[Recurrent, LayerStreams] = WeakKeyDictionary()


class Recurrent(CellLayer):
    """Layers of any cell over sequences, with PyTorch's names of parameters.

    Parameters
    ----------
    cell : CellFunction or type
        A function with ``params``, see `minigrad.kernels.cell`; or a subclass of `nn.Cell`, of which
        the layer makes one for each of its layers and directions.
    input_size : int
        The size of the last axis of the input.
    hidden_size : int
        The width of a state.
    num_layers : int
        Each further layer reads the outputs of the one before.
    batch_first : bool
        Whether inputs, outputs, ``mask`` and ``reset`` are (N, T, ...) instead of (T, N, ...).
    dropout : float
        Probability that an output of a layer, other than the last, is dropped in training.
    bidirectional : bool
        Whether each layer also has a cell that runs backwards in time. Its outputs stand behind the
        others on the last axis.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.
    **options : Any
        Passed to ``params`` of the cell, or to the subclass.

    Attributes
    ----------
    weight_ih_l0, weight_ih_l0_reverse, ... : Parameter
        The parameters of the cell, with the number of the layer, and of the direction back in time.
    l0, l0_reverse, ... : nn.Cell
        Instead of these, if the cell is a subclass of `nn.Cell`.

    Raises
    ------
    ArgumentError
        If a size is not positive, a flag is no bool, ``dropout`` is no probability, or the cell has
        no ``params`` or does not take an option.

    Warns
    -----
    UserWarning
        If ``dropout`` has no effect, because there is one layer only.

    Examples
    --------
    >>> layer = nn.Recurrent(nn.cells.mgu, 3, 4, num_layers=2)
    >>> output, h = layer(mg.zeros((7, 2, 3)))
    >>> output.shape, h.shape
    ((7, 2, 4), (2, 2, 4))
    """

    _shows_cell: ClassVar[bool] = True

    def __init__(
        self,
        cell: CellFunction | type[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(cell, input_size, hidden_size, options)
        name = type(self).__name__
        (num_layers,) = check_counts(name, num_layers=num_layers)
        check_flags(name, batch_first=batch_first, bidirectional=bidirectional)
        (dropout,) = check_dropout(name, dropout=dropout)
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} acts between layers, and there is only one, so it does "
                "nothing; set num_layers=2 or more, or apply a Dropout to the output",
                stacklevel=user_stacklevel(),
            )
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = dropout, bidirectional
        self._directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            for direction in self._directions:
                width = self._widths[0] * len(self._directions) if layer else self.input_size
                self._make(f"_l{layer}{direction}", width, device, dtype)

    def forward(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        reset: Any = None,
        checkpoint_every: int | None = None,
    ) -> tuple[Tensor, Any]:
        """Run over a batch of sequences, or over a single one.

        Parameters
        ----------
        input : Tensor
            Shape (T, N, input_size), or (N, T, input_size) with ``batch_first``; of a single sequence
            (T, input_size).
        hx : Tensor or tuple of Tensor, optional
            The initial state, or all of them if the cell has several; zeros by default. Each has the
            shape (num_layers * directions, N, width), of a single sequence without N. The width is
            ``hidden_size`` unless the cell says otherwise.
        lengths : sequence or tensor of int, optional
            Shape (N,), in any order: how many steps of each sequence are real. What stands behind them
            is never read. Outputs are zero there, final states are those of the last real step, and
            the direction back in time begins there.
        mask : tensor of bool, optional
            Shape (T, N): where it is false the state is carried and the output is zero.
        reset : tensor of bool, optional
            Shape (T, N): where it is true another sequence begins, from the initial state.
        checkpoint_every : int, optional
            Keep nothing for the backward pass but inputs, outputs and the states after every so many
            steps, and compute what is between them again there: less memory, about a third more time.

        Returns
        -------
        output : Tensor
            As ``input``, with (width of the first state) * directions last: that state of the last
            layer at each step.
        state : Tensor or tuple of Tensor
            The final state or states, as ``hx``.

        Raises
        ------
        ShapeError
            If ``input``, a state, ``lengths``, ``mask`` or ``reset`` has another shape.
        DtypeError
            If ``input`` holds integers, or its dtype is not that of the weights and states; if
            lengths are no integers, or flags are not bool.
        BackendError
            If ``input``, the states and the weights are on different devices.
        ArgumentError
            If there are more or fewer states than the cell has, a length is negative or beyond T, or
            ``checkpoint_every`` is not positive or given with ``reset``.
        """
        simple = reset is None and checkpoint_every is None
        recorded = is_recorded() if simple else None
        streams = _streams_of(self)
        if recorded is not None:
            found = streams.run(self, input, hx, recorded, True, lengths, mask)
            if found is not None:
                return found
        input = self._checked_input(input, ("N", "T") if self.batch_first else ("T", "N"))
        batched = input.ndim == 3
        if not batched and lengths is not None:
            raise ArgumentError(
                f"{type(self).__name__}: lengths are for a batch, and the input is a single sequence "
                f"of shape {input.shape}; cut it instead: input[:length]"
            )
        x = self._swapped(input) if batched else expand_dims(input, 1)
        runs = self.num_layers * len(self._directions)
        initial = self._checked_states(hx, input, (runs, x.shape[1]) if batched else (runs,))
        states = initial if batched else tuple(expand_dims(s, 1) for s in initial)
        rows = self._rows(input, lengths, mask, reset)
        if checkpoint_every is not None:
            check_checkpoint_every(type(self).__name__, checkpoint_every, reset)
        if recorded is not None:
            streams.add(self, input, initial, recorded, True, rows is not None)
        output, finals = self._run(x, states, rows, checkpoint_every)
        if batched:
            output = self._swapped(output)
        else:
            output, finals = squeeze(output, 1), tuple(squeeze(s, 1) for s in finals)
        return output, finals if len(finals) > 1 else finals[0]

    def step(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """Take one time step, for data that arrive step by step.

        ``output, state = layer.step(x, state)`` for each ``x`` of a sequence gives what calling the layer
        with the sequence gives.

        Parameters
        ----------
        input : Tensor
            One step: shape (N, input_size), of a single sequence (input_size,).
        hx : Tensor or tuple of Tensor, optional
            The state before it, of the shape that `forward` has; zeros by default.

        Returns
        -------
        output : Tensor
            Shape (N, width of the first state), of a single sequence without N.
        state : Tensor or tuple of Tensor
            The state or states after it, as ``hx``.

        Raises
        ------
        ArgumentError
            If the layer is bidirectional, or there are more or fewer states than the cell has.
        ShapeError, DtypeError, BackendError
            As for `forward`.
        """
        following = is_recorded() is False
        streams = _streams_of(self)
        if following:
            found = streams.run(self, input, hx, False, False)
            if found is not None:
                return found
        if self.bidirectional:
            raise ArgumentError(
                f"{type(self).__name__}: a bidirectional layer reads a sequence from its end, too, and "
                "cannot take one step; call it with the sequence, or make it with bidirectional=False"
            )
        input = self._checked_input(input, ("N",))
        batched = input.ndim == 2
        states = self._checked_states(hx, input, (self.num_layers, *input.shape[:-1]))
        if following:
            streams.add(self, input, states, False, False, False)
        x = input if batched else expand_dims(input, 0)
        starts = states if batched else [expand_dims(s, 1) for s in states]
        output, finals = self._run(expand_dims(x, 0), starts)
        ends = finals if batched else tuple(squeeze(s, 1) for s in finals)
        return output[0] if batched else output[0, 0], ends if len(ends) > 1 else ends[0]

    def _rows(self, input: Tensor, lengths: Any, mask: Any, reset: Any = None) -> Rows | None:
        """Return which rows of the input take part in which step; None if all do."""
        if lengths is None and mask is None and reset is None:
            return None
        name, shape = type(self).__name__, input.shape[:-1]
        flags = []
        for key, given in (("mask", mask), ("reset", reset)):
            flag = None if given is None else on_host(given)
            if flag is not None and flag.shape != shape:
                raise ShapeError(
                    f"{name}: {key} has shape {flag.shape}; it must be {shape}, one flag for each step "
                    "of the input"
                )
            if flag is not None:
                flag = flag[:, None] if len(shape) == 1 else flag.T if self.batch_first else flag
            flags.append(flag)
        steps, count = (*shape, 1) if len(shape) == 1 else shape[:: -1 if self.batch_first else 1]
        return rows_of(name, steps, count, input.device, lengths, *flags)

    def _swapped(self, t: Any) -> Any:
        """Return ``t`` with time first, or the other way round."""
        return swapaxes(t, 0, 1) if self.batch_first else t

    def _run(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        rows: Rows | None = None,
        checkpoint_every: int | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all layers over ``x`` (T, N, width), from states (num_layers * directions, N, width)."""
        flags: list[dict[str, Any]] = [{}, {}]
        if rows is not None:
            given = {"lengths": rows.lengths, "mask": rows.mask}
            ends = None if rows.reset is None else _last_steps(rows.reset)
            flags = [{**given, "reset": rows.reset}, {**given, "reset": ends}]
        finals, starts = [], zip(*states, strict=True)
        for layer in range(self.num_layers):
            if layer and self.training:
                x = Dropout(self.dropout)(x)
            outputs = []
            for direction in self._directions:
                cell, parameters = self._run_of(f"_l{layer}{direction}")
                back = direction == "_reverse"
                output, final = scan(
                    cell,
                    x,
                    next(starts),
                    parameters,
                    reverse=back,
                    checkpoint_every=checkpoint_every,
                    **flags[back],
                )
                outputs.append(output)
                finals.append(final)
            x = concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        return x, tuple(_stacked(parts) for parts in zip(*finals, strict=True))

    def extra_repr(self) -> str:
        sizes = super().extra_repr()
        return f"{self.cell.__name__}, {sizes}" if self._shows_cell else sizes


def _streams_of(layer: Recurrent) -> LayerStreams:
    layer = original_of(layer)  # parameters are arguments of a stream
    found = _streams.get(layer)
    if found is None:
        found = _streams[layer] = LayerStreams()
    return found


def _stacked(states: Sequence[Tensor]) -> Tensor:
    """Return the states of all layers and directions; of a single one a view."""
    first = states[0]
    joined: Tensor = stack(states) if len(states) > 1 else reshape(first, (1, *first.shape))
    return joined


def _last_steps(reset: Any) -> Any:
    """Return where a sequence ends: there it begins for the direction back in time."""
    return numpy.concatenate([reset, numpy.zeros_like(reset, shape=(1, *reset.shape[1:]))])[1:]
