"""Plan a loop: find a place for each node of a step, in a product or in a sweep, and for its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

from minigrad.dtypes import bool_
from minigrad.graph import Node, Var
from minigrad.kernels.passes.legalize import REDUCTIONS, Refusal, columns_of, refused_at
from minigrad.kernels.plan.column_split import shared_columns
from minigrad.kernels.plan.ir import (
    Buffer,
    LoopPlan,
    Phase,
    Place,
    PlacedSum,
    Product,
    RowSum,
    Sweep,
)
from minigrad.kernels.plan.scalar import Tracer
from minigrad.ops.shape import part_sizes


def plan_loop(
    nodes: Sequence[Node],
    states: Sequence[Var],
    new_states: Sequence[Any],
    stored: Sequence[Var],
    fixed: frozenset[Var] | set[Var],
    histories: Sequence[int],
    broken: bool,
    given_away: frozenset[Var] = frozenset(),
    spread: frozenset[Var] = frozenset(),
    passing: frozenset[Var] = frozenset(),
    sums: Sequence[RowSum] = (),
) -> LoopPlan:
    """Plan the loop that computes ``nodes`` in each step.

    Parameters
    ----------
    nodes : sequence of Node
        In normal form; see `minigrad.kernels.passes.legalize`.
    states, new_states : sequence of Var
        What is carried from step to step; a new state of None is zero.
    stored : sequence of Var
        What is kept of each step.
    fixed : set of Var
        What is made of parameters alone.
    histories : sequence of int
        The states that are kept of all steps.
    broken : bool
        Whether rows may be absent or begin anew.
    given_away : frozenset of Var
        What of ``stored`` leaves the loop for good.
    spread : frozenset of Var
        What of ``stored`` is also wanted in the order of the batch.
    passing : frozenset of Var
        What of ``stored`` nobody reads but ``sums``.
    sums : sequence of RowSum

    Raises
    ------
    Refusal
        If something has no place in a compiled loop.
    """
    planner = _Planner(nodes, states, new_states, stored, fixed, histories, passing)
    for node in nodes:
        with refused_at(node.line):
            planner.place(node)
    return planner.finish(new_states, broken, given_away, spread, sums)


class _Planner:
    """Places one node after the other."""

    def __init__(
        self,
        nodes: Sequence[Node],
        states: Sequence[Var],
        new_states: Sequence[Any],
        stored: Sequence[Var],
        fixed: Any,
        histories: Sequence[int],
        passing: frozenset[Var],
    ) -> None:
        self.fixed = fixed
        self.dtype = states[0].dtype
        self.phases: list[Phase] = []
        self.read: dict[Var, Buffer] = {}
        self.vectors: dict[Var, Buffer] = {}
        self.state_buffers = tuple(
            Buffer(f"state{i}", s.shape[1], "history" if i in histories else "state")
            for i, s in enumerate(states)
        )
        self.scratch: list[Buffer] = []
        self._numbers = count()  # of scratch: some is given up again, but not its number
        self.stored = {
            v: Buffer(f"stored{i}", v.shape[1], "passing" if v in passing else "stored")
            for i, v in enumerate(stored)
        }
        # where a value lies in memory, and the first phase in which it can be read from there
        self.places: dict[Var, tuple[Place, int]] = {
            s: (Place(b), 0) for s, b in zip(states, self.state_buffers, strict=True)
        }
        self.made: dict[Var, tuple[int, int]] = {}  # phase and width of the sweep that computes it
        self.products: dict[Var, tuple[Product, int]] = {}  # by result, with its phase
        self.uses = Counter(i for n in nodes for i in n.inputs if isinstance(i, Var))
        self.uses.update(v for v in (*new_states, *stored) if v is not None)
        for state in states:
            self._check(state)

    # memory

    def _check(self, var: Var) -> None:
        if len(var.shape) != 2 or var.dtype not in (self.dtype, bool_):
            raise Refusal(
                f"{var!r}: values of a compiled loop have the shape (N, width) and the dtype of the "
                f"first state, {self.dtype}"
            )

    def _scratch(self, width: int) -> Buffer:
        buffer = Buffer(f"scratch{next(self._numbers)}", width, "scratch")
        self.scratch.append(buffer)
        return buffer

    def _phase(self, number: int) -> Phase:
        while len(self.phases) <= number:
            self.phases.append(Phase())
        return self.phases[number]

    def _sweep(self, number: int, width: int) -> Sweep:
        return self._phase(number).sweeps.setdefault(width, Sweep(width))

    def in_memory(self, var: Var) -> tuple[Place, int]:
        """Return where ``var`` lies in memory, and from which phase on; put it there if need be."""
        if var not in self.places:
            if var in self.made:
                self._check(var)
                phase, width = self.made[var]
                place = Place(self.stored.get(var) or self._scratch(width))
                self._sweep(phase, width).stores.append((var, place))
                self.places[var] = place, phase + 1
            elif var in self.fixed:
                self.places[var] = Place(self._vector(var)), 0
            else:  # made before the loop
                self._check(var)
                self.read[var] = Buffer(f"read{len(self.read)}", var.shape[1], "read")
                self.places[var] = Place(self.read[var]), 0
        return self.places[var]

    def _vector(self, var: Var) -> Buffer:
        width = var.shape[-1] if var.shape else 1
        if var.dtype != self.dtype or width != (var.size or width):
            raise Refusal(
                f"{var!r}: parameters in elementwise operations must be vectors of {self.dtype}"
            )
        return self.vectors.setdefault(var, Buffer(f"vector{len(self.vectors)}", width, "vector"))

    # nodes

    def place(self, node: Node) -> None:
        """Find a place for what ``node`` computes."""
        name = node.op.name
        if name == "matmul":
            self._place_product(node)
        elif name in ("getitem", "split"):
            self._place_view(node)
        elif name == "concat":
            self._place_concat(node)
        elif name in REDUCTIONS:
            self._place_reduction(node)
        elif name == "add" and self._joins_product(node):
            self._place_sum(node)
        else:
            self._compute(node)

    def _place_product(self, node: Node) -> None:
        source, matrix = node.inputs
        (output,) = node.outputs
        for var in (source, matrix, output):
            if var.dtype != self.dtype:
                raise Refusal(
                    f"matmul of {source!r} with {matrix!r}: products are compiled in the dtype of the "
                    f"first state alone, {self.dtype}; see minigrad.astype"
                )
        place, phase = self.in_memory(source)
        self._check(output)
        target = Place(self._scratch(output.shape[1]))
        packed = self.vectors.setdefault(
            matrix, Buffer(f"matrix{len(self.vectors)}", output.shape[1], "matrix")
        )
        product = Product(place, source.shape[1], packed, target)
        self._phase(phase).products.append(product)
        self.places[output] = target, phase
        self.products[output] = product, phase

    def _joins_product(self, node: Node) -> bool:
        """Say whether a product can begin with the other term of a sum, instead of with zero."""
        other, product = node.inputs
        if product not in self.products or self.uses[product] > 1 or not isinstance(other, Var):
            return False
        made, phase = self.products[product]
        fits = other.shape[-1:] == product.shape[-1:] and node.outputs[0].shape == product.shape
        if made.start is not None or not fits:
            return False
        ready = self.made[other][0] + 1 if other in self.made else self.in_memory(other)[1]
        return ready <= phase

    def _place_sum(self, node: Node) -> None:
        other, product = node.inputs
        made, phase = self.products.pop(product)
        made.start = self.in_memory(other)[0]
        if other in self.products and self.uses[other] == 1:  # in its place
            self.scratch.remove(made.target.buffer)
            made.target = made.start
            del self.products[other]
        products = self.phases[phase].products
        products.append(products.pop(products.index(made)))  # behind what it begins with
        self.products[node.outputs[0]] = made, phase
        self.places[node.outputs[0]] = made.target, phase

    def _place_view(self, node: Node) -> None:
        base = node.inputs[0]
        place, phase = self.in_memory(base)
        if node.op.name == "split":
            widths = part_sizes(node.attributes["sections"], base.shape[1])
            start = 0
        else:
            start, stop = columns_of(node.attributes["key"], base.shape[1])
            widths = (stop - start,)
        for output, width in zip(node.outputs, widths, strict=True):
            at = Place(place.buffer, place.offset + start, place.next)
            self.places[output] = at, phase
            start += width

    def _place_concat(self, node: Node) -> None:
        (output,) = node.outputs
        self._check(output)
        buffer = self.stored.get(output) or self._scratch(output.shape[1])
        offset, ready = 0, 0
        for part in node.inputs:
            ready = max(ready, self._store(part, Place(buffer, offset)))
            offset += part.shape[1]
        self.places[output] = Place(buffer), ready

    def _store(self, var: Var, place: Place) -> int:
        """Store ``var`` in one more place; return the first phase in which it can be read there."""
        self._check(var)
        if var in self.made:
            phase, width = self.made[var]
        else:
            phase, width = self.in_memory(var)[1], var.shape[1]
            self._sweep(phase, width).loads[var] = self.in_memory(var)[0]
        self._sweep(phase, width).stores.append((var, place))
        return phase + 1

    def _place_reduction(self, node: Node) -> None:
        (x,), (output,) = node.inputs, node.outputs
        width = x.shape[1]
        if x in self.made:
            phase, _ = self.made[x]
        else:
            phase = self.in_memory(x)[1]
            self._sweep(phase, width).loads[x] = self.in_memory(x)[0]
        place = Place(self._scratch(1))
        self._sweep(phase, width).reductions.append((node, place))
        self.places[output] = place, phase + 1

    def _compute(self, node: Node) -> None:
        _check_formula(node)
        (output,) = node.outputs
        width = output.shape[1]
        phase, loads = 0, {}
        for i in node.inputs:
            if not isinstance(i, Var):
                continue
            if i in self.made and self.made[i][1] == width:
                phase = max(phase, self.made[i][0])
            else:
                place, ready = self.in_memory(i)
                phase, loads[i] = max(phase, ready), place
        for i in node.inputs:  # computed in an earlier phase, so it has to come from memory
            if isinstance(i, Var) and i not in loads and self.made[i][0] < phase:
                place, ready = self.in_memory(i)
                phase, loads[i] = max(phase, ready), place
        sweep = self._sweep(phase, width)
        sweep.nodes.append(node)
        sweep.loads.update(loads)
        self.made[output] = phase, width

    # the end

    def finish(
        self,
        new_states: Sequence[Any],
        broken: bool,
        given_away: frozenset[Var],
        spread: frozenset[Var],
        sums: Sequence[RowSum],
    ) -> LoopPlan:
        """Store what goes to the next step and to the outside."""
        for buffer, new in zip(self.state_buffers, new_states, strict=True):
            place = Place(buffer, next=True)
            if new is None:
                self._sweep(0, buffer.width).stores.append((0.0, place))
            else:
                self._store_last(new, place)
        for var, buffer in self.stored.items():
            if not buffer.width:  # the zeros of an unused part of a split ask for its shape alone
                continue
            if var not in self.places or self.places[var][0].buffer is not buffer:
                self._store_last(var, Place(buffer))
        for product in self.phases[0].products if self.phases else ():
            product.ahead = _is_ahead(product)
            if product.ahead:
                product.target.buffer.kind = "ahead"
        for phase in self.phases:
            for product in phase.products:
                product.behind = _is_behind(product, self.phases)
        placed = tuple(self._placed(i, s) for i, s in enumerate(sums))
        return LoopPlan(
            tuple(self.phases),
            self.read,
            self.vectors,
            self.state_buffers,
            self.stored,
            tuple(self.scratch),
            self.dtype,
            None if broken else shared_columns(self.phases, self.state_buffers),
            broken,
            given_away,
            spread,
            placed,
        )

    def _placed(self, number: int, s: RowSum) -> PlacedSum:
        def rows(var: Var) -> Buffer:
            return self.stored[var] if var in self.stored else self.in_memory(var)[0].buffer

        right = None if s.right is None else rows(s.right)
        return PlacedSum(s.result, f"sum{number}", rows(s.left), right)

    def _store_last(self, var: Var, place: Place) -> None:
        """Store ``var`` where nothing in this step reads it; a product can write it there itself."""
        if var not in self.products or self.uses[var] > 1:
            self._store(var, place)
            return
        product, _ = self.products[var]
        buffer, product.target = product.target.buffer, place
        others = (p for phase in self.phases for p in phase.products)
        if all(p.target.buffer is not buffer for p in others):
            self.scratch.remove(buffer)


def _check_formula(node: Node) -> None:
    """Refuse an operation that cannot be written down for single elements."""
    try:
        Tracer().lower(node, {i: i.name for i in node.inputs if isinstance(i, Var)})
    except Refusal:
        raise
    except Exception as error:  # formulas of users' ops may do anything
        raise Refusal(
            f"the formula of {node.op.name} cannot be written for single elements: {error}"
        ) from error


def _is_ahead(product: Product) -> bool:
    """Say whether a product of the first phase reads only what is there before the loop."""
    start = product.start
    early = start is None or start.buffer.kind in ("read", "vector", "ahead")
    return (
        product.source.buffer.kind == "read"
        and early
        and product.target.buffer.kind
        in (
            "scratch",
            "ahead",
        )
    )


def _is_behind(product: Product, phases: Sequence[Phase]) -> bool:
    """Say whether a product of what is stored is stored, and not read in the loop."""
    start, target = product.start, product.target.buffer
    kinds = ("stored", "passing")
    early = start is None or start.buffer.kind in ("read", "vector", *kinds)
    if not early or product.source.buffer.kind not in kinds or target.kind not in kinds:
        return False
    sweeps = [sweep for phase in phases for sweep in phase.sweeps.values()]
    read = [place for sweep in sweeps for place in sweep.loads.values()]
    for other in (p for phase in phases for p in phase.products):
        read += [place for place in (other.source, other.start) if place is not None]
    return all(place.buffer is not target for place in read)
