"""Scores of classes, all of them from three counts for each class: right, predicted, true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from minigrad.checks import check_integer, check_integers
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.nn.data.arrays import Array
from minigrad.nn.metrics import inputs
from minigrad.nn.metrics.ratio import Ratio


class Counts(NamedTuple):
    """How often each class was predicted rightly, predicted, and true; add them over batches.

    Attributes
    ----------
    labels : tuple
        The classes: numbers, or kinds of entities.
    correct, predicted, actual : numpy.ndarray
        Shape (labels,), int64.

    Examples
    --------
    >>> counts = nn.metrics.class_counts([0, 1, 1], [0, 1, 0])
    >>> counts.correct.tolist(), counts.predicted.tolist(), counts.actual.tolist()
    ([1, 1], [1, 2], [2, 1])
    """

    labels: tuple[Any, ...]
    correct: Array
    predicted: Array
    actual: Array


class Scores(NamedTuple):
    """Precision, recall, F1 and support: of each class, or one average.

    Attributes
    ----------
    precision, recall, f1 : float or numpy.ndarray
        A number, or shape (labels,).
    support : int or numpy.ndarray
        How many true ones there are.

    Examples
    --------
    >>> scores = nn.metrics.precision_recall_f1(nn.metrics.class_counts([0, 1, 1], [0, 1, 0]), "macro")
    >>> scores.precision, scores.support
    (0.75, 3)
    """

    precision: Any
    recall: Any
    f1: Any
    support: Any


def accuracy(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> Ratio:
    """Return which part of the predictions is right.

    Parameters
    ----------
    predictions : Tensor or array
        Classes of the targets' shape, or scores with one axis more, the last one; the largest wins.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        The right ones, and all that count.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, or a score is NaN.

    Examples
    --------
    >>> nn.metrics.accuracy([0, 2, 1], [0, 2, 2])
    Ratio(numerator=2, denominator=3)
    >>> nn.metrics.accuracy(mg.tensor([[0.9, 0.1], [0.2, 0.8]]), mg.tensor([0, 0])).value
    0.5
    """
    predicted, actual, places = inputs.classes("accuracy", predictions, targets, mask, lengths)
    return Ratio(int(numpy.sum((predicted == actual) & places)), int(numpy.sum(places)))


def exact_match(predictions: Any, targets: Any, *, mask: Any = None, lengths: Any = None) -> Ratio:
    """Return which part of the sequences is right at each place that counts.

    Sequences without such a place are left out.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Shape (T, N, ...): N sequences.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,); a Padded brings them.

    Returns
    -------
    Ratio
        The sequences without a mistake, and all.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or the targets have fewer than two axes.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, or a score is NaN.

    Examples
    --------
    >>> nn.metrics.exact_match([[0, 1], [2, 1]], [[0, 1], [2, 2]]).value
    0.5
    """
    predicted, actual, places = inputs.classes("exact_match", predictions, targets, mask, lengths)
    if actual.ndim < 2:
        raise ShapeError(
            f"exact_match: the targets have shape {actual.shape}; sequences need (T, N, ...)"
        )
    others = (0, *range(2, actual.ndim))
    right = numpy.all((predicted == actual) | ~places, axis=others)
    some = numpy.any(places, axis=others)
    return Ratio(int(numpy.sum(right & some)), int(numpy.sum(some)))


def confusion_matrix(
    predictions: Any,
    targets: Any,
    *,
    num_classes: int | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Array:
    """Return how often each class was taken for each other one; add them over batches.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    num_classes : int, optional
        How many classes there are; by default the largest one that occurs, and 1.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    numpy.ndarray
        Shape (num_classes, num_classes), int64: rows are the true classes, columns the predicted ones.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, or none below ``num_classes``, or a score is NaN.

    Examples
    --------
    >>> nn.metrics.confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 1],
           [0, 1]])
    """
    of = "confusion_matrix"
    predicted, actual, size = _flat(of, predictions, targets, num_classes, mask, lengths)
    pairs = numpy.bincount(actual * size + predicted, minlength=size * size)
    return pairs.reshape(size, size)


def class_counts(
    predictions: Any,
    targets: Any,
    *,
    num_classes: int | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Counts:
    """Return how often each class was predicted rightly, predicted, and true.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    num_classes : int, optional
        How many classes there are; by default the largest one that occurs, and 1.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Counts
        For `precision_recall_f1`.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, or none below ``num_classes``, or a score is NaN.

    Examples
    --------
    >>> nn.metrics.class_counts([0, 2, 2], [0, 2, 1]).correct
    array([1, 0, 1])
    """
    of = "class_counts"
    predicted, actual, size = _flat(of, predictions, targets, num_classes, mask, lengths)
    right = actual[predicted == actual]
    counts = [numpy.bincount(x, minlength=size) for x in (right, predicted, actual)]
    return Counts(tuple(range(size)), *counts)


def _flat(
    of: str, predictions: Any, targets: Any, num_classes: int | None, mask: Any, lengths: Any
) -> tuple[Array, Array, int]:
    predicted, actual, places = inputs.classes(of, predictions, targets, mask, lengths)
    predicted, actual = predicted[places], actual[places]
    needed = 1 + max(predicted.max(initial=-1), actual.max(initial=-1))
    if num_classes is None:
        return predicted, actual, int(needed)
    size = check_integer(of, "num_classes", num_classes, low=1)
    if needed > size:
        raise ArgumentError(
            f"{of}: class {needed - 1} occurs, and with {size} classes they run from 0 to {size - 1}"
        )
    return predicted, actual, size


def precision_recall_f1(counts: Counts, average: str | None = None) -> Scores:
    """Return precision, recall and F1 from counts of the whole set.

    The precision of a label is ``correct / predicted``, its recall ``correct / actual``, its F1
    ``2 * correct / (predicted + actual)``. A label that is true but never predicted, or the other way
    round, has 0 for all three, as in scikit-learn; one that does not occur at all has NaN, and is left
    out of "macro".

    Parameters
    ----------
    counts : Counts
        What `class_counts` or `entity_counts` returned.
    average : {"micro", "macro", "weighted"}, optional
        The scores of all labels counted together, the mean of their scores, or the mean weighted by how
        often they are true; by default those of each label.

    Returns
    -------
    Scores
        Of each label, or the average; NaN where there is nothing to judge.

    Raises
    ------
    ArgumentError
        If ``average`` is another word, or ``counts`` are no counts.

    Examples
    --------
    >>> counts = nn.metrics.class_counts([0, 1, 1, 2], [0, 1, 0, 2])
    >>> nn.metrics.precision_recall_f1(counts).recall
    array([0.5, 1. , 1. ])
    >>> nn.metrics.precision_recall_f1(counts, average="micro").f1
    0.75
    """
    if not isinstance(counts, Counts):
        raise ArgumentError(
            "precision_recall_f1: pass what class_counts(...) or entity_counts(...) returned, not "
            f"{counts!r}"
        )
    correct, predicted, actual = counts[1:]
    if average == "micro":
        correct, predicted, actual = (x.sum(keepdims=True) for x in counts[1:])
    elif average is not None:
        check_choice("precision_recall_f1", ("micro", "macro", "weighted"), average=average)
    occurs = predicted + actual > 0
    scores = [
        numpy.where(occurs, numerator / numpy.maximum(denominator, 1), numpy.nan)
        for numerator, denominator in (
            (correct, predicted),
            (correct, actual),
            (2 * correct, predicted + actual),
        )
    ]
    if average is None:
        return Scores(scores[0], scores[1], scores[2], actual)
    weights = actual[occurs] if average == "weighted" else occurs[occurs].astype(float)
    total = weights.sum()
    means = [float(score[occurs] @ weights / total) if total else numpy.nan for score in scores]
    return Scores(means[0], means[1], means[2], int(actual.sum()))


def precision(
    predictions: Any,
    targets: Any,
    *,
    classes: int | Sequence[int] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return which part of the predictions of some classes is right.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    classes : int or sequence of int, optional
        The classes that are looked for, counted together ("micro"); by default class 1 of the two
        classes 0 and 1.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        The right ones, and all that were predicted; NaN if none was.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, a score is NaN, or ``classes`` is left out and there are others.

    Examples
    --------
    >>> nn.metrics.precision([1, 1, 0, 1], [1, 0, 0, 1])
    Ratio(numerator=2, denominator=3)
    """
    correct, predicted, _ = _found("precision", predictions, targets, classes, mask, lengths)
    return Ratio(correct, predicted)


