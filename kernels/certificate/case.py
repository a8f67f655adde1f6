"""One case that a property is checked in: how long, how many rows, and with which options of the loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy

_SEEDS = 3  # a small case may fail by some of its values only
_FLAGS = ("lengths", "mask", "reset", "reverse")
# the smallest loops, and one that has everything and more rows than a tile of the processor
_FIXED = (
    {"steps": 1, "rows": 1},
    {"steps": 4, "rows": 3},
    {"steps": 0, "rows": 2},
    {"steps": 2, "rows": 0},
    {"steps": 5, "rows": 19, **dict.fromkeys(_FLAGS, True)},
)


@dataclass(frozen=True, repr=False)
class Case:
    """A loop over random values.

    Parameters
    ----------
    steps : int
        T, the number of steps.
    rows : int
        N, the number of sequences.
    lengths, mask, reset : bool
        Whether the loop gets these, with random values.
    reverse : bool
        Whether it runs backwards in time.
    seed : int
        Where the values come from.

    Examples
    --------
    >>> from minigrad.kernels import Case
    >>> Case(steps=3, rows=2, reverse=True)
    Case(steps=3, rows=2, reverse=True)
    """

    steps: int
    rows: int
    lengths: bool = False
    mask: bool = False
    reset: bool = False
    reverse: bool = False
    seed: int = 0

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        told = {name: v for name, v in given.items() if v or name in ("steps", "rows")}
        return f"Case({', '.join(f'{name}={v}' for name, v in told.items())})"

    def smaller(self) -> Iterator[Case]:
        """Yield simpler cases, the simplest first, each with a few seeds.

        Returns
        -------
        iterator of Case
            Those with fewer steps, rows or options.
        """
        changes: list[dict[str, int]] = []
        for name in ("steps", "rows"):
            size = getattr(self, name)
            less = sorted({0, 1, size // 2, size - 1})
            changes += [{name: n} for n in less if 0 <= n < size]
        changes += [{name: False} for name in _FLAGS if getattr(self, name)]
        for change in changes:
            for seed in range(self.seed, self.seed + _SEEDS):
                yield replace(self, **{**change, "seed": seed})  # type: ignore[arg-type]


def random_cases(count: int, seed: int) -> list[Case]:
    """Return ``count`` cases: small ones and empty ones first, then random ones."""
    rng = numpy.random.default_rng(seed)
    cases = [Case(**fixed, seed=seed) for fixed in _FIXED]  # type: ignore[arg-type]
    while len(cases) < count:
        steps, rows = int(rng.integers(1, 7)), int(rng.choice([1, 2, 3, 5, 9, 17]))
        flags = {name: bool(rng.integers(2)) for name in _FLAGS}
        cases.append(Case(steps, rows, **flags, seed=seed + len(cases)))
    return cases[:count]
