"""Operators and methods that tensors share with graph variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

from minigrad import dtypes
from minigrad.dispatch import apply
from minigrad.errors import ArgumentError, DtypeError
from minigrad.ops import elementwise, linalg, reduce, shape
from minigrad.ops.index import At, index

_NONE: dict[str, Any] = {}


def _as_arrays(value: Any) -> Any:
    """Return the arguments of a function of NumPy with arrays in place of tensors, for reading."""
    if isinstance(value, Operators):
        array = value.__array__()  # type: ignore[attr-defined]
        array.flags.writeable = False
        return array
    if isinstance(value, dict):
        return {key: _as_arrays(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_as_arrays, value))
    return value


class Operators:
    """What ``+``, ``@``, ``[]``, ``x.sum()`` and their kin mean."""

    __slots__ = ()
    __array_ufunc__ = None  # so that ``ndarray * tensor`` comes to __rmul__ below

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Let a function of NumPy work on the content, as it does on that of a list."""
        args, kwargs = _as_arrays(args), _as_arrays(kwargs)
        try:
            result = func(*args, **kwargs)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise TypeError(
                f"numpy.{func.__name__} would write into a tensor, which NumPy cannot; write into its "
                "numpy(), or use x[i] = v"
            ) from None
        frozen = isinstance(result, numpy.ndarray) and not result.flags.writeable
        return result.copy() if frozen else result

    shape: tuple[int, ...]
    dtype: Any

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of shape () has no length; use .size or .item()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("a tensor of shape () cannot be iterated over; use .item()")
        return iter(shape.unstack(self, axis=0))

    def __add__(self, other: Any) -> Any:
        return apply(elementwise.add, (self, other), _NONE)

    def __radd__(self, other: Any) -> Any:
        return apply(elementwise.add, (other, self), _NONE)

    def __sub__(self, other: Any) -> Any:
        return apply(elementwise.subtract, (self, other), _NONE)

    def __rsub__(self, other: Any) -> Any:
        return apply(elementwise.subtract, (other, self), _NONE)

    def __mul__(self, other: Any) -> Any:
        return apply(elementwise.multiply, (self, other), _NONE)

    def __rmul__(self, other: Any) -> Any:
        return apply(elementwise.multiply, (other, self), _NONE)

    def __truediv__(self, other: Any) -> Any:
        return apply(elementwise.divide, (self, other), _NONE)

    def __rtruediv__(self, other: Any) -> Any:
        return apply(elementwise.divide, (other, self), _NONE)

    def __floordiv__(self, other: Any) -> Any:
        return apply(elementwise.floor_divide, (self, other), _NONE)

    def __rfloordiv__(self, other: Any) -> Any:
        return apply(elementwise.floor_divide, (other, self), _NONE)

    def __mod__(self, other: Any) -> Any:
        return apply(elementwise.remainder, (self, other), _NONE)

    def __rmod__(self, other: Any) -> Any:
        return apply(elementwise.remainder, (other, self), _NONE)

    def __pow__(self, other: Any) -> Any:
        return apply(elementwise.power, (self, other), _NONE)

    def __rpow__(self, other: Any) -> Any:
        return apply(elementwise.power, (other, self), _NONE)

    def __matmul__(self, other: Any) -> Any:
        return apply(linalg.matmul, (self, other), _NONE)

    def __rmatmul__(self, other: Any) -> Any:
        return apply(linalg.matmul, (other, self), _NONE)

    def __neg__(self) -> Any:
        return apply(elementwise.negative, (self,), _NONE)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return apply(elementwise.abs, (self,), _NONE)

    def __eq__(self, other: Any) -> Any:
        return apply(elementwise.equal, (self, other), _NONE)

    def __ne__(self, other: Any) -> Any:
        return apply(elementwise.not_equal, (self, other), _NONE)

    def __lt__(self, other: Any) -> Any:
        return apply(elementwise.less, (self, other), _NONE)

    def __le__(self, other: Any) -> Any:
        return apply(elementwise.less_equal, (self, other), _NONE)

    def __gt__(self, other: Any) -> Any:
        return apply(elementwise.greater, (self, other), _NONE)

    def __ge__(self, other: Any) -> Any:
        return apply(elementwise.greater_equal, (self, other), _NONE)

    def __and__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_and, (self, other), _NONE)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_or, (self, other), _NONE)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_xor, (self, other), _NONE)

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_left_shift, (self, other), _NONE)

    def __rlshift__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_left_shift, (other, self), _NONE)

    def __rshift__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_right_shift, (self, other), _NONE)

    def __rrshift__(self, other: Any) -> Any:
        return apply(elementwise.bitwise_right_shift, (other, self), _NONE)

    def __invert__(self) -> Any:
        return apply(elementwise.bitwise_invert, (self,), _NONE)

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Any:
        return index(self, key)

    @property
    def at(self) -> At:
        """Functional updates: ``x.at[i].set(v)`` and ``x.at[i].add(v)`` return a new tensor."""
        return At(self)

    @property
    def T(self) -> Any:
        """The tensor with its axes in reverse order."""
        axes = tuple(reversed(range(len(self.shape))))
        return apply(shape.permute_dims, (self,), {"axes": axes})

    @property
    def mT(self) -> Any:
        """The matrix transpose: the last two axes swapped."""
        return apply(linalg.matrix_transpose, (self,), _NONE)

    def detach(self) -> Any:
        """Return a tensor with the same content that no gradient flows through.

        Returns
        -------
        Tensor
            The shape and dtype of this tensor.
        """
        raise NotImplementedError

    def astype(self, dtype: Any) -> Any:
        """Return this tensor with another dtype; to integers and bool no gradient flows.

        To integers it converts as C does: fractions are cut off, and what does not fit wraps. `tensor`
        and writes refuse what does not fit.

        Parameters
        ----------
        dtype : dtype or str
            The new dtype.

        Returns
        -------
        Tensor
            The shape of this tensor; itself if it has the dtype.

        Raises
        ------
        DtypeError
            If there is no such dtype.
        """
        dtype = dtypes.as_dtype(dtype)
        if dtype == self.dtype:
            return self
        source = self if dtypes.is_floating(dtype) else self.detach()
        return apply(shape.astype, (source,), {"dtype": dtype})

    # the functions that read best as methods

    def reshape(self, *sizes: Any) -> Any:
        """See `minigrad.reshape`."""
        return shape.reshape(self, sizes[0] if len(sizes) == 1 else sizes)

    def permute(self, *axes: Any) -> Any:
        """See `minigrad.permute_dims`."""
        return shape.permute_dims(self, axes[0] if len(axes) == 1 else axes)

    def sum(self, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """See `minigrad.sum`."""
        return reduce.sum(self, axis=axis, keepdims=keepdims, dtype=dtype)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.mean`."""
        return reduce.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.max`."""
        return reduce.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.min`."""
        return reduce.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        """See `minigrad.prod`."""
        return reduce.prod(self, axis=axis, keepdims=keepdims, dtype=dtype)

    def var(self, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        """See `minigrad.var`."""
        return reduce.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        """See `minigrad.std`."""
        return reduce.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.any`."""
        return reduce.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.all`."""
        return reduce.all(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.argmax`."""
        return reduce.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        """See `minigrad.argmin`."""
        return reduce.argmin(self, axis=axis, keepdims=keepdims)


def destination(target: Any) -> tuple[str | None, numpy.dtype[Any] | None]:
    """Return the device and the dtype that ``to(target)`` leads to; None is the present one.

    Raises
    ------
    ArgumentError
        If ``target`` is neither a device nor a dtype nor a tensor that has both.
    """
    if target is None:
        return None, None
    if isinstance(target, Operators):
        return target.device, target.dtype  # type: ignore[attr-defined]
    if isinstance(target, str) and (target == "cpu" or target.partition(":")[0] == "cuda"):
        return target, None
    try:
        return None, dtypes.as_dtype(target)
    except DtypeError:
        raise ArgumentError(
            f'to(): {target!r} is neither a device ("cpu", "cuda", "cuda:1") nor a dtype'
        ) from None
