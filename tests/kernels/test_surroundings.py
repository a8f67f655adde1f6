"""What a trace depends on: it changes if something that the step reads changes, and not otherwise."""

import functools

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import CellFunction, cell
from minigrad.kernels.frontend.guards import surroundings_of, why_unknown
from minigrad.nn import cells

SCALE = 1.0


def helper(x, by=1.0):
    return x * by * SCALE


def plain(x, h):
    return h + x


def by_global(x, h):
    return h + x * SCALE


def by_helper(x, h):
    return h + helper(x)


def by_comprehension(x, h):
    return h + sum([v * SCALE for v in (x, x)])


def by_generator(x, h):
    return h + sum(helper(v) for v in (x, x))


def by_inner_function(x, h):
    def inner(v):
        return sum(map(lambda u: u * SCALE, (v, v)))  # noqa: C417

    return h + inner(x)


def recursive(x, h, depth=0):
    return h if depth == 2 else recursive(x, h + x * SCALE, depth + 1)


def without_scale(x, h):
    return h + mg.tanh(x) * sum(v for v in (1, 2))


READING = [by_global, by_helper, by_comprehension, by_generator, by_inner_function, recursive]


def by_gates(x, h, *, W):
    return h + helper(W(x))


@pytest.mark.parametrize(
    "of",
    [
        *READING,
        cell(state="h")(by_helper),
        cell(state="h")(by_generator),
        cell(state="h", gates=1)(by_gates),
    ],
)
def test_a_number_that_is_read_is_seen(of, monkeypatch):
    before = surroundings_of(of)
    assert before is not None
    assert surroundings_of(of) == before
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert surroundings_of(of) != before


@pytest.mark.parametrize("step", [plain, without_scale, cells.lstm])
def test_a_number_that_is_not_read_is_not(step, monkeypatch):
    before = surroundings_of(step)
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert surroundings_of(step) == before is not None


def test_closures_defaults_and_attributes_are_seen():
    factor = 1.0

    def step(x, h, *, by=1.0):
        return h + sum(x * factor * by * step.much for _ in range(2))

    step.much = 1.0
    seen = [surroundings_of(step)]
    factor = 2.0
    seen.append(surroundings_of(step))
    step.__kwdefaults__["by"] = 2.0
    seen.append(surroundings_of(step))
    step.much = 2.0
    seen.append(surroundings_of(step))
    assert len(set(seen)) == 4
    assert None not in seen


def by_default(x, h, *, by=1.0, depth=2):
    return h + sum(x * by * SCALE for _ in range(depth))


def other(x, h, *, by=1.0, depth=2):
    return h * by * SCALE * depth


def test_what_is_remembered_of_a_function_of_a_module_is_looked_at_again(monkeypatch):
    """Such a function is walked through only if one of these has changed."""
    seen = [surroundings_of(by_default)]
    assert surroundings_of(by_default) == seen[0] is not None
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    seen.append(surroundings_of(by_default))
    monkeypatch.setitem(globals(), "range", lambda depth: ())  # hides the one of Python
    seen.append(surroundings_of(by_default))
    monkeypatch.delitem(globals(), "range")
    monkeypatch.setitem(by_default.__kwdefaults__, "by", 2.0)
    seen.append(surroundings_of(by_default))
    monkeypatch.setitem(by_default.__kwdefaults__, "more", 2.0)
    seen.append(surroundings_of(by_default))
    monkeypatch.setattr(by_default, "__code__", other.__code__)
    seen.append(surroundings_of(by_default))
    monkeypatch.setattr(by_default, "note", 1, raising=False)
    seen.append(surroundings_of(by_default))
    monkeypatch.setitem(globals(), "SCALE", [2.0])
    assert surroundings_of(by_default) is None
    assert len(set(seen)) == len(seen)
    monkeypatch.undo()
    assert surroundings_of(by_default) == seen[0]


def reading(value):
    return lambda x, h: h + sum(x * value for _ in range(2))


def test_equal_numbers_of_other_kinds_differ():
    assert len({surroundings_of(reading(value)) for value in (1, 1.0, True, "1")}) == 4
    assert surroundings_of(reading(1)) == surroundings_of(reading(1))


@pytest.mark.parametrize(
    "value",
    [
        [1.0],
        {},
        object(),
        mg.tensor(1.0),
        pytest,
        dict,
        CellFunction,
        functools.partial(helper),
        cells.lstm.surroundings,
    ],
    ids=["list", "dict", "object", "tensor", "module", "type", "class", "partial", "method"],
)  # fmt: skip
def test_what_could_change_unseen_is_not_taken_for_known(value):
    step = reading(value)
    assert surroundings_of(step) is None
    assert surroundings_of(lambda x, h: step(x, h) + h) is None


def test_what_is_not_known_has_a_name():
    table, end = [1.0], "and changes in it are not seen"
    assert why_unknown(lambda x, h: h + table[0]) == f"table in <lambda> is a list, {end}"
    assert why_unknown(functools.partial(helper)) == f"it is a partial, {end}"
    assert why_unknown(by_helper) is None


@pytest.mark.parametrize("value", [mg, np, mg.tanh, mg.linear, len, "text", None])
def test_libraries_and_plain_values_are_known(value):
    assert surroundings_of(reading(value)) is not None
