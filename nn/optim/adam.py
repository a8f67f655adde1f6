"""Adam, with the weight decay in the gradient or beside it."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.checks import as_number
from minigrad.errors import ArgumentError
from minigrad.nn.optim.common import EPS, LR, WEIGHT_DECAY
from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.update import Update
from minigrad.nn.options import NOT_NEGATIVE, option


def _check_betas(of: str, name: str, value: Any) -> None:
    found = [as_number(beta) for beta in value] if isinstance(value, tuple) else []
    if len(found) != 2 or not all(beta is not None and 0 <= beta < 1 for beta in found):
        raise ArgumentError(f"{of}: {name} must be two numbers from 0 to below 1, not {value!r}")


def _check_decoupled(of: str, name: str, value: Any) -> None:
    if value is not True:
        raise ArgumentError(f"{of}: {name} must be True in AdamW; or take Adam, not {value!r}")


class Adam(Optimizer):
    """Gradient descent with steps of a size of their own for each number [Kingma & Ba 2015].

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Adam([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    lr: float = LR
    betas: tuple[float, float] = option(
        "How slowly the means of gradients and of squared gradients change.",
        _check_betas,
        default=(0.9, 0.999),
    )
    eps: float = EPS
    weight_decay: float = WEIGHT_DECAY
    amsgrad: bool = option("Divide by the largest mean square so far [Reddi 2018].", default=False)
    decoupled_weight_decay: bool = option(
        "Shrink the parameter by ``lr weight_decay`` instead of adding to the gradient: `AdamW`.",
        default=False,
        kw_only=True,
    )

    running: ClassVar = {"exp_avg": None, "exp_avg_sq": None, "max_exp_avg_sq": "amsgrad"}
    counts_steps = True

    def update(self, u: Update) -> None:
        m, options = u.m, u.group
        lr, (beta1, beta2) = options["lr"], options["betas"]
        in_gradient = options["weight_decay"]
        if options["decoupled_weight_decay"]:
            m.multiply(u.array, 1 - lr * in_gradient, out=u.array)
            in_gradient = 0.0
        gradient, step = u.gradient(in_gradient), u.count()
        mean, square = u.running("exp_avg"), u.running("exp_avg_sq")
        u.approach(mean, gradient, 1 - beta1)
        u.accumulate_square(square, beta2, gradient, 1 - beta2)
        if options["amsgrad"]:
            largest = u.running("max_exp_avg_sq")
            square = m.maximum(largest, square, out=largest)
        # means that began with 0 are too small at first: by 1 - beta^step
        scale = (1 - beta2**step) ** 0.5
        u.descend(u.divided_by_root(mean, square, options["eps"], scale), lr / (1 - beta1**step))


class AdamW(Adam):
    """`Adam` with the weight decay beside the gradient [Loshchilov & Hutter 2019].

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.AdamW([weight], lr=0.1, weight_decay=1.0)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.8, -1.7])
    """

    weight_decay: float = option(
        "The parameter shrinks by ``lr weight_decay`` in each step.", NOT_NEGATIVE, default=1e-2
    )
    decoupled_weight_decay: bool = option(check=_check_decoupled, default=True, init=False)