def recall(
    predictions: Any,
    targets: Any,
    *,
    classes: int | Sequence[int] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return which part of what is true of some classes was predicted.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    classes : int or sequence of int, optional
        As for `precision`.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        The right ones, and all that are true; NaN if none is.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, a score is NaN, or ``classes`` is left out and there are others.

    Examples
    --------
    >>> nn.metrics.recall([1, 1, 0, 0], [1, 0, 0, 1])
    Ratio(numerator=1, denominator=2)
    """
    correct, _, actual = _found("recall", predictions, targets, classes, mask, lengths)
    return Ratio(correct, actual)


def f1(
    predictions: Any,
    targets: Any,
    *,
    classes: int | Sequence[int] | None = None,
    mask: Any = None,
    lengths: Any = None,
) -> Ratio:
    """Return the harmonic mean of `precision` and `recall` of some classes.

    Parameters
    ----------
    predictions : Tensor or array
        Classes or scores as for `accuracy`, of the targets' shape, or with one axis more.
    targets : Tensor, array or Padded
        Any shape; classes from 0 on.
    classes : int or sequence of int, optional
        As for `precision`.
    mask : Tensor or array of bool, optional
        True where it counts; the shape of the targets, or of their first axes.
    lengths : Tensor or array of int, optional
        Shape (N,), for targets of shape (T, N, ...); a Padded brings them.

    Returns
    -------
    Ratio
        Twice the right ones, and the predicted and the true ones together; NaN if there are none.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If predictions of the targets' shape are neither integers nor bool.
    ArgumentError
        If what counts is no class, a score is NaN, or ``classes`` is left out and there are others.

    Examples
    --------
    >>> nn.metrics.f1([1, 1, 0, 0], [1, 0, 0, 1]).value
    0.5
    >>> nn.metrics.f1([0, 2, 1, 2], [0, 1, 1, 2], classes=[1, 2]).value
    0.6666666666666666
    """
    correct, predicted, actual = _found("f1", predictions, targets, classes, mask, lengths)
    return Ratio(2 * correct, predicted + actual)


def _found(
    of: str, predictions: Any, targets: Any, wanted: Any, mask: Any, lengths: Any
) -> tuple[int, int, int]:
    """Return how many of the wanted classes were predicted rightly, predicted, and true."""
    predicted, actual, _ = _flat(of, predictions, targets, None, mask, lengths)
    if wanted is None:
        largest = max(predicted.max(initial=0), actual.max(initial=0))
        if largest > 1:
            raise ArgumentError(
                f"{of}: class {largest} occurs; say which classes are looked for: classes=1, "
                "classes=[1, 2], ..., or take precision_recall_f1(class_counts(...), average=...)"
            )
        wanted = 1
    labels = check_integers(of, "classes", wanted, low=0)
    if not labels:
        raise ArgumentError(f"{of}: classes are empty; name at least one that is looked for")
    named, true = numpy.isin(predicted, labels), numpy.isin(actual, labels)
    right = named & (predicted == actual)
    return int(right.sum()), int(named.sum()), int(true.sum())
