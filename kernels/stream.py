"""Runs of a compiled cell that no gradient flows through, as fast as they can be begun."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

from minigrad import memory
from minigrad.kernels.cell import Step
from minigrad.kernels.known_loop import KnownLoop
from minigrad.kernels.rows import Rows
from minigrad.kernels.targets import planned
from minigrad.tensor import Tensor
from minigrad.threads import get_num_threads


def side_by_side(outputs: Sequence[Any]) -> Any:
    """Return arrays joined along their last axis."""
    from minigrad.kernels.targets.runner import joined_rows

    return joined_rows(outputs)


class Stream(KnownLoop):
    """A loop that no gradient flows through, with all that it needs at hand.

    Parameters
    ----------
    step, inputs, states, parameters, steps
        As for `KnownLoop`.
    reverse : bool
        Go through time backwards.
    broken : bool
        Whether sequences may have lengths.
    """

    def __init__(
        self,
        step: Step,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        steps: int | None,
        reverse: bool = False,
        broken: bool = False,
    ) -> None:
        super().__init__(step, inputs, states, parameters, steps, None, broken)
        self._reverse, self._lock = reverse, threading.Lock()
        self._keep([p._array for p in parameters.values()])

    def _keep(self, parameters: list[Any]) -> None:
        from minigrad.kernels.targets.runner import Runner  # Numba is loaded when it is needed

        self._time, self._threads = memory.latest_write, get_num_threads()
        self._parameters = parameters
        if self._program.broken:  # its target looks by itself whether the parameters have changed
            return
        sizes = self._steps or 1, self._count
        self._runner = Runner(self._program, parameters, *sizes, self._reverse)

    def take(
        self,
        step: Step,
        inputs: Sequence[Any],
        states: Sequence[Any],
        parameters: list[Any],
        rows: Rows | None = None,
    ) -> list[Any] | None:
        """Return arrays: the outputs, unless it is a single step, and the new states.

        Parameters
        ----------
        step : callable
            The one that the stream was made for.
        inputs, states, parameters : sequence of array
            Of the shapes and dtypes that the stream was made for.
        rows : Rows, optional
            Which rows take part in which step, as arrays; None if all do.

        Returns
        -------
        list of array or None
            None if another thread is using the stream right now, or the step has changed.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self.is_changed(step):
                return None
            if self._program.broken:
                return self._run_broken([*inputs, *states, *parameters], rows)
            if (
                self._time != memory.latest_write
                or self._threads != get_num_threads()
                or not all(map(is_, parameters, self._parameters))
            ):
                self._renew(parameters)
            take = self._runner.step if self._steps is None else self._runner.run
            return take(inputs, states)
        finally:
            self._lock.release()

    def _run_broken(self, arrays: Sequence[Any], rows: Rows | None) -> list[Any]:
        from minigrad.kernels.targets import numba_cpu

        results = planned.forward(numba_cpu, self._program, arrays, self._reverse, rows)
        return list(results[: 1 + len(self._program.states)])

    def _renew(self, parameters: list[Any]) -> None:
        """Pack the parameters again if they, or the number of threads, have changed."""
        time = memory.latest_write
        same = self._threads == get_num_threads() and all(map(is_, parameters, self._parameters))
        if same and not any(memory.written_after(p, self._time) for p in parameters):
            self._time = time
        else:
            self._keep(list(parameters))
