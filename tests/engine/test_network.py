"""Softmax, losses, normalisation, lookup, dropout, convolution and pooling: values, limits, errors.

What holds for every row of the tables (gradients, dtypes, tracing) is in test_ops_properties.py.
"""

import functools
import math

import numpy
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from minigrad.ops import convolution
from minigrad.testing import gradcheck, gradgradcheck

INF = math.inf
RNG = numpy.random.default_rng(7)


def floats(*shape):
    return RNG.standard_normal(shape)


def leaf(values):
    return mg.tensor(numpy.asarray(values, dtype="float64"), requires_grad=True)


def gradient(function, x, cotangent=None):
    """Return the gradient of ``function`` at ``x`` for random, or given, cotangents."""
    x = leaf(x)
    y = function(x)
    g = floats(*y.shape) if cotangent is None else cotangent
    return mg.grad(y, x, mg.tensor(g, dtype=y.dtype))[0].numpy()


def close(found, expected, **tolerance):
    found = found.detach().numpy() if isinstance(found, mg.Tensor) else found
    numpy.testing.assert_allclose(found, expected, **{"rtol": 1e-12, "atol": 1e-12, **tolerance})


# softmax


@pytest.mark.parametrize("axis", [0, -1, 1, (0, 2), None])
def test_softmax_is_the_quotient_of_exponentials(axis):
    x = floats(2, 3, 4)
    e = numpy.exp(x)
    expected = e / e.sum(axis=axis, keepdims=True)
    close(mg.softmax(mg.tensor(x), axis=axis), expected)
    close(mg.log_softmax(mg.tensor(x), axis=axis), numpy.log(expected))


def test_softmax_does_not_overflow():
    x = numpy.array([[1e4, 0.0, -1e4], [1e300, 1e300, -1e300]])
    close(mg.softmax(mg.tensor(x)), [[1, 0, 0], [0.5, 0.5, 0]])
    close(mg.log_softmax(mg.tensor(x)), [[0, -1e4, -2e4], [-math.log(2), -math.log(2), -2e300]])
    for function in (mg.softmax, mg.log_softmax):
        assert numpy.isfinite(gradient(function, x)).all()


def test_a_fully_masked_row_gives_zeros_and_no_gradient():
    x = numpy.array([[-INF, -INF, -INF], [1.0, -INF, 1.0]])
    close(mg.softmax(mg.tensor(x)), [[0, 0, 0], [0.5, 0, 0.5]])
    close(mg.log_softmax(mg.tensor(x)), [[-INF] * 3, [-math.log(2), -INF, -math.log(2)]])
    g = [[1.0, 2.0, 3.0], [1.0, 5.0, 3.0]]
    close(gradient(mg.softmax, x, g), [[0, 0, 0], [-0.5, 0, 0.5]])
    close(gradient(mg.log_softmax, x, g), [[0, 0, 0], [-3.5, 5, -1.5]])


def test_a_masked_row_has_no_second_derivative_either():
    mask = mg.tensor([[False, False], [True, True]])
    for function in (mg.softmax, mg.log_softmax):
        x = leaf([[1.0, 2.0], [3.0, 5.0]])
        # what is added makes minus infinity finite again, so that only the rules decide
        y = function(mg.where(mask, x * x, -INF))
        (g,) = mg.grad(mg.where(mask, y, 0.0)[:, 0].sum(), x, create_graph=True)
        (h,) = mg.grad((g * g).sum(), x)
        assert numpy.isfinite(h.numpy()).all()
        close(h[0], [0, 0])
        assert h.numpy()[1].all()


@pytest.mark.parametrize("function", [mg.softmax, mg.log_softmax])
def test_softmax_of_nothing_is_nothing(function):
    assert function(mg.zeros((2, 0))).shape == (2, 0)
    assert gradient(lambda x: function(x, axis=0), numpy.zeros((2, 0))).shape == (2, 0)


def test_softmax_of_nan_or_plus_infinity_is_nan():
    with numpy.errstate(invalid="ignore"):
        y = mg.softmax(mg.tensor([[INF, 0.0], [math.nan, 0.0]]))
    assert numpy.isnan(y.numpy()).all()


def test_softmax_names_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match=r"softmax\(float32\[2, 3\], axis=2\): .*axis 2"):
        mg.softmax(mg.zeros((2, 3)), axis=2)


# cross entropy, place by place

LAYOUTS = [((), 4), ((5,), 3), ((2, 3), 4), ((2, 3, 2), 1)]


