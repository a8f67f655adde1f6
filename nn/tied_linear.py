"""A readout that shares the weight of an embedding: the tied softmax."""

from __future__ import annotations

from typing import Any

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError, type_name
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.linear import Embedding, Linear
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.linalg import linear


class TiedLinear(Module):
    """Scores of words, by the weight that also embeds them (Press & Wolf 2017; Inan 2017).

    ``input @ embedding.weight.T + bias``. The weight is one parameter of two modules: its gradient is
    the sum of both uses, an optimiser updates it once, and a state dict has it under both names, as in
    PyTorch. `Embedding` draws it from the standard normal distribution, which is wide for scores: draw it
    anew, for instance by ``nn.init.uniform_(embedding.weight, -0.1, 0.1)``.

    Parameters
    ----------
    embedding : Embedding
        The layer whose weight is shared.
    in_features : int, optional
        The size of the last axis of the input. Where it is not the width of the embedding, a projection
        without a bias comes first. By default it is that width.
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    weight : Parameter
        That of the embedding, shape (num_embeddings, embedding_dim).
    bias : Parameter or None
        Shape (num_embeddings,), at first zero.
    projection : Linear or None
        From ``in_features`` to the width of the embedding.

    Raises
    ------
    ArgumentError
        If ``embedding`` is no `Embedding`, ``in_features`` not a positive integer, or ``bias`` no bool.

    Examples
    --------
    >>> embedding = nn.Embedding(10, 3)
    >>> head = nn.TiedLinear(embedding, in_features=5)
    >>> head(mg.ones((2, 5))).shape
    (2, 10)
    >>> head.weight is embedding.weight
    True
    """

    def __init__(
        self, embedding: Embedding, in_features: int | None = None, bias: bool = True
    ) -> None:
        if not isinstance(embedding, Embedding):
            raise ArgumentError(
                f"TiedLinear: embedding must be the Embedding whose weight is shared, not a "
                f"{type_name(embedding)}"
            )
        check_flags("TiedLinear", bias=bias)
        self.weight = embedding.weight
        rows, width = self.weight.shape
        if in_features is None:
            in_features = width
        (self.in_features,) = check_counts("TiedLinear", in_features=in_features)
        self.out_features = rows
        device, dtype = self.weight.device, self.weight.dtype
        self.bias = Parameter(zeros(rows, dtype=dtype, device=device)) if bias else None
        self.projection = None
        if self.in_features != width:
            self.projection = Linear(self.in_features, width, False, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the parameters anew that are not shared."""
        if self.bias is not None:
            init.zeros_(self.bias)
        if self.projection is not None:
            self.projection.reset_parameters()

    def forward(self, input: Any) -> Any:
        """Return a score for each row of the embedding.

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
        input = checked_input("TiedLinear", input, self.weight)
        shape = tuple(input.shape)
        if shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"TiedLinear: the input has shape {shape}; it must be (..., in_features) with "
                f"in_features={self.in_features}"
            )
        if self.projection is not None:
            input = self.projection(input)
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
