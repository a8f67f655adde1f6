"""Initialisers: distributions within stated standard errors, exact bounds, orthogonality, errors.

Seeds are fixed. The mean of n numbers of spread s has a standard error of s / sqrt(n), and their
standard deviation one of s * sqrt((k - 1) / (4 n)), where k is the kurtosis.
"""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.nn import init

ERRORS = 4  # how many standard errors are allowed: exceeded once in 16 000 draws
UNIFORM, NORMAL = 1.8, 3.0  # kurtosis


def tensor(*shape, dtype="float64"):
    return mg.zeros(shape, dtype=dtype)


def assert_spread(values, mean, std, kurtosis):
    n = values.size
    assert abs(values.mean() - mean) < ERRORS * std / math.sqrt(n)
    assert abs(values.std() - std) < ERRORS * std * math.sqrt((kurtosis - 1) / (4 * n))


def filled(function, *shape, dtype="float64", **options):
    x = tensor(*shape, dtype=dtype)
    assert function(x, **options, generator=mg.Generator(3)) is x
    assert x.shape == shape
    assert x.dtype == dtype
    return x.numpy()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-3.0, -1.0), (-0.1, 0.3)])
def test_uniform(a, b, dtype):
    values = filled(init.uniform_, 100, 200, dtype=dtype, a=a, b=b)
    low, high = np.dtype(dtype).type([a, b])
    assert low <= values.min() < values.max() <= high
    assert_spread(values.astype("float64"), (a + b) / 2, (b - a) / math.sqrt(12), UNIFORM)
    n = values.size  # nothing is left out at the ends
    assert values.min() - a < 20 * (b - a) / n + 1e-3
    assert b - values.max() < 20 * (b - a) / n + 1e-3


def test_uniform_between_equal_numbers():
    assert (filled(init.uniform_, 5, a=0.3, b=0.3) == 0.3).all()


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (3.0, 0.1), (-1.0, 0.0)])
def test_normal(mean, std):
    values = filled(init.normal_, 100, 200, mean=mean, std=std)
    if std == 0:
        assert (values == mean).all()
        return
    assert_spread(values, mean, std, NORMAL)
    share = (np.abs(values - mean) > 2 * std).mean()
    expected = math.erfc(math.sqrt(2))
    assert abs(share - expected) < ERRORS * math.sqrt(expected / values.size)


def cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (1.0, 2.0, -0.5, 4.0),
        (0.0, 0.02, -0.04, 0.04),
        (0.0, 1.0, 1.5, 4.0),
        (5.0, 1.0, -2.0, 2.0),  # all of it in one tail
        (0.0, 1.0, 8.0, 9.0),
        (0.0, 1.0, -math.inf, 0.0),
        (0.0, 1.0, -math.inf, math.inf),
    ],
)
def test_trunc_normal(mean, std, a, b):
    values = filled(init.trunc_normal_, 100, 100, mean=mean, std=std, a=a, b=b)
    assert a <= values.min() < values.max() <= b
    # the share below any number is that of the normal distribution between a and b
    low, high = (a - mean) / std, (b - mean) / std
    for x in np.quantile(values, [0.1, 0.3, 0.5, 0.7, 0.9]):
        z, ends = (x - mean) / std, (low, high)
        if low > 0:  # counted from the other side, where probabilities are small and exact
            z, ends = -z, (-high, -low)
        share = (cdf(z) - cdf(ends[0])) / (cdf(ends[1]) - cdf(ends[0]))
        found = (values <= x).mean()
        share = 1 - share if low > 0 else share
        assert abs(found - share) < ERRORS * math.sqrt(share * (1 - share) / values.size)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_trunc_normal_stays_within_its_bounds_after_rounding(dtype):
    values = filled(init.trunc_normal_, 100, 100, dtype=dtype, a=-0.1, b=0.1)
    bound = np.dtype(dtype).type(0.1)
    assert -bound <= values.min() < values.max() <= bound


def test_trunc_normal_between_numbers_that_hardly_differ():
    a = -3.1248047471856033  # the quantile of its own probability is a little smaller
    b = a + 1e-14
    values = filled(init.trunc_normal_, 1000, a=a, b=b)
    assert a <= values.min() <= values.max() <= b


