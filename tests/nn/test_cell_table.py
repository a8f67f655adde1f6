"""Every cell of the table, as a layer: over sequences of several lengths, both directions, compiled."""

from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels import scan
from minigrad.nn import recurrent
from minigrad.nn.cells import CELLS

T, N, H = 4, 3, 3
LENGTHS = [2, 4, 0]
TOLERANCE = {
    "float64": {"rtol": 1e-9, "atol": 1e-12},
    # numbers of size 1, a few dozen roundings deep
    "float32": {"rtol": 1e-4, "atol": 1e-5},
}
CASES = {
    **{name: (cell, {}) for name, cell in CELLS.items()},
    "projected": (CELLS["lstm"], {"proj_size": 2}),
}

every_cell = pytest.mark.parametrize("name", CASES)


def made(name, dtype):
    """Return a layer with random parameters, an input and initial states."""
    cell, options = CASES[name]
    widths = cell.state_widths(H, **options)
    size = 2 * widths[0]  # as wide as the outputs, so that all layers run the same program
    layer = nn.Recurrent(cell, size, H, 2, bidirectional=True, dtype=dtype, **options)
    for parameter in layer.parameters():
        parameter.copy_(mg.rand(*parameter.shape, dtype=dtype) * 1.6 - 0.8)
    draw = partial(mg.randn, dtype=dtype, requires_grad=True)
    return layer, draw(T, N, size), tuple(draw(4, N, width) for width in widths)


