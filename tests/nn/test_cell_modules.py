"""Cells that are modules: they compute what their step computes, and nothing of it goes stale."""

import copy
import importlib
import pickle
import threading
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError, TraceError
from minigrad.kernels import cell, certify, explain, scan

pytestmark = pytest.mark.usefixtures("both_loops")

traces = importlib.import_module("minigrad.kernels.frontend.traces")

D, H, T, N = 3, 4, 5, 3
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


class Leaky(nn.Cell):
    """Two states, parameters in a module and in containers, a buffer, a number."""

    def __init__(self, input_size, hidden_size, slope=0.5):
        super().__init__(input_size, hidden_size, widths={"m": 2})
        self.joined = nn.Linear(input_size + hidden_size, hidden_size)
        self.parts = [nn.Linear(2, hidden_size, bias=False)]
        self.more = {"down": nn.Parameter(mg.randn(2, hidden_size))}
        self.leak = nn.Buffer(mg.tensor([0.5, 0.25]))
        self.slope = slope

    def step(self, x, h, m):
        h = mg.tanh(self.joined(mg.concat([x, h], axis=-1)) + self.parts[0](m) * self.slope)
        return h, m * self.leak + mg.linear(h, self.more["down"])


class Plain(nn.Cell):
    """One state, and a method that ``step`` calls."""

    gain = 1.0

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(mg.randn(hidden_size, input_size))
        self.recurrent = nn.Parameter(mg.randn(hidden_size, hidden_size))

    def squashed(self, z):
        return mg.tanh(z * self.gain)

    def step(self, x, h):
        return self.squashed(mg.linear(x, self.weight) + mg.linear(h, self.recurrent))


class Around(nn.Cell):
    """A cell around a cell: the state moves half of the way."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inner = Plain(input_size, hidden_size)

    def step(self, x, h):
        return (h + self.inner.step(x, h)) / 2


class Derived(Plain):
    """A cell that builds on the step of another one."""

    def step(self, x, h):
        return super().step(x, h) * sum(self.gain for _ in range(2))


class Stacked(nn.Cell):
    """Modules and parameters in containers, and a layer that takes one step."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.layers = nn.ModuleList([nn.Linear(input_size, hidden_size), nn.Tanh()])
        self.tail = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.Sigmoid())
        self.named = nn.ModuleDict({"inner": nn.GRUCell(hidden_size, hidden_size)})
        self.scales = nn.ParameterList([mg.rand(hidden_size)])

    def step(self, x, h):
        for layer in self.layers:
            x = layer(x)
        return self.tail(self.named["inner"].step(x, h)) * self.scales[0]


KINDS = [Leaky, Plain, Around, Derived, Stacked]
every_kind = pytest.mark.parametrize("kind", KINDS)


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def unrolled(layer, x, lengths):
    """Run the steps of the modules in the layer on tensors, one sequence after the other."""
    outputs, finals = [], []
    for n, length in enumerate(lengths):
        values, ends = [x[t, n : n + 1] for t in range(length)], []
        for level in range(layer.num_layers):
            found = []
            for ending in ("", "_reverse")[: 1 + layer.bidirectional]:
                module = getattr(layer, f"l{level}{ending}")
                state = tuple(mg.zeros((1, w), dtype=x.dtype) for w in module._widths)
                result = [None] * length
                for t in reversed(range(length)) if ending else range(length):
                    state = as_tuple(module.step(values[t], *state))
                    result[t] = state[0]
                found.append(result)
                ends.append(state)
            values = [mg.concat(parts, axis=-1) for parts in zip(*found, strict=True)]
        padding = [mg.zeros((1, H * (1 + layer.bidirectional)), dtype=x.dtype)] * (T - length)
        outputs.append(mg.stack([*values, *padding]))
        finals.append([mg.stack(parts) for parts in zip(*ends, strict=True)])
    states = (mg.concat(parts, axis=1) for parts in zip(*finals, strict=True))
    return mg.concat(outputs, axis=1), *states


def results(values, x, layer):
    """Return values, and the gradients of a random combination of them, as arrays."""
    rng = np.random.default_rng(0)
    wanted = [x, *layer.parameters()]
    cotangents = [mg.tensor(rng.standard_normal(v.shape)) for v in values]
    found = mg.grad(values, wanted, cotangents)
    return [t.detach().numpy() for t in (*values, *found)]


@every_kind
@pytest.mark.parametrize("lengths", [[T] * N, [T, 0, 2]])
def test_a_layer_of_modules_takes_their_steps(kind, lengths):
    layer = nn.Recurrent(kind, D, H, 2, bidirectional=True, dtype="float64")
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    output, finals = layer(x, lengths=lengths)
    found = results((output, *as_tuple(finals)), x, layer)
    expected = results(unrolled(layer, x, lengths), x, layer)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


