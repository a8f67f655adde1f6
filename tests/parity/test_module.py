"""Modules equal PyTorch's: names, orders, text, weights in both directions, hooks."""

import inspect
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

LEAVES = ["parameter", "buffer", "cache", "none", "linear", "again"]
INNER = ["node", "list", "dict", "sequential", "part", "parameter list", "parameter dict"]


def described(depth):
    """Return a strategy for trees of modules as plain data: (name, kind, trees inside)."""
    kinds = st.sampled_from(LEAVES + (INNER if depth else []))
    inside = st.lists(described(depth - 1), max_size=2) if depth else st.just([])
    return st.lists(
        st.tuples(st.sampled_from("abcdefgh"), kinds, inside),
        max_size=5,
        unique_by=lambda member: member[0],
    )


def value_of(kind, inside, before, layers, tensors):
    """Build what is described with the layers and tensors of one library."""
    trees = [built(tree, layers, tensors) for tree in inside]
    named = [(key, tree) for key, tree in zip("zxy", trees, strict=False)]
    match kind:
        case "parameter":
            return layers.Parameter(tensors.ones((2, 3)))
        case "buffer":
            return layers.Buffer(tensors.zeros((3,)))
        case "cache":
            return layers.Buffer(tensors.zeros((2,)), persistent=False)
        case "linear":
            return layers.Linear(2, 3, bias=len(before) % 2 == 0)
        case "again":
            return before[-1] if before else None
        case "node":
            return built(inside[0] if inside else [], layers, tensors)
        case "list":
            return layers.ModuleList(trees)
        case "dict":
            return layers.ModuleDict(dict(named))
        case "sequential":
            return layers.Sequential(OrderedDict(named)).append(layers.Linear(3, 1))
        case "part":
            return layers.Sequential(*trees)[1:]
        case "parameter list":
            return layers.ParameterList([tensors.ones((2,)), tensors.ones((1,))])
        case "parameter dict":
            return layers.ParameterDict({"z": tensors.ones((2,)), "y": tensors.ones((1,))})
    return None


def built(tree, layers, tensors):
    class Node(layers.Module):
        pass

    node, before = Node(), []
    for name, kind, inside in tree:
        value = value_of(kind, inside, before, layers, tensors)
        before.append(value)
        setattr(node, name, value)
    return node


def names(pairs):
    return [name for name, _ in pairs]


def walks(module):
    """Return all names that the module's walks yield."""
    return {
        "state": list(module.state_dict()),
        "modules": names(module.named_modules()),
        "all modules": names(module.named_modules(prefix="net", remove_duplicate=False)),
        "children": names(module.named_children()),
        "parameters": names(module.named_parameters()),
        "all parameters": names(module.named_parameters("p", remove_duplicate=False)),
        "own parameters": names(module.named_parameters(recurse=False)),
        "buffers": names(module.named_buffers()),
        "all buffers": names(module.named_buffers("p", remove_duplicate=False)),
        "own buffers": names(module.named_buffers(recurse=False)),
        "counts": [
            len(list(walk())) for walk in (module.modules, module.parameters, module.buffers)
        ],
    }


def plain(module):
    """Return the shapes and contents of a state, by name."""
    return {name: (tuple(t.shape), t.tolist()) for name, t in module.state_dict().items()}


@given(described(2))
def test_names_and_text_of_a_random_tree(tree):
    ours, theirs = built(tree, nn, mg), built(tree, torch.nn, torch)
    assert walks(ours) == walks(theirs)
    text = repr(theirs).replace("torch.FloatTensor of", "float32 of")
    assert repr(ours) == text.replace("torch.float32 of", "float32 of")


@given(described(2))
def test_states_of_a_random_tree_load_in_both_directions(tree):
    ours, theirs = built(tree, nn, mg), built(tree, torch.nn, torch)
    keys = ours.load_state_dict(theirs.state_dict())
    assert tuple(keys) == ([], [])
    assert plain(ours) == plain(theirs)
    again = built(tree, nn, mg)
    for arrays in (torch.from_dlpack, torch.as_tensor):
        theirs.load_state_dict(again.state_dict(arrays=arrays))
        assert plain(theirs) == plain(again)
    more = again.state_dict(arrays=True)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in more.items()})
    assert plain(theirs) == plain(again)
    assert list(again.state_dict(prefix="a.b")) == list(theirs.state_dict(prefix="a.b"))


