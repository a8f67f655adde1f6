"""A linear-chain conditional random field: labels that depend on their neighbours (Lafferty 2001).

The sum over all paths is the forward algorithm, a step run by `scan`: its gradient, the probabilities of
tags and of transitions, is derived from that step. The best path is Viterbi's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy

from minigrad.checks import as_integer
from minigrad.creation import zeros, zeros_like
from minigrad.dtypes import float32, is_half
from minigrad.errors import ArgumentError, ShapeError
from minigrad.kernels.runtime.specialization import interpreted
from minigrad.kernels.scan import scan
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.losses.padding import check_classes, labels_of, present_of
from minigrad.nn.module import Module
from minigrad.nn.parameter import Buffer, Parameter
from minigrad.ops import reduce
from minigrad.ops.elementwise import logical_and, logical_not, where
from minigrad.ops.index import take, take_along_axis
from minigrad.ops.losses import check_reduction, reduced
from minigrad.ops.shape import astype, broadcast_to, concat, expand_dims, squeeze, stack, swapaxes
from minigrad.promotion import result_type
from minigrad.tape import no_grad
from minigrad.tensor import Tensor, tensor

Pair = tuple[int | None, int | None]


class BestPaths(NamedTuple):
    """The best paths of `CRF.viterbi`, and their scores.

    Attributes
    ----------
    tags : Tensor of int
        Shape (T, N), zero in the padding.
    scores : Tensor
        Shape (N,).

    Examples
    --------
    >>> tags, scores = nn.CRF(3).viterbi(mg.randn(5, 2, 3))
    >>> tags.shape, scores.shape
    ((5, 2), (2,))
    """

    tags: Tensor
    scores: Tensor


@interpreted
def _forward_step(scores: Any, alpha: Any, arrived: Any, *, transitions: Any) -> tuple[Any, Any]:
    """Take one step of the forward algorithm.

    ``alpha[n, j]`` is the logarithm of the sum over all paths that are at tag j, and ``arrived`` that
    over all that come there next, without its own score.
    """
    alpha = arrived + scores
    return alpha, reduce.logsumexp(expand_dims(alpha, axis=-1) + transitions, axis=1)


class CRF(Module):
    """The negative log likelihood of sequences of tags, whose neighbours have scores of their own.

    The score of a path of tags is the sum of the scores of its tags, of its transitions, of its start and
    of its end; its likelihood is the exponential of that over the sum for all paths (Lafferty 2001). A
    sequence of length 0 has one path, of score 0.

    Parameters
    ----------
    num_tags : int
        How many tags there are.
    forbidden : iterable of pairs, optional
        Transitions (from, to) that no path takes; None stands for what is before the start and after the
        end. `minigrad.nn.losses.bio_forbidden` lists those of tags such as "B-NAME".
    reduction : {"mean", "sum", "none"}
        The mean over sequences, the sum, or one loss for each.
    batch_first : bool
        Whether scores are (N, T, num_tags) and tags (N, T).
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    transitions : Parameter
        Scores of going from one tag (first axis) to another (second axis), shape (num_tags, num_tags); at
        first evenly distributed between ±0.1, as the others.
    start_transitions, end_transitions : Parameter
        Scores of beginning and of ending with a tag, shape (num_tags,).

    Raises
    ------
    ArgumentError
        If ``num_tags`` is not a positive integer, ``forbidden`` holds something else than pairs of tags,
        or an option is unknown.

    Examples
    --------
    >>> crf = nn.CRF(3)
    >>> scores, tags = mg.randn(5, 2, 3), mg.zeros((5, 2), dtype="int64")
    >>> crf(scores, (tags, [5, 2])).shape
    ()
    >>> crf.viterbi(scores, [5, 2]).tags.shape
    (5, 2)
    """

    def __init__(
        self,
        num_tags: int,
        *,
        forbidden: Iterable[Pair] = (),
        reduction: str = "mean",
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        (self.num_tags,) = check_counts("CRF", num_tags=num_tags)
        check_reduction("CRF", reduction)
        check_flags("CRF", batch_first=batch_first)
        self.reduction, self.batch_first = reduction, batch_first
        table = _table_of(forbidden, self.num_tags)
        self._barred = (
            Buffer(tensor(table, device=device), persistent=False) if table.any() else None
        )
        options = {"dtype": dtype, "device": device}
        self.transitions = Parameter(zeros((self.num_tags, self.num_tags), **options))
        self.start_transitions = Parameter(zeros(self.num_tags, **options))
        self.end_transitions = Parameter(zeros(self.num_tags, **options))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        for parameter in self.parameters():
            init.uniform_(parameter, -0.1, 0.1)

    def _scored(self, like: Any) -> tuple[Any, Any, Any]:
        """Return the scores of transitions, starts and ends: minus infinity where one is forbidden."""
        parameters = self.transitions, self.start_transitions, self.end_transitions
        scores = tuple(astype(parameter, like.dtype) for parameter in parameters)
        if self._barred is None:
            return scores
        size = self.num_tags
        barred = self._barred[:size, :size], self._barred[size, :size], self._barred[:size, size]
        pairs = zip(barred, scores, strict=True)
        return tuple(where(bar, -math.inf, score) for bar, score in pairs)

    def _input(self, scores: Any) -> Any:
        scores = checked_input("CRF", scores, self.transitions)
        if scores.ndim != 3 or scores.shape[-1] != self.num_tags:
            axes = "(N, T, num_tags)" if self.batch_first else "(T, N, num_tags)"
            raise ShapeError(
                f"CRF: the scores have shape {tuple(scores.shape)}; they must be {axes} with "
                f"num_tags={self.num_tags}"
            )
        common = result_type(scores.dtype, self.transitions.dtype)
        return astype(scores, float32 if is_half(common) else common)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the negative log likelihood of paths.

        It is infinite, with a gradient of zero, if a path takes a transition that is forbidden.

        Parameters
        ----------
        input : Tensor
            Scores of the tags, shape (T, N, num_tags), or with ``batch_first`` (N, T, num_tags).
        target : Tensor of int, or pair of Tensor
            The tags of the paths, shape (T, N) or (N, T); with lengths, shape (N,), as a pair, such as
            `minigrad.nn.data.Padded`. What stands in the padding is not read.

        Returns
        -------
        Tensor
            A scalar, or with ``reduction="none"`` shape (N,). Of half precision it is float32.

        Raises
        ------
        ShapeError
            If shapes do not fit.
        DtypeError
            If scores are not floating-point numbers, or tags or lengths no integers.
        ArgumentError
            If a length is negative or larger than T.
        IndexingError
            If a tag is out of range.
        """
        input = self._input(input)
        tags, lengths, present = labels_of("CRF", target, input, self.batch_first)
        tags = where(present, tags, 0)
        check_classes("CRF", "tag", tags, self.num_tags)
        if self.batch_first:
            input, tags, present = swapaxes(input, 0, 1), tags.mT, present.mT
        total, path = self._total(input, lengths), self._of_paths(input, tags, present)
        losses = where(path == -math.inf, math.inf, total - path)
        losses = where(reduce.any(present, axis=0), losses, 0.0)
        return reduced(losses, self.reduction)

    def number_of_items(self, input: Any, target: Any) -> float:
        """Return how many sequences the mean is over.

        Parameters
        ----------
        input : Tensor
            Scores, shape (T, N, num_tags), or with ``batch_first`` (N, T, num_tags).
        target : Tensor of int, or pair of Tensor
            Tags, shape (T, N) or (N, T); with lengths, shape (N,), as a pair.

        Returns
        -------
        float
            N.
        """
        count: float = input.shape[0 if self.batch_first else 1]
        return count

    def _total(self, scores: Any, lengths: Any) -> Any:
        """Return the logarithm of the sum over all paths, shape (N,)."""
        transitions, starts, ends = self._scored(scores)
        arrived = broadcast_to(starts, (scores.shape[1], self.num_tags))
        state = (zeros_like(arrived), arrived)
        params = {"transitions": transitions}
        _, (alpha, _) = scan(_forward_step, scores, state, params, lengths=lengths)
        return reduce.logsumexp(alpha + ends, axis=-1)

    def _of_paths(self, scores: Any, tags: Any, present: Any) -> Any:
        """Return the scores of given paths, shape (N,)."""
        transitions, starts, ends = self._scored(scores)
        own = squeeze(take_along_axis(scores, expand_dims(tags, axis=-1), axis=-1), axis=-1)
        parts = [
            (present, own),
            (present[:1], take(starts, tags[:1])),
            (present[1:], transitions[tags[:-1], tags[1:]]),
            (_is_last(present), take(ends, tags)),
        ]
        path, *others = [reduce.sum(where(some, part, 0.0), axis=0) for some, part in parts]
        for other in others:
            path = path + other
        return path

    def viterbi(self, input: Any, lengths: Any = None) -> BestPaths:
        """Return the path of the largest score for each sequence (Viterbi 1967).

        Parameters
        ----------
        input : Tensor
            Scores of the tags, shape (T, N, num_tags), or with ``batch_first`` (N, T, num_tags).
        lengths : sequence or Tensor of int, optional
            Shape (N,).

        Returns
        -------
        BestPaths
            ``tags``, of shape (T, N), or with ``batch_first`` (N, T), int64, zero in the padding; and
            ``scores``, of shape (N,), minus infinity if every path is forbidden. Of equal paths one with
            small tags is taken.

        Raises
        ------
        ShapeError
            If shapes do not fit.
        DtypeError
            If scores are not floating-point numbers, or lengths no integers.
        ArgumentError
            If a length is negative or larger than T.
        """
        scores = self._input(input)
        if self.batch_first:
            scores = swapaxes(scores, 0, 1)
        present = present_of("CRF.viterbi", lengths, scores)
        with no_grad():
            found = self._best(scores.detach(), present)
        return BestPaths(found.tags.mT, found.scores) if self.batch_first else found

    def _best(self, scores: Tensor, present: Tensor) -> BestPaths:
        transitions, starts, ends = self._scored(scores)
        last = _is_last(present)
        count = scores.shape[1]
        best = zeros(count, dtype=scores.dtype, device=scores.device)
        arrived: Any = broadcast_to(starts, (count, self.num_tags))
        pointers, final = [], []
        for t in range(len(scores)):
            there = arrived + scores[t]
            ended = there + ends
            best = where(last[t], reduce.max(ended, axis=-1), best)
            final.append(reduce.argmax(ended, axis=-1))
            ways = expand_dims(there, axis=-1) + transitions
            pointers.append(reduce.argmax(ways, axis=1))
            arrived = reduce.max(ways, axis=1)
        tag: Any = zeros(count, dtype="int64", device=scores.device)
        path = []
        for t in reversed(range(len(scores))):
            before = squeeze(take_along_axis(pointers[t], tag[:, None], axis=-1), axis=-1)
            tag = where(last[t], final[t], where(present[t], before, 0))
            path.append(tag)
        empty = zeros((0, count), dtype="int64", device=scores.device)
        return BestPaths(stack(path[::-1]) if path else empty, best)

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}, reduction={self.reduction!r}"


