"""The tables on a third array library, which has the array API standard and nothing else.

What runs here does not assume NumPy. A row of the tables that leaves the standard says why, in the
``strict`` of its domain; here that reason has to be true.
"""

import operator
from types import SimpleNamespace

import array_api_strict as standard
import hypothesis
import numpy
import pytest

import minigrad as mg
from minigrad import dtypes
from minigrad.backends import Backend, base, register
from minigrad.op import Domain, Op
from minigrad.testing.routes import call, is_array, is_differentiable, listed
from minigrad.testing.strategies import arguments

ROWS = [*mg.OPS.values(), *mg.COMPOSITES.values()]
PLAIN = [row for row in ROWS if row.domain.strict is None]
EXCUSED = [row for row in ROWS if row.domain.strict is not None]


class NotInStandardError(TypeError):
    """What was asked for is not in the array API standard."""


def no_index_arrays(key):
    if any(hasattr(part, "shape") for part in key):
        raise NotInStandardError("the standard has no assignment through index arrays")
    return key


def scatter_add(target, key, values):
    target[no_index_arrays(key)] += values
    return target


def scatter_set(target, key, values):
    target[no_index_arrays(key)] = values
    return target


def native(dtype):
    return getattr(standard, dtypes.as_dtype(dtype).name)


def to_numpy(array):
    return numpy.asarray(array)


class StrictBackend(Backend):
    def copy(self, array):
        return standard.asarray(array, copy=True)


STRICT = StrictBackend(
    name="strict",
    array_type=type(standard.asarray(0.0)),
    namespace=SimpleNamespace(
        **{name: getattr(standard, name) for name in standard.__all__},
        native=native,
        pick=operator.getitem,
        scatter_add=scatter_add,
        scatter_set=scatter_set,
    ),
    asarray=lambda data, dtype, index: standard.asarray(data, dtype=native(dtype), copy=True),
    to_numpy=to_numpy,
    device_of=lambda array: "cpu",
)


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """Register the strict library for one test, at the version of the standard that minigrad follows."""
    monkeypatch.setattr(base, "_loaded", dict(base._loaded))
    before = dict(base.by_type)
    register(STRICT)
    with standard.ArrayAPIStrictFlags(api_version="2024.12"):
        yield
    base.by_type.clear()
    base.by_type.update(before)


def on(backend, row, args, attrs):
    """Return the outputs of a row and the gradients of its arguments on a backend, as NumPy arrays."""
    with mg.use_backend(backend):
        given = [
            mg.tensor(a, requires_grad=is_differentiable(a)) if is_array(a) else a for a in args
        ]
        tracked = [t for t in given if is_array(t) and t.requires_grad]
        ys = listed(call(row, given, attrs))
        rng = numpy.random.default_rng(0)
        pairs = [(y, mg.tensor(rng.standard_normal(y.shape))) for y in ys if y.requires_grad]
        found = [None] * len(tracked)
        if pairs:
            ends, gs = [y for y, _ in pairs], [g for _, g in pairs]
            found = mg.grad(ends, tracked, gs, allow_unused=True)
        kind = base.backend_named(backend)
        for t in (*given, *ys, *found):
            assert not isinstance(t, mg.Tensor) or type(t._array) is kind.array_type
        return [kind.to_numpy(t._array) for t in (*ys, *found) if t is not None]


def assert_agrees(row, args, attrs):
    expected = on("numpy", row, args, attrs)
    found = on("strict", row, args, attrs)
    assert [a.dtype for a in found] == [a.dtype for a in expected]
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13, strict=True)


@pytest.mark.hypothesis
@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.name)
def test_values_and_gradients_are_those_of_numpy(row):
    @hypothesis.given(arguments(row))
    def run(case):
        assert_agrees(row, *case)

    run()


def leaves_the_standard(row, args, attrs):
    """Say whether these arguments need more than the standard has; if not, the results must agree."""
    try:
        on("strict", row, args, attrs)
    except Exception as error:
        causes = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        # not allowed, no such function, no such index, no such dtype object
        if isinstance(causes[-1], (NotInStandardError, AttributeError, IndexError, TypeError)):
            return True
        raise
    assert_agrees(row, args, attrs)
    return False


@pytest.mark.hypothesis
@pytest.mark.parametrize("row", EXCUSED, ids=lambda row: row.name)
def test_a_reason_not_to_stay_within_the_standard_is_true(row):
    left = []

    @hypothesis.given(arguments(row))
    def run(case):
        left.append(leaves_the_standard(row, *case))

    run()
    assert any(left), f"{row.name} stays within the standard: take the reason out of its domain"


# These rows may leave the standard. A new one needs a reason in its domain, and a place here.
MAY_LEAVE = {
    "assignment through index arrays": {
        "cross_entropy", "embedding", "gather", "getitem", "index_add", "index_set", "nll_loss",
        "pick_class", "put_along_axis", "put_class", "put_zeros", "scatter_add", "sort", "take",
        "take_along_axis", "topk", "written_last",
    },
    "einsum": {"contract", "einsum"},
    "devices": {"transfer"},
}  # fmt: skip


def test_no_other_row_leaves_the_standard():
    assert {row.name for row in EXCUSED} == set().union(*MAY_LEAVE.values())


def test_a_formula_that_leaves_the_standard_without_a_reason_is_caught():
    op = Op("cube root", lambda m, x: m.cbrt(x), None, domain=Domain(), elementwise=True)
    with pytest.raises(Exception, match="cbrt"):
        on("strict", op, (numpy.ones(2),), {})


DTYPES = [
    "bool",
    "float32",
    "float64",
    *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)),
]


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_of_the_strict_library_are_understood(name):
    assert dtypes.as_dtype(getattr(standard, name)) == numpy.dtype(name)
    with mg.use_backend("strict"):
        t = mg.tensor([0, 1], dtype=name)
    assert t.dtype == numpy.dtype(name)
    assert t._array.dtype == getattr(standard, name)


def test_second_derivatives_on_the_strict_library():
    with mg.use_backend("strict"):
        x = mg.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
        (first,) = mg.grad((mg.tanh(x) * x).sum(), x, create_graph=True)
        (second,) = mg.grad(first.sum(), x)
    t = numpy.tanh([0.5, 2.0])
    expected = 2 * (1 - t * t) * (1 - t * numpy.array([0.5, 2.0]))
    numpy.testing.assert_allclose(to_numpy(second._array), expected, rtol=1e-13)
