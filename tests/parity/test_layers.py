"""Feed-forward layers and losses equal PyTorch's: constructors, weights, text, results, gradients."""

import inspect
import operator
from itertools import product

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.nn.constructors import NOT_OFFERED

TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}
pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss"),
]


@pytest.fixture(autouse=True)
def float64():
    """Compute in float64 in both libraries."""
    mg.set_default_dtype("float64")
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    mg.set_default_dtype("float32")


def made(*args, **kwargs):
    """Return the arguments of a constructor."""
    return args, kwargs


# constructor arguments, shape of the input
LAYERS = {
    "Identity": [(made(), (2, 3)), (made(3, any=4), (2, 3))],
    "Linear": [
        (made(4, 3, *bias), shape)
        for bias, shape in product([(), (False,)], [(4,), (2, 4), (2, 5, 4), (0, 4)])
    ],
    "LayerNorm": [
        (made(4), (4,)),
        (made(4), (2, 3, 4)),
        (made((3, 4)), (2, 3, 4)),
        (made([3, 4], bias=False), (2, 3, 4)),
        (made(4, 0.1), (2, 4)),
        (made(4, 1e-5, False), (2, 4)),
        (made(4), (0, 4)),
    ],
    "GroupNorm": [
        (made(2, 4), (2, 4, 3)),
        (made(1, 3, 0.1), (1, 3, 2, 3)),
        (made(4, 4), (2, 4)),
        (made(2, 4, affine=False), (2, 4, 1)),
        (made(2, 4, bias=False), (0, 4, 3)),
    ],
    "BatchNorm1d": [
        (made(4), (3, 4)),
        (made(4, 0.1, 0.5), (3, 4, 5)),
        (made(4, bias=False), (1, 4, 2)),
        (made(4, 1e-5, None, False), (3, 4)),
        (made(4, 1e-5, 0.1, True, False), (3, 4)),
    ],
    "BatchNorm2d": [(made(3), (2, 3, 4, 2)), (made(3, affine=False), (1, 3, 2, 2))],
    "Conv1d": [
        (made(4, 6, 3), (2, 4, 9)),
        (made(4, 6, 3), (4, 9)),
        (made(4, 6, 3), (0, 4, 9)),
        (made(4, 6, (3,), (2,), (1,), (2,), 2, False), (2, 4, 9)),
        (made(4, 6, 3, padding="same", dilation=3), (2, 4, 9)),
        (made(4, 6, 4, padding="same"), (2, 4, 9)),
        (made(4, 6, 3, 2, padding="valid"), (2, 4, 9)),
        (made(4, 4, 3, groups=4), (2, 4, 9)),
        *(
            (made(4, 6, 4, 1, padding, 1, 2, padding_mode=mode), shape)
            for mode in ("reflect", "replicate", "circular")
            for padding, shape in ((2, (2, 4, 5)), ("same", (4, 5)), (1, (0, 4, 5)))
        ),
    ],
    "Conv2d": [
        (made(4, 6, 3), (2, 4, 7, 8)),
        (made(4, 6, 3), (4, 7, 8)),
        (made(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False), (2, 4, 7, 8)),
        (made(4, 6, (2, 3), padding="same", dilation=(3, 1)), (2, 4, 7, 8)),
        (made(4, 6, 1, 2, padding="valid"), (2, 4, 7, 8)),
        *(
            (made(4, 6, 3, 2, padding, 2, 2, False, mode), (2, 4, 6, 5))
            for mode in ("zeros", "reflect", "replicate", "circular")
            for padding in ((4, 3), (0, 2))
        ),
    ],
    "ConvTranspose1d": [
        (made(4, 6, 3), (2, 4, 5)),
        (made(4, 6, 3), (4, 5)),
        (made(4, 6, 3), (0, 4, 5)),
        (made(4, 6, (3,), (2,), (1,), (1,), 2, False, (2,)), (2, 4, 5)),
        (made(4, 4, 2, 3, 1, 2, groups=4), (2, 4, 1)),
    ],
    "ConvTranspose2d": [
        (made(4, 6, 3), (2, 4, 4, 5)),
        (made(4, 6, 3, 2, 1, 1), (4, 4, 5)),
        (made(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), 2, False, (1, 2)), (2, 4, 4, 1)),
    ],
    "MaxPool1d": [
        (made(2), (2, 3, 9)),
        (made(3, 2, 1), (3, 9)),
        (made((3,), (2,), (1,), (2,)), (2, 3, 9)),
        (made(2, ceil_mode=True), (2, 3, 9)),
        (made(2, 5, ceil_mode=True), (2, 3, 11)),
    ],
    "MaxPool2d": [
        (made(2), (2, 3, 7, 8)),
        (made((2, 3), (1, 2), (1, 0), (2, 1)), (3, 7, 8)),
        (made(3, 2, 1, ceil_mode=True), (2, 3, 7, 8)),
    ],
    "AvgPool1d": [(made((2,)), (2, 3, 9)), (made((3,), (2,), (1,)), (3, 9))],
    "AvgPool2d": [(made(2), (2, 3, 7, 8)), (made((2, 3), (1, 2), (1, 0)), (3, 7, 8))],
    "AdaptiveAvgPool1d": [(made(3), (2, 3, 7)), (made((2,)), (3, 4)), (made(1), (0, 3, 4))],
    "AdaptiveAvgPool2d": [
        (made((2, 3)), (2, 3, 4, 7)),
        (made((None, 5)), (3, 4, 3)),
        (made(1), (2, 3, 4, 5)),
    ],
    "Flatten": [
        (made(), (2, 3, 4)),
        (made(), (0, 3, 4)),
        (made(0), ()),
        (made(0), (2, 3, 4)),
        (made(1, 2), (2, 3, 4, 5)),
        (made(-3, -2), (2, 3, 4, 5)),
    ],
    "Unflatten": [
        (made(1, (2, 3)), (4, 6)),
        (made(-1, (2, -1)), (4, 6)),
        (made(0, (2, 2, 1)), (4, 6)),
        (made(1, (2, 3)), (0, 6)),
    ],
    "LeakyReLU": [(made(), (3, 4)), (made(0.2), (3, 4))],
    "ELU": [(made(), (3, 4)), (made(0.5), (3, 4))],
    "GELU": [(made(), (3, 4)), (made("tanh"), (3, 4))],
    "Softplus": [(made(), (30,)), (made(2.0, 1.5), (30,)), (made(-1.0), (30,))],
    "Hardtanh": [(made(), (3, 4)), (made(-0.5, 2.0), (3, 4))],
    "Softmax": [(made(1), (2, 3, 4)), (made(-1), (2, 3)), (made(dim=0), (3,))],
    "LogSoftmax": [(made(1), (2, 3, 4)), (made(-1), (2, 3)), (made(dim=0), (3,))],
    "PReLU": [
        (made(), (2, 3, 4)),
        (made(), ()),
        (made(3), (2, 3, 4)),
        (made(3, 0.1), (2, 3)),
        (made(3), (2, 3, 4, 2)),
    ],
    **{
        name: [(made(), (3, 4)), (made(), ()), (made(), (0, 2))]
        for name in ("ReLU", "SiLU", "Softsign", "Sigmoid", "Tanh", "Hardsigmoid")
    },
}
CASES = [(name, *case) for name, cases in LAYERS.items() for case in cases]
LOSSES = """CrossEntropyLoss NLLLoss BCELoss KLDivLoss BCEWithLogitsLoss MSELoss L1Loss HuberLoss
SmoothL1Loss""".split()

