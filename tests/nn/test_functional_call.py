"""Calling a module with other tensors: what it computes, where gradients go, and what is left alone."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, nn
from minigrad.errors import ArgumentError, DtypeError, ShapeError


class Own(nn.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read, self.keep = (
            nn.Linear(input_size, hidden_size),
            nn.Linear(hidden_size, hidden_size),
        )
        self.scale = nn.Buffer(mg.ones(hidden_size))

    def step(self, x, h):
        return mg.tanh(self.read(x) + self.keep(h)) * self.scale


class Tree(nn.Module):
    """Holds tensors and modules in all ways there are."""

    def __init__(self):
        self.layers = [nn.Linear(3, 3), (nn.Linear(3, 3), {"last": nn.Linear(3, 3)})]
        self.extra = nn.ParameterList([mg.ones(3), mg.ones(3)])
        self.named = nn.ParameterDict({"shift": mg.zeros(3)})
        self.again = self.layers[0]
        self.way = self.twice  # a method of its own
        self.inner = nn.Sequential(nn.PReLU(), nn.LayerNorm(3), nn.Dropout(0.5)).eval()

    def twice(self, x):
        return self.again(self.again(x))

    def forward(self, x, more=None):
        first, (second, by_name) = self.layers
        x = by_name["last"](second(mg.tanh(first(self.way(x))))) * self.extra[1]
        x = self.inner(x) * self.extra[0] + self.named["shift"]
        return x if more is None else x + more


def recurrent(cell, **options):
    layer = nn.Recurrent(cell, 3, 4, **options)
    return layer, lambda called: called(mg.ones((5, 2, 3)))[0]


def plain(layer, *shape):
    return layer, lambda called: called(mg.ones(shape))


MADE = {
    "Linear": lambda: plain(nn.Linear(3, 2), 4, 3),
    "Tree": lambda: plain(Tree(), 4, 3),
    "Embedding": lambda: (nn.Embedding(5, 2, 0), lambda called: called(mg.tensor([[1, 2], [2, 4]]))),
    "BatchNorm1d": lambda: plain(nn.BatchNorm1d(3).eval(), 4, 3),
    "LSTM": lambda: recurrent(nn.cells.lstm, num_layers=2, bidirectional=True),
    "batch_first": lambda: recurrent(nn.cells.gru, batch_first=True),
    "nn.Cell": lambda: recurrent(Own),
    "GRUCell": lambda: (nn.GRUCell(3, 4), lambda called: called(mg.ones((2, 3)))),
    "Multihead": lambda: (
        nn.MultiheadAttention(4, 2), lambda called: called(*[mg.ones((3, 2, 4))] * 3)[0]),
}  # fmt: skip


def everything(module):
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def others(module):
    """Return other numbers for all that a module has, as leaves."""
    rng = np.random.default_rng(0)
    return {
        name: mg.tensor(rng.uniform(0.5, 1.5, t.shape), dtype="float32", requires_grad=True)
        for name, t in everything(module).items()
        if mg.is_floating(t.dtype)
    }


@pytest.mark.usefixtures("both_loops")
@pytest.mark.parametrize("name", MADE)
def test_it_is_the_call_of_a_module_with_these_numbers(name):
    module, run = MADE[name]()
    peer, _ = MADE[name]()
    given = others(module)
    before = {key: (t, t.tolist()) for key, t in everything(module).items()}
    peer.load_state_dict(module.state_dict())
    for key, place in everything(peer).items():
        if key in given:
            place.copy_(given[key].detach())
    for recorded in (True, True, True, False, False, False):  # cold and warm
        with mg.set_grad_enabled(recorded):
            found = run(lambda *args: nn.functional_call(module, given, args))
            expected = run(peer)
            np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
        if recorded:
            mine = {key: given[key] for key, _ in module.named_parameters()}
            gradients = mg.grad((found**2).sum(), [*mine.values()], allow_unused=True)
            theirs = mg.grad((expected**2).sum(), [*peer.parameters()], allow_unused=True)
            assert any(g is not None for g in theirs)
            for a, b in zip(gradients, theirs, strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-7)
    for key, t in everything(module).items():
        kept, numbers = before[key]
        assert t is kept
        assert (t.tolist(), t.grad) == (numbers, None)


def test_gradients_of_any_order_flow_to_leaves_and_to_what_was_computed():
    module, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), mg.ones((4, 2))
    module.double()
    scale = mg.tensor(0.5, dtype="float64", requires_grad=True)
    given = {name: p.detach() * scale for name, p in module.named_parameters()}
    nn.functional_call(module, given, x.astype("float64")).sum().backward()

    def loss(number):
        numbers = {name: p.detach().numpy() * number for name, p in module.named_parameters()}
        w0, b0, w1, b1 = numbers.values()
        return (np.tanh(np.ones((4, 2)) @ w0.T + b0) @ w1.T + b1).sum()

    slope = (loss(0.5 + 1e-4) - loss(0.5 - 1e-4)) / 2e-4
    np.testing.assert_allclose(scale.grad.item(), slope, rtol=1e-7)
    leaf = mg.tensor([[0.3, -0.2]], requires_grad=True)
    layer = nn.Linear(2, 1)

    def cubed(weight):
        return (nn.functional_call(layer, {"weight": weight, "bias": mg.zeros(1)}, x) ** 3).sum()

    (first,) = mg.grad(cubed(leaf), leaf, create_graph=True)
    (second,) = mg.grad(first.sum(), leaf)
    np.testing.assert_allclose(second.numpy(), np.full((1, 2), 4 * 6 * 0.1 * 2), rtol=1e-5)
    cubed(leaf).backward()
    assert leaf.grad.shape == (1, 2)
    assert layer.weight.grad is None


def test_tied_weights_go_together():
    chain = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    chain[1].weight = chain[0].weight
    weight = mg.tensor([[0.0, 2.0], [3.0, 0.0]])
    for given in (
        {"0.weight": weight},
        {"1.weight": weight},
        {"0.weight": weight, "1.weight": weight},
    ):
        assert nn.functional_call(chain, given, mg.ones((1, 2))).tolist() == [[6.0, 6.0]]
    with pytest.raises(
        ArgumentError, match=r"'1.weight' and '0.weight' are one tensor in Sequential"
    ):
        nn.functional_call(chain, {"0.weight": weight, "1.weight": weight + 1}, mg.ones((1, 2)))


def test_what_a_call_writes_goes_to_the_tensors_given_and_else_stays():
    module, x = nn.BatchNorm1d(2), mg.tensor([[1.0, 10.0], [3.0, 30.0]])
    mean = mg.zeros(2)
    nn.functional_call(module, {"running_mean": mean}, x)
    assert mean.tolist() == pytest.approx([0.2, 2.0])
    assert module.running_mean.tolist() == [0.0, 0.0]
    assert module.num_batches_tracked.item() == 1  # not given, so its own

    class Counting(nn.Module):
        def __init__(self):
            self.weight, self.mean = nn.Parameter(mg.ones(2)), nn.Buffer(mg.zeros(2))
            self.calls, self.seen, self.names = 0, [], {}

        def forward(self, x, fail=False):
            self.calls += 1
            self.seen.append(x.shape)
            self.names["last"] = self.weight
            self.mean = self.mean + x.mean(axis=0)
            if fail:
                raise ValueError("no")
            return x * self.weight

    module = Counting()
    weight, own = mg.full(2, 3.0), module.weight
    for _ in range(2):
        nn.functional_call(module, {"weight": weight}, x)
    assert (module.calls, module.seen) == (2, [(2, 2), (2, 2)])
    assert isinstance(module.mean, nn.Buffer)
    assert module.mean.tolist() == [4.0, 40.0]
    nn.functional_call(module, {"mean": mg.zeros(2)}, x)
    assert module.mean.tolist() == [4.0, 40.0]
    before = dict(vars(module))
    with pytest.raises(ValueError, match="no"):
        nn.functional_call(module, {"weight": weight}, x, {"fail": True})
    assert vars(module) == before
    assert module.weight is own
    assert own.tolist() == [1.0, 1.0]


def test_threads_do_not_see_each_others_tensors():
    module, x, wrong = nn.GRU(3, 4), mg.ones((5, 2, 3)), []
    sets = [{n: p.detach() * k for n, p in module.named_parameters()} for k in (0.5, 1.0, 2.0)]
    expected = [nn.functional_call(module, given, x)[0].tolist() for given in sets]

    def call(number):
        for _ in range(20):
            if nn.functional_call(module, sets[number], x)[0].tolist() != expected[number]:
                wrong.append(number)
            if module(x)[0].tolist() != expected[1]:
                wrong.append("own")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("cell", [nn.cells.gru, Own])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_recurrent_layer_stays_on_its_fast_path(cell, recorded, monkeypatch):
    layer, x = nn.Recurrent(cell, 3, 4), mg.ones((5, 2, 3))
    given = {name: others(layer)[name] for name, _ in layer.named_parameters()}
    with mg.set_grad_enabled(recorded):
        expected = [nn.functional_call(layer, given, x)[0] for _ in range(3)]
        monkeypatch.setattr("minigrad.nn.recurrent.scan", None)
        assert nn.functional_call(layer, given, x)[0].tolist() == expected[0].tolist()
        assert layer(x)[0].tolist() != expected[0].tolist()


def test_hooks_arrays_and_ways_to_pass_arguments():
    module = Tree()
    seen = []
    module.register_forward_hook(lambda called, args, output: seen.append(type(called)))
    x = mg.ones((2, 3))
    given = {name: p.detach().numpy() for name, p in module.named_parameters()}
    expected = module(x, more=x)
    halves = [dict(list(given.items())[:3]), dict(list(given.items())[3:])]
    for parameters in (given, halves, tuple(halves), {}):
        for args, kwargs in (((x, x), None), ((x,), {"more": x}), (x, {"more": x})):
            found = nn.functional_call(module, parameters, args, kwargs)
            assert found.tolist() == expected.tolist()
    assert seen == [Tree] * 13


def test_inside_of_a_step_parameters_may_be_what_the_step_was_given():
    layer, x = nn.Linear(3, 3, bias=False), mg.ones((4, 2, 3))
    weight = mg.full((3, 3), 0.1, requires_grad=True)

    def step(x, h, *, weight):
        return (nn.functional_call(layer, {"weight": weight}, x + h),)

    outputs, _ = kernels.scan(step, x, (mg.zeros((2, 3)),), {"weight": weight})
    h = np.zeros((2, 3))
    for _ in range(4):
        h = (1 + h) @ np.full((3, 3), 0.1)
    np.testing.assert_allclose(outputs[-1].detach().numpy(), h, rtol=1e-6)
    assert mg.grad(outputs.sum(), weight)[0].shape == (3, 3)


W = mg.ones((1, 2))
WRONG = [
    ((nn.Linear(2, 1), {"wieght": W}), ArgumentError,
     "functional_call: Linear has no parameter or buffer 'wieght'; did you mean 'weight'?"),
    ((nn.Linear(2, 1), [{"weight": W}, {"weight": W}]), ArgumentError,
     "functional_call: 'weight' is given twice; give it once"),
    ((nn.Linear(2, 1), {"weight": mg.ones((2, 1))}), ShapeError,
     "functional_call: 'weight' has shape (2, 1); it must be (1, 2)"),
    ((nn.Linear(2, 1), {"weight": W.astype("int64")}), DtypeError,
     "functional_call: 'weight' has dtype int64, and the module's own float32; convert it with .astype"),
    ((nn.Linear(2, 1), {"weight": None}), TypeError,
     "functional_call: 'weight' must be a tensor or an array, not a NoneType"),
    ((nn.Linear(2, 1), W), TypeError,
     "functional_call: parameters must map names to tensors, or be a sequence of such mappings, not a"),
    ((nn.Linear, {"weight": W}), TypeError, "functional_call: module must be a Module, not a type"),
    ((nn.Linear(2, 1), {}, ()), TypeError, "Linear.forward: missing a required argument: 'input'"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "kind", "message"), WRONG)
def test_what_does_not_fit_is_refused(args, kind, message):
    with pytest.raises(kind) as caught:
        nn.functional_call(*args, *[W][len(args) - 2 :])
    assert message in str(caught.value)
