"""Feed-forward layers: their equations in NumPy, gradients by differences, modes, errors."""

import itertools
import math
import pickle
from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, nn
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError, TraceError

TOLERANCE = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(autouse=True)
def float64():
    """Make the parameters of layers in float64."""
    mg.set_default_dtype("float64")
    yield
    mg.set_default_dtype("float32")


def drawn(*shape):
    return np.asarray(np.random.default_rng(0).uniform(-2.5, 2.5, shape))


def distinct(*shape):
    """Return numbers that differ clearly, and stay clear of the kinks at 0 and 1."""
    return np.asarray(
        np.random.default_rng(0).permutation(math.prod(shape)).reshape(shape) * 0.037 - 0.8123
    )


def values(layer):
    return {name: p.detach().numpy() for name, p in layer.named_parameters()}


# the equations


def linear(layer, x):
    p = values(layer)
    return np.einsum("...i,oi->...o", x, p["weight"]) + p.get("bias", 0.0)


def layer_norm(layer, x):
    p = values(layer)
    axes = tuple(range(-len(layer.normalized_shape), 0))
    centred = x - x.mean(axes, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + layer.eps)
    return y * p.get("weight", 1.0) + p.get("bias", 0.0)


def group_norm(layer, x):
    rows = x.reshape(len(x), layer.num_groups, -1)
    return affine(layer, standard(rows, 2, layer.eps).reshape(x.shape))


def batch_norm(layer, x):
    if layer.training or not layer.track_running_stats:
        return affine(layer, standard(x, (0, *range(2, x.ndim)), layer.eps))
    shape = (-1, *(1,) * (x.ndim - 2))
    mean, var = (b.numpy().reshape(shape) for b in (layer.running_mean, layer.running_var))
    return affine(layer, (x - mean) / np.sqrt(var + layer.eps))


def standard(x, axes, eps):
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + eps)


def affine(layer, y):
    p, shape = values(layer), (-1, *(1,) * (y.ndim - 2))
    return y * p.get("weight", np.ones(1)).reshape(shape) + p.get("bias", np.zeros(1)).reshape(
        shape
    )


def evaluated(*args, **kwargs):
    """Return a batch normalisation that has seen batches, in evaluation."""
    layer = nn.BatchNorm1d(*args, **kwargs)
    layer.running_mean.copy_([0.5, -1.25, 0.0, 2.0])
    layer.running_var.copy_([0.25, 2.0, 1.0, 4.0])
    return layer.eval()


def windows(x, kernel, stride, dilation, left, right, border):
    """Yield where each window goes, and its elements with the kernel's axes last."""
    rank = len(kernel)
    pairs = list(zip(left, right, strict=True))
    filled = {"mode": border} if isinstance(border, str) else {"constant_values": border}
    x = np.pad(x, [(0, 0)] * (x.ndim - rank) + pairs, **filled)
    steps = zip(x.shape[-rank:], kernel, stride, dilation, strict=True)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in steps]
    for place in itertools.product(*map(range, counts)):
        parts = zip(place, kernel, stride, dilation, strict=True)
        yield place, x[(..., *(slice(p * s, p * s + d * (k - 1) + 1, d) for p, k, s, d in parts))]


