"""Element types: the default, in which dtype arguments meet, half precision, gradients, warnings."""

import itertools
import math
import sys
import threading
import warnings

import numpy
import pytest

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import DtypeError, GradientError

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ALL = (*FLOATS, *INTEGERS, "bool")


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


# promotion: kind first, then width. The rule once more, as tables written by hand.

HALVES = ("float16", "bfloat16")
EVERY = (*HALVES, "float32", "float64", *INTEGERS, "bool")
BINARY = {name: op for name, op in mg.OPS.items() if op.elementwise and op.arity == 2}
OF_FLOATS = {
    "divide",
    "atan2",
    "hypot",
    "logaddexp",
    "copysign",
    "nextafter",
}  # integers become the default dtype first
SHIFTS = {"bitwise_left_shift", "bitwise_right_shift"}
OF_INTEGERS = {"bitwise_and", "bitwise_or", "bitwise_xor", *SHIFTS}
OF_NUMPY = {"floor_divide", "remainder", "power", *SHIFTS}  # of truth values its int8
TO_BOOL = {
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "logical_and", "logical_or", "logical_xor",
}  # fmt: skip
# a tensor with a number: the dtype of the result, None for the tensor's own
WITH_A_NUMBER = {
    #          bool     int      float
    "float": (None, None, None),
    "integer": (None, None, "float32"),
    "bool": ("bool", "int64", "float32"),
}
NUMBERS = (True, 1, 1.0)


def kind_of(dtype):
    return "bool" if dtype == "bool" else "integer" if dtype in INTEGERS else "float"


def tensors_meet(left, right):
    """Return the dtype in which two tensors meet."""
    kinds = (kind_of(left), kind_of(right))
    if kinds == ("float", "float"):
        if {left, right} == set(HALVES):
            return "float32"
        order = ("float16", "bfloat16", "float32", "float64")
        return order[max(order.index(left), order.index(right))]
    if "float" in kinds:
        return left if kinds[0] == "float" else right
    return numpy.result_type(left, right).name  # integers among themselves: as NumPy


def result_of(name, meeting, args):
    if name in TO_BOOL:
        return "bool"
    tensors = [a.dtype.name for a in args if isinstance(a, mg.Tensor)]
    if name in OF_FLOATS and "float" not in map(kind_of, tensors):
        return "float32"
    return meeting


def ones(dtype):
    return mg.ones(2, dtype=dtype)


def assert_result(name, args, meeting):
    op = mg.OPS[name]
    undefined = {"bool": {"subtract"}, "integer": set(), "float": OF_INTEGERS}
    if name in undefined[kind_of(meeting)]:
        with pytest.raises(DtypeError):
            op(*args)
        return
    y = op(*args)
    if meeting != "bool" or name not in OF_NUMPY:
        assert y.dtype.name == result_of(name, meeting, args), args
    plain = [(a.astype("float64").numpy() if isinstance(a, mg.Tensor) else a) for a in args]
    if kind_of(meeting) != "float" and name not in OF_FLOATS:
        plain = [numpy.asarray(p).astype(meeting) for p in plain]
    expected = numpy.asarray(op.fn(numpy, *plain), dtype="float64")
    numpy.testing.assert_allclose(y.astype("float64").numpy(), expected, rtol=1e-2)


@pytest.mark.parametrize("name", BINARY)
def test_two_tensors_meet_in_the_higher_kind_and_there_in_the_wider_dtype(name):
    for left, right in itertools.product(EVERY, EVERY):
        assert_result(name, (ones(left), ones(right)), tensors_meet(left, right))


