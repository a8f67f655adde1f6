"""The plan of a loop: which products and which sweeps over rows a step consists of, and where values lie.

It is pure data, which `minigrad.kernels.plan.schedule` makes. A step is a list of phases; a phase is a
list of products, then one of sweeps. A sweep computes elementwise operations for all columns of a width,
row by row: what it computes stays in registers, unless another sweep, a product or the world outside
reads it. A sum over the columns of a row is known when its sweep has ended, so that whoever reads it
belongs to a later phase. Memory holds only numbers of one dtype: truth values are 1 and 0 there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from minigrad.graph import Node, Var

Kind = Literal[
    "read", "stored", "passing", "state", "history", "ahead", "scratch", "vector", "matrix"
]


@dataclass(eq=False)
class Buffer:
    """Memory of one row for each sequence, or of parameters.

    Attributes
    ----------
    name : str
    width : int
        Columns.
    kind : str
        "read": (T, N, width), made before the loop. "stored": (T, N, width), written by it. "passing":
        (N, width) for each of some steps, written by it and read behind the last of them.
        "state": (N, width), carried from step to step. "history": (T + 1, N, width), a state of all
        steps. "scratch": (N, width), within a step. "ahead": (N, width) for each of some steps, made
        before the first of them. "vector": (width,), made of parameters. "matrix": made of parameters,
        for products.
    """

    name: str
    width: int
    kind: Kind


@dataclass(frozen=True)
class Place:
    """Columns of a buffer, from ``offset`` on. ``next``: of the state after the step."""

    buffer: Buffer
    offset: int = 0
    next: bool = False


@dataclass(eq=False)
class Product:
    """``target = start + source @ matrix``; zero stands for a start of None.

    ``ahead``: it reads nothing that the loop makes, so it can be computed for some steps at once.
    ``behind``: nothing in the loop reads its result, so that can be done behind some steps.
    """

    source: Place
    inner: int
    matrix: Buffer
    target: Place
    start: Place | None = None
    ahead: bool = False
    behind: bool = False

    @property
    def width(self) -> int:
        """The columns of the result."""
        return self.matrix.width


@dataclass(frozen=True)
class RowSum:
    """A sum over the rows of all steps: ``transposed(left) @ right``, or of the columns of ``left``."""

    left: Var
    right: Var | None
    result: Var


@dataclass(frozen=True, eq=False)
class PlacedSum:
    """A `RowSum`, and where its rows lie: (outer, inner) numbers, taken behind some steps at once.

    ``name``: of the memory for the result. ``right``: None for a sum of columns, which are one ``inner``.
    """

    result: Var
    name: str
    left: Buffer
    right: Buffer | None

    @property
    def outer(self) -> int:
        """The columns of ``left``."""
        return self.left.width

    @property
    def inner(self) -> int:
        """The columns of ``right``."""
        return 1 if self.right is None else self.right.width


@dataclass
class Sweep:
    """Elementwise nodes over all columns of a width.

    Attributes
    ----------
    width : int
    nodes : list of Node
        In order.
    loads : dict
        Where the values lie that the nodes read from memory. A place of width 1 stretches.
    stores : list
        Pairs of a value and a place.
    reductions : list of Node
        Sums, largest or smallest elements of a value of this sweep, each with its place.
    """

    width: int
    nodes: list[Node] = field(default_factory=list)
    loads: dict[Var, Place] = field(default_factory=dict)
    stores: list[tuple[Any, Place]] = field(default_factory=list)
    reductions: list[tuple[Node, Place]] = field(default_factory=list)


@dataclass
class Phase:
    """Products, and then sweeps, which do not depend on each other."""

    products: list[Product] = field(default_factory=list)
    sweeps: dict[int, Sweep] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """How threads can share a step by columns: each has some of ``width``, for all rows.

    Attributes
    ----------
    width : int
        Of all sweeps. A product of a multiple of this width is shared part by part.
    meetings : frozenset of int
        The phases before whose products the threads have to wait for each other. -1: before the step.
    """

    width: int
    meetings: frozenset[int]

    def parts(self, product: Product) -> int:
        """Return into how many parts of equal width a product is divided before it is shared."""
        if product.behind:  # no thread goes on with the columns that it has computed
            return 1
        return product.width // self.width if product.width % self.width == 0 else 1


@dataclass(frozen=True, eq=False)
class LoopPlan:
    """A loop over time.

    Attributes
    ----------
    phases : tuple of Phase
        What a step does.
    read, fixed, stored : dict of Buffer
        Where the variables lie that come from before the loop, that are made of parameters, and that
        the loop keeps.
    states, scratch : tuple of Buffer
    dtype : numpy.dtype
        Of all values.
    columns : Columns or None
        How a step can be shared by columns; None if it cannot.
    broken : bool
        Whether rows may be absent or begin anew.
    given_away : frozenset of Var
        What of ``stored`` leaves the loop for good, and needs memory of its own.
    spread : frozenset of Var
        What of ``stored`` is also wanted in the order of the batch, should rows lie in another one.
    sums : tuple of PlacedSum
        Over the rows of all steps.
    compiled : dict
        Where targets keep what they have made of the plan.
    """

    phases: tuple[Phase, ...]
    read: Mapping[Var, Buffer]
    fixed: Mapping[Var, Buffer]
    states: tuple[Buffer, ...]
    stored: Mapping[Var, Buffer]
    scratch: tuple[Buffer, ...]
    dtype: Any
    columns: Columns | None
    broken: bool
    given_away: frozenset[Var]
    spread: frozenset[Var]
    sums: tuple[PlacedSum, ...]
    compiled: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def kept(self) -> tuple[Buffer, ...]:
        """The histories of states, and what is stored and not given away."""
        stored = (b for v, b in self.stored.items() if v not in self.given_away)
        return (
            *(b for b in self.states if b.kind == "history"),
            *(b for b in stored if b.kind == "stored"),
        )

    @cached_property
    def leaving(self) -> frozenset[Buffer]:
        """What of ``stored`` nobody reads behind its chunk, should rows lie in another order."""
        summed = {b for s in self.sums for b in (s.left, s.right)}
        found = (self.stored[v] for v in self.given_away & self.spread)
        return frozenset(b for b in found if b not in summed)