def convolution(layer, x):
    p = values(layer)
    spans = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    left = right = (0,) * len(spans)
    if layer.padding == "same":
        left, right = [n // 2 for n in spans], [n - n // 2 for n in spans]
    elif layer.padding != "valid":
        left = right = layer.padding
    border = {"zeros": 0, "replicate": "edge", "circular": "wrap"}.get(
        layer.padding_mode, "reflect"
    )
    share, made = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    result = {}
    for place, window in windows(
        x, layer.kernel_size, layer.stride, layer.dilation, left, right, border
    ):
        for channel in range(layer.out_channels):
            start = channel // made * share
            axis = x.ndim - len(spans) - 1
            part = np.take(window, range(start, start + share), axis)
            total = (part * p["weight"][channel]).sum(tuple(range(axis, x.ndim)))
            result[(channel, *place)] = total + (p["bias"][channel] if "bias" in p else 0.0)
    counts = [max(axis) + 1 for axis in zip(*result, strict=True)]
    y = np.stack([result[key] for key in np.ndindex(*counts)], -1)
    return y.reshape(*y.shape[:-1], *counts)


def convolution_transpose(layer, x):
    """Add each element times the kernel, element by element."""
    p, rank = values(layer), layer.rank
    steps = list(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True))
    sizes = zip(x.shape[-rank:], steps, layer.output_padding, strict=True)
    size = [(n - 1) * s + d * (k - 1) + 1 + more for n, (k, s, d), more in sizes]
    y = np.zeros((*x.shape[: -rank - 1], layer.out_channels, *size))
    share, made = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    weight = p["weight"]
    for channel, *place in np.ndindex(*x.shape[-rank - 1 :]):
        for output, *inside in np.ndindex(*weight.shape[1:]):
            at = [n * s + i * d for n, i, (_, s, d) in zip(place, inside, steps, strict=True)]
            product = x[(..., channel, *place)] * weight[(channel, output, *inside)]
            y[(..., channel // share * made + output, *at)] += product
    kept = [slice(p, n - p) for p, n in zip(layer.padding, size, strict=True)]
    return y[(..., *kept)] + p.get("bias", np.zeros(1)).reshape(-1, *(1,) * rank)


def pool(reduce, border):
    def pooled(layer, x):
        def each(value):
            return value if isinstance(value, tuple) else (value,) * layer.rank

        kernel, width = each(layer.kernel_size), each(layer.padding)
        dilation = each(getattr(layer, "dilation", 1))
        result = {
            place: reduce(window, tuple(range(-layer.rank, 0)))
            for place, window in windows(
                x, kernel, each(layer.stride), dilation, width, width, border
            )
        }
        counts = [max(axis) + 1 for axis in zip(*result, strict=True)]
        y = np.stack([result[key] for key in np.ndindex(*counts)], -1)
        return y.reshape(*y.shape[:-1], *counts)

    return pooled


def adaptive(layer, x):
    rank = layer.rank
    wanted = (
        layer.output_size if isinstance(layer.output_size, tuple) else (layer.output_size,) * rank
    )
    counts = [n if c is None else c for n, c in zip(x.shape[-rank:], wanted, strict=True)]
    y = np.zeros((*x.shape[:-rank], *counts))
    for place in np.ndindex(*counts):
        ends = zip(place, counts, x.shape[-rank:], strict=True)
        key = [slice(math.floor(i * n / c), math.ceil((i + 1) * n / c)) for i, c, n in ends]
        y[(..., *place)] = x[(..., *key)].mean(tuple(range(-rank, 0)))
    return y


def average(layer, x):
    """Take means of windows in which NaN stands for what does not count."""

    def each(value):
        return value if isinstance(value, tuple) else (value,) * layer.rank

    kernel, width, stride = each(layer.kernel_size), each(layer.padding), each(layer.stride)
    sizes = x.shape[-layer.rank :]
    around = [(0, 0)] * (x.ndim - layer.rank)
    border = 0.0 if layer.count_include_pad else np.nan
    x = np.pad(x, around + [(n, n) for n in width], constant_values=border)
    beyond = [s - 1 if layer.ceil_mode else 0 for s in stride]
    result = {}
    for place, window in windows(x, kernel, stride, each(1), each(0), beyond, np.nan):
        if all(p * s < n + w for p, s, n, w in zip(place, stride, sizes, width, strict=True)):
            axes = tuple(range(-layer.rank, 0))
            divisor = getattr(layer, "divisor_override", None) or (~np.isnan(window)).sum(axes)
            result[place] = np.nansum(window, axes) / divisor
    counts = [max(axis) + 1 for axis in zip(*result, strict=True)]
    y = np.stack([result[key] for key in np.ndindex(*counts)], -1)
    return y.reshape(*y.shape[:-1], *counts)


def each(function):
    """Turn a function of a Python float and the layer into one of an array."""
    return lambda layer, x: np.vectorize(lambda v: function(float(v), layer), otypes=[float])(x)


def softmax(layer, x):
    powers = np.exp(x)
    return powers / powers.sum(layer.dim, keepdims=True)


def prelu(layer, x):
    slope = values(layer)["weight"]
    if slope.size > 1:
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def logistic(x):
    return 1 / (1 + math.exp(-x))


LAYERS = [
    (partial(nn.Linear, 4, 3), linear, (2, 5, 4)),
    (partial(nn.Linear, 4, 3, bias=False), linear, (4,)),
    (partial(nn.LayerNorm, 4), layer_norm, (2, 3, 4)),
    (partial(nn.LayerNorm, (3, 4), 0.1, bias=False), layer_norm, (2, 3, 4)),
    (partial(nn.LayerNorm, [4], elementwise_affine=False), layer_norm, (2, 4)),
    (partial(nn.GroupNorm, 2, 4), group_norm, (3, 4, 2)),
    (partial(nn.GroupNorm, 1, 4, 0.1, bias=False), group_norm, (2, 4)),
    (partial(nn.BatchNorm1d, 4), batch_norm, (5, 4)),
    (partial(nn.BatchNorm1d, 4, 0.1, bias=False), batch_norm, (2, 4, 3)),
    (partial(nn.BatchNorm2d, 3, affine=False), batch_norm, (2, 3, 2, 4)),
    (partial(evaluated, 4), batch_norm, (3, 4)),
    (partial(evaluated, 4, affine=False), batch_norm, (1, 4, 2)),
    (partial(nn.Conv1d, 4, 6, 3), convolution, (2, 4, 9)),
    (partial(nn.Conv1d, 4, 6, 3, 2, 1, 2, 2, False), convolution, (4, 9)),
    (partial(nn.Conv1d, 4, 6, 4, padding="same", dilation=2), convolution, (2, 4, 9)),
    (partial(nn.Conv2d, 4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), convolution, (2, 4, 7, 6)),
    (partial(nn.Conv2d, 2, 3, 2, padding="valid"), convolution, (2, 4, 5)),
    (partial(nn.ConvTranspose1d, 4, 6, 3), convolution_transpose, (2, 4, 5)),
    (partial(nn.ConvTranspose1d, 4, 6, 3, 2, 1, 1, 2, False, 2), convolution_transpose, (4, 5)),
    (
        partial(nn.ConvTranspose2d, 4, 6, (3, 2), (2, 1), (1, 0), 1, 2, dilation=(1, 2)),
        convolution_transpose,
        (2, 4, 3, 2),
    ),
    (partial(nn.MaxPool1d, 3, 2, 1), pool(np.max, -math.inf), (2, 3, 9)),
    (partial(nn.MaxPool2d, (2, 3), dilation=(2, 1)), pool(np.max, -math.inf), (3, 7, 8)),
    (partial(nn.AvgPool1d, 3, 2, 1), pool(np.mean, 0.0), (2, 3, 9)),
    (partial(nn.AvgPool2d, (2, 3)), pool(np.mean, 0.0), (3, 7, 8)),
    (partial(nn.Conv1d, 4, 6, 3, padding=2, padding_mode="reflect"), convolution, (2, 4, 5)),
    (partial(nn.Conv1d, 4, 6, 4, padding="same", padding_mode="circular"), convolution, (4, 5)),
    (partial(nn.Conv2d, 2, 3, 3, 2, (2, 1), padding_mode="replicate"), convolution, (2, 2, 4, 1)),
    (partial(nn.AvgPool1d, 3, 2, 1, True, False), average, (2, 3, 8)),
    (partial(nn.AvgPool1d, 2, 5, 0, True), average, (3, 11)),
    (partial(nn.AvgPool2d, (3, 2), 2, 1, True, True), average, (2, 1, 6, 5)),
    (partial(nn.AvgPool2d, 3, 2, 1, True, False, divisor_override=4), average, (1, 6, 5)),
    (partial(nn.AdaptiveAvgPool1d, 3), adaptive, (2, 3, 7)),
    (partial(nn.AdaptiveAvgPool1d, (5,)), adaptive, (3, 4)),
    (partial(nn.AdaptiveAvgPool2d, (2, None)), adaptive, (2, 1, 6, 5)),
    (partial(nn.AdaptiveAvgPool2d, 1), adaptive, (1, 3, 4)),
    (partial(nn.Identity, 1, a=2), lambda layer, x: x, (2, 3)),
    (partial(nn.Flatten), lambda layer, x: x.reshape(2, 12), (2, 3, 4)),
    (partial(nn.Flatten, 0, 1), lambda layer, x: x.reshape(6, 4), (2, 3, 4)),
    (partial(nn.Unflatten, 1, (2, -1)), lambda layer, x: x.reshape(3, 2, 4), (3, 8)),
    (partial(nn.ReLU), each(lambda x, layer: max(x, 0.0)), (3, 40)),
    (partial(nn.LeakyReLU, 0.2), each(lambda x, layer: x if x > 0 else 0.2 * x), (3, 40)),
    (partial(nn.ELU, 0.5), each(lambda x, layer: x if x > 0 else 0.5 * math.expm1(x)), (3, 40)),
    (partial(nn.GELU), each(lambda x, layer: x * math.erfc(-x / math.sqrt(2)) / 2), (3, 40)),
    (
        partial(nn.GELU, "tanh"),
        each(lambda x, layer: x * logistic(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))),
        (3, 40),
    ),
    (partial(nn.SiLU), each(lambda x, layer: x * logistic(x)), (3, 40)),
    (partial(nn.Softplus), each(lambda x, layer: math.log1p(math.exp(x))), (3, 40)),
    (
        partial(nn.Softplus, 2.0, 1.5),
        each(lambda x, layer: x if 2 * x > 1.5 else math.log1p(math.exp(2 * x)) / 2),
        (3, 40),
    ),
    (partial(nn.Softsign), each(lambda x, layer: x / (1 + abs(x))), (3, 40)),
    (partial(nn.Sigmoid), each(lambda x, layer: logistic(x)), (3, 40)),
    (partial(nn.Tanh), each(lambda x, layer: math.tanh(x)), (3, 40)),
    (partial(nn.Hardtanh, -0.5, 2.0), each(lambda x, layer: min(max(x, -0.5), 2.0)), (3, 40)),
    (partial(nn.Hardsigmoid), each(lambda x, layer: min(max(x / 6 + 0.5, 0.0), 1.0)), (3, 40)),
    (partial(nn.Softmax, 1), softmax, (2, 3, 4)),
    (partial(nn.LogSoftmax, dim=-2), lambda layer, x: np.log(softmax(layer, x)), (2, 3, 4)),
    (partial(nn.PReLU), prelu, (2, 3, 4)),
    (partial(nn.PReLU, 3, 0.1), prelu, (2, 3, 4)),
]


def described(make):
    options = [*map(str, make.args), *(f"{k}={v}" for k, v in make.keywords.items())]
    return f"{make.func.__name__}({', '.join(options)})"


CASES = pytest.mark.parametrize(
    ("make", "equation", "shape"), LAYERS, ids=[described(make) for make, *_ in LAYERS]
)


@CASES
def test_layers_compute_their_equations(make, equation, shape):
    layer = make()
    for x in (drawn(*shape), distinct(*shape)):
        np.testing.assert_allclose(
            layer(mg.tensor(x)).detach().numpy(), equation(layer, x), **TOLERANCE
        )


@CASES
def test_gradients_are_those_of_differences(make, equation, shape):
    layer, rng = make(), np.random.default_rng(1)
    x = nn.Parameter(distinct(*shape))
    weight = rng.normal(size=layer(x).shape)
    leaves = [x, *layer.parameters()]
    gradients = mg.grad((layer(x) * mg.tensor(weight)).sum(), leaves)
    step = 1e-6
    for leaf, gradient in zip(leaves, gradients, strict=True):
        start, direction = leaf.detach().numpy(), rng.normal(size=leaf.shape)
        ends = []
        for sign in (1, -1):
            leaf.copy_(mg.tensor(start + sign * step * direction))
            ends.append((equation(layer, x.detach().numpy()) * weight).sum())
        leaf.copy_(mg.tensor(start))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert (gradient.numpy() * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-7)


@CASES
@pytest.mark.parametrize(("dtype", "step"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_layers_in_half_precision_round_once(make, equation, shape, dtype, step):
    layer = make().to(dtype)
    x = nn.Parameter(mg.tensor(drawn(*shape), dtype=dtype))
    wide = make()
    for parameter, rounded in zip(wide.parameters(), layer.parameters(), strict=True):
        parameter.copy_(rounded.detach().astype("float64"))
    y, exact = layer(x), nn.Parameter(x.detach().astype("float64"))
    assert y.dtype == dtype
    expected = equation(wide, exact.detach().numpy())
    np.testing.assert_allclose(
        y.detach().astype("float64").numpy(), expected, rtol=1.01 * step, atol=1e-6
    )
    found = mg.grad(y.sum(), [x, *layer.parameters()])
    slopes = mg.grad(wide(exact).sum(), [exact, *wide.parameters()])
    for gradient, slope in zip(found, slopes, strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_allclose(
            gradient.astype("float64").numpy(), slope.numpy(), rtol=8 * step, atol=8 * step
        )


@CASES
def test_layers_are_pickled(make, equation, shape):
    layer, x = make(), mg.tensor(drawn(*shape))
    again = pickle.loads(pickle.dumps(layer))
    assert repr(again) == repr(layer)
    np.testing.assert_array_equal(again(x).detach().numpy(), layer(x).detach().numpy())


# parameters

MAKERS = [
    partial(nn.Linear, 30, 20),
    partial(nn.Embedding, 30, 20),
    partial(nn.LayerNorm, 20),
    partial(nn.GroupNorm, 4, 20),
    partial(nn.BatchNorm1d, 20),
    partial(nn.Conv1d, 4, 6, 3, groups=2),
    partial(nn.Conv2d, 4, 6, (3, 2)),
    partial(nn.ConvTranspose1d, 4, 6, 3, groups=2),
    partial(nn.ConvTranspose2d, 4, 6, (3, 2)),
    partial(nn.PReLU, 4),
]


@pytest.mark.parametrize("make", MAKERS, ids=described)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_parameters_are_made_with_the_dtype_and_on_the_device_given(make, dtype):
    layer = make(dtype=dtype, device="cpu")
    assert all(p.dtype == dtype and p.device == "cpu" for p in layer.parameters())
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in layer.parameters())
    assert all(p.dtype == "float64" for p in make().parameters())


@pytest.mark.parametrize("make", MAKERS, ids=described)
def test_parameters_are_drawn_anew_in_place(make):
    layer = make()
    before = {name: (p, p.tolist()) for name, p in layer.named_parameters()}
    constant = isinstance(layer, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.PReLU))
    for parameter in layer.parameters():
        if constant:
            parameter.copy_(7.0)
    layer.reset_parameters()
    for name, parameter in layer.named_parameters():
        same, content = before[name]
        assert parameter is same
        assert (parameter.tolist() == content) == constant


@pytest.mark.parametrize(
    ("make", "width"),
    [
        (partial(nn.Linear, 100, 300), 100),
        (partial(nn.Conv1d, 20, 300, 5), 100),
        (partial(nn.Conv2d, 40, 300, (2, 5), groups=4), 100),
        (partial(nn.ConvTranspose1d, 300, 20, 5), 100),
        (partial(nn.ConvTranspose2d, 300, 40, (2, 5), groups=4), 100),
        (partial(nn.LSTM, 50, 100, 2, proj_size=60, bidirectional=True), 100),  # hidden_size
        (partial(nn.GRUCell, 50, 100), 100),
    ],
)
def test_weights_and_biases_are_even_up_to_one_over_the_root_of_the_width(make, width):
    bound = width**-0.5
    for p in values(make()).values():
        assert 0.95 * bound < np.abs(p).max() <= bound
        n = p.size  # four standard errors; the kurtosis is 1.8
        assert abs(p.mean()) < 4 * bound / math.sqrt(3 * n)
        assert abs(p.std() - bound / math.sqrt(3)) < 4 * bound / math.sqrt(3) * math.sqrt(0.2 / n)


# embedding


def test_an_embedding_is_a_row_for_each_index():
    layer = nn.Embedding(6, 3)
    table = layer.weight.detach().numpy()
    for indices in (np.array([[0, 5, 5], [2, 1, 0]]), np.array(3), np.zeros((2, 0), int)):
        np.testing.assert_array_equal(layer(mg.tensor(indices)).detach().numpy(), table[indices])
    n = 300 * 64
    weight = nn.Embedding(300, 64).weight.detach().numpy()
    assert abs(weight.mean()) < 4 / math.sqrt(n)
    assert abs(weight.std() - 1) < 4 / math.sqrt(2 * n)


@pytest.mark.parametrize("padding_idx", [0, 3, -1])
def test_the_row_for_padding_is_zero_and_never_trained(padding_idx):
    layer = nn.Embedding(4, 3, padding_idx)
    row = padding_idx % 4
    assert layer.padding_idx == row
    others = [i for i in range(4) if i != row]
    for _ in range(2):
        assert layer.weight[row].tolist() == [0.0] * 3
        assert (layer.weight[mg.tensor(others)] != 0).all()
        layer.reset_parameters()
    layer(mg.tensor([0, 1, 1, 2, 3, 3])).sum().backward()
    counts = np.array([1.0, 2.0, 1.0, 2.0])
    counts[row] = 0
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.repeat(counts[:, None], 3, 1))


def test_a_pretrained_embedding_copies_its_table_and_draws_nothing():
    table = mg.tensor(drawn(4, 3), dtype="float32")
    state = mg.random.get_state()
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert mg.random.get_state() == state
    np.testing.assert_array_equal(layer.weight.numpy(), table.numpy())  # the row for padding too
    assert not layer.weight.requires_grad
    assert layer.weight.dtype == "float32"
    before = layer.weight.tolist()
    table[0] = 7.0
    assert layer.weight.tolist() == before
    assert nn.Embedding.from_pretrained(drawn(4, 3)).weight.tolist() == drawn(4, 3).tolist()
    trained = nn.Embedding.from_pretrained(nn.Parameter(table), freeze=False)
    trained(mg.tensor([0])).sum().backward()
    assert trained.weight.grad.numpy()[0].tolist() == [1.0] * 3


def test_rows_are_scaled_down_where_they_are_looked_up_and_gradients_by_how_often():
    table = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    layer = nn.Embedding.from_pretrained(table, freeze=False, max_norm=1.0, scale_grad_by_freq=True)
    found = layer(mg.tensor([[0, 1], [0, 0]]))
    np.testing.assert_allclose(found[:, 0].detach().numpy(), [[0.6, 0.8]] * 2, rtol=1e-7)
    np.testing.assert_array_equal(found[0, 1].detach().numpy(), table[1])
    np.testing.assert_array_equal(layer.weight[2].detach().numpy(), table[2])  # was not looked up
    found.sum().backward()
    assert layer.weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
    again = layer(mg.tensor([0]))  # is not above the norm any more
    np.testing.assert_array_equal(again.detach().numpy(), found[0, :1].detach().numpy())


def test_rows_cannot_be_scaled_down_in_the_step_of_a_loop():
    layer = nn.Embedding(3, 2, max_norm=1.0)

    def step(x, h):
        return (layer(x) + h,)

    with pytest.raises(
        TraceError, match="Embedding with max_norm changes its weight, which a traced"
    ):
        kernels.scan(step, mg.zeros((3, 2), dtype="int64"), (mg.zeros((2, 2)),))


# dropout


def test_dropout_does_nothing_in_evaluation_or_with_p_0():
    x = mg.tensor(drawn(3, 4))
    state = mg.random.get_state()
    assert nn.Dropout(0.9).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert mg.random.get_state() == state


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_a_share_and_scales_the_rest(p):
    x = nn.Parameter(drawn(100, 100) + 5)
    y = nn.Dropout(p, generator=mg.Generator(1))(x)
    found, given = y.detach().numpy(), x.detach().numpy()
    dropped = found == 0
    assert abs(dropped.mean() - p) < 4 * math.sqrt(p * (1 - p) / x.size)  # standard errors
    np.testing.assert_allclose(found[~dropped], given[~dropped] / (1 - p), rtol=1e-15)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(dropped, 0, 1 / (1 - p)), rtol=1e-15)


