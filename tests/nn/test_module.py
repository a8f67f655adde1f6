"""Modules: what belongs to them, their weights in and out, their text."""

import copy
import pickle
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, BackendError, DtypeError, GradientError


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
        "  not in this module: first.wieght",
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


class Tree(nn.Module):
    """Everything that a module can hold, nested."""

    def __init__(self):
        self.weight = nn.Parameter(mg.ones((2, 2)))
        self.steps = nn.Buffer(mg.tensor([3]))
        self.cache = nn.Buffer(mg.zeros(2), persistent=False)
        self.inner = Pair()
        self.nothing = None


def test_walks_yield_what_there_is():
    model = Tree()
    inner, a = model.inner, model.inner.a
    assert list(model.named_modules()) == [("", model), ("inner", inner), ("inner.a", a)]
    assert [n for n, _ in model.named_modules("net", remove_duplicate=False)] == [
        "net", "net.inner", "net.inner.a", "net.inner.b",
    ]  # fmt: skip
    assert list(model.modules()) == [model, inner, a]
    assert list(model.named_children()) == [("inner", inner)]
    assert list(inner.named_children()) == [("a", a)]
    assert list(inner.children()) == [a]
    assert [n for n, _ in model.named_parameters("net")] == [
        "net.weight", "net.inner.a.weight", "net.inner.a.bias",
    ]  # fmt: skip
    assert len(list(model.named_parameters(remove_duplicate=False))) == 5
    assert list(map(id, model.parameters(recurse=False))) == [id(model.weight)]
    assert [n for n, _ in model.named_buffers()] == ["steps", "cache"]
    assert list(map(id, model.buffers())) == [id(model.steps), id(model.cache)]
    assert list(model.state_dict()) == [
        "weight", "steps", "inner.a.weight", "inner.a.bias", "inner.b.weight", "inner.b.bias",
    ]  # fmt: skip


def test_what_is_inside_is_found_by_name():
    model = Tree()
    assert model.get_submodule("") is model
    assert model.get_submodule("inner.b") is model.inner.a
    assert model.get_parameter("inner.b.bias") is model.inner.a.bias
    assert model.get_buffer("steps") is model.steps
    assert Two().get_submodule("rest.1.0").weight.shape == (2, 4)
    for find, text in [
        (lambda: model.get_submodule("iner"), "Tree has no module 'iner'; did you mean 'inner'?"),
        (
            lambda: model.get_parameter("inner.a.wight"),
            "Tree has no parameter 'inner.a.wight'; did you mean 'inner.a.weight'?",
        ),
        (lambda: model.get_buffer("weight"), "Tree has no buffer 'weight'"),
        (lambda: model.inner.c, "Pair has no attribute 'c'"),
        # what is private is no advice
        (
            lambda: nn.LSTM(1, 1).flatten_parameters,
            "LSTM has no attribute 'flatten_parameters'; did you mean 'parameters'?",
        ),
        (
            lambda: nn.Linear(1, 1).wight,
            "Linear has no attribute 'wight'; did you mean 'weight'?",
        ),
    ]:
        with pytest.raises(AttributeError) as caught:
            find()
        assert str(caught.value) == text


def test_an_error_in_a_property_is_not_hidden():
    class Broken(nn.Module):
        @property
        def width(self):
            return self.weight.shape[0]

    with pytest.raises(AttributeError, match="Broken has no attribute 'weight'"):
        _ = Broken().width


