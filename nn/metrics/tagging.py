"""Scores of tagged sequences by whole entities: right is one whose kind, begin and end all are.

Tags are ``O``, or a prefix and a kind: ``B-person`` begins an entity, ``I-person`` goes on with one,
``E-person`` ends one, ``S-person`` is one by itself. As in the script conlleval of the CoNLL shared
tasks (and in seqeval by default), no tag is refused for its place: an ``I`` after ``O``, or after
another kind, begins an entity, too. So BIO (IOB1), IOB2 and IOBES are all read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.data.arrays import Array
from minigrad.nn.metrics import inputs
from minigrad.nn.metrics.classification import Counts
from minigrad.nn.metrics.ratio import Ratio


class Entity(NamedTuple):
    """An entity of a tagged sequence: ``tags[start:stop]``.

    Attributes
    ----------
    kind : str
        What follows the prefix; "" for tags without a kind.
    start, stop : int
        Where it begins, and after its end.

    Examples
    --------
    >>> nn.metrics.entities(["O", "B-place", "I-place"])
    [Entity(kind='place', start=1, stop=3)]
    """

    kind: str
    start: int
    stop: int


class _Meaning(NamedTuple):
    """What the tag of each code says."""

    inside: Array  # whether it belongs to an entity
    begins: Array  # whether it always begins one
    ends: Array  # whether it always ends one
    kind: Array  # the number of its kind
    kinds: tuple[str, ...]


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of one sequence of tags.

    Parameters
    ----------
    tags : sequence of str
        ``O``, or ``B``, ``I``, ``E`` or ``S`` and after a hyphen the kind.

    Returns
    -------
    list of Entity
        In order.

    Raises
    ------
    ArgumentError
        If there is another tag.

    Examples
    --------
    >>> nn.metrics.entities(["B-person", "I-person", "B-person", "O", "I-place"])
    [Entity(kind='person', start=0, stop=2), Entity(kind='person', start=2, stop=3),
     Entity(kind='place', start=4, stop=5)]
    """
    names, (codes,), places = _coded("entities", [[tags]])
    meaning = _meaning("entities", names)
    starts, stops, kinds = _spans(codes, places, meaning)
    spans = zip(kinds.tolist(), starts.tolist(), stops.tolist(), strict=True)
    return [Entity(meaning.kinds[kind], start, stop) for kind, start, stop in spans]


def entity_tags(found: Iterable[Entity], length: int) -> list[str]:
    """Return the tags of one sequence that has these entities: ``B`` begins each, ``I`` goes on (IOB2).

    Parameters
    ----------
    found : iterable of Entity
        Entities that do not overlap, as `entities` returns them.
    length : int
        How many tags there are.

    Returns
    -------
    list of str
        The tags.

    Raises
    ------
    ArgumentError
        If an entity is empty, does not lie in the sequence, or overlaps with another.

    Examples
    --------
    >>> nn.metrics.entity_tags([nn.metrics.Entity("place", 1, 3)], 4)
    ['O', 'B-place', 'I-place', 'O']
    """
    tags = ["O"] * length
    for entity in found:
        kind, start, stop = entity
        if not 0 <= start < stop <= length or any(tag != "O" for tag in tags[start:stop]):
            raise ArgumentError(
                f"entity_tags: {entity} does not fit into {length} tags beside the others; give "
                "entities that do not overlap, with 0 <= start < stop <= length"
            )
        end = f"-{kind}" if kind else ""
        tags[start:stop] = [f"B{end}"] + [f"I{end}"] * (stop - start - 1)
    return tags


