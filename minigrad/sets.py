"""Functions whose result's shape depends on values, so that no step that is traced can call them.

Their results are constants: a position has no derivative, and a set of values has none in PyTorch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minigrad.backends.base import by_type
from minigrad.errors import ShapeError, TraceError, user_line
from minigrad.graph import Var
from minigrad.tensor import Tensor, make, tensor


class UniqueAll(NamedTuple):
    """What `unique_all` returns.

    Attributes
    ----------
    values : Tensor
        Shape (n,), in ascending order.
    indices : Tensor of int64
        Shape (n,): where each value comes first in the flat tensor.
    inverse_indices : Tensor of int64
        The shape of the tensor: which value each element is.
    counts : Tensor of int64
        Shape (n,): how often each value comes.

    Examples
    --------
    >>> mg.unique_all(mg.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns.

    Attributes
    ----------
    values : Tensor
        Shape (n,), in ascending order.
    counts : Tensor of int64
        Shape (n,): how often each value comes.

    Examples
    --------
    >>> mg.unique_counts(mg.tensor([3, 1, 3])).values
    tensor([1, 3])
    """

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns.

    Attributes
    ----------
    values : Tensor
        Shape (n,), in ascending order.
    inverse_indices : Tensor of int64
        The shape of the tensor: which value each element is.

    Examples
    --------
    >>> mg.unique_inverse(mg.tensor([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """

    values: Tensor
    inverse_indices: Tensor


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """Return the positions of the elements that are not 0, for each axis.

    Parameters
    ----------
    x : Tensor or array
        Any shape with at least one axis.

    Returns
    -------
    tuple of Tensor
        One for each axis, of shape (n,), int64; ``x[nonzero(x)]`` are these elements.

    Raises
    ------
    ShapeError
        If ``x`` has no axis.
    TraceError
        In a step that is being traced: how many there are is not known.
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.nonzero(mg.tensor([[0, 5], [7, 0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    if getattr(x, "shape", None) == ():
        raise ShapeError("nonzero: a tensor of shape () has no axis to count along")
    return _called("nonzero", "nonzero", x)


def unique_all(x: Any) -> UniqueAll:
    """Return the different values of all elements, with positions and counts. NaNs differ.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    UniqueAll
        Values, indices, inverse indices and counts.

    Raises
    ------
    TraceError
        In a step that is being traced: how many there are is not known.
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.unique_all(mg.tensor([3, 1, 3])).indices
    tensor([1, 0])
    """
    return UniqueAll(*_called("unique_all", "unique_all", x))


def unique_counts(x: Any) -> UniqueCounts:
    """Return the different values of all elements, and how often each one comes. NaNs differ.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    UniqueCounts
        Values and counts.

    Raises
    ------
    TraceError
        In a step that is being traced: how many there are is not known.
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.unique_counts(mg.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """
    values, _, _, counts = _called("unique_counts", "unique_all", x)
    return UniqueCounts(values, counts)


def unique_inverse(x: Any) -> UniqueInverse:
    """Return the different values of all elements, and which of them each element is. NaNs differ.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    UniqueInverse
        Values and inverse indices: ``take(values, inverse_indices)`` is ``x``.

    Raises
    ------
    TraceError
        In a step that is being traced: how many there are is not known.
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.unique_inverse(mg.tensor([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """
    values, _, inverse, _ = _called("unique_inverse", "unique_all", x)
    return UniqueInverse(values, inverse)


def unique_values(x: Any) -> Tensor:
    """Return the different values of all elements, in ascending order. NaNs differ.

    Parameters
    ----------
    x : Tensor or array
        Any shape.

    Returns
    -------
    Tensor
        Shape (n,), and the dtype of ``x``.

    Raises
    ------
    TraceError
        In a step that is being traced: how many there are is not known.
    TypeError
        If ``x`` is neither a tensor nor an array.

    Examples
    --------
    >>> mg.unique_values(mg.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    return _called("unique_values", "unique_all", x)[0]


def _called(of: str, name: str, x: Any) -> tuple[Tensor, ...]:
    """Return what function ``name`` of the array library makes of ``x``."""
    if isinstance(x, Var):
        raise TraceError(
            f"{of} in a traced step, at {user_line()}\n  how many elements its result has depends on "
            "values, which are not known while tracing; call it before the loop, or use minigrad.where "
            "and sums over a mask"
        )
    if not hasattr(x, "dtype"):
        raise TypeError(
            f"{of}: x must be a tensor or an array, not {x!r}; convert it with minigrad.tensor(...)"
        )
    array = (x if isinstance(x, Tensor) else tensor(x))._array
    backend = by_type[type(array)]
    with backend.place(array):
        return tuple(make(part, None) for part in getattr(backend.namespace, name)(array))
