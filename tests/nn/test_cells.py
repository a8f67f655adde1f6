"""The cells against their equations in NumPy, what stands beside a cell, and layers of one step."""

import copy
import importlib
import pickle
import pkgutil

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.kernels import CellFunction, cell
from minigrad.nn import cells
from minigrad.testing import gradcheck

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


def test_a_cell_keeps_its_name_and_is_copied_and_pickled_by_it():
    assert cells.lstm.__name__ == "lstm"
    assert copy.deepcopy(nn.LSTM(3, 4)).cell is cells.lstm
    assert all(pickle.loads(pickle.dumps(made)) is made for made in cells.CELLS.values())


def bare(x, h, *, w):
    return mg.tanh(x + h * w)


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
