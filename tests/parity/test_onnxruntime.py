"""Results beside those of onnxruntime, a second judge besides PyTorch: models of one node each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels import scan

onnx = pytest.importorskip("onnx")  # --parity=require refuses to start without the two
onnxruntime = pytest.importorskip("onnxruntime")

OPSET, IR_VERSION = 23, 11  # both older than the pinned onnxruntime

# Nodes that onnxruntime computes in float32 only, or (tanh-Gelu) with constants of float32.
FLOAT32_ONLY = {
    "AveragePool", "Conv", "Elu", "Erf", "Gelu", "HardSigmoid", "LeakyRelu",
    "Softplus", "Softsign",
}  # fmt: skip

# Both sides call exp, tanh and the like, which are right to about 1 unit in the last place, a few times,
# and add in their own order. So they differ by a few last places of the largest number that was added
# on the way: `Case.terms` if that is larger than the result. Largest seen: 2.
ULPS = 4


def run(node_type, inputs, outputs, **attributes):
    """Run a model of one node in onnxruntime. An input that is None is left out."""
    given = {f"in{i}": array for i, array in enumerate(inputs) if array is not None}
    names = [f"in{i}" if f"in{i}" in given else "" for i in range(len(inputs))]
    wanted = [f"out{i}" for i in range(outputs)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(node_type, names, wanted, **attributes)],
        node_type,
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in wanted],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(wanted, given)


def assert_close(ours, theirs, terms):
    """Compare dtypes, shapes and values: exactly where they are integers."""
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs)
        return
    limits = np.finfo(ours.dtype)
    size = np.maximum(np.abs(theirs), max(terms, limits.tiny))
    np.testing.assert_allclose(ours / size, theirs / size, rtol=0, atol=ULPS * limits.eps)


@dataclass(frozen=True)
class Case:
    """A node, our equal of it, and the arrays to compare them on (floats in each dtype)."""

    node: str
    ours: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    options: tuple[np.ndarray, ...]  # further inputs of the node, which `ours` has built in
    attributes: dict[str, Any]
    terms: float  # the size of what was added to get the result; 0 if nothing cancels
    dtypes: tuple[str, ...]

    def __str__(self):
        return "-".join([self.node, *(f"{k}={v}" for k, v in self.attributes.items())])


def case(node, ours, *arrays, options=(), terms=0.0, dtypes=None, **attributes):
    if dtypes is None:
        dtypes = ("float32",) if node in FLOAT32_ONLY else ("float32", "float64")
    return Case(node, ours, arrays, tuple(map(np.asarray, options)), attributes, terms, dtypes)


_rng = np.random.default_rng(20)


def real(*shape, rng=_rng):
    return rng.uniform(-2, 2, shape)


def whole(*shape, below):
    return _rng.integers(0, below, shape)


LINE = np.concatenate([np.linspace(-8, 8, 97), [-100.0, 100.0, 1e-6, -1e-6]])
X = real(2, 3, 4)
PLACES = whole(2, 3, 4, below=2)


def norm(x, *weights, axis, eps=None, **given):
    options = {} if eps is None else {"eps": eps}
    ours = lambda x, *weights: mg.layer_norm(x, x.shape[axis:], *weights, **options)
    attributes = {"axis": axis} if eps is None else {"axis": axis, "epsilon": eps}
    return case("LayerNormalization", ours, x, *weights, terms=4, **attributes, **given)


def conv(x, *weights, stride, padding, dilation, groups=1):
    function = mg.conv1d if x.ndim == 3 else mg.conv2d
    ours = partial(function, stride=stride, padding=padding, dilation=dilation, groups=groups)
    attributes = {"strides": stride, "pads": padding * 2, "dilations": dilation, "group": groups}
    return case("Conv", ours, x, *weights, terms=16, **attributes)


def pool(node, function, x, kernel, stride, padding):
    ours = partial(function, kernel_size=kernel, stride=stride, padding=padding)
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
    if node == "AveragePool":
        attributes["count_include_pad"] = 1
    return case(node, ours, x, terms=2, **attributes)


def loss(shape, *weight, **attributes):
    ours = partial(mg.cross_entropy, **attributes)
    labels = whole(shape[0], *shape[2:], below=shape[1])
    return case(
        "SoftmaxCrossEntropyLoss", ours, real(*shape), labels, *weight, terms=4, **attributes
    )


CASES = [
    # elementwise
    case("Erf", mg.erf, LINE),
    case("Gelu", mg.gelu, LINE, terms=1),
    case("Gelu", lambda x: mg.gelu(x, approximate="tanh"), LINE, terms=1, approximate="tanh"),
    case("Elu", mg.elu, LINE, terms=1),
    case("Elu", lambda x: mg.elu(x, alpha=0.3), LINE, terms=1, alpha=0.3),
    case("LeakyRelu", mg.leaky_relu, LINE),
    case("LeakyRelu", lambda x: mg.leaky_relu(x, negative_slope=0.2), LINE, alpha=0.2),
    case("Softplus", mg.softplus, LINE),
    case("Softsign", mg.softsign, LINE),
    case("HardSigmoid", mg.hard_sigmoid, LINE, terms=1, alpha=1 / 6, beta=0.5),
    case("Sigmoid", mg.sigmoid, LINE, terms=1),
    case("Tanh", mg.tanh, LINE),
    # along axes
    *(case("Softmax", partial(mg.softmax, axis=n), 9 * X, axis=n) for n in (-1, 0, 1)),
    *(
        case("LogSoftmax", partial(mg.log_softmax, axis=n), 9 * X, terms=18, axis=n)
        for n in (-1, 0, 1)
    ),
    # epsilon, 1e-5 by default, is of float32 in the node: in float64 only some numbers are equal to ours
    norm(X, real(4), real(4), axis=-1, dtypes=("float32",)),
    norm(X, real(4), axis=-1, eps=0.125),
    norm(X, real(3, 4), real(3, 4), axis=1, eps=2**-17),
    case("ReduceLogSumExp", partial(mg.logsumexp, axis=1), X, options=[[1]], terms=2, keepdims=0),
    case(
        "ReduceLogSumExp", partial(mg.logsumexp, axis=(0, -1), keepdims=True), X,
        options=[[0, -1]], terms=2,
    ),
    case("ReduceLogSumExp", mg.logsumexp, X + 1000, keepdims=0),
    *(
        case("CumSum", partial(mg.cumulative_sum, axis=n), X, options=[n], terms=8)
        for n in (-1, 0, 1)
    ),
    case("TopK", lambda x: mg.topk(x, 2), X, options=[[2]]),
    case(
        "TopK", lambda x: mg.topk(x, 2, axis=1, largest=False), X,
        options=[[2]], axis=1, largest=0,
    ),
    case("TopK", lambda x: mg.topk(x, 5), np.asarray([1.0, 2, 1, 2, 1, 0, 2]), options=[[5]]),
    # picking and putting
    *(case("GatherElements", partial(mg.gather, axis=n), X, PLACES, axis=n) for n in (-1, 0, 1)),
    *(
        case(
            "ScatterElements", partial(mg.scatter_add, axis=n), X, PLACES, real(2, 3, 4),
            terms=8, axis=n, reduction="add",
        )
        for n in (-1, 0, 1)
    ),
    case(
        "OneHot", lambda x: mg.one_hot(x, 5), whole(2, 3, below=5),
        options=[5, np.asarray([0, 1], "float32")],
    ),
    # products
    *(
        case(
            "Einsum", partial(mg.einsum, equation), *(real(*shape) for shape in shapes),
            terms=16, equation=equation,
        )
        for equation, *shapes in [
            ("ij,jk->ik", (3, 4), (4, 2)), ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
            ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("ii->i", (4, 4)), ("ij->ji", (3, 4)),
            ("i,j", (3,), (4,)), ("bi,ij,bj->b", (2, 3), (3, 4), (2, 4)), ("ijk->j", (2, 3, 4)),
        ]
    ),
    # convolution and pooling: the input, the weight, how many biases, and the numbers
    *(
        conv(real(*x), real(*weight), *(real(n) for n in biases), **attributes)
        for x, weight, biases, attributes in [
            ((2, 3, 9), (4, 3, 3), [4], {"stride": [1], "padding": [0], "dilation": [1]}),
            ((2, 4, 11), (6, 2, 3), [], {"stride": [2], "padding": [2], "dilation": [3], "groups": 2}),
            ((2, 3, 7, 6), (4, 3, 3, 2), [4], {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}),
            ((2, 4, 9, 8), (6, 2, 3, 2), [6],
             {"stride": [2, 3], "padding": [1, 2], "dilation": [2, 1], "groups": 2}),
            ((1, 4, 5, 5), (4, 1, 3, 3), [],
             {"stride": [1, 2], "padding": [1, 0], "dilation": [1, 2], "groups": 4}),
        ]
    ),
    *(
        pool(node, ours, real(*shape), kernel, stride, padding)
        for shape, kernel, stride, padding, functions in [
            ((2, 3, 9), [3], [2], [1], (mg.max_pool1d, mg.avg_pool1d)),
            ((2, 3, 7, 6), [3, 2], [2, 1], [1, 0], (mg.max_pool2d, mg.avg_pool2d)),
            ((2, 3, 7, 6), [2, 3], [1, 3], [1, 1], (mg.max_pool2d, mg.avg_pool2d)),
        ]
        for node, ours in zip(("MaxPool", "AveragePool"), functions, strict=True)
    ),
    # losses
    *(
        loss(shape, *weight, reduction=reduction, **ignored)
        for shape, weight, ignored, reduction in product(
            [(6, 4), (3, 4, 5)],
            [(), (real(4) + 2,)],
            [{}, {"ignore_index": 1}],
            ["none", "sum", "mean"],
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "dtype"),
    [pytest.param(case, dtype, id=f"{case}-{dtype}") for case in CASES for dtype in case.dtypes],
)
def test_node(case, dtype):
    arrays = [a.astype(dtype) if a.dtype == np.float64 else a for a in case.arrays]
    ours = case.ours(*(mg.tensor(a) for a in arrays))
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = run(case.node, [*arrays, *case.options], len(ours), **case.attributes)
    for found, expected in zip(ours, theirs, strict=True):
        assert_close(found.numpy(), expected, case.terms)


def onnx_order(array):
    """Reorder the rows of the gates i, f, g, o to ONNX's i, o, f, c."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def parameters_of(layer, number):
    """Return the parameters of one of the layers by the names that the cell uses."""
    ending = f"_l{number}"
    named = layer.named_parameters()
    return {name.removesuffix(ending): p for name, p in named if name.endswith(ending)}


