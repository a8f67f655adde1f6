"""Lower the learning rate when a score has stopped getting better."""

from __future__ import annotations

import math
from typing import Any, Literal

from minigrad.nn.optim.lr_scheduler.base import LRScheduler, write_rates
from minigrad.nn.optim.lr_scheduler.common import (
    check_count,
    excluding,
    for_each_group,
    one_or_each,
)
from minigrad.nn.options import NOT_NEGATIVE, PROPORTION, option


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by ``factor`` when a score has stopped getting better.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    mode: Literal["min", "max"] = option("Whether a small or a large score is good.", default="min")
    factor: float = option("From 0 to below 1.", excluding(PROPORTION, 1, "below 1"), default=0.1)
    patience: int = option(
        "How many scores in a row may be no better than the best.", check_count, default=10
    )
    threshold: float = option(
        "By how much a score must be better to count as better.", NOT_NEGATIVE, default=1e-4
    )
    threshold_mode: Literal["rel", "abs"] = option(
        "Whether ``threshold`` is a part of the best score's size, ``threshold * |best|``, or a "
        'difference. For scores below 0, PyTorch\'s "rel" also takes worse scores for better ones.',
        default="rel",
    )
    cooldown: int = option(
        "How many scores are not judged after the learning rate was lowered.",
        check_count,
        default=0,
    )
    min_lr: float | list[float] = option(
        "The learning rate falls no lower, in all groups or in each.",
        one_or_each(NOT_NEGATIVE),
        default=0.0,
    )
    eps: float = option("A smaller change is not made.", NOT_NEGATIVE, default=1e-8)

    def _prepare(self, o: Any) -> None:
        self.min_lrs = for_each_group(self.name, "min_lr", o.min_lr, o.optimizer)
        self.default_min_lr = None if isinstance(o.min_lr, list) else o.min_lr
        del o.min_lr
        super()._prepare(o)

    def _begin(self) -> None:
        self.best = self.mode_worse = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

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