@given(described(2))
def test_functions_are_applied_in_the_same_order(tree):
    def order(module):
        seen = []
        module.apply(lambda m: seen.append(m) if m not in seen else None)  # PyTorch repeats some
        return [names(m.named_parameters(recurse=False)) for m in seen]

    assert order(built(tree, nn, mg)) == order(built(tree, torch.nn, torch))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda state: state.pop("1.weight"), False),
        (lambda state: state.update(other=torch.zeros(2)), False),
        (lambda state: (state.pop("0.bias"), state.update({"2.bias": torch.zeros(2)})), False),
        (lambda state: state.update({"0.bias": torch.zeros(9)}), True),
    ],
)
def test_states_that_do_not_fit(change, error):
    layers = [(2, 3), (3, 4)]
    ours = nn.Sequential(*(nn.Linear(*sizes) for sizes in layers))
    theirs = torch.nn.Sequential(*(torch.nn.Linear(*sizes) for sizes in layers))
    state = OrderedDict(theirs.state_dict())
    change(state)
    with pytest.raises(mg.errors.ArgumentError):
        ours.load_state_dict(state)
    with pytest.raises(RuntimeError):
        theirs.load_state_dict(state)
    if error:
        with pytest.raises(mg.errors.ArgumentError):
            ours.load_state_dict(state, strict=False)
    else:
        found, expected = (m.load_state_dict(state, strict=False) for m in (ours, theirs))
        assert tuple(found) == tuple(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32])
def test_pytorch_tensors_of_any_kind_are_read(dtype):
    layer = nn.Linear(2, 3)
    weight = torch.arange(6).to(dtype).reshape(2, 3).T  # not contiguous
    bias = torch.nn.Parameter(torch.tensor([1.5, 2.0, 3.0]))  # with a gradient
    layer.load_state_dict({"weight": weight, "bias": bias})
    np.testing.assert_array_equal(layer.weight.detach().numpy(), weight.numpy())
    assert layer.bias.tolist() == [1.5, 2.0, 3.0]


def test_a_pytorch_tensor_that_numpy_cannot_read():
    layer = nn.Linear(1, 1)
    with pytest.raises(mg.errors.ArgumentError) as caught:
        layer.load_state_dict({"weight": torch.zeros(1, 1).to_sparse(), "bias": torch.zeros(1)})
    assert "\n  weight: a Tensor cannot be read as an array: " in str(caught.value)


def test_lists_behave_the_same():
    def story(layers):
        def linear(n):
            return layers.Linear(1, n)

        def widths(model):
            return [layer.out_features for layer in model], [n for n, _ in model.named_children()]

        told = []
        for kind in (layers.ModuleList, lambda items: layers.Sequential(*items)):
            model = kind([linear(n) for n in range(1, 6)])
            told.append(widths(model[1:4]))
            told.append(widths(model[::2]))
            model.append(linear(6)).extend([linear(7)])
            model.insert(2, linear(8))
            told.append(widths(model))
            del model[0]
            del model[1:3]
            told.append(widths(model))
            told.append(model.pop(1).out_features)
            model[0] = linear(9)
            told.append((widths(model), len(model), model[-1].out_features))
            model += kind([linear(10)])
            told.append(widths(model + model))
        named = layers.Sequential(OrderedDict((k, linear(1)) for k in "abc"))
        told.append(widths(named[1:]))
        del named[1]
        told.append(widths(named))
        by_name = layers.ModuleDict({"b": linear(1), "a": linear(2)})
        by_name.update({"c": linear(3)})
        by_name.pop("b")
        told.append((list(by_name), list(by_name.keys()), len(by_name), "a" in by_name))
        return told

    assert story(nn) == story(torch.nn)


