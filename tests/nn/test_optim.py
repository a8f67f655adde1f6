"""Optimisers against their formulas; in place, noticed, saved, resumed; and what they refuse."""

import copy
import inspect
import itertools
import os
import pathlib
import pickle
import re
import subprocess
import sys
import textwrap
import tracemalloc
from typing import Literal

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, GradientError
from minigrad.nn.options import NOT_NEGATIVE, option

OPTIMIZERS = ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"]

# every one of them keeps all the state that it can have
FULL = {
    "SGD": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "centered": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2},
    "Adam": {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "maximize": True},
    "AdamW": {"lr": 0.01, "amsgrad": True},
}


def make(name, params, **options):
    return getattr(nn.optim, name)(params, **{**FULL[name], **options})


# the equations, as the papers have them


def sgd(p, gradients, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    velocity = None
    for g in gradients:
        g = (-g if maximize else g) + weight_decay * p
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        p = p - lr * (g + momentum * velocity if nesterov else velocity if momentum else g)
    return p


def rmsprop(p, gradients, lr, alpha, eps, weight_decay, momentum, centered):
    square = mean = velocity = np.zeros_like(p)
    for g in gradients:
        g = g + weight_decay * p
        square = alpha * square + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        scaled = g / (np.sqrt(square - mean**2 if centered else square) + eps)
        velocity = momentum * velocity + scaled
        p = p - lr * velocity
    return p


def adagrad(p, gradients, lr, lr_decay, weight_decay, initial_accumulator_value, eps):
    total = np.full_like(p, initial_accumulator_value)
    for t, g in enumerate(gradients):
        g = g + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


def adam(p, gradients, lr, betas, eps, weight_decay=0.0, amsgrad=False, decoupled=False):
    mean = square = largest = np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        largest = np.maximum(largest, square) if amsgrad else square
        corrected = mean / (1 - betas[0] ** t), largest / (1 - betas[1] ** t)
        p = p - lr * corrected[0] / (np.sqrt(corrected[1]) + eps)
    return p


def adamw(p, gradients, **options):
    return adam(p, gradients, decoupled=True, **options)


FORMULAS = {"SGD": sgd, "RMSprop": rmsprop, "Adagrad": adagrad, "Adam": adam, "AdamW": adamw}


def grid(name, **choices):
    return [
        (name, dict(zip(choices, v, strict=True))) for v in itertools.product(*choices.values())
    ]


CASES = [
    *grid("SGD", lr=[0.1], momentum=[0.0], weight_decay=[0.0, 0.1], maximize=[False, True]),
    *grid("SGD", lr=[0.1], momentum=[0.5, 0.9], dampening=[0.0, 0.5], weight_decay=[0.0, 0.1]),
    *grid("SGD", lr=[0.1], momentum=[0.5, 0.9], weight_decay=[0.0, 0.1], nesterov=[True]),
    *grid(
        "RMSprop",
        lr=[0.01],
        alpha=[0.9, 0.0],
        eps=[1e-3],
        weight_decay=[0.0, 0.1],
        momentum=[0.0, 0.9],
        centered=[False],
    ),
    *grid(
        "RMSprop",
        lr=[0.01],
        alpha=[0.9],
        eps=[1e-3],
        weight_decay=[0.1],
        momentum=[0.0, 0.9],
        centered=[True],
    ),
    *grid(
        "Adagrad",
        lr=[0.1],
        lr_decay=[0.0, 0.1],
        weight_decay=[0.0, 0.1],
        initial_accumulator_value=[0.0, 0.3],
        eps=[1e-3],
    ),
    *grid(
        "Adam",
        lr=[0.01],
        betas=[(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)],
        eps=[1e-3],
        weight_decay=[0.0, 0.1],
        amsgrad=[False, True],
    ),
    *grid(
        "AdamW", lr=[0.01], betas=[(0.9, 0.99)], eps=[1e-3], weight_decay=[0.0, 0.1], amsgrad=[True]
    ),
]


def descend(optimizer, parameters, gradients):
    for row in gradients:
        optimizer.zero_grad()
        for p, g in zip(parameters, row, strict=True):
            (p * mg.tensor(g.astype(p.dtype))).sum().backward()
        optimizer.step()


@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-10), ("float32", 2e-4)])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_formula(name, options, dtype, close):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(100, 3, 4))
    p = nn.Parameter(start.astype(dtype))
    descend(getattr(nn.optim, name)([p], **options), [p], gradients[:, None])
    expected = FORMULAS[name](start, gradients, **options)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=close, atol=close)
    assert p.dtype == dtype


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_of_several_dtypes(name):
    start, gradient = np.array([0.3, 0.7]), np.array([0.1, -0.4])
    ps = [nn.Parameter(start.astype(dtype)) for dtype in ("float32", "float64", "float16")]
    optimizer, alone = make(name, ps), nn.Parameter(start)
    single = make(name, [alone])
    for p in (*ps, alone):
        p.grad = mg.tensor(gradient.astype(p.dtype))
    for _ in range(3):
        optimizer.step()
        single.step()
    for p, close in zip(ps, (1e-6, 0, 1e-2), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), alone.detach().numpy(), rtol=close)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_half_precision_is_computed_in_float32(name, dtype):
    dtype = mg.dtypes.as_dtype(dtype)
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype(dtype)
    # their squares vanish in float16, and so does Adam's eps
    gradients = (1e-5 * rng.normal(size=(30, 3, 4))).astype(dtype)
    p, wide = nn.Parameter(start), nn.Parameter(start.astype("float32"))
    optimizers = [make(name, [q]) for q in (p, wide)]
    for g in gradients:
        p.grad, wide.grad = mg.tensor(g), mg.tensor(g.astype("float32"))
        for optimizer in optimizers:
            optimizer.step()
        assert np.array_equal(p.detach().numpy(), wide.detach().numpy().astype(dtype))
        wide.data = p.detach().astype("float32")  # rounded after each step
    assert not np.array_equal(p.detach().numpy(), start)
    states = [optimizer.state_dict()["state"][0] for optimizer in optimizers]
    for key, value in states[1].items():
        assert np.array_equal(states[0][key], value)
        assert getattr(states[0][key], "dtype", "float32") == "float32"


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3)])
def test_any_shape(name, shape):
    p, q = nn.Parameter(np.ones(shape)), nn.Parameter(np.ones((2, 2)))
    optimizer = make(name, [p, q])
    for _ in range(3):
        p.grad, q.grad = mg.full(shape, 2.0, dtype="float64"), mg.full((2, 2), 2.0, dtype="float64")
        optimizer.step()
    assert p.shape == shape
    np.testing.assert_array_equal(p.detach().numpy(), np.full(shape, q.tolist()[0][0]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_finds_a_minimum_and_leaves_the_rest_alone(name):
    p, unused, frozen = nn.Parameter([3.0, -1.0]), nn.Parameter([1.0]), nn.Parameter([1.0])
    options = {"lr": 0.5} if name == "Adagrad" else {"lr": 0.05}
    optimizer = getattr(nn.optim, name)([p, unused, frozen], **options)
    (frozen * 2).sum().backward()
    frozen.requires_grad = False
    for _ in range(400):
        p.grad = None
        ((p - 2) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), [2.0, 2.0], atol=0.05)
    assert unused.tolist() == [1.0]
    assert frozen.tolist() == [1.0]
    assert set(optimizer.state_dict()["state"]) <= ({0} if name != "Adagrad" else {0, 1, 2})


def test_a_parameter_that_was_frozen_when_the_optimiser_was_made_can_thaw():
    p = nn.Parameter([1.0], requires_grad=False)
    optimizer = nn.optim.SGD([p], lr=0.5)
    optimizer.step()
    assert p.tolist() == [1.0]
    p.requires_grad = True
    p.sum().backward()
    optimizer.step()
    assert p.tolist() == [0.5]


def test_a_centered_mean_square_that_rounding_makes_negative_is_no_nan():
    p = nn.Parameter(np.linspace(0.1, 3, 200))
    optimizer = nn.optim.RMSprop([p], alpha=0.5, centered=True)
    gradient = mg.tensor(np.linspace(0.1, 3, 200))
    for _ in range(100):
        p.grad = gradient
        optimizer.step()
        mean, square = (optimizer.state[p][name].numpy() for name in ("grad_avg", "square_avg"))
    assert (square - mean**2).min() < 0  # the case that is meant
    assert np.isfinite(p.detach().numpy()).all()


# in place, and noticed


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_in_place_and_makes_no_arrays(name, dtype):
    ps = [nn.Parameter(np.ones((500, 500), dtype=dtype)), nn.Parameter(np.ones(700, dtype=dtype))]
    optimizer = make(name, ps)
    for p in ps:
        p.grad = mg.ones(p.shape, dtype=dtype)
    arrays = [p._array for p in ps]
    optimizer.step()  # makes its running means
    kept = {key: value._array for key, value in optimizer.state[ps[0]].items() if key != "step"}
    tracemalloc.start()
    try:
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(p._array is array for p, array in zip(ps, arrays, strict=True))
    assert all(optimizer.state[ps[0]][key]._array is array for key, array in kept.items())
    # NumPy converts in pieces of 8192 elements
    assert peak < (20_000 if dtype != "float16" else 150_000)  # the array has half a million bytes


def test_a_pending_backward_pass_notices_a_step():
    p = nn.Parameter([1.0, 2.0])
    optimizer = nn.optim.Adam([p])
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(GradientError, match="written in place after the forward pass"):
        loss.backward()


def test_a_pending_backward_pass_through_the_state_notices_a_step():
    p, q = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    optimizer = nn.optim.Adam([p])
    p.grad = mg.ones(2)
    optimizer.step()
    loss = (q * optimizer.state[p]["exp_avg"]).sum()
    optimizer.step()
    with pytest.raises(GradientError, match="written in place after the forward pass"):
        loss.backward()


def test_a_gradient_that_is_not_finite_is_no_warning():
    p = nn.Parameter([1.0, 2.0])
    for name in OPTIMIZERS:
        p.grad = mg.tensor([np.inf, np.nan])
        make(name, [p]).step()
    assert np.isnan(p.tolist()[1])


def test_one_gradient_for_two_parameters():
    a, b = nn.Parameter([1.0, 1.0]), nn.Parameter([2.0, 2.0])
    optimizer = nn.optim.SGD([a, b], lr=0.5, weight_decay=1.0)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([0.0, 0.0], [0.5, 0.5])


# gradients and closures


def test_zero_grad():
    p, unused = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0])
    optimizer = nn.optim.SGD([p, unused])
    p.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    assert unused.grad is None
    optimizer.zero_grad()
    assert p.grad is None


