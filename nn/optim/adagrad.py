"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from minigrad.creation import full_like
from minigrad.nn.optim.common import EPS, LR, WEIGHT_DECAY
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.update import Update, computing_dtype
from minigrad.nn.options import NOT_NEGATIVE, option


class Adagrad(Optimizer):
    """Gradient descent with gradients divided by the root of all their squares [Duchi 2011].

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Adagrad([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    lr: float = replace(LR, default=1e-2)
    lr_decay: float = option(
        "The learning rate is divided by ``1 + steps lr_decay``.", NOT_NEGATIVE, default=0.0
    )
    weight_decay: float = WEIGHT_DECAY
    initial_accumulator_value: float = option(
        "What the sum of squares begins with.", NOT_NEGATIVE, default=0.0
    )
    eps: float = replace(EPS, default=1e-10)

    running: ClassVar = {"sum": None}
    counts_steps = True

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
