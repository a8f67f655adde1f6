"""The cells against their equations in NumPy, what stands beside a cell, and layers of one step."""

import copy
import importlib
import inspect
import pickle
import pkgutil

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.kernels import Affine, CellFunction, cell
from minigrad.nn import cells
from minigrad.testing import gradcheck

pytestmark = pytest.mark.usefixtures("both_loops")

D, H, N = 3, 4, 2

OPTIONS = [(name, {"bias": bias}) for name in cells.CELLS for bias in (True, False)]
OPTIONS += [("lstm", {"bias": bias, "proj_size": 2}) for bias in (True, False)]


def arguments(of, options):
    """Return random parameters by name, and an input and states."""
    rng = np.random.default_rng(0)
    starts = of.initial_parameters(D, H, **options)
    shapes = {name: s.shape if isinstance(s, mg.Tensor) else s for name, s in starts.items()}
    parameters = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    widths = (D, *of.state_widths(H, **options))
    return parameters, [rng.standard_normal((N, width)) for width in widths]


def test_every_cell_is_in_the_table_and_has_equations(equations):
    files = [f"minigrad.nn.cells.{file.name}" for file in pkgutil.iter_modules(cells.__path__)]
    modules = [cells, *map(importlib.import_module, files)]
    made = [value for m in modules for value in vars(m).values() if isinstance(value, CellFunction)]
    assert {id(value) for value in made} == {id(value) for value in cells.CELLS.values()}
    assert all(getattr(cells, name) is value for name, value in cells.CELLS.items())
    assert set(cells.CELLS) == set(equations)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_a_cell_computes_its_equations(equations, name, options):
    of = getattr(cells, name)
    parameters, values = arguments(of, options)
    tensors = {key: mg.tensor(value) for key, value in parameters.items()}
    found = of(*map(mg.tensor, values), **tensors)
    found = found if isinstance(found, tuple) else (found,)
    for state, expected in zip(found, equations[name](parameters, *values), strict=True):
        np.testing.assert_allclose(state.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_gradients_of_a_cell(name, options):
    of = getattr(cells, name)
    parameters, values = arguments(of, options)

    def step(*given):
        return of(*given[: len(values)], **dict(zip(parameters, given[len(values) :], strict=True)))

    gradcheck(step, *map(mg.tensor, (*values, *parameters.values())))


# what stands beside a cell


def shifted_params(input_size, hidden_size, *, start=0.5, extra=1):
    return {
        "w": (hidden_size, input_size),
        "u": (hidden_size, extra),
        "v": mg.full((extra,), start),
    }


@cell(state=("h", "m"), params=shifted_params, widths=lambda hidden_size, extra=1: {"m": extra})
def shifted(x, h, m, *, w, u, v, unused=None):
    return mg.tanh(mg.linear(x, w) + mg.linear(m, u) + h), m * v


def test_a_cell_tells_its_parameters_and_widths():
    assert shifted.parameters == ("w", "u", "v", "unused")
    assert shifted.options == ("start", "extra")
    starts = shifted.initial_parameters(3, 4, extra=2, start=7)
    assert (starts["w"], starts["u"]) == ((4, 3), (4, 2))
    assert starts["v"].tolist() == [7.0, 7.0]
    assert shifted.state_widths(4) == (4, 1)
    assert shifted.state_widths(4, extra=2, start=7) == (4, 2)
    assert cells.lstm.state_widths(4, proj_size=2, bias=False) == (2, 4)
    assert cells.gru.state_widths(4) == (4,)
    assert cells.gru.options == ("bias",)


def gated_params(input_size, hidden_size, *, start=0.5, bias=True):
    first = {"bias_ih": mg.full((2 * hidden_size,), start)} if bias else {}
    return {"rate": (hidden_size,), **first}


@cell(state=("h", "m"), gates=2, params=gated_params, widths=lambda hidden_size: {"h": 3})
def gated(x, h, m, *, W, U, rate):
    z = mg.sigmoid(W[0](x) + U[:1](h))
    m = rate * m + z * mg.tanh(W[-1](x) + U[1:](z[:, :3] * h))
    return m[:, :3], m


def written_out(x, h, m, *, weight_ih, weight_hh, rate, bias_ih=0.0, bias_hh=0.0):
    """What `gated` means, with products of all rows that are cut behind."""
    size = m.shape[-1]
    from_x = x @ weight_ih.T + bias_ih
    z = mg.sigmoid((from_x + h @ weight_hh.T + bias_hh)[:, :size])
    from_h = (z[:, :3] * h) @ weight_hh.T + bias_hh
    m = rate * m + z * mg.tanh((from_x + from_h)[:, size:])
    return m[:, :3], m


def test_a_cell_with_gates_has_their_parameters_and_its_own():
    assert list(inspect.signature(gated).parameters) == [
        "x", "h", "m", "weight_ih", "weight_hh", "rate", "bias_ih", "bias_hh",
    ]  # fmt: skip
    assert repr(gated) == (
        "<cell gated(x, h, m, *, weight_ih, weight_hh, rate, bias_ih=None, bias_hh=None)>"
    )
    assert gated.options == ("bias", "start")
    assert gated.needed == ("weight_ih", "weight_hh", "rate")
    starts = gated.initial_parameters(3, 4, start=2)
    assert [*starts] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "rate"]
    assert starts.pop("bias_ih").tolist() == [2.0] * 8
    assert starts == {"weight_ih": (8, 3), "weight_hh": (8, 3), "bias_hh": (8,), "rate": (4,)}
    assert [*gated.initial_parameters(3, 4, bias=False)] == ["weight_ih", "weight_hh", "rate"]
    layer = nn.Recurrent(gated, 3, 4, num_layers=2, bias=False, start=1.0)
    assert repr(layer) == "Recurrent(gated, 3, 4, num_layers=2, bias=False, start=1.0)"
    assert layer.weight_ih_l1.shape == (8, 3)