# what PyTorch takes and ignores
IGNORED = {name: {"args", "kwargs"} for name in ("Sigmoid", "Tanh", "Softsign")}
OTHER_TEXT = {"AvgPool1d"}  # see test_the_text_of_layers_in_which_we_differ
# what we take and PyTorch does not
ADDED = {"Dropout": {"generator"}}


@pytest.mark.parametrize("name", [*LAYERS, *LOSSES, "CosineSimilarity", "Embedding", "Dropout"])
def test_constructors_take_the_arguments_of_pytorch(name):
    ours = dict(inspect.signature(getattr(nn, name)).parameters)
    theirs = dict(inspect.signature(getattr(torch.nn, name)).parameters)
    for added in ADDED.get(name, ()):
        assert ours.pop(added).kind is inspect.Parameter.KEYWORD_ONLY
    left_out = set(theirs) - set(ours)
    assert left_out <= set(NOT_OFFERED) | IGNORED.get(name, set())
    assert set(ours) <= set(theirs)
    # what can be given by position has the position of PyTorch
    places = [p.name for p in ours.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert places == [*theirs][: len(places)]
    for key, parameter in ours.items():
        assert parameter.default == theirs[key].default


def test_from_pretrained_takes_the_arguments_of_pytorch():
    ours = inspect.signature(nn.Embedding.from_pretrained).parameters
    theirs = inspect.signature(torch.nn.Embedding.from_pretrained).parameters
    assert [*ours] == [*theirs][: len(ours)]
    assert all(ours[name].default == theirs[name].default for name in ours)


@pytest.mark.parametrize(
    "name",
    [kind for kind, value in vars(nn.optim).items() if inspect.isclass(value)]
    + [f"lr_scheduler.{kind}" for kind, value in vars(nn.optim.lr_scheduler).items()
       if inspect.isclass(value)],
)  # fmt: skip
def test_optimisers_and_schedules_take_the_options_of_pytorch(name):
    ours, theirs = (
        set(inspect.signature(operator.attrgetter(name)(library.optim)).parameters)
        for library in (nn, torch)
    )
    assert theirs - ours <= set(NOT_OFFERED)
    assert ours <= theirs


def test_every_option_that_is_refused_with_a_reason_is_one_of_pytorch():
    offered = set()
    for library in (torch.nn, torch.optim, torch.optim.lr_scheduler):
        for kind in vars(library).values():
            if inspect.isclass(kind):
                offered |= set(inspect.signature(kind.__init__).parameters)
    called = "state_dict load_state_dict register_forward_hook".split()
    for function in (*(getattr(torch.nn.Module, name) for name in called), torch.Tensor.to):
        text = inspect.getdoc(function) or ""
        offered |= {option for option in NOT_OFFERED if option in text}
    assert set(NOT_OFFERED) <= offered


def numpy_of(t):
    return t.detach().numpy()


def assert_close(found, expected):
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(numpy_of(found), numpy_of(expected), **TOLERANCE)


def assert_same_results(layer, peer, *inputs):
    """Compare outputs, gradients of the inputs of floats, and of all parameters."""
    ours = [mg.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    theirs = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    result, expected = layer(*ours), peer(*theirs)
    assert_close(result, expected)
    weight = np.random.default_rng(1).normal(size=tuple(expected.shape))
    result.backward(mg.tensor(weight))
    expected.backward(torch.tensor(weight))
    for a, b in zip(ours, theirs, strict=True):
        if b.requires_grad:
            assert_close(a.grad, b.grad)
    for key, parameter in peer.named_parameters():
        assert_close(dict(layer.named_parameters())[key].grad, parameter.grad)


def drawn(shape, low=-2.5, high=2.5):
    return np.asarray(np.random.default_rng(0).uniform(low, high, shape))


def both(name, args, kwargs):
    return getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


class ExactHardsigmoid(torch.nn.Module):
    """PyTorch's own has the 1/6 of float32 for its slope, in float64 too."""

    def forward(self, x):
        return torch.nn.functional.relu6(x + 3) / 6


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_layers(name, arguments, shape):
    layer, peer = both(name, *arguments)
    assert repr(layer) == repr(peer) or name in OTHER_TEXT
    peer = ExactHardsigmoid() if name == "Hardsigmoid" else peer
    theirs = {key: numpy_of(t) for key, t in peer.state_dict().items()}
    found = {key: t.shape for key, t in layer.state_dict().items()}
    assert list(found.items()) == [(key, t.shape) for key, t in theirs.items()]
    layer.load_state_dict(theirs)
    assert_same_results(layer, peer, drawn(shape))


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if "dtype" in inspect.signature(getattr(nn, name)).parameters]
)
def test_weights_go_back_to_pytorch(name):
    for arguments, shape in LAYERS[name]:
        layer, peer = both(name, *arguments)
        for value in layer.parameters():
            value.copy_(mg.tensor(drawn(value.shape)))
        theirs = {key: torch.tensor(t.numpy()) for key, t in layer.state_dict().items()}
        peer.load_state_dict(theirs)
        assert_same_results(layer, peer, drawn(shape))


