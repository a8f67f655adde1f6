"""Single steps of a compiled cell, for data that arrive step by step."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

from minigrad import memory
from minigrad.kernels.cell import Step
from minigrad.kernels.compile import program_of
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.scan import traced_step
from minigrad.tensor import Tensor


class Stream:
    """Steps of a cell that no gradient flows through, with its parameters kept as products read them.

    Parameters
    ----------
    step : callable
        As for `scan`.
    inputs, states : sequence of Tensor
        Of one step, shape (N, width); they say which shapes and dtypes there are.
    parameters : dict of Tensor

    Raises
    ------
    Refusal
        If the loop of the step cannot be compiled, or begins with something that it cannot do itself.
    """

    def __init__(
        self,
        step: Step,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
    ) -> None:
        if os.environ.get("MINIGRAD_COMPILE") == "0" or inputs[0].device != "cpu":
            raise Refusal("loops are not compiled here")
        xs, ss = ([(t.shape, t.dtype) for t in given] for given in (inputs, states))
        specs = {name: (p.shape, p.dtype) for name, p in parameters.items()}
        traced = traced_step(step, xs, ss, specs)
        self._program = program_of(step, traced, None, False)
        if self._program.before:
            raise Refusal("something is computed before the loop")
        self._count = inputs[0].shape[0]
        self._lock = threading.Lock()
        self._keep([p._array for p in parameters.values()])

    def _keep(self, parameters: list[Any]) -> None:
        from minigrad.kernels.targets.numba_cpu import Stepper  # Numba is loaded when it is needed

        self._time = memory.latest_write
        self._parameters = parameters
        self._stepper = Stepper(self._program, parameters, self._count)

    def take(
        self, inputs: Sequence[Any], states: Sequence[Any], parameters: list[Any]
    ) -> list[Any] | None:
        """Return the arrays of the new states.

        Parameters
        ----------
        inputs, states, parameters : sequence of array
            Of the shapes and dtypes that the stream was made for.

        Returns
        -------
        list of array or None
            None if another thread is taking a step right now.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._time != memory.latest_write or not all(map(is_, parameters, self._parameters)):
                self._renew(parameters)
            return self._stepper.take(inputs, states)
        finally:
            self._lock.release()

    def _renew(self, parameters: list[Any]) -> None:
        """Pack the parameters again if they have changed."""
        time = memory.latest_write
        same = all(map(is_, parameters, self._parameters))
        if same and not any(memory.written_after(p, self._time) for p in parameters):
            self._time = time
        else:
            self._keep(list(parameters))
