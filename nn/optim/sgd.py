"""Gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.options import FLAG, NOT_NEGATIVE, NUMBER
from minigrad.nn.optim.update import Update


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted, as PyTorch computes it [Sutskever 2013].

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    momentum : float
        How much of the last update goes into the next one.
    dampening : float
        How much less of the gradient goes into the momentum.
    weight_decay : float
        How much of the parameter is added to its gradient.
    nesterov : bool
        Look ahead by the momentum (Nesterov 1983); needs a momentum and no dampening.
    maximize : bool
        Climb instead of descend.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `Optimizer`.

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.SGD([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.8, -1.6])
    """

    rules: ClassVar = {
        "lr": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "dampening": NUMBER,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": FLAG,
        "maximize": FLAG,
    }
    running: ClassVar = {"momentum_buffer": "momentum"}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, options)

    def complaints(self, options: Mapping[str, Any]) -> Iterator[str]:
        yield from super().complaints(options)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            yield "nesterov looks ahead by the momentum; give a momentum above 0 and no dampening"

    def update(self, u: Update) -> None:
        options = u.group
        direction = u.gradient(options["weight_decay"])
        if momentum := options["momentum"]:
            # as in PyTorch the momentum begins with the whole first gradient
            weight = 1 - options["dampening"] if u.has("momentum_buffer") else 1.0
            buffer = u.running("momentum_buffer")
            u.accumulate(buffer, momentum, direction, weight)
            direction = u.ahead(direction, buffer, momentum) if options["nesterov"] else buffer
        u.descend(direction, options["lr"])