def _is_last(present: Any) -> Any:
    """Return where in (T, N) sequences end."""
    goes_on = concat([present[1:], zeros_like(present[:1])])
    return logical_and(present, logical_not(goes_on))


def _table_of(forbidden: Iterable[Pair], tags: int) -> numpy.ndarray[Any, Any]:
    """Return which transitions are forbidden; the last row is before the start, the last column the end.

    Raises
    ------
    ArgumentError
    """
    table = numpy.zeros((tags + 1, tags + 1), dtype=bool)
    for pair in forbidden:
        places = _places(pair, tags)
        if places is None:
            raise ArgumentError(
                f"CRF: forbidden holds {pair!r}; it must hold pairs (from, to) of tags, integers from 0 "
                f"to {tags - 1}, where None stands for the start or the end"
            )
        table[places] = True
    return table


def _places(pair: Any, tags: int) -> tuple[int, int] | None:
    """Return the place of a pair in the table; None if it is no pair of tags."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or pair[0] is pair[1] is None:
        return None
    first, second = (tags if tag is None else _tag(tag, tags) for tag in pair)
    return None if first is None or second is None else (first, second)


def _tag(value: Any, tags: int) -> int | None:
    number = as_integer(value)
    return number if number is not None and 0 <= number < tags else None


def bio_forbidden(tags: Sequence[str]) -> list[Pair]:
    """Return the transitions that tags of entities forbid, such as "O", "B-NAME" and "I-NAME".

    "I-" continues an entity of its type, which "B-" begins (IOB2). With "E-" or "L-" for the last tag of
    an entity, and "S-" or "U-" for an entity of one tag (IOBES, BILOU), an entity must also be ended.

    Parameters
    ----------
    tags : sequence of str
        The name of each tag, in the order of their numbers.

    Returns
    -------
    list of pairs
        What `minigrad.nn.CRF` takes as ``forbidden``.

    Examples
    --------
    >>> nn.losses.bio_forbidden(["O", "B-NAME", "I-NAME"])
    [(None, 2), (0, 2)]
    """
    closed = any(tag[:2] in ("E-", "L-") for tag in tags)

    def fits(before: str, after: str) -> bool:
        is_open, continues = before[:2] in ("B-", "I-"), after[:2] in ("I-", "E-", "L-")
        if continues:
            return is_open and before[2:] == after[2:]
        return not (is_open and closed)

    places: list[tuple[int | None, str]] = [(None, ""), *enumerate(tags)]
    return [(i, j) for i, before in places for j, after in places if not fits(before, after)]