def run_lstm(x, h, c, parameters, direction):
    """Run one LSTM node over x of shape (T, N, ...); return the outputs and the final h and c."""
    weights = {name: onnx_order(value.detach().numpy())[None] for name, value in parameters.items()}
    bias = None
    if "bias_ih" in weights:
        bias = np.concatenate([weights["bias_ih"], weights["bias_hh"]], axis=1)
    inputs = [x, weights["weight_ih"], weights["weight_hh"], bias, None]
    inputs += [None if part is None else part[None] for part in (h, c)]
    size = parameters["weight_hh"].shape[1]
    y, h, c = run("LSTM", inputs, 3, hidden_size=size, direction=direction)
    return y[:, 0], h[0], c[0]


# layers, bias, initial states given, time steps, rows, input size, hidden size
LSTMS = [
    *product((1, 2), (True, False), (True, False), (1, 7), (1, 3), (4,), (5,)),
    (1, True, True, 30, 2, 1, 1),
    (1, True, True, 30, 17, 33, 65),
    (3, True, True, 12, 4, 16, 32),
]


@pytest.mark.parametrize(("layers", "bias", "given", "steps", "rows", "width", "hidden"), LSTMS)
def test_lstm(layers, bias, given, steps, rows, width, hidden):
    layer = nn.LSTM(width, hidden, layers, bias=bias)
    rng = np.random.default_rng(0)
    x = real(steps, rows, width, rng=rng).astype("float32")
    state = real(2, layers, rows, hidden, rng=rng).astype("float32")
    output, finals = layer(mg.tensor(x), tuple(map(mg.tensor, state)) if given else None)
    for k in range(layers):
        h, c = state[:, k] if given else (None, None)
        x, *expected = run_lstm(x, h, c, parameters_of(layer, k), "forward")
        for found, part in zip(finals, expected, strict=True):
            assert_close(found[k].detach().numpy(), part, 1)
    assert_close(output.detach().numpy(), x, 1)


@pytest.mark.parametrize(
    ("steps", "rows", "width", "hidden"), [(1, 1, 4, 5), (7, 3, 4, 5), (30, 17, 33, 65)]
)
def test_reverse_scan(steps, rows, width, hidden):
    parameters = parameters_of(nn.LSTM(width, hidden), 0)
    rng = np.random.default_rng(0)
    x = real(steps, rows, width, rng=rng).astype("float32")
    h, c = real(2, rows, hidden, rng=rng).astype("float32")
    states = (mg.tensor(h), mg.tensor(c))
    output, finals = scan(nn.cells.lstm, mg.tensor(x), states, parameters, reverse=True)
    theirs = run_lstm(x, h, c, parameters, "reverse")
    for found, expected in zip((output, *finals), theirs, strict=True):
        assert_close(found.detach().numpy(), expected, 1)
