"""Cosine annealing that begins again and again."""

from __future__ import annotations

import math
from typing import Any

from minigrad.nn.optim.lr_scheduler.base import LRScheduler, warn_if_too_early
from minigrad.nn.optim.lr_scheduler.common import ETA_MIN, LAST_EPOCH
from minigrad.nn.optim.lr_scheduler.factors import half_wave
from minigrad.nn.options import COUNT, NOT_NEGATIVE, option


class CosineAnnealingWarmRestarts(LRScheduler):
    """Lower the learning rate along half a cosine, and begin again [Loshchilov & Hutter 2017].

    Attributes
    ----------
    T_cur, T_i : float, int
        The steps since the last beginning, and those of this run.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.5...]
    [1.0]
    """

    T_0: int = option("The steps of the first run.", COUNT)
    T_mult: int = option("By how much each run is longer than the one before.", COUNT, default=1)
    eta_min: float = ETA_MIN
    last_epoch: int = LAST_EPOCH

    def _prepare(self, o: Any) -> None:
        super()._prepare(o)
        self.T_cur: float = 0
        self.T_i = self.T_0

    def get_lr(self) -> list[float]:
        factor = half_wave(self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * factor for base in self.base_lrs]

    def _write_first(self) -> None:
        self._go_to(self.last_epoch + 1)

    def step(self, epoch: float | None = None) -> None:
        """Set the next learning rates, or those of ``epoch``, which may lie between two steps.

        Parameters
        ----------
        epoch : float, optional
            The number of steps, whole or not; by default one more than before.

        Raises
        ------
        ArgumentError
            If ``epoch`` is negative, or the optimiser got another group since.
        """
        warn_if_too_early(self)
        if epoch is None:
            self._go_on(self.last_epoch + 1, self.T_cur + 1, self.T_i)
        else:
            self._go_to(NOT_NEGATIVE(self.name, "epoch", epoch))

    def restart(self) -> None:
        self._go_to(0)

    def _go_to(self, epoch: float) -> None:
        if self.T_mult == 1:  # there may have been very many runs
            self._go_on(epoch, epoch % self.T_0, self.T_0)
        else:
            self._go_on(epoch, epoch, self.T_0)

    def _go_on(self, epoch: float, since: float, length: int) -> None:
        while since >= length:
            since, length = since - length, length * self.T_mult
        self.last_epoch, self.T_cur, self.T_i = math.floor(epoch), since, length
        self._write(self.get_lr())