@pytest.mark.parametrize("name", BINARY)
def test_a_number_has_a_kind_and_no_width(name):
    for dtype, place in itertools.product(EVERY, range(3)):
        meeting = WITH_A_NUMBER[kind_of(dtype)][place] or dtype
        number = NUMBERS[place]
        strong = (numpy.bool_, numpy.int64, numpy.float64)[place](number)
        for given in (number, strong):
            assert_result(name, (ones(dtype), given), meeting)
            assert_result(name, (given, ones(dtype)), meeting)


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_numbers_alone_are_of_the_default_dtype(default, float64_by_default):
    mg.set_default_dtype(default)
    mask = mg.tensor([True, False])
    for y in (
        mg.maximum(1.0, 2.0),
        mg.maximum(1, 2.0),
        mg.exp(numpy.float64(1.0)),
        mg.exp(1),
        mg.where(mask, 1.0, 0.0),
        mg.where(mask, numpy.float64(1.0), 0),
        mask * 0.5,
        mg.arange(3) * 0.1,
        mg.arange(3) / 2,
        mg.mean(mg.arange(3)),
        mg.sigmoid(mask),
    ):
        assert y.dtype == default
    assert mg.where(mask, 1, 0).dtype == mg.where(mask, True, 0).dtype == mg.int64
    assert mg.where(mask, True, False).dtype == mg.bool_


JOINS = {
    "where": lambda a, b: mg.where(mg.tensor([True, False]), a, b),
    "concat": lambda a, b: mg.concat([a, b]),
    "stack": lambda a, b: mg.stack([a, b]),
    "matmul": lambda a, b: a @ b,
    "linear": lambda a, b: mg.linear(a, mg.expand_dims(b, 0)),
    "einsum": lambda a, b: mg.einsum("i,i->", a, b),
    "outer": mg.outer,
    "vecdot": mg.vecdot,
    "clip": lambda a, b: mg.clip(a, b, 1),
    "clip from above": lambda a, b: mg.clip(a, None, b),
}


@pytest.mark.parametrize("name", JOINS)
def test_so_do_the_arguments_of_other_functions(name):
    for left, right in itertools.product(EVERY, EVERY):
        if "bool" in (left, right) and name == "clip":
            continue  # its 1 is an integer
        y = JOINS[name](ones(left), ones(right))
        expected = tensors_meet(left, right)
        if kind_of(expected) != "float" and name == "vecdot":
            expected = numpy.ones(2, expected).sum().dtype.name  # a sum of integers is a wide one
        assert y.dtype.name == expected, (left, right)


def test_the_commonest_stumbles():
    x = mg.ones(2)
    mask = x > 0
    for y in (
        x / numpy.sqrt(3),
        numpy.float64(2) * x,
        x + numpy.int64(1),
        (1 - mask) * x,
        x + mg.arange(2),
        x * mg.tensor([1, 2], dtype="int32"),
        x * numpy.arange(2),
        mg.leaky_relu(x, numpy.float64(0.1)),
        mg.dropout(x, mask, p=numpy.float64(0.5)),
        mg.layer_norm(x, 2, eps=numpy.float64(1e-5)),
        mg.huber_loss(x, x, delta=numpy.float64(0.5)),
    ):
        assert y.dtype == mg.float32
    assert (x * numpy.array(2.0)).dtype == mg.float64  # an array, if one of a single number
    assert (x * numpy.ones(2)).dtype == mg.float64


def test_a_number_that_does_not_fit_is_refused():
    byte = mg.tensor([1], dtype="uint8")
    mask = mg.tensor([True])
    for run in (
        lambda: byte + 300,
        lambda: byte * -1,
        lambda: byte + numpy.int64(300),
        lambda: mask + 2**70,
        lambda: mg.where(mask, 2**63, 0),
        lambda: mg.ones(1) + 10**400,
        lambda: mg.ones(1) + 10**5000,
    ):
        with pytest.raises(DtypeError, match="does not fit"):
            run()
    assert (byte == 300).tolist() == [False]


