"""Element types: the default, promotion as in NumPy 2, and what cannot carry a gradient."""

import itertools
import operator
import sys

import numpy
import pytest

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import DtypeError, GradientError

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ALL = (*FLOATS, *INTEGERS, "bool")

ARITHMETIC = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow,
)  # fmt: skip
COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
BITWISE = (operator.and_, operator.or_, operator.xor)


def named(function):
    return function.__name__


@pytest.fixture
def float64_by_default():
    mg.set_default_dtype("float64")
    yield
    mg.set_default_dtype("float32")


# the default


def test_python_floats_become_float32_and_arrays_keep_their_dtype():
    assert mg.tensor(1.0).dtype == mg.float32
    assert mg.tensor([1.0, 2]).dtype == mg.float32
    assert mg.tensor(numpy.array([1.0])).dtype == mg.float64
    assert mg.tensor(numpy.float64(1.0)).dtype == mg.float64
    assert mg.tensor(1).dtype == mg.int64
    assert mg.tensor(True).dtype == mg.bool_
    assert mg.tensor([True, 2]).dtype == mg.int64
    assert (
        mg.zeros(2).dtype == mg.ones(2).dtype == mg.rand(2).dtype == mg.randn(2).dtype == mg.float32
    )
    assert mg.linspace(0, 1, 3).dtype == mg.eye(2).dtype == mg.arange(0.5, 2).dtype == mg.float32
    assert mg.arange(3).dtype == mg.randint(0, 3).dtype == mg.int64


def test_the_default_can_be_float64(float64_by_default):
    assert mg.tensor(1.0).dtype == mg.float64
    assert mg.zeros(2).dtype == mg.randn(2).dtype == mg.arange(0.5, 2).dtype == mg.float64
    assert dtypes.as_dtype(float) == mg.float64


@pytest.mark.parametrize("wrong", ["float16", "int32", "bfloat16"])
def test_no_other_default(wrong):
    with pytest.raises(DtypeError, match="the default dtype must be float32 or float64"):
        mg.set_default_dtype(wrong)


# names


@pytest.mark.parametrize("name", ALL)
def test_a_dtype_has_many_spellings(name):
    expected = numpy.dtype(name)
    assert dtypes.as_dtype(name) == expected
    assert dtypes.as_dtype(expected.type) == expected
    assert dtypes.as_dtype(expected.newbyteorder()) == expected
    assert mg.tensor([1], dtype=name).dtype == expected
    assert getattr(mg, "bool_" if name == "bool" else name) == expected


def test_pythons_types_are_dtypes():
    assert dtypes.as_dtype(int) == mg.int64
    assert dtypes.as_dtype(bool) == mg.bool_
    assert dtypes.as_dtype(float) == mg.float32


@pytest.mark.parametrize(
    "wrong",
    ["complex64", "complex128", "str", "object", "float128", "datetime64[s]", "S3", "nonsense", 3],
)
def test_other_dtypes_are_refused(wrong):
    with pytest.raises(
        DtypeError, match=r"is not supported.*; use one of float16, float32, float64, int8"
    ):
        mg.tensor([1.0], dtype=wrong)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (1j, "complex numbers"),
        ([1.0, 2j], "complex numbers"),
        (numpy.array([1j]), "complex"),
        ("a", "text"),
        (b"a", "bytes"),
        (object(), "Python objects"),
        ([None], "Python objects"),
        (numpy.array(["2020"], dtype="datetime64[D]"), "M8"),
    ],
)
def test_what_is_no_number_is_refused(data, found):
    with pytest.raises(DtypeError, match=found):
        mg.tensor(data)


def test_bytes_of_the_other_order_are_turned_around():
    big = numpy.array([1.5, -2.0], dtype=">f8")
    t = mg.tensor(big)
    assert t.dtype == mg.float64
    assert t.dtype.isnative
    assert t.tolist() == [1.5, -2.0]
    assert (t + 1).tolist() == [2.5, -1.0]


# promotion


@pytest.mark.parametrize("operation", [*ARITHMETIC, *COMPARISONS], ids=named)
@pytest.mark.parametrize(("left", "right"), list(itertools.product(ALL, ALL)))
def test_two_tensors_promote_as_numpy(operation, left, right):
    assert_like_numpy(operation, numpy.ones(2, left), numpy.ones(2, right))


@pytest.mark.parametrize("operation", BITWISE, ids=named)
@pytest.mark.parametrize(("left", "right"), list(itertools.product((*INTEGERS, "bool"), repeat=2)))
def test_bitwise_operators_promote_as_numpy(operation, left, right):
    assert_like_numpy(operation, numpy.ones(2, left), numpy.ones(2, right))