def entity_counts(
    predictions: Any,
    targets: Any,
    *,
    tags: Sequence[str] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Counts:
    """Return for each kind of entity how many were predicted rightly, predicted, and true.

    Parameters
    ----------
    predictions : Tensor, array or list of lists of str
        Codes of the targets' shape, or scores with one axis more, the last one, of which the largest
        wins; or tags.
    targets : Tensor, array, Padded or list of lists of str
        Codes of shape (T, N); or tags, a list for each sequence.
    tags : sequence of str
        The tag of each code, as `entities` takes them; names in angle brackets (``<pad>``) are as ``O``.
    mask : Tensor or array of bool, optional
        True where a code counts, shape (T, N); elsewhere it is as ``O``.
    lengths : Tensor or array of int, optional
        Shape (N,); a Padded brings them.

    Returns
    -------
    Counts
        For `precision_recall_f1`; the labels are the kinds in alphabetical order.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or the codes have another number of axes.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If a tag cannot be read, a code has none, or ``tags`` are missing.

    Examples
    --------
    >>> found, true = [["B-place", "O", "B-person"]], [["B-place", "O", "O"]]
    >>> nn.metrics.entity_counts(found, true)
    Counts(labels=('person', 'place'), correct=array([0, 1]), predicted=array([1, 1]),
           actual=array([0, 1]))
    """
    return _counts("entity_counts", predictions, targets, tags, mask, lengths)


def entity_precision(
    predictions: Any,
    targets: Any,
    *,
    tags: Sequence[str] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return which part of the entities that were predicted is right.

    Parameters
    ----------
    predictions, targets : Tensor, array or list of lists of str
        Codes of shape (T, N), scores, or tags, as for `entity_counts`.
    tags : sequence of str, optional
        The tag of each code.
    mask, lengths : Tensor or array, optional
        Where codes count: bool of shape (T, N), or integers of shape (N,).

    Returns
    -------
    Ratio
        The right ones, and all that were predicted; NaN if none was.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        As `entity_counts`.

    Examples
    --------
    >>> nn.metrics.entity_precision([["B-a", "I-a", "B-a"]], [["B-a", "I-a", "O"]]).value
    0.5
    """
    counts = _counts("entity_precision", predictions, targets, tags, mask, lengths)
    return Ratio(int(counts.correct.sum()), int(counts.predicted.sum()))


def entity_recall(
    predictions: Any,
    targets: Any,
    *,
    tags: Sequence[str] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return which part of the true entities was predicted.

    Parameters
    ----------
    predictions, targets : Tensor, array or list of lists of str
        Codes of shape (T, N), scores, or tags, as for `entity_counts`.
    tags : sequence of str, optional
        The tag of each code.
    mask, lengths : Tensor or array, optional
        Where codes count: bool of shape (T, N), or integers of shape (N,).

    Returns
    -------
    Ratio
        The right ones, and all that are true; NaN if none is.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        As `entity_counts`.

    Examples
    --------
    >>> nn.metrics.entity_recall([["B-a", "I-a", "B-a"]], [["B-a", "I-a", "O"]]).value
    1.0
    """
    counts = _counts("entity_recall", predictions, targets, tags, mask, lengths)
    return Ratio(int(counts.correct.sum()), int(counts.actual.sum()))


def entity_f1(
    predictions: Any,
    targets: Any,
    *,
    tags: Sequence[str] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return the harmonic mean of `entity_precision` and `entity_recall`, as conlleval does.

    Parameters
    ----------
    predictions, targets : Tensor, array or list of lists of str
        Codes of shape (T, N), scores, or tags, as for `entity_counts`.
    tags : sequence of str, optional
        The tag of each code.
    mask, lengths : Tensor or array, optional
        Where codes count: bool of shape (T, N), or integers of shape (N,).

    Returns
    -------
    Ratio
        Twice the right ones, and the predicted and the true ones together; NaN if there are none.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        As `entity_counts`.

    Examples
    --------
    >>> names = ["O", "B-place", "I-place"]
    >>> found, true = mg.tensor([[1], [2], [0]]), mg.tensor([[1], [2], [1]])  # (T, N)
    >>> nn.metrics.entity_f1(found, true, tags=names, lengths=[2]).value
    1.0
    """
    counts = _counts("entity_f1", predictions, targets, tags, mask, lengths)
    return Ratio(2 * int(counts.correct.sum()), int(counts.predicted.sum() + counts.actual.sum()))


def _counts(
    of: str, predictions: Any, targets: Any, tags: Sequence[str] | None, mask: Any, lengths: Any
) -> Counts:
    if tags is None and _is_text(targets):
        if mask is not None or lengths is not None:
            raise ArgumentError(
                f"{of}: lists of tags have their lengths; mask and lengths are for codes"
            )
        names, (predicted, actual), places = _coded(of, [predictions, targets])
    elif tags is None:
        raise ArgumentError(
            f"{of}: pass tags=[...], the tag of each code; or lists of lists of tags"
        )
    else:
        names = list(tags)
        predicted, actual, places = inputs.classes(of, predictions, targets, mask, lengths)
        if actual.ndim != 2:
            raise ShapeError(f"{of}: codes must have shape (T, N), not {actual.shape}")
        largest = max(predicted.max(initial=0), actual.max(initial=0))
        if largest >= len(names):
            raise ArgumentError(f"{of}: code {largest} has no tag; there are {len(names)} tags")
    meaning = _meaning(of, names)
    found, true = (_spans(codes, places, meaning) for codes in (predicted, actual))
    _, i, j = numpy.intersect1d(found[0], true[0], assume_unique=True, return_indices=True)
    same = (found[1][i] == true[1][j]) & (found[2][i] == true[2][j])
    kinds = (found[2][i][same], found[2], true[2])
    return Counts(meaning.kinds, *[numpy.bincount(x, minlength=len(meaning.kinds)) for x in kinds])


def _is_text(x: Any) -> bool:
    texts = (list, tuple, str)
    return isinstance(x, (list, tuple)) and all(
        isinstance(row, texts) and all(isinstance(tag, str) for tag in row) for row in x
    )


def _coded(of: str, sides: Sequence[Any]) -> tuple[list[str], list[Array], Array]:
    """Return the names of tags, each side as codes (T, N), and where there are tags."""
    shapes = []
    for rows in sides:
        if not _is_text(rows) or any(isinstance(row, str) for row in rows):
            raise ArgumentError(f"{of}: pass lists of tags (str), one for each sequence, or codes")
        shapes.append([len(row) for row in rows])
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"{of}: predictions and targets differ in the number of sequences or tags")
    names = sorted(set(chain.from_iterable(row for rows in sides for row in rows)))
    numbers = {name: i for i, name in enumerate(names)}
    sizes = numpy.array(shapes[0], dtype=numpy.int64)
    places = numpy.arange(sizes.max(initial=0)) < sizes[:, None]
    coded = []
    for rows in sides:
        codes = numpy.zeros(places.shape, dtype=numpy.int64)
        codes[places] = [numbers[tag] for row in rows for tag in row]
        coded.append(codes.T)
    return names, coded, places.T


def _meaning(of: str, names: Sequence[str]) -> _Meaning:
    parts = []
    for name in names:
        prefix, _, kind = name.partition("-") if isinstance(name, str) else ("", "", "")
        if isinstance(name, str) and (name == "O" or (name[:1] == "<" and name[-1:] == ">")):
            prefix = "O"
        elif prefix not in {"B", "I", "E", "S"}:
            raise ArgumentError(
                f"{of}: the tag {name!r} cannot be read; tags are 'O', or 'B', 'I', 'E' or 'S' and "
                "behind a hyphen the kind, as in 'B-person'"
            )
        parts.append((prefix, kind))
    kinds = sorted({kind for prefix, kind in parts if prefix != "O"})
    prefixes = numpy.array([prefix for prefix, _ in parts], dtype=str)
    number = [kinds.index(kind) if prefix != "O" else -1 for prefix, kind in parts]
    return _Meaning(
        prefixes != "O",
        numpy.isin(prefixes, ["B", "S"]),
        numpy.isin(prefixes, ["E", "S"]),
        numpy.array(number, dtype=numpy.int64),
        tuple(kinds),
    )


def _spans(codes: Array, places: Array, meaning: _Meaning) -> tuple[Array, Array, Array]:
    """Return begin, end and kind of all entities; sequences follow each other, with a gap."""
    line = numpy.pad(codes, ((0, 1), (0, 0))).T.reshape(-1)
    counts = numpy.pad(places, ((0, 1), (0, 0))).T.reshape(-1)
    if not counts.any():
        return (numpy.zeros(0, dtype=numpy.int64),) * 3
    inside = meaning.inside[line] & counts
    kind = meaning.kind[line]
    goes_on = numpy.zeros_like(inside)  # with the entity of the place before
    goes_on[1:] = inside[1:] & inside[:-1] & (kind[1:] == kind[:-1])
    goes_on[1:] &= ~meaning.begins[line[1:]] & ~meaning.ends[line[:-1]]
    starts = numpy.flatnonzero(inside & ~goes_on)
    stops = 1 + numpy.flatnonzero(inside & ~numpy.append(goes_on[1:], False))
    return starts, stops, kind[starts]
