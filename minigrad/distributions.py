"""Choices among classes: drawing them, and how likely they are."""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigrad import random
from minigrad.backends.base import backend_of
from minigrad.checks import Shape
from minigrad.errors import (
    ArgumentError,
    DtypeError,
    IndexingError,
    ShapeError,
    conversion,
    type_name,
)
from minigrad.ops import reduce
from minigrad.ops.elementwise import exp, isfinite, log, where
from minigrad.ops.index import take_along_axis
from minigrad.ops.network import log_softmax
from minigrad.ops.shape import broadcast_arrays, broadcast_to, expand_dims, squeeze
from minigrad.tensor import Tensor, tensor


def categorical(
    logits: Any, shape: Shape = (), *, generator: random.Generator | None = None
) -> Tensor:
    """Return positions along the last axis, drawn with the probabilities ``softmax(logits)``.

    Probabilities are computed in float64, whatever the dtype.

    Parameters
    ----------
    logits : Tensor
        Scores, shape (..., size). Minus infinity forbids a position.
    shape : int or sequence of int
        How often to draw: the axes before those of ``logits``.
    generator : Generator, optional
        By default the global one.

    Returns
    -------
    Tensor
        Shape (*shape, ...), int64, on the device of ``logits``.

    Raises
    ------
    ArgumentError
        If a score is NaN or infinite, or all of a row are minus infinity.
    ShapeError
        If ``logits`` have no axis, or ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> never = float("-inf")
    >>> logits = mg.tensor([[0.0, never, 0.0], [never, 5.0, never]])
    >>> mg.categorical(logits, 10).shape
    (10, 2)
    >>> mg.categorical(logits)[1]
    tensor(1)
    """
    scores = _tensor("categorical", "logits", logits)
    if not scores.ndim:
        raise ShapeError("categorical(): logits need an axis to draw along, but their shape is ()")
    values = numpy.asarray(scores.detach().cpu().numpy(), dtype=numpy.float64)
    top = values.max(-1, keepdims=True, initial=-math.inf)
    if not numpy.isfinite(top).all():  # NaN is the largest of all
        raise ArgumentError(
            "categorical(): logits must be numbers or minus infinity, with one number in each row at "
            "least; a model that has diverged returns others"
        )
    with numpy.errstate(over="ignore", under="ignore"):
        weights = numpy.exp(values - top)
    draws = generator or random.default_generator
    return draws.categorical(tensor(weights, device="cpu"), shape, device=scores.device)


class Categorical:
    """A distribution over the classes 0, 1, ..., size - 1, or a batch of such.

    Parameters
    ----------
    probs : Tensor, optional
        Shape (..., size), from 0 on; rows are divided by their sums.
    logits : Tensor, optional
        Shape (..., size): scores, of which the softmax is taken. Minus infinity stands for probability 0.

    Attributes
    ----------
    probs : Tensor
        Probabilities, shape (..., size), that add up to 1.
    logits : Tensor
        Their logarithms; minus infinity where the probability is 0.

    Raises
    ------
    ArgumentError
        If not one of both is given, or a row is no distribution.
    ShapeError
        If there is no axis of classes.

    Examples
    --------
    >>> choice = mg.Categorical(probs=mg.tensor([0.25, 0.25, 0.5]))
    >>> choice.sample((4, 2)).shape
    (4, 2)
    >>> choice.log_prob(mg.tensor([0, 2]))
    tensor([-1.3863, -0.6931])
    >>> choice.entropy()
    tensor(1.0397)
    """

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        if (probs is None) == (logits is None):
            raise ArgumentError("Categorical: give either probs or logits")
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        scores = _tensor("Categorical", name, given)
        if not scores.ndim or not scores.shape[-1]:
            raise ShapeError(
                f"Categorical: {name} have shape {scores.shape}; they need an axis of classes, the last"
            )
        if logits is None:
            total = reduce.sum(scores, axis=-1, keepdims=True)
            if not bool(reduce.all(scores >= 0) & reduce.all((total > 0) & (total < math.inf))):
                raise ArgumentError(
                    "Categorical: probs must be non-negative and finite, and not all zero in a row"
                )
            self.probs: Any = scores / total
            self.logits: Any = log(self.probs)
        else:
            top = reduce.max(scores, axis=-1)
            if not bool(reduce.all(isfinite(top))):
                raise ArgumentError(
                    "Categorical: logits must be numbers or minus infinity, with one number in each row "
                    "at least"
                )
            self.logits = log_softmax(scores, axis=-1)
            self.probs = exp(self.logits)

    def __repr__(self) -> str:
        return f"Categorical of shape {self.probs.shape}"

    def sample(
        self, sample_shape: Shape = (), *, generator: random.Generator | None = None
    ) -> Tensor:
        """Draw classes.

        Parameters
        ----------
        sample_shape : int or sequence of int
            How often to draw: the axes before those of the batch.
        generator : Generator, optional
            By default the global one.

        Returns
        -------
        Tensor
            Shape (*sample_shape, ...), int64.

        Raises
        ------
        ShapeError
            If ``sample_shape`` holds something other than integers from 0 on.
        """
        return categorical(self.logits, sample_shape, generator=generator)

    def log_prob(self, value: Any) -> Any:
        """Return the logarithm of the probability of classes.

        Parameters
        ----------
        value : Tensor of int
            Classes, of a shape that broadcasts with that of the batch.

        Returns
        -------
        Tensor
            The shape that both broadcast to.

        Raises
        ------
        DtypeError
            If ``value`` holds no integers.
        IndexingError
            If one is no class.
        ShapeError
            If the shapes do not broadcast.
        """
        classes = _tensor("Categorical.log_prob", "value", value)
        size = self.logits.shape[-1]
        if classes.dtype.kind not in "iu":
            raise DtypeError(
                f"Categorical.log_prob: value must hold classes (integers), not {classes.dtype}"
            )
        if not bool(reduce.all((classes >= 0) & (classes < size))):
            raise IndexingError(
                f"Categorical.log_prob: the classes must lie between 0 and {size - 1}, but run from "
                f"{int(reduce.min(classes))} to {int(reduce.max(classes))}"
            )
        classes, _ = broadcast_arrays(expand_dims(classes, axis=-1), self.logits[..., :1])
        logits = broadcast_to(self.logits, (*classes.shape[:-1], size))
        return squeeze(take_along_axis(logits, classes, axis=-1), axis=-1)

    def entropy(self) -> Any:
        """Return ``-sum(probs * logits)`` in nats; a class of probability 0 adds nothing.

        Returns
        -------
        Tensor
            The shape of the batch.
        """
        possible = self.probs > 0
        return -reduce.sum(where(possible, self.probs * self.logits, 0.0), axis=-1)


def _tensor(of: str, name: str, value: Any) -> Tensor:
    """Return a tensor or an array as a tensor."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (numpy.ndarray, numpy.generic)) or backend_of(value) is not None:
        return tensor(value)
    raise TypeError(
        f"{of}: {name} must be a tensor or an array, not a {type_name(value)}{conversion(value)}"
    )
