"""A layer that has been run with gradients before is a single record: it computes what it did then."""

import gc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import GradientError, MinigradError
from minigrad.kernels import cell
from minigrad.nn import recorded_layer

T, N, D, H = 6, 3, 4, 5
factor = 1.0


class Module(nn.Cell):
    """A cell with a module inside."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.joined = nn.Linear(input_size + hidden_size, hidden_size)

    def step(self, x, h):
        return mg.tanh(factor * self.joined(mg.concat([x, h], axis=-1)))


LAYERS = {
    "RNN": lambda: nn.RNN(D, H),
    "GRU": lambda: nn.GRU(D, H),
    "LSTM": lambda: nn.LSTM(D, H),
    "LSTM, projected": lambda: nn.LSTM(D, H, proj_size=3),
    "LSTM, without bias": lambda: nn.LSTM(D, H, bias=False),
    "GRU, stacked": lambda: nn.GRU(D, H, num_layers=3),
    "LSTM, both directions": lambda: nn.LSTM(D, H, bidirectional=True),
    "module": lambda: nn.Recurrent(Module, D, H, num_layers=2),
    "LSTM, stacked, both directions": lambda: nn.LSTM(D, H, num_layers=2, bidirectional=True),
}
CELLS = {name: lambda c=c: nn.Recurrent(c, D, H) for name, c in nn.cells.CELLS.items()}


def in_full(names, but):
    """Return parameters of which few are in `make test`: each cell is compiled."""
    return [pytest.param(n, marks=[pytest.mark.full] * (n not in but)) for n in names]


@pytest.fixture(params=in_full(LAYERS, but={"LSTM", "GRU, stacked", "LSTM, both directions"}))
def layer(request):
    mg.manual_seed(0)
    return LAYERS[request.param]().to("float64")


@pytest.fixture(params=in_full(CELLS, but={"lstm", "gru"}))
def layer_of_a_cell(request):
    mg.manual_seed(0)
    return CELLS[request.param]().to("float64")


@pytest.fixture
def runs(monkeypatch):
    """Count the runs that are one record."""
    found, forward = [], recorded_layer.RecordedLayer.forward

    def counted(self, *arguments):
        found.append(self)
        return forward(self, *arguments)

    monkeypatch.setattr(recorded_layer.RecordedLayer, "forward", counted)
    return found


def states_of(layer, requires_grad=True):
    directions = 2 if layer.bidirectional else 1
    shapes = [(layer.num_layers * directions, N, width) for width in layer._widths]
    return [mg.randn(*shape, dtype="float64", requires_grad=requires_grad) for shape in shapes]


def results(layer, x, states=None, in_states=True, lengths=None):
    """Return outputs, final states and all gradients of a loss that reads all of them."""
    leaves = [x, *(states or ()), *layer.parameters()]
    for leaf in leaves:
        leaf.grad = None
    hx = None if states is None else tuple(states) if len(states) > 1 else states[0]
    output, finals = layer(x, hx, lengths=lengths)
    finals = finals if isinstance(finals, tuple) else (finals,)
    loss = (output * output).sum()
    if in_states:
        loss = sum(((k + 2) * s * s).sum() for k, s in enumerate(finals)) + loss
    loss.backward()
    grads = [leaf.grad for leaf in leaves if leaf.requires_grad]
    return [t.detach().numpy() for t in (output, *finals)] + [g.numpy() for g in grads]


def check_same(found, expected):
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)


LENGTHS = [None, [2, T, 0], [T] * N, [1, 3, 2]]


def check_later_runs(layer, runs, monkeypatch, given, in_states, lengths):
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    arguments = states_of(layer) if given else None, in_states, lengths
    first = results(layer, x, *arguments)
    assert not runs
    for _ in range(3):
        check_same(results(layer, x, *arguments), first)
    assert len(runs) == 2
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    for array, other in zip(results(layer, x, *arguments), first, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("in_states", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_later_runs_compute_what_the_first_one_did(
    layer, runs, monkeypatch, given, in_states, lengths
):
    check_later_runs(layer, runs, monkeypatch, given, in_states, lengths)


@pytest.mark.parametrize("in_states", [True, False])
def test_later_runs_of_all_cells(layer_of_a_cell, runs, monkeypatch, in_states):
    check_later_runs(layer_of_a_cell, runs, monkeypatch, True, in_states, None)


def test_lengths_may_differ_from_run_to_run(runs, monkeypatch):
    layer = nn.GRU(D, H, num_layers=2, bidirectional=True).to("float64")
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    given = [[1, 2, 3], [T, T, 1], [0, 1, 0], [T] * N, [0] * N, [T, 3, 3]]
    found = [results(layer, x, lengths=lengths) for lengths in given]
    assert len(runs) == 2  # not the first two, not where all or nobody take part in all steps
    monkeypatch.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
    for lengths, arrays in zip(given, found, strict=True):
        for array, other in zip(results(layer, x, lengths=lengths), arrays, strict=True):
            np.testing.assert_allclose(array, other, rtol=1e-9, atol=1e-11)


@cell(
    state=("h", "c"),
    params=lambda input_size, hidden_size: {
        "w": (hidden_size, input_size),
        "u": (hidden_size, hidden_size),
        "row": (1, hidden_size),
        "unused": (3,),
    },
)
def odd(x, h, c, *, w, u, row, unused):
    return mg.tanh(mg.linear(x, w) + row + mg.linear(h, u) + mg.matmul(c, u)), c


@pytest.mark.full(but=["None"])
@pytest.mark.parametrize("lengths", LENGTHS[:2])
def test_parameters_that_are_odd_unused_or_used_twice(runs, monkeypatch, lengths):
    layer = nn.Recurrent(odd, D, H).to("float64")
    check_later_runs(layer, runs, monkeypatch, True, True, lengths)


def test_other_arguments_are_noticed(runs):
    layer = nn.LSTM(D, H).to("float64")
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    for _ in range(3):
        results(layer, x)
    runs.clear()

    def check(*arguments):
        """Compare with a layer that is new, and so has not been run before."""
        fresh = nn.LSTM(D, H).to("float64")
        fresh.load_state_dict(layer.state_dict())
        for parameter, other in zip(layer.parameters(), fresh.parameters(), strict=True):
            other.requires_grad_(parameter.requires_grad)
        check_same(results(layer, *arguments), results(fresh, *arguments))

    check(mg.randn(T, N, D, dtype="float64"))
    check(mg.randn(T + 1, N, D, dtype="float64", requires_grad=True))
    check(x, states_of(layer, requires_grad=False))
    assert len(runs) == 1  # the states are constants, as zeros are
    check(x, states_of(layer))
    layer.bias_ih_l0.requires_grad_(False)
    check(x)
    layer.bias_ih_l0.requires_grad_()
    for parameter in layer.parameters():
        parameter.copy_(parameter.detach() * 2)
    check(x)
    layer.weight_hh_l0 = nn.Parameter(mg.randn(4 * H, H, dtype="float64"))
    check(x)
    assert len(runs) == 2  # a layer of other kinds of parameters begins anew


def test_what_is_wrong_is_told_as_the_first_time():
    layer = nn.LSTM(D, H)
    x = mg.randn(T, N, D, requires_grad=True)
    state = mg.zeros((1, N, H))
    wrong = [
        state,
        (state,),
        (state, mg.zeros((1, N, H + 1))),
        (state, 1),
        (state, state.astype("float64")),
    ]

    def said():
        messages = []
        for hx in wrong:
            lengths = [T, 0, T + 1] if hx is None else None
            with pytest.raises((MinigradError, TypeError)) as told:
                layer(x, hx, lengths=lengths)
            messages.append((told.type, str(told.value)))
        return messages

    first = said()
    for _ in range(3):
        layer(x)
        layer(x, lengths=[T, 1, 0])
    assert said() == first


@pytest.mark.full
def test_a_run_sees_what_changes_around_its_cell(runs, monkeypatch):
    layer = nn.Recurrent(Module, D, H).to("float64")
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    before = [results(layer, x) for _ in range(3)][-1]
    assert runs
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "factor", 3.0)
        after = results(layer, x)
    assert not np.allclose(before[0], after[0])
    check_same(results(layer, x), before)


def test_inputs_are_not_kept_alive():
    layer, x = nn.LSTM(D, H, num_layers=2), mg.randn(T, N, D, requires_grad=True)
    state = mg.randn(2, N, H), mg.randn(2, N, H)
    for _ in range(3):
        layer(x * 1, state)[0].sum().backward()
    kept = [weakref.ref(t) for t in (x, *state, layer.weight_ih_l0)]
    del x, state
    layer.weight_ih_l0 = nn.Parameter(mg.randn(4 * H, D))
    gc.collect()
    assert [reference() for reference in kept] == [None] * 4


def test_threads_may_change_in_between(runs):
    before = mg.get_num_threads()
    layer, x = nn.GRU(D, 24).to("float64"), mg.randn(T, 20, D, dtype="float64", requires_grad=True)
    try:
        found = []
        for threads in (1, 1, 1, 2, 2, 2, 1):
            mg.set_num_threads(threads)
            found.append(results(layer, x))
        assert len(runs) >= 2
        for later in found[1:]:
            check_same(later, found[0])
    finally:
        mg.set_num_threads(before)


@pytest.mark.parametrize("lengths", LENGTHS[:2])
def test_a_second_backward_pass_and_second_derivatives(layer, runs, lengths):
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)

    def gradients():
        output, _ = layer(x, lengths=lengths)
        loss = (output * output).sum()
        (first,) = mg.grad(loss, [x], retain_graph=True)
        (again,) = mg.grad(loss, [x], create_graph=True)
        leaves = [x, *layer.parameters()]
        second = mg.grad((again * again).sum(), leaves, allow_unused=True)
        return [g.detach().numpy() for g in (first, again, *second) if g is not None]

    expected = gradients()
    for _ in range(2):
        gradients()
    for found, other in zip(gradients(), expected, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-11)


def test_a_parameter_must_not_be_written_to_before_the_backward_pass(runs):
    layer, x = nn.LSTM(D, H), mg.randn(T, N, D)
    for _ in range(3):
        output, _ = layer(x)
    assert runs
    layer.weight_hh_l0.copy_(0)
    with pytest.raises(GradientError, match="written in place"):
        output.sum().backward()


def test_gradients_are_memory_of_their_own():
    layer, x = nn.LSTM(D, H), mg.randn(T, N, D, requires_grad=True)
    for _ in range(3):
        layer.zero_grad()
        x.grad = None
        output, (h, c) = layer(x)
        (output.sum() + h.sum() + c.sum()).backward()
    kept = [p.grad.numpy().copy() for p in (x, *layer.parameters())]
    layer.bias_ih_l0.grad.copy_(7)
    x.grad.copy_(7)
    check_same([p.grad.numpy() for p in layer.parameters() if p is not layer.bias_ih_l0],
               [k for k, p in zip(kept[1:], layer.parameters(), strict=True)
                if p is not layer.bias_ih_l0])  # fmt: skip
    before = output.detach().numpy().copy()
    layer(x)[0].sum().backward()
    np.testing.assert_array_equal(output.detach().numpy(), before)