# shape of a weight, fan-in, fan-out
FANS = [((30, 20), 20, 30), ((30, 20, 5), 100, 150), ((10, 20, 3, 5), 300, 150)]


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
def test_fans(shape, fan_in, fan_out):
    assert init.fans(tensor(*shape)) == (fan_in, fan_out)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier(shape, fan_in, fan_out, gain):
    std = gain * math.sqrt(2 / (fan_in + fan_out))
    values = filled(init.xavier_uniform_, *shape, gain=gain)
    assert_spread(values, 0.0, std, UNIFORM)
    bound = math.sqrt(3) * std
    assert 0.95 * bound < np.abs(values).max() <= bound
    np.testing.assert_allclose(
        values, filled(init.uniform_, *shape, a=-bound, b=bound), rtol=1e-12, atol=1e-14
    )
    normal = filled(init.xavier_normal_, *shape, gain=gain)
    assert_spread(normal, 0.0, std, NORMAL)
    np.testing.assert_allclose(normal, filled(init.normal_, *shape, std=std), rtol=1e-12)


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
@pytest.mark.parametrize(
    ("options", "gain"),
    [
        ({}, math.sqrt(2)),
        ({"a": math.sqrt(5)}, math.sqrt(1 / 3)),
        ({"nonlinearity": "relu"}, math.sqrt(2)),
        ({"nonlinearity": "tanh", "mode": "fan_out"}, 5 / 3),
        ({"nonlinearity": "linear", "mode": "fan_in"}, 1.0),
    ],
)
def test_kaiming(shape, fan_in, fan_out, options, gain):
    std = gain / math.sqrt(fan_out if options.get("mode") == "fan_out" else fan_in)
    values = filled(init.kaiming_uniform_, *shape, **options)
    assert_spread(values, 0.0, std, UNIFORM)
    bound = math.sqrt(3) * std
    assert 0.95 * bound < np.abs(values).max() <= bound
    np.testing.assert_allclose(
        values, filled(init.uniform_, *shape, a=-bound, b=bound), rtol=1e-12, atol=1e-14
    )
    normal = filled(init.kaiming_normal_, *shape, **options)
    assert_spread(normal, 0.0, std, NORMAL)
    np.testing.assert_allclose(normal, filled(init.normal_, *shape, std=std), rtol=1e-12)


@pytest.mark.parametrize(
    "shape", [(5, 5), (30, 20), (20, 30), (7, 2, 3), (4, 3, 2, 5), (1, 1), (0, 3), (3, 0)]
)
@pytest.mark.parametrize("gain", [1, 1.7])
def test_orthogonal(shape, gain):
    values = filled(init.orthogonal_, *shape, gain=gain).reshape(shape[0], math.prod(shape[1:]))
    rows, columns = values.shape
    product = values @ values.T if rows < columns else values.T @ values
    np.testing.assert_allclose(product, gain**2 * np.eye(min(values.shape)), atol=1e-12)


def test_orthogonal_matrices_are_equally_likely():
    # without the correction of signs the diagonal of R, and so of Q, would lean to one side
    matrices = [
        init.orthogonal_(tensor(3, 3), generator=mg.Generator(i)).numpy() for i in range(800)
    ]
    mean = np.mean(matrices, axis=0)
    assert np.abs(mean).max() < ERRORS / math.sqrt(3 * 800)  # the variance of an element is 1 / 3
    signs = np.sign([np.linalg.det(m) for m in matrices])
    assert abs(signs.mean()) < ERRORS / math.sqrt(800)


def test_fixed_values():
    x = tensor(2, 3)
    assert init.constant_(x, 0.3) is x
    assert x.tolist() == [[0.3] * 3] * 2
    assert init.ones_(x).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(x).tolist() == [[0.0] * 3] * 2
    assert init.eye_(x).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert init.eye_(tensor(3, 2)).tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


DRAWING = [
    init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.xavier_normal_,
    init.kaiming_uniform_, init.kaiming_normal_, init.orthogonal_,
]  # fmt: skip


