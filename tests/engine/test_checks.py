"""What counts as an integer, a number, a shape: the same everywhere, NumPy's scalars among them."""

import fractions

import ml_dtypes
import numpy as np
import pytest

import minigrad as mg
from minigrad import checks, threads
from minigrad.errors import ArgumentError, ShapeError, TraceError


class Three:
    def __repr__(self):  # the name of a test, which all processes of a run have to agree on
        return "Three()"

    def __index__(self):
        return 3


THREES = [3, np.int64(3), np.uint8(3), np.array(3), mg.tensor(3), Three()]
NO_INTEGERS = [
    3.0,
    np.float32(3),
    "3",
    None,
    True,
    np.True_,
    [3],
    np.array([3]),
    mg.tensor(3.0),
    3j,
]


@pytest.mark.parametrize("value", THREES, ids=repr)
def test_an_integer(value):
    assert checks.as_integer(value) == 3
    assert type(checks.as_integer(value)) is int
    assert type(checks.as_number(value)) is int


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_no_integer(value):
    assert checks.as_integer(value) is None


@pytest.mark.parametrize(
    "value",
    [
        0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), ml_dtypes.bfloat16(0.5),
        np.array(0.5, dtype="float32"), fractions.Fraction(1, 2),
    ],
    ids=repr,
)  # fmt: skip
def test_a_number(value):
    assert checks.as_number(value) == 0.5
    assert type(checks.as_number(value)) is float


@pytest.mark.parametrize(
    "value",
    ["0.5", None, True, np.True_, [0.5], np.array([0.5]), mg.tensor(0.5), mg.tensor(True), 1j],
)
def test_no_number(value):
    assert checks.as_number(value) is None


def test_a_value_of_a_traced_step_is_neither():
    with pytest.raises(TraceError, match="turns a value into a Python number"):
        checks.as_integer(mg.graph.Var((), mg.int64))


X = mg.arange(6).reshape(2, 3).astype("float32")
# with an integer written in each place of {}
CALLS = {
    "zeros(3)": mg.zeros,
    "zeros((3, 2))": lambda n: mg.zeros((n, 2)),
    "full([2, 3])": lambda n: mg.full([2, n], 1.0),
    "arange(3)": mg.arange,
    "linspace(0, 1, 3)": lambda n: mg.linspace(0, 1, n),
    "eye(3, 3, k=3)": lambda n: mg.eye(n, n, k=n),
    "rand(3)": lambda n: mg.Generator(n).uniform(n),
    "integers": lambda n: mg.Generator(n).integers(0, n, n),
    "permutation": lambda n: mg.Generator(n).permutation(n),
    "split": lambda n: [g.normal(n) for g in mg.Generator(n).split(n)],
    "manual_seed": lambda n: mg.manual_seed(n).normal(n),
    "reshape": lambda n: mg.reshape(X, (n, -1)),
    "reshape to one axis": lambda n: mg.zeros((n,)).reshape(n),
    "x.reshape": lambda n: X.reshape(n, 2),
    "broadcast_to": lambda n: mg.broadcast_to(mg.ones(1), n),
    "expand_dims": lambda n: mg.expand_dims(mg.ones((1, 1, 1)), n),
    "flip": lambda n: mg.flip(mg.zeros((1, 1, 1, 2)), n),
    "roll": lambda n: mg.roll(X, n, 1),
    "roll two": lambda n: mg.roll(X, (n, 1), (0, 1)),
    "repeat": lambda n: mg.repeat(X, n, 1),
    "repeat each": lambda n: mg.repeat(X, [n, 1], 0),
    "tile": lambda n: mg.tile(X, (n, 1)),
    "tile one": lambda n: mg.tile(X, n),
    "pad": lambda n: mg.pad(X, ((n, 0), (1, n))),
    "split in parts": lambda n: mg.split(X, n)[0],
    "split by sizes": lambda n: mg.split(mg.ones(4), (1, n))[1],
    "sum": lambda n: mg.sum(mg.ones((1, 1, 1, 2)), axis=n),
    "swapaxes": lambda n: mg.swapaxes(mg.ones((1, 2, 3, 4)), 0, n),
    "topk": lambda n: mg.topk(X, n)[0],
    "tensordot": lambda n: mg.tensordot(mg.ones((2, 1, 3)), mg.ones((2, 1, 3)), n),
    "layer_norm": lambda n: mg.layer_norm(X, n),
    "one_hot": lambda n: mg.one_hot(mg.tensor([1]), n),
    "conv1d": lambda n: mg.conv1d(mg.ones((1, 1, 9)), mg.ones((1, 1, 2)), stride=n),
    "max_pool2d": lambda n: mg.max_pool2d(mg.ones((1, 1, 9, 9)), (n, 2), padding=1),
    "x[3]": lambda n: mg.arange(5)[n],
    "value_and_grad": lambda n: mg.value_and_grad(lambda a, b, c, d: d * d, n)(X, X, X, X[0, 1])[1],
    "set_num_threads": lambda n: mg.set_num_threads(n) or mg.tensor(mg.get_num_threads()),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_numpys_integers_and_what_has_an_index_do_as_well(name, monkeypatch):
    monkeypatch.setattr(threads, "_number", None)
    call = CALLS[name]
    expected = call(3)
    for value in THREES[1:]:
        if name == "layer_norm" and isinstance(value, mg.Tensor):
            continue  # a tensor is an argument to compute with there
        found = call(value)
        for a, b in zip(
            found if isinstance(found, list) else [found],
            expected if isinstance(expected, list) else [expected],
            strict=True,
        ):
            assert (a.dtype, a.shape, a.tolist()) == (b.dtype, b.shape, b.tolist())


NO_BOOL = set(CALLS) - {"arange(3)", "x[3]", "sum"}


@pytest.mark.parametrize("name", sorted(NO_BOOL))
@pytest.mark.parametrize("wrong", [True, "3", None], ids=repr)
def test_a_bool_a_text_and_none_are_no_integers(name, wrong):
    if wrong is None and name in ("eye(3, 3, k=3)", "flip"):
        return  # an option left out
    with pytest.raises(ArgumentError, match=r"integer|number of axes|hold a pair"):
        CALLS[name](wrong)


@pytest.mark.parametrize(
    "wrong", [-1, 2.5, (2, -1), (2, 1.5), "ab", (True, 2), None, [[2]]], ids=repr
)
def test_no_shape(wrong):
    with pytest.raises(ShapeError, match="a shape holds non-negative integers, not"):
        mg.zeros(wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mg.Generator(-1), "Generator: seed must be a non-negative integer, not -1"),
        (lambda: mg.set_num_threads(0), "number of threads must be a positive integer, not 0"),
        (lambda: mg.manual_seed(np.int64(-3)), r"must be a non-negative integer, not np.int64\(-3\)"),
        (lambda: mg.Generator(0).normal(2, std=-1), "std must be a number, 0 or more, not -1"),
        (lambda: mg.Generator(0).normal(2, std=True), "std must be a number, 0 or more, not True"),
        (lambda: mg.Generator(0).bernoulli(np.nan), "probability must be a number from 0 to 1, not nan"),
        (lambda: mg.arange(np.inf), "arange: stop must be a finite number, not inf"),
        (lambda: mg.arange(0, "a"), "arange: stop must be a finite number, not 'a'"),
        (lambda: mg.linspace(0, None, 3), "linspace: stop must be a number, not None"),
        (lambda: mg.Generator(0).uniform(2, "a"), "uniform: low must be a number, not 'a'"),
    ],
)  # fmt: skip
def test_the_message_does_not_contradict_itself(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
