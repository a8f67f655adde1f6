"""Run a loop on tensors, operation by operation: so it may branch on values, and be derived again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.backpropagation import backpropagate, node_key
from minigrad.creation import zeros
from minigrad.errors import AnomalyError
from minigrad.graph import ops
from minigrad.kernels.cell import Step
from minigrad.kernels.frontend.trace import name_of
from minigrad.kernels.runtime.rows import Rows
from minigrad.ops.shape import stack
from minigrad.tape import enable_grad
from minigrad.tensor import Tensor


def eager_loop(
    step: Step,
    names: Sequence[str],
    inputs: int,
    states: int,
    arguments: Sequence[Tensor],
    reverse: bool,
    rows: Rows | None,
) -> tuple[Tensor, ...]:
    """Return the outputs, (T, N, ...), and the final states.

    Parameters
    ----------
    step : callable
    names : sequence of str
        Of the parameters.
    inputs, states : int
        How many of the arguments these are.
    arguments : sequence of Tensor
        Inputs (T, N, ...), initial states and parameters.
    reverse : bool
    rows : Rows, optional
        Which rows take part in which step.
    """
    xs = list(zip(*(tuple(x) for x in arguments[:inputs]), strict=True))
    initial = tuple(arguments[inputs : inputs + states])
    parameters = dict(zip(names, arguments[inputs + states :], strict=True))

    def compute(given: Sequence[Tensor], before: Sequence[Tensor]) -> tuple[Tensor, ...]:
        result = step(*given, *before, **parameters)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    outputs: list[Tensor] = []
    current: Sequence[Tensor] = initial
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        try:
            if rows is None:
                current = compute(xs[t], current)
                output = current[0]
            else:
                output, current = rows.advance(ops, t, compute, xs[t], current, initial)
        except AnomalyError as error:
            raise AnomalyError(f"at time step {t} of step {name_of(step)!r}: {error}") from error
        outputs.append(output)
    if not outputs:
        first = current[0]
        return (zeros((0, *first.shape), dtype=first.dtype, device=first.device), *current)
    return (stack(outputs[::-1] if reverse else outputs), *current)


def replayed(
    run: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    arguments: Sequence[Tensor],
    wanted: Sequence[int],
    cotangents: Sequence[Any],
) -> tuple[Any, ...]:
    """Return cotangents of arguments, as tensors that can be differentiated again; None if not wanted.

    Parameters
    ----------
    run : callable
        Makes results of arguments, by operations that can be differentiated twice.
    arguments : sequence of Tensor
    wanted : sequence of int
        Numbers of arguments.
    cotangents : sequence of Tensor or None
        Of the results.
    """
    with enable_grad():
        # one node for each argument, also where the same tensor was given twice
        own = [t.clone() if i in wanted else t for i, t in enumerate(arguments)]
        results = run(own)
        pairs = [
            (r, c)
            for r, c in zip(results, cotangents, strict=False)
            if r.requires_grad and c is not None
        ]
        found = backpropagate(
            [r for r, _ in pairs],
            [c for _, c in pairs],
            wanted=[own[i] for i in wanted],
            retain_graph=True,
            create_graph=True,
            independent=True,
        )
    return tuple(found.get(node_key(t._node)) if i in wanted else None for i, t in enumerate(own))
