"""Time the same work in several libraries, in turn, after they have agreed on its result."""

import random
import statistics
import time

import numpy
from workers import Failure

LONG = 0.1  # seconds: work that takes longer is done once in each round
ENOUGH = 0.04  # seconds in each round for shorter work
FEWEST = 3  # rounds, however long they take
BUDGET = 6.0  # seconds after which no further round begins


def typical(work):
    """Return how many seconds ``work()`` takes: the median over a round."""
    first = _timed(work)  # of short work not kept: the caches are cold after the others' turn
    if first > LONG:
        return first
    count = max(3, min(1000, int(ENOUGH / max(first, 1e-6))))
    return statistics.median(_timed(work) for _ in range(count))


def _timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def race(contenders, rounds, before=lambda: None):
    """Let contenders work in turn, in a new random order each round; the first is the measure.

    Parameters
    ----------
    contenders : dict
        Name: (prepare, measure). ``prepare()`` returns what `prepared` does, with None for arrays that
        are not to be compared; ``measure()`` returns seconds.
    rounds : int
    before : callable
        Called before each round.

    Returns
    -------
    dict
        For each name: the median, the seconds of each ``round``, the ``ratio`` to the measure (the
        median over the rounds), and what ``prepare`` told; or why it ``failed``.
    """
    found, ready, expected = {}, [], None
    for name, (prepare, _) in contenders.items():
        try:
            found[name], arrays = prepare()
            if arrays is not None:
                expected = arrays if expected is None else expected
                refuse_difference(arrays, expected)
            ready.append(name)
        except Failure as failure:
            found[name] = {"failed": str(failure)}
    times, order, begun = {name: [] for name in ready}, random.Random(0), time.perf_counter()
    for number in range(rounds):
        if number >= FEWEST and time.perf_counter() - begun > BUDGET:
            break
        before()
        for name in order.sample(ready, len(ready)):
            if "failed" not in found[name]:
                try:
                    times[name].append(contenders[name][1]())
                except Failure as failure:
                    found[name] = {"failed": str(failure)}
    measure = times.get(next(iter(contenders)))
    for name, seconds in times.items():
        if "failed" not in found[name]:
            found[name] |= {"median": statistics.median(seconds), "rounds": seconds}
            if measure and len(measure) == len(seconds):
                ratios = [s / m for s, m in zip(seconds, measure, strict=True)]
                found[name]["ratio"] = statistics.median(ratios)
    return found


def prepared(work, show, times=1):
    """Do the work for the first time; return its seconds, which may include compilation, and arrays."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    for _ in range(times - 1):
        result = work()
    return {"first": seconds}, show(result)


def refuse_difference(arrays, expected):
    """Refuse arrays that are not those expected.

    Raises
    ------
    Failure
        If their number or their sizes differ, or an element by a thousandth of the largest one.
    """
    if len(arrays) != len(expected):
        raise Failure(f"computes {len(arrays)} arrays, where others compute {len(expected)}")
    for array, other in zip(map(numpy.ravel, arrays), map(numpy.ravel, expected), strict=True):
        if array.size != other.size:
            raise Failure(f"computes {array.size} numbers, where others compute {other.size}")
        off = numpy.abs(array - other).max(initial=0)
        if not off <= 1e-3 * numpy.abs(other).max(initial=0):
            raise Failure(f"computes other numbers: they differ by {off:.3g}")
