"""A compiled loop that is specialised to shapes and dtypes, and the guards of its step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minigrad.dtypes import get_default_dtype
from minigrad.kernels.cell import Step
from minigrad.kernels.frontend.guards import surroundings_of
from minigrad.kernels.frontend.traces import traced_step
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.runtime.executable import executable_of
from minigrad.kernels.runtime.programs import program_of
from minigrad.kernels.targets.choice import target_for
from minigrad.tensor import Tensor


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
    reverse : bool
        Go through time backwards.

    Raises
    ------
    Refusal
        If the loop cannot be compiled, computes nothing, or its step may change unseen.
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
        reverse: bool,
    ) -> None:
        target = target_for([inputs[0].device])
        first = 0 if steps is None else 1
        xs = [(t.shape[first:], t.dtype) for t in inputs]
        ss = [(t.shape, t.dtype) for t in states]
        specs = {name: (p.shape, p.dtype) for name, p in parameters.items()}
        self._surroundings = surroundings_of(step)
        if self._surroundings is None:
            raise Refusal("its step may change unseen")
        self._dtype = get_default_dtype()
        program = program_of(step, traced_step(step, xs, ss, specs), wanted, broken)
        self.executable = executable_of(program, target, reverse)
        if 0 in (steps, states[0].shape[0]):
            raise Refusal("nothing is computed")
        self._steps, self._count = steps, states[0].shape[0]

    def is_changed(self, step: Step) -> bool:
        """Say whether a trace of the step would differ. What reads nothing from outside is the same."""
        if self._dtype is not get_default_dtype():
            return True
        return self._surroundings != () and surroundings_of(step) != self._surroundings
