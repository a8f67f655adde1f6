"""The tensor: what it says about itself, its operators and methods, its place in the graph."""

import operator

import numpy
import pytest

import minigrad as mg
from minigrad.errors import (
    ArgumentError,
    DtypeError,
    GradientError,
    IndexingError,
    ShapeError,
)

A = numpy.array([[1.5, -2.0, 0.5], [3.0, 1.0, -1.0]])


@pytest.fixture
def t():
    return mg.tensor(A)


def test_what_it_is(t):
    assert (t.shape, t.ndim, t.size, t.dtype, t.nbytes, t.device) == (
        (2, 3),
        2,
        6,
        mg.float64,
        48,
        "cpu",
    )
    assert t.is_leaf
    assert not t.requires_grad
    assert t.grad is None
    assert len(t) == 2
    assert all(type(n) is int for n in t.shape)
    assert mg.tensor(1.0).shape == ()
    numpy.testing.assert_array_equal(t.T.numpy(), A.T)
    numpy.testing.assert_array_equal(t.mT.numpy(), A.T)
    assert t[None].T.shape == (3, 2, 1)
    assert t[None].mT.shape == (1, 3, 2)


def test_tensors_are_not_made_by_their_class():
    with pytest.raises(TypeError, match=r"make a tensor with minigrad.tensor\(data\)"):
        mg.Tensor([1.0])


def test_there_is_no_room_for_typing_errors(t):
    with pytest.raises(AttributeError):
        t.requires_gard = True
    with pytest.raises(AttributeError):
        t.shape = (3, 2)


BINARY = {
    operator.add: 1.5, operator.sub: 1.5, operator.mul: 1.5, operator.truediv: 1.5,
    operator.floordiv: 1.5, operator.mod: 1.5, operator.pow: 2.0, operator.eq: 0.5, operator.ne: 0.5,
    operator.lt: 0.5, operator.le: 0.5, operator.gt: 0.5, operator.ge: 0.5,
}  # fmt: skip


@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
def test_binary_operators(t, operation):
    scalar = BINARY[operation]
    positive = numpy.abs(A)
    for left, right in ((A, A.T[:1].T + 0.25), (A, scalar), (positive, numpy.float64(2))):
        wrap = lambda v: mg.tensor(v) if isinstance(v, numpy.ndarray) else v
        with numpy.errstate(all="ignore"):
            numpy.testing.assert_array_equal(
                operation(wrap(left), wrap(right)).numpy(), operation(left, right)
            )
            swapped = operation(wrap(right), wrap(left))
            numpy.testing.assert_array_equal(swapped.numpy(), operation(right, left))


def test_other_operators(t):
    numpy.testing.assert_array_equal((-t).numpy(), -A)
    numpy.testing.assert_array_equal(abs(t).numpy(), abs(A))
    assert (+t).tolist() == A.tolist()
    numpy.testing.assert_array_equal((t @ t.T).numpy(), A @ A.T)
    n, m = mg.tensor([6, 3]), mg.tensor([5, 1])
    assert ((n & m).tolist(), (n | m).tolist(), (n ^ m).tolist(), (~n).tolist()) == (
        [4, 1], [7, 3], [3, 2], [-7, -4],
    )  # fmt: skip
    assert ((6 & m).tolist(), (6 | m).tolist(), (6 ^ m).tolist()) == ([4, 0], [7, 7], [3, 7])


METHODS = ("sum", "mean", "max", "min", "prod", "var", "std")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_as_methods(t, name, axis, keepdims):
    expected = getattr(A, name)(axis=axis, keepdims=keepdims)
    numpy.testing.assert_allclose(getattr(t, name)(axis=axis, keepdims=keepdims).numpy(), expected)


def test_other_methods(t):
    assert t.reshape(3, 2).shape == t.reshape((3, 2)).shape == t.reshape(3, -1).shape == (3, 2)
    assert t.reshape(-1).shape == (6,)
    assert t.permute(1, 0).shape == t.permute((1, 0)).shape == (3, 2)
    assert (t > 0).any().item()
    assert not (t > 0).all().item()
    assert t.argmax().item() == A.argmax()
    assert t.argmin(axis=1).tolist() == A.argmin(1).tolist()


# indexing

