"""The names of the array API standard: which there are, and what those that are no op return."""

import inspect
import itertools
import re
from pathlib import Path

import array_api_strict as standard
import numpy as np
import pytest
from array_api_strict import linalg

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError, TraceError
from minigrad.kernels import scan
from minigrad.testing import gradcheck

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
DTYPES = [*"int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 bool".split()]
NEWER = {"isin", "broadcast_shapes"}  # of 2025.12
OF_THE_PACKAGE = {"ArrayAPIStrictFlags", "Device", "ModuleType"}  # and what sets its flags


def test_the_readme_says_which_names_are_not_offered():
    told = set(
        re.findall(r"`(\w+)`", re.search(r"^- Of the array API .*$", README, re.MULTILINE)[0])
    )
    wanted = {n for n in dir(standard) if n[0] != "_" and not n.endswith("array_api_strict_flags")}
    missing = {n for n in wanted - NEWER - OF_THE_PACKAGE if not hasattr(mg, n)}
    missing |= {n for n in linalg.__all__ if not hasattr(mg, n)}
    missing |= {n for n in ("fft", "linalg") if not hasattr(mg, n)}
    missing |= {n for n in ("__array_namespace__",) if not hasattr(mg.Tensor, n)}
    assert missing | {"copy", "device", "astype", "from_dlpack"} == told


def test_functions_take_the_arguments_of_the_standard():
    def arguments(function):
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        found = inspect.signature(function).parameters.values()
        return {p.name for p in found if p.kind in kinds}

    shared = [
        n for n in standard.__all__ if inspect.isfunction(getattr(standard, n)) and hasattr(mg, n)
    ]
    assert len(shared) > 120
    missing = {
        (name, argument)
        for name in shared
        for argument in arguments(getattr(standard, name))
        - set(inspect.signature(getattr(mg, name)).parameters)
    }
    assert missing == {
        ("asarray", "copy"), ("astype", "copy"), ("from_dlpack", "copy"), ("reshape", "copy"),
        ("astype", "device"), ("from_dlpack", "device"),
    }  # fmt: skip


def test_constants_are_those_of_numpy():
    assert (mg.pi, mg.e, mg.inf) == (np.pi, np.e, np.inf)
    assert mg.nan != mg.nan
    assert mg.ones(3)[mg.newaxis].shape == (1, 3)
    assert mg.bool is mg.bool_
    assert mg.pow is mg.power


# dtypes


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_limits_of_floats_are_those_of_numpy(dtype):
    found, expected = mg.finfo(dtype), np.finfo(dtype)
    for name in ("bits", "eps", "max", "min", "smallest_normal", "dtype"):
        assert getattr(found, name) == getattr(expected, name)
    assert {type(x) for x in found[1:5]} == {float}
    assert mg.finfo(mg.ones(2, dtype=dtype)) == found
    with pytest.raises(DtypeError, match=f"iinfo: {dtype} holds no integers; use finfo"):
        mg.iinfo(dtype)


def test_limits_of_bfloat16():
    found = mg.finfo("bfloat16")
    assert (found.bits, found.eps, found.smallest_normal) == (16, 2**-7, 2**-126)
    assert found.max == -found.min == (2 - 2**-7) * 2.0**127


@pytest.mark.parametrize("dtype", DTYPES[:8])
def test_limits_of_integers_are_those_of_numpy(dtype):
    found, expected = mg.iinfo(getattr(mg, dtype)), np.iinfo(dtype)
    assert found == (expected.bits, expected.max, expected.min, np.dtype(dtype))
    with pytest.raises(DtypeError, match=f"finfo: {dtype} holds no floating-point"):
        mg.finfo(dtype)


KINDS = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "numeric",
         "complex floating", ("bool", "real floating"), (), "float32", ("int8", "integral")]  # fmt: skip


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_kinds_are_those_of_numpy(dtype):
    for kind in KINDS:
        theirs = tuple(
            k if " " in k or k in KINDS[:7] else np.dtype(k) for k in np.atleast_1d(kind)
        )
        assert mg.isdtype(dtype, kind) == (bool(theirs) and np.isdtype(np.dtype(dtype), theirs))
    assert mg.isdtype("bfloat16", "real floating")
    with pytest.raises(DtypeError, match=r"isdtype: there is no kind 'integer'.*'signed integer'"):
        mg.isdtype(dtype, "integer")


