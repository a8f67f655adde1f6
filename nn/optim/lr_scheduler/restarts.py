"""Cosine annealing that begins again and again."""

from __future__ import annotations

import math

from minigrad.nn.checks import check_counts
from minigrad.nn.optim.lr_scheduler.base import LRScheduler, warn_if_too_early
from minigrad.nn.optim.lr_scheduler.factors import half_wave
from minigrad.nn.optim.lr_scheduler.options import check_numbers
from minigrad.nn.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """Lower the learning rate along half a cosine, and begin again [Loshchilov & Hutter 2017].

    Parameters
    ----------
    optimizer : Optimizer
        Its ``lr`` at this time is where the schedule begins.
    T_0 : int
        The steps of the first run.
    T_mult : int
        By how much each run is longer than the one before.
    eta_min : float
        The smallest learning rate.
    last_epoch : int
        The number of steps done; -1 begins anew. See `LRScheduler`.

    Attributes
    ----------
    T_cur, T_i : float, int
        The steps since the last beginning, and those of this run.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `LRScheduler`.

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

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult = check_counts(self.name, T_0=T_0, T_mult=T_mult)
        (self.eta_min,) = check_numbers(self.name, eta_min=eta_min)
        self.T_cur: float = 0
        self.T_i = self.T_0
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = half_wave(self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * factor for base in self.base_lrs]

    def _begin(self) -> None:
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
            (epoch,) = check_numbers(self.name, epoch=epoch)
            self._go_to(epoch)

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