def test_a_closure_computes_the_loss_and_its_gradients():
    p = nn.Parameter([3.0])
    optimizer = nn.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9.0
    assert p.tolist() == [0.0]
    assert optimizer.step() is None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_follows_a_parameter_to_another_dtype(name):
    rng = np.random.default_rng(0)
    layer = nn.Linear(3, 2)
    start = copy.deepcopy(layer)
    optimizer, expected = (
        make(name, layer.parameters()),
        make(name, start.to("float64").parameters()),
    )
    for i in range(6):
        if i == 3:
            layer.to("float64")
        for p, q in zip(layer.parameters(), start.parameters(), strict=True):
            gradient = rng.normal(size=p.shape)
            p.grad, q.grad = mg.tensor(gradient.astype(p.dtype)), mg.tensor(gradient)
        optimizer.step()
        expected.step()
    for p, q in zip(layer.parameters(), start.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-4, atol=1e-6)
        for value in optimizer.state[p].values():
            assert getattr(value, "dtype", "float64") == "float64"


ON_DEVICES = """
    import numpy as np
    import minigrad as mg
    from minigrad import nn

    def run(name, dtype, devices):
        ps = [nn.Parameter(mg.ones(shape, dtype=dtype)) for shape in ((3,), ())]
        optimizer = getattr(nn.optim, name)(ps, lr=0.1, weight_decay=0.1)
        for device in devices:
            for p in ps:
                nn.ParameterList([p]).to(device)
                p.grad = mg.full(p.shape, 2.0, dtype=dtype, device=device)
            norm = nn.clip_grad_norm_(ps, 1.0)
            nn.clip_grad_value_(ps, 0.45)
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
            kept = [v for entry in optimizer.state.values() for v in entry.values()]
            found = {t.device for t in (norm, *ps, *kept) if isinstance(t, mg.Tensor)}
            assert found == {device}, found
        return [p.detach().cpu().numpy() for p in ps]

    for name in ("SGD", "RMSprop", "Adagrad", "Adam", "AdamW"):
        for dtype in ("float32", "float16"):
            expected = run(name, dtype, ["cpu"] * 4)
            for devices in (["cuda:1"] * 4, ["cpu", "cuda:0", "cuda:1", "cpu"]):
                for a, b in zip(run(name, dtype, devices), expected, strict=True):
                    np.testing.assert_array_equal(a, b)

    try:
        nn.Parameter([1.0]).grad = mg.ones(1, device="cuda:1")
    except mg.errors.BackendError as error:
        print(error)
"""


