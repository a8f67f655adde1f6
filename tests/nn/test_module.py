"""Modules: what belongs to them, their weights in and out, their text."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


class Two(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 4)
        self.rest = [nn.Linear(4, 4, bias=False), (nn.Linear(4, 2),)]
        self.scale = nn.Parameter([2.0])
        self.same = self.scale
        self.note = mg.zeros(3)  # a tensor that is not trained

    def forward(self, x):
        return self.rest[1][0](self.rest[0](self.first(x))) * self.scale


class Pair(nn.Module):
    def __init__(self):
        self.a = nn.Linear(2, 2)
        self.b = self.a


def test_what_is_assigned_belongs_to_the_module():
    names = [name for name, _ in Two().named_parameters()]
    assert names == [
        "scale", "first.weight", "first.bias", "rest.0.weight", "rest.1.0.weight", "rest.1.0.bias",
    ]  # fmt: skip
    assert [name for name, _ in Two().named_modules()] == ["", "first", "rest.0", "rest.1.0"]
    assert len(list(Two().parameters())) == 6
    assert len(list(Two().modules())) == 4


def test_a_shared_layer_is_trained_once_and_named_twice():
    pair = Pair()
    assert len(list(pair.parameters())) == 2
    assert list(pair.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]


def test_calling_runs_forward_and_gradients_reach_every_parameter():
    model = Two()
    model(mg.ones((5, 3))).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(NotImplementedError, match="Module has no method forward; define it"):
        nn.Module()(1)


def test_train_and_eval_reach_every_module():
    model = Two()
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_weights_go_out_and_come_back():
    one, two = Two(), Two()
    state = one.state_dict()
    two.load_state_dict(state)
    x = mg.rand(4, 3)
    np.testing.assert_array_equal(one(x).detach().numpy(), two(x).detach().numpy())
    one.scale.data *= 3.0
    assert state["scale"].tolist() == [2.0]  # a copy
    assert not state["scale"].requires_grad
    two.load_state_dict({name: t.numpy().astype("float64") for name, t in one.state_dict().items()})
    assert two.scale.tolist() == [6.0]
    assert two.scale.dtype == mg.float32


def test_every_mismatch_is_listed_and_nothing_changes():
    model = Two()
    before = model.state_dict()
    state = {**before, "first.weight": mg.zeros((3, 4)), "first.wieght": mg.zeros(1)}
    state["rest.0.weight"] = mg.zeros((4, 4))
    del state["first.bias"], state["scale"]
    with pytest.raises(ArgumentError) as caught:
        model.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict into Two; nothing was changed:",
        "  missing: scale",
        "  missing: first.bias",
        "  not in this module: first.wieght; did you mean 'first.bias'?",
        "  first.weight: shape (3, 4) does not fit (4, 3)",
    ]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_weights_that_are_no_numbers_change_nothing():
    model = nn.Linear(1, 2)
    before = model.weight.tolist()
    with pytest.raises(ArgumentError, match="bias: a ndarray cannot be read as an array: dtype"):
        model.load_state_dict({"weight": [[1.0], [2.0]], "bias": np.array(["a", "b"])})
    assert model.weight.tolist() == before
    model.load_state_dict({"weight": [[1.0], [2.0]], "bias": [3, 4]})
    assert model.bias.tolist() == [3.0, 4.0]
    model.load_state_dict(dict(nn.Linear(1, 2).named_parameters()))
    assert model.bias.tolist() != [3.0, 4.0]


def test_repr():
    assert repr(Two()) == (
        "Two(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (rest.0): Linear(in_features=4, out_features=4, bias=False)\n"
        "  (rest.1.0): Linear(in_features=4, out_features=2, bias=True)\n"
        ")"
    )
    nested = Pair()
    nested.a = Pair()
    assert repr(nested).splitlines()[:3] == [
        "Pair(",
        "  (a): Pair(",
        "    (a): Linear(in_features=2, out_features=2, bias=True)",
    ]
    assert repr(nn.Embedding(5, 2)) == "Embedding(5, 2)"
    assert repr(nn.LSTM(3, 4, 2, batch_first=True)) == "LSTM(3, 4, num_layers=2, batch_first=True)"


def test_a_parameter_is_a_leaf_that_is_copied_and_pickled_as_one():
    data = np.array([1.0, 2.0])
    p = nn.Parameter(data)
    data[0] = 9.0
    assert p.tolist() == [1.0, 2.0]
    assert p.requires_grad
    assert p.is_leaf
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(twin) is nn.Parameter
        assert twin.requires_grad
        assert twin.tolist() == [1.0, 2.0]
    assert type(p * 2) is mg.Tensor
    with pytest.raises(mg.errors.DtypeError, match="only floating-point tensors"):
        nn.Parameter([1, 2])


def test_linear_and_embedding_compute_what_they_say():
    layer = nn.Linear(3, 2)
    x = mg.rand(4, 5, 3)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() @ w.T + b, rtol=1e-6)
    table = nn.Embedding(4, 3)
    rows = table(mg.tensor([[0, 3], [1, 1]]))
    expected = table.weight.detach().numpy()[[[0, 3], [1, 1]]]
    np.testing.assert_array_equal(rows.detach().numpy(), expected)
    rows.sum().backward()
    assert table.weight.grad.tolist() == [[1.0] * 3, [2.0] * 3, [0.0] * 3, [1.0] * 3]


def test_default_initialisation_has_pytorchs_spread():
    layer, table, lstm = nn.Linear(400, 300), nn.Embedding(300, 200), nn.LSTM(50, 100)
    for p, bound in [
        (layer.weight, 0.05),
        (layer.bias, 0.05),
        *((p, 0.1) for p in lstm.parameters()),
    ]:
        values = p.detach().numpy()
        assert 0.98 * bound < np.abs(values).max() <= bound
        assert abs(values.std() / (bound / 3**0.5) - 1) < 0.1
    assert abs(table.weight.detach().numpy().std() - 1) < 0.02


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(0, 2), "Linear: in_features must be a positive integer, not 0"),
        (lambda: nn.Linear(2, 2.5), "Linear: out_features must be a positive integer, not 2.5"),
        (lambda: nn.Embedding(3, -1), "Embedding: embedding_dim must be a positive integer"),
        (lambda: nn.LSTM(3, True), "LSTM: hidden_size must be a positive integer, not True"),
        (lambda: nn.LSTM(3, 3, 0), "LSTM: num_layers must be a positive integer, not 0"),
    ],
)
def test_impossible_sizes(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