def test_subclasses_of_numbers_are_numbers():
    class Half(float):
        pass

    assert (mg.ones(2) * Half(0.5)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_rounded_once(dtype):
    x = mg.tensor([0.3, -1.7, 2.9], dtype=dtype, requires_grad=True)
    wide = x.detach().astype("float64").requires_grad_()
    for name, op in mg.OPS.items():
        if not (op.elementwise and op.arity == 1) or op.rules is None:
            continue
        y, expected = op(x), op(wide)
        assert y.dtype == dtype, name
        rounded = expected.detach().astype("float32").astype(dtype)
        assert mg.all((y == rounded) | mg.isnan(rounded)), name
        (g,) = mg.grad(y.sum(), x)
        (reference,) = mg.grad(expected.sum(), wide)
        assert g.dtype == dtype
        numpy.testing.assert_allclose(
            g.astype("float64").numpy(), reference.numpy(), rtol=2e-2, atol=1e-2, err_msg=name
        )


@pytest.mark.parametrize("dtype", HALVES)
def test_reductions_accumulate_in_float32(dtype):
    def nearly(t, value):
        assert t.dtype == dtype
        numpy.testing.assert_allclose(t.detach().astype("float32").numpy(), value, rtol=8e-3)

    many = mg.ones(1000, dtype=dtype)
    nearly(mg.mean(many), 1)
    nearly(mg.sum(many), 1000)
    nearly(mg.mse_loss(2 * many, 0 * many), 4)
    spread = mg.tensor([300.0, 0.0, 0.0, 0.0], dtype=dtype)
    nearly(mg.mse_loss(spread, 0 * spread), 22500)
    nearly(mg.cumulative_sum(many)[-1], 1000)
    big = mg.tensor([1024.0, 2048.0, 3072.0], dtype=dtype)
    nearly(mg.layer_norm(big, 3), [-1.2247, 0, 1.2247])
    nearly(mg.std(big), 836.1)
    nearly(mg.vector_norm(big), 3831.5)
    nearly(mg.logsumexp(0 * many), 6.9078)
    nearly(mg.softmax(mg.zeros((5000, 2), dtype=dtype), axis=0), 1 / 5000)
    x = mg.ones(70000, dtype=dtype, requires_grad=True)
    nearly(mg.grad(x.mean(), x)[0], 1 / 70000)
    row = mg.zeros(2, dtype=dtype, requires_grad=True)
    for y in (row + mg.ones((3000, 2), dtype=dtype), mg.broadcast_to(row, (3000, 2))):
        nearly(mg.grad(y.sum(), row)[0], 3000)
    table = mg.zeros((2, 2), dtype=dtype, requires_grad=True)
    places = mg.zeros(3000, dtype="int64")
    for y in (table[places], mg.embedding(places, table)):
        nearly(mg.grad(y.sum(), table)[0], [[3000, 3000], [0, 0]])


@pytest.mark.parametrize("dtype", HALVES)
def test_what_moves_elements_leaves_half_precision_as_it_is(dtype):
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dtype)
    for y in (
        x.T,
        x[0],
        x[mg.tensor([1])],
        mg.pad(x, ((1, 0), (0, 0))),
        mg.stack([x, x]),
        mg.roll(x, 1),
    ):
        assert y.dtype == dtype
    assert x.at[0].set(5.0).dtype == x.at[0].add(x[1]).dtype == dtype
    assert mg.sort(x).dtype == mg.topk(x, 1)[0].dtype == dtype


def test_gradients_of_mixed_arguments_have_the_dtype_of_each():
    for left, right in itertools.product((*HALVES, "float32", "float64"), repeat=2):
        a = mg.tensor([0.5, 1.5], dtype=left, requires_grad=True)
        b = mg.tensor([2.0, -1.0], dtype=right, requires_grad=True)
        ga, gb = mg.grad((a * b).sum(), [a, b])
        assert (ga.dtype.name, gb.dtype.name) == (left, right)
        assert ga.tolist() == [2, -1]
        assert gb.tolist() == [0.5, 1.5]


def test_functions_of_floats_convert_integers_first():
    for dtype in INTEGERS:
        four = mg.tensor([4, 100], dtype=dtype)
        x = numpy.array([4.0, 100.0])
        for y, expected in (
            (mg.sigmoid(four), 1 / (1 + numpy.exp(-x))),
            (mg.softplus(four), numpy.log1p(numpy.exp(-x)) + x),
            (mg.silu(four), x / (1 + numpy.exp(-x))),
            (mg.softsign(four), x / (1 + x)),
            (mg.elu(four), x),
            (mg.gelu(four), x),
            (mg.hard_tanh(four), [1, 1]),
            (mg.exp2(four), 2**x),
            (mg.vector_norm(four), 100.0799),
            (mg.std(four), 48),
            (mg.mean(four), 52),
            (mg.logsumexp(four), 100),
            (mg.log_softmax(four), [-96, 0]),
            (mg.mse_loss(four, mg.flip(four)), 96**2),
            (mg.l1_loss(four, mg.flip(four)), 96),
            (mg.huber_loss(four, mg.flip(four)), 95.5),
            (mg.smooth_l1_loss(four, mg.flip(four)), 95.5),
            (mg.binary_cross_entropy_with_logits(four, mg.tensor([0, 1], dtype=dtype)), 2.0091),
            (mg.cross_entropy(four, mg.tensor(0)), 96),
            (mg.nll_loss(four, mg.tensor(0)), -4),
            (mg.layer_norm(four, 2), [-1, 1]),
        ):
            assert y.dtype == mg.float32
            numpy.testing.assert_allclose(y.numpy(), expected, rtol=1e-4)


