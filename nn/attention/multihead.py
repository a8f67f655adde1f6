"""Multi-head attention as PyTorch has it: with its names, its order of axes and its masks."""

from __future__ import annotations

import math
from typing import Any

from minigrad.creation import zeros
from minigrad.dtypes import bool_, is_floating
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn import init
from minigrad.nn.checks import (
    check_counts,
    check_dropout,
    check_flags,
    checked_input,
    checked_tensor,
)
from minigrad.nn.dropout import Dropout
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.attention import causal_mask, weights_of
from minigrad.ops.elementwise import logical_not, where
from minigrad.ops.linalg import linear, matmul, matrix_transpose
from minigrad.ops.reduce import mean
from minigrad.ops.shape import expand_dims, permute_dims, reshape, split, squeeze, swapaxes
from minigrad.tensor import Tensor

_NAME = "MultiheadAttention"


class MultiheadAttention(Module):
    """Several scaled dot attentions side by side, each on a part of projected inputs (Vaswani 2017).

    Names of parameters, order of axes and the sense of masks are PyTorch's: here a mask of bool is true
    where **nothing** is to be looked at, other than in the rest of minigrad. A query to which nothing is
    left looks up zeros.

    Parameters
    ----------
    embed_dim : int
        The size of the last axis of queries and of the result.
    num_heads : int
        How many attentions there are, each of width ``embed_dim / num_heads``.
    dropout : float
        Probability that a weight is dropped in training.
    bias : bool
        Whether the projections have biases.
    kdim, vdim : int, optional
        The sizes of the last axes of keys and values, by default ``embed_dim``.
    batch_first : bool
        Whether inputs and outputs are (N, L, ...) instead of (L, N, ...).
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    in_proj_weight : Parameter or None
        Shape (3 * embed_dim, embed_dim): the projections of query, key and value.
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter or None
        Instead of it, if ``kdim`` or ``vdim`` differs: shapes (embed_dim, embed_dim), (embed_dim, kdim)
        and (embed_dim, vdim).
    in_proj_bias : Parameter or None
        Shape (3 * embed_dim,).
    out_proj : Linear
        From the heads, side by side, to the result.

    Raises
    ------
    ArgumentError
        If a size is not positive, the heads do not divide ``embed_dim``, or an option makes no sense.

    Examples
    --------
    >>> layer = nn.MultiheadAttention(8, num_heads=2)
    >>> x = mg.ones((5, 3, 8))
    >>> output, weights = layer(x, x, x)
    >>> output.shape, weights.shape
    ((5, 3, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads}
        self.embed_dim, self.num_heads = check_counts(_NAME, **sizes)
        self.kdim, self.vdim = check_counts(
            _NAME,
            kdim=embed_dim if kdim is None else kdim,
            vdim=embed_dim if vdim is None else vdim,
        )
        if self.embed_dim % self.num_heads:
            raise ArgumentError(
                f"{_NAME}: embed_dim={embed_dim} cannot be cut into num_heads={num_heads} equal parts"
            )
        check_flags(_NAME, bias=bias, batch_first=batch_first)
        (self.dropout,) = check_dropout(_NAME, dropout=dropout)
        self.batch_first, self.head_dim = batch_first, self.embed_dim // self.num_heads

        def parameter(*shape: int) -> Parameter:
            return Parameter(zeros(shape, dtype=dtype, device=device))

        size = self.embed_dim
        alike = self.kdim == self.vdim == size
        self.in_proj_weight = parameter(3 * size, size) if alike else None
        self.q_proj_weight = None if alike else parameter(size, size)
        self.k_proj_weight = None if alike else parameter(size, self.kdim)
        self.v_proj_weight = None if alike else parameter(size, self.vdim)
        self.in_proj_bias = parameter(3 * size) if bias else None
        self.out_proj = Linear(size, size, bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: Glorot's for the projections, and zeros for the biases."""
        self.out_proj.reset_parameters()
        for weight in self._projections():
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def _projections(self) -> tuple[Parameter | None, ...]:
        return self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Look up each query.

        Parameters
        ----------
        query : Tensor
            Shape (L, N, embed_dim), or (N, L, embed_dim) with ``batch_first``; without N of a single
            sequence.
        key, value : Tensor
            Shapes (S, N, kdim) and (S, N, vdim), or as for ``query``.
        key_padding_mask : Tensor, optional
            Shape (N, S), of a single sequence (S,): true where a key is padding, which is never read. Of
            floating-point numbers: what is added to the scores.
        need_weights : bool
            Whether to return weights.
        attn_mask : Tensor, optional
            Shape (L, S) or (N * num_heads, L, S): true where a query must not look at a key. Of
            floating-point numbers: what is added to the scores.
        average_attn_weights : bool
            Whether the weights are those of all heads on the average.
        is_causal : bool
            Whether query i looks at the keys 0 to i only, beside what ``attn_mask`` says.

        Returns
        -------
        output : Tensor
            The shape of ``query``.
        weights : Tensor or None
            Shape (N, L, S), or of each head (N, num_heads, L, S); without N of a single sequence.

        Raises
        ------
        ShapeError
            If the arguments do not have these shapes.
        DtypeError
            If inputs do not hold floating-point numbers, or a mask holds integers.
        ArgumentError
            If a flag is no bool.
        """
        check_flags(
            _NAME,
            need_weights=need_weights,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        like = self.out_proj.weight
        query, key, value = (
            checked_input(_NAME, x, like, f"the {name}")
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        self._check_shapes(query, key, value)
        batched = query.ndim == 3
        if not batched:
            query, key, value = (expand_dims(x, 0) for x in (query, key, value))
        elif not self.batch_first:
            query, key, value = (swapaxes(x, 0, 1) for x in (query, key, value))
        shape = query.shape[0], query.shape[1], key.shape[1]
        padding = None
        if key_padding_mask is not None:
            padding = self._padding(key_padding_mask, shape, batched)
            forbidden = padding if padding.dtype == bool_ else padding == -math.inf
            real = logical_not(expand_dims(forbidden, -1))
            key, value = where(real, key, 0.0), where(real, value, 0.0)
        q, k, v = (self._heads(x) for x in self._projected(query, key, value))
        scores = matmul(q * (1 / math.sqrt(self.head_dim)), matrix_transpose(k))
        if padding is not None:
            scores = _masked(scores, expand_dims(padding, (1, 2)))
        if attn_mask is not None:
            scores = _masked(scores, self._allowed(attn_mask, shape))
        weights = weights_of(scores, causal_mask(scores) if is_causal else None)
        weights = Dropout(self.dropout).train(self.training)(weights)
        looked_up = reshape(permute_dims(matmul(weights, v), (0, 2, 1, 3)), query.shape)
        output = self.out_proj(looked_up)
        if not batched:
            output = squeeze(output, 0)
        elif not self.batch_first:
            output = swapaxes(output, 0, 1)
        if not need_weights:
            return output, None
        shown = mean(weights, axis=1) if average_attn_weights else weights
        return output, shown if batched else squeeze(shown, 0)

    def _check_shapes(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = [tuple(x.shape) for x in (query, key, value)]
        sizes = self.embed_dim, self.kdim, self.vdim
        batch = 0 if self.batch_first else 1
        fits = query.ndim in (2, 3) and all(len(shape) == query.ndim for shape in shapes)
        fits = fits and all(shape[-1] == n for shape, n in zip(shapes, sizes, strict=True))
        fits = fits and shapes[1][:-1] == shapes[2][:-1]
        if not fits or (query.ndim == 3 and shapes[0][batch] != shapes[1][batch]):
            order = ("N, L", "N, S") if self.batch_first else ("L, N", "S, N")
            wanted = [f"({order[i > 0]}, {n})" for i, n in enumerate(sizes)]
            raise ShapeError(
                f"{_NAME}: query, key and value have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; "
                f"they must be {wanted[0]}, {wanted[1]} and {wanted[2]}, or the same without N"
            )

    def _padding(self, mask: Any, shape: tuple[int, int, int], batched: bool) -> Any:
        mask = _checked_mask("key_padding_mask", mask, self.out_proj.weight)
        wanted = (shape[0], shape[2]) if batched else (shape[2],)
        if tuple(mask.shape) != wanted:
            raise ShapeError(
                f"{_NAME}: key_padding_mask has shape {tuple(mask.shape)}; it must be {wanted}, one for "
                "each key"
            )
        return mask if batched else expand_dims(mask, 0)

    def _allowed(self, mask: Any, shape: tuple[int, int, int]) -> Any:
        mask = _checked_mask("attn_mask", mask, self.out_proj.weight)
        count, queries, keys = shape
        each = (count * self.num_heads, queries, keys)
        if tuple(mask.shape) not in ((queries, keys), each):
            raise ShapeError(
                f"{_NAME}: attn_mask has shape {tuple(mask.shape)}; it must be {each[1:]}, or "
                f"{each}: one for each head of each sequence"
            )
        if mask.ndim == 2:
            return mask
        return reshape(mask, (count, self.num_heads, queries, keys))

    def _projected(self, *inputs: Tensor) -> list[Tensor]:
        joined, *apart = self._projections()
        weights: Any = apart if joined is None else split(joined, 3, axis=0)
        bias = self.in_proj_bias
        biases: Any = [None] * 3 if bias is None else split(bias, 3, axis=0)
        return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]

    def _heads(self, x: Tensor) -> Any:
        """Return (N, num_heads, L, head_dim) of (N, L, embed_dim)."""
        cut = reshape(x, (*x.shape[:2], self.num_heads, self.head_dim))
        return permute_dims(cut, (0, 2, 1, 3))

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, num_heads={self.num_heads}"


def _checked_mask(name: str, mask: Any, like: Tensor) -> Tensor:
    made: Tensor = checked_tensor(_NAME, mask, like, name)
    if made.dtype != bool_ and not is_floating(made.dtype):
        raise DtypeError(
            f"{_NAME}: {name} has dtype {made.dtype}; it must be of bool, true where nothing is to be "
            "looked at, or of numbers to add"
        )
    return made


def _masked(scores: Tensor, mask: Tensor) -> Any:
    """Return scores that a mask of PyTorch's sense forbids, or adds to."""
    return where(mask, -math.inf, scores) if mask.dtype == bool_ else scores + mask
