"""Optimisers: they change parameters in place, by their gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad import memory
from minigrad.backends.base import by_type
from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor


class Optimizer:
    """The base of all optimisers. A subclass defines `update`.

    Parameters
    ----------
    parameters : iterable of Tensor
        What to train: leaves that require a gradient.
    lr : float
        The learning rate; may be changed at any time.

    Raises
    ------
    ArgumentError
        If there is nothing to train, something is no parameter or is there twice, or ``lr`` is negative.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        name = type(self).__name__
        if not isinstance(parameters, Iterable):
            raise ArgumentError(
                f"{name}: parameters must be tensors, in a list for instance, not a "
                f"{type(parameters).__name__}; pass module.parameters()"
            )
        self.parameters = list(parameters)
        self.lr = lr
        if not self.parameters:
            raise ArgumentError(f"{name}: there are no parameters to train")
        for position, p in enumerate(self.parameters):
            if not isinstance(p, Tensor) or not p.is_leaf or not p.requires_grad:
                raise ArgumentError(
                    f"{name}: parameter {position} must be a leaf tensor that requires a gradient, "
                    f"but is {p!r}"
                )
        if len(self.parameters) > len({id(p) for p in self.parameters}):
            raise ArgumentError(
                f"{name}: a parameter is there twice and would change twice in each step; pass it once"
            )
        if not lr >= 0:
            raise ArgumentError(f"{name}: lr must be 0 or more, not {lr}")

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters)
        return f"{type(self).__name__}({count} numbers in {len(self.parameters)} tensors, lr={self.lr})"

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Change each parameter that has a gradient. A pending backward pass will notice.

        Raises
        ------
        ShapeError
            If a ``grad`` that was assigned is no tensor of the parameter's shape.
        """
        for position, p in enumerate(self.parameters):
            if p.grad is not None:
                self._check_gradient(position, p)
                with memory.writing(p._array) as array:
                    m = by_type[type(array)].namespace
                    self.update(position, array, p.grad._array, m)

    def _check_gradient(self, position: int, p: Tensor) -> None:
        shape = getattr(p.grad, "shape", ())
        if not isinstance(p.grad, Tensor) or shape != p.shape:
            raise ShapeError(
                f"{type(self).__name__}: the gradient of parameter {position} is a "
                f"{type(p.grad).__name__} of shape {shape}; it must be a tensor of shape {p.shape}"
            )

    def update(self, position: int, array: Any, g: Any, m: Any) -> None:
        """Change ``array``, the parameter number ``position``, in place; ``g`` is its gradient.

        ``m`` is the array library.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method update; define it")


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted, as PyTorch computes it [Sutskever 2013].

    Parameters
    ----------
    parameters : iterable of Tensor
    lr : float
    momentum : float
        How much of the last update goes into the next one.
    weight_decay : float
        How much of the parameter is added to its gradient.
    nesterov : bool
        Look ahead by the momentum (Nesterov 1983); needs a momentum.

    Raises
    ------
    ArgumentError
        If an option is negative, or ``nesterov`` comes without momentum; see also `Optimizer`.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        if not momentum >= 0 or not weight_decay >= 0:
            raise ArgumentError(
                "SGD: momentum and weight_decay must be 0 or more, "
                f"not {momentum} and {weight_decay}"
            )
        if nesterov and not momentum:
            raise ArgumentError("SGD: nesterov looks ahead by the momentum; give momentum=0.9")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self._work: dict[int, Any] = {}
        self._velocity: dict[int, Any] = {}

    def update(self, position: int, array: Any, g: Any, m: Any) -> None:
        work = self._work.get(position)
        if work is None:
            work = self._work[position] = m.empty_like(array)
        if self.weight_decay:
            m.multiply(array, self.weight_decay, out=work)
            g = m.add(work, g, out=work)
        if self.momentum:
            velocity = self._velocity.get(position)
            if velocity is None:
                velocity = self._velocity[position] = m.zeros_like(array)
            m.multiply(velocity, self.momentum, out=velocity)
            m.add(velocity, g, out=velocity)
            if self.nesterov:  # the update is g + momentum velocity: first the one, then the other
                m.multiply(g, self.lr, out=work)
                m.subtract(array, work, out=array)
                m.multiply(velocity, self.momentum, out=work)
                g = work
            else:
                g = velocity
        m.multiply(g, self.lr, out=work)
        m.subtract(array, work, out=array)


class Adam(Optimizer):
    """Adam [Kingma & Ba 2015, algorithm 1], as PyTorch computes it.

    Parameters
    ----------
    parameters : iterable of Tensor
    lr : float
    betas : pair of float
        How slowly the means of gradients and of squared gradients change.
    eps : float
        Is added to the root of the mean square.

    Raises
    ------
    ArgumentError
        If a beta does not lie in [0, 1), or ``eps`` is negative; see also `Optimizer`.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        if not all(0 <= beta < 1 for beta in betas) or not eps >= 0:
            raise ArgumentError(
                f"Adam: betas must lie in [0, 1) and eps must be 0 or more, not {betas} and {eps}"
            )
        self.betas, self.eps = betas, eps
        self._state: dict[int, _AdamState] = {}

    def update(self, position: int, array: Any, g: Any, m: Any) -> None:
        state = self._state.get(position)
        if state is None:
            state = self._state[position] = _AdamState(array, m)
        state.steps += 1
        mean, square, work = state.mean, state.square, state.work
        beta1, beta2 = self.betas
        # mean += (1 - beta1) (g - mean)
        m.subtract(g, mean, out=work)
        m.multiply(work, 1 - beta1, out=work)
        m.add(mean, work, out=mean)
        # square = beta2 square + (1 - beta2) g²
        m.multiply(square, beta2, out=square)
        m.multiply(g, g, out=work)
        m.multiply(work, 1 - beta2, out=work)
        m.add(square, work, out=square)
        # array -= lr / (1 - beta1^t) mean / (sqrt(square / (1 - beta2^t)) + eps)
        m.sqrt(square, out=work)
        m.divide(work, (1 - beta2**state.steps) ** 0.5, out=work)
        m.add(work, self.eps, out=work)
        m.divide(mean, work, out=work)
        m.multiply(work, self.lr / (1 - beta1**state.steps), out=work)
        m.subtract(array, work, out=array)


class _AdamState:
    """The running means of one parameter, and room to compute in."""

    def __init__(self, array: Any, m: Any) -> None:
        self.steps = 0
        self.mean = m.zeros_like(array)
        self.square = m.zeros_like(array)
        self.work = m.empty_like(array)
