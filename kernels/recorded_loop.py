"""Runs of a compiled cell forwards and backwards, over arguments like those of before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.kernels.cell import Step
from minigrad.kernels.known_loop import KnownLoop
from minigrad.kernels.rows import Rows
from minigrad.kernels.targets import planned
from minigrad.tensor import Tensor


class RecordedLoop(KnownLoop):
    """A loop that is run forwards and backwards, with all that it needs at hand.

    Parameters
    ----------
    step, inputs, states, parameters, wanted, broken
        As for `KnownLoop`.
    reverse : bool
        Go through time backwards.
    """

    def __init__(
        self,
        step: Step,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        wanted: Sequence[int],
        broken: bool,
        reverse: bool,
    ) -> None:
        steps, count, _ = inputs[0].shape
        super().__init__(step, inputs, states, parameters, steps, wanted, broken)
        from minigrad.kernels.targets import numba_cpu  # Numba is loaded when it is needed
        from minigrad.kernels.targets.gradient_runner import GradientRunner

        self._target, self._reverse = numba_cpu, reverse
        if not broken:
            self._runner = GradientRunner(self._program, steps, count, reverse)

    def forward(
        self,
        inputs: Sequence[Any],
        states: Sequence[Any],
        parameters: Sequence[Any],
        rows: Rows | None,
    ) -> tuple[Any, list[Any], Any]:
        """Return the outputs (T, N, width), the final states (N, width), and what `backward` needs.

        Parameters
        ----------
        inputs, states, parameters : sequence of array
            Of the shapes and dtypes that the loop was made for.
        rows : Rows, optional
            Which rows take part in which step, as arrays; None if all do.
        """
        if not self._program.broken:
            return self._runner.forward(inputs, states, parameters)
        arrays = (*inputs, *states, *parameters)
        results = planned.forward(self._target, self._program, arrays, self._reverse, rows)
        return results[0], list(results[1:-1]), results[-1]

    def backward(
        self,
        inputs: Sequence[Any],
        states: Sequence[Any],
        parameters: Sequence[Any],
        kept: Any,
        cotangents: Sequence[Any],
        rows: Rows | None,
    ) -> tuple[dict[int, Any], list[Any]]:
        """Return the cotangents of what is wanted, by number of the argument, and of the initial states.

        Parameters
        ----------
        inputs, states, parameters, rows
            Those of `forward`.
        kept
            From it.
        cotangents : sequence of array or None
            Of the outputs, and of the final states: None if it is zero.
        """
        if not self._program.broken:
            return self._runner.backward(inputs, parameters, kept, cotangents[0], cotangents[1:])
        arrays, results = (*inputs, *states, *parameters), (None, *states, kept)
        found = planned.adjoint(
            self._target, self._program, arrays, results, cotangents, self._reverse, rows
        )
        first, last = len(inputs), len(inputs) + len(states)
        starts = [found.pop(i) for i in range(first, last)]
        return found, starts
