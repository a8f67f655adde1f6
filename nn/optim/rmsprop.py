"""RMSprop."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from minigrad.nn.optim.common import EPS, LR, MOMENTUM, WEIGHT_DECAY
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.update import Update
from minigrad.nn.options import PROPORTION, option


class RMSprop(Optimizer):
    """Gradient descent with gradients divided by the root of their mean square [Tieleman & Hinton 2012].

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.RMSprop([weight], lr=0.1, alpha=0.0)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    lr: float = replace(LR, default=1e-2)
    alpha: float = option(
        "How slowly the mean of squared gradients changes.", PROPORTION, default=0.99
    )
    eps: float = EPS
    weight_decay: float = WEIGHT_DECAY
    momentum: float = MOMENTUM
    centered: bool = option(
        "Divide by the standard deviation instead, about the mean gradient [Graves 2013].",
        default=False,
    )

    running: ClassVar = {"square_avg": None, "momentum_buffer": "momentum", "grad_avg": "centered"}
    counts_steps = True

    def update(self, u: Update) -> None:
        m, options = u.m, u.group
        u.count()
        alpha, gradient = options["alpha"], u.gradient(options["weight_decay"])
        square = u.running("square_avg")
        u.accumulate_square(square, alpha, gradient, 1 - alpha)
        if options["centered"]:
            mean = u.running("grad_avg")
            u.approach(mean, gradient, 1 - alpha)
            m.multiply(mean, mean, out=u.work)
            square = m.subtract(square, u.work, out=u.work)
            m.maximum(square, 0.0, out=square)  # by rounding it can be below
        direction = u.divided_by_root(gradient, square, options["eps"])
        if momentum := options["momentum"]:
            buffer = u.running("momentum_buffer")
            u.accumulate(buffer, momentum, direction)
            direction = buffer
        u.descend(direction, options["lr"])
