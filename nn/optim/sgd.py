"""Gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from minigrad.nn.optim.common import LR, MOMENTUM, WEIGHT_DECAY
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.update import Update
from minigrad.nn.options import NUMBER, option


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted, as PyTorch computes it [Sutskever 2013].

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.SGD([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.8, -1.6])
    """

    lr: float = LR
    momentum: float = MOMENTUM
    dampening: float = option(
        "How much less of the gradient goes into the momentum.", NUMBER, default=0.0
    )
    weight_decay: float = WEIGHT_DECAY
    nesterov: bool = option(
        "Look ahead by the momentum (Nesterov 1983); needs a momentum and no dampening.",
        default=False,
    )

    running: ClassVar = {"momentum_buffer": "momentum"}

    def complaints(self, options: Mapping[str, Any], where: str) -> Iterator[str]:
        yield from super().complaints(options, where)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            yield (
                f"{where}: nesterov looks ahead by the momentum; give a momentum above 0 and no "
                "dampening"
            )

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