def test_parameters_on_other_devices_and_their_state_follows_them():
    stand_ins = pathlib.Path(__file__).parents[1] / "engine" / "stand_ins"
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(ON_DEVICES)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(stand_ins)},
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == (
        'the value assigned to .grad is on cuda:1, but the tensor is on cpu; move it with .to("cpu")'
    )


# groups


def test_groups_have_their_own_options():
    a, b, c = (nn.Parameter([1.0]) for _ in range(3))
    groups = [{"params": [a]}, {"params": b, "lr": 0.25}]
    optimizer = nn.optim.SGD(groups, lr=0.5)
    optimizer.add_param_group(
        {"params": (p for p in [c]), "lr": np.float64(0.125), "foreach": None}
    )
    assert groups == [{"params": [a]}, {"params": b, "lr": 0.25}]  # the dicts given are left alone
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25, 0.125]
    assert type(optimizer.param_groups[2]["lr"]) is float
    assert "foreach" not in optimizer.param_groups[2]
    for p in (a, b, c):
        p.grad = mg.ones(1)
    optimizer.step()
    assert [p.tolist() for p in (a, b, c)] == [[0.5], [0.75], [0.875]]


def test_parameters_with_names():
    layer, other = nn.Linear(2, 2), nn.Parameter([1.0])
    optimizer = nn.optim.SGD(layer.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"] == [*layer.parameters()]
    optimizer.add_param_group({"params": [("other", other)]})
    state = optimizer.state_dict()
    assert [group["param_names"] for group in state["param_groups"]] == [
        ["weight", "bias"],
        ["other"],
    ]
    optimizer.load_state_dict(state)
    with pytest.raises(
        ArgumentError, match="either all groups have names for their parameters or none"
    ):
        optimizer.add_param_group({"params": [nn.Parameter([1.0])]})


def test_an_optimiser_shows_what_it_trains():
    optimizer = nn.optim.SGD(nn.Linear(3, 2).parameters(), lr=0.1)
    assert repr(optimizer) == "SGD(8 numbers in 2 tensors, lr=0.1)"
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 0.01})
    assert repr(optimizer) == "SGD(9 numbers in 3 tensors, lr=0.1 and lr=0.01)"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_copy_and_a_pickle_go_on_by_themselves(name):
    p = nn.Parameter([1.0, 2.0])
    optimizer = make(name, [p])
    p.grad = mg.ones(2)
    optimizer.step()
    others = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    optimizer.step()
    for other in others:
        (q,) = other.param_groups[0]["params"]
        assert q.tolist() != p.tolist()
        q.grad = mg.ones(2)
        other.step()
        assert q.tolist() == p.tolist()


