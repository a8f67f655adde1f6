"""Weights in and out: all or none, and every mismatch is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


class Mixed(nn.Module):
    """Tensors of each kind."""

    def __init__(self):
        self.weight = nn.Parameter(mg.zeros((2, 3)))
        self.bias = nn.Parameter(mg.zeros(2))
        self.steps = nn.Buffer(mg.tensor(0))
        self.small = nn.Buffer(np.zeros(2, dtype="int8"))
        self.mask = nn.Buffer(mg.tensor([True, False]))
        self.cache = nn.Buffer(mg.zeros(1), persistent=False)


class Node(nn.Module):
    """A module of a random tree."""


def good(**changes):
    state = {
        "weight": np.arange(6.0).reshape(2, 3),
        "bias": [1, 2],
        "steps": 7,
        "small": [3, -4],
        "mask": [False, True],
    }
    return {**state, **changes}


def contents(module):
    return {name: (t.dtype, t.tolist()) for name, t in module.state_dict().items()}


def test_what_fits_is_loaded_and_converted():
    model = Mixed()
    result = model.load_state_dict(good())
    assert result == ([], [])
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert contents(model) == {
        "weight": (mg.float32, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        "bias": (mg.float32, [1.0, 2.0]),
        "steps": (mg.int64, 7),
        "small": (mg.int8, [3, -4]),
        "mask": (mg.bool_, [False, True]),
    }
    assert model.weight.requires_grad


def test_the_same_objects_are_written():
    model = Mixed()
    weight, steps = model.weight, model.steps
    model.load_state_dict(good())
    assert model.weight is weight
    assert model.steps is steps


def test_foreign_layouts_and_byte_orders_are_read():
    model = Mixed()
    weight = np.arange(12, dtype=">f8").reshape(3, 4)[:, ::2].T
    model.load_state_dict(good(weight=weight))
    np.testing.assert_array_equal(model.weight.detach().numpy(), weight)


def test_numbers_that_are_not_finite_are_loaded():
    model = Mixed()
    model.load_state_dict(good(bias=np.array([np.nan, -np.inf])))
    np.testing.assert_array_equal(model.bias.detach().numpy(), [np.nan, -np.inf])


BAD = {
    "weight": (np.zeros((3, 2)), "shape (3, 2) does not fit (2, 3)"),
    "bias": (np.array([1e300, 0.0]), "some of its float64 numbers are too large for float32"),
    "steps": (1.5, "dtype float32 does not fit int64"),
    "small": (
        np.array([1, 300]),
        "some of its int64 numbers are too large for int8",
    ),
    "mask": ([1, 0], "dtype int64 does not fit bool"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_value_changes_nothing(name):
    model = Mixed()
    value, reason = BAD[name]
    before = contents(model)
    with pytest.raises(ArgumentError) as caught:
        model.load_state_dict(good(**{name: value}))
    assert str(caught.value) == (
        f"load_state_dict into Mixed; nothing was changed:\n  {name}: {reason}"
    )
    assert contents(model) == before


def test_all_mismatches_at_once():
    model = Mixed()
    before = contents(model)
    state = {name: value for name, (value, _) in BAD.items()}
    del state["steps"], state["mask"]
    state.update(stepz=3, cache=[1.0], weight=None, bias={"a": 1})
    with pytest.raises(ArgumentError) as caught:
        model.load_state_dict(state)
    no_array = (
        "cannot be read as an array: tensor(): cannot make a tensor of Python objects; "
        "give real numbers"
    )
    assert str(caught.value).splitlines() == [
        "load_state_dict into Mixed; nothing was changed:",
        "  missing: steps",
        "  missing: mask",
        "  not in this module: stepz; did you mean 'steps'?",
        "  not in this module: cache",
        f"  weight: a NoneType {no_array}",
        f"  bias: a dict {no_array}",
        "  small: some of its int64 numbers are too large for int8",
    ]
    assert contents(model) == before


def test_not_strict_tells_what_was_left_out():
    model = Mixed()
    state = {"bias": [5.0, 6.0], "other": 3}
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["weight", "steps", "small", "mask"]
    assert result.unexpected_keys == ["other"]
    assert model.bias.tolist() == [5.0, 6.0]
    with pytest.raises(ArgumentError, match=r"bias: shape \(3,\) does not fit \(2,\)"):
        model.load_state_dict({"bias": [1.0, 2.0, 3.0]}, strict=False)


def test_a_state_that_is_none():
    with pytest.raises(ArgumentError) as caught:
        Mixed().load_state_dict("model.safetensors")
    assert str(caught.value) == (
        "load_state_dict into Mixed: the state is a str; pass what state_dict() returned"
    )
    with pytest.raises(ArgumentError) as caught:
        Mixed().load_state_dict({"model": good(), 3: 4})
    assert str(caught.value).splitlines()[-2:] == [
        "  not in this module: model; it holds names of this module: pass state['model']",
        "  not in this module: 3",
    ]


def test_shared_tensors_must_not_be_given_two_contents():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[1].weight = model[0].weight
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    model.load_state_dict({**state, "0.weight": [[np.nan]], "1.weight": [[np.nan]]})
    with pytest.raises(ArgumentError) as caught:
        model.load_state_dict({**state, "0.weight": [[1.0]], "1.weight": [[2.0]]})
    assert str(caught.value).splitlines()[1:] == [
        "  1.weight: is one tensor with 0.weight here, but differs from it in the state"
    ]
    assert np.isnan(model[0].weight.item())


def test_a_state_may_be_loaded_into_where_it_came_from():
    model = nn.Linear(2, 2)
    before = contents(model)
    model.load_state_dict(dict(model.named_parameters()))
    assert contents(model) == before


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def members(draw, depth):
    """Draw a plain tree: names to shapes of parameters or buffers, or to trees."""
    kinds = ["parameter", "buffer", *(["module", "list", "dict"] if depth else [])]
    tree = {}
    for name in draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=4)):
        kind = draw(st.sampled_from(kinds))
        if kind in ("parameter", "buffer"):
            tree[name] = (kind, draw(shapes))
        elif kind == "module":
            tree[name] = (kind, draw(members(depth - 1)))
        else:
            tree[name] = (kind, draw(st.lists(members(depth - 1), max_size=3)))
    return tree


def built(tree):
    node = Node()
    for name, (kind, inside) in tree.items():
        match kind:
            case "parameter":
                value = nn.Parameter(mg.randn(*inside))
            case "buffer":
                value = nn.Buffer(mg.randn(*inside))
            case "module":
                value = built(inside)
            case "list":
                value = nn.ModuleList(map(built, inside))
            case _:
                value = {f"k{i}": built(item) for i, item in enumerate(inside)}
        setattr(node, name, value)
    return node


def expected_names(tree):
    """The names in PyTorch's order, written down anew: parameters, buffers, then modules."""
    names = []
    for wanted in ("parameter", "buffer"):
        names += [name for name, (kind, _) in tree.items() if kind == wanted]
    for name, (kind, inside) in tree.items():
        if kind == "module":
            names += [f"{name}.{inner}" for inner in expected_names(inside)]
        elif kind in ("list", "dict"):
            mark = "k" if kind == "dict" else ""
            for i, item in enumerate(inside):
                names += [f"{name}.{mark}{i}.{inner}" for inner in expected_names(item)]
    return names


