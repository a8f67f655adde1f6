"""Attention pooling: a sequence becomes a vector, by a query that is learned."""

from __future__ import annotations

from typing import Any

from minigrad.creation import zeros
from minigrad.errors import ArgumentError
from minigrad.nn import init
from minigrad.nn.attention.layers import AdditiveAttention, Attention
from minigrad.nn.checks import check_counts
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.shape import broadcast_to
from minigrad.tensor import Tensor


class AttentionPooling(Module):
    """The mean of a sequence, by the weights that an attention layer gives a learned query.

    Parameters
    ----------
    size : int
        The size of the last axis of the sequence.
    attention : Attention, optional
        By default ``AdditiveAttention(size, size)``, whose scores are those of Yang 2016.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    query : Parameter
        Shape (query_size of the attention,); at first evenly distributed between
        ``±1 / sqrt(query_size)``.

    Raises
    ------
    ArgumentError
        If the size is not positive, or ``attention`` is no attention layer for a memory of that size.

    Examples
    --------
    >>> layer = nn.AttentionPooling(4)
    >>> vector, weights = layer(mg.ones((7, 2, 4)), lengths=[7, 3])
    >>> vector.shape, weights.shape
    ((2, 4), (2, 7))
    """

    def __init__(
        self,
        size: int,
        attention: Attention | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        (size,) = check_counts("AttentionPooling", size=size)
        if attention is None:
            attention = AdditiveAttention(size, size, device=device, dtype=dtype)
        self.attention = checked_attention("AttentionPooling", attention, memory_size=size)
        self.query = Parameter(zeros(attention.query_size, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the query anew."""
        bound = init.width_bound(self.attention.query_size)
        init.uniform_(self.query, -bound, bound)

    def forward(
        self, memory: Tensor, lengths: Any = None, mask: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Return a vector for each sequence.

        Parameters
        ----------
        memory : Tensor
            Shape (S, N, size).
        lengths : sequence or Tensor of int, optional
            Shape (N,): how many positions of each sequence are real.
        mask : Tensor of bool, optional
            Shape (S, N): which positions are real.

        Returns
        -------
        vector : Tensor
            Shape (N, size).
        weights : Tensor
            Shape (N, S).

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `Attention.forward`.
        """
        prepared = self.attention.prepare(memory, lengths, mask)
        shape = prepared.values.shape[0], self.attention.query_size
        return self.attention.attend(broadcast_to(self.query, shape), prepared)


def checked_attention(of: str, attention: Any, **sizes: int) -> Attention:
    """Return an attention layer of these sizes.

    Raises
    ------
    ArgumentError
        If it is none, or has others.
    """
    if not isinstance(attention, Attention):
        called = f"the class {attention.__name__}" if isinstance(attention, type) else None
        raise ArgumentError(
            f"{of}: attention is {called or f'a {type(attention).__name__}'}; give an attention layer, "
            "for instance nn.AdditiveAttention(query_size, memory_size)"
        )
    for name, size in sizes.items():
        found = getattr(attention, name)
        if found != size:
            raise ArgumentError(
                f"{of}: the attention layer has {name}={found}, and it must be {size} here"
            )
    return attention
