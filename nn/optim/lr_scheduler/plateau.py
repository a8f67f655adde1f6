"""Lower the learning rate when a score has stopped getting better."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import check_choice
from minigrad.nn.optim.lr_scheduler.base import LRScheduler, checked_optimizer, write_rates
from minigrad.nn.optim.lr_scheduler.options import check, check_numbers, for_each_group, is_count
from minigrad.nn.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by ``factor`` when a score has stopped getting better.

    Parameters
    ----------
    optimizer : Optimizer
        Its ``lr`` at this time is where the schedule begins.
    mode : {"min", "max"}
        Whether a small or a large score is good.
    factor : float
        From 0 to below 1.
    patience : int
        How many scores in a row may be no better than the best.
    threshold : float
        By how much a score must be better to count as better.
    threshold_mode : {"rel", "abs"}
        Whether ``threshold`` is a part of the best score's size, ``threshold * |best|``, or a
        difference. For scores below 0, PyTorch's "rel" also takes worse scores for better ones.
    cooldown : int
        How many scores are not judged after the learning rate was lowered.
    min_lr : float or list of float
        The learning rate falls no lower, in all groups or in each.
    eps : float
        A smaller change is not made.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `LRScheduler`.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = self.name
        self.optimizer = checked_optimizer(optimizer, name)
        check_choice(name, ("min", "max"), mode=mode)
        check_choice(name, ("rel", "abs"), threshold_mode=threshold_mode)
        (self.factor,) = check_numbers(name, 0, 1, factor=factor)
        check(name, lambda value: value < 1, "below 1", factor=factor)
        check(name, is_count, "an integer, 0 or more", patience=patience, cooldown=cooldown)
        self.threshold, self.eps = check_numbers(name, threshold=threshold, eps=eps)
        self.min_lrs = for_each_group(name, "min_lr", min_lr, optimizer)
        for smallest in self.min_lrs:
            check_numbers(name, min_lr=smallest)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else self.min_lrs[0]
        self.mode, self.threshold_mode = mode, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.patience, self.cooldown = int(patience), int(cooldown)
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Take a score, and lower the learning rate if it is time.

        Parameters
        ----------
        metrics : float or Tensor
            The score, for instance the loss in validation; one element. NaN is no better than any other.

        Raises
        ------
        ArgumentError
            If the optimiser got another group since the schedule was made.
        """
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        lower = self.num_bad_epochs > self.patience
        if lower:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        rates = [
            self._lowered(group["lr"], least) if lower else group["lr"]
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=False)
        ]
        self._last_lr = write_rates(self.optimizer, rates, self.name)

    def _lowered(self, rate: float, least: float) -> float:
        lowered = max(rate * self.factor, least)
        return lowered if rate - lowered > self.eps else rate

    def _is_better(self, score: float) -> bool:
        sign, best = (1.0 if self.mode == "min" else -1.0), self.best
        if self.threshold_mode == "rel" and math.isfinite(best):
            # best - threshold * |best|, rounded as PyTorch rounds it for a positive best
            return sign * score < abs(best) * (math.copysign(1.0, sign * best) - self.threshold)
        return sign * score < sign * best - self.threshold
