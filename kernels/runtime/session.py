"""An inference session: a compiled loop that no gradient flows through, with its weights packed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any

from minigrad import memory
from minigrad.kernels.cell import Step
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.runtime.known_loop import KnownLoop
from minigrad.kernels.runtime.rows import Rows
from minigrad.tensor import Tensor
from minigrad.threads import get_num_threads

if TYPE_CHECKING:
    from minigrad.kernels.targets.runner import Runner


def kind_of(array: Any) -> tuple[Any, ...]:
    """Return what a compiled loop needs to know of an array: its type, its shape and its dtype."""
    return type(array), array.shape, array.dtype


def side_by_side(outputs: Sequence[Any]) -> Any:
    """Return arrays joined along their last axis."""
    from minigrad.kernels.targets.runner import joined_rows

    return joined_rows(outputs)


class Stream(KnownLoop):
    """A loop that no gradient flows through, with packed weights and bound arguments.

    Parameters
    ----------
    step, inputs, states, parameters, steps
        As for `KnownLoop`.
    reverse : bool
        Go through time backwards.
    broken : bool
        Whether sequences may have lengths or a mask.
    on_change : callable
        Called when the parameters, or the number of threads, turn out to be new.
    """

    def __init__(
        self,
        step: Step,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        steps: int | None,
        reverse: bool,
        broken: bool,
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(step, inputs, states, parameters, steps, None, broken, reverse)
        if self.executable.program.before:
            raise Refusal("something is computed before the loop")
        self._reverse, self._lock, self._on_change = reverse, threading.Lock(), on_change
        self._parameters = [p._array for p in parameters.values()]
        self._kinds = [kind_of(p) for p in self._parameters]
        self._runner: Runner | None = None  # packs the parameters, and is made when it is needed
        self._time = self._threads = 0  # nothing was ever packed

    def release(self) -> None:
        """Let go what was packed before the last write, unless another thread is using it right now."""
        if self._time < memory.latest_write and self._lock.acquire(blocking=False):
            self._runner = None
            self._lock.release()

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
            None if another thread is using the stream right now, the step has changed, or the parameters
            are of other kinds.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            is_same = all(map(is_, parameters, self._parameters))
            if self.is_changed(step) or not (is_same or self._are_alike(parameters)):
                return None
            if (
                self.executable.program.broken
            ):  # its target looks by itself whether the parameters have changed
                results = self.executable.forward([*inputs, *states, *parameters], rows)
                return list(results[: 1 + len(states)])
            runner = self._runner
            if runner is None or not is_same or self._is_stale():
                runner = self._renewed(parameters, is_same)
            take = runner.step if self._steps is None else runner.run
            return take(inputs, states)
        finally:
            self._lock.release()

    def _are_alike(self, parameters: Sequence[Any]) -> bool:
        return [kind_of(p) for p in parameters] == self._kinds

    def _is_stale(self) -> bool:
        return self._time != memory.latest_write or self._threads != get_num_threads()

    def _renewed(self, parameters: Sequence[Any], is_same: bool) -> Runner:
        """Return what runs the loop; pack the parameters again if they have changed."""
        from minigrad.kernels.targets.runner import Runner  # Numba is loaded when it is needed

        time, threads, runner = memory.latest_write, get_num_threads(), self._runner
        written = (memory.written_after(p, self._time) for p in parameters)
        if not is_same or self._threads != threads or any(written):
            self._on_change()
            runner = None
        if runner is None:
            sizes = self._steps or 1, self._count
            runner = self._runner = Runner(
                self.executable.program, parameters, *sizes, self._reverse
            )
        self._parameters, self._time, self._threads = list(parameters), time, threads
        return runner