def by_places(x, target, weight, ignored, smoothing):
    """Return losses and weights of a classification, with a loop over the places."""
    x = numpy.moveaxis(x, min(1, x.ndim - 1), -1)
    classes = x.shape[-1]
    losses, weights = numpy.zeros(target.shape), numpy.zeros(target.shape)
    for place in numpy.ndindex(*target.shape):
        if target[place] != ignored:
            row = x[place] - math.log(sum(math.exp(v) for v in x[place]))
            hard = -weight[target[place]] * row[target[place]]
            soft = -sum(w * v for w, v in zip(weight, row, strict=True))
            losses[place] = (1 - smoothing) * hard + smoothing / classes * soft
            weights[place] = weight[target[place]]
    return losses, weights


def scores_and_classes(shape, classes):
    return floats(*shape[:1], classes, *shape[1:]), RNG.integers(0, classes, shape)


@pytest.mark.parametrize(("shape", "classes"), LAYOUTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_class_indices(shape, classes, smoothing, weighted):
    x, target = scores_and_classes(shape, classes)
    if shape:
        target[0] = -100
    weight = RNG.uniform(0.5, 2.0, classes) if weighted else numpy.ones(classes)
    losses, weights = by_places(x, target, weight, -100, smoothing)
    given = mg.tensor(weight) if weighted else None
    for reduction, expected in {
        "none": losses,
        "sum": losses.sum(),
        "mean": losses.sum() / weights.sum(),
    }.items():
        y = mg.cross_entropy(
            mg.tensor(x), mg.tensor(target), given, reduction=reduction, label_smoothing=smoothing
        )
        close(y, expected)
        if not smoothing:
            logs = mg.log_softmax(mg.tensor(x), axis=min(1, len(shape)))
            close(mg.nll_loss(logs, mg.tensor(target), given, reduction=reduction), expected)


@pytest.mark.parametrize(("shape", "classes"), LAYOUTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_with_probabilities_is_a_mean_over_places(shape, classes, smoothing):
    x, _ = scores_and_classes(shape, classes)
    target, weight = RNG.uniform(0, 1, x.shape), RNG.uniform(0.5, 2.0, classes)
    axis = min(1, len(shape))
    mixed = numpy.moveaxis(target * (1 - smoothing) + smoothing / classes, axis, -1)
    logs = numpy.moveaxis(x - numpy.log(numpy.exp(x).sum(axis=axis, keepdims=True)), axis, -1)
    losses = -(mixed * logs * weight).sum(axis=-1)
    for reduction, expected in {
        "none": losses,
        "sum": losses.sum(),
        "mean": losses.mean(),
    }.items():
        y = mg.cross_entropy(
            mg.tensor(x),
            mg.tensor(target),
            mg.tensor(weight),
            reduction=reduction,
            label_smoothing=smoothing,
        )
        close(y, expected)


def test_probabilities_of_one_are_class_indices():
    x, target = scores_and_classes((4, 3), 5)
    hot = numpy.moveaxis(numpy.eye(5)[target], -1, 1)
    x = mg.tensor(x)
    close(mg.cross_entropy(x, mg.tensor(hot)), mg.cross_entropy(x, mg.tensor(target)).numpy())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignored", [-100, 1, 7])
def test_ignored_places_have_no_loss_and_no_gradient(ignored, smoothing):
    x = floats(3, 4)
    target = mg.tensor([0, ignored, 3])
    x[1] = [math.nan, INF, -INF, 0.0]

    def loss(x, reduction="mean"):
        return mg.cross_entropy(
            x, target, ignore_index=ignored, reduction=reduction, label_smoothing=smoothing
        )

    with numpy.errstate(invalid="ignore"):
        y = loss(mg.tensor(x), "none").numpy()
    assert y[1] == 0
    assert (y[[0, 2]] > 0).all()
    x[1] = 0
    g = gradient(loss, x)
    close(g[1], 0)
    assert g[[0, 2]].all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0]])
def test_the_mean_of_ignored_places_only_is_nan_with_a_gradient_of_zero(weight, smoothing):
    weight = None if weight is None else mg.tensor(weight, dtype="float64")
    target = mg.tensor([-100, -100])
    x = leaf(floats(2, 2))
    y = mg.cross_entropy(x, target, weight, label_smoothing=smoothing)
    assert math.isnan(y.item())
    close(mg.grad(y, x)[0], numpy.zeros((2, 2)))
    y = mg.cross_entropy(x, target, weight, label_smoothing=smoothing, reduction="sum")
    assert y.item() == 0