INDICES = np.array([[0, 5, 5], [2, 1, 0]])


@pytest.mark.parametrize("padding_idx", [None, 0, 5, -1, -6])
def test_embedding(padding_idx):
    layer, peer = both("Embedding", (6, 3), {"padding_idx": padding_idx})
    assert repr(layer) == repr(peer)
    assert layer.padding_idx == peer.padding_idx
    assert [*layer.state_dict()] == [*peer.state_dict()]
    if padding_idx is not None:
        assert (layer.weight[padding_idx] == 0).all()
    layer.load_state_dict({"weight": numpy_of(peer.weight)})
    for indices in (INDICES, np.array(1), np.zeros((2, 0), dtype="int64")):
        layer.zero_grad()
        peer.zero_grad()
        assert_same_results(layer, peer, indices)


@pytest.mark.parametrize("padding_idx", [None, 2])
@pytest.mark.parametrize("scale_grad_by_freq", [False, True])
@pytest.mark.parametrize(
    ("max_norm", "norm_type"), [(None, 2.0), (1.0, 2.0), (1.5, 1.0), (0.7, np.inf)]
)
def test_the_norm_and_the_frequency_of_rows(padding_idx, scale_grad_by_freq, max_norm, norm_type):
    options = (padding_idx, max_norm, norm_type, scale_grad_by_freq)
    layer, peer = both("Embedding", (6, 3, *options), {})
    assert repr(layer) == repr(peer)
    table = drawn((6, 3))
    layer.load_state_dict({"weight": table})
    peer.load_state_dict({"weight": torch.tensor(table)})
    for indices in (INDICES, np.array(1), np.zeros((2, 0), dtype="int64"), INDICES):
        layer.zero_grad()
        peer.zero_grad()
        assert_same_results(layer, peer, indices)
        assert_close(layer.weight, peer.weight)
    pretrained = nn.Embedding.from_pretrained(mg.tensor(table), False, *options)
    peer = torch.nn.Embedding.from_pretrained(torch.tensor(table), False, *options)
    assert repr(pretrained) == repr(peer)
    assert_same_results(pretrained, peer, INDICES)


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_a_pretrained_embedding(freeze, padding_idx):
    table = drawn((6, 3))
    layer = nn.Embedding.from_pretrained(mg.tensor(table), freeze, padding_idx)
    peer = torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze, padding_idx)
    assert repr(layer) == repr(peer)
    assert layer.weight.requires_grad == peer.weight.requires_grad
    assert_close(layer.weight, peer.weight)
    if freeze:
        assert_close(layer(mg.tensor(INDICES)), peer(torch.tensor(INDICES)))
    else:
        assert_same_results(layer, peer, INDICES)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_pools(rank, ceil_mode, count_include_pad):
    sizes = product([2, 3, (2, 3)[:rank]], [None, 1, 3, 5], [0, 1], [None, 3, -2][: 2 * rank - 1])
    for kernel, stride, padding, divisor in sizes:
        divisors = () if divisor is None else (divisor,)
        options = (kernel, stride, padding, ceil_mode, count_include_pad, *divisors)
        layer, peer = both(f"AvgPool{rank}d", options, {})
        for shape in ((3, 2, 6, 7), (0, 2, 6, 7), (2, 3, 4)):
            assert_same_results(layer, peer, drawn(shape[: len(shape) + rank - 2]))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9, 1.0])
