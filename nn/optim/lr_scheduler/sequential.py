"""One schedule after another, for instance a warm-up and what follows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler, checked_optimizer
from minigrad.nn.optim.lr_scheduler.options import check, is_count
from minigrad.nn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minigrad.nn.optim.optimizer import Optimizer


class SequentialLR(LRScheduler):
    """One schedule after another. To warm up, let `LinearLR` be the first.

    Parameters
    ----------
    optimizer : Optimizer
        The one that all of ``schedulers`` belong to.
    schedulers : list of LRScheduler
        Each begins from the learning rates that the optimiser had when it was made.
    milestones : list of int
        The steps at which the second schedule begins, the third, and so on.

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

    given_anew = frozenset({"optimizer", "_schedulers"})

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        self.optimizer = checked_optimizer(optimizer, self.name)
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self._check()
        self.last_epoch = 0
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
        check(
            name,
            lambda value: all(map(is_count, value)) and value == sorted({*map(int, value)}),
            "integers in rising order",
            milestones=self._milestones,
        )
        self._milestones = [int(step) for step in self._milestones]

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
