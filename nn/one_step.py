"""The base of modules that take one step when they are called: cells that are modules, and PyTorch's."""

from __future__ import annotations

from typing import Any

from minigrad.nn.stateful import Stateful
from minigrad.tensor import Tensor


class OneStep(Stateful):
    """A module whose call checks its arguments and takes one step by its method ``step``."""

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Return the new states, in the order of the arguments; every cell defines its own.

        Parameters
        ----------
        *args : Tensor
            The input of one time step, shape (N, input_size), then the states, shape (N, width).
        **kwargs : Tensor
            The same by name, of the same shapes.

        Returns
        -------
        Tensor or tuple of Tensor
            The new states, shape (N, width).

        Raises
        ------
        NotImplementedError
            If the cell defines none.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no method step; define step(self, x, h), which returns the new h"
        )

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """Take one step.

        Parameters
        ----------
        input : Tensor
            Shape (N, input_size), or (input_size,) of a single row.
        hx : Tensor or tuple of Tensor, optional
            The state, or all of them if the cell has several: shape (N, width), of a single row
            (width,). Zeros by default.

        Returns
        -------
        Tensor or tuple of Tensor
            The new state or states, in the shape of ``hx``.

        Raises
        ------
        ShapeError
            If ``input`` or a state has another shape.
        DtypeError
            If ``input`` holds integers, or its dtype is not that of the weights and states.
        BackendError
            If ``input``, the states and the weights are on different devices.
        ArgumentError
            If there are more or fewer states than the cell has.
        """
        input = self._checked_input(input, ("N",))
        return self.step(input, *self._checked_states(hx, input, input.shape[:-1]))