def test_result_types_are_those_of_the_ops():
    for a, b in itertools.product([*DTYPES, "float16", "bfloat16"], repeat=2):
        x, y = mg.ones(2, dtype=a), mg.ones(3, dtype=b)
        expected = (x[0] * y).dtype
        assert mg.result_type(a, b) == mg.result_type(x, y) == mg.result_type(x, b) == expected
        assert mg.can_cast(a, b) == mg.can_cast(x, b) == (expected == y.dtype)
        for number in (True, 2, 2.5):
            assert mg.result_type(x, number) == mg.result_type(number, a) == (x * number).dtype
    for a, b in itertools.product(DTYPES, repeat=2):
        if a.strip("u")[0] == b.strip("u")[0]:
            assert mg.can_cast(a, b) == standard.can_cast(
                getattr(standard, a), getattr(standard, b)
            )
    assert mg.result_type(1, 2.5) == mg.float32
    with pytest.raises(ArgumentError, match="give at least one"):
        mg.result_type()


# reductions in a dtype

REDUCTIONS = {
    mg.sum: np.sum, mg.prod: np.prod,
    mg.cumulative_sum: np.cumulative_sum, mg.cumulative_prod: np.cumulative_prod,
}  # fmt: skip


@pytest.mark.parametrize("ours", REDUCTIONS, ids=lambda f: f.__name__)
def test_reductions_in_a_dtype_are_those_of_numpy(ours):
    for given, wanted in itertools.product(DTYPES, [*DTYPES[:-1], None]):
        x = np.array([[1, 0, 1], [1, 1, 1]], dtype=given)
        expected = REDUCTIONS[ours](x, axis=1, dtype=wanted)
        found = ours(mg.tensor(x), axis=1, dtype=wanted).numpy()
        if wanted is None and given in ("int8", "int16", "int32", "bool"):
            expected = expected.astype("int64")
        np.testing.assert_array_equal(found, expected, strict=True)
    method = getattr(mg.Tensor, ours.__name__, None)
    if method is not None:
        assert method(mg.ones(3), dtype="int16").dtype == mg.int16


@pytest.mark.parametrize("ours", REDUCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_is_left_by_a_dtype_and_rounded_once(ours, half):
    fine = 1 + 2.0**-6 * np.arange(3)
    x = mg.tensor(fine, dtype=half, requires_grad=True)
    wide = ours(x, axis=0, dtype="float32")
    expected = REDUCTIONS[ours](x.detach().astype("float32").numpy(), axis=0)
    assert wide.dtype == mg.float32
    np.testing.assert_allclose(wide.detach().numpy(), expected, rtol=1e-6)
    (g,) = mg.grad(wide.sum(), x)
    assert g.dtype == x.dtype
    narrow = ours(x.astype("float32"), axis=0, dtype=half)
    np.testing.assert_array_equal(
        narrow.astype("float32").detach().numpy(),
        mg.tensor(expected, dtype=half).astype("float32").numpy(),
    )


@pytest.mark.parametrize("ours", REDUCTIONS, ids=lambda f: f.__name__)
def test_gradients_go_through_a_dtype(ours):
    x = mg.tensor([[2.0, 0.0, 3.0]], dtype="float64", requires_grad=True)
    gradcheck(lambda x: ours(x, axis=1, dtype="float64"), x)
    assert not ours(x, axis=1, dtype="int64").requires_grad
    with pytest.raises(DtypeError, match="float31"):
        ours(x, axis=1, dtype="float31")


# shapes that depend on values

SAMPLES = [
    np.array([[3, 1, 3], [0, 1, 2]]), np.zeros((0, 2)), np.array([True, False, True]),
    np.array([0.5, np.nan, -0.0, 0.0, np.nan]), np.arange(0), np.array([[5.0]]),
]  # fmt: skip


@pytest.mark.parametrize("x", SAMPLES, ids=str)
@pytest.mark.parametrize("name", ["nonzero", "unique_all", "unique_counts", "unique_inverse"])
def test_positions_and_sets_are_those_of_numpy(name, x):
    expected = getattr(np, name)(x)
    for given in (x, mg.tensor(x, dtype=x.dtype)):
        found = getattr(mg, name)(given)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b, strict=True)
        assert getattr(found, "_fields", None) == getattr(expected, "_fields", None)


@pytest.mark.parametrize("x", SAMPLES, ids=str)
def test_different_values_are_in_order(x):
    np.testing.assert_array_equal(mg.unique_values(x).numpy(), np.unique(x, equal_nan=False))


