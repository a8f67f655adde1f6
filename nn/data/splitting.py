"""Parts to train on and to test on, that have nothing in common: not even duplicates."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from math import isclose
from typing import Any

import numpy as np

from minigrad.checks import check_number, listed
from minigrad.errors import ArgumentError
from minigrad.nn.data.arrays import Array
from minigrad.nn.data.padding import Padded
from minigrad.random import Generator
from minigrad.tensor import Tensor


def split(
    data: Any,
    fractions: Sequence[float],
    *,
    generator: Generator | None = None,
    groups: Iterable[Any] | None = None,
) -> tuple[Any, ...]:
    """Return parts of data: each example is in one part, and all examples of a group are in the same.

    Parameters
    ----------
    data : array_like, list, or tuple of these
        Arrays or tensors, of which the rows are examples, or lists of anything, such as texts. A tuple
        holds several fields of as many examples.
    fractions : sequence of float
        How much of the examples each part gets, such as ``(0.8, 0.1, 0.1)``; they add up to 1. Groups
        are not cut, so with them parts are only about as large.
    generator : Generator, optional
        Draws which examples, or groups, a part gets. Without it they are cut in their order: the first
        part has the first ones.
    groups : iterable, optional
        What each example belongs to: a number, a str, a tuple, or an array or list of these. Equal ones
        are one group. The texts themselves keep duplicates together.

    Returns
    -------
    tuple
        One entry for each fraction, of the kind of ``data``; a part keeps the order of the examples.

    Raises
    ------
    ArgumentError
        If fractions are not positive or do not add up to 1, fields or groups have other numbers of
        examples, or a part would be empty.

    Examples
    --------
    >>> train, test = nn.data.split((["a", "b", "a", "c"], [1, 0, 1, 0]), (0.5, 0.5), groups="abac")
    >>> train, test
    ((['a', 'a'], [1, 1]), (['b', 'c'], [0, 0]))
    """
    shares = [check_number("split", "a fraction", share, low=0) for share in listed(fractions)]
    if not shares or 0 in shares or not isclose(sum(shares), 1, rel_tol=1e-6):
        raise ArgumentError(f"split: fractions must be positive and add up to 1, not {fractions!r}")
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentError(
            f"split: generator must be a generator or None, not {generator!r}; pass "
            "minigrad.Generator(seed)"
        )
    several = isinstance(data, tuple) and not isinstance(data, Padded)
    fields = [_field(number, field) for number, field in enumerate(data if several else (data,))]
    sizes = {len(field) for field in fields}
    if len(sizes) != 1:
        raise ArgumentError(
            f"split: the fields have {sorted(sizes)} examples; give as many of each"
        )
    (count,) = sizes
    places = np.arange(count) if groups is None else _numbered(groups, count)
    parts = _assigned(places, shares, generator)
    for number, share in enumerate(shares):
        if number not in parts:
            raise ArgumentError(
                f"split: the part of {share} of {count} examples in {len(set(places.tolist()))} groups "
                "would be empty; give more examples, or a larger fraction"
            )
    found = [[_taken(field, parts == number) for field in fields] for number in range(len(shares))]
    return tuple(tuple(part) if several else part[0] for part in found)


def _field(number: int, field: Any) -> Any:
    if isinstance(field, Padded):
        raise ArgumentError("split: sequences are padded batch by batch; split them before")
    if isinstance(field, (str, bytes, Mapping, Set)) or not isinstance(field, Iterable):
        raise ArgumentError(
            f"split: field {number} must be a list or an array of examples, not {field!r}"
        )
    return field if hasattr(field, "shape") else list(field)


def _numbered(groups: Any, count: int) -> Array:
    """Return the number of the group of each example; groups are numbered as they come."""
    keys = [_key(group) for group in groups]
    if len(keys) != count:
        raise ArgumentError(
            f"split: there are {len(keys)} groups for {count} examples; give one for each"
        )
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _key(group: Any) -> Any:
    """Return what is equal for equal content: arrays, tensors and lists as tuples."""
    if isinstance(group, (Tensor, np.ndarray)):
        group = group.tolist()
    if isinstance(group, (list, tuple)):
        return tuple(map(_key, group))
    if not isinstance(group, Hashable):
        raise ArgumentError(
            f"split: the group {group!r} cannot be looked up; give a str or a tuple"
        )
    return group


def _assigned(places: Array, shares: list[float], generator: Generator | None) -> Array:
    """Return the number of the part of each example: that in which the middle of its group falls."""
    sizes = np.bincount(places)
    order = np.arange(len(sizes))
    if generator is not None:
        order = generator.permutation(len(sizes), device="cpu").numpy()
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    cuts = np.round(np.cumsum(shares)[:-1] * len(places))
    parts = np.empty(len(sizes), np.int64)
    parts[order] = np.searchsorted(cuts, middles)
    found: Array = parts[places]
    return found


def _taken(field: Any, own: Array) -> Any:
    if not isinstance(field, list):
        return field[np.flatnonzero(own)]
    return [example for example, taken in zip(field, own, strict=True) if taken]
