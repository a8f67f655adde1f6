"""Products of matrices and vectors, and what belongs to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.checks import as_integer
from minigrad.composite import composite
from minigrad.dispatch import apply
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Arguments, Domain, Draw, EachArgument, define_op
from minigrad.ops import reduce
from minigrad.ops.shape import matrices, normal_axes, normal_axis, permute_dims, reshape
from minigrad.promotion import result_type, rounded_once


def _bilinear(arguments: Any) -> Domain:
    return Domain(sharp="linear", arguments=arguments)


def _matmul(m: Any, a: Any, b: Any) -> Any:
    if 0 in (a.ndim, b.ndim):
        raise ShapeError("a matrix product needs at least one axis on both sides; use *")
    inner = a.shape[-1], b.shape[-2 if b.ndim > 1 else 0]
    if inner[0] != inner[1]:
        raise ShapeError(
            f"inner sizes differ: {inner[0]} and {inner[1]}; "
            "transpose one side with .mT, or check its last axes"
        )
    return m.matmul(a, b)


def _matmul_left(m: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1 and b.ndim == 1:
        return g * b
    if b.ndim == 1:
        return m.reshape(g, shape=(*g.shape, 1)) * b
    if a.ndim == 1:
        column = m.matmul(b, m.reshape(g, shape=(*g.shape, 1)))
        return m.reshape(column, shape=column.shape[:-1])
    return m.matmul(g, m.matrix_transpose(b))


def _matmul_right(m: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1 and b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return m.reshape(a, shape=(*a.shape, 1)) * m.reshape(
            g, shape=(*g.shape[:-1], 1, g.shape[-1])
        )
    if b.ndim == 1:
        g = m.reshape(g, shape=(*g.shape, 1))
        column = m.matmul(m.matrix_transpose(a), g)
        return m.reshape(column, shape=column.shape[:-1])
    if b.ndim == 2 and a.ndim > 2:  # one product over all rows instead of one for each batch
        rows = math.prod(a.shape[:-1])
        a = m.reshape(a, shape=(rows, a.shape[-1]))
        g = m.reshape(g, shape=(rows, g.shape[-1]))
    return m.matmul(m.matrix_transpose(a), g)


def _matmul_arguments(draw: Draw) -> Arguments:
    n, k, p = (draw.integer(0, 3) for _ in range(3))
    batch = draw.shape(max_dims=2)
    a, b = draw.choice(
        [
            ((k,), (k,)),
            ((n, k), (k,)),
            ((k,), (k, p)),
            ((n, k), (k, p)),
            ((*batch, n, k), (k, p)),
            ((*batch, n, k), (*batch, k, p)),
            ((n, k), (*batch, k, p)),
            ((*batch, n, k), (k,)),
            ((k,), (*batch, k, p)),
        ]
    )
    return (draw.array(*a), draw.array(*b)), {}


matmul = define_op(
    "matmul", _matmul, (_matmul_left, _matmul_right), domain=_bilinear(_matmul_arguments),
    promotion="common",
    doc="Matrix product; vectors and batches as in the array API standard. Written ``a @ b``.",
)  # fmt: skip


def _matrix_arguments(draw: Draw) -> Arguments:
    return (draw.array(*draw.shape(min_dims=2)),), {}


matrix_transpose = define_op(
    "matrix_transpose", lambda m, x: m.matrix_transpose(matrices(x)),
    lambda m, g, y, x: m.matrix_transpose(g), domain=_bilinear(_matrix_arguments),
    moves=True, doc="Swap the last two axes.",
)  # fmt: skip


def _rows(m: Any, x: Any) -> Any:
    return x if x.ndim == 2 else m.reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


def _transposed_arguments(draw: Draw) -> Arguments:
    batch, inner, outer = draw.shape(max_dims=2), draw.integer(0, 3), draw.integer(0, 3)
    return (draw.array(*batch, inner), draw.array(outer, inner)), {}


matmul_transposed = define_op(
    "matmul_transposed", lambda m, a, b: m.matmul(a, m.matrix_transpose(b)),
    (
        lambda m, g, y, a, b: m.matmul(g, b),
        lambda m, g, y, a, b: m.matmul(m.matrix_transpose(_rows(m, g)), _rows(m, a)),
    ),
    domain=_bilinear(_transposed_arguments),
    promotion="common",
    doc="``a @ b.mT`` for one matrix ``b``, whose gradient then lies in memory as ``b`` does.",
)  # fmt: skip


def _linear_arguments(draw: Draw) -> Arguments:
    batch, inner, outer = draw.shape(max_dims=2), draw.integer(0, 3), draw.integer(0, 3)
    bias = draw.choice([None, draw.array(outer)])
    return (draw.array(*batch, inner), draw.array(outer, inner), bias), {}


@composite(domain=_bilinear(_linear_arguments))
@rounded_once()
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``x @ weight.T + bias``.

    Parameters
    ----------
    x : Tensor
        Shape (..., in).
    weight : Tensor
        Shape (out, in), as PyTorch stores it.
    bias : Tensor, optional
        Shape (out,).

    Returns
    -------
    Tensor
        Shape (..., out).

    Raises
    ------
    ShapeError
        If ``weight`` is not a matrix, or its second axis is not as long as the last of ``x``.

    Examples
    --------
    >>> mg.linear(mg.tensor([1.0, 2.0]), mg.tensor([[3.0, 4.0]]), mg.tensor([0.5]))
    tensor([11.5])
    """
    if len(weight.shape) != 2 or not x.shape or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}; "
            "the last axis of x must be as long as the second of weight (out, in)"
        )
    y = matmul_transposed(x, weight)
    return y if bias is None else y + bias