# state


def trained(name, steps, dtype="float64"):
    rng = np.random.default_rng(0)
    ps = [nn.Parameter(rng.normal(size=shape).astype(dtype)) for shape in [(3, 2), (4,)]]
    optimizer = make(name, [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.02}])
    gradients = [[rng.normal(size=p.shape).astype(dtype) for p in ps] for _ in range(10)]
    for row in gradients[:steps]:
        go_on(optimizer, ps, row)
    return optimizer, ps, gradients[steps:]


def go_on(optimizer, ps, row):
    for p, g in zip(ps, row, strict=True):
        p.grad = mg.tensor(g)
    optimizer.step()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stopped_run_goes_on_bit_for_bit(name, steps, dtype, tmp_path):
    optimizer, ps, rest = trained(name, steps, dtype)
    mg.save(tmp_path / "state", optimizer.state_dict())
    copies = [nn.Parameter(p.detach()) for p in ps]
    fresh = getattr(nn.optim, name)([{"params": copies[:1]}, {"params": copies[1:]}], lr=9.0)
    fresh.load_state_dict(mg.load(tmp_path / "state"))
    for row in rest:
        go_on(optimizer, ps, row)
        go_on(fresh, copies, row)
    for p, q in zip(ps, copies, strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())
    assert [g["lr"] for g in fresh.param_groups] == [g["lr"] for g in optimizer.param_groups]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_a_copy_both_ways(name):
    optimizer, ps, rest = trained(name, 3)
    taken = optimizer.state_dict()
    again = copy.deepcopy(taken)
    go_on(optimizer, ps, rest[0])
    optimizer.param_groups[0]["lr"] = 7.0
    assert same(taken, again)
    optimizer.load_state_dict(taken)
    go_on(optimizer, ps, rest[0])
    assert same(taken, again)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool((a == b).all()) if isinstance(a, mg.Tensor) else a == b


