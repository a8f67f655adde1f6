"""Layers that map each row by a matrix, or each index to a row."""

from __future__ import annotations

from typing import Any

from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.nn.sizes import check_sizes
from minigrad.ops.linalg import linear
from minigrad.ops.network import embedding


class Linear(Module):
    """``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    weight : Parameter
        Shape (out_features, in_features).
    bias : Parameter or None
        Shape (out_features,).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        bound = init.width_bound(in_features)
        self.weight = init.uniform(out_features, in_features, bound=bound)
        self.bias: Parameter | None = init.uniform(out_features, bound=bound) if bias else None

    def forward(self, x: Any) -> Any:
        """Map ``x`` of shape (..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}{'' if self.bias is not None else ', bias=False'}"


class Embedding(Module):
    """A row of numbers for each index, for instance for each character.

    Parameters
    ----------
    num_embeddings : int
        How many rows there are.
    embedding_dim : int
        The width of a row.

    Attributes
    ----------
    weight : Parameter
        Shape (num_embeddings, embedding_dim).
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = init.normal(num_embeddings, embedding_dim)

    def forward(self, indices: Any) -> Any:
        """Map integers of any shape to rows: shape (..., embedding_dim)."""
        return embedding(indices, self.weight)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.weight.shape))
