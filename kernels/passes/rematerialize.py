"""Choose what a loop keeps for its backward pass: the fewest numbers that the rest follows from.

Results of elementwise operations and views can be computed again, those of products and of sums cannot.
What is kept is a minimum cut between these and what the backward pass reads, where cutting a value costs
its width.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any

from minigrad.graph import Node, Var

_VIEWS = frozenset({"split", "getitem", "concat"})
_SOURCE, _SINK = "source", "sink"


def choose_kept(
    nodes: Sequence[Node],
    needed: Collection[Var],
    at_hand: Collection[Var],
    cost: Callable[[Var], float],
) -> tuple[list[Var], list[Node]]:
    """Choose what to keep of the values of a loop.

    Parameters
    ----------
    nodes : sequence of Node
        What a step computes.
    needed : collection of Var
        What the backward pass reads.
    at_hand : collection of Var
        What need not be kept, because it is there anyway.
    cost : callable
        What keeping a variable costs.

    Returns
    -------
    kept : list of Var
        None of them is at hand.
    again : list of Node
        What computes ``needed`` from ``kept`` and ``at_hand``, in order.
    """
    makers = {output: node for node in nodes for output in node.outputs}
    there = set(at_hand)
    kept = _cut(_network(makers, needed, there, cost))
    known = there.union(kept)
    wanted, again = {v for v in needed if v not in known}, []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            again.append(node)
            wanted.update(i for i in node.inputs if isinstance(i, Var) and i not in known)
    return kept, again[::-1]


def _network(
    makers: dict[Var, Node], needed: Collection[Var], there: set[Var], cost: Callable[[Var], float]
) -> dict[Any, dict[Any, float]]:
    """Return the capacities between the ends of variables: a kept one is cut between its own ends."""
    capacity: dict[Any, dict[Any, float]] = defaultdict(lambda: defaultdict(float))
    known, waiting = set(there), list(needed)
    for var in needed:
        if var not in there:
            capacity[var, 1][_SINK] = float("inf")
    while waiting:
        var = waiting.pop()
        if var in known:
            continue
        known.add(var)
        capacity[var, 0][var, 1] = cost(var)
        node = makers.get(var)
        if node is None or not (node.op.elementwise or node.op.name in _VIEWS):
            capacity[_SOURCE][var, 0] = float("inf")
            continue
        for i in node.inputs:
            if isinstance(i, Var) and i not in there:
                capacity[i, 1][var, 0] = float("inf")
                waiting.append(i)
    return capacity


def _cut(capacity: dict[Any, dict[Any, float]]) -> list[Var]:
    """Return the variables of the minimum cut that is nearest to the sink [Edmonds, Karp 1972]."""
    while path := _path(capacity):
        pairs = list(pairwise(path))
        flow = min(capacity[a][b] for a, b in pairs)
        for a, b in pairs:
            capacity[a][b] -= flow
            capacity[b][a] += flow
    before = defaultdict(list)
    for a, ways in capacity.items():
        for b, left in ways.items():
            if left > 0:
                before[b].append(a)
    behind: set[Any] = {_SINK}
    waiting: list[Any] = [_SINK]
    while waiting:
        for end in before[waiting.pop()]:
            if end not in behind:
                behind.add(end)
                waiting.append(end)
    ends = [end for end in capacity if end in behind and isinstance(end, tuple)]
    return [var for var, side in ends if side == 1 and (var, 0) not in behind]


def _path(capacity: dict[Any, dict[Any, float]]) -> list[Any]:
    """Return a shortest path from the source to the sink on which something can still flow."""
    came: dict[Any, Any] = {_SOURCE: None}
    waiting = deque([_SOURCE])
    while waiting:
        end = waiting.popleft()
        for following, left in capacity[end].items():
            if left > 0 and following not in came:
                came[following] = end
                waiting.append(following)
    if _SINK not in came:
        return []
    path = [_SINK]
    while came[path[-1]] is not None:
        path.append(came[path[-1]])
    return path[::-1]
