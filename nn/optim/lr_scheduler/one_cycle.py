"""One rise and fall of the learning rate."""

from __future__ import annotations

from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler
from minigrad.nn.optim.lr_scheduler.common import (
    LAST_EPOCH,
    check_optimizer,
    excluding,
    for_each_group,
    one_or_each,
)
from minigrad.nn.optim.lr_scheduler.factors import half_wave
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.options import COUNT, NOT_NEGATIVE, PROPORTION, option

_ABOVE_ZERO = excluding(NOT_NEGATIVE, 0, "above 0")


class OneCycleLR(LRScheduler):
    """Raise the learning rate, lower it, and do the opposite to the momentum [Smith & Topin 2019].

    Raises
    ------
    ArgumentError
        If an option has an impossible value, or the optimiser has no momentum; in ``step``, after the
        end of the cycle; see also `LRScheduler`.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0, momentum=0.9)
    >>> schedule = nn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, div_factor=4.0)
    >>> schedule.get_last_lr()
    [0.25]
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [1.0]
    """

    optimizer: Optimizer = option("Its own learning rate is not used.", check_optimizer)
    max_lr: float | list[float] = option(
        "The highest learning rate, for all groups or for each.", one_or_each(NOT_NEGATIVE)
    )
    total_steps: Any = option(
        "The length of the cycle; or else ``epochs`` times ``steps_per_epoch``.",
        default=None,
        kind="int, optional",
    )
    epochs: int | None = option("The number of epochs of the cycle.", default=None)
    steps_per_epoch: int | None = option("The number of steps of each.", default=None)
    pct_start: float = option(
        "Which part of the cycle is spent rising: 0.3 is 30 percent.", PROPORTION, default=0.3
    )
    anneal_strategy: Literal["cos", "linear"] = option(
        "Whether it rises and falls along a cosine or a line.", default="cos"
    )
    cycle_momentum: bool = option(
        "Whether to change ``momentum``, or the first of ``betas``.", default=True
    )
    base_momentum: float | list[float] = option(
        "The momentum where the learning rate is highest.", one_or_each(NOT_NEGATIVE), default=0.85
    )
    max_momentum: float | list[float] = option(
        "The momentum where the learning rate is lowest.", one_or_each(NOT_NEGATIVE), default=0.95
    )
    div_factor: float = option(
        "The first learning rate is ``max_lr / div_factor``.", _ABOVE_ZERO, default=25.0
    )
    final_div_factor: float = option(
        "The last learning rate is the first one divided by this.", _ABOVE_ZERO, default=1e4
    )
    three_phase: bool = option(
        "Whether to fall as slowly as to rise, and to the last learning rate in a third part.",
        default=False,
    )
    last_epoch: int = LAST_EPOCH

    def _prepare(self, o: Any) -> None:
        name, optimizer = self.name, o.optimizer
        self.optimizer, self.last_epoch = optimizer, o.last_epoch
        self.total_steps = self._length(o)
        self.cycle_momentum, self._anneal_func_type = o.cycle_momentum, o.anneal_strategy
        self._schedule_phases = _phases(self.total_steps, o.pct_start, o.three_phase)
        peaks = for_each_group(name, "max_lr", o.max_lr, optimizer)
        high = for_each_group(name, "max_momentum", o.max_momentum, optimizer)
        low = for_each_group(name, "base_momentum", o.base_momentum, optimizer)
        if o.cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
            if not {"betas", "momentum"} & optimizer.defaults.keys():
                raise ArgumentError(
                    f"{name}: {optimizer.name} has no momentum to change; pass cycle_momentum=False"
                )
        if o.last_epoch == -1:
            for group, peak, most, least in zip(
                optimizer.param_groups, peaks, high, low, strict=True
            ):
                first = peak / o.div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / o.final_div_factor)
                if o.cycle_momentum:
                    group.update(max_momentum=most, base_momentum=least)

    def _length(self, o: Any) -> int:
        if o.total_steps is not None:
            return COUNT(self.name, "total_steps", o.total_steps)
        if o.epochs is None or o.steps_per_epoch is None:
            raise ArgumentError(
                f"{self.name}: the length of the cycle is unknown; give total_steps, or epochs and "
                "steps_per_epoch"
            )
        epochs = COUNT(self.name, "epochs", o.epochs)
        return epochs * COUNT(self.name, "steps_per_epoch", o.steps_per_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"{self.name}: step {self.last_epoch} lies after the end of the cycle, which has "
                f"{self.total_steps} steps; make the cycle longer, or call step() less often"
            )
        phase, done = self._place()
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], done))
            if self.cycle_momentum:
                momentum = self._between(
                    group[phase["start_momentum"]], group[phase["end_momentum"]], done
                )
                if self.use_beta1:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum
        return rates

    def _place(self) -> tuple[dict[str, Any], float]:
        """Return the phase that this step is in, and which part of the phase is done."""
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if self.last_epoch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        length = phase["end_step"] - start
        return phase, min((self.last_epoch - start) / length, 1.0) if length else 1.0

    def _between(self, start: float, end: float, done: float) -> float:
        rest = half_wave(done) if self._anneal_func_type == "cos" else 1 - done
        return end + (start - end) * rest


def _phases(total: int, rising: float, three: bool) -> list[dict[str, Any]]:
    """Return the phases as data: where each ends, and between what it leads."""
    up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    ways = (
        [
            (rising * total - 1, *up),
            (2 * rising * total - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
            (total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]
        if three
        else [
            (rising * total - 1, *up),
            (total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
        ]
    )
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    return [dict(zip(names, way, strict=True)) for way in ways]
