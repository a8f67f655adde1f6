"""Containers: what they hold and under which names. PyTorch's names are compared in tests/parity."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, IndexingError


class Scale(nn.Module):
    """Multiply by a number, and so tell by the result which layers ran."""

    def __init__(self, factor):
        self.factor = nn.Parameter([float(factor)])

    def forward(self, x):
        return x * self.factor

    def extra_repr(self):
        return f"{self.factor.item():g}"


def factors(container):
    return [layer.factor.item() for layer in container]


def names(module):
    return [name for name, _ in module.named_parameters()]


def test_sequential_runs_one_after_the_other():
    model = nn.Sequential(nn.Linear(2, 3), Scale(2), nn.Linear(3, 1))
    x = mg.rand(4, 2)
    first, last = (dict(model[i].named_parameters()) for i in (0, 2))
    w0, b0, w2, b2 = (p.detach().numpy() for p in (*first.values(), *last.values()))
    expected = (x.numpy() @ w0.T + b0) * 2 @ w2.T + b2
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-5)
    assert names(model) == ["0.weight", "0.bias", "1.factor", "2.weight", "2.bias"]
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_lists_of_modules(kind):
    layers = [Scale(n) for n in range(4)]
    model = kind(*layers) if kind is nn.Sequential else kind(iter(layers))
    assert len(model) == 4
    assert list(model) == layers
    assert list(reversed(model)) == layers[::-1]
    assert model[-1] is layers[3]
    assert model[np.int64(2)] is layers[2]
    assert layers[1] in model
    assert model.index(layers[1]) == 1
    assert list(model[1:3]) == layers[1:3]
    assert type(model[1:3]) is kind
    assert model.append(Scale(4)).extend([Scale(5), Scale(6)]) is model
    assert model.insert(0, Scale(7)) is model
    assert model.insert(-1, Scale(8)) is model
    assert factors(model) == [7, 0, 1, 2, 3, 4, 5, 8, 6]
    model[-1] = Scale(9)
    del model[0]
    del model[2:4]
    assert model.pop(1) is layers[1]
    assert factors(model.pop(slice(0, 1))) == [0]
    assert factors(model) == [4, 5, 8, 9]
    assert names(model) == ["0.factor", "1.factor", "2.factor", "3.factor"]
    more = [Scale(1)]
    both = model + more
    assert factors(both) == [4, 5, 8, 9, 1]
    assert len(model) == 4
    same = model
    model += both[:1]
    assert model is same
    assert factors(model) == [4, 5, 8, 9, 4]
    assert len(list(model.parameters())) == 4


def test_a_list_can_be_extended_by_itself():
    model = nn.ModuleList([Scale(1), Scale(2)])
    assert factors(model.extend(model)) == [1, 2, 1, 2]


def test_names_of_a_sequential():
    model = nn.Sequential(OrderedDict(a=Scale(1), b=Scale(2)))
    assert names(model) == ["a.factor", "b.factor"]
    assert names(model.append(Scale(3))) == ["a.factor", "b.factor", "2.factor"]
    part = model[1:]
    assert names(part) == ["b.factor", "2.factor"]
    assert len(part) == 2
    assert names(part.append(Scale(4))) == ["0.factor", "1.factor", "2.factor"]  # none is lost
    assert factors(part) == [2, 3, 4]
    assert factors(model) == [1, 2, 3]
    assert model.get_submodule("b") is model[1]


def test_a_part_of_a_part_loses_no_layer():
    part = nn.Sequential(*map(Scale, range(4)))[2:]
    assert names(part) == ["2.factor", "3.factor"]
    assert factors(part.append(Scale(4)).append(Scale(5))) == [2, 3, 4, 5]


def test_module_dict():
    model = nn.ModuleDict({"b": Scale(1), "a": Scale(2)})
    model["c"] = Scale(3)
    model.update([("d", Scale(4))])
    assert names(model) == ["b.factor", "a.factor", "c.factor", "d.factor"]
    assert list(model) == list(model.keys()) == ["b", "a", "c", "d"]
    assert factors(model.values()) == [1, 2, 3, 4]
    assert [name for name, _ in model.items()] == ["b", "a", "c", "d"]
    assert model.pop("a").factor.item() == 2
    del model["b"]
    assert "b" not in model
    assert len(model) == 2
    assert {model: 1}[model] == 1  # a module is a key of its own
    assert model != nn.ModuleDict(dict(model))
    model.clear()
    assert not names(model)


def test_parameter_list_and_dict():
    kept = nn.Parameter([1.0])
    many = nn.ParameterList([kept, mg.zeros((2, 3))])
    many.append(mg.ones(2))
    assert many[0] is kept
    assert all(type(p) is nn.Parameter and p.requires_grad for p in many)
    assert names(many) == ["0", "1", "2"]
    assert names(many[1:]) == ["0", "1"]
    by_name = nn.ParameterDict({"z": kept, "a": mg.zeros(3)})
    assert names(by_name) == ["a", "z"]
    assert names(nn.ParameterDict([("z", kept), ("a", mg.zeros(3))])) == ["z", "a"]
    by_name.update(b=mg.ones(1))
    assert type(by_name["b"]) is nn.Parameter
    state = {"0": [5.0], "1": np.ones((2, 3)), "2": [1.0, 2.0]}
    many.load_state_dict(state)
    assert kept.item() == 5.0


def test_attributes_beside_the_items():
    class Named(nn.ModuleList):
        def __init__(self, items):
            super().__init__(items)
            self.scale = nn.Parameter([1.0])
            self.first = self[0]

    model = Named([Scale(1), Scale(2)])
    assert list(model.state_dict()) == ["scale", "0.factor", "1.factor", "first.factor"]
    assert len(list(model.modules())) == 3


def test_a_subclass_need_not_call_init():
    class Model(nn.Sequential):
        def __init__(self):
            self.append(Scale(3))

    assert names(Model()) == ["0.factor"]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: nn.Sequential(OrderedDict(a=Scale(1), b=Scale(2))),
        lambda p: nn.ModuleList([Scale(1)]),
        lambda p: nn.ModuleDict({"a": Scale(1)}),
        lambda p: nn.ParameterList([p, p]),
        lambda p: nn.ParameterDict({"a": p, "b": p}),
    ],
)
def test_containers_are_copied_and_pickled(make):
    model = make(nn.Parameter([1.0, 2.0]))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is type(model)
        assert len(twin) == len(model)
        assert len(list(twin.parameters())) == len(list(model.parameters()))
        assert not {*map(id, twin.parameters())} & {*map(id, model.parameters())}
        assert {k: v.tolist() for k, v in twin.state_dict().items()} == {
            k: v.tolist() for k, v in model.state_dict().items()
        }
        twin.load_state_dict(model.state_dict())


def test_text():
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.Sequential(Scale(2), nn.ModuleList([Scale(1)]))) == (
        "Sequential(\n  (0): Scale(2)\n  (1): ModuleList(\n    (0): Scale(1)\n  )\n)"
    )
    assert repr(nn.ModuleList([Scale(1), Scale(1), Scale(2), Scale(1)])) == (
        "ModuleList(\n  (0-1): 2 x Scale(1)\n  (2): Scale(2)\n  (3): Scale(1)\n)"
    )
    assert repr(nn.ParameterDict({"a": mg.zeros((2, 3))})) == (
        "ParameterDict(\n    (a): Parameter containing: [float32 of size 2x3]\n)"
    )


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (
            lambda: nn.Sequential(Scale(1), Scale),
            ArgumentError,
            "Sequential: item '1' must be a module, not the class Scale; write Scale(...)",
        ),
        (
            lambda: nn.ModuleList([Scale(1), [Scale(2)]]),
            ArgumentError,
            "ModuleList: item '1' must be a module, not a list",
        ),
        (
            lambda: nn.ModuleList(Scale(1)),
            ArgumentError,
            "ModuleList: the items must be in a list, for instance, not in a Scale",
        ),
        (
            lambda: nn.ModuleList({"a": Scale(1)}),
            ArgumentError,
            "ModuleList: the items must be in a list, for instance, not in a dict",
        ),
        (
            lambda: nn.ParameterList(nn.Parameter([1.0, 2.0])),
            ArgumentError,
            "ParameterList: the items must be in a list, for instance, not in a Parameter",
        ),
        (
            lambda: nn.ParameterList([1.0]),
            ArgumentError,
            "ParameterList: item '0' must be a tensor, not a float",
        ),
        (
            lambda: nn.ParameterDict({"a": Scale(1)}),
            ArgumentError,
            "ParameterDict: item 'a' must be a tensor, not a Scale",
        ),
        (
            lambda: nn.ModuleDict({"a.b": Scale(1)}),
            ArgumentError,
            "ModuleDict: a name must be a string, not empty and without a dot, but is 'a.b'",
        ),
        (
            lambda: nn.ModuleDict({1: Scale(1)}),
            ArgumentError,
            "ModuleDict: a name must be a string, not empty and without a dot, but is 1",
        ),
        (
            lambda: nn.Sequential(OrderedDict({"": Scale(1)})),
            ArgumentError,
            "Sequential: a name must be a string, not empty and without a dot, but is ''",
        ),
        (
            lambda: nn.Sequential(Scale(1))[1],
            IndexingError,
            "Sequential: index 1 is out of range; there are 1 items",
        ),
        (
            lambda: nn.ModuleList().insert(1, Scale(1)),
            IndexingError,
            "ModuleList.insert: index 1 is out of range; there are 0 items",
        ),
        (
            lambda: nn.ModuleDict({"layer": Scale(1)})["lager"],
            KeyError,
            "ModuleDict has no item 'lager'; did you mean 'layer'?",
        ),
        (
            lambda: nn.ModuleList([Scale(1)])(mg.ones(1)),
            NotImplementedError,
            "ModuleList has no method forward; define it",
        ),
    ],
)
def test_mistakes(act, error, text):
    with pytest.raises(error) as caught:
        act()
    assert caught.value.args[0] == text


def test_a_refused_item_changes_nothing():
    model = nn.ModuleList([Scale(1)])
    for act in (
        lambda: model.extend([Scale(2), 3]),
        lambda: model.insert(0, 3),
        lambda: model.__setitem__(0, 3),
        lambda: model.__setitem__(4, Scale(1)),
    ):
        with pytest.raises((ArgumentError, IndexingError)):
            act()
        assert factors(model) == [1]


def test_a_container_that_holds_itself():
    model = nn.ModuleList([Scale(1)])
    model.append(model)
    assert repr(model) == "ModuleList(\n  (0): Scale(1)\n  (1): ...\n)"
    with pytest.raises(ArgumentError, match="ModuleList: the ModuleList at '1' contains itself"):
        list(model.parameters())