@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_with_gates_is_what_they_stand_for(bias):
    """Also its gradient, and the gradient of that, in a loop."""
    layer = nn.Recurrent(gated, 3, 4, dtype="float64", bias=bias)
    x = mg.randn(3, 2, 3, dtype="float64", requires_grad=True)
    state = [mg.randn(2, width, dtype="float64") for width in (3, 4)]
    named = {name.removesuffix("_l0"): p for name, p in layer.named_parameters()}
    outputs, (h, m) = [], state
    for t in range(3):
        h, m = written_out(x[t], h, m, **named)
        outputs.append(h)

    def derivatives(output, m):
        leaves = [x, *named.values()]
        first = mg.grad((output**2).sum() + (m**3).sum(), leaves, create_graph=True)
        second = mg.grad(sum((g**2).sum() for g in first), leaves)
        return [output, m, *first, *second]

    found, (_, final) = layer(x, tuple(s[None] for s in state))
    for one, other in zip(
        derivatives(found, final[0]), derivatives(mg.stack(outputs), m), strict=True
    ):
        np.testing.assert_allclose(
            one.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-11
        )


def test_a_weight_of_gates_is_given_once_and_by_its_name():
    sizes = [mg.ones((2, n)) for n in (3, 3, 4)]
    weights = {"weight_ih": mg.ones((8, 3)), "rate": mg.ones(4)}
    with pytest.raises(TypeError, match=r"gated\(\) lacks the keyword-only argument 'weight_hh'"):
        gated(*sizes, **weights)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'W'"):
        gated(*sizes, **weights, weight_hh=mg.ones((8, 3)), W=mg.ones((8, 3)))
    with pytest.raises(ShapeError, match=r"a weight of shape \(7, 3\) has no 2 gates of one width"):
        gated(*sizes, **weights, weight_hh=mg.ones((7, 3)))


@pytest.mark.parametrize("index", [3, -4, slice(None, None, 2), slice(0, 0), "r", 1.0])
def test_rows_of_gates_that_are_not_there(index):
    with pytest.raises(ArgumentError, match="of a weight that has 3: give the number of a gate"):
        Affine(mg.ones((6, 3)), mg.ones(6), 3)[index]


def test_a_cell_keeps_its_name_and_is_copied_and_pickled_by_it():
    assert cells.lstm.__name__ == "lstm"
    assert copy.deepcopy(nn.LSTM(3, 4)).cell is cells.lstm
    assert all(pickle.loads(pickle.dumps(made)) is made for made in cells.CELLS.values())


