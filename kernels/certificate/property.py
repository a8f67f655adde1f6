"""The properties that a loop must have. Each is a function of a subject and a case.

It returns the largest difference between what should be the same (see `compare`). It raises `Violation`
where that is too large, and `Skip` where there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from minigrad.graph import DETACHED
from minigrad.kernels.certificate.case import Case
from minigrad.kernels.certificate.compare import Violation, compare, difference
from minigrad.kernels.certificate.run import (
    Values,
    graph_of,
    results_along_graph,
    results_in_chunks,
    results_of,
    values_of,
)
from minigrad.kernels.certificate.subject import Subject
from minigrad.testing import GradcheckError, KinkError, check_adjoint

_ROUNDING = 1e-9  # what another order of summation may make of float64 numbers
_CANCELLED = 1e-13  # what that leaves of numbers that cancel out
_SINGLE = float(numpy.finfo("float32").eps)
_SHOWN = 8  # elements of an argument whose derivative is looked at after a failure


class Skip(Exception):
    """A property cannot be checked in a case. The message says why."""


@dataclass(frozen=True)
class Property:
    """What a loop must hold to.

    Attributes
    ----------
    name : str
        For the report.
    check : callable
        ``check(subject, case)``, see above.
    of_rules : bool
        Whether it is about the rules of operations. It says nothing about them in a loop that does not
        compute what the step does.
    """

    name: str
    check: Callable[[Subject, Case], float]
    of_rules: bool = False


def _gradients(method: str) -> Callable[[Subject, Case], float]:
    """Return a check of ``<g, J v> = <adjoint(g), v>`` that finds ``J v`` in a way of gradcheck's."""

    def check(subject: Subject, case: Case) -> float:
        values = values_of(subject, case)
        if any(node.op is DETACHED for node in graph_of(subject, values).nodes):
            raise Skip("gradients end at detach()")
        if method == "complex":
            _refuse_what_is_not_analytic(subject, values)
        names = list(values.floats)

        def moved_to(arrays: Sequence[Any]) -> Values:
            return values.replaced(dict(zip(names, arrays, strict=True)))

        def forward(arrays: Sequence[Any]) -> tuple[Any, ...]:
            with numpy.errstate(all="ignore"):
                found = results_along_graph(subject, moved_to(arrays))
            return tuple(y if y.dtype.kind in "fc" else numpy.zeros(y.shape) for y in found)

        def pull_back(arrays: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
            found = results_of(subject, replace(moved_to(arrays), cotangents=cotangents))
            return tuple(found[f"gradient of {name}"] for name in names)

        try:
            return check_adjoint(
                subject.name, forward, pull_back, values.floats,
                methods=[method], seed=case.seed, most_elements=_SHOWN,
            )  # fmt: skip
        except GradcheckError as error:
            raise Violation(str(error).removeprefix("gradcheck of ")) from error
        except KinkError as error:
            raise Skip("all values lie on kinks") from error

    return check


def _refuse_what_is_not_analytic(subject: Subject, values: Values) -> None:
    rough = {
        node.op.name
        for node in graph_of(subject, values).nodes
        if not node.op.domain.sharp and any(o.dtype.kind == "f" for o in node.outputs)
    }
    if rough:
        raise Skip(f"not analytic: {', '.join(sorted(rough))}")


def _nearly(found: Mapping[str, Any], expected: Mapping[str, Any], here: str, there: str) -> float:
    """Compare float64 numbers that were added up in another order."""
    return compare(found, expected, _ROUNDING, here, there, _CANCELLED)


def _same_as_on_tensors(subject: Subject, case: Case) -> float:
    values = values_of(subject, case)
    expected = results_of(subject, values, compile="never")
    kept = _nearly(results_of(subject, values), expected, "in the loop", "on tensors")
    light = results_of(subject, values, gradients=False)
    without = "in the loop without gradients"
    return max(kept, _nearly(light, expected, without, "on tensors"))


def _causal(subject: Subject, case: Case) -> float:
    if case.steps < 2:
        raise Skip("one step only")
    values = values_of(subject, case)
    rng = numpy.random.default_rng(case.seed)
    cut = int(rng.integers(1, case.steps))
    early, late = slice(None, cut), slice(cut, None)
    if values.reverse:
        early, late = late, early
    cotangents = [numpy.zeros_like(g) for g in values.cotangents]
    cotangents[0][early] = values.cotangents[0][early]
    values = replace(values, cotangents=cotangents)
    changed = {name: array.copy() for name, array in values.inputs.items()}
    for name, array in changed.items():
        array[late] = subject.inputs[name].draw(rng, *array[late].shape[:2])
    before, after = results_of(subject, values), results_of(subject, values.replaced(changed))
    new, old = ({"outputs": found["outputs"][early]} for found in (after, before))
    compare(new, old, 0, "after a change of later inputs", "before")
    later = {name: before[name][late] for name in values.results_of_steps if name != "outputs"}
    nothing = {name: numpy.zeros_like(array) for name, array in later.items()}
    return compare(later, nothing, 0, "at a later step than the outputs", "due")


def _same_in_chunks(subject: Subject, case: Case) -> float:
    values = values_of(subject, case)
    # at a reset the state is the initial one, and that of a chunk is not that of the whole
    rows = {name: flags for name, flags in values.rows.items() if name != "reset"}
    values = replace(values, rows=rows)
    inner = numpy.arange(1, case.steps)
    picked = inner[numpy.random.default_rng(case.seed).random(inner.shape) < 0.5]
    found = results_in_chunks(subject, values, picked.tolist() or inner.tolist())
    whole = results_of(subject, values)
    if subject.refusal:  # the interpreter computes each step by itself, and only sums differ
        names = [*values.results_of_steps, *values.results_of_rows]
        compare({name: found[name] for name in names}, whole, 0, "in chunks", "at once")
    return _nearly(found, whole, "in chunks", "at once")


def _rows_apart(subject: Subject, case: Case) -> float:
    if not case.rows:
        raise Skip("no rows")
    values = values_of(subject, case)
    whole = results_of(subject, values)
    rng = numpy.random.default_rng(case.seed)
    row = int(rng.integers(case.rows))
    others = numpy.arange(case.rows) != row
    changed = {name: array.copy() for name, array in (values.inputs | values.states).items()}
    for name, array in changed.items():
        if name in values.inputs:
            array[:, others] = subject.inputs[name].draw(rng, case.steps, case.rows - 1)
        else:
            array[others] = subject.states[name].draw(rng, case.rows - 1)
    found = _of_row(results_of(subject, values.replaced(changed)), values, row)
    mine = _of_row(whole, values, row)
    compare(found, mine, 0, "after a change of other rows", "before")
    padded = {
        name: numpy.where(_over(values.present(), array), array, numpy.nan)
        for name, array in values.inputs.items()
        if name in values.floats
    }
    found = results_of(subject, values.replaced(padded))
    compare(found, whole, 0, "with NaN in the padding", "with numbers there")
    alone, length = _alone(values, row)
    found = _of_row(results_of(subject, alone), alone, 0)
    mine |= {name: mine[name][:length] for name in values.results_of_steps}
    return _nearly(found, mine, "alone", "in the batch")


def _of_row(found: dict[str, Any], values: Values, row: int) -> dict[str, Any]:
    """Return those results that belong to one row."""
    of_steps = {name: found[name][:, row] for name in values.results_of_steps}
    return of_steps | {name: found[name][row] for name in values.results_of_rows}


def _over(flags: Any, array: Any) -> Any:
    """Return flags of shape (T, N) in a shape that goes with (T, N, ...)."""
    return flags.reshape(flags.shape + (1,) * (array.ndim - 2))


def _alone(values: Values, row: int) -> tuple[Values, int]:
    """Return one row without the others and without what stands behind its length, and that length."""
    length = int(values.rows["lengths"][row]) if "lengths" in values.rows else values.steps
    part, one = (slice(length), slice(row, row + 1)), slice(row, row + 1)
    first, *finals = values.cotangents
    alone = Values(
        inputs={name: array[part] for name, array in values.inputs.items()},
        states={name: array[one] for name, array in values.states.items()},
        parameters=values.parameters,
        rows={name: flags[part] for name, flags in values.rows.items() if name != "lengths"},
        reverse=values.reverse,
        cotangents=[first[part], *(g[one] for g in finals)],
    )
    return alone, length


def _single_precision(subject: Subject, case: Case) -> float:
    """Compare with float64; values that are rounded otherwise say how much may differ."""
    values = values_of(subject, case)
    rounded = {n: a.astype("float32").astype("float64") for n, a in values.floats.items()}
    rng = numpy.random.default_rng(case.seed)
    noisy = {n: a * (1 + rng.uniform(-_SINGLE, _SINGLE, a.shape)) for n, a in rounded.items()}
    found = results_of(subject, values.replaced(rounded), dtype="float32")
    exact = results_of(subject, values.replaced(rounded))
    near = results_of(subject, values.replaced(noisy))
    where = "in float32", "in float64"
    largest = 0.0
    for name, expected in exact.items():
        if found[name].dtype == "float64":
            raise Violation(f"{name} is of dtype float64 in a loop of float32")
        spread = min(max(_SINGLE, difference(near[name], expected)), 1.0)
        part = {name: found[name]}
        largest = max(largest, compare(part, exact, 64 * spread, *where, 64 * _SINGLE))
    return largest


THE_STEP = Property("the loop is the step, run on tensors", _same_as_on_tensors)
PROPERTIES = (
    THE_STEP,
    Property("gradients are those of differences", _gradients("differences"), of_rules=True),
    Property("gradients are those of the complex step", _gradients("complex"), of_rules=True),
    Property("outputs depend on no later input", _causal),
    Property("chunks of time make the whole", _same_in_chunks),
    Property("rows and padding do not matter", _rows_apart),
    Property("float32 is float64, rounded", _single_precision),
)
