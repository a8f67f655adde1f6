"""One rise and fall of the learning rate."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError, check_choice
from minigrad.nn.checks import check_counts
from minigrad.nn.optim.lr_scheduler.base import LRScheduler, checked_optimizer
from minigrad.nn.optim.lr_scheduler.factors import half_wave
from minigrad.nn.optim.lr_scheduler.options import check, check_numbers, for_each_group
from minigrad.nn.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """Raise the learning rate, lower it, and do the opposite to the momentum [Smith & Topin 2019].

    Parameters
    ----------
    optimizer : Optimizer
        Its own learning rate is not used.
    max_lr : float or list of float
        The highest learning rate, for all groups or for each.
    total_steps : int, optional
        The length of the cycle; or else ``epochs`` times ``steps_per_epoch``.
    epochs : int, optional
        The number of epochs of the cycle.
    steps_per_epoch : int, optional
        The number of steps of each.
    pct_start : float
        Which part of the cycle is spent rising: 0.3 is 30 percent.
    anneal_strategy : {"cos", "linear"}
        Whether it rises and falls along a cosine or a line.
    cycle_momentum : bool
        Whether to change ``momentum``, or the first of ``betas``.
    base_momentum, max_momentum : float or list of float
        The momentum where the learning rate is highest and lowest.
    div_factor : float
        The first learning rate is ``max_lr / div_factor``.
    final_div_factor : float
        The last learning rate is the first one divided by this.
    three_phase : bool
        Whether to fall as slowly as to rise, and to the last learning rate in a third part.
    last_epoch : int
        The number of steps done; -1 begins anew. See `LRScheduler`.

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

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = self.name
        checked_optimizer(optimizer, name)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    f"{name}: the length of the cycle is unknown; give total_steps, or epochs and "
                    "steps_per_epoch"
                )
            given = check_counts(name, epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = math.prod(given)
        (total_steps,) = check_counts(name, total_steps=total_steps)
        check_numbers(name, 0, 1, pct_start=pct_start)
        check_numbers(name, div_factor=div_factor, final_div_factor=final_div_factor)
        check(name, bool, "above 0", div_factor=div_factor, final_div_factor=final_div_factor)
        check_choice(name, ("cos", "linear"), anneal_strategy=anneal_strategy)
        self.total_steps, self.cycle_momentum = total_steps, cycle_momentum
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(total_steps, pct_start, three_phase)
        if cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
        peaks = for_each_group(name, "max_lr", max_lr, optimizer)
        high = for_each_group(name, "max_momentum", max_momentum, optimizer)
        low = for_each_group(name, "base_momentum", base_momentum, optimizer)
        for values in zip(peaks, high, low, strict=True):
            for option, value in zip(
                ("max_lr", "max_momentum", "base_momentum"), values, strict=True
            ):
                check_numbers(name, **{option: value})
        if cycle_momentum and not {"betas", "momentum"} & optimizer.defaults.keys():
            raise ArgumentError(
                f"{name}: {optimizer.name} has no momentum to change; pass cycle_momentum=False"
            )
        if last_epoch == -1:
            for group, peak, most, least in zip(
                optimizer.param_groups, peaks, high, low, strict=True
            ):
                first = peak / div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=most, base_momentum=least)
        super().__init__(optimizer, last_epoch)

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