def _same_shapes(draw: Draw) -> Arguments:
    shape = draw.shape(min_dims=1)
    axis = draw.integer(-len(shape), -1)
    return (draw.array(*shape), draw.array(*shape), axis), {}


@composite(domain=_bilinear(_same_shapes))
@rounded_once()
def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Sum of products along an axis; the other axes broadcast.

    Parameters
    ----------
    x1, x2 : Tensor
        Shape (..., n), or with the axis n in another place.
    axis : int
        The axis to sum over.

    Returns
    -------
    Tensor
        Shape (...).

    Raises
    ------
    ShapeError
        If the axis has two sizes, or the others do not broadcast.

    Examples
    --------
    >>> mg.vecdot(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    last, other = (normal_axis(axis, x.ndim, "vecdot") - x.ndim for x in (x1, x2))
    if last != other:
        raise ShapeError(
            f"vecdot: axis {axis} is not the same one in shapes {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}, which broadcast from the last; count the axis from -1 backwards"
        )
    if x1.shape[last] != x2.shape[last]:
        raise ShapeError(
            f"vecdot: axis {axis} has size {x1.shape[last]} and {x2.shape[last]}; "
            "the sizes must be equal"
        )
    common = result_type(x1.dtype, x2.dtype)
    return reduce.sum(reduce.widened(x1, common) * reduce.widened(x2, common), axis=last)


def _two_vectors(draw: Draw) -> Arguments:
    return (draw.array(draw.integer(0, 4)), draw.array(draw.integer(0, 4))), {}


@composite(domain=_bilinear(_two_vectors))
def outer(x1: Any, x2: Any) -> Any:
    """All products of the elements of two vectors.

    Parameters
    ----------
    x1 : Tensor
        Shape (n,).
    x2 : Tensor
        Shape (m,).

    Returns
    -------
    Tensor
        Shape (n, m).

    Raises
    ------
    ShapeError
        If one of them has not one axis.

    Examples
    --------
    >>> mg.outer(mg.tensor([1.0, 2.0]), mg.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(
            f"outer: shapes {tuple(x1.shape)} and {tuple(x2.shape)}; both must have one axis"
        )
    return reshape(x1, (-1, 1) if x1.size else (0, 1)) * x2


def _tensordot_arguments(draw: Draw) -> Arguments:
    a = draw.shape(min_dims=2, max_dims=3)
    count = draw.integer(0, 2)
    b = (*a[len(a) - count :], *draw.shape(max_dims=1))
    if draw.boolean():
        return (draw.array(*a), draw.array(*b), count), {}
    axes = (tuple(range(len(a) - count, len(a)))[::-1], tuple(range(count))[::-1])
    return (draw.array(*a), draw.array(*b), axes), {}


@composite(domain=_bilinear(_tensordot_arguments))
def tensordot(x1: Any, x2: Any, axes: int | Sequence[Any] = 2) -> Any:
    """Sum products over pairs of axes.

    Parameters
    ----------
    x1, x2 : Tensor
        Any shapes in which the axes of each pair are of one size.
    axes : int or pair of sequences of int
        The number of axes at the end of ``x1`` and the start of ``x2``, or the axes of each.

    Returns
    -------
    Tensor
        The shape has the other axes of ``x1``, then those of ``x2``.

    Raises
    ------
    ShapeError
        If an axis does not exist, or the axes of a pair differ in size.

    Examples
    --------
    >>> mg.tensordot(mg.ones((2, 3, 5)), mg.ones((3, 5, 7))).shape
    (2, 7)
    """
    if isinstance(axes, Sequence) and len(axes) == 2:
        left = normal_axes(axes[0], x1.ndim, "tensordot")
        right = normal_axes(axes[1], x2.ndim, "tensordot")
    else:
        count = as_integer(axes)
        if count is None or count < 0:
            raise ShapeError(
                f"tensordot: axes must be a number of axes from 0 on, or those of each, not {axes}"
            )
        left = tuple(range(x1.ndim - count, x1.ndim))
        right = tuple(range(count))
    sizes = [x1.shape[i] for i in left if i >= 0]
    if sizes != [x2.shape[i] for i in right if i < x2.ndim] or len(sizes) != len(left):
        raise ShapeError(
            f"tensordot: axes {left} of shape {tuple(x1.shape)} and {right} of {tuple(x2.shape)} "
            "differ in size; they must be equal pair by pair"
        )
    keep1 = tuple(i for i in range(x1.ndim) if i not in left)
    keep2 = tuple(i for i in range(x2.ndim) if i not in right)
    shape1 = tuple(x1.shape[i] for i in keep1)
    shape2 = tuple(x2.shape[i] for i in keep2)
    inner = math.prod(sizes)
    a = reshape(permute_dims(x1, (*keep1, *left)), (math.prod(shape1), inner))
    b = reshape(permute_dims(x2, (*right, *keep2)), (inner, math.prod(shape2)))
    return reshape(matmul(a, b), (*shape1, *shape2))


# einsum: first the notation is made plain (no "...", no diagonals, explicit output), then one op


def _contract_rule(position: int, m: Any, g: Any, y: Any, *xs: Any, subscripts: str) -> Any:
    left, output = subscripts.split("->")
    terms = left.split(",")
    mine = terms[position]
    others = [(t, x) for i, (t, x) in enumerate(zip(terms, xs, strict=True)) if i != position]
    known = set(output).union(*(t for t, _ in others)) if others else set(output)
    found = "".join(label for label in mine if label in known)
    sources = ",".join([output, *(t for t, _ in others)])
    part = m.contract(g, *(x for _, x in others), subscripts=f"{sources}->{found}")
    # a label that is summed may have size 1, or be missing, in all that was multiplied here
    sizes = dict(zip(found, part.shape, strict=True))
    narrow = tuple(sizes.get(label, 1) for label in mine)
    wide = tuple(
        n if size == 1 else size for size, n in zip(narrow, xs[position].shape, strict=True)
    )
    part = part if found == mine else m.reshape(part, shape=narrow)
    return part if narrow == wide else m.broadcast_to(part, shape=wide)


def _contract_arguments(draw: Draw) -> Arguments:
    subscripts = draw.choice(
        ["ij,jk->ik", "ij->j", "i,j->ij", "ij,jk,kl->il", "bij,bkj->bik", "ij,i->", "i,i,i->"]
    )
    sizes = {label: draw.integer(1, 3) for label in "bijkl"}
    terms = subscripts.split("->")[0].split(",")
    # a size of 1 broadcasts against that of other terms
    shapes = [tuple(draw.choice((n, n, 1)) for n in map(sizes.get, term)) for term in terms]
    return tuple(draw.array(*shape) for shape in shapes), {"subscripts": subscripts}


def _contract(m: Any, *xs: Any, subscripts: str) -> Any:
    if len(xs) > 1 or not m.isdtype(xs[0].dtype, "real floating"):
        return m.einsum(subscripts, *xs, optimize=len(xs) > 1)
    term, output = subscripts.split("->")  # a sum, which the namespace takes better care of
    kept = [label for label in term if label in output]
    y = m.sum(xs[0], axis=tuple(i for i, label in enumerate(term) if label not in output))
    return m.permute_dims(m.asarray(y), tuple(kept.index(label) for label in output))


contract = define_op(
    "contract", _contract,
    EachArgument(_contract_rule),
    domain=Domain(arguments=_contract_arguments, strict="the standard has no einsum"),
    promotion="common",
    doc="Sum of products with explicit subscripts; what `einsum` comes down to.",
)  # fmt: skip

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _plain_subscripts(subscripts: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """Return the terms and the output of an einsum with "..." written out as letters."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ShapeError(
            f"einsum({subscripts!r}): {len(terms)} terms for {len(operands)} tensors; "
            "write one term for each tensor"
        )
    spare = [letter for letter in _LETTERS if letter not in text]
    longest = 0
    for term, x in zip(terms, operands, strict=True):
        named = len(term.replace("...", ""))
        if named > x.ndim or ("..." not in term and named != x.ndim):
            raise ShapeError(
                f"einsum({subscripts!r}): the term {term!r} does not fit a tensor of shape "
                f"{tuple(x.shape)}; write one letter for each axis, or '...'"
            )
        if "..." in term:
            longest = max(longest, x.ndim - named)
    dots = "".join(spare[:longest])
    plain = []
    for term, x in zip(terms, operands, strict=True):
        count = x.ndim - len(term.replace("...", ""))
        plain.append(term.replace("...", dots[len(dots) - count :] if count else ""))
    if not arrow:
        letters = "".join(terms).replace("...", "")
        output = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    output = output.replace("...", dots)
    unknown = sorted(set(output) - set("".join(plain)))
    if unknown or len(set(output)) < len(output):
        raise ShapeError(
            f"einsum({subscripts!r}): the output must name each letter once, and only letters of "
            f"the inputs{f', not {unknown}' if unknown else ''}"
        )
    return plain, output


