"""Layers that compute nothing: the identity, and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.checks import checked_tensor
from minigrad.nn.module import Module
from minigrad.ops.shape import normal_axis, reshape


class Identity(Module):
    """Return the input. It takes any arguments when it is made, to stand in for another layer.

    Parameters
    ----------
    *args : Any
        Unused.
    **kwargs : Any
        Unused.

    Examples
    --------
    >>> nn.Identity()(mg.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """Return ``input``.

        Parameters
        ----------
        input : Any
            Anything.

        Returns
        -------
        Any
            The same object.
        """
        return input


class Flatten(Module):
    """Make one axis of several that lie side by side.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last of these axes; negative ones count from the end.

    Examples
    --------
    >>> nn.Flatten()(mg.zeros((2, 3, 5))).shape
    (2, 15)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """Return ``input`` with the axes joined.

        Parameters
        ----------
        input : Tensor
            Any shape with these axes.

        Returns
        -------
        Tensor
            The shape of ``input`` with one axis in place of several.

        Raises
        ------
        ShapeError
            If ``input`` has no such axes, or the last comes before the first.
        """
        input = checked_tensor("Flatten", input)
        shape = tuple(input.shape) or (1,)
        start = normal_axis(self.start_dim, len(shape), "Flatten")
        end = normal_axis(self.end_dim, len(shape), "Flatten")
        if start > end:
            raise ShapeError(
                f"Flatten: start_dim={self.start_dim} comes after end_dim={self.end_dim} in an input "
                f"of shape {tuple(input.shape)}"
            )
        joined = math.prod(shape[start : end + 1])
        return reshape(input, (*shape[:start], joined, *shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Make several axes of one.

    Parameters
    ----------
    dim : int
        The axis; a negative one counts from the end.
    unflattened_size : sequence of int
        The sizes to make of it. One of them may be -1: whatever is left.

    Raises
    ------
    ArgumentError
        If ``unflattened_size`` is no sequence, or empty.

    Examples
    --------
    >>> nn.Unflatten(1, (3, -1))(mg.zeros((2, 15))).shape
    (2, 3, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if not isinstance(unflattened_size, Sequence) or not unflattened_size:
            raise ArgumentError(
                f"Unflatten: unflattened_size must be a tuple of sizes, not {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        """Return ``input`` with the axis split up.

        Parameters
        ----------
        input : Tensor
            Any shape with this axis.

        Returns
        -------
        Tensor
            The shape of ``input`` with several axes in place of one.

        Raises
        ------
        ShapeError
            If ``input`` has no such axis, or the sizes do not multiply to its size.
        """
        input = checked_tensor("Unflatten", input)
        shape = tuple(input.shape)
        axis = normal_axis(self.dim, len(shape), "Unflatten")
        known = math.prod(n for n in self.unflattened_size if n != -1)
        sizes = tuple(
            shape[axis] // known if n == -1 and known else n for n in self.unflattened_size
        )
        if math.prod(sizes) != shape[axis] or min(sizes) < 0:
            raise ShapeError(
                f"Unflatten: axis {self.dim} of an input of shape {shape} has size {shape[axis]}, "
                f"which cannot be split into {self.unflattened_size}"
            )
        return reshape(input, (*shape[:axis], *sizes, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