def expected_by(step, layer, x, states):
    """Run the equations over one sequence after the other; return the outputs and final states."""
    named = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    finals = [state.copy() for state in states]
    for number in range(2):
        halves = np.zeros((2, T, N, x.shape[-1] // 2))
        for k, ending in enumerate((f"_l{number}", f"_l{number}_reverse")):
            p = {key.removesuffix(ending): v for key, v in named.items() if key.endswith(ending)}
            for row, length in enumerate(LENGTHS):
                state = [final[2 * number + k, row : row + 1] for final in finals]
                for t in range(length)[:: -1 if k else 1]:
                    state = step(p, x[t, row : row + 1], *state)
                    halves[k, t, row] = state[0][0]
                for final, value in zip(finals, state, strict=True):
                    final[2 * number + k, row] = value[0]
        x = np.concatenate(halves, axis=-1)
    return [x, *finals]


def results_of(layer, x, states, lengths=None):
    """Return outputs and final states, then the gradients of a sum of their sines by everything."""
    output, final = layer(x, states if len(states) > 1 else states[0], lengths=lengths)
    results = [output, *(final if len(states) > 1 else (final,))]
    loss = sum(mg.sum(mg.sin(result)) for result in results)
    inputs = [x, *states, *layer.parameters()]
    return [r.detach().numpy() for r in (*results, *mg.grad(loss, inputs))]


@pytest.mark.quick(only=["lstm"])
@pytest.mark.full(but=["lstm"])
@every_cell
def test_layers_of_a_cell_compute_its_equations(equations, name):
    layer, x, states = made(name, "float64")
    given = [value.detach().numpy() for value in (x, *states)]
    expected = expected_by(equations[layer.cell.__name__], layer, given[0], given[1:])
    found = results_of(layer, x, states, LENGTHS)
    for value, wanted in zip(found, expected, strict=False):  # no gradients: they are below
        np.testing.assert_allclose(value, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.quick(only=["float64-lengths1-lstm"])
@pytest.mark.full(but=["float32-None-lstm", "float64-lengths1-lstm", "float64-lengths1-gru"])
@every_cell
@pytest.mark.parametrize(("dtype", "lengths"), [("float32", None), ("float64", LENGTHS)])
def test_compiled_layers_equal_a_loop_of_tensors(monkeypatch, name, dtype, lengths):
    layer, x, states = made(name, dtype)
    found = []
    for compile in ("require", "never"):
        monkeypatch.setattr(recurrent, "scan", partial(scan, compile=compile))
        found.append(results_of(layer, x, states, lengths))
    assert len(found[0]) == 2 + 2 * len(states) + len([*layer.parameters()])
    for compiled, wanted in zip(*found, strict=True):
        assert compiled.dtype == dtype
        np.testing.assert_allclose(compiled, wanted, **TOLERANCE[dtype])


HALF_TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2}  # a few roundings deep


@every_cell
@pytest.mark.parametrize("dtype", HALF_TOLERANCE)
@pytest.mark.filterwarnings("ignore:.*only float32 and float64 are compiled")
def test_half_precision_is_interpreted(monkeypatch, name, dtype):
    half, x, states = made(name, dtype)
    wide = nn.Recurrent(half.cell, x.shape[-1], H, 2, bidirectional=True, **CASES[name][1])
    for parameter, rounded in zip(wide.parameters(), half.parameters(), strict=True):
        parameter.copy_(rounded.detach().astype("float32"))
    leaves = [t.detach().astype("float32").requires_grad_() for t in (x, *states)]
    for lengths in (None, LENGTHS):
        found = results_of(half, x, states, lengths)
        with monkeypatch.context() as patch:
            patch.setattr(recurrent, "scan", partial(scan, compile="never"))
            expected = results_of(wide, leaves[0], leaves[1:], lengths)
        for value, wanted in zip(found, expected, strict=True):
            assert value.dtype == dtype
            error = np.abs(value.astype("float32") - wanted)
            assert (error <= HALF_TOLERANCE[dtype] * (1 + np.abs(wanted).max())).all()
        given = [t.detach() for t in states]
        for _ in range(2):  # the second call of a layer is another path
            with mg.no_grad():
                output, _ = half(x, given if len(given) > 1 else given[0], lengths=lengths)
            assert np.array_equal(output.numpy(), found[0])


@every_cell
@pytest.mark.parametrize("dtype", HALF_TOLERANCE)
@pytest.mark.filterwarnings("ignore:.*only float32 and float64 are compiled")
def test_half_precision_takes_steps(name, dtype):
    cell, options = CASES[name]
    layer = nn.Recurrent(cell, 4, H, 2, dtype=dtype, **options)
    x, state = mg.randn(T, N, 4, dtype=dtype), None
    with mg.no_grad():
        expected, _ = layer(x)
        for t in range(T):
            output, state = layer.step(x[t], state)
            assert output.dtype == dtype
            assert np.array_equal(output.numpy(), expected[t].numpy())


def test_the_initial_values_that_are_not_drawn():
    layer = nn.Recurrent(nn.cells.indrnn, 3, 4, dtype="float64")
    assert layer.weight_hh_l0.tolist() == [1.0] * 4
    layer = nn.Recurrent(nn.cells.layer_norm_lstm, 3, 4, dtype="float64")
    for name, width in (("ih", 16), ("hh", 16), ("c", 4)):
        assert getattr(layer, f"gain_{name}_l0").tolist() == [1.0] * width
        assert getattr(layer, f"bias_{name}_l0").tolist() == [0.0] * width
    assert nn.cells.layer_norm_lstm.initial_parameters(3, 4, bias=False).keys() == {
        "weight_ih", "weight_hh", "gain_ih", "gain_hh", "gain_c",
    }  # fmt: skip


@pytest.mark.parametrize("compile", ["require", "never"])
def test_the_gates_of_minlstm_may_both_be_closed(compile):
    x, h = mg.full((1, 1, 3), 1.0, dtype="float32"), mg.full((1, 3), 4.0, dtype="float32")
    closed = mg.tensor([[-200.0], [-200.0 + np.log(3)], [8.0]], dtype="float32")
    weight = mg.reshape(mg.broadcast_to(closed[:, :, None], (3, 3, 3)), (9, 3)) / 3
    outputs, _ = scan(nn.cells.minlstm, x, h, {"weight_ih": weight}, compile=compile)
    np.testing.assert_allclose(outputs.numpy(), 4 / 4 + 3 * 8 / 4, rtol=1e-4)  # 1 : 3