def test_hooks_run_in_the_same_order():
    def story(layers, tensors):
        class Add(layers.Module):
            def forward(self, x, more=1.0):
                return x + more

        model, told = Add(), []
        model.register_forward_pre_hook(lambda m, args: told.append(("before", len(args))))
        model.register_forward_pre_hook(
            lambda m, args, kwargs: told.append(("kwargs", list(kwargs))), with_kwargs=True
        )
        model.register_forward_pre_hook(lambda m, args: (args[0] * 0,) if args else None)
        model.register_forward_hook(lambda m, args, output: output * 0 + 5)
        model.register_forward_hook(
            lambda m, args, kwargs, output: told.append((output.tolist(), list(kwargs))),
            with_kwargs=True,
        )
        model(tensors.ones((1, 2)))
        model(x=tensors.ones((1, 2)), more=2.0)
        return told

    assert story(nn, mg) == story(torch.nn, torch)


@pytest.mark.parametrize(
    "name",
    [
        "parameters", "named_parameters", "named_modules", "modules", "children", "named_children",
        "buffers", "named_buffers", "get_submodule", "get_parameter", "get_buffer", "train", "eval",
        "requires_grad_", "zero_grad", "apply", "cuda", "float", "double", "half", "register_buffer",
        "register_parameter", "add_module", "register_forward_hook", "register_forward_pre_hook",
        "load_state_dict",
    ],
)  # fmt: skip
def test_signatures(name):
    """What we offer has PyTorch's name, default and order."""
    ours, theirs = (
        inspect.signature(getattr(m, name)).parameters for m in (nn.Module, torch.nn.Module)
    )
    kept = [p for p in theirs.values() if p.name in ours]
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in kept
    ]
    left_out = set(theirs) - set(ours)
    assert left_out <= {"memo", "assign", "prepend", "always_call"}


def test_freezing_and_modes():
    def story(layers):
        model = layers.Sequential(layers.Linear(1, 1), layers.ModuleList([layers.Linear(1, 1)]))
        model[0].requires_grad_(False)
        model[1].eval()
        told = [
            [p.requires_grad for p in model.parameters()],
            [m.training for m in model.modules()],
        ]
        model.train(False)
        model[1][0].train()
        return [*told, [m.training for m in model.modules()]]

    assert story(nn) == story(torch.nn)


def test_backward_hooks_see_what_pytorchs_see():
    theirs = torch.nn.Linear(3, 2).double()
    ours = nn.Linear(3, 2, dtype="float64")
    ours.load_state_dict(theirs.state_dict())
    seen = {}
    for name, layer in (("ours", ours), ("theirs", theirs)):
        layer.register_full_backward_hook(
            lambda module, inputs, outputs, name=name: seen.update({name: (*inputs, *outputs)})
        )
        layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 3,))
    data = np.random.default_rng(0).normal(size=(4, 3))
    x, their_x = mg.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    (ours(x) ** 2).sum().backward()
    (theirs(their_x) ** 2).sum().backward()
    pairs = [*zip(seen["ours"], seen["theirs"], strict=True), (x.grad, their_x.grad)]
    assert len(pairs) == 3
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_call_with_other_tensors():
    sizes = [("Linear", 3, 4), ("BatchNorm1d", 4), ("Linear", 4, 2)]
    ours, theirs = (
        library.Sequential(*(getattr(library, name)(*args) for name, *args in sizes))
        for library in (nn, torch.nn)
    )
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    values = {key: rng.uniform(0.5, 1.5, tuple(t.shape)).astype("float32")
              for key, t in theirs.state_dict().items() if t.is_floating_point()}  # fmt: skip
    x = rng.normal(size=(5, 3)).astype("float32")
    leaves = {key: mg.tensor(v, requires_grad="running" not in key) for key, v in values.items()}
    peers = {key: torch.tensor(v, requires_grad="running" not in key) for key, v in values.items()}
    for _ in range(2):
        found = nn.functional_call(ours, leaves, mg.tensor(x))
        expected = torch.func.functional_call(theirs, peers, torch.tensor(x))
        np.testing.assert_allclose(
            found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6
        )
        (found**2).sum().backward()
        (expected**2).sum().backward()
    for key, leaf in leaves.items():
        np.testing.assert_allclose(leaf.detach().numpy(), peers[key].detach().numpy(), rtol=1e-6)
        if leaf.requires_grad:
            np.testing.assert_allclose(
                leaf.grad.numpy(), peers[key].grad.numpy(), rtol=1e-4, atol=1e-5
            )
    for key, value in theirs.state_dict().items():
        assert ours.state_dict()[key].tolist() == value.tolist()
