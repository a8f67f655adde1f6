"""What all schedules share: counting, writing learning rates, state."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from minigrad.errors import ArgumentError, suggestion
from minigrad.nn.optim.lr_scheduler.common import check_optimizer
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.options import Optioned, option

_BOOKKEEPING_OF_PYTORCH = {"_step_count", "_is_initial", "_get_lr_called_within_step", "verbose"}


class LRScheduler(Optioned):
    """The base of all schedules. A subclass defines `get_lr`.

    Parameters
    ----------
    optimizer : Optimizer
        Its ``lr`` at this time is where the schedule begins.
    last_epoch : int
        The number of steps done; -1 begins anew. To go on from an earlier number, the groups of the
        optimiser must hold ``initial_lr``; loading the state dicts of both is simpler.

    Attributes
    ----------
    last_epoch : int
        How often ``step()`` was called.
    base_lrs : list of float
        The learning rates of the groups at the beginning.

    Raises
    ------
    ArgumentError
        If ``optimizer`` is none, or an option has an impossible value.

    Examples
    --------
    >>> class Halved(nn.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
    >>> optimizer = nn.optim.SGD([nn.Parameter(1.0)], lr=1.0)
    >>> schedule = Halved(optimizer)
    >>> optimizer.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    given_anew: ClassVar[frozenset[str]] = frozenset({"optimizer"})
    """The attributes that are no part of the state."""

    optimizer: Optimizer = option(
        "Its ``lr`` at this time is where the schedule begins.", check_optimizer
    )

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.last_epoch = last_epoch
        self._set_up({"optimizer": optimizer, "last_epoch": last_epoch})

    def _set_up(self, options: dict[str, Any]) -> None:
        for name, declared in self.options.items():
            if declared.check is not None:
                options[name] = declared.check(self.name, name, options[name])
        self._prepare(SimpleNamespace(**options))
        self._begin()

    def _prepare(self, o: Any) -> None:
        """Note the options ``o`` as attributes; a schedule may note what follows from them instead."""
        vars(self).update(vars(o))

    def _begin(self) -> None:
        for number, group in enumerate(self.optimizer.param_groups):
            if self.last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{self.name}: to go on from last_epoch={self.last_epoch}, group {number} of the "
                    "optimizer must have 'initial_lr'; load the state of the optimizer first, or "
                    "leave out last_epoch"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in self.optimizer.param_groups]
        self._last_lr: list[float] = []
        self._write_first()

    def _write_first(self) -> None:
        self.last_epoch += 1
        self._write(self.get_lr())

    def get_lr(self) -> list[float]:
        """Return the learning rates of step ``last_epoch``, one for each group.

        Returns
        -------
        list of float
            One for each group.
        """
        raise NotImplementedError(f"{self.name} has no method get_lr; define it")

    def get_last_lr(self) -> list[float]:
        """Return the learning rates that were set last, one for each group.

        Returns
        -------
        list of float
            One for each group.
        """
        return list(self._last_lr)

    def step(self) -> None:
        """Set the next learning rates. Call it after the ``step`` of the optimiser.

        Raises
        ------
        ArgumentError
            If the optimiser got another group since the schedule was made, unless the schedule only
            multiplies by a factor.
        """
        warn_if_too_early(self)
        self.last_epoch += 1
        self._write(self.get_lr())

    def restart(self) -> None:
        """Go back to step 0 and to the learning rates of the beginning."""
        self.last_epoch = 0
        self._write(self.get_lr())

    def _write(self, rates: Sequence[float]) -> None:
        self._last_lr = write_rates(self.optimizer, rates, self.name)

    # state in and out

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that the schedule knows, as plain data, with PyTorch's names.

        Returns
        -------
        dict
            Plain data, which `load_state_dict` takes.
        """
        return copy.deepcopy({k: v for k, v in vars(self).items() if k not in self.given_anew})

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, or that of PyTorch's schedule.

        The learning rates themselves are in the state of the optimiser: load both.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` returned.

        Raises
        ------
        ArgumentError
            If it belongs to another schedule or to another number of groups. Nothing has changed then.
        """
        self._take_over(self._checked(state_dict))

    def _take_over(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def _checked(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        known, doing = self.state_dict(), f"{self.name}.load_state_dict"
        if not isinstance(state_dict, Mapping):
            raise ArgumentError(
                f"{doing}: give what schedule.state_dict() returned, not {state_dict!r}"
            )
        state = {k: v for k, v in state_dict.items() if k not in _BOOKKEEPING_OF_PYTORCH}
        wrong = [f"missing: {name}" for name in known if name not in state]
        wrong += [
            f"not in this schedule: {name}{suggestion(name, known)}"
            for name in state
            if name not in known
        ]
        groups = len(self.optimizer.param_groups)
        for name in ("base_lrs", "_last_lr"):
            if name in known and len(state.get(name, range(groups))) != groups:
                wrong.append(
                    f"{name} has {len(state[name])} groups, and the optimizer has {groups}"
                )
        if wrong:
            raise ArgumentError("\n  ".join([f"{doing}:", *wrong]))
        return copy.deepcopy(state)


def warn_if_too_early(schedule: LRScheduler) -> None:
    """Warn if the optimiser has not made its first step before the schedule makes its own."""
    if schedule.last_epoch == 0 and not schedule.optimizer.has_stepped:
        warnings.warn(
            f"{schedule.name}.step() was called before optimizer.step(), so that the first learning "
            "rate is never used; call optimizer.step() first",
            UserWarning,
            stacklevel=3,
        )


def write_rates(optimizer: Optimizer, rates: Sequence[float], name: str) -> list[float]:
    """Set the learning rates of the groups, and return them.

    Raises
    ------
    ArgumentError
        If there are more or fewer groups than rates.
    """
    groups = optimizer.param_groups
    if len(rates) != len(groups):
        raise ArgumentError(
            f"{name}: the optimizer has {len(groups)} groups, and had {len(rates)} when the schedule "
            "was made; make the schedule after the last add_param_group"
        )
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = float(rate)
    return [float(rate) for rate in rates]
