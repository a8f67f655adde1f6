"""Check the properties of a loop, and make each counter-example as small as can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from minigrad.checks import check_integer
from minigrad.errors import ArgumentError
from minigrad.kernels.certificate.case import Case, random_cases
from minigrad.kernels.certificate.compare import Violation
from minigrad.kernels.certificate.property import PROPERTIES, THE_STEP, Property, Skip
from minigrad.kernels.certificate.report import Certificate, Failure, Finding
from minigrad.kernels.certificate.run import refusal_of
from minigrad.kernels.certificate.subject import Subject, subject_of
from minigrad.random import seeded

_MOST_ATTEMPTS = 120  # to find a smaller counter-example


def certify(
    cell: Any,
    input_size: int | None = None,
    hidden_size: int | None = None,
    *,
    xs: Any = None,
    state: Any = None,
    params: Mapping[str, Any] | None = None,
    cases: int | Sequence[Case] = 20,
    seed: int = 0,
    **options: Any,
) -> Certificate:
    """Check on random values that the loop of a cell is right: forwards, backwards, compiled or not.

    It is checked that the loop computes what the step does on tensors, operation by operation; that
    gradients of inputs, initial states and parameters are those of differences and of the complex step;
    that outputs depend on no later input; that chunks of time with the state carried make the whole;
    that a row depends on no other row and on no padding; and that float32 computes what float64 does.
    All with and without lengths, mask, reset and reverse.

    Parameters
    ----------
    cell : CellFunction, Module or callable
        A cell with ``params``; or a recurrent layer, whose cell is taken with its sizes; or any step with
        examples of its arguments.
    input_size, hidden_size : int, optional
        Of a cell; small odd numbers by default.
    xs : Tensor or sequence of Tensor, optional
        Examples of inputs, shape (T, N, ...): their shapes without T and N are taken, and the range of
        their values.
    state : Tensor or sequence of Tensor, optional
        Examples of states, shape (N, ...), likewise.
    params : dict of Tensor, optional
        Examples of parameters, in their shapes.
    cases : int or sequence of Case
        How many cases to draw, or which ones to look at.
    seed : int
        Where the cases come from.
    **options : Any
        As for the ``params`` of the cell.

    Returns
    -------
    Certificate
        True if nothing is wrong. It prints as a report, with the smallest case that was found for what
        is wrong; ``certify(...).check()`` raises an error with it. That a loop is not compiled is said,
        but is not wrong.

    Raises
    ------
    ArgumentError
        If the arguments do not go together.
    TraceError
        If the step is none that a loop can have, for instance because it mixes rows.

    Examples
    --------
    >>> from minigrad.kernels import Case, certify
    >>> certify(nn.cells.mingru, 2, 3, cases=[Case(steps=2, rows=1)]).check()
    """
    with seeded(
        check_integer("certify", "seed", seed, low=0)
    ):  # a cell may draw what it begins with
        subject = subject_of(cell, (input_size, hidden_size), (xs, state, params), options)
    subject = replace(subject, refusal=refusal_of(subject))
    if isinstance(cases, Sequence):
        chosen = list(cases)
    else:
        count = check_integer("certify", "cases", cases, low=0)
        chosen = random_cases(count, seed)
    for case in chosen:
        if not isinstance(case, Case):
            raise ArgumentError(
                f"certify: cases must be a number or a list of minigrad.kernels.Case, not {case!r}"
            )
    findings: list[Finding] = []
    for checked in PROPERTIES:
        if checked.of_rules and any(f.name == THE_STEP.name and f.failure for f in findings):
            findings.append(Finding(checked.name, 0, 0.0, "the loop is not the step", None))
        else:
            findings.append(_find(checked, subject, chosen))
    return Certificate(subject, tuple(findings))


def _find(checked: Property, subject: Subject, cases: Sequence[Case]) -> Finding:
    largest, done, skipped = 0.0, 0, ""
    failure = None
    for case in cases:
        try:
            largest = max(largest, checked.check(subject, case))
        except Skip as reason:
            skipped = str(reason)
            continue
        except Exception as error:
            failure = _smallest(checked, Failure(subject, case, _told(error)))
            break
        done += 1
    return Finding(checked.name, done, largest, skipped, failure)


def _smallest(checked: Property, failure: Failure) -> Failure:
    """Go to a simpler case that fails, as long as there is one."""
    tried: set[tuple[str, Case]] = set()
    candidates = _simpler(failure)
    while len(tried) < _MOST_ATTEMPTS:
        subject, case = next(candidates, (None, None))
        if subject is None or case is None:
            break
        if (subject.written, case) in tried:
            continue
        tried.add((subject.written, case))
        try:
            checked.check(subject, case)
        except Skip:
            continue
        except Exception as error:
            failure = Failure(subject, case, _told(error))
            candidates = _simpler(failure)
    return failure


def _simpler(failure: Failure) -> Iterator[tuple[Subject, Case]]:
    """Yield simpler cases of the same sizes, then smaller sizes, which may have to be compiled."""
    return chain(
        ((failure.subject, case) for case in failure.case.smaller()),
        ((subject, failure.case) for subject in failure.subject.smaller()),
    )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
