"""Layers that compare vectors."""

from __future__ import annotations

from typing import Any

from minigrad.checks import check_integer, check_number
from minigrad.nn.checks import checked_input
from minigrad.nn.module import Module
from minigrad.ops.similarity import cosine_similarity


class CosineSimilarity(Module):
    """The cosine of the angle between vectors; see `minigrad.cosine_similarity`.

    Parameters
    ----------
    dim : int
        The axis of the vectors.
    eps : float
        The least norm to divide by.

    Raises
    ------
    ArgumentError
        If ``dim`` is no integer, or ``eps`` is negative.

    Examples
    --------
    >>> nn.CosineSimilarity()(mg.tensor([[3.0, 4.0]]), mg.tensor([[4.0, 3.0]]))
    tensor([0.96])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = check_integer("CosineSimilarity", "dim", dim)
        self.eps = check_number("CosineSimilarity", "eps", eps, low=0)

    def forward(self, x1: Any, x2: Any) -> Any:
        """Return how alike the vectors of two tensors are.

        Parameters
        ----------
        x1, x2 : Tensor
            Shapes that broadcast, floating-point.

        Returns
        -------
        Tensor
            The broadcast shape without the axis ``dim``.

        Raises
        ------
        ShapeError
            If the shapes do not broadcast, or there is no such axis.
        DtypeError
            If an input does not hold floating-point numbers.
        """
        x1 = checked_input("CosineSimilarity", x1)
        x2 = checked_input("CosineSimilarity", x2, x1)
        return cosine_similarity(x1, x2, self.dim, self.eps)
