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

# Nodes that onnxruntime computes in float32 only, or (tanh-Gelu) with constants of float32.
FLOAT32_ONLY = {
    "AveragePool", "Conv", "Elu", "Erf", "Gelu", "HardSigmoid", "LeakyRelu",
    "Softplus", "Softsign",
}  # fmt: skip

# Both sides call exp, tanh and the like, which are right to about 1 unit in the last place, a few times,
# and add in their own order. So they differ by a few last places of the largest number that was added
# on the way: `Case.terms` if that is larger than the result. Largest seen: 2.
ULPS = 4


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
def test_node(run_node, case, dtype):
    arrays = [a.astype(dtype) if a.dtype == np.float64 else a for a in case.arrays]
    ours = case.ours(*(mg.tensor(a) for a in arrays))
    ours = ours if isinstance(ours, tuple) else (ours,)
    theirs = run_node(case.node, [*arrays, *case.options], len(ours), **case.attributes)
    for found, expected in zip(ours, theirs, strict=True):
        assert_close(found.numpy(), expected, case.terms)
