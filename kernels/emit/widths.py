"""Names for the widths of a plan and for offsets in its rows, so that one text fits all sizes.

What is equal because of what the step computes has one name. What is equal by chance has two: the
inputs of a layer may be as wide as its states, or three times as wide, or both may be 1.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.plan.ir import Buffer, LoopPlan, Place, Product, Sweep


class Widths:
    """The widths of a plan, each of which gets its name when it is asked for.

    Attributes
    ----------
    values : dict of int
        In elements, by name.
    """

    def __init__(self, plan: LoopPlan) -> None:
        self.values: dict[str, int] = {}
        self._names: dict[Any, str] = {}
        self._equals: dict[Any, Any] = {}
        for phase in plan.phases:
            for p in phase.products:
                self._join(p.source, _inner(p), p.inner)
                self._join(p.target, p.matrix, p.width)
                if p.start is not None:
                    self._join(p.start, p.matrix, p.width)
            for sweep in phase.sweeps.values():
                for place in (*sweep.loads.values(), *(place for _, place in sweep.stores)):
                    self._join(place, _whole(sweep), sweep.width)

    def of(self, buffer: Buffer) -> str:
        """Return the name of the width of a buffer, or of a matrix."""
        return self._name(self._first(buffer), buffer.width)

    def inner(self, product: Product) -> str:
        """Return the name of how many columns a product reads."""
        return self._name(self._first(_inner(product)), product.inner)

    def of_sweep(self, sweep: Sweep) -> str:
        """Return the name of the width of a sweep."""
        return self._name(self._first(_whole(sweep)), sweep.width)

    def offset(self, place: Place) -> str:
        """Return the name of where a place begins in its rows."""
        return self._name(("offset", place.offset), place.offset, "offset")

    def _name(self, key: Any, value: int, kind: str = "width") -> str:
        if key not in self._names:
            number = sum(name.startswith(kind) for name in self.values)
            self._names[key] = f"{kind}{number}"
            self.values[self._names[key]] = value
        return self._names[key]

    def _join(self, place: Place, key: Any, width: int) -> None:
        """Note that whoever uses a place of this width uses whole rows, if it does."""
        if place.offset == 0 and place.buffer.width == width:
            a, b = self._first(place.buffer), self._first(key)
            if a != b:
                self._equals[a] = b

    def _first(self, key: Any) -> Any:
        """Return what stands for all that equals ``key``."""
        while key in self._equals:
            key = self._equals[key]
        return key


def _inner(product: Product) -> tuple[str, Buffer]:
    return "inner", product.matrix


def _whole(sweep: Sweep) -> tuple[str, int]:
    return "sweep", id(sweep)
