"""Functions that run before and after a module's forward."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, GradientError


class Add(nn.Module):
    def forward(self, x, more=1.0):
        return x + more


def test_hooks_see_and_replace_arguments_and_results():
    layer, seen = Add(), []

    def before(module, args):
        seen.append((module, args))

    def after(module, args, output):
        seen.append((module, args, output))

    layer.register_forward_pre_hook(before)
    layer.register_forward_hook(after)
    assert layer(1.0) == 2.0
    assert seen == [(layer, (1.0,)), (layer, (1.0,), 2.0)]
    layer.register_forward_pre_hook(lambda module, args: args[0] * 10)  # a single value
    assert layer(1.0) == 11.0
    layer.register_forward_pre_hook(lambda module, args: (*args, 5.0))
    assert layer(1.0) == 15.0
    layer.register_forward_hook(lambda module, args, output: (args, output))
    assert layer(1.0) == ((10.0, 5.0), 15.0)
    layer.register_forward_hook(lambda module, args, output: output[1] * 2)  # of the replaced one
    assert layer(1.0) == 30.0


def test_hooks_with_keyword_arguments():
    layer, seen = Add(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append(args))
    layer.register_forward_pre_hook(
        lambda m, args, kwargs: ((), {"x": args[0], "more": kwargs["more"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(
        lambda m, args, kwargs, output: (args, kwargs, output), with_kwargs=True
    )
    assert layer(1.0, more=2.0) == ((), {"x": 1.0, "more": 3.0}, 4.0)
    assert seen == [(1.0,)]


def test_hooks_are_removed_one_by_one():
    layer = Add()
    ten = layer.register_forward_hook(lambda m, args, output: output * 10)
    one = layer.register_forward_hook(lambda m, args, output: output + 1)
    assert layer(1.0) == 21.0
    ten.remove()
    assert layer(1.0) == 3.0
    ten.remove()  # twice does no harm
    one.remove()
    assert layer(1.0) == 2.0


def test_a_hook_may_remove_itself():
    layer, calls = Add(), []

    def once(module, args):
        calls.append(args)
        handle.remove()

    handle = layer.register_forward_pre_hook(once)
    layer(1.0)
    layer(2.0)
    assert calls == [(1.0,)]


def test_gradients_flow_through_replaced_results():
    layer = nn.Linear(1, 1, bias=False)
    layer.register_forward_hook(lambda m, args, output: output * 3.0)
    layer(mg.tensor([[2.0]])).sum().backward()
    assert layer.weight.grad.tolist() == [[6.0]]


def test_a_module_as_a_hook_does_not_belong_to_the_module():
    layer = Add()
    layer.register_forward_hook(nn.Linear(1, 1).forward)
    layer.register_forward_pre_hook(nn.Linear(1, 1))
    assert list(layer.modules()) == [layer]
    assert not list(layer.parameters())


def test_a_copy_has_hooks_of_its_own():
    layer = Add()
    handle = layer.register_forward_hook(lambda m, args, output: output * 10)
    twin = copy.deepcopy(layer)
    handle.remove()
    assert (layer(1.0), twin(1.0)) == (2.0, 20.0)


def test_hooks_of_inner_modules_run():
    model, seen = nn.Sequential(nn.Linear(1, 1), nn.ModuleList([Add()])[0]), []
    model[1].register_forward_hook(lambda m, args, output: seen.append(output.shape))
    model(mg.ones((2, 1)))
    assert seen == [(2, 1)]


def test_mistakes():
    layer = Add()
    text = "a hook must be a function, not None; pass it without calling it"
    for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
        with pytest.raises(ArgumentError, match=text):
            register(None)
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(ArgumentError) as caught:
        layer(1.0)
    assert str(caught.value) == (
        "a forward pre-hook of Add with kwargs must return None or a pair (args, kwargs) of a tuple "
        "and a dict, not (1.0,)"
    )


# backward


class Product(nn.Module):
    def forward(self, x, y, scale=1.0):
        return x * y * scale, x + y


def test_a_backward_hook_sees_the_gradients_of_inputs_and_outputs():
    layer, seen = Product(), []
    handle = layer.register_full_backward_hook(lambda *given: seen.append(given))
    x, y = mg.tensor([2.0, 3.0], requires_grad=True), mg.tensor([5.0, 7.0])
    product, total = layer(x, y, 10.0)
    (product + 2 * total).sum().backward()
    ((module, (gx, gy, gscale), (gproduct, gtotal)),) = seen
    assert module is layer
    assert (gy, gscale) == (None, None)
    assert (gx.tolist(), gproduct.tolist(), gtotal.tolist()) == ([52.0, 72.0], [1.0] * 2, [2.0] * 2)
    assert x.grad.tolist() == [52.0, 72.0]
    handle.remove()
    layer(x, y)[0].sum().backward()
    assert len(seen) == 1


def test_a_backward_hook_replaces_the_gradients_of_inputs():
    layer = nn.Linear(2, 1, bias=False)
    layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 100,))
    layer.register_full_backward_hook(lambda module, inputs, outputs: inputs[0] + 1)
    x = mg.tensor([[3.0, 4.0]], requires_grad=True)
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), layer.weight.detach().numpy() * 100 + 1, rtol=1e-6)
    assert layer.weight.grad.tolist() == [[3.0, 4.0]]


def test_a_backward_hook_changes_nothing_by_looking():
    x = mg.tensor([[0.5, -1.0]], requires_grad=True)
    layer, results = nn.LSTM(2, 3), []
    for _ in range(2):
        value = (layer(x)[0] ** 2).sum()
        (g,) = mg.grad(value, x, create_graph=True)
        results.append((g.tolist(), mg.grad((g * g).sum(), x)[0].tolist()))
        layer.register_full_backward_hook(lambda *given: None)
    assert results[0] == results[1]


def test_a_backward_hook_that_writes_into_what_it_sees_changes_nothing():
    layer, x = nn.Linear(2, 3), mg.tensor([[0.5, -1.0]], requires_grad=True)
    layer(x).sum().backward()
    expected, x.grad = x.grad.tolist(), None
    layer.register_full_backward_hook(lambda m, inputs, outputs: [outputs[0].copy_(9.0), None][1])
    layer(x).sum().backward()
    assert x.grad.tolist() == expected


def test_a_backward_hook_without_gradients():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, *given: seen.append(given))
    with mg.no_grad():
        layer(mg.ones((1, 2), requires_grad=True))
    assert seen == []
    layer(mg.ones((1, 2))).sum().backward()
    assert [(inputs, outputs[0].tolist()) for inputs, outputs in seen] == [((None,), [[1.0]])]


def test_a_backward_hook_must_return_gradients_like_those_it_was_given():
    layer = nn.Linear(2, 1)
    handle = layer.register_full_backward_hook(lambda module, inputs, outputs: outputs)
    x = mg.ones((3, 2), requires_grad=True)
    with pytest.raises(GradientError, match=r"Linear returned .* \(3, 1\), .* \(3, 2\)"):
        layer(x).sum().backward()
    handle.remove()
    for wrong, error, words in [
        (
            lambda g: g.astype("float64"),
            DtypeError,
            "has dtype float64, but the gradient .* float32",
        ),
        (lambda g: 3.0, TypeError, "argument 1 must be None or a tensor, but is a float"),
        (lambda g: (g, g), ArgumentError, "a gradient for each of 1 arguments, but returned 2"),
    ]:
        handle = layer.register_full_backward_hook(lambda m, inputs, outputs, f=wrong: f(inputs[0]))
        with pytest.raises(error, match=words):
            layer(x).sum().backward()
        handle.remove()
    layer.register_full_backward_hook(lambda m, inputs, outputs: outputs)
    with pytest.raises(ArgumentError, match="argument 1, which has none; return None there"):
        layer(mg.ones((3, 2))).sum().backward()
    with pytest.raises(ArgumentError, match="a hook must be a function, not 3"):
        layer.register_full_backward_hook(3)