def _einsum_arguments(draw: Draw) -> Arguments:
    text, *shapes = draw.choice(
        [
            ("ij,jk", (2, 3), (3, 2)),
            ("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
            ("ii->i", (3, 3)),
            ("ii", (3, 3)),
            ("bii,i->b", (2, 3, 3), (3,)),
            ("b...->...", (2, 3)),
            ("ii,i->", (3, 3), (1,)),
            ("ij,j...->i...", (2, 1), (3, 2)),
            ("...i,...i->...", (2, 1, 3), (4, 1)),
        ]
    )
    return (text, *(draw.array(*shape) for shape in shapes)), {}


@composite(domain=Domain(arguments=_einsum_arguments, strict="the standard has no einsum"))
def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum products of tensors in Einstein's notation, as ``numpy.einsum`` with a string.

    Parameters
    ----------
    subscripts : str
        One term for each tensor, "..." and repeated letters (diagonals) allowed; for instance
        "bij,bjk->bik".
    *operands : Tensor
        As many axes as the term has letters; a letter stands for one size, or 1.

    Returns
    -------
    Tensor
        The shape that the output of ``subscripts`` names.

    Raises
    ------
    ArgumentError
        If ``subscripts`` is no text.
    ShapeError
        If a term does not fit its tensor, the sizes of a letter differ, or the output names an
        unknown letter.

    Examples
    --------
    >>> mg.einsum("ij,j->i", mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not isinstance(subscripts, str):
        raise ArgumentError(
            f"einsum: the subscripts must be text that comes first, not a {type(subscripts).__name__}; "
            "write einsum('ij,jk->ik', a, b), for instance"
        )
    terms, output = _plain_subscripts(subscripts, operands)
    plain_terms, xs = [], []
    for term, x in zip(terms, operands, strict=True):
        while len(set(term)) < len(term):
            letter = next(c for c in term if term.count(c) > 1)
            first = term.index(letter)
            second = term.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum({subscripts!r}): {letter!r} names axes of size {x.shape[first]} and "
                    f"{x.shape[second]} of one tensor; a diagonal needs equal sizes"
                )
            rest = [i for i in range(len(term)) if i not in (first, second)]
            x = diagonal(permute_dims(x, (*rest, first, second)))
            term = "".join(term[i] for i in rest) + letter
        plain_terms.append(term)
        xs.append(x)
    return apply(contract, tuple(xs), {"subscripts": f"{','.join(plain_terms)}->{output}"})


# diagonals


def _put_diagonal(m: Any, x: Any, /, *, shape: tuple[int, int], offset: int = 0) -> Any:
    rows, columns = shape
    start = min(max(-offset, 0), rows)
    column = m.zeros((*x.shape[:-1], rows), dtype=x.dtype)
    column = m.scatter_set(column, (..., slice(start, start + x.shape[-1])), x)
    on_diagonal = m.astype(m.eye(rows, columns, k=offset), m.bool)
    return m.where(on_diagonal, m.expand_dims(column, axis=-1), m.zeros((), dtype=x.dtype))


def _diagonal_arguments(draw: Draw) -> Arguments:
    shape = (*draw.shape(max_dims=1), draw.integer(1, 4), draw.integer(1, 4))
    return (draw.array(*shape),), {"offset": draw.integer(-2, 2)}


def _put_diagonal_arguments(draw: Draw) -> Arguments:
    offset = draw.integer(-1, 1)
    return (draw.array(3),), {"offset": offset, "shape": (3 + max(-offset, 0), 3 + max(offset, 0))}


diagonal = define_op(
    "diagonal", lambda m, x, /, *, offset=0: m.linalg.diagonal(matrices(x), offset=offset),
    lambda m, g, y, x, offset: m.put_diagonal(g, shape=x.shape[-2:], offset=offset),
    domain=_bilinear(_diagonal_arguments),
    moves=True,
    doc="The diagonal of matrices (the last two axes), ``offset`` places above the main one.",
)  # fmt: skip
put_diagonal = define_op(
    "put_diagonal", _put_diagonal,
    lambda m, g, y, x, shape, offset: m.diagonal(g, offset=offset),
    domain=_bilinear(_put_diagonal_arguments),
    moves=True,
    doc="Matrices of a shape with this diagonal and zeros elsewhere: the adjoint of `diagonal`.",
)  # fmt: skip


@composite(domain=_bilinear(_diagonal_arguments))
@rounded_once()
def trace(x: Any, offset: int = 0) -> Any:
    """Sum of the diagonal of matrices (the last two axes).

    Parameters
    ----------
    x : Tensor
        Shape (..., n, m).
    offset : int
        How many places above the main diagonal; negative is below.

    Returns
    -------
    Tensor
        Shape (...).

    Raises
    ------
    ShapeError
        If ``x`` has fewer than two axes.

    Examples
    --------
    >>> mg.trace(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return reduce.sum(diagonal(x, offset=offset), axis=-1)


# norms


def _vector_norm(
    m: Any, x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2
) -> Any:
    if math.isnan(ord):
        raise ArgumentError(f"ord must be a number, inf or -inf, not {ord}")
    if ord < 0 and reduce.count(x, axis) == 0:
        raise ShapeError(f"nothing has no norm of order {ord}; orders from 0 on give 0")
    if ord == 0:
        return m.sum(m.astype(x != 0, x.dtype), axis=axis, keepdims=keepdims)
    size = m.abs(x)
    if ord == math.inf:
        return m.max(size, axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return m.min(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return m.sqrt(m.sum(x * x, axis=axis, keepdims=keepdims))
    if ord == 1:
        return m.sum(size, axis=axis, keepdims=keepdims)
    return m.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def _vector_norm_rule(m: Any, g: Any, y: Any, x: Any, axis: Any, keepdims: bool, ord: float) -> Any:
    norm = reduce.spread(m, y, x, axis, keepdims)
    slope = reduce.spread(m, g, x, axis, keepdims) * m.sign(x)
    if ord == 0:
        return m.zeros_like(slope * norm)  # reads both: what is saved depends on the op alone
    if math.isinf(ord):
        reached = m.abs(x) == norm
        ties = m.sum(m.astype(reached, dtype=x.dtype), axis=axis, keepdims=True)
        return m.where(reached, slope / ties, 0.0)
    # a zero element has no slope below order 1, nor the others beside it below order 0
    flat = m.logical_or(x == 0, norm == 0)
    ratio = m.where(flat, 1.0, m.abs(x)) / m.where(flat, 1.0, norm)
    return m.where(flat, 0.0, slope * ratio ** (ord - 1))


def _norm_arguments(draw: Draw) -> Arguments:
    (x,), attrs = reduce.reduction_arguments(draw)
    return (x,), {**attrs, "ord": draw.choice([1, 2, 3.5, 0.5, 0, -1, -2.5, math.inf, -math.inf])}


vector_norm = define_op(
    "vector_norm", _vector_norm, _vector_norm_rule,
    domain=Domain(0.3, 2.0, arguments=_norm_arguments),
    promotion="float",
    doc="The norm of the elements along axes, of order ``ord``. The gradient of a zero element is 0.",
)  # fmt: skip
