"""Mistakes with recurrent layers: each is refused in words that say what to do."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, MinigradError, ShapeError, TraceError
from minigrad.kernels import cell, scan
from minigrad.nn import cells

pytestmark = pytest.mark.usefixtures("both_loops")


@cell(state="h")
def without_params(x, h):
    return mg.tanh(x + h)


def zeros(*shape, dtype="float32"):
    return mg.zeros(shape, dtype=dtype)


def made(**given):
    """Return a layer of a cell whose params return what is given."""
    step = cell(state="h", params=lambda input_size, hidden_size: given)(
        lambda x, h, *, w: h + x * w
    )
    return nn.Recurrent(step, 3, 3)


MADE = [
    (lambda: cell(lambda x, h: h), r"cell: it takes options by name, .* write @cell\(state="),
    (lambda: cell()(lambda x, h: h), "cell: it takes options by name, and state is needed"),
    (lambda: cell(state="h", params={"w": (3,)})(lambda x, h, *, w: h), ("cell: params must be a "
     r"function of input_size, hidden_size, not a dict; write params=lambda input_size, hidden_size: {")),
    (lambda: cell(state="h", widths={"h": 2})(lambda x, h: h), ("cell: widths must be a function of "
     "hidden_size, not a dict; write widths=lambda hidden_size: {'h': 2}")),
    (lambda: nn.Recurrent(cell(state="h", params=lambda d, h: [(d, h)])(lambda x, h, *, w: h), 3, 3),
     "params returns a list; it must return a dict"),
    (lambda: made(w=None), "params give None for 'w'; give a shape, such as"),
    (lambda: made(w="many"), "params give 'many' for 'w'; give a shape"),
    (lambda: made(w=(3, -1)), r"params give \(3, -1\) for 'w'; give a shape"),
    (lambda: made(w=[0.5, 1.5]), r"params give \[0.5, 1.5\] for 'w'; .* a tensor, an array or a float"),
    (lambda: nn.LSTM(3, 0), "LSTM: hidden_size must be a positive integer, not 0"),
    (lambda: nn.LSTM(3, 4, 2, 0.5), ("lstm: bias must be True or False, not 0.5; pass what follows the "
     "sizes by name")),
    (lambda: nn.RNNCell(3, 4, "relu"), "rnn_tanh: bias must be True or False, not 'relu'"),
    (lambda: nn.GRU(3, 4, 1, True, 5), "GRU: batch_first must be True or False, not 5"),
    (lambda: nn.GRU(3, 4, 2, True, True, 0.5, 3), "GRU: bidirectional must be True or False, not 3"),
    (lambda: nn.GRU(3, 4, 1.5), "GRU: num_layers must be a positive integer, not 1.5"),
    (lambda: nn.LSTM(3, 4, proj_size=4), "lstm: proj_size is 4 with a hidden_size of 4; it must be"),
    (lambda: nn.RNN(3, 4, nonlinearity="rellu"), ("RNN: nonlinearity must be 'tanh' or 'relu', not "
     "'rellu'; did you mean 'relu'")),
    (lambda: nn.RNN(3, 4, 1, True), "RNN: nonlinearity must be 'tanh' or 'relu', not True"),
    (lambda: nn.GRU(3, 4, 2, dropout=1.5), ("GRU: dropout is the probability to drop an element and "
     "must lie between 0 and 1, not 1.5")),
    (lambda: nn.GRU(3, 4, 2, dropout=float("nan")), "between 0 and 1, not nan"),
    (lambda: nn.GRU(3, 4, 2, dropout=True), "between 0 and 1, not True"),
    (lambda: nn.Recurrent(without_params, 3, 4), ("cell 'without_params' does not say what its "
     "parameters look like; make it with @cell")),
    (lambda: nn.Recurrent(without_params.step, 3, 4), ("Recurrent: the cell is a function; give one of "
     "minigrad.nn.cells, such as nn.cells.lstm, or make one of a step function with @minigrad")),
    (lambda: nn.Recurrent(cells.lstm, 3, 4, projsize=2), ("Recurrent: cell 'lstm' takes no option "
     "'projsize'; it takes bias, proj_size; did you mean 'proj_size'")),
    (lambda: nn.Recurrent(cells.gru, 3, 4, bidirektional=True), ("takes no option 'bidirektional'; it "
     "takes bias; did you mean 'bidirectional'")),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), MADE)
def test_layers_that_cannot_be_made(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


X = (5, 2, 3)
CALLED = [
    (ShapeError, r"LSTM: the input has shape \(5, 4\); it must be \(T, N, 3\), or the same without N",
     lambda: nn.LSTM(3, 4)(zeros(5, 4))),
    (ShapeError, r"LSTM: the input has shape \(5, 2, 4\); it must be \(N, T, 3\)",
     lambda: nn.LSTM(3, 4, batch_first=True)(zeros(5, 2, 4))),
    (ShapeError, r"LSTM: the input has shape \(3,\)", lambda: nn.LSTM(3, 4)(zeros(3))),
    (TypeError, "LSTM: the input must be a tensor or an array, not a list; convert it with minigrad",
     lambda: nn.LSTM(3, 4)(np.zeros(X).tolist())),
    (DtypeError, (r"LSTM: the input has dtype int64; convert it with .astype\('float32'\), or give "
     "numbers of words to an Embedding first"), lambda: nn.LSTM(3, 4)(zeros(*X, dtype="int64"))),
    (DtypeError, (r"LSTM: the input has dtype float32 and the weights float64; convert the input with "
     r".astype\('float64'\), or the layer with .to\('float32'\)"),
     lambda: nn.LSTM(3, 4, dtype="float64")(zeros(*X))),
    (ShapeError, r"LSTM: state h has shape \(1, 5, 4\); it must be \(1, 2, 4\)",
     lambda: nn.LSTM(3, 4)(zeros(*X), (zeros(1, 5, 4), zeros(1, 2, 4)))),
    (ShapeError, r"LSTM: state c has shape \(2, 2, 2\); it must be \(2, 2, 4\)",
     lambda: nn.LSTM(3, 4, 2, proj_size=2)(zeros(*X), (zeros(2, 2, 2), zeros(2, 2, 2)))),
    (ShapeError, r"GRU: state h has shape \(1, 2, 4\); it must be \(2, 4\)",
     lambda: nn.GRU(3, 4, bidirectional=True)(zeros(5, 3), zeros(1, 2, 4))),
    (DtypeError, (r"GRU: state h has dtype float64 and the input float32; convert the state with "
     r".astype\('float32'\)"), lambda: nn.GRU(3, 4)(zeros(*X), zeros(1, 2, 4, dtype="float64"))),
    (TypeError, r"GRU: state h of shape \(1, 2, 4\) must be a tensor or an array, not a tuple",
     lambda: nn.GRU(3, 4)(zeros(*X), (zeros(1, 2, 4),))),
    (ArgumentError, "LSTM: hx must be a tuple of 2 states, h, c, not 1 of them",
     lambda: nn.LSTM(3, 4)(zeros(*X), (zeros(1, 2, 4),))),
    (ArgumentError, "LSTM: hx must be a tuple of 2 states, h, c, not a Tensor",
     lambda: nn.LSTM(3, 4)(zeros(*X), zeros(1, 2, 4))),
    (ArgumentError, r"the length of row 1 is 6, but the input has 5 steps",
     lambda: nn.GRU(3, 4)(zeros(*X), lengths=[5, 6])),
    (ArgumentError, r"the length of row 0 is -1, but the input has 5 steps",
     lambda: nn.GRU(3, 4)(zeros(*X), lengths=[-1, 5])),
    (ShapeError, r"lengths have shape \(3,\); there must be one length for each of the 2 rows",
     lambda: nn.GRU(3, 4)(zeros(*X), lengths=[1, 2, 3])),
    (DtypeError, "lengths must be integers, not float32",
     lambda: nn.GRU(3, 4)(zeros(*X), lengths=[1.0, 2.0])),
    (ArgumentError, (r"GRU: lengths are for a batch, and the input is a single sequence of shape "
     r"\(5, 3\); cut it instead"), lambda: nn.GRU(3, 4)(zeros(5, 3), lengths=[4])),
    (ShapeError, r"GRU: mask has shape \(2, 5\); it must be \(5, 2\), one flag for each step",
     lambda: nn.GRU(3, 4)(zeros(*X), mask=np.ones((2, 5), dtype=bool))),
    (ShapeError, r"GRU: reset has shape \(5, 2\); it must be \(2, 5\), one flag for each step",
     lambda: nn.GRU(3, 4, batch_first=True)(zeros(2, 5, 3), reset=np.ones((5, 2), dtype=bool))),
    (DtypeError, "mask has dtype float32; it must be bool, for instance mask != 0",
     lambda: nn.GRU(3, 4)(zeros(*X), mask=zeros(5, 2))),
    (DtypeError, "reset has dtype int64; it must be bool, for instance reset != 0",
     lambda: nn.GRU(3, 4)(zeros(*X), reset=zeros(5, 2, dtype="int64"))),
]  # fmt: skip


@pytest.mark.parametrize(("error", "text", "run"), CALLED)
def test_layers_called_with_something_wrong(error, text, run):
    with pytest.raises(error, match=text):
        run()


def test_a_layer_has_no_place_in_a_step():
    layer = nn.GRUCell(3, 4)
    with pytest.raises(
        TraceError, match=r"GRUCell is called inside of a traced step, at .*layer\(x"
    ) as e:
        scan(lambda x, h: layer(x, h) * 1, zeros(*X), zeros(2, 4))
    assert "call its cell 'gru' there, and pass the parameters to scan" in str(e.value)


@pytest.mark.parametrize("params", [[mg.ones(3)], mg.ones(3), "w"])
def test_parameters_of_a_loop_come_by_name(params):
    text = rf"params must be a dict from .* to tensors, not a {type(params).__name__}"
    with pytest.raises(TypeError, match=text):
        scan(lambda x, h, *, w: h + x * w, zeros(*X), zeros(2, 3), params)


FIRST = {
    "float": (0.5, nn.Parameter, "float32", ()),
    "NumPy scalar": (np.float64(0.5), nn.Parameter, "float32", ()),
    "array": (np.full(3, 0.5), nn.Parameter, "float32", (3,)),
    "tensor": (mg.full((3,), 0.5), nn.Parameter, "float32", (3,)),
    "parameter": (nn.Parameter([0.5, 0.5, 0.5]), nn.Parameter, "float32", (3,)),
    "buffer": (nn.Buffer(mg.full((3,), 0.5)), nn.Buffer, "float32", (3,)),
    "integers": (mg.tensor([1, 1, 1]), nn.Buffer, "int64", (3,)),
    "flags": (np.ones(3, bool), nn.Buffer, "bool", (3,)),
}


@pytest.mark.parametrize("name", FIRST)
def test_first_values_of_parameters_and_buffers(name, monkeypatch):
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    start, kind, dtype, shape = FIRST[name]

    @cell(state="h", params=lambda input_size, hidden_size: {"w": start})
    def step(x, h, *, w):
        return h + mg.where(w > 0.1, x, h) * w.astype(x.dtype)

    layer = nn.Recurrent(step, 3, 3)
    held = layer.w_l0
    assert (type(held), held.dtype, held.shape) == (kind, mg.dtypes.as_dtype(dtype), shape)
    assert mg.all(held == (1 if dtype in ("int64", "bool") else 0.5))
    assert [n for n, _ in layer.named_parameters()] == (["w_l0"] if kind is nn.Parameter else [])
    assert list(layer.state_dict()) == ["w_l0"]
    x = mg.ones(X)
    for _ in range(2):  # the second call knows the layer
        output, _ = layer(x)
        if kind is nn.Parameter:
            mg.sum(output).backward()
        with mg.no_grad():
            np.testing.assert_array_equal(layer(x)[0].numpy(), output.detach().numpy())
    assert (held.grad is not None) == (kind is nn.Parameter)
    held.copy_(0)
    layer.reset_parameters()
    assert mg.all(held != 0)
    assert layer.to("float64").w_l0.dtype == ("float64" if dtype == "float32" else dtype)


@pytest.mark.parametrize(
    "make",
    [lambda: nn.GRU(3, 4, dropout=0.5), lambda: nn.Recurrent(cells.gru, 3, 4, dropout=0.5)],
)
def test_dropout_that_does_nothing_is_told_where_the_layer_is_made(make):
    with pytest.warns(
        UserWarning, match="dropout=0.5 acts between layers, and there is only"
    ) as seen:
        layer = make()
    assert seen[0].filename == __file__
    x = mg.ones((2, 1, 3))
    assert layer(x)[0].tolist() == layer(x)[0].tolist()


def ones(*shape, dtype="float32"):
    return mg.ones(shape, dtype=dtype)


def double(layer):
    layer.to("float64")


def narrow(layer):
    layer.weight_hh_l0 = nn.Parameter(zeros(len(layer.weight_hh_l0), 2))


H1 = ones(1, 2, 4)
STATES_OF_LSTM = [
    H1, (H1,), [H1], (H1, H1, None), (H1, H1, H1), (H1, None), (None, None), (), [], {"h": H1}, "hc", 7,
    (H1, np.ones((1, 2, 5), "float32")), np.ones((2, 1, 2, 4), "float32"), (H1, [[[1.0] * 4] * 2]),
    (H1, 1.0), (H1, ones(1, 2, 5)), (ones(2, 2, 4), H1), (ones(1, 3, 4), ones(1, 3, 4)),
    (ones(2, 4), ones(2, 4)), (H1, ones(1, 2, 4, dtype="float64")),
    (ones(1, 2, 4, dtype="float64"), ones(1, 2, 4, dtype="float64")), ((H1, H1),), (H1, (H1,)),
]  # fmt: skip
STATES_OF_GRU = [
    (H1,), [H1], (H1, H1), (), [], np.ones((1, 2, 5), "float32"), [[[1.0] * 4] * 2], 1.0, "h",
    ones(1, 2, 5), ones(2, 2, 4), ones(1, 3, 4), ones(2, 4), ones(1, 1, 2, 4),
    ones(1, 2, 4, dtype="float64"), ones(1, 2, 4, dtype="int64"), ones(1, 2, 4, dtype="bool"),
]  # fmt: skip
INPUTS = [
    ones(4), ones(5, 2, 4), ones(1, 5, 2, 3), ones(*X, dtype="float64"), ones(*X, dtype="int64"),
    np.ones((5, 2, 4), "float32"), np.ones(X, "int64"), [[[1.0] * 3] * 2] * 5, None,
]  # fmt: skip
FLAGS = [
    {"lengths": [5, 6]}, {"lengths": [-1, 5]}, {"lengths": [5]}, {"lengths": [1.0, 2.0]},
    {"lengths": "ab"}, {"mask": np.ones((2, 5), bool)}, {"mask": ones(5, 2)}, {"mask": [True] * 5},
    {"reset": np.ones((2, 5), bool)}, {"checkpoint_every": 0}, {"lengths": [5, 6], "mask": ones(5, 2)},
]  # fmt: skip
MISTAKES = [
    *((nn.LSTM, (ones(*X), hx), {}, None) for hx in STATES_OF_LSTM),
    *((nn.GRU, (ones(*X), hx), {}, None) for hx in STATES_OF_GRU),
    *((nn.RNN, (x,), {}, None) for x in INPUTS),
    *((nn.RNN, (ones(*X),), flags, None) for flags in FLAGS),
    (nn.GRU, (ones(*X), ones(1, 2, 5)), {"lengths": [5, 6]}, None),
    *((kind, (ones(*X),), {}, change) for kind in (nn.LSTM, nn.GRU) for change in (double, narrow)),
]


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("of", ["call", "step"])
def test_a_layer_that_has_run_before_refuses_what_a_new_one_does(recorded, of):
    """In the same words at every call: the first one, the second, and when all is prepared."""
    for kind, arguments, flags, change in MISTAKES:
        layer, x = kind(3, 4), ones(*X)
        run = layer
        if of == "step":
            if flags:
                continue
            x, *arguments = (a[0] if getattr(a, "shape", 0) == X else a for a in (x, *arguments))
            run = layer.step
        weights, said = layer.state_dict(), []
        with mg.set_grad_enabled(recorded):
            for _ in range(4):
                if change is not None:
                    change(layer)
                with pytest.raises((MinigradError, TypeError)) as e:
                    run(*arguments, **flags)
                said.append((e.type, str(e.value)))
                if change is not None:
                    layer.to("float32").weight_hh_l0 = nn.Parameter(weights["weight_hh_l0"])
                run(x)
                run(x, (H1, H1) if kind is nn.LSTM else H1)
                if of == "call":
                    run(x, lengths=[5, 1])
        assert said == said[:1] * 4
        assert change is narrow or "scan of step" not in said[0][1]


ON_DEVICES = """
import warnings
import minigrad as mg
from minigrad import nn