@given(members(3))
def test_a_random_tree_goes_out_and_comes_back(tree):
    one, two = built(tree), built(tree)
    assert list(one.state_dict()) == expected_names(tree)
    two.load_state_dict(one.state_dict())
    assert contents(two) == contents(one)
    three = built(tree)
    three.load_state_dict({name: t.numpy() for name, t in one.state_dict().items()})
    assert contents(three) == contents(one)


@given(members(2), st.data())
def test_a_random_tree_with_one_mistake_is_left_alone(tree, data):
    one, two = built(tree), built(tree)
    before, state = contents(two), one.state_dict()
    names = list(state)
    if names:
        name = data.draw(st.sampled_from(names))
        if data.draw(st.booleans()):
            del state[name]
        else:
            state[name] = mg.zeros((*state[name].shape, 2))
    else:
        name = "unknown"
        state[name] = mg.zeros(1)
    with pytest.raises(ArgumentError, match=rf"\b{name}\b"):
        two.load_state_dict(state)
    assert contents(two) == before


# as arrays


def test_a_state_as_arrays():
    layer = nn.Linear(2, 3)
    layer.count = nn.Buffer(mg.tensor(3))
    state = layer.state_dict(arrays=True, prefix="in.")
    assert {name: (type(a), a.shape, str(a.dtype)) for name, a in state.items()} == {
        "in.weight": (np.ndarray, (3, 2), "float32"),
        "in.bias": (np.ndarray, (3,), "float32"),
        "in.count": (np.ndarray, (), "int64"),
    }
    state["in.weight"][...] = 7.0  # a copy
    assert (layer.weight != 7.0).all()
    optimizer = nn.optim.SGD(layer.parameters(), momentum=0.9)
    layer(mg.ones((1, 2))).sum().backward()
    optimizer.step()
    kept = optimizer.state_dict(arrays=True)["state"]
    assert {type(entry["momentum_buffer"]) for entry in kept.values()} == {np.ndarray}
    kept[0]["momentum_buffer"][...] = 7.0
    assert (optimizer.state_dict()["state"][0]["momentum_buffer"] == 1.0).all()
    again = nn.Linear(2, 3)
    again.load_state_dict(layer.state_dict(arrays=np.asarray), strict=False)
    assert again.weight.tolist() == layer.weight.tolist()


def test_what_makes_the_arrays_gets_a_copy():
    layer = nn.Linear(2, 3)
    (given,) = {type(t) for t in layer.state_dict(arrays=lambda t: t).values()}
    assert given is mg.Tensor
    layer.state_dict(arrays=lambda t: t)["bias"][...] = 7.0
    assert (layer.bias != 7.0).all()


@pytest.mark.parametrize("arrays", [None, 1, "numpy"])
def test_arrays_that_are_neither_a_flag_nor_a_function(arrays):
    layer = nn.Linear(2, 3)
    for owner in (layer, nn.optim.SGD(layer.parameters())):
        with pytest.raises(
            ArgumentError, match=r"state_dict: arrays must be True \(NumPy arrays\)"
        ):
            owner.state_dict(arrays=arrays)
    with pytest.raises(ArgumentError, match="state_dict: prefix must be a str, not None"):
        layer.state_dict(prefix=None)
