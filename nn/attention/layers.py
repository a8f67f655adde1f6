"""Attention layers: how well a query matches each position of a memory, and the mean by these weights."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn.attention.memory import Memory, real_values
from minigrad.nn.checks import check_counts, checked_input
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.ops.attention import weights_of
from minigrad.ops.elementwise import tanh
from minigrad.ops.linalg import matmul, matrix_transpose
from minigrad.ops.shape import expand_dims, squeeze, swapaxes
from minigrad.tensor import Tensor


class Attention(Module):
    """What attention layers have in common; a subclass defines ``_keys`` and ``_scores``.

    A query is compared with the keys of all positions of a memory. A softmax of these scores gives the
    weights, and the mean of the memory with these weights is the context. Where a memory is not real,
    after its length or where its mask is false, it is never read: the weight is zero. A memory
    without any real position gives zeros.

    Parameters
    ----------
    query_size : int
        The size of the last axis of queries.
    memory_size : int
        The size of the last axis of the memory, and of the context.

    Attributes
    ----------
    key_size : int
        The size of the last axis of the keys; that of the memory unless a subclass says otherwise.

    Raises
    ------
    ArgumentError
        If a size is not positive.

    Examples
    --------
    >>> layer = nn.attention.AdditiveAttention(3, 4)
    >>> isinstance(layer, nn.attention.Attention)
    True
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        self.query_size, self.memory_size = check_counts(
            type(self).__name__, query_size=query_size, memory_size=memory_size
        )
        self.key_size = self.memory_size

    def forward(
        self, query: Tensor, memory: Tensor, lengths: Any = None, mask: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Look at a memory with one query for each sequence, or with several.

        Parameters
        ----------
        query : Tensor
            Shape (N, query_size), or (T, N, query_size).
        memory : Tensor
            Shape (S, N, memory_size).
        lengths : sequence or Tensor of int, optional
            Shape (N,): how many positions of each memory are real.
        mask : Tensor of bool, optional
            Shape (S, N): which positions are real.

        Returns
        -------
        context : Tensor
            Shape (N, memory_size), or (T, N, memory_size).
        weights : Tensor
            Shape (N, S), or (T, N, S).

        Raises
        ------
        ShapeError
            If the arguments do not have these shapes.
        DtypeError
            If query and memory do not hold floating-point numbers of one dtype.
        ArgumentError
            If a length is negative or larger than S.
        """
        return self.attend(query, self.prepare(memory, lengths, mask))

    def prepare(self, memory: Tensor, lengths: Any = None, mask: Any = None) -> Memory:
        """Return a memory with its keys, for `attend` to look at many times.

        Parameters
        ----------
        memory : Tensor
            Shape (S, N, memory_size).
        lengths : sequence or Tensor of int, optional
            Shape (N,): how many positions of each memory are real.
        mask : Tensor of bool, optional
            Shape (S, N): which positions are real.

        Returns
        -------
        Memory
            The batch first.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `forward`.
        """
        name = type(self).__name__
        memory = checked_input(name, memory, next(self.parameters(), None), "the memory")
        if memory.ndim != 3 or memory.shape[-1] != self.memory_size:
            raise ShapeError(
                f"{name}: the memory has shape {memory.shape}; it must be (S, N, {self.memory_size})"
            )
        values, allowed = real_values(name, memory, lengths, mask)
        return Memory(self._keys(values), values, allowed)

    def attend(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Look at a memory that `prepare` returned, also inside of a step.

        Parameters
        ----------
        query : Tensor
            Shape (N, query_size), or (T, N, query_size).
        memory : Memory
            Of N sequences.

        Returns
        -------
        context : Tensor
            Shape (N, memory_size), or (T, N, memory_size).
        weights : Tensor
            Shape (N, S), or (T, N, S).

        Raises
        ------
        ShapeError, DtypeError
            As `forward`.
        """
        name = type(self).__name__
        query = checked_input(name, query, memory.values, "the query")
        keys, values, allowed = memory
        rows = values.shape[0]
        if query.ndim not in (2, 3) or tuple(query.shape[-2:]) != (rows, self.query_size):
            raise ShapeError(
                f"{name}: the query has shape {tuple(query.shape)}; for this memory of N={rows} it must "
                f"be ({rows}, {self.query_size}), or that with T before it"
            )
        if query.dtype != values.dtype:
            raise DtypeError(
                f"{name}: the query has dtype {query.dtype} and the memory {values.dtype}; convert one "
                f"with .astype('{values.dtype}')"
            )
        several = query.ndim == 3
        query = self._queries(query)
        query = swapaxes(query, 0, 1) if several else expand_dims(query, 1)
        weights = weights_of(self._scores(query, keys), expand_dims(allowed, 1))
        context = matmul(weights, values)
        if several:
            return swapaxes(context, 0, 1), swapaxes(weights, 0, 1)
        return squeeze(context, 1), squeeze(weights, 1)

    def _queries(self, query: Tensor) -> Any:
        """Return what is made of queries (..., N, query_size) before they meet the keys."""
        return query

    def _keys(self, values: Tensor) -> Any:
        """Return the keys (N, S, key size) of a memory (N, S, memory_size)."""
        raise NotImplementedError

    def _scores(self, query: Tensor, keys: Tensor) -> Any:
        """Return the scores (N, T, S) of such queries, (N, T, ...)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.memory_size}"


class AdditiveAttention(Attention):
    """Scores by a small network: ``v · tanh(W query + U memory)`` (Bahdanau 2015).

    Parameters
    ----------
    query_size : int
        The size of the last axis of queries.
    memory_size : int
        The size of the last axis of the memory.
    size : int, optional
        The width of the network, by default ``query_size``. For T queries at once it takes N * T * S *
        size numbers.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    query, key, score : Linear
        W, U and v, without biases: ``size`` by ``query_size``, ``size`` by ``memory_size``, and 1 by
        ``size``.

    Raises
    ------
    ArgumentError
        If a size is not positive.

    Examples
    --------
    >>> layer = nn.AdditiveAttention(3, 4)
    >>> context, weights = layer(mg.ones((2, 3)), mg.ones((5, 2, 4)), lengths=[5, 2])
    >>> context.shape, weights[1]
    ((2, 4), tensor([0.5, 0.5, 0. , 0. , 0. ], from getitem))
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        size: int | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(query_size, memory_size)
        (size,) = check_counts("AdditiveAttention", size=query_size if size is None else size)
        self.key_size = size
        place = {"bias": False, "device": device, "dtype": dtype}
        self.query = Linear(self.query_size, size, **place)
        self.key = Linear(self.memory_size, size, **place)
        self.score = Linear(size, 1, **place)

    def _keys(self, values: Tensor) -> Any:
        return self.key(values)

    def _queries(self, query: Tensor) -> Any:
        return self.query(query)

    def _scores(self, query: Tensor, keys: Tensor) -> Any:
        hidden = tanh(expand_dims(query, 2) + expand_dims(keys, 1))
        return squeeze(self.score(hidden), -1)


class DotAttention(Attention):
    """Scores by the product of query and memory: ``query · memory`` (Luong 2015).

    Parameters
    ----------
    query_size : int
        The size of the last axis of queries.
    memory_size : int, optional
        The size of the last axis of the memory: the same.

    Raises
    ------
    ArgumentError
        If a size is not positive, or they differ.

    Examples
    --------
    >>> layer = nn.DotAttention(4)
    >>> context, weights = layer(mg.ones((7, 2, 4)), mg.ones((5, 2, 4)))
    >>> context.shape, weights.shape
    ((7, 2, 4), (7, 2, 5))
    """

    def __init__(self, query_size: int, memory_size: int | None = None) -> None:
        super().__init__(query_size, query_size if memory_size is None else memory_size)
        if self.query_size != self.memory_size:
            raise ArgumentError(
                f"{type(self).__name__}: query_size is {query_size} and memory_size {memory_size}; their "
                "product needs equal sizes, or GeneralAttention, which has a matrix between them"
            )

    def _keys(self, values: Tensor) -> Any:
        return values

    def _scores(self, query: Tensor, keys: Tensor) -> Any:
        return matmul(query, matrix_transpose(keys))


class ScaledDotAttention(DotAttention):
    """Scores by the product of query and memory, divided by the root of their size (Vaswani 2017).

    Parameters
    ----------
    query_size : int
        The size of the last axis of queries.
    memory_size : int, optional
        The size of the last axis of the memory: the same.

    Raises
    ------
    ArgumentError
        If a size is not positive, or they differ.

    Examples
    --------
    >>> layer = nn.ScaledDotAttention(4)
    >>> context, weights = layer(mg.ones((2, 4)), mg.ones((5, 2, 4)))
    >>> context.shape, weights.shape
    ((2, 4), (2, 5))
    """

    def _queries(self, query: Tensor) -> Any:
        return query * (1 / math.sqrt(self.query_size))


class GeneralAttention(Attention):
    """Scores by a product with a matrix in between: ``query · W memory`` (Luong 2015).

    Parameters
    ----------
    query_size : int
        The size of the last axis of queries.
    memory_size : int
        The size of the last axis of the memory.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    key : Linear
        W, without a bias: ``query_size`` by ``memory_size``.

    Raises
    ------
    ArgumentError
        If a size is not positive.

    Examples
    --------
    >>> layer = nn.GeneralAttention(3, 4)
    >>> context, weights = layer(mg.ones((2, 3)), mg.ones((5, 2, 4)))
    >>> context.shape, weights.shape
    ((2, 4), (2, 5))
    """

    def __init__(
        self, query_size: int, memory_size: int, *, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(query_size, memory_size)
        self.key_size = self.query_size
        sizes = self.memory_size, self.key_size
        self.key = Linear(*sizes, bias=False, device=device, dtype=dtype)

    def _keys(self, values: Tensor) -> Any:
        return self.key(values)

    def _scores(self, query: Tensor, keys: Tensor) -> Any:
        return matmul(query, matrix_transpose(keys))