def test_groups_are_the_same_dicts_after_loading():
    optimizer, *_ = trained("Adam", 2)
    group = optimizer.param_groups[0]
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0] is group


def test_there_is_no_state_where_none_is_needed():
    p = nn.Parameter([1.0])
    p.grad = mg.ones(1)
    optimizer = nn.optim.SGD([p])
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}


def test_flags_that_an_older_pytorch_did_not_have_are_off():
    optimizer, *_ = trained("AdamW", 2)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        del group["decoupled_weight_decay"], group["maximize"]
        group.update(foreach=None, fused=False, differentiable=False)
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
    assert optimizer.param_groups[0]["maximize"] is False
    assert "fused" not in optimizer.param_groups[0]
    climbing = nn.optim.SGD([nn.Parameter([1.0])], maximize=True)
    state = climbing.state_dict()
    del state["param_groups"][0]["maximize"]
    climbing.load_state_dict(state)
    assert climbing.param_groups[0]["maximize"] is False


def test_loading_lists_every_mismatch_and_changes_nothing():
    optimizer, _ps, _ = trained("Adam", 2)
    before = optimizer.state_dict()
    state = optimizer.state_dict()
    groups, entries = state["param_groups"], state["state"]
    groups[0].update(lr="fast", fused=True, momentum=0.9)
    del groups[1]["eps"]
    groups[1]["params"] = [1, 2]
    entries[0] |= {"exp_avg": mg.ones(5), "exp_avgs": mg.ones(1), "step": -1.5}
    del entries[0]["exp_avg_sq"]
    entries[1]["exp_avg"] = ["a"]
    entries[7] = {}
    text = "tensor(): cannot make a tensor of text; give real numbers"
    with pytest.raises(ArgumentError) as caught:
        optimizer.load_state_dict(state)
    assert sorted(str(caught.value).split("\n  ")) == sorted(
        [
            "Adam.load_state_dict:",
            f"group 0: there is no option 'momentum'; the options are {', '.join(optimizer.defaults)}",
            "group 0: fused is on, and minigrad has no such option; set it to False",
            "group 0: lr must be a finite number, 0 or more, not 'fast'",
            "group 1 has 2 parameters, and here 1",
            "group 1: there is no 'eps'",
            "parameter 0 has no 'exp_avg_sq'",
            "parameter 0: 'exp_avg' has shape (5,), and the parameter has (3, 2)",
            "parameter 0: Adam has no 'exp_avgs'; did you mean 'exp_avg'?",
            "parameter 0: 'step' must be a number of steps, not -1.5",
            f"parameter 1: 'exp_avg' is no array of numbers: {text}",
            "there is state for a parameter 7, which is in no group",
        ]
    )
    assert same(optimizer.state_dict(), before)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ([], "a state dict is {'state': {...}, 'param_groups': [{...}]}, but here is []"),
        (
            {"weight": 1},
            "but here is a dict with ['weight']; give what optimizer.state_dict() returned",
        ),
        (
            {"state": {0: 1}, "param_groups": []},
            "but here is a dict with ['state', 'param_groups']",
        ),
        ({"state": {}, "param_groups": [1]}, "but here is a dict with ['state', 'param_groups']"),
        ({"state": {}, "param_groups": []}, "it has 0 groups, and this optimizer has 2"),
    ],
)
def test_what_is_no_state_dict(state, text):
    optimizer, *_ = trained("Adam", 1)
    with pytest.raises(ArgumentError, match=re.escape(text)):
        optimizer.load_state_dict(state)