@every_kind
@pytest.mark.parametrize("compile", ["auto", "never"])
def test_the_step_of_a_module_is_a_cell_for_scan(kind, compile):
    of = kind(D, H).double()
    x = mg.randn(T, N, D, dtype="float64", requires_grad=True)
    state = tuple(mg.zeros((N, w), dtype="float64") for w in of._widths)
    layer = nn.Recurrent(kind, D, H, dtype="float64")
    layer.l0.load_state_dict(of.state_dict())
    outputs, finals = scan(of.cell, x, state, of.cell.tensors(), compile=compile)
    found = results((outputs, *finals), x, of)
    output, hidden = layer(x)
    expected = results((output, *(h[0] for h in as_tuple(hidden))), x, layer)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_calling_the_cell_takes_one_step():
    of = Leaky(D, H)
    x, h, m = mg.randn(N, D), mg.randn(N, H), mg.randn(N, 2)
    for a, b in zip(of(x, (h, m)), of.step(x, h, m), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    for single, rows in zip(of(x[0]), of(x), strict=True):
        np.testing.assert_allclose(single.detach().numpy(), rows[0].detach().numpy(), rtol=1e-6)


def test_frozen_parameters_and_buffers_get_no_gradient():
    layer = nn.Recurrent(Leaky, D, H)
    layer.l0.joined.requires_grad_(False)
    layer(mg.randn(T, N, D))[0].sum().backward()
    got = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert got == {"l0.more.down", "l0.parts.0.weight"}
    assert layer.l0.leak.grad is None


# nothing goes stale


class Change(NamedTuple):
    """A change of a module that changes what its step computes."""

    kind: type
    make: object


def replaced(module, name, value):
    setattr(module, name, value)


CHANGES = {
    "a number": (Leaky, lambda m: replaced(m, "slope", 3.0)),
    "a buffer's content": (Leaky, lambda m: m.leak.copy_(mg.tensor([0.0, 1.0]))),
    "a buffer": (Leaky, lambda m: replaced(m, "leak", mg.tensor([0.0, 1.0]))),
    "a module in a list": (Leaky, lambda m: m.parts.__setitem__(0, nn.Linear(2, H))),
    "a parameter in a dict": (Leaky, lambda m: m.more.update(down=nn.Parameter(mg.ones((2, H))))),
    "a parameter": (Plain, lambda m: replaced(m, "weight", nn.Parameter(mg.ones((H, D))))),
    "a shared parameter": (Plain, lambda m: replaced(m, "weight", m.recurrent)),
    "an attribute that hides that of the class": (Plain, lambda m: replaced(m, "gain", 2.0)),
    "a number of a module inside": (Around, lambda m: replaced(m.inner, "gain", 2.0)),
    "a method": (Plain, lambda m: replaced(m, "squashed", lambda z: mg.sigmoid(z) * m.gain)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_step_reads_from_self_may_change(change):
    kind, make = CHANGES[change]
    width = H if change == "a shared parameter" else D
    layer, x = nn.Recurrent(kind, width, H), mg.randn(T, N, width)

    def run():
        output, finals = layer(x)
        return np.concatenate([r.detach().numpy().ravel() for r in (output, *as_tuple(finals))])

    before = run()
    make(layer.l0)
    after = run()
    expected = unrolled(layer, x, [T] * N)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, np.concatenate([r.detach().numpy().ravel() for r in expected]),
                               rtol=1e-5, atol=1e-6)  # fmt: skip


def test_attributes_and_methods_of_the_class_may_change(monkeypatch):
    layer, x = nn.Recurrent(Plain, D, H), mg.randn(T, N, D)
    first = layer(x)[0].detach().numpy()
    monkeypatch.setattr(Plain, "gain", 2.0)
    second = layer(x)[0].detach().numpy()
    monkeypatch.setattr(Plain, "squashed", lambda self, z: mg.sigmoid(z))
    third = layer(x)[0].detach().numpy()
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    assert (third > 0).all()


class Tied(nn.Cell):
    """Three parameters, of which two are one."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.a, self.b = nn.Parameter(mg.tensor(2.0)), nn.Parameter(mg.tensor(3.0))
        self.c = self.a

    def step(self, x, h):
        return h + x * self.a + x * self.b * self.c


def test_another_parameter_may_be_shared():
    layer, x = nn.Recurrent(Tied, 1, 1), mg.ones((1, 1, 1))
    assert layer(x)[1].item() == 2 + 3 * 2
    layer.l0.c = layer.l0.b
    assert layer(x)[1].item() == 2 + 3 * 3


class Switched(nn.Cell):
    """Reads an object that may change unseen, and the mode."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.table = {"scale": np.array([1.0])}

    def step(self, x, h):
        return x * float(self.table["scale"][0]) + (h if self.training else 0 * h)


def test_objects_and_the_mode_may_change():
    layer, x = nn.Recurrent(Switched, 1, 1), mg.ones((3, 1, 1))
    assert layer(x)[1].item() == 3.0
    assert layer.eval()(x)[1].item() == 1.0
    layer.l0.table["scale"][0] = 10.0
    assert layer(x)[1].item() == 10.0


@pytest.fixture
def traced(monkeypatch):
    """Return a list that grows with each trace."""
    calls, record = [], traces.record
    monkeypatch.setattr(traces, "record", lambda *a: calls.append(1) or record(*a))
    return calls


@every_kind
def test_a_module_is_traced_once(kind, traced):
    layer, x = nn.Recurrent(kind, D, H, 2), mg.randn(T, N, D)
    for _ in range(3):
        layer(x)
        for p in layer.parameters():
            p.copy_(p.detach() * 2)
    assert len(traced) == 4  # of two cells, with two numbers of rows


class Counting(nn.Cell):
    """Assigns an attribute, or appends to a list."""

    def __init__(self, input_size, hidden_size, way):
        super().__init__(input_size, hidden_size)
        self.inner, self.count, self.seen, self.way = nn.Identity(), 0, [], way

    def step(self, x, h):
        if self.way == "attribute":
            self.count += 1
        elif self.way == "list":
            self.seen.append(x)
        else:
            self.inner.last = x
        return x + h


@pytest.mark.parametrize(
    ("way", "text"),
    [
        ("attribute", "'count' of a Counting"),
        ("list", "0 of a list"),
        ("inner", "'last' of a Iden"),
    ],
)
def test_a_step_does_not_change_its_module(way, text):
    layer = nn.Recurrent(Counting, 2, 2, way=way)
    with pytest.raises(
        TraceError, match=f"Counting changes {text}.*, which would be lost; make it a"
    ):
        layer(mg.zeros((1, 1, 2)))
    assert (layer.l0.count, layer.l0.seen, hasattr(layer.l0.inner, "last")) == (0, [], False)


def test_other_threads_may_use_a_module_that_is_traced():
    seen, go, traced = [], threading.Event(), threading.Event()

    class Slow(nn.Cell):
        """Is traced while another thread looks at it."""

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.weight = nn.Parameter(mg.ones((hidden_size, input_size)))

        def step(self, x, h):
            traced.set()
            go.wait(10)
            return mg.linear(x, self.weight) + h

    layer = nn.Recurrent(Slow, 2, 2)

    def look():
        traced.wait(10)
        seen.append(type(layer.l0.weight))
        go.set()

    thread = threading.Thread(target=look)
    thread.start()
    layer(mg.zeros((1, 1, 2)))
    thread.join()
    assert seen == [nn.Parameter]


# it is a module


def test_names_sizes_and_text():
    layer = nn.Recurrent(Leaky, D, H, 2, bidirectional=True, slope=0.25, dtype="float64")
    assert [name for name in layer.state_dict() if name.startswith("l1_reverse.")] == [
        "l1_reverse.more.down",
        "l1_reverse.leak",
        "l1_reverse.joined.weight",
        "l1_reverse.joined.bias",
        "l1_reverse.parts.0.weight",
    ]
    assert {m.input_size for m in layer.children()} == {D, 2 * H}
    assert {m.slope for m in layer.children()} == {0.25}
    assert {t.dtype.name for t in (*layer.parameters(), *layer.buffers())} == {"float64"}
    assert repr(nn.Recurrent(Plain, D, H)) == "Recurrent(\n  Plain, 3, 4\n  (l0): Plain(3, 4)\n)"
    assert repr(layer).startswith(
        "Recurrent(\n  Leaky, 3, 4, num_layers=2, bidirectional=True, slope=0"
    )
    found = nn.summary(nn.Recurrent(Plain, D, H), mg.randn(T, N, D))
    assert found.trainable == H * (D + H)
    assert found.layers[0].output == "[(5, 3, 4), (1, 3, 4)]"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@every_kind
def test_copies_are_independent(kind, copied):
    layer, x = nn.Recurrent(kind, D, H, 2), mg.randn(T, N, D)
    before = layer(x)[0].detach().numpy()
    other = copied(layer)
    np.testing.assert_array_equal(other(x)[0].detach().numpy(), before)
    assert other.cell is other.l0.cell is not layer.l0.cell
    for p in other.parameters():
        p.copy_(p.detach() + 1)
    assert not np.allclose(other(x)[0].detach().numpy(), before)
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), before)
    layer.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), other(x)[0].detach().numpy())


