"""Losses as layers: the formulas in NumPy, gradients by differences, buffers, errors."""

import math
from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError

REDUCTIONS = ("mean", "sum", "none")
CLASSES = 4
WEIGHT = (0.5, 1.0, 2.0, 0.25)


def drawn(*shape, low=-2.5, high=2.5):
    return np.asarray(np.random.default_rng(0).uniform(low, high, shape))


def reduced(losses, reduction, count=None):
    if reduction == "none":
        return losses
    return losses.sum() / (
        count if count is not None else losses.size if reduction == "mean" else 1
    )


def tensor(values):
    return None if values is None else mg.tensor(values, dtype="float64")


def assert_equal_and_differentiable(layer, formula, x, target):
    """Compare with ``formula(x)``, and the gradient with its differences in a random direction."""
    rng = np.random.default_rng(1)
    leaf = mg.tensor(x, requires_grad=True)
    loss = layer(leaf, mg.tensor(target))
    np.testing.assert_allclose(loss.detach().numpy(), formula(x), rtol=1e-12, atol=1e-13)
    weight, direction, step = rng.normal(size=loss.shape), rng.normal(size=x.shape), 1e-6
    loss.backward(mg.tensor(weight))
    ends = [(formula(x + sign * step * direction) * weight).sum() for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert (leaf.grad.numpy() * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-8)


def log_softmax(x, axis):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(), (6,), (3, 2)])
def test_cross_entropy_of_classes(reduction, weight, ignore_index, smoothing, shape):
    x = drawn(*shape[:1], CLASSES, *shape[1:])
    target = (
        np.asarray(np.random.default_rng(2).integers(0, CLASSES, shape)) if shape else np.array(2)
    )
    factors = np.array(weight or (1.0,) * CLASSES)

    def formula(x):
        scores = np.moveaxis(log_softmax(x, min(1, x.ndim - 1)), min(1, x.ndim - 1), -1)
        losses, total = np.zeros(shape), 0.0
        for place in np.ndindex(shape):
            chosen = target[place]
            if chosen == ignore_index:
                continue
            total += factors[chosen]
            hard = -factors[chosen] * scores[place][chosen]
            even = -(factors * scores[place]).mean()
            losses[place] = (1 - smoothing) * hard + smoothing * even
        return reduced(losses, reduction, total if reduction == "mean" else None)

    options = {"weight": tensor(weight), "ignore_index": ignore_index, "reduction": reduction}
    layer = nn.CrossEntropyLoss(**options, label_smoothing=smoothing)
    assert_equal_and_differentiable(layer, formula, x, target)
    if not smoothing:
        logs = log_softmax(x, min(1, x.ndim - 1))
        found = nn.NLLLoss(**options)(mg.tensor(logs), mg.tensor(target))
        np.testing.assert_allclose(found.numpy(), formula(x), rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_of_probabilities(reduction, weight):
    target = drawn(5, CLASSES, low=0.0, high=1.0)
    factors = np.array(weight or (1.0,) * CLASSES)
    layer = nn.CrossEntropyLoss(tensor(weight), reduction=reduction)

    def formula(x):
        return reduced(-(target * log_softmax(x, 1) * factors).sum(1), reduction)

    assert_equal_and_differentiable(layer, formula, drawn(5, CLASSES), target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("pos_weight", [None, WEIGHT])
def test_binary_cross_entropy(reduction, weight, pos_weight):
    target = drawn(5, CLASSES, low=0.0, high=1.0)
    layer = nn.BCEWithLogitsLoss(tensor(weight), reduction=reduction, pos_weight=tensor(pos_weight))

    def formula(x):
        p = 1 / (1 + np.exp(-x))
        positive = np.array(pos_weight or 1.0) * target * np.log(p)
        return reduced(
            -np.array(weight or 1.0) * (positive + (1 - target) * np.log(1 - p)), reduction
        )

    assert_equal_and_differentiable(layer, formula, drawn(5, CLASSES), target)


DISTANCES = [
    (nn.MSELoss, {}, lambda d: d**2),
    (nn.L1Loss, {}, lambda d: d),
    *((nn.HuberLoss, {"delta": delta}, lambda d, delta=delta:
       np.where(d <= delta, d * d / 2, delta * (d - delta / 2))) for delta in (0.3, 1.0)),
    *((nn.SmoothL1Loss, {"beta": beta}, lambda d, beta=beta:
       np.where(d < beta, d * d / (2 * beta), d - beta / 2)) for beta in (0.3, 1.0)),
    (nn.SmoothL1Loss, {"beta": 0.0}, lambda d: d),
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("kind", "options", "function"), DISTANCES)
def test_distances(reduction, kind, options, function):
    x, target = drawn(3, 5), drawn(5, 3).T * 0.7
    layer = kind(**options, reduction=reduction)
    assert_equal_and_differentiable(
        layer, lambda x: reduced(function(abs(x - target)), reduction), x, target
    )


def test_weights_are_buffers_and_are_not_trained():
    given = mg.tensor(WEIGHT)
    for layer, names in [
        (nn.CrossEntropyLoss(given), ["weight"]),
        (nn.NLLLoss(given), ["weight"]),
        (nn.BCEWithLogitsLoss(given, pos_weight=given), ["weight", "pos_weight"]),
        (nn.BCEWithLogitsLoss(pos_weight=given), ["pos_weight"]),
        (nn.CrossEntropyLoss(), []),
    ]:
        assert [*layer.state_dict()] == names
        assert [*layer.parameters()] == []
        layer.to("float64")
        assert all(t.dtype == "float64" for t in layer.state_dict().values())
        layer.load_state_dict({name: 2 * np.array(WEIGHT) for name in names})
        for name in names:
            np.testing.assert_array_equal(getattr(layer, name).numpy(), 2 * np.array(WEIGHT))
    assert given.tolist() == list(WEIGHT)


ALL = [
    nn.CrossEntropyLoss, nn.NLLLoss, nn.BCEWithLogitsLoss, nn.MSELoss, nn.L1Loss, nn.HuberLoss,
    nn.SmoothL1Loss,
]  # fmt: skip


@pytest.mark.parametrize("kind", ALL)
def test_an_unknown_reduction_is_refused_with_a_suggestion(kind):
    with pytest.raises(ArgumentError) as caught:
        kind(reduction="meen")
    assert str(caught.value) == (
        f"{kind.__name__}: reduction must be 'none', 'mean' or 'sum', not 'meen'; "
        "did you mean 'mean'?"
    )
    assert repr(kind()) == f"{kind.__name__}()"


def zeros(*shape):
    return mg.zeros(shape)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (partial(nn.CrossEntropyLoss, label_smoothing=1.5), ArgumentError,
         "CrossEntropyLoss: label_smoothing must lie between 0 and 1, not 1.5"),
        (partial(nn.HuberLoss, delta=0.0), ArgumentError,
         "HuberLoss: delta must be positive, not 0.0"),
        (partial(nn.HuberLoss, delta=math.nan), ArgumentError,
         "HuberLoss: delta must be positive, not nan"),
        (partial(nn.SmoothL1Loss, beta=-1.0), ArgumentError,
         "SmoothL1Loss: beta must be a number, 0 or more, not -1.0"),
        (lambda: mg.smooth_l1_loss(zeros(2), zeros(2), beta=-1.0), ArgumentError,
         "smooth_l1_loss: beta must be a number, 0 or more, not -1.0"),
        (lambda: nn.CrossEntropyLoss()(zeros(2, 3), mg.tensor([0, 3])), IndexingError,
         "the targets run from 0 to 3; with 3 classes they must lie between 0 and 2"),
        (lambda: nn.CrossEntropyLoss()(zeros(2, 3), mg.tensor([0])), ShapeError,
         ("cross_entropy: input has shape (2, 3) with the classes on axis 1, so target must have "
         "shape (2,), not (1,)")),
        (lambda: nn.CrossEntropyLoss(zeros(2))(zeros(2, 3), mg.tensor([0, 1])), ShapeError,
         "cross_entropy: weight has shape (2,); it must hold one number for each of the 3 classes"),
        *((lambda index=index: nn.CrossEntropyLoss(ignore_index=index)(zeros(2, 3), zeros(2, 3)),
           ArgumentError,
           f"cross_entropy: ignore_index={index} names a class, but target holds probabilities (float32)")
          for index in (1, 0, -1)),
        (lambda: nn.NLLLoss()(zeros(2, 3), zeros(2, 3)), DtypeError,
         "nll_loss: target must hold class indices (integers), not float32"),
        *((lambda kind=kind: kind()(zeros(2, 3), zeros(3)), ShapeError,
           "input has shape (2, 3) and target (3,); the shapes must be equal")
          for kind in ALL[2:]),
    ],
)  # fmt: skip
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [-140, -100, -1, 0, 100])
def test_layer_norm_without_eps_does_not_depend_on_the_scale(dtype, exponent):
    rows = np.random.default_rng(3).integers(-9, 9, (4, 5)) + np.arange(5) / 8
    expected = (rows - rows.mean(-1, keepdims=True)) / rows.std(-1, keepdims=True)
    found = mg.layer_norm(mg.tensor(rows * 2.0**exponent, dtype=dtype), 5, eps=0.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("beta", [5e-324, 1e-300, 1e-46, 1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smooth_l1_of_any_beta(dtype, beta):
    d = np.array([-1.3, 0.0, 0.4, 2e20], dtype).astype(float)
    x = mg.tensor(d, dtype=dtype, requires_grad=True)
    loss = mg.smooth_l1_loss(x, mg.zeros(4, dtype=dtype), reduction="none", beta=beta)
    (slope,) = mg.grad(loss.sum(), x)
    near = np.abs(d) < beta
    with np.errstate(over="ignore"):
        expected = np.where(near, 0.5 * d * (d / beta), np.abs(d) - 0.5 * beta)
        steepness = np.where(near, d / beta, np.sign(d))
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(slope.numpy(), steepness, rtol=1e-6, atol=1e-37)