KEYS = [
    0, -1, (1, 2), slice(1, None), (slice(None), slice(None, None, -1)), ..., (..., 0), None,
    (None, 0, None), (slice(None), None, 1), [1, 0, 1], ([0, 1], [2, 0]), (slice(None), [0, 0]),
    numpy.array([[0, 1], [1, 0]]), (numpy.array([1]), 0), A > 0, (A > 0)[:, 0], (slice(None), A[0] > 0),
    (0, A[0] > 0), [], (), numpy.int64(1), (..., [0, 1]), (None, [0, 1], slice(1, 2)), slice(5, 9),
    numpy.zeros((2, 3), bool),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_indexing_as_numpy(t, key):
    expected = A[key if not isinstance(key, list) or key else numpy.zeros(0, int)]
    as_tensors = tuple(
        mg.tensor(k) if isinstance(k, numpy.ndarray) else k
        for k in (key if isinstance(key, tuple) else (key,))
    )
    for found in (t[key], t[as_tensors]):
        numpy.testing.assert_array_equal(found.numpy(), expected)
    x = mg.tensor(A, requires_grad=True)
    weights = numpy.arange(1.0, 1.0 + numpy.size(expected)).reshape(numpy.shape(expected))
    (g,) = mg.grad((x[key] * mg.tensor(weights)).sum(), x)
    counted = numpy.zeros_like(A)
    numpy.add.at(counted, key if not isinstance(key, list) or key else numpy.zeros(0, int), weights)
    numpy.testing.assert_array_equal(g.numpy(), counted)


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_writing_and_functional_updates_as_numpy(t, key):
    numpy_key = key if not isinstance(key, list) or key else numpy.zeros(0, int)
    shape = A[numpy_key].shape
    values = numpy.arange(10.0, 10.0 + numpy.prod(shape, dtype=int)).reshape(shape)
    for given in (7.0, values):
        expected = A.copy()
        expected[numpy_key] = given
        written = t.clone()
        written[key] = given if isinstance(given, float) else mg.tensor(given)
        numpy.testing.assert_array_equal(written.numpy(), expected)
        numpy.testing.assert_array_equal(t.at[key].set(given).numpy(), expected)
        added = A.copy()
        numpy.add.at(added, numpy_key, given)
        numpy.testing.assert_array_equal(t.at[key].add(given).numpy(), added)
    assert t.tolist() == A.tolist()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (2, "index 2 is out of bounds for axis 0 with size 2"),
        ((0, -4), "index -4 is out of bounds for axis 1 with size 3"),
        ((0, 0, 0), r"3 indices for a tensor with 2 axes \(shape \(2, 3\)\)"),
        (1.0, "1.0 cannot index a tensor"),
        ("a", "'a' cannot index a tensor"),
        (mg.ones(2), "a tensor of float32 cannot index"),
        (numpy.ones(2), "a tensor of float64 cannot index"),
        (True, r"x\[True\] is not supported"),
        (mg.tensor(True), r"x\[True\] is not supported"),
        (mg.tensor([True]), r"a mask of shape \(1,\) cannot index axes of size \(2,\)"),
        (
            (..., mg.tensor([True, False])),
            r"a mask of shape \(2,\) cannot index axes of size \(3,\)",
        ),
        (
            (None, mg.tensor([[True] * 3])),
            r"a mask of shape \(1, 3\) cannot index axes of size \(2, 3\)",
        ),
        ((..., ...), "an index can only have a single ellipsis"),
    ],
    ids=repr,
)
def test_wrong_keys(t, key, text):
    for ask in (lambda: t[key], lambda: t.at[key].set(0.0), lambda: t.__setitem__(key, 0.0)):
        with pytest.raises(IndexingError, match=text):
            ask()


def test_values_that_do_not_fit_a_key(t):
    for ask in (
        lambda: t.at[0].set(mg.ones(2)),
        lambda: t.at[0].add(mg.ones(2)),
        lambda: t.__setitem__(0, mg.ones(2)),
    ):
        with pytest.raises(ShapeError, match="broadcast"):
            ask()


def test_a_functional_update_carries_gradients_of_both():
    x, v = mg.tensor(A, requires_grad=True), mg.ones(2, dtype="float64", requires_grad=True)
    gx, gv = mg.grad((x.at[:, 0].set(v * 2) ** 2).sum(), [x, v])
    assert gx[:, 0].tolist() == [0, 0]
    numpy.testing.assert_allclose(gx[:, 1:].numpy(), 2 * A[:, 1:])
    assert gv.tolist() == [8, 8]
    gx, gv = mg.grad((x.at[[0, 0], 0].add(v) ** 2).sum(), [x, v])
    assert gv.tolist() == [2 * (A[0, 0] + 2)] * 2


# moving and converting


def test_to(t):
    assert t.to("cpu") is t
    assert t.cpu() is t
    assert t.to("float64") is t
    assert t.to("float32").dtype == mg.float32
    assert t.to(mg.int8).dtype == mg.int8
    assert t.to(mg.ones(1)).dtype == mg.float32
    assert t.astype(float).dtype == mg.float32
    with pytest.raises(ArgumentError, match="'tpu' is neither a device"):
        t.to("tpu")


def test_scalars_only():
    for ask in (float, int, bool, mg.Tensor.item):
        with pytest.raises(ShapeError, match=r"shape \(2,\)"):
            ask(mg.ones(2))
    with pytest.raises(DtypeError, match="only an integer tensor can be an index, not float32"):
        operator.index(mg.ones(()))
    for ask in (len, list):
        with pytest.raises(TypeError, match=r"a tensor of shape \(\)"):
            ask(mg.ones(()))


# the graph


def test_requires_grad_of_results_and_leaves():
    x, c = mg.ones(2, requires_grad=True), mg.ones(2)
    y = x * c
    assert y.requires_grad
    assert not y.is_leaf
    assert not (c * 2).requires_grad
    assert c.requires_grad_() is c
    assert (c * 2).requires_grad
    assert not c.requires_grad_(False).requires_grad
    with pytest.raises(GradientError, match="requires_grad can be changed for leaf tensors only"):
        y.requires_grad_(False)


def test_iterating_and_unpacking_carry_gradients():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    a, b = x
    assert mg.grad(a * b, x)[0].tolist() == [2, 1]
    assert mg.grad(sum(x), x)[0].tolist() == [1, 1]


def test_grad_can_be_reset_and_set():
    x = mg.ones(2, requires_grad=True)
    x.grad = mg.tensor([1.0, 2.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [3, 4]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_positive_and_clone_keep_the_gradient():
    x = mg.ones(2, requires_grad=True)
    assert mg.grad((+x).sum(), x)[0].tolist() == [1, 1]
    assert mg.grad(x.clone().sum(), x)[0].tolist() == [1, 1]
    assert mg.tensor([True]).clone().tolist() == [True]
    assert x.detach().clone().is_leaf


@pytest.mark.parametrize("counts", [mg.tensor([2, 0, 1]), numpy.array([2, 0, 1]), [2, 0, 1]])
def test_counts_of_repeat_may_be_a_tensor_or_an_array(counts):
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = mg.repeat(x, counts)
    assert y.tolist() == [1.0, 1.0, 3.0]
    assert mg.grad(y.sum(), x)[0].tolist() == [2.0, 0.0, 1.0]