def test_dropout_of_everything():
    y = nn.Dropout(1.0)(mg.tensor([1.0, math.nan, math.inf]))
    assert y.tolist() == [0.0, 0.0, 0.0]


def test_dropout_draws_from_its_generator_and_else_from_the_global_one():
    x = mg.ones((5, 5))

    def drawn_by(seed):
        layer = nn.Dropout(0.5, generator=mg.Generator(seed))
        return [layer(x).tolist() for _ in range(2)]

    state = mg.random.get_state()
    assert drawn_by(1) == drawn_by(1) != drawn_by(2)
    assert drawn_by(1)[0] != drawn_by(1)[1]
    assert mg.random.get_state() == state
    layer = nn.Dropout(0.5)
    first = layer(x).tolist()
    mg.random.set_state(state)
    assert layer(x).tolist() == first


def test_dropout_in_the_step_of_a_loop_is_refused_in_training():
    layer, x = nn.Dropout(0.5), mg.ones((3, 2, 4))

    def step(x, h):
        return (layer(x) + h,)

    with pytest.raises(TraceError) as caught:
        kernels.scan(step, x, (mg.zeros((2, 4)),))
    assert "Dropout draws random numbers, which a traced step cannot" in str(caught.value)
    assert "pass it to the step, and call minigrad.dropout(x, mask)" in str(caught.value)
    layer.eval()
    outputs, _ = kernels.scan(step, x, (mg.zeros((2, 4)),))
    np.testing.assert_array_equal(outputs.numpy(), np.cumsum(np.ones((3, 2, 4)), 0))


