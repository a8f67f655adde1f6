"""What every layer takes: when it is called, and when it is made."""

import inspect
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import DtypeError
from minigrad.nn.constructors import NOT_OFFERED

CONTAINERS = {
    "Cell", "Identity", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList",
    "Sequential",
}  # fmt: skip
ROWS, PICTURE, SEQUENCE, STATE = (4, 3), (2, 3, 8, 8), (5, 2, 3), (1, 2, 4)
SCORES, CLASSES = np.ones((4, 3)), np.array([0, 2, 1, 0])
LAYERS = {
    **{name: (getattr(nn, name), np.ones(ROWS)) for name in (
        "ELU", "GELU", "Hardsigmoid", "Hardtanh", "LeakyReLU", "PReLU", "ReLU", "Sigmoid", "SiLU",
        "Softplus", "Softsign", "Tanh")},
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), np.ones(ROWS)),
    "Softmax": (lambda: nn.Softmax(-1), np.ones(ROWS)),
    "Linear": (lambda: nn.Linear(3, 2), np.ones(ROWS)),
    "TiedLinear": (lambda: nn.TiedLinear(nn.Embedding(2, 3)), np.ones(ROWS)),
    "LayerNorm": (lambda: nn.LayerNorm(3), np.ones(ROWS)),
    "GroupNorm": (lambda: nn.GroupNorm(1, 3), np.ones(ROWS)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), np.ones(ROWS)),
    "BatchNorm1d in evaluation": (lambda: nn.BatchNorm1d(3).eval(), np.ones(ROWS)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), np.ones(PICTURE)),
    "Dropout": (lambda: nn.Dropout(1.0), np.ones(ROWS)),
    "Dropout in evaluation": (lambda: nn.Dropout(0.5).eval(), np.ones(ROWS)),
    "Flatten": (nn.Flatten, np.ones(ROWS)),
    "Unflatten": (lambda: nn.Unflatten(0, (2, 2)), np.ones(ROWS)),
    "Embedding": (lambda: nn.Embedding(3, 2), CLASSES),
    "Conv1d": (lambda: nn.Conv1d(3, 2, 2), np.ones(SEQUENCE).swapaxes(1, 2)),
    "Conv2d": (lambda: nn.Conv2d(3, 2, 2), np.ones(PICTURE)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 2, 2), np.ones(SEQUENCE).swapaxes(1, 2)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 2, 2), np.ones(PICTURE)),
    **{f"{kind}Pool{rank}d": (partial(getattr(nn, f"{kind}Pool{rank}d"), 2), np.ones(PICTURE[: rank + 2]))
       for kind in ("Avg", "Max") for rank in (1, 2)},
    **{name: (partial(getattr(nn, name), 3, 3), np.ones(SEQUENCE), np.ones(SEQUENCE)) for name in (
        "AdditiveAttention", "DotAttention", "GeneralAttention", "ScaledDotAttention")},
    "AttentionPooling": (lambda: nn.AttentionPooling(3), np.ones(SEQUENCE)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(3, 1), *[np.ones(SEQUENCE)] * 3),
    "Decoder": (lambda: nn.Decoder(nn.cells.gru, 3, 4, 3), CLASSES[:, None]),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), np.ones(PICTURE[:3])),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(3), np.ones(PICTURE)),
    "RNN": (lambda: nn.RNN(3, 4), np.ones(SEQUENCE), np.ones(STATE)),
    "GRU": (lambda: nn.GRU(3, 4, batch_first=True), np.ones((2, 5, 3)), np.ones(STATE)),
    "LSTM": (lambda: nn.LSTM(3, 4), np.ones(SEQUENCE), (np.ones(STATE), np.ones(STATE))),
    "Recurrent": (lambda: nn.Recurrent(nn.cells.mgu, 3, 4), np.ones(SEQUENCE)),
    "RNNCell": (lambda: nn.RNNCell(3, 4), np.ones(ROWS), np.ones((4, 4))),
    "GRUCell": (lambda: nn.GRUCell(3, 4), np.ones(ROWS)),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), np.ones(ROWS), (np.ones((4, 4)), np.ones((4, 4)))),
    "CosineSimilarity": (nn.CosineSimilarity, np.ones(ROWS), np.ones(ROWS)),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, SCORES, CLASSES),
    "NLLLoss": (nn.NLLLoss, SCORES, CLASSES),
    **{name: (getattr(nn, name), SCORES, SCORES) for name in (
        "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss")},
    "SequenceLoss": (nn.SequenceLoss, np.ones((4, 1, 3)), CLASSES[:, None]),
    "CTCLoss": (nn.CTCLoss, np.ones((4, 4, 3)), CLASSES[[1, 1, 2, 2], None]),
    "CRF": (lambda: nn.CRF(3), np.ones((4, 1, 3)), CLASSES[:, None]),
}  # fmt: skip


