"""Data cut into batches: in a drawn order, sequences of similar length together, padded one by one.

The order of an epoch follows from one number, which is drawn when its first batch is asked for. The state
of a run holds that number and the position, so that it goes on with exactly the batches that are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.checks import as_integer, as_number, check_flag
from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_counts, entry_of
from minigrad.nn.data.arrays import Array, digest_of, listed_items, rows_of, short
from minigrad.nn.data.padding import Padded, Sequences
from minigrad.nn.data.source import Source
from minigrad.random import Generator
from minigrad.tensor import Tensor, tensor


def batches(
    data: Any,
    size: int,
    *,
    shuffle: Generator | None = None,
    pad: Any = 0,
    bucket: int | None = None,
    drop_last: bool = False,
    device: str | None = None,
) -> Batches:
    """Return the batches of examples, to be read epoch after epoch.

    Parameters
    ----------
    data : array_like, list of sequences, or tuple of these
        An array or a tensor of shape (examples, ...), a list of numbers, or a list of sequences, each of
        shape (T_i, ...). A tuple holds several such fields of as many examples. Arrays of NumPy are not
        copied: leave them as they are.
    size : int
        How many examples a batch has.
    shuffle : Generator, optional
        Draws a new order for each epoch; without it the order is that of ``data``.
    pad : float or tuple of float
        What fills sequences up: one number, or one for each field.
    bucket : int, optional
        So many batches are sorted by length before they are cut, so that less is padded; then their order
        is drawn. Later lists of sequences decide where earlier ones are of equal length.
    drop_last : bool
        Whether examples that do not fill a batch are left out; they are others in each epoch.
    device : str, optional
        "cpu", "cuda" or "cuda:N"; by default where the data is.

    Returns
    -------
    Batches
        Yields one entry for each field: a tensor of shape (N, ...) for an array or numbers, and for a
        list of sequences a `Padded` of shape (T, N, ...), also where they are equally long. Of a tuple it
        yields tuples.

    Raises
    ------
    ArgumentError
        If ``size`` or ``bucket`` is not positive, ``shuffle`` is no generator, fields have different
        numbers of examples, or there is nothing to sort by.
    ShapeError
        If sequences differ in more than their length, or a field is a single number.
    DtypeError
        If a field holds something else than numbers, or cannot hold ``pad``.

    Examples
    --------
    >>> reviews, stars = [[3, 1, 4], [1], [5, 9]], [1, 0, 1]
    >>> for (words, lengths), targets in nn.data.batches((reviews, stars), 2):
    ...     print(words.shape, lengths.tolist(), targets.tolist())
    (3, 2) [3, 1] [1, 0]
    (2, 1) [2] [1]
    """
    of = "batches"
    (size,) = check_counts(of, size=size)
    if bucket is not None:
        (bucket,) = check_counts(of, bucket=bucket)
    if shuffle is not None and not isinstance(shuffle, Generator):
        raise ArgumentError(
            f"{of}: shuffle must be a generator or None, not {shuffle!r}; pass minigrad.Generator(seed)"
        )
    drop_last = check_flag(of, "drop_last", drop_last)
    several = isinstance(data, tuple) and not isinstance(data, Padded)
    given = data if several else (data,)
    if not given:
        raise ArgumentError(f"{of}: the tuple has no fields; give at least one")
    pads = pad if isinstance(pad, tuple) else (pad,) * len(given)
    if len(pads) != len(given):
        raise ArgumentError(
            f"{of}: there are {len(pads)} paddings for {len(given)} fields; give one for each"
        )
    names = [f"{of}: field {number}" if several else of for number in range(len(given))]
    fields = [_field(*each, device) for each in zip(names, given, pads, strict=True)]
    for number, field in enumerate(fields):
        if len(field) != len(fields[0]):
            raise ArgumentError(
                f"{of}: field {number} has {len(field)} examples, and field 0 has {len(fields[0])}; "
                "give as many of each"
            )
    if bucket is not None and len(fields[0]) and not any(isinstance(f, _Lists) for f in fields):
        raise ArgumentError(
            f"{of}: bucket sorts by length, and no field is a list of sequences; leave it out"
        )
    return Batches(fields, several, _Cut(size, bucket, drop_last), shuffle)


class Batches(Source):
    """The batches that `batches` makes.

    Iterating yields those from ``position`` to the end of the epoch. When a batch is yielded,
    ``position`` is already after it; after the last one it is 0 again, and the next epoch begins.

    Attributes
    ----------
    position : int
        How many batches of this epoch have been read.

    Examples
    --------
    >>> batches = nn.data.batches([[1, 2], [3], [4, 5]], 2, shuffle=mg.Generator(0))
    >>> len(batches), [words.shape for words, lengths in batches]
    (2, [(2, 2), (1, 1)])
    """

    def __init__(self, _fields: Any, _several: bool, _cut: Any, _generator: Any) -> None:
        self._fields, self._several = _fields, _several
        self._cut: _Cut = _cut
        self._generator: Generator | None = _generator
        self._seed: int | None = None  # what the order of this epoch follows from
        self._order: list[Array] | None = None

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self._cut.count(len(self._fields[0]))

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        self._seed = self._order = None

    def _batch(self, number: int) -> Any:
        if self._order is None:
            if self._seed is None and self._generator is not None:
                self._seed = int(self._generator.integers(0, 2**63 - 1, device="cpu").item())
            lengths = [field.lengths for field in self._fields if isinstance(field, _Lists)]
            self._order = self._cut.order(len(self._fields[0]), lengths, self._seed)
        entries = [field.taken(self._order[number]) for field in self._fields]
        return tuple(entries) if self._several else entries[0]

    def _settings(self) -> dict[str, Any]:
        return {**vars(self._cut), "shuffle": self._generator is not None}

    def _digested(self) -> str:
        return " ".join(field.digest for field in self._fields)

    def state_dict(self) -> dict[str, Any]:
        """Return the position, the order of this epoch, the generator, and what tells this data.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        generator = None if self._generator is None else self._generator.get_state()
        return {**super().state_dict(), "order": self._seed, "generator": generator}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position in the same data; the generator goes on from where it was, too.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If it is other data, cut in another way, or no position. Nothing has changed then.
        """
        seed, generator = entry_of(state, "order"), entry_of(state, "generator")
        if seed is not None and (as_integer(seed) is None or seed < 0):
            raise ArgumentError(
                f"the order must be a non-negative integer or None, not {seed!r}; pass what "
                "state_dict() returned"
            )
        if self._generator is not None and generator is not None:
            Generator(0).set_state(generator)  # refuses what is no state
        super().load_state_dict(state)
        if self._generator is not None:
            self._generator.set_state(generator)
        self._seed, self._order = seed, None


class _Cut:
    """How many examples are cut into batches."""

    def __init__(self, size: int, bucket: int | None, drop_last: bool) -> None:
        self.size, self.bucket, self.drop_last = size, bucket, drop_last

    def count(self, examples: int) -> int:
        return examples // self.size if self.drop_last else -(-examples // self.size)

    def order(self, examples: int, lengths: list[Array], seed: int | None) -> list[Array]:
        """Return the numbers of the examples of each batch; ``seed`` is None for that of the data."""
        draw = None if seed is None else Generator(seed)
        order = np.arange(examples) if draw is None else _permutation(draw, examples)
        # what is left out goes before sorting, or it would be the longest
        order = order[: self.count(examples) * self.size]
        if self.bucket is not None:
            pool = self.bucket * self.size
            parts = [order[start : start + pool] for start in range(0, len(order), pool)]
            keys = lengths[::-1]  # the last key of lexsort decides first
            parts = [part[np.lexsort([key[part] for key in keys])] for part in parts]
            order = np.concatenate(parts) if parts else order
        cut = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        if draw is None or self.bucket is None:
            return cut
        return [cut[number] for number in _permutation(draw, len(cut))]


def _permutation(generator: Generator, n: int) -> Array:
    return generator.permutation(n, device="cpu").numpy()


class _Rows:
    """A field whose examples are the rows of an array."""

    def __init__(self, rows: Array, device: str | None) -> None:
        self._rows, self._device = rows, device

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def digest(self) -> str:
        return digest_of(self._rows)

    def taken(self, which: Array) -> Tensor:
        return tensor(self._rows[which], device=self._device)


class _Lists:
    """A field whose examples are sequences of unequal length."""

    def __init__(self, sequences: Sequences, padding: Any, device: str | None) -> None:
        self._sequences, self._padding, self._device = sequences, padding, device
        self.lengths = sequences.lengths

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def digest(self) -> str:
        return self._sequences.digest

    def taken(self, which: Array) -> Padded:
        return self._sequences.padded(which, self._padding, self._device)


def _field(of: str, given: Any, padding: Any, device: str | None) -> _Rows | _Lists:
    if isinstance(given, Padded):
        device = device or given.values.device
        values, lengths = given.values.cpu().numpy(), given.lengths.cpu().numpy()
        given = [values[:length, number] for number, length in enumerate(lengths)]
    if hasattr(given, "shape"):
        device = device or (given.device if isinstance(given, Tensor) else None)
        return _Rows(rows_of(of, given), device)
    items = listed_items(of, given, "the data")
    if any(isinstance(item, tuple) and not all(map(_is_number, item)) for item in items):
        raise ArgumentError(
            f"{of}: an example is a tuple; give the fields in a tuple, such as (inputs, targets), each "
            "with all examples"
        )
    numbers = [_is_number(item) for item in items]
    if any(numbers) and not all(numbers):
        place = numbers.index(False)
        raise ArgumentError(
            f"{of}: it holds numbers, and example {place} is {short(items[place])}; give a number for "
            "each, or leave this example out"
        )
    if all(numbers):
        return _Rows(rows_of(of, items), device)
    sequences = Sequences(of, items)
    return _Lists(sequences, sequences.checked_padding(of, padding), device)


def _is_number(item: Any) -> bool:
    number = isinstance(item, (bool, np.bool)) or as_number(item) is not None
    return number or getattr(item, "shape", None) == ()
