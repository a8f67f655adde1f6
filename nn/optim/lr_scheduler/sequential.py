"""One schedule after another, for instance a warm-up and what follows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler
from minigrad.nn.optim.lr_scheduler.common import are_counts, check_optimizer
from minigrad.nn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.options import option


class SequentialLR(LRScheduler):
    """One schedule after another. To warm up, let `LinearLR` be the first.

    Raises
    ------
    ArgumentError
        If something in ``schedulers`` is no schedule of this optimiser, or there is not one milestone
        less than schedules, in rising order; see also `LRScheduler`.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> warmup = nn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = nn.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.75]
    [1.0]
    [0.5]
    """

    optimizer: Optimizer = option("The one that all of ``schedulers`` belong to.", check_optimizer)
    schedulers: Sequence[LRScheduler] = option(
        "Each begins from the learning rates that the optimiser had when it was made.",
        kind="list of LRScheduler",
    )
    milestones: Sequence[int] = option(
        "The steps at which the second schedule begins, the third, and so on.", kind="list of int"
    )

    given_anew = frozenset({"optimizer", "_schedulers"})

    def _prepare(self, o: Any) -> None:
        self.optimizer = o.optimizer
        self._schedulers: list[LRScheduler] = list(o.schedulers)
        self._milestones: list[int] = list(o.milestones)
        self._check()

    def _begin(self) -> None:
        self.restart()

    def _check(self) -> None:
        name, count = self.name, len(self._schedulers)
        for number, schedule in enumerate(self._schedulers):
            if not isinstance(schedule, LRScheduler):
                raise ArgumentError(f"{name}: number {number} is no schedule but {schedule!r}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ArgumentError(
                    f"{name}: number {number} is a ReduceLROnPlateau, whose step() needs a score; use "
                    "it by itself"
                )
            if schedule.optimizer is not self.optimizer:
                raise ArgumentError(
                    f"{name}: number {number}, {schedule.name}, belongs to another optimizer; make "
                    "all schedules for the same one"
                )
        if not count or len(self._milestones) != count - 1:
            raise ArgumentError(
                f"{name}: there are {count} schedules and {len(self._milestones)} milestones; give "
                "schedules, and one milestone between each two"
            )
        steps = self._milestones
        if not are_counts(steps) or steps != sorted({*map(int, steps)}):
            raise ArgumentError(
                f"{name}: milestones must be integers in rising order, not {steps!r}"
            )
        self._milestones = [int(step) for step in steps]

    def restart(self) -> None:
        self.last_epoch = 0
        schedule = self._current()
        schedule.restart()
        self._last_lr = schedule.get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        schedule = self._current()
        if self.last_epoch in self._milestones:
            schedule.restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def _current(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def state_dict(self) -> dict[str, Any]:
        inner = [schedule.state_dict() for schedule in self._schedulers]
        return {**super().state_dict(), "_schedulers": inner}

    def _checked(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        state = super()._checked(state_dict)
        given, own = state["_schedulers"], self._schedulers
        if len(given) != len(own):
            raise ArgumentError(
                f"{self.name}.load_state_dict: there are {len(given)} schedules in it, and "
                f"{len(own)} in this one"
            )
        parts = [schedule._checked(part) for schedule, part in zip(own, given, strict=True)]
        return {**state, "_schedulers": parts}

    def _take_over(self, state: dict[str, Any]) -> None:
        for schedule, part in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            schedule._take_over(part)
        super()._take_over(state)