class Foreign:
    """Looks like an array, and is none that minigrad knows."""

    shape, ndim, dtype = (4, 3), 2, np.dtype("float32")


def each(convert, given):
    """Convert each array of nested tuples."""
    if isinstance(given, tuple):
        return tuple(each(convert, part) for part in given)
    return convert(given.astype("float32") if given.dtype == "float64" else given)


def leaves(nested):
    """Yield the arrays of nested tuples."""
    if isinstance(nested, tuple):
        for part in nested:
            yield from leaves(part)
    elif nested is not None:
        yield nested


def test_the_table_has_every_layer():
    kinds = {name for name, kind in vars(nn).items() if inspect.isclass(kind)}
    layers = {name for name in kinds if issubclass(getattr(nn, name), nn.Module)} - CONTAINERS
    assert layers == {name for name in LAYERS if not name.endswith(" in evaluation")}


@pytest.mark.usefixtures("both_loops")
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_arrays_as_ops_do(name, recorded):
    make, *arguments = LAYERS[name]
    layer = make()
    with mg.set_grad_enabled(recorded):
        expected = layer(*each(mg.tensor, tuple(arguments)))
        for _ in range(3):  # cold and warm
            found = layer(*each(np.asarray, tuple(arguments)))
            for a, b in zip(leaves(found), leaves(expected), strict=True):
                assert isinstance(a, mg.Tensor)
                np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
                assert (a.dtype, a.requires_grad) == (b.dtype, b.requires_grad)


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_neither_tensor_nor_array_is_refused(name):
    make, x, *rest = LAYERS[name]
    layer = make()
    rest = each(np.asarray, tuple(rest))
    for wrong in (x.tolist(), None, 3, "text", Foreign()):
        for _ in range(3):
            with pytest.raises(TypeError, match=r"must be a tensor.* an array.* a \w+"):
                layer(wrong, *rest)
    with pytest.raises(DtypeError, match=r"dtype .*O.* is not supported"):
        layer(x.astype(object), *rest)


@pytest.mark.parametrize("name", LAYERS)
def test_a_wrong_call_is_told_by_the_name_of_the_layer(name):
    make, *arguments = LAYERS[name]
    layer = make()
    called = f"^{type(layer).__name__}.forward"
    first = next(iter(inspect.signature(layer.forward).parameters))
    for _ in range(2):
        with pytest.raises(TypeError, match=f"{called}: missing a required argument: '{first}'"):
            layer()
        with pytest.raises(TypeError, match=rf"{called} has no option 'qwertz'; it takes {first}"):
            layer(*arguments, qwertz=1)
        with pytest.raises(
            TypeError, match=rf"{called} takes only {first}.* and was also given \d"
        ):
            layer(*range(20))
        layer.register_forward_hook(lambda *_: None)


def test_errors_of_the_same_kind_inside_of_a_layer_stay():
    class Mine(nn.Module):
        def forward(self, x):
            return len(3)

    with pytest.raises(TypeError, match=r"^object of type 'int' has no len"):
        Mine()(1)
    with pytest.raises(TypeError, match=r"^Mine.forward: missing a required argument: 'x'"):
        Mine()()
    layer = Mine()
    layer.forward = map  # does not tell its signature
    with pytest.raises(TypeError, match=r"map\(\) must have at least two arguments"):
        layer()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "RNNCell", "LSTMCell"])
def test_states_are_as_inputs(name):
    make, x, states = LAYERS[name]
    layer = make()
    x = each(np.asarray, x)
    wrong = tuple(s.tolist() for s in states) if isinstance(states, tuple) else states.tolist()
    for _ in range(3):
        with pytest.raises(
            TypeError, match=f"{name}: state h of shape .* must be a tensor or an array"
        ):
            layer(x, wrong)
        with pytest.raises(DtypeError, match=r"convert the input with .astype\('float32'\)"):
            layer(x.astype("float64"), states)
        with pytest.raises(
            DtypeError, match=f"{name}: state h has dtype float64 and the input float32"
        ):
            layer(x, states)


# when it is made


def classes(module, base):
    """Return the public classes of a module."""
    return {
        kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, base)
    }