def test_adams_state_is_not_taken_for_adamws():
    (optimizer, *_), (other, *_) = trained("Adam", 1), trained("AdamW", 1)
    with pytest.raises(
        ArgumentError, match="group 0: decoupled_weight_decay must be True in AdamW; or"
    ):
        other.load_state_dict(optimizer.state_dict())


# mistakes


def one():
    return [nn.Parameter([1.0])]


MISTAKES = [
    (
        lambda: nn.optim.Adam(nn.Linear(2, 2)),
        r"Adam: parameters must be tensors, in a list for instance, not a Linear; pass module\.param",
    ),
    (
        lambda: nn.optim.Adam(nn.Sequential(nn.Linear(2, 2))),
        r"Adam: parameters must be tensors, .* not a Sequential; pass module\.parameters\(\)",
    ),
    (lambda: nn.optim.Adam(one()[0]), r"must be tensors, .* not a Parameter; pass \[tensor\]"),
    (lambda: nn.optim.Adam(nn.Linear(1, 1).state_dict()), "must be tensors, .*, not a "),
    (lambda: nn.optim.Adam(0.1), "must be tensors, in a list for instance, not a float"),
    (
        lambda: nn.optim.Adam(set(one())),
        "Adam: a set has another order in each run, .* pass a list",
    ),
    (
        lambda: nn.optim.Adam([]),
        "Adam: there are no parameters to train; if they come from a gener",
    ),
    (
        lambda: nn.optim.Adam([nn.Linear(1, 1)]),
        r"parameter 0 must be a leaf .*; pass module\.param",
    ),
    (lambda: nn.optim.Adam([mg.ones(2)]), "Adam: parameter 0 must be a leaf tensor that requires"),
    (lambda: nn.optim.Adam([one()[0] * 2]), "parameter 0 must be a leaf tensor"),
    (
        lambda: nn.optim.SGD(one() * 2),
        "SGD: a parameter is there twice, the second time as number 1, and would change twice",
    ),
    (
        lambda: nn.optim.SGD([{"params": p} for p in one() * 2]),
        "SGD: a parameter is there twice, the second time as number 1",
    ),
    (
        lambda: nn.optim.SGD([{"params": one()}, *one()]),
        'SGD, group 1: a group is a dict with tensors under "params", not tensor.* only groups',
    ),
    (
        lambda: nn.optim.SGD([{"parameters": one()}]),
        'SGD: a group is a dict with tensors under "par',
    ),
    (lambda: nn.optim.SGD([{"params": nn.Linear(1, 1)}]), "not a Linear; pass module"),
    (
        lambda: nn.optim.SGD([{"params": one(), "learning_rate": 0.1}]),
        "SGD: there is no option 'learning_rate'; the options are lr, momentum, dampening, weight_dec",
    ),
    (
        lambda: nn.optim.SGD([{"params": one(), "momentun": 0.1}]),
        "SGD: there is no option 'momentun'; did you mean 'momentum'",
    ),
    (
        lambda: nn.optim.SGD([{"params": one(), "fused": True}]),
        "SGD: fused is on, and minigrad has no such option; set it to False",
    ),
    (
        lambda: nn.optim.SGD([{"params": one()}, {"params": one(), "lr": -1}]),
        "SGD, group 1: lr must be a finite number, 0 or more, not -1",
    ),
    (lambda: nn.optim.Adam(one(), lr=-1), "Adam: lr must be a finite number, 0 or more, not -1"),
    (lambda: nn.optim.Adam(one(), lr="0.1"), "Adam: lr must be a finite number, .* not '0.1'"),
    (
        lambda: nn.optim.Adam(one(), lr=float("nan")),
        "lr must be a finite number, 0 or more, not nan",
    ),
    (
        lambda: nn.optim.Adam(one(), lr=float("inf")),
        "lr must be a finite number, 0 or more, not inf",
    ),
    (lambda: nn.optim.Adam(one(), lr=True), "lr must be a finite number, 0 or more, not True"),
    (lambda: nn.optim.Adam(one(), lr=mg.tensor(0.1)), "lr must be a finite number, .* not tensor"),
    (
        lambda: nn.optim.Adam(one(), betas=(0.9, 1.0)),
        r"Adam: betas must be two numbers from 0 to below 1, not \(0\.9, 1\.0\)",
    ),
    (
        lambda: nn.optim.Adam(one(), betas=0.9),
        "betas must be two numbers from 0 to below 1, not 0.9",
    ),
    (lambda: nn.optim.Adam(one(), eps=-1), "eps must be a finite number, 0 or more, not -1"),
    (lambda: nn.optim.Adam(one(), amsgrad=1), "Adam: amsgrad must be True or False, not 1"),
    (lambda: nn.optim.SGD(one(), momentum=-1), "SGD: momentum must be a finite number, 0 or more"),
    (lambda: nn.optim.SGD(one(), dampening="x"), "SGD: dampening must be a finite number, not 'x'"),
    (
        lambda: nn.optim.SGD(one(), nesterov=True),
        "SGD: nesterov looks ahead by the momentum; give a momentum above 0 and no dampening",
    ),
    (
        lambda: nn.optim.SGD(one(), momentum=0.9, dampening=0.1, nesterov=True),
        "SGD: nesterov looks ahead by the momentum",
    ),
    (
        lambda: nn.optim.RMSprop(one(), alpha=1.5),
        "RMSprop: alpha must be a number from 0 to 1, not",
    ),
    (
        lambda: nn.optim.Adagrad(one(), lr_decay=-1),
        "Adagrad: lr_decay must be a finite number, 0 or",
    ),
    (
        lambda: setattr(nn.optim.SGD(one()), "lr", 0.1),
        r"SGD\.lr = \.\.\. would change nothing; write 'for group in optimizer\.param_groups: group",
    ),
]


