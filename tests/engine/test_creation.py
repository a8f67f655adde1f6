"""Functions that make tensors."""

import numpy
import pytest

import minigrad as mg


@pytest.mark.parametrize("shape", [(), 3, (2, 3), [2, 3], (0,), (numpy.int64(2), 1)])
def test_zeros_ones_full(shape):
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for t, value in ((mg.zeros(shape), 0), (mg.ones(shape), 1), (mg.full(shape, 2.5), 2.5)):
        assert t.shape == sizes
        assert t.dtype == mg.float32
        numpy.testing.assert_array_equal(t.numpy(), numpy.full(sizes, value))


def test_a_size_may_be_an_integer_of_numpy():
    size = numpy.int64(3)
    assert [make(size).shape for make in (mg.zeros, mg.rand, mg.randn)] == [(3,)] * 3


def test_full_takes_its_dtype_from_the_value():
    assert mg.full((2,), 3).dtype == mg.int64
    assert mg.full((2,), True).dtype == mg.bool_
    assert mg.full((2,), 3, dtype="float64").dtype == mg.float64
    assert mg.full((2,), numpy.float64(3)).dtype == mg.float64


def test_what_was_made_has_memory_of_its_own():
    t = mg.full((2, 3), 1.0)
    t[0, 0] = 5.0
    assert t.tolist() == [[5, 1, 1], [1, 1, 1]]


def test_like():
    x = mg.zeros((2, 1), dtype="float64")
    for t in (mg.zeros_like(x), mg.ones_like(x), mg.full_like(x, 7.0)):
        assert (t.shape, t.dtype, t.device) == ((2, 1), mg.float64, "cpu")
        assert not t.requires_grad
    assert mg.ones_like(x, dtype="int8").dtype == mg.int8
    assert mg.full_like(mg.arange(2), 1.5, dtype="float32").tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    "args", [(5,), (2, 7), (7, 2, -2), (0,), (3, 3), (0, 1, 0.25), (1.5,), (-1, 1, 0.3), (5, 2)]
)
def test_arange(args):
    t, expected = mg.arange(*args), numpy.arange(*args)
    assert t.dtype == (mg.int64 if expected.dtype.kind == "i" else mg.float32)
    numpy.testing.assert_allclose(t.numpy(), expected, rtol=1e-6)
    assert mg.arange(*args, dtype="float64").dtype == mg.float64


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 5])
def test_linspace(num, endpoint):
    t = mg.linspace(-1, 2, num, endpoint=endpoint)
    assert t.dtype == mg.float32
    numpy.testing.assert_allclose(
        t.numpy(), numpy.linspace(-1, 2, num, endpoint=endpoint), rtol=1e-6
    )


@pytest.mark.parametrize("args", [(3,), (2, 4), (4, 2), (0,)])
@pytest.mark.parametrize("k", [-1, 0, 2])
def test_eye(args, k):
    numpy.testing.assert_array_equal(mg.eye(*args, k=k).numpy(), numpy.eye(*args, k=k))
    assert mg.eye(2, dtype="int32").dtype == mg.int32


def test_requires_grad():
    for t in (
        mg.tensor([1.0], requires_grad=True),
        mg.zeros(2, requires_grad=True),
        mg.ones(2, requires_grad=True),
        mg.full((2,), 1.0, requires_grad=True),
        mg.rand(2, requires_grad=True),
        mg.randn(2, requires_grad=True),
    ):
        assert t.requires_grad
        assert t.is_leaf
        assert t.grad is None


def test_creation_is_never_recorded():
    with mg.no_grad():
        assert mg.ones(2, requires_grad=True).requires_grad  # a leaf is a leaf everywhere


def test_tensor_of_all_kinds_of_data():
    expected = [[1, 2], [3, 4]]
    for data in (
        expected,
        tuple(map(tuple, expected)),
        numpy.array(expected),
        mg.tensor(expected),
        [mg.tensor([1, 2]), mg.tensor([3, 4])],
        [mg.tensor([1, 2]), [3, mg.tensor(4)]],
        [numpy.array([1, 2]), [3, 4]],
        numpy.asfortranarray(expected),
        numpy.array(expected)[::-1][::-1],
    ):
        t = mg.tensor(data)
        assert t.tolist() == expected
        assert t.dtype == mg.int64
    assert mg.tensor(range(3)).tolist() == [0, 1, 2]
    assert mg.tensor([]).shape == (0,)
    assert mg.tensor([[], []]).shape == (2, 0)
    assert mg.tensor(numpy.float32(2)).shape == ()


def test_asarray_copies_only_if_it_has_to():
    t = mg.ones(2)
    assert mg.asarray(t) is t
    assert mg.asarray(t, dtype="float32") is t
    assert mg.asarray(t, device="cpu") is t
    assert mg.asarray(t, dtype="float64").dtype == mg.float64
    assert mg.asarray([1.0]).tolist() == [1]
    x = mg.ones(2, requires_grad=True)
    assert mg.grad(mg.asarray(x, dtype="float64").sum(), x)[0].tolist() == [1, 1]