def test_dropout_keeps_as_many_and_scales_as_pytorch(p):
    layer, peer = nn.Dropout(p), torch.nn.Dropout(p)
    x = torch.ones(200, 200, requires_grad=True)
    found, expected = layer(mg.tensor(numpy_of(x))).numpy(), numpy_of(peer(x))
    assert set(np.unique(found)) == set(np.unique(expected))
    error = 5 * np.sqrt(2 * p * (1 - p) / x.numel())  # five standard errors of the difference
    assert abs((found == 0).mean() - (expected == 0).mean()) <= error
    layer.eval()
    np.testing.assert_array_equal(layer(mg.tensor(numpy_of(x))).numpy(), numpy_of(x))


def test_the_text_of_layers_in_which_we_differ():
    assert repr(torch.nn.Dropout(0.3)) == "Dropout(p=0.3, inplace=False)"
    assert repr(nn.Dropout(0.3)) == "Dropout(p=0.3)"  # there is no inplace
    assert repr(torch.nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=2, stride=2, padding=0)"  # as the others


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Linear", (300, 200)),
        ("Conv1d", (40, 60, 5)),
        ("Conv2d", (12, 60, (3, 5), 1, 0, 1, 2)),
        ("ConvTranspose1d", (60, 40, 5)),
        ("ConvTranspose2d", (60, 12, (3, 5), 1, 0, 0, 2)),
        ("Embedding", (300, 64)),
        ("Embedding", (300, 64, 7)),
        ("LayerNorm", ((30, 20),)),
        ("GroupNorm", (3, 6)),
        ("BatchNorm2d", (6,)),
        ("PReLU", (30,)),
    ],
)
def test_new_layers_are_drawn_from_the_distribution_of_pytorch(name, args):
    layer, peer = both(name, args, {})
    for key, parameter in peer.named_parameters():
        found = np.sort(dict(layer.named_parameters())[key].detach().numpy().ravel())
        expected = np.sort(numpy_of(parameter).ravel())
        if found[0] == found[-1]:  # a constant
            np.testing.assert_array_equal(found, expected)
            continue
        # Kolmogorov and Smirnov: the largest difference of the shares below any number
        points = np.concatenate([found, expected])
        shares = [
            np.searchsorted(values, points, "right") / values.size for values in (found, expected)
        ]
        limit = 1.95 * np.sqrt(2 / found.size)  # exceeded once in a thousand draws
        assert np.abs(shares[0] - shares[1]).max() < limit
        if name in {
            "Linear",
            "Conv1d",
            "Conv2d",
            "ConvTranspose1d",
            "ConvTranspose2d",
        }:  # a bound is sharp
            bound = 1 / np.sqrt(torch.nn.init._calculate_fan_in_and_fan_out(peer.weight)[0])
            for values in (found, expected):
                assert -bound <= values[0] < values[-1] <= bound
                if key == "weight":
                    assert values[0] < -0.99 * bound
                    assert values[-1] > 0.99 * bound


