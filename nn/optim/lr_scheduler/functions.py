"""Schedules that are a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.optim.lr_scheduler.base import LRScheduler
from minigrad.nn.optim.lr_scheduler.common import LAST_EPOCH, for_each_group, one_or_each
from minigrad.nn.options import NUMBER, option


def _check_function(of: str, name: str, value: Any) -> Any:
    if not callable(value):
        raise ArgumentError(
            f"{of}: {name} must be a function, or a list of functions, not {value!r}"
        )
    return value


class LambdaLR(LRScheduler):
    """Set the learning rate to that of the beginning times a function of the step.

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

    lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]] = option(
        "``lr_lambda(epoch)`` returns the factor; a list has a function for each group.",
        one_or_each(_check_function),
        kind="callable or list of callable",
    )
    last_epoch: int = LAST_EPOCH

    given_anew = frozenset({"optimizer", "lr_lambdas"})

    def _prepare(self, o: Any) -> None:
        self.lr_lambdas = for_each_group(self.name, "lr_lambda", o.lr_lambda, o.optimizer)
        del o.lr_lambda
        super()._prepare(o)

    def get_lr(self) -> list[float]:
        returned = [function(self.last_epoch) for function in self.lr_lambdas]
        factors = [NUMBER(self.name, "what lr_lambda returns", factor) for factor in returned]
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