@pytest.mark.parametrize(("make", "text"), MISTAKES)
def test_wrong_arguments(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_a_generator_that_is_used_up():
    parameters = nn.Linear(2, 2).parameters()
    list(parameters)
    with pytest.raises(
        ArgumentError, match="no parameters to train; if they come from a generator"
    ):
        nn.optim.SGD(parameters)


def test_a_group_that_is_refused_leaves_no_trace():
    optimizer = nn.optim.Adam(one())
    p = nn.Parameter([1.0])
    with pytest.raises(ArgumentError, match="Adam, group 1: lr must be"):
        optimizer.add_param_group({"params": [p], "lr": -1})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [p]})


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("lr", float("nan"), "SGD, group 0: lr must be a finite number, 0 or more, not nan"),
        ("learning_rate", 1.0, "SGD, group 0: there is no option 'learning_rate'"),
        ("nesterov", True, "SGD, group 0: nesterov looks ahead"),
    ],
)
def test_an_option_that_is_changed_later_is_checked_in_the_next_step(option, value, text):
    p = nn.Parameter([1.0])
    optimizer = nn.optim.SGD([p], lr=0.5)
    optimizer.param_groups[0][option] = value
    p.grad = mg.ones(1)
    with pytest.raises(ArgumentError, match=text):
        optimizer.step()
    assert p.tolist() == [1.0]