def test_reset_parameters_gives_what_a_new_cell_begins_with():
    layer = nn.Recurrent(Leaky, D, H, 2)
    kept = list(layer.parameters())
    layer.l0.leak.copy_(mg.zeros(2))
    mg.manual_seed(7)
    layer.reset_parameters()
    mg.manual_seed(7)
    fresh = nn.Recurrent(Leaky, D, H, 2)
    for name, value in fresh.state_dict().items():
        np.testing.assert_array_equal(layer.state_dict()[name].numpy(), value.numpy())
    assert all(a is b for a, b in zip(kept, layer.parameters(), strict=True))


def test_it_is_explained():
    layer = nn.Recurrent(Plain, D, H)
    assert explain(layer) == explain(layer.l0)
    assert explain(layer).startswith("Plain(x[N,3], h[N,4])   float32\n  ")


def test_it_is_certified(both_loops):
    certificate = certify(nn.Recurrent(Plain, D, H), cases=2)
    certificate.check()
    assert str(certificate).startswith(f"certify(Plain, input_size=3, hidden_size=4): {both_loops}")
    certify(Plain(D, H), cases=1).check()


# mistakes


def test_sizes_and_options_must_fit():
    class Forgetful(nn.Cell):
        """Does not call the base class."""

        def __init__(self, input_size, hidden_size):
            self.weight = nn.Parameter(mg.ones((hidden_size, input_size)))

        def step(self, x, h):
            return mg.linear(x, self.weight) + h

    class Doubled(nn.Cell):
        """Has other sizes than it was made with."""

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, 2 * hidden_size)

        def step(self, x, h):
            return h

    class Named(nn.Cell):
        """Names a state that is not there."""

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size, widths={"hh": 2})

        def step(self, x, h):
            return h

    advice = r"does not have these sizes; call super\(\).__init__\(input_size, hidden_size\)"
    with pytest.raises(ArgumentError, match=rf"Recurrent: Forgetful\(3, 4\) {advice}"):
        nn.Recurrent(Forgetful, 3, 4)
    with pytest.raises(ArgumentError, match=rf"Recurrent: Doubled\(3, 4\) {advice}"):
        nn.Recurrent(Doubled, 3, 4)
    with pytest.raises(
        ArgumentError, match="'Named': widths name a state 'hh', but the states are 'h'"
    ):
        nn.Recurrent(Named, 3, 4)
    with pytest.raises(ArgumentError, match="Plain: hidden_size must be a positive integer, not 0"):
        Plain(3, 0)
    with pytest.raises(
        ArgumentError,
        match="cell 'Leaky' takes no option 'slop'; it takes slope; did you mean 'slope'",
    ):
        nn.Recurrent(Leaky, 3, 4, slop=1.0)
    with pytest.raises(
        ArgumentError,
        match=r"Recurrent: the cell is a Plain; give the class, .*: Plain, not Plain\(",
    ):
        nn.Recurrent(Plain(3, 4), 3, 4)
    with pytest.raises(ArgumentError, match="the cell is a type; give one of"):
        nn.Recurrent(nn.Linear, 3, 4)
    with pytest.raises(
        ArgumentError, match=r"'Plain' was made with the sizes \(3, 4\), and cannot have \(3, 5\)"
    ):
        Plain(3, 4).cell.initial_parameters(3, 5)


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (lambda self, x: x, r"self, x\)"),
        (lambda self, x, h, *, gain: h, r"self, x, h, gain\)"),
        (lambda self, x, h, gain=2.0: h, r"self, x, h, gain=2.0\)"),
        (lambda self, x, *states: states, r"self, x, \*states\)"),
    ],
)
def test_a_step_takes_an_input_and_states(step, shown):
    with pytest.raises(
        ArgumentError, match=rf"Bad.step\({shown}: a step takes its input, then one"
    ):
        type("Bad", (nn.Cell,), {"step": step})


def test_a_cell_without_a_step_says_so():
    with pytest.raises(
        NotImplementedError, match=r"Empty has no method step; define step\(self, x, h"
    ):
        type("Empty", (nn.Cell,), {})(3, 4)


def test_states_are_checked():
    with pytest.raises(ShapeError, match=r"Leaky: state m has shape \(3, 4\); it must be \(3, 2\)"):
        Leaky(D, H)(mg.zeros((N, D)), (mg.zeros((N, H)), mg.zeros((N, H))))


def test_a_cell_in_a_step_is_not_called():
    inner = Plain(D, D)

    @cell(state="h")
    def outer(x, h):
        return inner(x, h)

    with pytest.raises(
        TraceError, match=r"Plain is called inside .*\n  call its method step there"
    ):
        scan(outer, mg.zeros((T, N, D)), mg.zeros((N, D)))
