"""Layers that drop part of their input while a model is trained."""

from __future__ import annotations

from typing import Any

from minigrad import random
from minigrad.errors import TraceError, user_line
from minigrad.graph import Var
from minigrad.nn.checks import check_dropout, checked_input
from minigrad.nn.module import Module
from minigrad.ops.network import dropout
from minigrad.random import Generator


class Dropout(Module):
    """Set each element to zero with probability ``p`` in training, and scale the rest (Srivastava 2014).

    The rest is divided by ``1 - p``, so that the mean stays. In evaluation the input is returned.

    Parameters
    ----------
    p : float
        The probability to drop an element.
    generator : Generator, optional
        What draws the elements; by default the global one.

    Raises
    ------
    ArgumentError
        If ``p`` does not lie between 0 and 1.

    Examples
    --------
    >>> nn.Dropout(0.5).eval()(mg.tensor([1.0, 2.0]))
    tensor([1., 2.])
    >>> nn.Dropout(1.0)(mg.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        (self.p,) = check_dropout("Dropout", p=p)
        self.generator = generator

    def forward(self, input: Any) -> Any:
        """Return ``input`` with elements dropped if the layer is being trained.

        Parameters
        ----------
        input : Tensor
            Any shape, floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        DtypeError
            If ``input`` does not hold floating-point numbers.
        TraceError
            In the step of a loop, in training: nothing random is drawn there.
        """
        input = checked_input("Dropout", input)
        if not self.training or self.p == 0:
            return input
        if isinstance(input, Var):
            raise TraceError(
                f"Dropout draws random numbers, which a traced step cannot, at {user_line()}\n"
                "  draw a mask before the loop, pass it to the step, and call minigrad.dropout(x, mask)"
            )
        generator = self.generator or random.default_generator
        kept = generator.bernoulli(1 - self.p, input.shape, device=input.device)
        return dropout(input, kept, p=self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