def test_sizes_may_be_integers_of_numpy():
    two, three = np.int64(2), np.int32(3)
    layers = [nn.Linear(two, three), nn.Embedding(two, three), nn.LayerNorm((two, three)),
              nn.Conv1d(two, three, two), nn.PReLU(three), nn.MaxPool1d(three)]  # fmt: skip
    same = [nn.Linear(2, 3), nn.Embedding(2, 3), nn.LayerNorm((2, 3)),
            nn.Conv1d(2, 3, 2), nn.PReLU(3), nn.MaxPool1d(3)]  # fmt: skip
    assert [repr(layer) for layer in layers] == [repr(layer) for layer in same]


# errors


def tensor(*shape, dtype=None):
    return mg.zeros(shape, dtype=dtype)


def integers(*shape):
    return tensor(*shape, dtype="int64")


FLOATING = (
    "the input has dtype int64; it must hold floating-point numbers, convert it with "
    ".astype('float32')"
)
ERRORS = [
    # sizes
    (lambda: nn.Linear(0, 3), ArgumentError,
     "Linear: in_features must be a positive integer, not 0"),
    (lambda: nn.Linear(3, 2.0), ArgumentError,
     "Linear: out_features must be a positive integer, not 2.0"),
    (lambda: nn.Linear(3, 2, 4), ArgumentError,
     "Linear: bias must be True or False, not 4; pass what follows the sizes by name"),
    (lambda: nn.Conv1d(3, 4, 2, bias="zeros"), ArgumentError,
     "Conv1d: bias must be True or False, not 'zeros'"),
    (lambda: nn.LayerNorm(3, 1e-5, 3), ArgumentError,
     "LayerNorm: elementwise_affine must be True or False, not 3"),
    (lambda: nn.LayerNorm(3, bias=None), ArgumentError,
     "LayerNorm: bias must be True or False, not None"),
    (lambda: nn.Embedding(3, -1), ArgumentError,
     "Embedding: embedding_dim must be a positive integer, not -1"),
    (lambda: nn.Embedding(3, 2, 3), ArgumentError,
     "Embedding: padding_idx is 3, but there are 3 rows; give an integer from -3 to 2"),
    (lambda: nn.Embedding(3, 2, 1.0), ArgumentError,
     "Embedding: padding_idx is 1.0, but there are 3 rows; give an integer from -3 to 2"),
    (lambda: nn.Flatten()([1, 2]), TypeError,
     "Flatten: the input must be a tensor or an array, not a list; convert it with minigrad"),
    (lambda: nn.Unflatten(0, (1, 2))([1, 2]), TypeError,
     "Unflatten: the input must be a tensor or an array, not a list; convert it with minigrad"),
    (lambda: nn.Embedding.from_pretrained(tensor(3)), ShapeError,
     ("Embedding.from_pretrained: embeddings has shape (3,); it must be (num_embeddings, "
     "embedding_dim)")),
    (lambda: nn.LayerNorm((3, 0)), ArgumentError,
     "LayerNorm: normalized_shape must be a positive integer, not 0"),
    (lambda: nn.LayerNorm(()), ArgumentError,
     "LayerNorm: normalized_shape is empty; give one size or more"),
    (lambda: nn.LayerNorm(3, -1.0), ArgumentError,
     "LayerNorm: eps must be a number, 0 or more, not -1.0"),
    (lambda: nn.GroupNorm(3, 4), ArgumentError, "GroupNorm: num_groups=3 must divide num_channels=4"),
    (lambda: nn.BatchNorm1d(3, momentum=2), ArgumentError,
     "BatchNorm1d: momentum must be a number from 0 to 1, not 2"),
    (lambda: nn.BatchNorm2d(3, 1e-5, 0.1, 1), ArgumentError,
     "BatchNorm2d: affine must be True or False, not 1"),
    (lambda: nn.Conv1d(3, True, 2), ArgumentError,
     "Conv1d: out_channels must be a positive integer, not True"),
    (lambda: nn.Conv1d(3, 4, 2, groups=2), ArgumentError,
     "Conv1d: groups=2 must divide in_channels=3 and out_channels=4"),
    (lambda: nn.Conv1d(3, 4, 0), ArgumentError,
     "Conv1d: kernel_size must be an integer >= 1, not 0"),
    (lambda: nn.Conv2d(3, 4, (2, 2, 2)), ArgumentError,
     "Conv2d: kernel_size must be an integer or a tuple of 2 integers >= 1, not (2, 2, 2)"),
    (lambda: nn.Conv2d(3, 4, 2, 0), ArgumentError,
     "Conv2d: stride must be an integer or a tuple of 2 integers >= 1, not 0"),
    (lambda: nn.Conv1d(3, 4, 2, padding="some"), ArgumentError,
     "Conv1d: padding must be 'same', 'valid' or numbers, not 'some'; did you mean 'same'?"),
    (lambda: nn.Conv1d(3, 4, 2, 2, "same"), ArgumentError,
     "Conv1d: padding='same' needs stride 1, not (2,); give the padding in numbers"),
    (lambda: nn.ConvTranspose1d(3, 4, 2, groups=2), ArgumentError,
     "ConvTranspose1d: groups=2 must divide in_channels=3 and out_channels=4"),
    (lambda: nn.ConvTranspose1d(3, 4, 2, padding="same"), ArgumentError,
     "ConvTranspose1d: padding must be an integer >= 0, not 'same'"),
    (lambda: nn.ConvTranspose2d(3, 4, 2, (2, 1), output_padding=1), ArgumentError,
     "ConvTranspose2d: output_padding (1, 1) must be smaller than the stride (2, 1) or the dilation"),
    (lambda: nn.MaxPool1d(2, padding=2), ArgumentError,
     "MaxPool1d: padding 2 is more than half of kernel_size 2; use less"),
    (lambda: nn.MaxPool2d(2, dilation=0), ArgumentError,
     "MaxPool2d: dilation must be an integer or a tuple of 2 integers >= 1, not 0"),
    (lambda: nn.AvgPool2d(0), ArgumentError,
     "AvgPool2d: kernel_size must be an integer or a tuple of 2 integers >= 1, not 0"),
    (lambda: nn.AvgPool1d(2, 2, 0, 1), ArgumentError,
     "AvgPool1d: ceil_mode must be True or False, not 1"),
    (lambda: nn.AvgPool2d(2, count_include_pad=None), ArgumentError,
     "AvgPool2d: count_include_pad must be True or False, not None"),
    (lambda: nn.MaxPool1d(2, ceil_mode=0), ArgumentError,
     "MaxPool1d: ceil_mode must be True or False, not 0"),
    *((lambda divisor=divisor: nn.AvgPool2d(2, divisor_override=divisor), ArgumentError,
       f"AvgPool2d: divisor_override must be an integer other than 0, or None, not {divisor}")
      for divisor in (0, True, 2.0)),
    (lambda: nn.Conv1d(1, 1, 3, padding_mode="relect"), ArgumentError,
     "Conv1d: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', not 'relect'; did"),
    (lambda: nn.Conv1d(1, 1, 3, padding=3, padding_mode="reflect")(tensor(1, 3)), ShapeError,
     "Conv1d: a reflect border of 3 is too wide for an axis of size 3; it may be 2, use less padding"),
    (lambda: nn.Conv2d(1, 1, 3, padding=4, padding_mode="circular")(tensor(1, 4, 3)), ShapeError,
     "Conv2d: a circular border of 4 is too wide for an axis of size 3; it may be 3, use less padding"),
    (lambda: nn.Conv1d(1, 1, 1, padding=1, padding_mode="replicate")(tensor(1, 0)), ShapeError,
     "Conv1d: a replicate border of 1 is too wide for an axis of size 0; it may be 0, use less padding"),
    (lambda: nn.Embedding(3, 2, max_norm=-1.0), ArgumentError,
     "Embedding: max_norm must be a number, 0 or more, not -1.0"),
    (lambda: nn.Embedding(3, 2, norm_type="2"), ArgumentError,
     "Embedding: norm_type must be a number, not '2'"),
    (lambda: nn.Embedding(3, 2, scale_grad_by_freq=1.0), ArgumentError,
     "Embedding: scale_grad_by_freq must be True or False, not 1.0"),
    (lambda: nn.Embedding(3, 2, max_norm=1.0)(mg.tensor([0, 3])), IndexingError,
     "the indices run from 0 to 3"),
    (lambda: nn.AdaptiveAvgPool1d((1, 2)), ArgumentError,
     "AdaptiveAvgPool1d: output_size must be an integer >= 0, or None to keep the size, not (1, 2)"),
    (lambda: nn.AdaptiveAvgPool2d((1, "2")), ArgumentError,
     "AdaptiveAvgPool2d: output_size must be an integer >= 0, or None to keep the size, or 2 of them, n"),
    (lambda: nn.AdaptiveAvgPool2d(2)(tensor(3, 0, 2)), ShapeError,
     "adaptive_avg_pool2d: x has shape (3, 0, 2), and no element to take a mean of"),
    (lambda: mg.prelu(tensor(2, 3), tensor(2)), ShapeError,
     "prelu: weight has shape (2,); x of shape (2, 3) has 3 channels on axis 1, so it must be (3,), or"),
    (lambda: mg.prelu(tensor(2, 3), tensor(3, 1)), ShapeError, "prelu: weight has shape (3, 1)"),
    (lambda: nn.PReLU(0), ArgumentError, "PReLU: num_parameters must be a positive integer, not 0"),
    (lambda: nn.Dropout(1.5), ArgumentError,
     "Dropout: p is the probability to drop an element and must lie between 0 and 1, not 1.5"),
    (lambda: nn.Dropout(math.nan), ArgumentError,
     "Dropout: p is the probability to drop an element and must lie between 0 and 1, not nan"),
    (lambda: nn.Dropout("half"), ArgumentError,
     "Dropout: p is the probability to drop an element and must lie between 0 and 1, not 'half'"),
    (lambda: nn.GELU("tan"), ArgumentError, "GELU: approximate must be 'none' or 'tanh', not 'tan'"),
    (lambda: nn.Hardtanh(1.0, 1.0), ArgumentError,
     "Hardtanh: min_val=1.0 must be smaller than max_val=1.0"),
    (lambda: nn.Softplus(0), ArgumentError, "Softplus: beta must not be 0"),
    (nn.Softmax, ArgumentError,
     "Softmax: give dim, the axis whose elements are to add up to 1; -1 is the last one"),
    (lambda: nn.Unflatten(1, 3), ArgumentError,
     "Unflatten: unflattened_size must be a tuple of sizes, not 3"),
    (lambda: nn.Unflatten(1, ()), ArgumentError,
     "Unflatten: unflattened_size must be a tuple of sizes, not ()"),
    # shapes
    (lambda: nn.Linear(3, 2)(tensor(4, 5)), ShapeError,
     "Linear: the input has shape (4, 5); it must be (..., in_features) with in_features=3"),
    (lambda: nn.Linear(3, 2)(tensor()), ShapeError,
     "Linear: the input has shape (); it must be (..., in_features) with in_features=3"),
    (lambda: nn.LayerNorm(3)(tensor(3, 2)), ShapeError,
     "layer_norm: x has shape (3, 2), which does not end in normalized_shape (3,)"),
    (lambda: nn.GroupNorm(1, 3)(tensor(3)), ShapeError,
     "GroupNorm: the input has shape (3,); it must be (N, num_channels, ...) with num_channels=3"),
    (lambda: nn.GroupNorm(3, 3)(tensor(1, 3)), ShapeError,
     "group_norm: x has shape (1, 3), so that each of 3 groups is one number, which has no variance"),
    (lambda: mg.group_norm(tensor(2, 3), 2), ShapeError,
     "group_norm: x has shape (2, 3); num_groups=2 must divide its 3 channels"),
    (lambda: nn.BatchNorm1d(3)(tensor(2, 4)), ShapeError,
     "BatchNorm1d: the input has shape (2, 4); it must be (N, num_features) or (N, num_features, L)"),
    (lambda: nn.BatchNorm2d(3)(tensor(3, 4, 4)), ShapeError,
     "BatchNorm2d: the input has shape (3, 4, 4); it must be (N, num_features, H, W) with"),
    (lambda: nn.BatchNorm1d(3)(tensor(1, 3)), ShapeError,
     "BatchNorm1d: x has shape (1, 3), one number for each channel, which has no variance; give more"),
    (lambda: nn.BatchNorm1d(3, track_running_stats=False).eval()(tensor(1, 3, 1)), ShapeError,
     "BatchNorm1d: x has shape (1, 3, 1), one number for each channel, which has no variance"),
    (lambda: mg.batch_norm(tensor(2, 3), tensor(3)), ArgumentError,
     "batch_norm: running_mean and running_var belong together; give both, or neither"),
    (lambda: mg.batch_norm(tensor(2, 3), tensor(3), tensor(2)), ShapeError,
     "batch_norm: running_var has shape (2,); x of shape (2, 3) has 3 channels, so it must be (3,)"),
    (lambda: nn.Conv1d(3, 2, 2)(tensor(4, 5)), ShapeError,
     ("Conv1d: the input has shape (4, 5); it must be (N, in_channels, L), or (in_channels, L) "
     "without a batch, with in_channels=3")),
    (lambda: nn.Conv2d(3, 2, 2)(tensor(3, 5)), ShapeError,
     ("Conv2d: the input has shape (3, 5); it must be (N, in_channels, H, W), or (in_channels, H, W) "
     "without a batch, with in_channels=3")),
    (lambda: nn.ConvTranspose1d(3, 2, 2)(tensor(4, 5)), ShapeError,
     ("ConvTranspose1d: the input has shape (4, 5); it must be (N, in_channels, L), or (in_channels, L) "
     "without a batch, with in_channels=3")),
    (lambda: nn.ConvTranspose1d(3, 2, 2, padding=1)(tensor(3, 1)), ShapeError,
     "conv_transpose1d: x of size (1,) with padding (1,) leaves a result of size (0,); give a larger x"),
    (lambda: nn.ConvTranspose1d(3, 2, 2)(tensor(3, 0)), ShapeError,
     "conv_transpose1d: x of size (0,) with padding (0,) leaves"),
    (lambda: nn.ConvTranspose1d(3, 2, 3, 2)(tensor(3, 4), 8), ShapeError,
     "ConvTranspose1d: an input of shape (3, 4) gives a result of sizes from (9,) to (10,), not outp"),
    (lambda: nn.ConvTranspose1d(3, 2, 3, 2)(tensor(3, 4), "9"), ArgumentError,
     "ConvTranspose1d: output_size must be an integer >= 1, not '9'"),
    (lambda: nn.Conv1d(3, 2, 6)(tensor(3, 5)), ShapeError,
     ("conv1d: a kernel that spans (6,) does not fit an input of size (5,); use padding or a smaller "
     "kernel")),
    (lambda: nn.MaxPool1d(6)(tensor(3, 5)), ShapeError,
     "max_pool1d: a kernel that spans (6,) does not fit an input of size (5,)"),
    (lambda: nn.AvgPool2d(2)(tensor(3, 5)), ShapeError,
     "avg_pool2d: x has shape (3, 5); it must be (N, C, H, W), or (C, H, W) without a batch"),
    (lambda: nn.PReLU(3)(tensor(4, 2)), ShapeError,
     "PReLU: the input has shape (4, 2); it must be (N, num_parameters, ...) with num_parameters=3"),
    (lambda: nn.Flatten(2, 1)(tensor(2, 3, 4)), ShapeError,
     "Flatten: start_dim=2 comes after end_dim=1 in an input of shape (2, 3, 4)"),
    (lambda: nn.Flatten()(tensor(2)), ShapeError, "Flatten"),
    (lambda: nn.Unflatten(1, (2, 2))(tensor(2, 3)), ShapeError,
     "Unflatten: axis 1 of an input of shape (2, 3) has size 3, which cannot be split into (2, 2)"),
    (lambda: nn.Unflatten(1, (-1, -1))(tensor(2, 3)), ShapeError,
     "Unflatten: axis 1 of an input of shape (2, 3) has size 3, which cannot be split into (-1, -1)"),
    (lambda: nn.Unflatten(1, (0, -1))(tensor(2, 0)), ShapeError,
     "Unflatten: axis 1 of an input of shape (2, 0) has size 0, which cannot be split into (0, -1)"),
    (lambda: nn.Softmax(2)(tensor(2, 3)), ShapeError, "softmax"),
    # dtypes and indices
    *((lambda make=make: make()(integers(2, 4, 4)), DtypeError, f"{make.func.__name__}: {FLOATING}")
      for make in (partial(nn.Linear, 4, 2), partial(nn.LayerNorm, 4), partial(nn.Conv1d, 4, 2, 2),
                   partial(nn.MaxPool1d, 2), partial(nn.AvgPool1d, 2), partial(nn.Dropout),
                   partial(nn.ReLU), partial(nn.Softmax, 1), partial(nn.PReLU))),
    (lambda: nn.AdaptiveAvgPool1d(2)(integers(2, 4)), DtypeError, f"AdaptiveAvgPool1d: {FLOATING}"),
    (lambda: nn.Linear(2, 2)([[1.0, 2.0]]), TypeError,
     "Linear: the input must be a tensor or an array, not a list; convert it with minigrad"),
    (lambda: nn.Embedding(3, 2)(tensor(2)), DtypeError,
     'indices must be integers; convert them with .astype("int64")'),
    (lambda: nn.Embedding(3, 2)(mg.tensor([0, 3])), IndexingError,
     "the indices run from 0 to 3; with 3 rows of weight they must lie between 0 and 2"),
    (lambda: nn.Embedding(3, 2, 0)(mg.tensor([-1])), IndexingError,
     "the indices run from -1 to -1; with 3 rows of weight they must lie between 0 and 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