@pytest.mark.parametrize("operation", [*ARITHMETIC, *COMPARISONS], ids=named)
@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("scalar", [True, 2, 2.0], ids=repr)
def test_python_scalars_are_weak_on_both_sides(operation, dtype, scalar):
    array = numpy.ones(2, dtype)
    for swapped in (False, True):
        assert_like_numpy(operation, *((scalar, array) if swapped else (array, scalar)))


@pytest.mark.parametrize("operation", [operator.add, operator.mul, operator.lt], ids=named)
@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(
    "scalar", [numpy.float64(2), numpy.float32(2), numpy.int8(2), numpy.bool_(True)]
)
def test_numpy_scalars_are_strong_on_both_sides(operation, dtype, scalar):
    for swapped in (False, True):
        pair = (numpy.ones(2, dtype), scalar)
        assert_like_numpy(operation, *(pair[::-1] if swapped else pair))


def assert_like_numpy(operation, left, right):
    """Compare with NumPy the dtype and the values, or that there are none."""
    wrap = lambda value: mg.tensor(value) if isinstance(value, numpy.ndarray) else value
    try:
        expected = operation(left, right)
    except TypeError:
        with pytest.raises(DtypeError):
            operation(wrap(left), wrap(right))
        return
    found = operation(wrap(left), wrap(right))
    assert found.dtype == expected.dtype
    numpy.testing.assert_array_equal(found.numpy(), expected)


def test_a_float_and_an_integer_tensor_promote_as_arrays_do():
    assert (mg.ones(2) + mg.arange(2)).dtype == mg.float64  # as NumPy: float32 with int64
    assert (mg.ones(2) + mg.tensor([1, 2], dtype="int8")).dtype == mg.float32


# gradients


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integers_and_bool_are_never_differentiable(dtype):
    t = mg.tensor([1, 0], dtype=dtype)
    text = f"only floating-point tensors can require a gradient, not {dtype}"
    for ask in (
        lambda: mg.tensor([1, 0], dtype=dtype, requires_grad=True),
        lambda: mg.zeros(2, dtype=dtype, requires_grad=True),
        t.requires_grad_,
        lambda: mg.vjp(lambda x: x * 1.0, t),
        lambda: mg.value_and_grad(lambda x: (x * 1.0).sum())(t),
    ):
        with pytest.raises(DtypeError, match=text):
            ask()


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_have_the_dtype_of_what_they_belong_to(dtype):
    x = mg.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    w = mg.tensor([3.0, 4.0], dtype="float64", requires_grad=True)
    gx, gw = mg.grad((x * w).sum(), [x, w])
    assert gx.dtype == x.dtype
    assert gw.dtype == w.dtype


def test_astype_carries_gradients_between_floats_and_stops_them_at_integers():
    x = mg.tensor([1.5, 2.5], requires_grad=True)
    y = x.astype("float64")
    assert y.dtype == mg.float64
    (g,) = mg.grad((y * y).sum(), x)
    assert g.dtype == mg.float32
    assert g.tolist() == [3, 5]
    assert x.astype("float32") is x
    assert not x.astype("int64").requires_grad
    assert not (x > 2).requires_grad
    with pytest.raises(
        GradientError, match="does not depend on any tensor that requires a gradient"
    ):
        x.astype("int64").sum().backward()
    assert mg.arange(3).astype("float32").dtype == mg.float32


def test_a_gradient_does_not_pass_through_integers():
    x = mg.tensor([0.5, 1.75], requires_grad=True)
    floor = mg.astype(x, dtype="int64")
    assert not floor.requires_grad
    (g,) = mg.grad((mg.astype(floor, dtype="float32") * x).sum(), x)
    assert g.tolist() == [0, 1]


def test_a_comparison_inside_a_formula_carries_no_gradient():
    x = mg.tensor([-1.0, 2.0], requires_grad=True)
    (g,) = mg.grad(((x > 0) * x).sum(), x)
    assert g.tolist() == [0, 1]


# bfloat16


def test_bfloat16_is_stored_and_differentiated():
    pytest.importorskip("ml_dtypes")
    x = mg.tensor([1.0, 2.0], dtype="bfloat16", requires_grad=True)
    assert x.dtype.name == "bfloat16"
    assert x.nbytes == 4
    assert dtypes.is_floating("bfloat16")
    (g,) = mg.grad((x * x).sum(), x)
    assert g.dtype == x.dtype
    assert g.astype("float32").tolist() == [2, 4]
    (g,) = mg.grad((x.astype("float32") * 3).sum(), x)
    assert g.astype("float32").tolist() == [3, 3]
    assert repr(x.detach()) == "tensor([1, 2], dtype=bfloat16)"


def test_bfloat16_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DtypeError) as caught:
        mg.tensor([1.0], dtype="bfloat16")
    assert str(caught.value) == "bfloat16 needs the package ml_dtypes; run 'pip install ml_dtypes'"
