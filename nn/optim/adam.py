"""Adam, with the weight decay in the gradient or beside it."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.nn.optim.optimizer import Optimizer
from minigrad.nn.optim.options import BETAS, FLAG, NOT_NEGATIVE, Rule
from minigrad.nn.optim.update import Update


class Adam(Optimizer):
    """Gradient descent with steps of a size of their own for each number [Kingma & Ba 2015].

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : pair of float
        How slowly the means of gradients and of squared gradients change.
    eps : float
        Is added to the root of the mean square.
    weight_decay : float
        How much of the parameter is added to its gradient.
    amsgrad : bool
        Divide by the largest mean square so far [Reddi 2018].
    maximize : bool
        Climb instead of descend.
    decoupled_weight_decay : bool
        Shrink the parameter by ``lr weight_decay`` instead of adding to the gradient: `AdamW`.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `Optimizer`.

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.Adam([weight], lr=0.1)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.9, -1.9])
    """

    rules: ClassVar = {
        "lr": NOT_NEGATIVE,
        "betas": BETAS,
        "eps": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "amsgrad": FLAG,
        "maximize": FLAG,
        "decoupled_weight_decay": FLAG,
    }
    running: ClassVar = {"exp_avg": None, "exp_avg_sq": None, "max_exp_avg_sq": "amsgrad"}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options)

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

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train; see `Optimizer`.
    lr : float
        The learning rate.
    betas : pair of float
        How slowly the means of gradients and of squared gradients change.
    eps : float
        Is added to the root of the mean square.
    weight_decay : float
        The parameter shrinks by ``lr weight_decay`` in each step.
    amsgrad : bool
        Divide by the largest mean square so far [Reddi 2018].
    maximize : bool
        Climb instead of descend.

    Raises
    ------
    ArgumentError
        If an option has an impossible value; see also `Optimizer`.

    Examples
    --------
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.AdamW([weight], lr=0.1, weight_decay=1.0)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.8, -1.7])
    """

    rules: ClassVar = {
        **Adam.rules,
        "decoupled_weight_decay": Rule(lambda value: value is True, "True in AdamW; or take Adam"),
    }

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )
