"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minigrad.creation import full_like
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.options import FLAG, NOT_NEGATIVE
from minigrad.nn.optim.update import Update, computing_dtype


class Adagrad(Optimizer):
    """Gradient descent with gradients divided by the root of all their squares [Duchi 2011].

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    lr_decay : float
        The learning rate is divided by ``1 + steps lr_decay``.
    weight_decay : float
        How much of the parameter is added to its gradient.
    initial_accumulator_value : float
        What the sum of squares begins with.
    eps : float
        Is added to the root of the sum.
    maximize : bool
        Climb instead of descend.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `Optimizer`.

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Adagrad([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    rules: ClassVar = {
        "lr": NOT_NEGATIVE,
        "lr_decay": NOT_NEGATIVE,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "initial_accumulator_value": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    running: ClassVar = {"sum": None}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, options)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:  # PyTorch, loading this, would begin with another sum otherwise
            dtype = computing_dtype(p.dtype)
            total = full_like(p, group["initial_accumulator_value"], dtype=dtype)
            self.state[p] = {"step": 0, "sum": total}

    def update(self, u: Update) -> None:
        options = u.group
        gradient, step = u.gradient(options["weight_decay"]), u.count()
        total = u.running("sum", options["initial_accumulator_value"])
        u.accumulate_square(total, 1.0, gradient, 1.0)
        rate = options["lr"] / (1 + (step - 1) * options["lr_decay"])
        u.descend(u.divided_by_root(gradient, total, options["eps"]), rate)