def test_half_precision_and_tracked_tensors_have_sets():
    x = mg.tensor([2.0, 1.0, 2.0], dtype="bfloat16", requires_grad=True)
    assert mg.unique_values(x).tolist() == [1.0, 2.0]
    assert not mg.unique_values(x).requires_grad
    assert mg.nonzero(x)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "name", "nonzero unique_all unique_counts unique_inverse unique_values".split()
)
def test_shapes_that_depend_on_values_are_refused_in_a_step(name):
    x, h = mg.ones((2, 3)), mg.ones(3)
    with pytest.raises(TraceError, match=rf"{name} in a traced step, at .*\n  how many elements"):
        scan(lambda x, h: h + getattr(mg, name)(x)[0].shape[0], x, h)
    with pytest.raises(
        TypeError, match=f"{name}: x must be a tensor or an array, not .*convert it"
    ):
        getattr(mg, name)([1.0])


# searching, grids, shifts


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "x", [[], [2.0], [1.0, 2.0, 2.0, 3.0], [-np.inf, 0.0, np.nan, np.nan]], ids=str
)
def test_searched_positions_are_those_of_numpy(x, side):
    values = np.array([[0.0, 2.0, np.nan], [2.5, -np.inf, np.inf]])
    found = mg.searchsorted(mg.tensor(x, dtype="float64"), mg.tensor(values), side=side)
    expected = np.searchsorted(np.array(x, dtype=float), values, side=side)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    shuffled = np.random.default_rng(0).permutation(len(x))
    x = np.array(x, dtype=float)[shuffled]
    found = mg.searchsorted(mg.tensor(x), values, sorter=mg.argsort(mg.tensor(x)), side=side)
    np.testing.assert_array_equal(found.numpy(), expected)
    assert mg.searchsorted(mg.tensor([1, 2]), 1.5).item() == 1  # integers and a fraction


@pytest.mark.parametrize("x", [[2.0, 1.0], [np.nan, 1.0], [1, 0, 1]])
def test_a_search_among_unsorted_numbers_is_refused(x):
    with pytest.raises(ArgumentError, match=r"searchsorted\(.*not in ascending order"):
        mg.searchsorted(mg.tensor(x), 1.0)
    with pytest.raises(ArgumentError, match="side must be 'left' or 'right', not 'middle'"):
        mg.searchsorted(mg.tensor([1.0]), 1.0, side="middle")


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_grids_are_those_of_numpy(indexing):
    for sizes in ((), (2,), (3, 2), (2, 3, 4), (0, 2), (1, 1, 1, 2)):
        axes = [np.arange(n) for n in sizes]
        found = mg.meshgrid(*map(mg.tensor, axes), indexing=indexing)
        for a, b in zip(found, np.meshgrid(*axes, indexing=indexing), strict=True):
            np.testing.assert_array_equal(a.numpy(), b)
    with pytest.raises(ShapeError, match="along one axis"):
        mg.meshgrid(mg.ones((2, 2)))


def test_orders_take_the_flag_of_the_standard():
    x = mg.tensor([2.0, 1.0, 2.0])
    for stable in (True, False):
        assert mg.argsort(x, descending=True, stable=stable).tolist() == [0, 2, 1]
        assert mg.sort(x, stable=stable).tolist() == [1.0, 2.0, 2.0]
    with pytest.raises(ArgumentError, match="stable must be True or False"):
        mg.sort(x, stable="mergesort")


def test_differences_take_what_is_put_at_the_ends():
    x = np.array([[1.0, 4.0, 9.0], [0.0, 2.0, 2.0]])
    for n in range(5):
        expected = np.diff(x, n=n, axis=1, prepend=x[:, :1], append=x[:, :2])
        found = mg.diff(mg.tensor(x), n=n, axis=1, prepend=mg.tensor(x[:, :1]), append=x[:, :2])
        np.testing.assert_array_equal(found.numpy(), expected)
        assert isinstance(mg.diff(x, n=n), mg.Tensor)


def test_bits_are_shifted_as_in_numpy():
    a, b = np.array([1, -8, 127, 0], dtype="int8"), np.array([0, 1, 7, 9], dtype="int8")
    x, y = mg.tensor(a), mg.tensor(b)
    for ours, theirs in (
        (x << y, a << b),
        (x >> y, a >> b),
        (3 << y, np.int8(3) << b),
        (100 >> y, np.int8(100) >> b),
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs, strict=True)
    with pytest.raises(ArgumentError, match="a number of places is negative; shift the other way"):
        x << -1
    with pytest.raises(DtypeError):
        mg.ones(2) >> 1


def test_neighbours_of_half_precision_are_its_own():
    for half, eps in (("float16", 2**-10), ("bfloat16", 2**-7)):
        assert mg.nextafter(mg.ones(1, dtype=half), 2.0).astype("float64").item() == 1 + eps