def test_a_class_without_probability_may_have_a_score_of_minus_infinity():
    x, target = [[0.0, -INF, 0.0]], mg.tensor([[0.5, 0.0, 0.5]], dtype="float64")
    close(mg.cross_entropy(leaf(x), target), math.log(2))
    close(gradient(lambda x: mg.cross_entropy(x, target), x, 1.0), [[0, 0, 0]])
    target = leaf(target)
    (g,) = mg.grad(mg.cross_entropy(leaf(x), target), target)
    close(g, [[math.log(2), 0, math.log(2)]])
    target = leaf([[1.0, 0.0]])
    (g,) = mg.grad(mg.cross_entropy(mg.tensor([[0.0, 0.0]], dtype="float64"), target), target)
    close(g, [[math.log(2), math.log(2)]])


def test_cross_entropy_with_a_masked_target_is_infinite():
    y = mg.cross_entropy(mg.tensor([[0.0, -INF]]), mg.tensor([1]))
    assert y.item() == INF


def test_cross_entropy_of_huge_scores():
    x = [[1e4, -1e4], [-1e4, 1e4]]
    close(mg.cross_entropy(leaf(x), mg.tensor([0, 0]), reduction="none"), [0, 2e4])
    close(gradient(lambda x: mg.cross_entropy(x, mg.tensor([0, 0])), x, 1.0), [[0, 0], [-0.5, 0.5]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_class_indices_may_be_integers_of_any_kind(dtype):
    x = floats(3, 200)
    target = numpy.array([0, 3, 127])
    y = mg.cross_entropy(mg.tensor(x), mg.tensor(target.astype(dtype)))
    close(y, mg.cross_entropy(mg.tensor(x), mg.tensor(target)).numpy())
    g = gradient(lambda x: mg.cross_entropy(x, mg.tensor(target.astype(dtype))), x, 1.0)
    assert (g[[0, 1, 2], target] < 0).all()


BAD_CLASSES = [
    (
        {"target": mg.tensor([0, 3])},
        IndexingError,
        (
            "the targets run from 0 to 3; with 3 classes they must lie between 0 and 2, "
            "or be ignore_index=-100"
        ),
    ),
    ({"target": mg.tensor([-1, 0])}, IndexingError, "the targets run from -1 to 0"),
    (
        {"target": mg.tensor([0, 1, 2])},
        ShapeError,
        (
            r"input has shape \(2, 3\) with the classes on axis 1, so target must have shape \(2,\), "
            r"not \(3,\)"
        ),
    ),
    (
        {"target": mg.tensor([0.0, 1.0])},
        ShapeError,
        (
            r"target is of float32, so it must hold a probability for each class in the shape "
            r'\(2, 3\) of input, but its shape is \(2,\); convert class indices with .astype\("int64"\)'
        ),
    ),
    (
        {"target": mg.tensor([True, False])},
        DtypeError,
        r"target must hold class indices \(integers\) or probabilities, not bool",
    ),
    (
        {"target": [0, 1]},
        TypeError,
        r"target must be a tensor or an array, but is a list; convert it with minigrad.tensor\(",
    ),
    (
        {"weight": mg.ones(2)},
        ShapeError,
        r"weight has shape \(2,\); it must hold one number for each of the 3 classes",
    ),
    (
        {"reduction": "men"},
        ArgumentError,
        "reduction must be 'none', 'mean' or 'sum', not 'men'; did you mean 'mean'?",
    ),
    (
        {"input": mg.zeros(())},
        ShapeError,
        r"input needs an axis of classes, but its shape is \(\)",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_CLASSES)
@pytest.mark.parametrize("function", [mg.cross_entropy, mg.nll_loss], ids=["cross_entropy", "nll"])
def test_classification_errors(function, change, error, message):
    arguments = {"input": mg.zeros((2, 3)), "target": mg.tensor([0, 1])}
    with pytest.raises(error, match=message):
        function(**{**arguments, **change})


def test_cross_entropy_refuses_a_strange_label_smoothing():
    with pytest.raises(ArgumentError, match=r"label_smoothing must lie .*, not 1\.5"):
        mg.cross_entropy(mg.zeros((1, 2)), mg.tensor([0]), label_smoothing=1.5)


def test_nll_loss_refuses_probabilities():
    with pytest.raises(DtypeError, match=r"nll_loss: target must .* cross_entropy takes prob"):
        mg.nll_loss(mg.zeros((1, 2)), mg.zeros((1, 2)))


# two classes, and distances


def test_binary_cross_entropy_is_that_of_the_sigmoid():
    x, t = floats(3, 2), RNG.uniform(0, 1, (3, 2))
    weight, pos_weight = RNG.uniform(0.5, 2, 2), RNG.uniform(0.5, 2, (3, 1))
    p = 1 / (1 + numpy.exp(-x))
    expected = -weight * (pos_weight * t * numpy.log(p) + (1 - t) * numpy.log(1 - p))
    y = mg.binary_cross_entropy_with_logits(
        mg.tensor(x), mg.tensor(t), mg.tensor(weight), mg.tensor(pos_weight), reduction="none"
    )
    close(y, expected)
    plain = -(t * numpy.log(p) + (1 - t) * numpy.log(1 - p))
    close(mg.binary_cross_entropy_with_logits(mg.tensor(x), mg.tensor(t)), plain.mean())


def test_binary_cross_entropy_of_huge_scores():
    x, t = [1e4, -1e4, 1e4, -1e4, 20.0], mg.tensor([1.0, 0, 0, 1, 1], dtype="float64")

    def loss(x):
        return mg.binary_cross_entropy_with_logits(x, t, reduction="none")

    close(loss(leaf(x)), [0, 0, 1e4, 1e4, math.log1p(math.exp(-20))], atol=0)
    close(gradient(loss, x, numpy.ones(5)), [0, 0, 1, -1, -1 / (1 + math.exp(20))])


def huber(d, delta):
    return 0.5 * d * d if abs(d) <= delta else delta * (abs(d) - 0.5 * delta)


DISTANCES = {
    "mse_loss": (mg.mse_loss, lambda d: d * d),
    "l1_loss": (mg.l1_loss, abs),
    "huber_loss": (mg.huber_loss, lambda d: huber(d, 1.0)),
    "huber_loss delta": (
        lambda x, t, **options: mg.huber_loss(x, t, delta=0.3, **options),
        lambda d: huber(d, 0.3),
    ),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_distances(name):
    function, of_difference = DISTANCES[name]
    x, t = floats(3, 4), floats(3, 4)
    expected = numpy.vectorize(of_difference)(x - t)
    x, t = mg.tensor(x), mg.tensor(t)
    close(function(x, t, reduction="none"), expected)
    close(function(x, t, reduction="sum"), expected.sum())
    close(function(x, t), expected.mean())


def test_huber_loss_is_smooth_where_its_pieces_meet():
    x, t = [1.0, -1.0, 1e8], mg.zeros(3, dtype="float64")
    close(gradient(lambda x: mg.huber_loss(x, t, reduction="sum"), x, 1.0), [1, -1, 1])


@pytest.mark.parametrize("name", [*DISTANCES, "binary_cross_entropy_with_logits"])
def test_losses_of_pairs_refuse_other_shapes_and_reductions(name):
    function = DISTANCES[name][0] if name in DISTANCES else getattr(mg, name)
    public = name.split(maxsplit=1)[0]
    message = (
        rf"{public}: input has shape \(3,\) and target \(3, 1\); the shapes must be equal, use "
        "reshape or broadcast_to on one of them"
    )
    with pytest.raises(ShapeError, match=message):
        function(mg.zeros(3), mg.zeros((3, 1)))
    with pytest.raises(ArgumentError, match=rf"{public}: reduction must be .*, not 'avg'"):
        function(mg.zeros(3), mg.zeros(3), reduction="avg")
    with pytest.raises(TypeError, match=rf"{public}\(\): target must be a tensor .* a float"):
        function(mg.zeros(3), 0.0)


def test_huber_loss_refuses_a_delta_of_zero():
    with pytest.raises(ArgumentError, match="huber_loss: delta must be positive, not 0"):
        mg.huber_loss(mg.zeros(3), mg.zeros(3), delta=0)


def test_losses_take_numpy_arrays_and_return_tensors():
    x = floats(2, 3)
    assert isinstance(mg.mse_loss(x, x), mg.Tensor)
    assert isinstance(mg.cross_entropy(x, numpy.array([0, 1])), mg.Tensor)


# layer norm


@pytest.mark.parametrize("sizes", [4, (4,), (3, 4)])
def test_layer_norm_row_by_row(sizes):
    shape = (sizes,) if isinstance(sizes, int) else sizes
    x, weight, bias = floats(2, 3, 4), floats(*shape), floats(*shape)
    expected = numpy.empty_like(x)
    for row in numpy.ndindex(*x.shape[: x.ndim - len(shape)]):
        values = x[row].ravel().tolist()
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        expected[row] = (x[row] - mean) / math.sqrt(variance + 1e-5) * weight + bias
    given = (mg.tensor(weight), mg.tensor(bias))
    close(mg.layer_norm(mg.tensor(x), sizes, *given), expected)
    gradcheck(lambda *xs: mg.layer_norm(xs[0], sizes, *xs[1:]), *map(leaf, (x, weight, bias)))


def test_layer_norm_of_equal_elements_is_zero_with_a_finite_gradient():
    x = numpy.full((1, 3), 5.0)
    close(mg.layer_norm(mg.tensor(x), 3), numpy.zeros((1, 3)))
    g = gradient(lambda x: mg.layer_norm(x, 3), x, [[1.0, 0.0, 0.0]])
    close(g, numpy.array([[2, -1, -1]]) / 3 / math.sqrt(1e-5))


def test_layer_norm_errors():
    x = mg.zeros((2, 3))
    with pytest.raises(
        ShapeError, match=r"does not end in normalized_shape \(2,\); give the sizes"
    ):
        mg.layer_norm(x, 2)
    with pytest.raises(ShapeError, match=r"does not end in normalized_shape \(\)"):
        mg.layer_norm(x, ())
    for name in ("weight", "bias"):
        message = rf"{name} has shape \(1,\); it must have the shape \(3,\) of normalized_shape"
        with pytest.raises(ShapeError, match=message):
            mg.layer_norm(x, 3, **{name: mg.ones(1)})


# embedding


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_embedding_is_a_lookup(shape):
    weight, indices = floats(5, 3), RNG.integers(0, 5, shape)
    y = mg.embedding(mg.tensor(indices), mg.tensor(weight))
    assert y.shape == (*shape, 3)
    close(y, weight[indices])


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_the_gradient_of_a_row_is_the_sum_over_its_places_and_padding_has_none(padding_idx):
    weight, indices, g = floats(3, 2), numpy.array([[0, 2], [2, 0], [0, 1]]), floats(3, 2, 2)
    expected = numpy.zeros((3, 2))
    for place in numpy.ndindex(3, 2):
        expected[indices[place]] += g[place]
    if padding_idx is not None:
        expected[padding_idx] = 0
    lookup = mg.tensor(indices)
    close(gradient(lambda w: mg.embedding(lookup, w, padding_idx), weight, g), expected)
    close(mg.embedding(lookup, mg.tensor(weight), padding_idx), weight[indices])


def test_embedding_errors():
    weight = mg.zeros((4, 2))
    for bad in ([0, 4], [-1, 0]):
        message = f"the indices run from {bad[0]} to {bad[1]}; with 4 rows of weight they must lie "
        with pytest.raises(IndexingError, match=f"embedding.*{message}between 0 and 3"):
            mg.embedding(mg.tensor(bad), weight)
    with pytest.raises(IndexingError, match="padding_idx is 4, but weight has 4 rows"):
        mg.embedding(mg.tensor([0]), weight, 4)
    with pytest.raises(DtypeError, match=r'indices must be integers; convert .*astype\("int64"\)'):
        mg.embedding(mg.tensor([0.0]), weight)
    with pytest.raises(ShapeError, match=r"weight must have two axes .* not shape \(4,\)"):
        mg.embedding(mg.tensor([0]), mg.zeros(4))


# dropout


def test_dropout_scales_what_it_keeps_and_has_no_hidden_state():
    x, mask = floats(3, 4), RNG.uniform(size=(3, 4)) >= 0.25
    first, second = (mg.dropout(mg.tensor(x), mg.tensor(mask), 0.25) for _ in range(2))
    close(first, numpy.where(mask, x / 0.75, 0))
    close(first, second.numpy(), rtol=0, atol=0)
    g = floats(3, 4)
    close(
        gradient(lambda x: mg.dropout(x, mg.tensor(mask), 0.25), x, g),
        numpy.where(mask, g / 0.75, 0),
    )


def test_dropout_takes_a_mask_that_broadcasts():
    x, mask = floats(3, 2, 4), mg.tensor([[True], [False]])
    y = mg.dropout(mg.tensor(x), mask, p=0.5).numpy()
    close(y[:, 0], 2 * x[:, 0])
    close(y[:, 1], 0)


def test_dropout_with_probability_zero_and_one():
    x = floats(4)
    close(mg.dropout(mg.tensor(x), mg.tensor([True] * 4), 0.0), x)
    close(mg.dropout(mg.tensor(x), mg.tensor([True] * 4), 1.0), numpy.zeros(4))


def test_what_dropout_drops_has_no_influence():
    x, mask = [INF, math.nan, 1.0], mg.tensor([False, False, True])
    close(mg.dropout(leaf(x), mask), [0, 0, 2])
    close(gradient(lambda x: mg.dropout(x, mask), x, numpy.ones(3)), [0, 0, 2])


def test_dropout_errors():
    x = mg.zeros(2)
    with pytest.raises(ArgumentError, match=r"p is the probability to drop .* not 1\.5"):
        mg.dropout(x, mg.tensor([True, False]), 1.5)
    message = (
        r"mask must be a bool tensor of the elements to keep, not float32; .*rand\(shape\) >= p"
    )
    with pytest.raises(DtypeError, match=message):
        mg.dropout(x, mg.ones(2))


# convolution, place by place


def by_loops(x, weight, stride, padding, dilation, groups):
    """Return a convolution of (N, C, *size), with a loop over every product."""
    rank = x.ndim - 2
    x = numpy.pad(x, [(0, 0), (0, 0), *((n, n) for n in padding)])
    kernel, per_group = weight.shape[2:], weight.shape[0] // groups
    size = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    y = numpy.zeros((x.shape[0], weight.shape[0], *size))
    for n, o, *at in numpy.ndindex(*y.shape):
        for c, *k in numpy.ndindex(*weight.shape[1:]):
            channel = o // per_group * weight.shape[1] + c
            place = [at[i] * stride[i] + k[i] * dilation[i] for i in range(rank)]
            y[(n, o, *at)] += weight[(o, c, *k)] * x[(n, channel, *place)]
    return y


CONVOLUTIONS = [
    {"size": (7,), "kernel": (3,)},
    {"size": (5,), "kernel": (3,)},
    {"size": (7,), "kernel": (2,), "stride": (3,), "padding": (2,)},
    {"size": (9,), "kernel": (3,), "dilation": (3,), "groups": 2},
    {"size": (5, 4), "kernel": (2, 3)},
    {"size": (6, 5), "kernel": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
    {"size": (4, 4), "kernel": (3, 3), "padding": (1, 1), "groups": 2},
    {"size": (3, 3), "kernel": (3, 3)},
    {"size": (5, 6), "kernel": (1, 1), "stride": (2, 3)},
]


def convolution_case(size, kernel, stride=None, padding=None, dilation=None, groups=1):
    rank = len(size)
    x, weight, bias = floats(3, 2 * groups, *size), floats(4, 2, *kernel), floats(4)
    options = {
        "stride": stride or (1,) * rank,
        "padding": padding or (0,) * rank,
        "dilation": dilation or (1,) * rank,
        "groups": groups,
    }
    return (mg.conv1d, mg.conv2d)[rank - 1], x, weight, bias, options


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("columns", [1, convolution._COLUMNS])
def test_convolution_equals_loops_however_many_samples_go_together(case, columns, monkeypatch):
    monkeypatch.setattr(convolution, "_COLUMNS", columns)
    function, x, weight, bias, options = convolution_case(**case)
    expected = by_loops(x, weight, **options) + bias.reshape(-1, *(1 for _ in options["stride"]))
    xs = [leaf(a) for a in (x, weight, bias)]
    close(function(*xs, **options), expected)
    close(function(leaf(x[0]), *xs[1:], **options), expected[0])
    gradcheck(lambda *xs: function(*xs, **options), *xs, methods=("linear", "differences"))


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_second_derivatives_of_convolution(case):
    function, x, weight, bias, options = convolution_case(**case)
    gradgradcheck(
        lambda x, w, b: mg.tanh(function(x, w, b, **options)), *map(leaf, (x, weight, bias))
    )


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_keeps_the_size_and_puts_the_odd_zero_last(kernel, dilation):
    x, weight = floats(2, 3, 7), floats(1, 3, kernel)
    total = dilation * (kernel - 1)
    wide = numpy.pad(x, [(0, 0), (0, 0), (total // 2, total - total // 2)])
    expected = by_loops(wide, weight, (1,), (0,), (dilation,), 1)
    assert expected.shape == (2, 1, 7)
    arguments = (mg.tensor(x), mg.tensor(weight))
    close(mg.conv1d(*arguments, padding="same", dilation=dilation), expected)
    valid = by_loops(x, weight, (1,), (0,), (dilation,), 1)
    close(mg.conv1d(*arguments, padding="valid", dilation=dilation), valid)


def test_one_number_stands_for_all_axes():
    x, weight = mg.tensor(floats(1, 2, 7, 8)), mg.tensor(floats(3, 2, 2, 2))
    found = mg.conv2d(x, weight, None, 2, 1, 2)
    close(found, mg.conv2d(x, weight, None, (2, 2), [1, 1], (2, 2)).numpy())


def test_convolution_of_an_empty_batch():
    x, weight = leaf(numpy.zeros((0, 2, 5))), leaf(floats(3, 2, 2))
    y = mg.conv1d(x, weight)
    assert y.shape == (0, 3, 4)
    gx, gw = mg.grad(y, [x, weight], mg.zeros((0, 3, 4), dtype="float64"))
    assert gx.shape == (0, 2, 5)
    close(gw, numpy.zeros((3, 2, 2)))


BAD_CONVOLUTIONS = [
    (
        {"x": mg.zeros((2, 5))},
        ShapeError,
        r"conv2d: x has shape \(2, 5\); it must be \(N, C, H, W\), or \(C, H, W\) without a batch",
    ),
    (
        {"weight": mg.zeros((4, 2, 3))},
        ShapeError,
        r"weight has shape \(4, 2, 3\); it must be \(out, in / groups, \*kernel\) with 4 axes",
    ),
    ({"weight": mg.zeros((4, 2, 0, 3))}, ShapeError, "a kernel that is not empty"),
    (
        {"weight": mg.zeros((4, 3, 3, 3))},
        ShapeError,
        r"has 2 channels and weight has shape \(4, 3, 3, 3\) with groups=1; weight must be",
    ),
    (
        {"weight": mg.zeros((3, 1, 3, 3)), "groups": 2},
        ShapeError,
        "with groups=2; .* groups must divide out",
    ),
    ({"bias": mg.zeros(1)}, ShapeError, r"bias has shape \(1,\); it must be \(4,\), one for each"),
    (
        {"weight": mg.zeros((4, 2, 6, 3))},
        ShapeError,
        r"conv2d: a kernel that spans \(6, 3\) does not fit an input of size \(5, 5\); use padding",
    ),
    (
        {"padding": "sme"},
        ArgumentError,
        "padding must be 'same', 'valid' or numbers, not 'sme'; did you mean 'same'?",
    ),
    (
        {"padding": "same", "stride": 2},
        ArgumentError,
        r"padding='same' needs stride 1, not \(2, 2\); give the padding in numbers",
    ),
    ({"padding": -1}, ArgumentError, "padding must be an integer or a tuple of 2 integers >= 0"),
    (
        {"stride": 0},
        ArgumentError,
        "stride must be an integer or a tuple of 2 integers >= 1, not 0",
    ),
    ({"stride": (1, 1, 1)}, ArgumentError, r"stride must be .*, not \(1, 1, 1\)"),
    ({"dilation": 1.5}, ArgumentError, "dilation must be .*, not 1.5"),
    ({"groups": 0}, ArgumentError, "groups must be an integer >= 1, not 0"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_CONVOLUTIONS)
def test_convolution_errors(change, error, message):
    arguments = {"x": mg.zeros((1, 2, 5, 5)), "weight": mg.zeros((4, 2, 3, 3))}
    with pytest.raises(error, match=message):
        mg.conv2d(**{**arguments, **change})


# pooling


def pooled(x, kernel, stride, padding, reduce, border):
    """Return the pooling of (N, C, *size), with a loop over the windows."""
    x = numpy.pad(x, [(0, 0), (0, 0), *((n, n) for n in padding)], constant_values=border)
    size = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    y = numpy.empty((*x.shape[:2], *size))
    for place in numpy.ndindex(*size):
        window = tuple(
            slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True)
        )
        y[(..., *place)] = reduce(
            x[(slice(None), slice(None), *window)], axis=tuple(range(2, x.ndim))
        )
    return y


POOLS = [
    ((6,), (2,), None, (0,)),
    ((7,), (3,), (2,), (1,)),
    ((4, 6), (2, 3), None, (0, 0)),
    ((5, 6), (3, 2), (1, 2), (1, 1)),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), POOLS)
def test_pooling_equals_loops(size, kernel, stride, padding):
    x = floats(2, 3, *size)
    for kind, reduce, border in (("max", numpy.max, -INF), ("avg", numpy.mean, 0.0)):
        function = getattr(mg, f"{kind}_pool{len(size)}d")
        expected = pooled(x, kernel, stride or kernel, padding, reduce, border)
        close(function(mg.tensor(x), kernel, stride, padding), expected)
        close(function(mg.tensor(x[0]), kernel, stride, padding), expected[0])
        gradcheck(lambda x, f=function: f(x, kernel, stride, padding), leaf(x))


def test_equal_largest_elements_share_the_gradient_of_max_pooling():
    g = gradient(lambda x: mg.max_pool1d(x, 2), [[1.0, 1.0, 0.0, 3.0]], [[1.0, 1.0]])
    close(g, [[0.5, 0.5, 0, 1]])


def test_max_pooling_does_not_see_its_padding():
    close(mg.max_pool1d(mg.tensor([[-5.0, -7.0]]), 2, 1, 1), [[-5, -5, -7]])


def test_pooling_of_an_empty_batch():
    assert mg.max_pool2d(mg.zeros((0, 2, 4, 4)), 2).shape == (0, 2, 2, 2)
    assert mg.avg_pool1d(mg.zeros((0, 2, 4)), 2).shape == (0, 2, 2)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_errors(name):
    function, x = getattr(mg, name), mg.zeros((1, 2, 4, 4))
    with pytest.raises(
        ArgumentError, match=f"{name}: padding 2 is more than half of kernel_size 2"
    ):
        function(x, 2, padding=2)
    with pytest.raises(ArgumentError, match=f"{name}: kernel_size must be .* >= 1, not 0"):
        function(x, 0)
    with pytest.raises(ShapeError, match=rf"{name}: x has shape \(4,\); it must be \(N, C, H, W\)"):
        function(mg.zeros(4), 2)
    with pytest.raises(
        ShapeError, match=rf"{name}: a kernel that spans \(5, 5\) does not fit .* \(4, 4\)"
    ):
        function(x, 5)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_the_wider_dtype_wins_in_a_convolution(dtypes):
    x, weight = mg.zeros((1, 1, 3), dtype=dtypes[0]), mg.zeros((1, 1, 2), dtype=dtypes[1])
    assert mg.conv1d(x, weight).dtype == mg.float64


@pytest.mark.parametrize(
    ("score", "target"), [(-100.0, 0.0), (-100.0, 1e-9), (30.0, 1.0), (3.0, 0.4)]
)
def test_binary_cross_entropy_loses_no_digits(score, target):
    expected = (1 - target) * (max(score, 0) + math.log1p(math.exp(-abs(score))))
    expected += target * (max(-score, 0) + math.log1p(math.exp(-abs(score))))
    found = mg.binary_cross_entropy_with_logits(
        mg.tensor([score], dtype="float64"), mg.tensor([target], dtype="float64")
    )
    assert found.item() == pytest.approx(expected, rel=1e-15)


# attention


def test_keys_that_no_query_may_look_at_are_never_read():
    key, value = floats(4, 2), floats(4, 3)
    allowed = numpy.array([[True, True, False, False], [False, True, False, False]])
    query, g = floats(2, 2), mg.tensor(floats(2, 3))
    found = []
    for garbage in (0.0, 7.0, math.nan, INF):
        key[2:] = value[2:] = garbage
        for mask in (allowed, numpy.where(allowed, 0.5, -INF)):
            given = [leaf(a) for a in (query, key, value)]
            y = mg.scaled_dot_product_attention(*given, mg.tensor(mask))
            slopes = mg.grad(y, given, g)
            found.append([y.detach().numpy(), *(d.numpy() for d in slopes)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            numpy.testing.assert_allclose(b, a, rtol=1e-13, atol=1e-15)
    assert (found[0][2][2:] == 0).all()


def test_weights_of_attention_are_dropped_with_the_probability():
    x, generator = mg.ones((40, 50, 2)), mg.Generator(1)
    call = functools.partial(mg.scaled_dot_product_attention, x, x, x, generator=generator)
    assert mg.all(call(dropout_p=1.0) == 0)
    kept = call(dropout_p=0.25).numpy()[..., 0] * 50 * 0.75  # each query's sum of its kept weights
    assert abs(kept.mean() / 50 - 0.75) < 4 * math.sqrt(0.75 * 0.25 / (40 * 50 * 50))
    assert len(numpy.unique(kept.round())) > 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dropout_p": 0.5}, ArgumentError, "dropout_p=0.5 draws random numbers; give generator="),
        ({"dropout_p": 1.5}, ArgumentError, "dropout_p must be a number from 0 to 1, not 1.5"),
        (
            {"is_causal": True, "attn_mask": mg.ones((2, 2))},
            ArgumentError,
            "is a mask, and there is",
        ),
        ({"is_causal": 1}, ArgumentError, "is_causal must be True or False, not 1"),
        ({"scale": "a"}, ArgumentError, "scale must be a number, not 'a'"),
        (
            {"attn_mask": mg.ones((2, 2), dtype="int64")},
            DtypeError,
            "attn_mask has dtype int64; it",
        ),
        (
            {"key": mg.ones((2, 4))},
            ShapeError,
            r"have shapes \(2, 3\), \(2, 4\) and \(2, 3\); they",
        ),
        ({"value": mg.ones((4, 3))}, ShapeError, r"they must be \(..., L, E\), \(..., S, E\) and"),
        ({"value": mg.ones(2)}, ShapeError, r"they must be \(..., L, E\)"),
    ],
)
def test_what_attention_does_not_take(options, error, message):
    x = mg.ones((2, 3))
    with pytest.raises(error, match=message):
        mg.scaled_dot_product_attention(**{"query": x, "key": x, "value": x, **options})
