"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.options import FLAG, NOT_NEGATIVE, PROPORTION
from minigrad.nn.optim.update import Update


class RMSprop(Optimizer):
    """Gradient descent with gradients divided by the root of their mean square [Tieleman & Hinton 2012].

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    alpha : float
        How slowly the mean of squared gradients changes.
    eps : float
        Is added to the root of the mean square.
    weight_decay : float
        How much of the parameter is added to its gradient.
    momentum : float
        How much of the last update goes into the next one.
    centered : bool
        Divide by the standard deviation instead, about the mean gradient [Graves 2013].
    maximize : bool
        Climb instead of descend.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `Optimizer`.

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.RMSprop([weight], lr=0.1, alpha=0.0)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    rules: ClassVar = {
        "lr": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "alpha": PROPORTION,
        "eps": NOT_NEGATIVE,
        "centered": FLAG,
        "weight_decay": NOT_NEGATIVE,
        "maximize": FLAG,
    }
    running: ClassVar = {"square_avg": None, "momentum_buffer": "momentum", "grad_avg": "centered"}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, options)

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