def test_an_optimizer_must_define_update():
    p = nn.Parameter([1.0])
    p.grad = mg.ones(1)
    with pytest.raises(NotImplementedError, match="Optimizer has no method update; define it"):
        nn.optim.Optimizer([p], {"lr": 0.1}).step()


def test_an_optimiser_of_ones_own():
    class Signs(nn.optim.Optimizer):
        """Steps of one size."""

        def update(self, u):
            u.descend(u.m.sign(u.gradient(0.0)), u.group["lr"])

    p = nn.Parameter([1.0, 2.0])
    optimizer = Signs([p], {"lr": 0.5, "maximize": False})
    p.grad = mg.tensor([3.0, -0.1])
    optimizer.step()
    assert p.tolist() == [0.5, 2.5]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_option_is_declared_once(name):
    kind = getattr(nn.optim, name)
    (group,) = kind([nn.Parameter([1.0])]).state_dict()["param_groups"]
    given = [n for n, option in kind.options.items() if option.init]
    assert list(inspect.signature(kind).parameters) == given
    assert re.findall(r"^(\w+) : ", kind.__doc__, re.MULTILINE) == given
    assert group.keys() == kind.options.keys()
    assert not hasattr(kind([nn.Parameter([1.0])]), "lr")


# optimisers of one's own


class Plain(nn.optim.Optimizer):
    """Annotations that are types, since this module has none as text."""

    lr: float = option("The rate.", NOT_NEGATIVE, default=0.5)
    way: Literal["down", "up"] = option("Where to go.", default="down")
    limit: float | None = option("The largest step.", default=None)

    def update(self, u):
        u.descend(u.gradient(0.0), u.group["lr"])


def test_options_of_ones_own_need_no_annotations_as_text():
    weight = nn.Parameter([1.0])
    optimizer = Plain([weight], lr=0.25)
    (weight * 2).sum().backward()
    optimizer.step()
    assert weight.item() == 0.5
    assert [*inspect.signature(Plain).parameters] == ["params", "lr", "way", "limit", "maximize"]
    assert "way : {'down', 'up'}" in Plain.__doc__
    assert "limit : float, optional" in Plain.__doc__
    with pytest.raises(ArgumentError, match="way"):
        Plain([weight], way="left")


def test_an_option_without_an_annotation_is_refused():
    with pytest.raises(
        ArgumentError, match="Bare: the option 'lr' has no annotation; write lr: fl"
    ):

        class Bare(nn.optim.Optimizer):
            lr = option("The rate.", default=0.1)
