"""Decide how threads can share the columns of a step, if there are too few rows to share.

What an elementwise operation reads and writes in its columns concerns nobody else. A product reads all
columns: before it the threads wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad.kernels.plan.ir import Buffer, Columns, Phase


def shared_columns(phases: Sequence[Phase], states: Sequence[Buffer]) -> Columns | None:
    """Return how threads can share a step by columns, each with its own alone; None if they cannot.

    Parameters
    ----------
    phases : sequence of Phase
        What a step does.
    states : sequence of Buffer
    """
    sweeps = [sweep for phase in phases for sweep in phase.sweeps.values()]
    products = [product for phase in phases for product in phase.products]
    widths = {sweep.width for sweep in sweeps}
    if len(widths) != 1 or any(sweep.reductions for sweep in sweeps):
        return None
    (width,) = widths
    given = ("read", "vector")
    for sweep in sweeps:
        for var, place in sweep.loads.items():
            stretched = width > 1 and (not var.shape or var.shape[-1] == 1)
            if place.buffer.kind not in given and (stretched or place.offset % width):
                return None
    read = {place.buffer for sweep in sweeps for place in sweep.loads.values()}
    for product in products:
        start = product.start
        if start is not None and start.buffer.kind not in given:
            if start.offset or start.buffer.width != product.width:
                return None
            read.add(start.buffer)
    for product in products:
        if product.target.buffer in read and product.width % width:
            return None
        if product.target.buffer in states and product.width != width and not product.width % width:
            return None
    meetings = _meetings(phases)
    return None if meetings is None else Columns(width, meetings)


def _meetings(phases: Sequence[Phase]) -> frozenset[int] | None:
    """Return where threads that share columns have to wait; None if they would have to elsewhere, too.

    A product reads the columns of all threads: what they wrote has to be there, and none may write over
    it before the last one has read it.
    """
    written: dict[Buffer, int] = {}  # by what it holds for one step: the first phase that writes it
    reads: list[tuple[int, Buffer]] = []
    for number, phase in enumerate(phases):
        made = set()
        for product in phase.products:
            source = product.source.buffer
            if source in made or source.kind == "ahead":
                return None
            made.add(product.target.buffer)
            kinds = ("scratch", "state", "history", "stored", "passing")
            if not product.ahead and source.kind in kinds:
                reads.append((number, source))
        places = [place for sweep in phase.sweeps.values() for _, place in sweep.stores]
        for buffer in (*made, *(place.buffer for place in places)):
            if buffer.kind == "scratch":
                written.setdefault(buffer, number)
    meetings = {number for number, _ in reads}
    last = max(meetings, default=-1)
    for number, buffer in reads:
        overtakes = number == last and all(m > written.get(buffer, number) for m in meetings)
        if overtakes:
            return frozenset((-1, *meetings))
    return frozenset(meetings)
