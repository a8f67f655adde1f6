"""Attention: a weighted mean of values, for each query, by how well it matches their keys."""

from __future__ import annotations

import math
from typing import Any

from minigrad.checks import check_flag, check_number
from minigrad.composite import composite
from minigrad.dtypes import bool_, is_floating
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import Arguments, Domain, Draw
from minigrad.ops.elementwise import where, zeros_like
from minigrad.ops.linalg import matmul, matrix_transpose
from minigrad.ops.network import dropout, softmax
from minigrad.ops.reduce import any as any_of
from minigrad.ops.shape import expand_dims, tril
from minigrad.promotion import rounded_once
from minigrad.random import Generator

_NAME = "scaled_dot_product_attention"


def _attention_arguments(draw: Draw) -> Arguments:
    batch = draw.shape(max_dims=2)
    queries, keys, width = (draw.integer(0, 3) for _ in range(3))
    query, key = draw.array(*batch, queries, width), draw.array(*batch, keys, width)
    value = draw.array(*batch, keys, draw.integer(0, 3))
    masks = [None, draw.booleans(queries, keys), draw.array(*batch, 1, keys)]
    mask = draw.choice(masks)
    causal = mask is None and draw.boolean()
    return (query, key, value, mask), {"is_causal": causal, "scale": draw.choice([None, 0.7])}


@composite(domain=Domain(arguments=_attention_arguments))
@rounded_once(promotion="float", fixed=("attn_mask",))
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    generator: Generator | None = None,
) -> Any:
    """Return ``softmax(query @ key.mT * scale + mask) @ value`` (Vaswani 2017), as PyTorch.

    A query to which no key is allowed gets zeros. A key and a value that are allowed to no query are
    never read: they may be NaN.

    Parameters
    ----------
    query : Tensor
        Shape (..., L, E).
    key : Tensor
        Shape (..., S, E).
    value : Tensor
        Shape (..., S, V).
    attn_mask : Tensor, optional
        Of a shape that broadcasts to (..., L, S). Of bool: true where a query may look at a key. Of
        floating-point numbers: it is added to the scores; minus infinity forbids.
    dropout_p : float
        The probability to drop a weight; it needs a ``generator``.
    is_causal : bool
        Whether query i looks at the keys 0 to i only. Not together with ``attn_mask``.
    scale : float, optional
        By default ``1 / sqrt(E)``.
    generator : Generator, optional
        What draws the weights to drop.

    Returns
    -------
    Tensor
        Shape (..., L, V).

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DtypeError
        If the mask holds integers.
    ArgumentError
        If there is a mask beside ``is_causal``, ``dropout_p`` is no probability or has no generator, or
        ``scale`` is no number.

    Examples
    --------
    >>> x = mg.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> mg.scaled_dot_product_attention(x, x, x, is_causal=True, scale=0.0)
    tensor([[1. , 0. ],
            [0.5, 0.5]])
    """
    _check(query, key, value)
    is_causal = check_flag(_NAME, "is_causal", is_causal)
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            f"{_NAME}: is_causal=True is a mask, and there is another one; give one of them, or join "
            "them with &"
        )
    dropout_p = check_number(_NAME, "dropout_p", dropout_p, low=0, high=1)
    if dropout_p and generator is None:
        raise ArgumentError(
            f"{_NAME}: dropout_p={dropout_p} draws random numbers; give generator=, for instance "
            "minigrad.random.default_generator"
        )
    usual = 1 / math.sqrt(max(query.shape[-1], 1))
    factor = usual if scale is None else check_number(_NAME, "scale", scale)
    if attn_mask is not None:
        key, value = _without_the_unused(attn_mask, key, value)
    scores = matmul(query * factor, matrix_transpose(key))
    weights = weights_of(scores, causal_mask(scores) if is_causal else attn_mask)
    if dropout_p and generator is not None:
        kept = generator.bernoulli(1 - dropout_p, weights.shape, device=weights.device)
        weights = dropout(weights, kept, p=dropout_p)
    return matmul(weights, value)


def causal_mask(scores: Any) -> Any:
    """Return a mask of bool for scores (..., L, S): query i may look at the keys 0 to i."""
    return tril(zeros_like(scores) == 0)


def weights_of(scores: Any, mask: Any = None) -> Any:
    """Return the weights of scores (..., L, S): a softmax over the keys that the mask allows.

    Where it allows none, the weights are zero, and no gradient comes to the scores.
    """
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype == bool_ else scores + mask
    return softmax(scores, axis=-1)


def _check(query: Any, key: Any, value: Any) -> None:
    shapes = tuple(query.shape), tuple(key.shape), tuple(value.shape)
    fits = min(map(len, shapes)) >= 2
    if not (fits and shapes[0][-1] == shapes[1][-1] and shapes[1][-2] == shapes[2][-2]):
        raise ShapeError(
            f"{_NAME}: query, key and value have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; they "
            "must be (..., L, E), (..., S, E) and (..., S, V)"
        )


def _without_the_unused(mask: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Return keys and values with zeros where no query may look."""
    if mask.dtype != bool_ and not is_floating(mask.dtype):
        raise DtypeError(
            f"{_NAME}: attn_mask has dtype {mask.dtype}; it must be of bool, or numbers to add"
        )
    if mask.ndim == 0:
        return key, value
    allowed = mask if mask.dtype == bool_ else mask != -math.inf
    used = any_of(allowed, axis=-2) if mask.ndim > 1 else allowed
    used = expand_dims(used, -1)
    return where(used, key, 0.0), where(used, value, 0.0)
