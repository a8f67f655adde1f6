"""Graphs of steps for another number of rows: what of an op call depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from math import isqrt

from minigrad.graph import Graph, Node, Var


def has_rows(var: Var, rows: int) -> bool:
    """Say whether the number of rows, a prime that divides no other size, is in the shape of ``var``."""
    return any(size and size % rows == 0 for size in var.shape)


def resized(nodes: Iterable[Node], rows: int, new: int) -> list[Node]:
    """Return nodes whose attributes fit ``new`` rows.

    Parameters
    ----------
    nodes : iterable of Node
    rows : int
        The number of rows that they were traced with: a prime that divides no other size.
    new : int
    """
    fitted = []
    for node in nodes:
        shape = node.attributes.get("shape")
        if isinstance(shape, tuple) and any(n and n % rows == 0 for n in shape):
            sizes = tuple(n // rows * new if n % rows == 0 else n for n in shape)
            node = replace(node, attributes={**node.attributes, "shape": sizes})
        fitted.append(node)
    return fitted


def prime_of_rows(graph: Graph) -> int:
    """Return the smallest prime beyond two that divides no size in ``graph``."""
    shapes = [var.shape for var in graph.inputs]
    shapes += [output.shape for node in graph.nodes for output in node.outputs]
    sizes = {n for shape in shapes for n in shape if n}
    primes = (n for n in count(3, 2) if all(n % k for k in range(3, isqrt(n) + 1, 2)))
    return next(p for p in primes if all(n % p for n in sizes))
