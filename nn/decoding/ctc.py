"""Labels from the class probabilities of frames, as `minigrad.nn.CTCLoss` trains them (Graves 2006).

Of each alignment repetitions and then blanks are taken out. Greedy decoding does so with the likeliest
alignment. Prefix beam search (Graves 2012; Hannun 2014) adds up the alignments of each labelling, and
keeps the likeliest beginnings after each frame.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError, ShapeError
from minigrad.kernels.runtime.rows import on_host
from minigrad.nn.checks import checked_input
from minigrad.nn.losses.padding import present_of, with_lengths

_Array = numpy.ndarray[Any, Any]
_Prefix = tuple[int, ...]


class Labelling(NamedTuple):
    """Labels, and the logarithm of their probability.

    Attributes
    ----------
    labels : list of int
        Without blanks and repetitions.
    score : float
        In nats.

    Examples
    --------
    >>> nn.decoding.ctc_greedy(mg.log_softmax(mg.eye(3), axis=-1)[:, None])[0].labels
    [1, 2]
    """

    labels: list[int]
    score: float


def ctc_greedy(log_probs: Any, lengths: Any = None, *, blank: int = 0) -> list[Labelling]:
    """Return the labels of the likeliest alignment of each sequence.

    Parameters
    ----------
    log_probs : Tensor, or pair of Tensor
        Logarithms of probabilities, shape (T, N, C). With lengths, as a pair, such as
        `minigrad.nn.data.Padded`.
    lengths : sequence or Tensor of int, optional
        Shape (N,); by default T.
    blank : int
        The class that stands for no label.

    Returns
    -------
    list of Labelling
        One for each sequence; the score is that of the one alignment.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DtypeError
        If ``log_probs`` are not floating-point numbers, or lengths no integers.
    ArgumentError
        If a length is negative or larger than T, ``blank`` is no class, or a score is NaN or inf.

    Examples
    --------
    >>> probabilities = mg.tensor([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    >>> nn.decoding.ctc_greedy(mg.log(probabilities)[:, None])[0].labels
    [1, 1]
    """
    found = []
    for frames in _sequences("ctc_greedy", log_probs, lengths, blank):
        best = frames.argmax(axis=1)
        changes = numpy.diff(best, prepend=-1) != 0
        labels = best[changes & (best != blank)].tolist()
        found.append(Labelling(labels, float(frames.max(axis=1, initial=-math.inf).sum())))
    return found


def ctc_beam(
    log_probs: Any, lengths: Any = None, *, beams: int = 16, n_best: int = 1, blank: int = 0
) -> list[list[Labelling]]:
    """Return the likeliest labellings of each sequence, by prefix beam search.

    With as many beams as there are labellings it is exact, and scores are those of
    `minigrad.nn.ctc_loss`. With fewer, what was dropped may be missing from a score.

    Parameters
    ----------
    log_probs : Tensor, or pair of Tensor
        Logarithms of probabilities, shape (T, N, C). With lengths, as a pair, such as
        `minigrad.nn.data.Padded`.
    lengths : sequence or Tensor of int, optional
        Shape (N,); by default T.
    beams : int
        How many beginnings are kept after each frame.
    n_best : int
        How many labellings to return at most.
    blank : int
        The class that stands for no label.

    Returns
    -------
    list of list of Labelling
        For each sequence the best labellings, the likeliest first; fewer than ``n_best`` if all others
        are impossible or were dropped.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DtypeError
        If ``log_probs`` are not floating-point numbers, or lengths no integers.
    ArgumentError
        If a length is negative or larger than T, ``blank`` is no class, ``beams`` or ``n_best`` not
        positive, ``n_best`` larger than ``beams``, or a score is NaN or inf.

    Examples
    --------
    >>> probabilities = mg.tensor([[0.6, 0.4], [0.6, 0.4]])
    >>> frames = mg.log(probabilities)[:, None]
    >>> nn.decoding.ctc_greedy(frames)[0].labels, nn.decoding.ctc_beam(frames)[0][0].labels
    ([], [1])
    """
    beams = check_integer("ctc_beam", "beams", beams, low=1)
    n_best = check_integer("ctc_beam", "n_best", n_best, low=1)
    if n_best > beams:
        raise ArgumentError(
            f"ctc_beam: n_best is {n_best}, but only {beams} beginnings are kept; make beams larger"
        )
    return [
        _searched(frames, beams, blank)[:n_best]
        for frames in _sequences("ctc_beam", log_probs, lengths, blank)
    ]


def _searched(frames: _Array, beams: int, blank: int) -> list[Labelling]:
    """Return the labellings that are kept after the last frame, the likeliest first."""
    # for each prefix: the log probabilities of alignments that end with a blank, and with a label
    kept: dict[_Prefix, tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in frames.tolist():
        # a prefix with a less likely label is not kept: those with these labels come before it
        others = (label for label in range(len(frame)) if label != blank)
        likely = heapq.nlargest(beams + 1, others, key=frame.__getitem__)
        follow = {prefix: dict.fromkeys(likely) for prefix in kept}
        for prefix in kept:  # but one that is there already goes on
            if prefix and prefix[:-1] in follow:
                follow[prefix[:-1]][prefix[-1]] = None
        ended: dict[_Prefix, list[float]] = {}  # with a blank
        spoken: dict[_Prefix, list[float]] = {}  # with a label
        for prefix, (silent, sounding) in kept.items():
            both = _logsum((silent, sounding))
            ended.setdefault(prefix, []).append(both + frame[blank])
            if prefix:
                spoken.setdefault(prefix, []).append(sounding + frame[prefix[-1]])
            for label in follow[prefix]:
                before = silent if prefix[-1:] == (label,) else both
                spoken.setdefault((*prefix, label), []).append(before + frame[label])
        scored = {
            prefix: (_logsum(ended.get(prefix, ())), _logsum(spoken.get(prefix, ())))
            for prefix in {**ended, **spoken}
        }
        kept = dict(_best(scored, beams))
    return [Labelling(list(prefix), _logsum(parts)) for prefix, parts in _best(kept, beams)]


def _best(
    scored: dict[_Prefix, tuple[float, float]], count: int
) -> list[tuple[_Prefix, tuple[float, float]]]:
    """Return the likeliest prefixes that are possible; of equal ones those that were found first."""
    possible = [item for item in scored.items() if max(item[1]) > -math.inf]
    return sorted(possible, key=lambda item: -_logsum(item[1]))[:count]


def _logsum(scores: Any) -> float:
    top = max(scores, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(score - top) for score in scores))


def _sequences(of: str, log_probs: Any, lengths: Any, blank: int) -> Iterator[_Array]:
    """Yield the frames of each sequence, float64 of shape (length, C)."""
    log_probs, own = with_lengths(log_probs)
    log_probs = checked_input(of, log_probs)
    if log_probs.ndim != 3:
        raise ShapeError(
            f"{of}: log_probs have shape {tuple(log_probs.shape)}; they must be (T, N, C)"
        )
    blank = check_integer(of, "blank", blank)
    if not 0 <= blank < log_probs.shape[-1]:
        raise ArgumentError(
            f"{of}: blank is {blank}, but log_probs have {log_probs.shape[-1]} classes; it must be one "
            "of them"
        )
    present = on_host(present_of(of, own if lengths is None else lengths, log_probs))
    values = on_host(log_probs).astype(numpy.float64)
    if (~(values[present] < math.inf)).any():
        raise ArgumentError(f"{of}: log_probs hold NaN or inf; pass them through log_softmax first")
    for n in range(values.shape[1]):
        yield values[present[:, n], n]