def test_an_empty_tensor_holds_zeros():
    assert mg.empty((2, 1), dtype="int8").tolist() == [[0], [0]]
    assert mg.empty_like(mg.ones(2)).tolist() == [0, 0]
    assert mg.empty(2, requires_grad=True).requires_grad


# jacobians


def test_a_jacobian_is_that_of_differences():
    def function(x, y):
        return mg.tanh(x @ y), {"unused": 0} and (x[0] * y[1, :1], [mg.sum(x * x)])

    rng = np.random.default_rng(0)
    x, y = mg.tensor(rng.normal(size=(2, 3))), mg.tensor(rng.normal(size=(3, 2)))
    first, (second, (third,)) = mg.jacobian(function, argnums=(0, 1))(x, y)
    flat = lambda out: np.concatenate(
        [p.numpy().ravel() for p in (out[0], out[1][0], out[1][1][0])]
    )
    for n, given in enumerate((x, y)):
        found = np.concatenate(
            [part[n].numpy().reshape(-1, given.size) for part in (first, second, third)]
        )
        for i in range(given.size):
            step = np.zeros(given.size)
            step[i] = 1e-6
            moved = [given + mg.tensor(s * step.reshape(given.shape)) for s in (1, -1)]
            up, down = (flat(function(*((m, y) if n == 0 else (x, m)))) for m in moved)
            np.testing.assert_allclose(found[:, i], (up - down) / 2e-6, atol=1e-8)
        assert first[n].shape == (2, 2, *given.shape)
        assert third[n].shape == given.shape


def test_a_hessian_is_symmetric_and_exact():
    a, b = mg.tensor([1.0, 2.0], dtype="float64"), mg.tensor([3.0], dtype="float64")
    ((aa, ab), (ba, bb)) = mg.hessian(lambda a, b: mg.sum(a**2 * b) + b[0] ** 3, (0, 1))(a, b)
    np.testing.assert_array_equal(aa.numpy(), [[6, 0], [0, 6]])
    np.testing.assert_array_equal(ab.numpy(), [[2], [4]])
    np.testing.assert_array_equal(ba.numpy(), ab.numpy().T)
    np.testing.assert_array_equal(bb.numpy(), [[18]])
    line = mg.hessian(lambda a: 3 * mg.sum(a))(a)  # its slope depends on nothing
    np.testing.assert_array_equal(line.numpy(), np.zeros((2, 2)))


def test_jacobians_are_differentiated_further_and_of_nothing_are_empty():
    x = mg.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    (g,) = mg.grad(mg.sum(mg.jacobian(lambda x: x**3)(x)), x)
    np.testing.assert_allclose(g.numpy(), [6, 12])
    assert not mg.jacobian(lambda x: x**3)(x.detach()).requires_grad
    assert mg.jacobian(lambda x: x[:0])(x).shape == (0, 2)
    assert mg.jacobian(lambda x, y, scale: scale * y, -2)(x, x, scale=2.0).tolist() == [
        [2, 0],
        [0, 2],
    ]


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2), 2, -3, (0, 5)])
@pytest.mark.parametrize("name", ["jacobian", "hessian", "value_and_grad"])
def test_arguments_that_are_not_there_or_named_twice_are_refused(name, argnums):
    derivative = getattr(mg, name)(lambda x, y: mg.sum(x * y), argnums)
    with pytest.raises(ArgumentError, match=rf"{name}: argnums .* the 2 positional arguments"):
        derivative(mg.ones(2), mg.ones(2))


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_an_argument_in_the_place_of_its_number_is_refused(name):
    with pytest.raises(ArgumentError, match=rf"write minigrad\.{name}\(function\)\(x\)"):
        getattr(mg, name)(mg.sum, mg.ones(2))


def test_an_output_may_be_left_out_of_a_pull_back():
    _, pull_back = mg.vjp(lambda x: (x * x, 3 * x), mg.tensor([1.0, 2.0]))
    assert pull_back(None, mg.ones(2))[0].tolist() == [3, 3]
    assert pull_back(mg.ones(2), None)[0].tolist() == [2, 4]
    assert pull_back(None, None)[0].tolist() == [0, 0]
    with pytest.raises(mg.errors.GradientError, match="2 outputs but 1 cotangents"):
        pull_back(None)


def test_what_has_no_jacobian_is_refused():
    with pytest.raises(mg.errors.GradientError, match="jacobian: an output has dtype bool"):
        mg.jacobian(lambda x: x > 0)(mg.ones(2))
    with pytest.raises(TypeError, match="must be a tensor"):
        mg.jacobian(lambda x: 1.0)(mg.ones(2))