# losses

CLASSES = 4
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25])
REDUCTIONS = ("mean", "sum", "none")


def classes(*shape):
    return np.asarray(np.random.default_rng(2).integers(0, CLASSES, shape))


def same_loss(name, options, *inputs):
    layer = getattr(nn, name)(
        **{k: mg.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    )
    peer = getattr(torch.nn, name)(
        **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    )
    assert repr(layer) == repr(peer)
    assert [*layer.state_dict()] == [*peer.state_dict()]
    layer.load_state_dict({key: numpy_of(t) for key, t in peer.state_dict().items()})
    assert_same_results(layer, peer, *inputs)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("shape", [(), (5,), (3, 2), (2, 3, 2)])
def test_losses_of_classes(reduction, weight, ignore_index, shape):
    x = drawn((*shape[:1], CLASSES, *shape[1:]))
    target = classes(*shape) if shape else np.array(2)
    options = {"reduction": reduction, "weight": weight, "ignore_index": ignore_index}
    for smoothing in (0.0, 0.1):
        same_loss("CrossEntropyLoss", {**options, "label_smoothing": smoothing}, x, target)
    logs = x - np.log(np.exp(x).sum(min(1, x.ndim - 1), keepdims=True))
    same_loss("NLLLoss", options, logs, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_probabilities(reduction, weight, smoothing):
    target = drawn((5, CLASSES), 0.1, 1.0)
    options = {"reduction": reduction, "weight": weight, "label_smoothing": smoothing}
    same_loss("CrossEntropyLoss", options, drawn((5, CLASSES)), target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "weights", [{}, {"weight": WEIGHT}, {"pos_weight": WEIGHT}, {"weight": WEIGHT, "pos_weight": WEIGHT}]
)  # fmt: skip
def test_binary_cross_entropy(reduction, weights):
    x, target = drawn((5, CLASSES)), classes(5, CLASSES) / CLASSES
    same_loss("BCEWithLogitsLoss", {"reduction": reduction, **weights}, x, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", [{}, {"weight": WEIGHT}])
def test_binary_cross_entropy_of_probabilities(reduction, weights):
    x, target = drawn((5, CLASSES), 0.0, 1.0), classes(5, CLASSES) / CLASSES
    same_loss("BCELoss", {"reduction": reduction, **weights}, x, target)


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_divergence(reduction, log_target):
    for shape in [(4,), (3, 5), (2, 3, 2)]:
        x, target = drawn(shape), drawn(shape, -2.0 if log_target else 0.1, 0.9)
        same_loss("KLDivLoss", {"reduction": reduction, "log_target": log_target}, x, target)


@pytest.mark.parametrize(("dim", "eps"), [(1, 1e-8), (0, 1e-8), (-1, 10.0)])
def test_cosine_similarity(dim, eps):
    layer, peer = both("CosineSimilarity", (dim, eps), {})
    assert repr(layer) == repr(peer)
    for shape in [(3, 4), (2, 3, 4)]:
        other = np.random.default_rng(3).normal(size=shape)
        found = layer(mg.tensor(drawn(shape)), mg.tensor(other))
        assert_close(found, peer(torch.tensor(drawn(shape)), torch.tensor(other)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MSELoss", {}),
        ("L1Loss", {}),
        *[("HuberLoss", {"delta": delta}) for delta in (0.3, 1.0, 2.5)],
        *[("SmoothL1Loss", {"beta": beta}) for beta in (0.0, 0.3, 1.0, 2.5)],
    ],
)
def test_losses_of_distances(name, options, reduction):
    for shape in [(), (4,), (3, 5)]:
        x, target = drawn(shape), np.zeros(shape) + 0.2
        same_loss(name, {**options, "reduction": reduction}, x, target)


def test_options_that_pytorch_takes_by_position():
    x, target = mg.tensor([2.0, 0.1]), mg.tensor([0.0, 0.0])
    theirs = torch.nn.HuberLoss("sum", 0.5)(torch.tensor([2.0, 0.1]), torch.zeros(2))
    assert nn.HuberLoss("sum", 0.5)(x, target).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_tensors_of_pytorch_are_named_as_such():
    x = torch.ones(4, 3)
    for layer in (nn.Linear(3, 2), nn.ReLU(), nn.GRUCell(3, 2), nn.Embedding(3, 2)):
        with pytest.raises(
            TypeError, match=r"must be a tensor or an array, not a torch\.Tensor; conv"
        ):
            layer(x)
    with pytest.raises(
        TypeError, match=r"conv1d\(\): x must be a tensor or an array, but is a torch"
    ):
        mg.conv1d(x, x)
    for loss in (nn.MSELoss(), nn.CrossEntropyLoss()):
        for pair in ((x, x), (mg.ones((4, 3)), x)):
            with pytest.raises(
                TypeError, match=r"must be a tensor or an array, but is a torch\.Ten"
            ):
                loss(*pair)
    with pytest.raises(
        TypeError, match=r"must be a tensor, an array or a number, but is a torch\.T"
    ):
        mg.exp(x)
