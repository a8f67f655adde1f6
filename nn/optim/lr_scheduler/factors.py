"""Schedules that multiply the learning rate by a factor, which depends on the step alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler
from minigrad.nn.optim.lr_scheduler.common import ETA_MIN, GAMMA, LAST_EPOCH, are_counts, excluding
from minigrad.nn.options import COUNT, NOT_NEGATIVE, PROPORTION, option


class FactorLR(LRScheduler):
    """The base of schedules that multiply by a factor. A subclass defines `factor_at`.

    At each step the learning rate that the group has is multiplied by the quotient of two factors, so
    that a change by hand, or by another schedule, goes on to count.
    """

    def factor_at(self, epoch: int) -> float:
        """Return the factor of step ``epoch``; every schedule defines its own.

        Parameters
        ----------
        epoch : int
            The number of the step, from 0 on.

        Returns
        -------
        float
            What the first learning rates are multiplied by.
        """
        raise NotImplementedError(f"{self.name} has no method factor_at; define it")

    def floor(self) -> float:
        """Return what the factor leaves as it is: the smallest learning rate.

        Returns
        -------
        float
            The smallest learning rate.
        """
        return 0.0

    def _write_first(self) -> None:
        goes_on = self.last_epoch >= 0
        self.last_epoch += 1
        self._write(self._current() if goes_on else self.get_lr())

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        before = self.factor_at(self.last_epoch - 1) if self.last_epoch else 1.0
        now, floor = self.factor_at(self.last_epoch), self.floor()
        if now == before:
            return self._current()
        if before == 0:
            rates = zip(self._current(), self.base_lrs, strict=False)
            found = [rate + (base - floor) * now for rate, base in rates]
        else:
            found = [floor + (rate - floor) * (now / before) for rate in self._current()]
        return [max(rate, 0.0) for rate in found]  # by rounding it can be below

    def _from_base(self) -> list[float]:
        factor, floor = self.factor_at(self.last_epoch), self.floor()
        return [floor + (base - floor) * factor for base in self.base_lrs]

    def restart(self) -> None:
        self.last_epoch = 0
        self._write(self._from_base())


class StepLR(FactorLR):
    """Multiply the learning rate by ``gamma`` after every ``step_size`` steps.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [1.0]
    [0.5]
    """

    step_size: int = option("The number of steps from one fall to the next.", COUNT)
    gamma: float = GAMMA
    last_epoch: int = LAST_EPOCH

    def factor_at(self, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.step_size))


def _check_milestones(of: str, name: str, value: Any) -> list[int]:
    steps = list(value) if isinstance(value, Iterable) else value
    if not isinstance(steps, list) or not are_counts(steps):
        raise ArgumentError(f"{of}: {name} must be a list of integers, 0 or more, not {steps!r}")
    return list(map(int, steps))


class MultiStepLR(FactorLR):
    """Multiply the learning rate by ``gamma`` at each of the steps ``milestones``.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2], gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [1.0]
    [0.5]
    """

    milestones: Any = option(
        "The steps at which it falls. One that is there twice counts twice.",
        _check_milestones,
        kind="iterable of int",
    )
    gamma: float = GAMMA
    last_epoch: int = LAST_EPOCH

    def _prepare(self, o: Any) -> None:
        o.milestones = dict(Counter(o.milestones))
        super()._prepare(o)

    def factor_at(self, epoch: int) -> float:
        passed = sum(times for step, times in self.milestones.items() if step <= epoch)
        return float(self.gamma**passed)


class ExponentialLR(FactorLR):
    """Multiply the learning rate by ``gamma`` at each step.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.5]
    [0.25]
    """

    gamma: float = option("The factor of each step, 0 or more.", NOT_NEGATIVE)
    last_epoch: int = LAST_EPOCH

    def factor_at(self, epoch: int) -> float:
        return float(self.gamma**epoch)


class ConstantLR(FactorLR):
    """Multiply the learning rate by ``factor`` in the first ``total_iters`` steps.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.5]
    [1.0]
    """

    factor: float = option("From 0 to 1.", PROPORTION, default=1.0 / 3)
    total_iters: int = option(
        "The number of steps after which the factor is taken off.", COUNT, default=5
    )
    last_epoch: int = LAST_EPOCH

    def factor_at(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(FactorLR):
    """Multiply the learning rate by a factor on a line from ``start_factor`` to ``end_factor``.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.75]
    [1.0]
    """

    start_factor: float = option(
        "Above 0, at most 1.", excluding(PROPORTION, 0, "above 0"), default=1.0 / 3
    )
    end_factor: float = option(
        "From 0 to 1; it stays from step ``total_iters`` on.", PROPORTION, default=1.0
    )
    total_iters: int = option("The number of steps from one to the other.", COUNT, default=5)
    last_epoch: int = LAST_EPOCH

    def factor_at(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class CosineAnnealingLR(FactorLR):
    """Lower the learning rate to ``eta_min`` along half a wave of the cosine [Loshchilov & Hutter 2017].

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.5...]
    [0.0]
    """

    T_max: int = option(
        "The step at which it reaches ``eta_min``; after that it rises again.", COUNT
    )
    eta_min: float = ETA_MIN
    last_epoch: int = LAST_EPOCH

    def factor_at(self, epoch: int) -> float:
        return half_wave(epoch / self.T_max)

    def floor(self) -> float:
        return self.eta_min


def half_wave(position: float) -> float:
    """Return the cosine, moved and scaled to fall from 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * position)) / 2