def test_products_and_sums_of_integers_are_wide():
    for dtype in (*INTEGERS, "bool"):
        wide = "uint64" if dtype.startswith("u") else "int64"
        hundred = mg.tensor([100, 100], dtype=dtype)
        for run, expected in (
            (mg.prod, 10000),
            (mg.sum, 200),
            (mg.cumulative_sum, [100, 200]),
            (lambda x: mg.vecdot(x, x), 20000),
        ):
            y = run(hundred)
            assert y.dtype == wide
            if dtype != "bool":
                assert y.tolist() == expected


def test_one_hot_of_narrow_integers():
    for dtype in INTEGERS:
        y = mg.one_hot(mg.tensor([1, 44], dtype=dtype), 300)
        assert y.sum(axis=1).tolist() == [1, 1]
        assert mg.argmax(y, axis=1).tolist() == [1, 44]


def test_second_derivatives_in_half_precision():
    for dtype in HALVES:
        x = mg.tensor([0.5, -1.0], dtype=dtype, requires_grad=True)
        (g,) = mg.grad(mg.tanh(x).sum(), x, create_graph=True)
        (h,) = mg.grad(g.sum(), x)
        t = numpy.tanh([0.5, -1.0])
        numpy.testing.assert_allclose(h.astype("float64").numpy(), -2 * t * (1 - t * t), rtol=2e-2)


# NumPy's warnings


def test_no_floating_point_warning_leaves_an_op():
    inf = float("inf")
    x = mg.tensor([0.0, -1.0, 2.0, 1e38, 1e-45, inf, -inf, float("nan")], requires_grad=True)
    half = x.detach().astype("float16")
    with warnings.catch_warnings(), numpy.errstate(all="raise"):
        warnings.simplefilter("error")
        for op in mg.OPS.values():
            if (
                op.elementwise
                and op.arity <= 2
                and op.name not in OF_INTEGERS
                and "bitwise" not in op.name
            ):
                op(*[half] * op.arity)
                y = op(*[x] * op.arity)
                if y.requires_grad:
                    mg.grad(y.sum(), x, allow_unused=True)
        for run in (
            mg.sum,
            mg.mean,
            mg.var,
            mg.std,
            mg.prod,
            mg.vector_norm,
            mg.softmax,
            mg.logsumexp,
        ):
            run(x)
        nothing, one = mg.zeros(0), mg.ones(1, requires_grad=True)
        for y in (
            mg.mean(nothing),
            mg.var(nothing),
            mg.std(one, correction=1),
            mg.var(one, correction=2),
        ):
            assert math.isnan(y.item())
        assert math.isnan(mg.grad(mg.var(one, correction=1), one)[0].item())
        mg.mse_loss(nothing, nothing)
        x.astype("float16"), x.astype("int32")
        mg.tensor([1e300]), mg.full(2, 1e300).copy_(1e300)
        assert numpy.geterr()["over"] == "raise"


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


def test_formulas_run_in_silence_in_every_thread_and_inside_each_other():
    infinite = []

    def compute(x):
        infinite.append(mg.all(mg.isinf(mg.checkpoint(lambda t: t * 1e38 * 1e38, x))).item())

    with warnings.catch_warnings(), numpy.errstate(all="raise"):
        warnings.simplefilter("error")
        x = mg.ones(1000, requires_grad=True)
        threads = [threading.Thread(target=compute, args=(x,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pytest.raises(FloatingPointError):  # the caller's state is as it was
            numpy.float32(1e38) * numpy.float32(1e38)
    assert infinite == [True] * 8