def bare(x, h, *, w):
    return mg.tanh(x + h * w)


def input_only(x, h, *, W):
    return W[0](x) + W[1](x)


def twice(x, h, *, U, bias_hh):
    return U(h) + bias_hh


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (
            lambda: cell(state="h")(bare).initial_parameters(3, 4),
            "cell 'bare' does not say what its parameters look like; make it with @cell",
        ),
        (
            lambda: cell(state="h", params=lambda d, h: {"ww": (h,)})(bare).initial_parameters(
                3, 4
            ),
            "cell 'bare': params give 'ww', which the step does not take; it takes 'w'; did you mean 'w'",
        ),
        (
            lambda: cell(state="h", params=lambda d, h: {})(bare).initial_parameters(3, 4),
            "cell 'bare': params give no 'w', which the step needs; add it to what params returns",
        ),
        (
            lambda: cell(state="h", widths=lambda h: {"hh": h})(bare).state_widths(4),
            "cell 'bare': widths name a state 'hh', but the states are 'h'; did you mean 'h'",
        ),
        (
            lambda: cell(state="h", gates=0)(bare),
            "cell: gates must be a positive integer, not 0",
        ),
        (
            lambda: cell(state="h", gates=2)(bare),
            r"cell: bare has gates=2 and takes neither W nor U; write bare\(x, h, \*, W, U\), where",
        ),
        (
            lambda: cell(state="h", gates=2)(twice),
            "cell: twice has gates=2 and takes 'bias_hh' itself; it is part of W or U: W.weight",
        ),
        (
            lambda: cell(state="h", gates=2, params=lambda d, h: [h])(
                input_only
            ).initial_parameters(3, 4),
            "cell 'input_only': params returns a list; it must return a dict",
        ),
        (
            lambda: gated.initial_parameters(3, 4, bias=1),
            "gated: bias must be True or False, not 1; pass what follows the sizes by name",
        ),
        (
            lambda: cells.lstm.initial_parameters(3, 4, proj_size=4),
            "lstm: proj_size is 4 with a hidden_size of 4; it must be a smaller positive integer, or 0",
        ),
        (
            lambda: cells.lstm.initial_parameters(3, 4, proj_size=-1),
            "must be a non-negative integer, not -1",
        ),
        (
            lambda: cells.lstm.initial_parameters(3, 4, proj_size=1.0),
            "must be a non-negative integer, not 1.0",
        ),
    ],
)
def test_what_stands_beside_a_cell_must_fit_it(made, text):
    with pytest.raises(ArgumentError, match=text):
        made()


# layers of one step


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.RNNCell, "rnn_tanh"),
        (lambda *sizes, **o: nn.RNNCell(*sizes, nonlinearity="relu", **o), "rnn_relu"),
        (nn.LSTMCell, "lstm"),
        (nn.GRUCell, "gru"),
    ],
)
def test_a_layer_of_one_step_takes_that_step(equations, layer, name, bias):
    made = layer(D, H, bias=bias, dtype="float64")
    assert made.cell is getattr(cells, name)
    parameters = {key: value.detach().numpy() for key, value in made.named_parameters()}
    _, (x, *states) = arguments(made.cell, {"bias": bias})
    single = len(states) == 1

    def check(x, given, states):
        found = made(mg.tensor(x), given)
        assert isinstance(found, mg.Tensor) if single else isinstance(found, tuple)
        found = (found,) if single else found
        rows = [np.atleast_2d(value) for value in (x, *states)]
        for state, expected in zip(found, equations[name](parameters, *rows), strict=True):
            np.testing.assert_allclose(
                state.detach().numpy(), expected.reshape(state.shape), rtol=1e-12, atol=1e-14
            )

    tensors = tuple(map(mg.tensor, states))
    check(x, tensors[0] if single else tensors, states)
    check(x, None, [np.zeros_like(s) for s in states])
    rows = tuple(mg.tensor(s[0]) for s in states)
    check(x[0], rows[0] if single else rows, [s[0] for s in states])
    check(x[0], None, [np.zeros_like(s[0]) for s in states])


