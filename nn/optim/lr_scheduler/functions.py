"""Schedules that are a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler, checked_optimizer
from minigrad.nn.optim.lr_scheduler.options import check, for_each_group, is_number
from minigrad.nn.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """Set the learning rate to that of the beginning times a function of the step.

    Parameters
    ----------
    optimizer : Optimizer
        Its ``lr`` at this time is where the schedule begins.
    lr_lambda : callable or list of callable
        ``lr_lambda(epoch)`` returns the factor; a list has a function for each group.
    last_epoch : int
        The number of steps done; -1 begins anew. See `LRScheduler`.

    Raises
    ------
    ArgumentError
        If ``lr_lambda`` is no function, or returns no number; see also `LRScheduler`.

    Examples
    --------
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(schedule.get_last_lr())
    [0.5]
    [0.3333333333333333]
    """

    given_anew = frozenset({"optimizer", "lr_lambdas"})

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        checked_optimizer(optimizer, self.name)
        self.lr_lambdas = for_each_group(self.name, "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            check(self.name, callable, "a function, or a list of functions", lr_lambda=function)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factors = [function(self.last_epoch) for function in self.lr_lambdas]
        for factor in factors:
            check(self.name, is_number, "a finite number", **{"what lr_lambda returns": factor})
        return [base * factor for base, factor in zip(self.base_lrs, factors, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the functions, which must be given anew.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return {**super().state_dict(), "lr_lambdas": [None] * len(self.lr_lambdas)}

    def _checked(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        state = super()._checked(state_dict)
        if any(function is not None for function in state.pop("lr_lambdas")):
            raise ArgumentError(
                f"{self.name}.load_state_dict: lr_lambdas holds the state of a callable object, which "
                "is not restored here; give the object to LambdaLR, and set lr_lambdas to None"
            )
        return state