MADE = sorted(
    {
        *classes(nn, nn.Module),
        *classes(nn.optim, nn.optim.Optimizer),
        *classes(nn.optim.lr_scheduler, nn.optim.lr_scheduler.LRScheduler),
    }
    - {
        nn.Module,
        nn.Identity,
        nn.Recurrent,
        nn.Decoder,
        nn.optim.Optimizer,
        nn.optim.lr_scheduler.LRScheduler,
    },
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.__name__)
def test_what_a_class_does_not_take_is_told_by_its_own_name(kind):
    name = kind.__name__
    with pytest.raises(TypeError, match=f"^{name} has no option 'qwertz'; it takes [a-z]"):
        kind(qwertz=1)
    with pytest.raises(
        TypeError, match=f"^{name} has no option 'inplace': results are new tensors"
    ):
        kind(inplace=False)
    if not any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(kind).parameters.values()):
        with pytest.raises(
            TypeError, match=f"^{name} takes (nothing|only .*) by position, and was"
        ):
            kind(*range(20))
    required = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    if required and required[0].kind is not required[0].VAR_POSITIONAL:
        with pytest.raises(
            TypeError, match=f"^{name}: missing a required argument: '{required[0].name}'"
        ):
            kind()


TOLD = [
    (lambda: nn.Conv2d(1, 2, 3, stirde=2), "Conv2d has no option 'stirde'; did you mean 'stride'?"),
    (lambda: nn.L1Loss("sum"),
     "L1Loss takes nothing by position, and was also given 'sum'; pass reduction by name"),
    (lambda: nn.MSELoss(size_average=False),
     "MSELoss has no option 'size_average': reduction='mean', 'sum' or 'none' says it; leave it out"),
    (lambda: nn.MaxPool2d(2, return_indices=True), "MaxPool2d has no option 'return_indices': they"),
    (lambda: nn.Embedding(3, 2, sparse=True), "Embedding has no option 'sparse': gradients are dense"),
    (lambda: nn.Embedding(3, 2, None, None, 2.0, False, True),
     ("Embedding takes only num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, "
      "scale_grad_by_freq by position, and was also given True; pass device, dtype by name")),
    (lambda: nn.ConvTranspose1d(1, 2, 3, padding_mode="zeros"),
     "ConvTranspose1d has no option 'padding_mode': only a convolution reads a border"),
    (lambda: nn.optim.Adam([], foreach=True), "Adam has no option 'foreach': there is one way"),
    (lambda: nn.ReLU().state_dict(keep_vars=True),
     "Module.state_dict has no option 'keep_vars': the values are copies, without gradients; leave"),
    (lambda: nn.ReLU().state_dict({}),
     "Module.state_dict takes nothing by position, and was also given {}; pass prefix, arrays by name"),
    (lambda: nn.ReLU().load_state_dict({}, assign=True), "Module.load_state_dict has no option 'assign'"),
    (lambda: nn.ReLU().to("cpu", non_blocking=True), "Module.to has no option 'non_blocking'"),
    (lambda: nn.ReLU().register_forward_hook(print, prepend=True),
     "Module.register_forward_hook has no option 'prepend': hooks run in the order"),
    (lambda: nn.clip_grad_norm_([], 1.0, foreach=True), "clip_grad_norm_ has no option 'foreach': there"),
    (lambda: nn.clip_grad_value_([]), "clip_grad_value_: missing a required argument: 'clip_value'"),
    (lambda: nn.Linear(2, 3, out_features=4), "Linear: multiple values for argument 'out_features'"),
    (lambda: nn.Recurrent(nn.cells.gru, bias=False),
     "Recurrent: missing a required argument: 'input_size'"),
    (lambda: nn.LSTM(2, 3, proj=4), "LSTM has no option 'proj'; did you mean 'proj_size'?"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), TOLD)
def test_the_nearest_option_or_the_reason_is_told(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_a_subclass_is_named_where_it_was_called():
    class Mine(nn.Conv1d):
        pass

    class Own(nn.Linear):
        def __init__(self, width):
            super().__init__(width, width, wrong=1)

    with pytest.raises(TypeError, match=r"^Mine has no option 'wrong'"):
        Mine(1, 2, 3, wrong=1)
    with pytest.raises(TypeError, match=r"^Linear has no option 'wrong'"):
        Own(3)


def test_signatures_are_those_of_the_layers():
    assert str(inspect.signature(nn.ReLU)).startswith("()")
    assert list(inspect.signature(nn.Linear).parameters)[:3] == [
        "in_features",
        "out_features",
        "bias",
    ]


def test_the_page_about_pytorch_lists_what_is_not_offered():
    page = Path(__file__).resolve().parents[2] / "docs" / "pytorch.md"
    rows = [
        line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines() if "|" in line
    ]
    listed = {option for row in rows for option in row.strip().replace("`", "").split(", ")}
    assert set(NOT_OFFERED) <= listed
