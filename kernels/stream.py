"""Runs of a compiled cell over arguments like those of before, as fast as they can be begun."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any

import numpy

from minigrad import memory
from minigrad.dtypes import get_default_dtype
from minigrad.kernels.cell import Step
from minigrad.kernels.compile import program_of
from minigrad.kernels.normalize import Refusal
from minigrad.kernels.rows import Rows
from minigrad.kernels.scan import traced_step
from minigrad.kernels.surroundings import surroundings_of
from minigrad.kernels.targets import planned
from minigrad.kernels.trace import name_of
from minigrad.tensor import Tensor
from minigrad.threads import get_num_threads


def side_by_side(outputs: Sequence[Any]) -> Any:
    """Return arrays joined along their last axis."""
    from minigrad.kernels.targets.runner import joined_rows

    return joined_rows(outputs)


class KnownLoop:
    """A loop over arguments of certain shapes and dtypes, whose step must not change unseen.

    Parameters
    ----------
    step : callable
        As for `scan`.
    inputs : sequence of Tensor
        Shape (T, N, width), or (N, width) of a single step: ``steps`` is None then.
    states : sequence of Tensor
        Shape (N, width).
    parameters : dict of Tensor
    steps : int, optional
    wanted : sequence of int, optional
        The arguments whose cotangents are wanted, beside the states; None for no backward pass.
    broken : bool
        Whether sequences may have lengths.

    Raises
    ------
    Refusal
        If the loop cannot be compiled, begins with something that it cannot do itself, or its step may
        change unseen.
    """

    def __init__(
        self,
        step: Step,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Mapping[str, Tensor],
        steps: int | None,
        wanted: Sequence[int] | None,
        broken: bool,
    ) -> None:
        if inputs[0].device != "cpu":
            raise Refusal("its arrays are not on the CPU")
        first = 0 if steps is None else 1
        xs = [(t.shape[first:], t.dtype) for t in inputs]
        ss = [(t.shape, t.dtype) for t in states]
        specs = {name: (p.shape, p.dtype) for name, p in parameters.items()}
        self.where = f"scan of step {name_of(step)!r}"  # what messages begin with
        self._surroundings = surroundings_of(step)
        if self._surroundings is None:
            raise Refusal("its step may change unseen")
        self._dtype = get_default_dtype()
        self._program = program_of(step, traced_step(step, xs, ss, specs), wanted, broken)
        if self._program.before or 0 in (steps, states[0].shape[0]):
            raise Refusal("something is computed before the loop, or nothing at all")
        self._steps, self._count = steps, states[0].shape[0]

    def is_changed(self, step: Step) -> bool:
        """Say whether a trace of the step would differ. What reads nothing from outside is the same."""
        if self._dtype is not get_default_dtype():
            return True
        return self._surroundings != () and surroundings_of(step) != self._surroundings


class Lesson(KnownLoop):
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
        from minigrad.kernels.targets import numba_cpu, trainer  # Numba is loaded when it is needed

        self._target, self._reverse = numba_cpu, reverse
        if not broken:
            self._trainer = trainer.Trainer(self._program, steps, count, reverse)

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
            Of the shapes and dtypes that the lesson was made for.
        rows : Rows, optional
            Which rows take part in which step, as arrays; None if all do.
        """
        if not self._program.broken:
            return self._trainer.forward(inputs, states, parameters)
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
            return self._trainer.backward(inputs, parameters, kept, cotangents[0], cotangents[1:])
        results = (None, *states, kept)
        given = [cotangents[0]]
        given += [
            numpy.zeros_like(s) if c is None else c
            for c, s in zip(cotangents[1:], states, strict=True)
        ]
        arrays = (*inputs, *states, *parameters)
        found = planned.adjoint(
            self._target, self._program, arrays, results, given, self._reverse, rows
        )
        first, last = len(inputs), len(inputs) + len(states)
        starts = [found.pop(i) for i in range(first, last)]
        return found, starts


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