def test_lists_and_dicts_are_followed_and_aliases_are_not():
    class Model(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(1, 1), nn.Linear(1, 1)
            self.order = [self.b, self.a]
            self.by_name = {"a": self.a, "c": nn.Linear(1, 1), 3: {"w": nn.Parameter([1.0])}}
            self.by_name["self"] = self.by_name
            self.numbers = ({"x": [1, "text", mg.zeros(2)]}, None)

    model = Model()
    assert [n for n, _ in model.named_modules()] == ["", "a", "b", "by_name.c"]
    assert [n for n, _ in model.named_parameters()] == [
        "by_name.3.w", "a.weight", "a.bias", "b.weight", "b.bias", "by_name.c.weight",
        "by_name.c.bias",
    ]  # fmt: skip
    assert sorted(model.state_dict()) == sorted(name for name, _ in model.named_parameters())
    model.by_name["3"] = {"w": nn.Parameter([2.0])}
    text = "Model has two tensors named 'by_name.3.w', and one would be lost in the state; rename"
    with pytest.raises(ArgumentError, match=text):
        model.state_dict()


def test_attributes_may_be_set_in_a_loop_over_modules():
    model = Two()
    for i, module in enumerate(model.modules()):
        module.number = i
        setattr(model, f"seen_{i}", module.number)
    assert [m.number for m in model.modules()] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "walk",
    [
        lambda m: list(m.modules()),
        lambda m: list(m.parameters()),
        lambda m: m.state_dict(),
        lambda m: m.load_state_dict({}),
        lambda m: m.train(),
        lambda m: m.to("float64"),
        lambda m: m.apply(print),
    ],
)
def test_a_module_that_contains_itself(walk):
    model = Tree()
    model.inner.parents = [model]
    text = "Tree: the Tree at 'inner.parents.0' contains itself; keep the outer module in a weakref.ref"
    with pytest.raises(ArgumentError, match=text):
        walk(model)
    assert "(parents.0): ..." in repr(model)
    twin = copy.deepcopy(model)
    assert twin.inner.parents[0] is twin


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (
            lambda m: setattr(m, "weight", mg.zeros(2)),
            ArgumentError,
            (
                "Tree.weight is a Parameter and would be lost by assigning a Tensor; assign a Parameter "
                "or write weight.copy_(value), or delete it first"
            ),
        ),
        (
            lambda m: setattr(m, "inner", [1]),
            ArgumentError,
            (
                "Tree.inner is a Module and would be lost by assigning a list; assign a Module, "
                "or delete it first"
            ),
        ),
        (
            lambda m: setattr(m, "cache", m.weight * 2),
            GradientError,
            (
                "Tree.cache is a Buffer and cannot hold a tensor that requires a gradient, which "
                "would be lost; assign value.detach()"
            ),
        ),
        (
            lambda m: m.register_parameter("p", mg.zeros(2)),
            ArgumentError,
            "register_parameter: 'p' must be a Parameter or None, not a Tensor",
        ),
        (
            lambda m: m.add_module("layer", nn.Linear),
            ArgumentError,
            "add_module: 'layer' must be a Module or None, not the class Linear; write Linear(...)",
        ),
        (
            lambda m: m.register_buffer("a.b", mg.zeros(2)),
            ArgumentError,
            "register_buffer: a name must be a string, not empty and without a dot, but is 'a.b'",
        ),
        (
            lambda m: m.train("no"),
            ArgumentError,
            "train: mode must be True or False, not 'no'",
        ),
        (
            lambda m: m(1),
            NotImplementedError,
            "Tree has no method forward; define it",
        ),
        (
            lambda m: m.to("int32"),
            DtypeError,
            "Tree.to: parameters need a floating-point dtype, not int32",
        ),
        (
            lambda m: m.to("gpu"),
            ArgumentError,
            'to(): \'gpu\' is neither a device ("cpu", "cuda", "cuda:1") nor a dtype',
        ),
        (
            lambda m: m.to(device="float64"),
            BackendError,
            'unknown device \'float64\'; write "cpu", "cuda" or "cuda:1"',
        ),
    ],
)
def test_mistakes(act, error, text):
    model = Tree()
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    with pytest.raises(error) as caught:
        act(model)
    assert str(caught.value) == text
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before


def test_a_misspelled_forward():
    class Model(nn.Module):
        def foward(self, x):
            return x

    with pytest.raises(NotImplementedError) as caught:
        Model()(1)
    assert str(caught.value) == ("Model has no method forward; define it; did you mean 'foward'?")


def test_weights_of_a_class_are_refused():
    text = (
        "Model.w is a Parameter of the class, which belongs to no module and would not be trained; "
        "assign it to self in __init__"
    )
    with pytest.raises(ArgumentError, match=text):

        class Model(nn.Module):
            w = nn.Parameter([1.0])


def test_parameters_and_modules_may_be_replaced():
    model = Tree()
    weight, inner = nn.Parameter([1.0]), nn.Linear(1, 1)
    model.weight, model.inner = weight, inner
    assert list(model.state_dict()) == ["weight", "steps", "inner.weight", "inner.bias"]
    model.weight = model.inner = None
    assert list(model.state_dict()) == ["steps"]
    model.register_parameter("weight", weight)
    model.add_module("inner", inner)
    model.register_buffer("more", [1.0, 2.0])
    model.register_buffer("none", None)
    assert list(model.state_dict()) == ["weight", "steps", "more", "inner.weight", "inner.bias"]
    del model.weight, model.inner
    assert list(model.state_dict()) == ["steps", "more"]


