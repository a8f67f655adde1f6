"""Layers that map each row by a matrix, or each index to a row."""

from __future__ import annotations

from typing import Any

from minigrad.checks import as_integer
from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input, checked_tensor
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.linalg import linear
from minigrad.ops.network import embedding
from minigrad.tensor import Tensor, tensor


class Linear(Module):
    """``x @ weight.T + bias``.

    Parameters
    ----------
    in_features : int
        The size of the last axis of the input.
    out_features : int
        The size of the last axis of the result.
    bias : bool
        Whether there is a bias.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in_features); at first evenly distributed between
        ``±1 / sqrt(in_features)``, as ``bias``.
    bias : Parameter or None
        Shape (out_features,).

    Raises
    ------
    ArgumentError
        If a size is not a positive integer, or ``bias`` not a bool.

    Examples
    --------
    >>> layer = nn.Linear(3, 2)
    >>> layer(mg.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        in_features, out_features = check_counts(
            "Linear", in_features=in_features, out_features=out_features
        )
        check_flags("Linear", bias=bias)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(zeros((out_features, in_features), dtype=dtype, device=device))
        self.bias = Parameter(zeros(out_features, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.by_fan_in_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        """Return ``input @ weight.T + bias``.

        Parameters
        ----------
        input : Tensor
            Shape (..., in_features), floating-point.

        Returns
        -------
        Tensor
            Shape (..., out_features).

        Raises
        ------
        ShapeError
            If the last axis of ``input`` has another size.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input("Linear", input, self.weight)
        shape = tuple(input.shape)
        if shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"Linear: the input has shape {shape}; it must be (..., in_features) with "
                f"in_features={self.in_features}"
            )
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Embedding(Module):
    """A row of numbers for each index, for instance for each character.

    Parameters
    ----------
    num_embeddings : int
        How many rows there are.
    embedding_dim : int
        The width of a row.
    padding_idx : int, optional
        A row that is never trained: zeros at first, and without a gradient. May be negative, to count
        from the end.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (num_embeddings, embedding_dim); at first from the standard normal distribution.

    Raises
    ------
    ArgumentError
        If a size is not a positive integer, or there is no row ``padding_idx``.

    Examples
    --------
    >>> layer = nn.Embedding(10, 3)
    >>> layer(mg.tensor([[1, 2], [9, 0]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        _weight: Tensor | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        num_embeddings, embedding_dim = check_counts(
            "Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim
        )
        if padding_idx is not None:
            row = as_integer(padding_idx)
            if row is None or not -num_embeddings <= row < num_embeddings:
                raise ArgumentError(
                    f"Embedding: padding_idx is {padding_idx!r}, but there are {num_embeddings} rows; "
                    f"give an integer from {-num_embeddings} to {num_embeddings - 1}"
                )
            padding_idx = row % num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        if _weight is None:
            sizes = (num_embeddings, embedding_dim)
            self.weight = Parameter(zeros(sizes, dtype=dtype, device=device))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight.detach())

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """Return a layer with a copy of ``embeddings`` as its weight.

        Parameters
        ----------
        embeddings : array_like
            Shape (num_embeddings, embedding_dim).
        freeze : bool
            Whether the weight is not to be trained.
        padding_idx : int, optional
            A row that gets no gradient; its values are kept.

        Returns
        -------
        Embedding
            The layer.

        Raises
        ------
        ShapeError
            If ``embeddings`` does not have two axes.
        """
        table = embeddings if isinstance(embeddings, Tensor) else tensor(embeddings)
        if table.ndim != 2:
            raise ShapeError(
                f"Embedding.from_pretrained: embeddings has shape {table.shape}; "
                "it must be (num_embeddings, embedding_dim)"
            )
        rows, width = table.shape
        layer = cls(rows, width, padding_idx, _weight=table)
        layer.weight.requires_grad_(not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draw the weight anew; the row of ``padding_idx`` is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, input: Any) -> Any:
        """Return the row for each index.

        Parameters
        ----------
        input : Tensor of int
            Any shape; from 0 to ``num_embeddings - 1``.

        Returns
        -------
        Tensor
            The shape of ``input`` and one more axis, (..., embedding_dim).

        Raises
        ------
        DtypeError
            If ``input`` are not integers.
        IndexingError
            If an index is negative or too large.
        """
        input = checked_tensor("Embedding", input, self.weight)
        return embedding(input, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
