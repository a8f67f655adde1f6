"""The decoder of sequences: input, cell, attention and readout, by given inputs or by its own outputs."""

from __future__ import annotations

from typing import Any, Literal

from minigrad import random
from minigrad.checks import check_integer, check_number
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.kernels import CellFunction
from minigrad.kernels.runtime.rows import rows_of
from minigrad.nn.attention.layers import Attention
from minigrad.nn.attention.pooling import checked_attention
from minigrad.nn.attention.recurrent import AttentionRecurrent, check_forward
from minigrad.nn.cell import Cell
from minigrad.nn.checks import check_counts, check_flags, checked_tensor
from minigrad.nn.decoder.state import DecoderState
from minigrad.nn.dropout import Dropout
from minigrad.nn.linear import Embedding, Linear
from minigrad.nn.losses.padding import with_lengths
from minigrad.nn.module import Module
from minigrad.nn.recurrent import Recurrent
from minigrad.ops.elementwise import tanh, where
from minigrad.ops.network import softmax
from minigrad.ops.reduce import argmax
from minigrad.ops.shape import broadcast_to, concat, expand_dims, split, stack
from minigrad.random import Generator
from minigrad.tensor import Tensor


class Decoder(Module):
    """A decoder of sequences: embedding, recurrent layers, attention over a memory, and readout.

    `forward` runs over given inputs (teacher forcing), `unroll` feeds it its own outputs, and `step`
    takes one step, which is what `nn.decoding` asks for. Inputs and outputs are tokens, or vectors with
    ``embedding=False``.

    With attention, the state h of each step is joined with the context c that it looked up:
    ``tanh(W [h, c])`` goes to the readout (Luong 2015). With ``input_feeding`` c is also part of the next
    input, and the loop is interpreted today; without it the layers run first, compiled, and look up all
    steps at once.

    Parameters
    ----------
    cell : CellFunction or type
        As for `Recurrent`.
    input_size : int
        The width of the embedding, or of the vectors that are the inputs.
    hidden_size : int
        The width of a state.
    output_size : int
        How many tokens there are, or the width of the outputs.
    num_layers : int
        Each further layer reads the outputs of the one before.
    embedding : bool or Module
        Whether inputs are tokens, which an ``Embedding(output_size, input_size)`` makes vectors of; or
        what does it instead, for instance the embedding of an encoder.
    attention : Attention, optional
        For queries of the width of the layers' first state.
    input_feeding : bool
        Whether what was looked up is part of the next input.
    vector_size : int, optional
        The width of a vector that a whole sequence is made from (one-to-many).
    vector_to : {"state", "inputs", "both"}
        Whether a linear map of that vector is the initial state, or it is part of each input, or both.
    dropout : float
        Probability that, in training, an element of the embedding or of what is read out is dropped.
    readout : Module, optional
        What makes outputs of (..., width of the first state); by default a ``Linear``.
    sampling : float
        Scheduled sampling (Bengio 2015): probability that, in training, `forward` feeds back its own
        output instead of the given input, tokens drawn by its scores. It may be changed at any time. Such
        a pass goes step by step.
    generator : Generator, optional
        What draws for ``sampling``; by default the global one.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.
    **options : Any
        Of the cell, as for `Recurrent`.

    Attributes
    ----------
    embedding : Module or None
    recurrent : Recurrent or AttentionRecurrent
        The latter with attention and ``input_feeding``, and it holds the attention layer.
    attention : Attention or None
        Only without ``input_feeding``.
    combine : Linear or None
        W, with attention.
    initial : Linear or None
        From a vector to all initial states, side by side.
    readout : Module

    Raises
    ------
    ArgumentError
        If an argument has a value that makes no sense.

    Examples
    --------
    >>> decoder = nn.Decoder(nn.cells.gru, 3, 4, 10, attention=nn.AdditiveAttention(4, 6))
    >>> encoded = mg.ones((5, 2, 6))
    >>> tokens = mg.ones((7, 2), dtype="int64")
    >>> scores, state = decoder(tokens, memory=encoded, memory_lengths=[5, 3])
    >>> scores.shape
    (7, 2, 10)
    """

    def __init__(
        self,
        cell: CellFunction | type[Cell],
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        num_layers: int = 1,
        embedding: bool | Module = True,
        attention: Attention | None = None,
        input_feeding: bool = True,
        vector_size: int | None = None,
        vector_to: Literal["state", "inputs", "both"] = "state",
        dropout: float = 0.0,
        readout: Module | None = None,
        sampling: float = 0.0,
        generator: Generator | None = None,
        device: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.input_size, self.output_size = check_counts(
            "Decoder", input_size=input_size, output_size=output_size
        )
        check_flags("Decoder", input_feeding=input_feeding)
        check_choice("Decoder", ("state", "inputs", "both"), vector_to=vector_to)
        self.vector_size, self.vector_to = vector_size, vector_to
        width = self.input_size
        if vector_size is not None:
            (self.vector_size,) = check_counts("Decoder", vector_size=vector_size)
            width += self.vector_size if vector_to != "state" else 0
        if isinstance(embedding, Module):
            self.embedding: Module | None = embedding
        else:
            check_flags("Decoder", embedding=embedding)
            made = Embedding(self.output_size, self.input_size, **place) if embedding else None
            self.embedding = made
        layers: dict[str, Any] = {"num_layers": num_layers, **place, **options}
        self.recurrent: Recurrent | AttentionRecurrent
        self.attention = None
        if attention is not None and input_feeding:
            self.recurrent = AttentionRecurrent(cell, width, hidden_size, attention, **layers)
            plain = self.recurrent.layers
        else:
            self.recurrent = plain = Recurrent(cell, width, hidden_size, **layers)
        check_forward("Decoder", plain)
        self.hidden_size, self._widths = plain.hidden_size, plain._widths
        self.num_layers, size = plain.num_layers, plain._widths[0]
        self.combine = None
        if attention is not None:
            checked_attention("Decoder", attention, query_size=size)
            self.attention = None if input_feeding else attention
            self.combine = Linear(size + attention.memory_size, size, **place)
        self.initial = None
        if self.vector_size is not None and vector_to != "inputs":
            self.initial = Linear(self.vector_size, self.num_layers * sum(self._widths), **place)
        self.dropout = Dropout(dropout)
        self.readout = Linear(size, self.output_size, **place) if readout is None else readout
        self.sampling = check_number("Decoder", "sampling", sampling, low=0, high=1)
        self.generator = generator

    def start(
        self,
        hidden: Any = None,
        *,
        memory: Tensor | None = None,
        memory_lengths: Any = None,
        memory_mask: Any = None,
        vector: Tensor | None = None,
    ) -> DecoderState:
        """Return the state before the first step.

        Parameters
        ----------
        hidden : Tensor or tuple of Tensor, optional
            The initial state or states of the recurrent layers, shape (num_layers, N, width); zeros by
            default, or made from ``vector``.
        memory : Tensor, optional
            With attention: what it looks at, shape (S, N, memory_size).
        memory_lengths : sequence or Tensor of int, optional
            Shape (N,): how many positions of the memory are real.
        memory_mask : Tensor of bool, optional
            Shape (S, N): which are.
        vector : Tensor, optional
            With ``vector_size``: what the sequence is made from, shape (N, vector_size).

        Returns
        -------
        DecoderState
            For `forward`, `step` and `unroll`.

        Raises
        ------
        ArgumentError
            If the memory or the vector is missing, there is one that the decoder does not take, or
            ``hidden`` stands beside a vector that makes it.
        ShapeError
            If an argument has another shape.
        """
        attention = self._attention()
        if (memory is None) != (attention is None):
            found = (
                "looks at a memory; give memory=" if attention else "has no attention; leave it out"
            )
            raise ArgumentError(f"Decoder: it {found}")
        if (vector is None) != (self.vector_size is None):
            found = (
                "needs its vector; give vector="
                if vector is None
                else "was made without vector_size"
            )
            raise ArgumentError(f"Decoder: it {found}")
        if self.initial is not None:
            if hidden is not None:
                raise ArgumentError(
                    "Decoder: hidden is made from the vector; leave it out, or make the decoder with "
                    "vector_to='inputs'"
                )
            hidden = self._hidden_from(vector)
        prepared = None
        if attention is not None:
            assert memory is not None  # it was looked at above
            prepared = attention.prepare(memory, memory_lengths, memory_mask)
        fed = None if self.vector_to == "state" else vector
        return DecoderState(hidden, None, prepared, fed)

    def forward(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        lengths: Any = None,
        memory: Tensor | None = None,
        memory_lengths: Any = None,
        memory_mask: Any = None,
        vector: Tensor | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """Run over given inputs: teacher forcing, in training with ``sampling`` mixed with own outputs.

        Parameters
        ----------
        inputs : Tensor, or pair of Tensor
            Tokens of shape (T, N), or vectors of shape (T, N, input_size). With lengths, as a pair, such
            as `minigrad.nn.data.Padded`.
        state : DecoderState, Tensor or tuple of Tensor, optional
            What `start`, `forward` or `step` returned; or ``hidden`` for `start`, which is then called
            with the memory and the vector. Shapes as there.
        lengths : sequence or Tensor of int, optional
            Shape (N,): how many inputs of each sequence are real, if they are no pair. The others are
            never read.
        memory : Tensor, optional
            Shape (S, N, memory_size), see `start`.
        memory_lengths : sequence or Tensor of int, optional
            Shape (N,).
        memory_mask : Tensor of bool, optional
            Shape (S, N).
        vector : Tensor, optional
            Shape (N, vector_size).

        Returns
        -------
        outputs : Tensor
            Scores of tokens, or vectors, shape (T, N, output_size).
        state : DecoderState
            After the last step.

        Raises
        ------
        ShapeError
            If an argument has another shape.
        DtypeError
            If tokens are no integers, or vectors no floating-point numbers.
        ArgumentError
            As `start`; if a length is not one; if ``sampling`` feeds back vectors of another width than
            the inputs have.
        """
        inputs, lengths, rows = self._given(inputs, lengths)
        steps, count = inputs.shape[:2]
        state = self._begun(state, memory, memory_lengths, memory_mask, vector)
        if self.training and self.sampling and steps:
            generator = self.generator or random.default_generator
            own = generator.bernoulli(self.sampling, (steps, count), device=inputs.device)
            return self._fed_back(inputs[0], steps, state, generator, inputs, own, rows)
        features, state = self._run(self._embedded(inputs), state, lengths)
        return self._read(features), state

    def step(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, DecoderState]:
        """Take one step.

        Parameters
        ----------
        inputs : Tensor
            Tokens of shape (N,), or vectors of shape (N, input_size).
        state : DecoderState, Tensor or tuple of Tensor, optional
            As for `forward`, of the same shapes.

        Returns
        -------
        outputs : Tensor
            Shape (N, output_size).
        state : DecoderState
            After the step.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `forward`.
        """
        inputs = self._checked(inputs, time=False)
        state = self._begun(state)
        features, state = self._run(self._embedded(inputs), state)
        return self._read(features), state

    def unroll(
        self,
        first: Tensor,
        length: int,
        state: Any = None,
        *,
        memory: Tensor | None = None,
        memory_lengths: Any = None,
        memory_mask: Any = None,
        vector: Tensor | None = None,
        generator: Generator | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """Run on its own outputs, with gradients: those of vectors flow through what is fed back.

        Of tokens the likeliest one is fed back; `nn.decoding` has other ways to choose.

        Parameters
        ----------
        first : Tensor
            The first input: tokens of shape (N,), or vectors of shape (N, input_size).
        length : int
            How many steps to take.
        state : DecoderState, Tensor or tuple of Tensor, optional
            As for `forward`, of the same shapes.
        memory : Tensor, optional
            Shape (S, N, memory_size), see `start`.
        memory_lengths : sequence or Tensor of int, optional
            Shape (N,).
        memory_mask : Tensor of bool, optional
            Shape (S, N).
        vector : Tensor, optional
            Shape (N, vector_size).
        generator : Generator, optional
            If given, tokens are drawn by their scores.

        Returns
        -------
        outputs : Tensor
            Shape (length, N, output_size).
        state : DecoderState
            After the last step.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `forward`, or if the length is not positive.
        """
        length = check_integer("Decoder.unroll", "length", length, low=1)
        first = self._checked(first, time=False)
        state = self._begun(state, memory, memory_lengths, memory_mask, vector)
        return self._fed_back(first, length, state, generator)

    def alignments(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        memory: Tensor | None = None,
        memory_lengths: Any = None,
        memory_mask: Any = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """Return the weights that attention gives the memory at each of given inputs.

        Parameters
        ----------
        inputs : Tensor, or pair of Tensor
            As for `forward`, of the same shapes.
        state : DecoderState, Tensor or tuple of Tensor, optional
            As for `forward`, of the same shapes.
        memory : Tensor, optional
            Shape (S, N, memory_size), see `start`.
        memory_lengths : sequence or Tensor of int, optional
            Shape (N,).
        memory_mask : Tensor of bool, optional
            Shape (S, N).
        vector : Tensor, optional
            Shape (N, vector_size).

        Returns
        -------
        Tensor
            Shape (T, N, S).

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `forward`, or if the decoder has no attention.
        """
        attention = self._attention()
        if attention is None:
            raise ArgumentError("Decoder.alignments: it has no attention, and so no weights")
        inputs, lengths, _ = self._given(inputs)
        state = self._begun(state, memory, memory_lengths, memory_mask, vector)
        outputs, _ = self._looked_up(self._embedded(inputs), state, lengths)
        _, weights = attention.attend(outputs[..., : self._widths[0]], state.memory)
        return weights

    # parts of a step, for all steps at once or a single one

    def _attention(self) -> Attention | None:
        layers = self.recurrent
        return layers.attention if isinstance(layers, AttentionRecurrent) else self.attention

    def _begun(self, state: Any, *given: Any) -> DecoderState:
        """Return a state to go on from."""
        names = ("memory", "memory_lengths", "memory_mask", "vector")
        options = dict(zip(names, given, strict=False))
        if not isinstance(state, DecoderState):
            return self.start(state, **options)
        told = [name for name, value in options.items() if value is not None]
        if told:
            raise ArgumentError(
                f"Decoder: {' and '.join(told)} of a sequence that has begun are in its state; leave "
                "them out"
            )
        if (state.memory is None) != (self._attention() is None):
            raise ArgumentError(
                "Decoder: this state is not one of this decoder; make one by start()"
            )
        return state

    def _hidden_from(self, vector: Any) -> Any:
        """Return the initial states that the linear map makes of a vector."""
        assert self.initial is not None  # asked for only then
        parts = split(self.initial(vector), list(self._widths) * self.num_layers, axis=-1)
        kinds = len(self._widths)
        states = tuple(stack(parts[i::kinds]) for i in range(kinds))
        return states if kinds > 1 else states[0]

    def _checked(self, inputs: Any, time: bool) -> Tensor:
        x: Tensor = checked_tensor("Decoder", inputs, next(self.parameters(), None))
        shape = ("T", "N") if time else ("N",)
        tokens = self.embedding is not None
        if x.ndim != len(shape) + (not tokens) or not (tokens or x.shape[-1] == self.input_size):
            wanted = ", ".join(shape if tokens else (*shape, str(self.input_size)))
            what = "tokens" if tokens else "vectors"
            raise ShapeError(
                f"Decoder: the inputs have shape {x.shape}; they are {what} and must be ({wanted})"
            )
        return x

    def _given(self, inputs: Any, lengths: Any = None) -> tuple[Tensor, Any, Any]:
        """Return inputs with zeros where they are not real, their lengths, and which rows are there."""
        inputs, own = with_lengths(inputs)
        lengths = own if lengths is None else lengths
        x = self._checked(inputs, time=True)
        steps, count = x.shape[:2]
        rows = rows_of("Decoder", steps, count, x.device, lengths, None, None)
        if rows is not None:
            x = where(rows.present if x.ndim == 2 else expand_dims(rows.present, -1), x, 0)
        return x, lengths, rows

    def _embedded(self, inputs: Tensor) -> Tensor:
        vectors = inputs if self.embedding is None else self.embedding(inputs)
        dropped: Tensor = self.dropout(vectors)
        return dropped

    def _looked_up(
        self, x: Tensor, state: DecoderState, lengths: Any = None
    ) -> tuple[Tensor, DecoderState]:
        """Return the states of the last layer, beside what was looked up, and the new state."""
        if state.vector is not None:
            width = state.vector.shape[-1]
            x = concat([x, broadcast_to(state.vector, (*x.shape[:-1], width))], axis=-1)
        if isinstance(self.recurrent, AttentionRecurrent):
            assert state.memory is not None  # `_begun` has seen to it
            outputs, (hidden, context) = self.recurrent(
                x, state.memory, state.hidden, state.context, lengths=lengths
            )
            return outputs, state._replace(hidden=hidden, context=context)
        if x.ndim == 2:
            outputs, hidden = self.recurrent.step(x, state.hidden)
        else:
            outputs, hidden = self.recurrent(x, state.hidden, lengths=lengths)
        if self.attention is not None:
            assert state.memory is not None
            context, _ = self.attention.attend(outputs, state.memory)
            outputs = concat([outputs, context], axis=-1)
        return outputs, state._replace(hidden=hidden)

    def _run(
        self, x: Tensor, state: DecoderState, lengths: Any = None
    ) -> tuple[Tensor, DecoderState]:
        outputs, state = self._looked_up(x, state, lengths)
        return outputs if self.combine is None else tanh(self.combine(outputs)), state

    def _read(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.readout(self.dropout(features))
        return outputs

    # its own outputs

    def _fed_back(
        self,
        first: Tensor,
        length: int,
        state: DecoderState,
        generator: Generator | None,
        given: Tensor | None = None,
        own: Tensor | None = None,
        rows: Any = None,
    ) -> tuple[Tensor, DecoderState]:
        """Run step by step on own outputs, or on those that are ``given`` where ``own`` is false."""
        if self.embedding is None and self.output_size != self.input_size:
            raise ArgumentError(
                f"Decoder: outputs of width {self.output_size} cannot be fed back as inputs of width "
                f"{self.input_size}; make these sizes equal"
            )
        outputs: list[Tensor] = []
        x = first
        for t in range(length):
            if t:
                x = self._next_input(outputs[-1], generator)
                if given is not None and own is not None:
                    x = where(own[t] if x.ndim == 1 else own[t][:, None], x, given[t])
            output, new = self.step(x, state)
            if rows is not None:
                present = rows.present[t]
                output, new = where(present[:, None], output, 0.0), _kept(present, new, state)
            outputs.append(output)
            state = new
        return stack(outputs), state

    def _next_input(self, outputs: Tensor, generator: Generator | None) -> Any:
        if self.embedding is None:
            return outputs
        if generator is None:
            return argmax(outputs, axis=-1)
        return generator.categorical(softmax(outputs.detach().astype("float64"), axis=-1))

    def extra_repr(self) -> str:
        usual = {"vector_size": None, "sampling": 0.0}
        given = [f"{name}={v}" for name, u in usual.items() if (v := getattr(self, name)) != u]
        return ", ".join([f"output_size={self.output_size}", *given])


def _kept(present: Tensor, new: DecoderState, old: DecoderState) -> DecoderState:
    """Return the new state in the rows that are present, and the old one in the others."""

    def chosen(after: Any, before: Any) -> Any:
        if isinstance(after, tuple):
            olds = (None,) * len(after) if before is None else before
            return tuple(chosen(a, b) for a, b in zip(after, olds, strict=True))
        flags = present[:, None]  # also of (num_layers, N, width)
        return where(flags, after, 0.0 if before is None else before)

    context = None if new.context is None else chosen(new.context, old.context)
    return new._replace(hidden=chosen(new.hidden, old.hidden), context=context)