warnings.simplefilter("ignore")  # loops on a GPU are interpreted
x, s = mg.ones((5, 2, 3)), mg.ones((1, 2, 4))
bad = [(x, (s, s.to("cuda"))), (x, (s.to("cuda"), s)), (x.to("cuda"),),
       (x.to("cuda"), (s.to("cuda"), s.to("cuda"))), (x[:0], (s, s.to("cuda")))]
for recorded in (True, False):
    for arguments in bad:
        layer, said = nn.LSTM(3, 4), set()
        for run, row in ((layer, slice(None)), (layer.step, 0)):
            if run == layer.step and not len(arguments[0]):
                continue
            with mg.set_grad_enabled(recorded):
                for _ in range(4):
                    try:
                        run(arguments[0][row], *arguments[1:])
                    except mg.errors.BackendError as error:
                        said.add(str(error))
                    else:
                        said.add("taken")
                    run(x[row])
                    run(x[row], (s, s))
        (text,) = said
        assert text.startswith("LSTM: ") and " is on cuda:0 and the " in text, text
"""


def test_devices_are_told_in_the_same_words_at_every_call():
    stand_ins = pathlib.Path(__file__).parents[1] / "engine" / "stand_ins"
    found = subprocess.run(
        [sys.executable, "-c", ON_DEVICES],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(stand_ins)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