def test_a_buffer_stays_one_when_a_tensor_is_assigned():
    model = Tree()
    given = mg.tensor([1.0, 2.0])
    model.steps, model.cache = model.steps + 1, given
    assert type(model.steps) is type(model.cache) is nn.Buffer
    assert (model.steps.persistent, model.cache.persistent) == (True, False)
    assert model.steps.tolist() == [4]
    given[0] = 9.0
    assert model.cache.tolist() == [1.0, 2.0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin.cache) is nn.Buffer
        assert (twin.steps.persistent, twin.cache.persistent) == (True, False)
        assert not twin.cache.requires_grad
    assert copy.copy(model.cache).persistent is False


class Tied(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(4, 3)
        self.readout = nn.Linear(3, 4, bias=False)
        self.readout.weight = self.embedding.weight


def test_copies_share_what_was_shared_and_nothing_else():
    model = Tied().eval()
    model.embedding.weight.grad = mg.ones((4, 3))
    model.embedding.weight.requires_grad = False
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.readout.weight is twin.embedding.weight
        assert twin.readout.weight is not model.readout.weight
        assert not twin.readout.training
        assert not twin.readout.weight.requires_grad
        twin.readout.weight.copy_(mg.zeros((4, 3)))
    assert float(mg.abs(model.readout.weight).sum()) > 0
    assert len(list(model.parameters())) == 1
    assert len(model.state_dict()) == 2


def test_freezing_and_forgetting_gradients():
    model = Two()
    assert model.first.requires_grad_(False) is model.first
    assert [p.requires_grad for p in model.parameters()] == [True, False, False, True, True, True]
    model(mg.ones((2, 3))).sum().backward()
    assert model.first.weight.grad is None
    model.zero_grad(set_to_none=False)
    assert model.scale.grad.tolist() == [0.0]
    assert model.first.weight.grad is None
    model.zero_grad()
    assert model.scale.grad is None


def test_apply_begins_inside():
    model, seen = nn.Sequential(Pair(), nn.Linear(1, 1)), []
    assert model.apply(seen.append) is model
    assert seen == [model[0].a, model[0], model[1], model]


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m.double(),
        lambda m: m.to("float64"),
        lambda m: m.to(mg.float64),
        lambda m: m.to(dtype="float64"),
        lambda m: m.to("cpu", "float64"),
        lambda m: m.to(None, mg.float64),
        lambda m: m.to(device="cpu", dtype=mg.float64),
        lambda m: m.to(mg.zeros(1, dtype="float64")),
    ],
)
def test_to_converts_floats_in_place(convert):
    model = Tree()
    model.inner.a.bias.grad = mg.ones(2)
    same, before = list(model.parameters()), model.weight.detach().numpy()
    assert convert(model) is model
    assert all(p is q for p, q in zip(model.parameters(), same, strict=True))
    assert {p.dtype for p in model.parameters()} == {mg.float64}
    assert model.inner.a.bias.grad.dtype == mg.float64
    assert model.inner.a.bias.grad.tolist() == [1.0, 1.0]
    assert model.weight.grad is None
    assert (model.steps.dtype, model.cache.dtype) == (mg.int64, mg.float64)
    assert all(p.requires_grad and p.is_leaf for p in same)
    np.testing.assert_array_equal(model.weight.detach().numpy(), before)
    assert model.half().weight.dtype == mg.float16
    assert model.float().weight.dtype == mg.float32


def test_to_what_it_is_changes_nothing():
    model = nn.Linear(2, 2)
    loss = (model(mg.ones((1, 2))) ** 2).sum()
    loss.backward(retain_graph=True)
    grad = model.weight.grad
    model.to("cpu").float().cpu()
    assert model.weight.grad is grad
    loss.backward()  # nothing was written


def test_to_is_seen_by_a_pending_backward_pass():
    model = nn.Linear(2, 2)
    loss = ((model(mg.ones((1, 2))) @ model.weight) ** 2).sum()
    model.half()
    with pytest.raises(GradientError, match="was written in place"):
        loss.backward()


def test_an_impossible_move_changes_nothing(monkeypatch):
    model = Tree()
    before = [p._array for p in (*model.parameters(), *model.buffers())]
    moved, calls = mg.Tensor.to, []

    def fail_at_the_third(self, target):
        calls.append(target)
        if len(calls) == 6:
            raise BackendError("no memory")
        return moved(self, target)

    monkeypatch.setattr(mg.Tensor, "to", fail_at_the_third)
    with pytest.raises(BackendError, match="no memory"):
        model.double()
    after = [p._array for p in (*model.parameters(), *model.buffers())]
    assert all(a is b for a, b in zip(after, before, strict=True))


def test_a_move_to_a_missing_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    model = nn.Linear(2, 2)
    with pytest.raises(BackendError):
        model.cuda()
    with pytest.raises(BackendError):
        model.cuda(1)
    assert model.weight.device == "cpu"