@pytest.mark.parametrize("function", DRAWING, ids=lambda function: function.__name__)
def test_what_is_drawn_comes_from_the_generator(function):
    def drawn(generator=None):
        return function(tensor(4, 3), generator=generator).tolist()

    assert drawn(mg.Generator(1)) == drawn(mg.Generator(1))
    assert drawn(mg.Generator(1)) != drawn(mg.Generator(2))
    state = mg.random.get_state()
    drawn(mg.Generator(1))
    assert mg.random.get_state() == state
    first = drawn()
    assert mg.random.get_state() != state
    mg.random.set_state(state)
    assert drawn() == first


@pytest.mark.parametrize("function", DRAWING, ids=lambda function: function.__name__)
def test_parameters_keep_their_dtype_and_stay_leaves(function):
    for dtype in ("float16", "float32", "float64"):
        weight = nn.Parameter(mg.zeros((4, 3), dtype=dtype))
        assert function(weight) is weight
        assert weight.dtype == dtype
        assert weight.requires_grad
        assert weight.is_leaf
        assert np.isfinite(weight.detach().numpy()).all()
        assert (weight != 0).any()


def test_a_pending_backward_notices():
    weight = nn.Parameter([[1.0, 2.0]])
    loss = (weight * weight).sum()
    init.ones_(weight)
    with pytest.raises(mg.errors.GradientError):
        loss.backward()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: init.eye_(tensor(2)), ShapeError,
         "eye_: the tensor has shape (2,); it must have two axes"),
        (lambda: init.uniform_(tensor(2), 1.0, 0.0), ArgumentError,
         "uniform_: a=1.0 and b=0.0 must be finite, and a not larger than b"),
        (lambda: init.uniform_(tensor(2), 0.0, math.inf), ArgumentError,
         "uniform_: a=0.0 and b=inf must be finite, and a not larger than b"),
        (lambda: init.uniform_(tensor(2), math.nan), ArgumentError,
         "uniform_: a=nan and b=1.0 must be finite, and a not larger than b"),
        (lambda: init.normal_(tensor(2), 0.0, -1.0), ArgumentError,
         "normal_: mean=0.0 and std=-1.0 must be finite, and std not negative"),
        (lambda: init.normal_(tensor(2), math.inf), ArgumentError,
         "normal_: mean=inf and std=1.0 must be finite, and std not negative"),
        *((lambda function=function: function([1.0]), TypeError,
           f"{function.__name__}: it fills a tensor in place, not a list")
          for function in (*DRAWING, init.eye_)),
        (lambda: init.constant_([1.0], 2.0), TypeError,
         "constant_: it fills a tensor in place, not a list"),
        (lambda: init.trunc_normal_(tensor(2), std=0.0), ArgumentError,
         "trunc_normal_: std=0.0 must be positive, and a=-2.0 smaller than b=2.0"),
        (lambda: init.trunc_normal_(tensor(2), a=3.0), ArgumentError,
         "trunc_normal_: std=1.0 must be positive, and a=3.0 smaller than b=2.0"),
        (lambda: init.trunc_normal_(tensor(2), a=50.0, b=60.0), ArgumentError,
         ("trunc_normal_: a normal distribution with mean=0.0 and std=1.0 has nothing between a=50.0 "
         "and b=60.0; move them closer to the mean")),
        (lambda: init.kaiming_normal_(tensor(2, 2), mode="fan_inn"), ArgumentError,
         "kaiming_normal_: mode must be 'fan_in' or 'fan_out', not 'fan_inn'; did you mean 'fan_in'?"),
        (lambda: init.kaiming_uniform_(tensor(2, 2), nonlinearity="rellu"), ArgumentError,
         ("calculate_gain: there is no gain for 'rellu', only for linear, conv1d, conv2d, conv3d, "
         "sigmoid, conv_transpose1d, conv_transpose2d, conv_transpose3d, tanh, relu, leaky_relu, "
         "selu; did you mean 'relu'?")),
        *((lambda function=function: function(tensor(3)), ShapeError,
           (f"{function.__name__}: the tensor has shape (3,); it must have two axes or more, "
           "(outputs, inputs, *kernel)")) for function in DRAWING[3:]),
        *((lambda function=function: function(mg.zeros((3, 3), dtype="int64")), DtypeError,
           "the tensor has dtype int64; it must hold floating-point numbers")
          for function in DRAWING),
    ],
)  # fmt: skip
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