def test_a_layer_of_one_step_has_the_parameters_of_its_cell():
    layer = nn.LSTMCell(3, 4, dtype="float32")
    assert {name: p.shape for name, p in layer.named_parameters()} == {
        "weight_ih": (16, 3), "weight_hh": (16, 4), "bias_ih": (16,), "bias_hh": (16,),
    }  # fmt: skip
    assert repr(layer) == "LSTMCell(3, 4)"
    assert repr(nn.RNNCell(3, 4, False, "relu")) == "RNNCell(3, 4, bias=False, nonlinearity=relu)"
    assert {p.dtype.name for p in layer.parameters()} == {"float32"}


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (
            lambda: nn.GRUCell(3, 4)(mg.zeros((2, 4))),
            ShapeError,
            r"GRUCell: the input has shape \(2, 4\); it must be \(N, 3\), or the same without N",
        ),
        (
            lambda: nn.GRUCell(3, 4)(mg.zeros((5, 2, 3))),
            ShapeError,
            r"GRUCell: the input has shape \(5, 2, 3\); it must be \(N, 3\)",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(mg.zeros((2, 3)), mg.zeros((2, 4))),
            ArgumentError,
            "LSTMCell: hx must be a tuple of 2 states, h, c, not a Tensor",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(mg.zeros((2, 3)), (mg.zeros((2, 4)), mg.zeros(4))),
            ShapeError,
            r"LSTMCell: state c has shape \(4,\); it must be \(2, 4\)",
        ),
        (
            lambda: nn.RNNCell(3, 4)(mg.zeros((2, 3), dtype="float64")),
            DtypeError,
            r"float64 and the weights float32; .*\.astype\('float32'\), or .* \.to\('float64'\)",
        ),
        (
            lambda: nn.RNNCell(3, 4)([[0.0] * 3]),
            TypeError,
            "RNNCell: the input must be a tensor or an array, not a list; convert it with minigrad",
        ),
        (
            lambda: nn.RNNCell(3, 4, nonlinearity="tanhh"),
            ArgumentError,
            "RNNCell: nonlinearity must be 'tanh' or 'relu', not 'tanhh'; did you mean 'tanh'",
        ),
        (
            lambda: nn.GRUCell(0, 4),
            ArgumentError,
            "GRUCell: input_size must be a positive integer, not 0",
        ),
    ],
)
def test_mistakes_with_layers_of_one_step(run, error, text):
    with pytest.raises(error, match=text):
        run()


# PyTorch's layers


LAYER = "bias=True, batch_first=False, dropout=0.0, bidirectional=False"
TAKEN = {
    "RNN": f"num_layers=1, nonlinearity='tanh', {LAYER}",
    "LSTM": f"num_layers=1, {LAYER}, proj_size=0",
    "GRU": f"num_layers=1, {LAYER}",
    "RNNCell": "bias=True, nonlinearity='tanh'",
    "LSTMCell": "bias=True",
    "GRUCell": "bias=True",
}


@pytest.mark.parametrize("name", TAKEN)
def test_layers_with_pytorchs_names_have_its_arguments(name):
    kind = getattr(nn, name)
    shown = f"(input_size, hidden_size, {TAKEN[name]}, device=None, dtype=None) -> None"
    assert str(inspect.signature(kind)) == shown
    assert str(inspect.signature(kind.__init__)) == shown.replace("(", "(self, ", 1)
    with pytest.raises(TypeError, match=f"{name} has no option 'biass'; did you mean 'bias'"):
        kind(3, 4, biass=False)
    with pytest.raises(TypeError, match=f"{name}: missing a required argument: 'hidden_size'"):
        kind(3)


@pytest.mark.parametrize("name", TAKEN)
def test_layers_with_pytorchs_names_are_derived_from_copied_and_pickled(name):
    kind = getattr(nn, name)

    class Derived(kind):
        def __init__(self, size):
            super().__init__(size, 2 * size, bias=False)

    made = Derived(3)
    assert (repr(made), made.bias) == ("Derived(3, 6, bias=False)", False)
    layer = kind(3, 4, bias=False)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert (type(again), repr(again), again.bias) == (kind, repr(layer), False)
        assert again.cell is layer.cell
        assert [*again.state_dict()] == [*layer.state_dict()]
