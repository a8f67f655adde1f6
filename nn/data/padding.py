"""Sequences of unequal length in one array: filled up at their end, beside their lengths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import as_number, check_flag
from minigrad.conversion import check_fits
from minigrad.dtypes import as_dtype, get_default_dtype, is_floating
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.data.arrays import Array, array_of, digest_of, listed_items
from minigrad.ops.shape import swapaxes
from minigrad.tensor import Tensor, tensor


class Padded(NamedTuple):
    """Sequences side by side, filled up to the length of the longest; unpacks into values and lengths.

    Attributes
    ----------
    values : Tensor
        Shape (T, N, ...), time first.
    lengths : Tensor of int64
        Shape (N,): how many of the T values of each sequence are its own.

    Examples
    --------
    >>> values, lengths = nn.data.Padded(mg.zeros((3, 2)), mg.tensor([3, 1]))
    >>> lengths.tolist()
    [3, 1]
    """

    values: Tensor
    lengths: Tensor


def pad_sequence(
    sequences: Iterable[Any],
    *,
    batch_first: bool = False,
    padding_value: float = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Padded:
    """Return sequences of unequal length as one tensor, filled up at their end, and their lengths.

    Parameters
    ----------
    sequences : iterable of array_like
        N sequences, each of shape (T_i, ...) with the same sizes after the first: lists of numbers,
        arrays or tensors. T_i may be 0.
    batch_first : bool
        Whether the values have shape (N, T, ...).
    padding_value : float
        What fills them up.
    dtype : dtype or str, optional
        By default that of the sequences, for Python's floats the default dtype.
    device : str, optional
        "cpu", "cuda" or "cuda:N".

    Returns
    -------
    Padded
        Values of shape (T, N, ...), where T is the longest T_i, and lengths of shape (N,), int64.

    Raises
    ------
    ArgumentError
        If there is no sequence, or one is no sequence.
    ShapeError
        If sizes after the first differ.
    DtypeError
        If a sequence holds something else than numbers, or the dtype cannot hold a number.

    Examples
    --------
    >>> values, lengths = nn.data.pad_sequence([[1, 2, 3], [4]])
    >>> values.tolist(), lengths.tolist()
    ([[1, 4], [2, 0], [3, 0]], [3, 1])
    """
    of = "pad_sequence"
    batch_first = check_flag(of, "batch_first", batch_first)
    found = Sequences(of, sequences, dtype)
    if not len(found):
        raise ArgumentError(f"{of}: there is no sequence; give at least one")
    value = found.checked_padding(of, padding_value)
    values, lengths = found.padded(np.arange(len(found)), value, device)
    return Padded(swapaxes(values, 0, 1) if batch_first else values, lengths)


class Sequences:
    """Sequences of one dtype, one after the other in one array."""

    def __init__(self, of: str, given: Any, dtype: Any = None) -> None:
        items = listed_items(of, given, "the sequences")
        arrays = [_array_of_one(of, number, item) for number, item in enumerate(items)]
        self.lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        # an empty list tells neither a dtype nor sizes, if there is another one
        telling = [n for n, array in enumerate(arrays) if array.shape != (0,)] or range(len(arrays))
        inner = arrays[telling[0]].shape[1:] if arrays else ()
        for number in telling:
            if arrays[number].shape[1:] != inner:
                raise ShapeError(
                    f"{of}: sequence {number} holds values of shape {arrays[number].shape[1:]}, and "
                    f"sequence {telling[0]} of shape {inner}; only lengths may differ"
                )
        kind = as_dtype(_common({arrays[n].dtype for n in telling}) if dtype is None else dtype)
        for number in telling:
            check_fits(f"{of}: sequence {number}", arrays[number], kind)
        whole = [arrays[number].astype(kind, copy=False) for number in telling]
        self._flat: Array = np.concatenate([np.empty((0, *inner), kind), *whole])

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def digest(self) -> str:
        """What tells these sequences from others."""
        return digest_of(self._flat, self.lengths)

    def checked_padding(self, of: str, value: Any) -> Any:
        """Return what fills sequences up, if their dtype can hold it.

        Raises
        ------
        ArgumentError
            If it is no number.
        DtypeError
            If it does not fit.
        """
        number = bool(value) if isinstance(value, (bool, np.bool)) else as_number(value)
        if number is None:
            raise ArgumentError(f"{of}: the padding must be a number, not {value!r}")
        check_fits(f"{of}: the padding", number, self._flat.dtype, writing=True)
        return number

    def padded(self, which: Array, padding: Any, device: str | None) -> Padded:
        """Return those of these numbers, shape (N,), side by side."""
        lengths, starts = self.lengths[which], self._starts[which]
        times = np.arange(lengths.max(initial=0))[:, None]
        own = times < lengths
        values = np.full((*own.shape, *self._flat.shape[1:]), padding, dtype=self._flat.dtype)
        values[own] = self._flat[(starts + times)[own]]
        return Padded(tensor(values, device=device), tensor(lengths, device=device))


def _array_of_one(of: str, number: int, item: Any) -> Array:
    of = f"{of}: sequence {number}"
    array = array_of(of, item if hasattr(item, "shape") else listed_items(of, item, "it"))
    if not array.ndim:
        raise ArgumentError(f"{of}: it is the single number {item!r}; give a list of sequences")
    return array


def _common(kinds: set[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the dtype that holds all; integers become what the floating-point numbers are."""
    floating = {kind for kind in kinds if is_floating(kind)}
    return np.result_type(*(floating or kinds)) if kinds else get_default_dtype()
