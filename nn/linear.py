"""Layers that map each row by a matrix, or each index to a row."""

from __future__ import annotations

from typing import Any

from minigrad.checks import as_integer, check_number
from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError, TraceError, user_line
from minigrad.graph import Var
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input, checked_tensor
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.elementwise import where
from minigrad.ops.linalg import linear, vector_norm
from minigrad.ops.network import embedding
from minigrad.ops.shape import reshape
from minigrad.tape import no_grad
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
    max_norm : float, optional
        Rows that are looked up and whose norm is larger are first scaled down to it, in the weight.
    norm_type : float
        The order of that norm.
    scale_grad_by_freq : bool
        Whether the gradient of a row is divided by how often it was looked up in the call.
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
        If a size is not a positive integer, there is no row ``padding_idx``, or an option is no number
        or no flag.

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
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
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
        if max_norm is not None:
            max_norm = check_number("Embedding", "max_norm", max_norm, low=0)
        self.max_norm = max_norm
        self.norm_type = check_number("Embedding", "norm_type", norm_type)
        check_flags("Embedding", scale_grad_by_freq=scale_grad_by_freq)
        self.scale_grad_by_freq = bool(scale_grad_by_freq)
        if _weight is None:
            sizes = (num_embeddings, embedding_dim)
            self.weight = Parameter(zeros(sizes, dtype=dtype, device=device))
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight.detach())

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
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
        max_norm : float, optional
            Rows that are looked up and whose norm is larger are first scaled down to it, in the weight.
        norm_type : float
            The order of that norm.
        scale_grad_by_freq : bool
            Whether the gradient of a row is divided by how often it was looked up in the call.

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
        options = (max_norm, norm_type, scale_grad_by_freq)
        layer = cls(rows, width, padding_idx, *options, _weight=table)
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
        TraceError
            In the step of a loop, with ``max_norm``: the weight cannot be changed there.
        """
        input = checked_tensor("Embedding", input, self.weight)
        if self.max_norm is not None:
            self._scale_down(input, self.max_norm)
        return embedding(
            input,
            self.weight,
            padding_idx=self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
        )

    def _scale_down(self, indices: Any, max_norm: float) -> None:
        """Change the rows of the weight that are looked up to a norm of ``max_norm`` at most."""
        if isinstance(indices, Var):
            raise TraceError(
                "Embedding with max_norm changes its weight, which a traced step cannot, at "
                f"{user_line()}\n  look up the rows before the loop"
            )
        with no_grad():
            indices = reshape(indices, -1)
            rows = embedding(indices, self.weight)
            norms = vector_norm(rows, ord=self.norm_type, axis=-1, keepdims=True)
            large = norms > max_norm
            if large.any():
                scaled = where(large, rows * (max_norm / (norms + 1e-7)), rows)
                self.weight.data[indices] = scaled

    def extra_repr(self) -> str:
        usual = {
            "padding_idx": None,
            "max_norm": None,
            "norm_type": 2.0,
            "scale_grad_by_freq": False,
        }
        options = {name: getattr(self, name) for name in usual}
        parts = [f"{name}={value}" for name, value in options.items() if value != usual[name]]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *parts])
