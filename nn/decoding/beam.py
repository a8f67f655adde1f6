"""Beam search: keep the likeliest few beginnings of each sequence, and go on from them together.

The rows of all live beginnings, of all sequences of the batch, are one batch for the model. After each
step the likeliest continuations of each sequence are found, as many as it has free places. One that ends
leaves the search and keeps its place (Sutskever 2014). So a single beam is greedy decoding, and as many
beams as there are sequences find the best one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from minigrad.checks import check_integer, check_number
from minigrad.errors import ArgumentError
from minigrad.nn.decoding.rows import select_rows
from minigrad.nn.decoding.steps import check_ends, check_scores, read_start, scores_of, start_of
from minigrad.ops.network import log_softmax
from minigrad.tape import no_grad
from minigrad.tensor import Tensor, tensor

_Array = numpy.ndarray[Any, Any]


class Hypothesis(NamedTuple):
    """A continuation that beam search has found.

    Attributes
    ----------
    tokens : list of int
        What follows the start, without ``eos``.
    score : float
        The logarithm of its probability, by the length penalty; hypotheses are sorted by it.
    log_probability : float
        In nats, with that of ``eos`` if it has ended.
    ended : bool
        Whether ``eos`` ended it, and not the limit.

    Examples
    --------
    >>> nn.decoding.Hypothesis([1, 2], -0.5, -1.0, ended=True).tokens
    [1, 2]
    """

    tokens: list[int]
    score: float
    log_probability: float
    ended: bool


def beam_search(
    model: Any,
    start: Any,
    state: Any = None,
    *,
    beams: int,
    length: int,
    eos: int | None = None,
    length_penalty: float = 0.0,
    n_best: int = 1,
) -> Any:
    """Continue sequences by those tokens whose joint probability is the largest that a beam finds.

    The score of a continuation of n tokens, with ``eos``, is the logarithm of its probability divided by
    ``((5 + n) / 6) ** length_penalty`` (Wu 2016). The search for a sequence ends when no beginning that
    is left can reach the score of the ``n_best`` that have been found, whatever follows.

    Parameters
    ----------
    model : Module
        What has a method ``step(tokens, state)``, as for `generate`. Rows of its state are chosen by its
        method ``select_rows(state, rows)`` if it has one, else by `select_rows`.
    start : int, or Tensor, array or sequence of int
        What the sequences begin with: shape (T, N), or (T,) of a single one. An integer is the first
        token of each row of the state, or without a state of a single sequence.
    state : Any
        What ``step`` takes first.
    beams : int
        How many beginnings of each sequence to keep. A single one is greedy decoding.
    length : int
        How many tokens to add at most. What has not ended by then counts as it is.
    eos : int, optional
        The token that ends a sequence.
    length_penalty : float
        From -10 to 10: above 0 long continuations are preferred; 0 compares probabilities.
    n_best : int
        How many continuations of each sequence to return, at most ``beams``.

    Returns
    -------
    list of list of Hypothesis
        The best ones of each sequence, the best first; there are fewer if no more were found. Of a single
        sequence one such list.

    Raises
    ------
    ArgumentError
        If the model has no method ``step``, or it returns scores of another shape, or such that are NaN
        or inf, or forbid every continuation; if ``beams`` or ``n_best`` is not positive, there are fewer
        beams than ``n_best``, ``length`` is negative or ``eos`` no token, or the penalty is out of range.
    ShapeError
        If the start has another shape, or none.
    DtypeError
        If the start does not hold integers.

    Examples
    --------
    >>> class Successor:
    ...     def step(self, tokens, state):
    ...         return 3.0 * mg.one_hot((tokens + 1) % 5, 5), state
    >>> best, second = nn.decoding.beam_search(Successor(), 1, beams=3, length=5, eos=4, n_best=2)
    >>> best.tokens, best.ended, best.score > second.score
    ([2, 3], True, True)
    """
    begun = start_of("beam_search", model, start, state)
    length, eos = check_ends("beam_search", length, eos)
    beams = check_integer("beam_search", "beams", beams, low=1)
    n_best = check_integer("beam_search", "n_best", n_best, low=1)
    if n_best > beams:
        raise ArgumentError(
            f"beam_search: n_best is {n_best}, and {beams} beams find no more; use more beams"
        )
    power = check_number("beam_search", "length_penalty", length_penalty, low=-10, high=10)
    searches = [_Search(beams, n_best, length, eos, power) for _ in range(begun.tokens.shape[1])]
    _run(model, *read_start("beam_search", model, begun, state), searches, eos)
    found = [search.best() for search in searches]
    return found[0] if begun.single else found


class _Search:
    """The search for one sequence: what has been found, and the beginnings that are left.

    Parameters
    ----------
    beams, n_best, length, eos, power
        See `beam_search`.

    Attributes
    ----------
    live : list of (tokens, log-probability)
        In the order of their rows.
    """

    def __init__(self, beams: int, n_best: int, length: int, eos: int | None, power: float) -> None:
        self._places, self._n_best, self._length = beams, n_best, length
        self._eos, self._power = eos, power
        self._found: list[Hypothesis] = []
        self.live: list[tuple[list[int], float]] = [([], 0.0)]
        if not length:
            self._note([], 0.0, False)
            self.live = []

    def go_on(self, log_probabilities: _Array) -> list[int]:
        """Take the likeliest continuations; return the row from which each one that is left goes on.

        Parameters
        ----------
        log_probabilities : array
            Shape (rows, size): of the next token.
        """
        size = log_probabilities.shape[1]
        totals = (log_probabilities + numpy.array([[p] for _, p in self.live])).ravel()
        left, parents = [], []
        for place in _largest(totals, self._places):
            row, token = divmod(int(place), size)
            tokens, total = self.live[row][0], min(float(totals[place]), 0.0)
            ended = token == self._eos
            longer = tokens if ended else [*tokens, token]
            if ended or len(longer) == self._length:
                self._note(longer, total, ended)
                self._places -= 1
            else:
                left.append((longer, total))
                parents.append(row)
        self.live = left
        if self._is_over():
            self.live, parents = [], []
        return parents

    def _note(self, tokens: list[int], total: float, ended: bool) -> None:
        score = total / self._penalty(len(tokens) + ended)
        self._found.append(Hypothesis(tokens, score, total, ended))

    def _penalty(self, count: int) -> float:
        return float(((5 + count) / 6) ** self._power)

    def _is_over(self) -> bool:
        """Say whether nothing that is left can become one of the best."""
        if not self.live or len(self._found) < self._n_best:
            return not self.live
        # what follows makes nothing likelier, and the penalty is monotone in the length
        likeliest, count = max(p for _, p in self.live), len(self.live[0][0]) + 1
        reachable = likeliest / max(self._penalty(count), self._penalty(self._length))
        return self.best()[-1].score >= reachable

    def best(self) -> list[Hypothesis]:
        """Return what has been found, the best first; what was found first, of equal scores."""
        return sorted(self._found, key=lambda found: -found.score)[: self._n_best]


def _run(model: Any, tokens: Tensor, state: Any, searches: list[_Search], eos: int | None) -> None:
    """Take steps of the model until all searches are over."""
    chosen = getattr(model, "select_rows", select_rows)
    device = tokens.device
    while any(search.live for search in searches):
        with no_grad():
            scores, state = scores_of("beam_search", model, tokens, state, eos)
            check_scores("beam_search", scores, dead_end=True)
            likely = log_softmax(scores, axis=-1).cpu().numpy()
        rows, at, nexts = [], 0, []
        for search in searches:
            count = len(search.live)
            if count:
                rows += [at + row for row in search.go_on(likely[at : at + count])]
                nexts += [found[-1] for found, _ in search.live]
            at += count
        if rows:
            tokens = tensor(nexts, dtype="int64", device=device)
            if rows != list(range(at)):
                state = chosen(state, tensor(rows, dtype="int64", device=device))
    for search in searches:
        if not search.best():
            raise ArgumentError(
                "beam_search: the scores that step() returned forbid every continuation; let them allow "
                "one, for instance eos"
            )


def _largest(values: _Array, count: int) -> _Array:
    """Return the places of the ``count`` largest values, in order, the first of equal ones first."""
    if count < len(values):
        least = numpy.partition(values, len(values) - count)[len(values) - count]
        places = numpy.flatnonzero(values >= least)
    else:
        places = numpy.arange(len(values))
    ordered = places[numpy.argsort(-values[places], kind="stable")][:count]
    return ordered[values[ordered] > -numpy.inf]
