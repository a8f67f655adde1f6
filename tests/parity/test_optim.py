"""Optimisers, schedules and clipping equal PyTorch's, also when one goes on where the other stopped."""

import copy
import inspect
import itertools
import math
import operator
import warnings

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

SHAPES = [(3, 4), (5,), (), (2, 1, 3), (4,)]
CLOSE = {"rtol": 1e-9, "atol": 1e-13}


def options(**choices):
    """Return every combination of these options, as dicts."""
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


CASES = [
    *(
        ("SGD", case)
        for case in options(
            lr=[0.05],
            momentum=[0.0, 0.9],
            dampening=[0.0, 0.3],
            weight_decay=[0.0, 0.1],
            nesterov=[False, True],
            maximize=[False, True],
        )
        if not case["nesterov"] or (case["momentum"] and not case["dampening"])
    ),
    *(
        (name, case)
        for name in ("Adam", "AdamW")
        for case in options(
            lr=[0.02],
            betas=[(0.9, 0.999), (0.5, 0.7), (0.0, 0.9)],
            eps=[1e-8, 1e-2],
            weight_decay=[0.0, 0.1],
            amsgrad=[False, True],
            maximize=[False, True],
        )
    ),
    *(
        ("RMSprop", case)
        for case in options(
            lr=[0.01],
            alpha=[0.99, 0.5],
            eps=[1e-8, 1e-2],
            weight_decay=[0.0, 0.1],
            momentum=[0.0, 0.8],
            centered=[False, True],
            maximize=[False, True],
        )
    ),
    *(
        ("Adagrad", case)
        for case in options(
            lr=[0.1],
            lr_decay=[0.0, 0.05],
            weight_decay=[0.0, 0.1],
            initial_accumulator_value=[0.0, 0.5],
            eps=[1e-10, 1e-2],
            maximize=[False, True],
        )
    ),
]

TYPICAL = [
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    ("Adam", {"lr": 0.02, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "amsgrad": True}),
    ("AdamW", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.8, "centered": True}),
    ("RMSprop", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.5}),
]


def names(cases):
    return [
        "-".join([name, *(f"{k}={v}" for k, v in case.items() if k != "lr")])
        for name, case in cases
    ]


class Pair:
    """The same parameters with the same optimiser in both libraries.

    The groups differ: the first has the options as they are, the second its own.
    """

    def __init__(self, name, case, second=None):
        rng = np.random.default_rng(0)
        starts = [rng.normal(size=shape) for shape in SHAPES]
        self.ours = [nn.Parameter(start) for start in starts]
        self.theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
        self.rng = rng
        self.optimizers = [
            getattr(library, name)(
                [{"params": ps[:3]}, {"params": ps[3:], **(second or {"lr": 0.003})}], **case
            )
            for library, ps in ((nn.optim, self.ours), (torch.optim, self.theirs))
        ]
        self.name, self.case = name, case

    def step(self, missing=None):
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            gradient = self.rng.normal(size=p.shape)
            p.grad = q.grad = None
            if i != missing:
                p.grad, q.grad = mg.tensor(gradient), torch.tensor(gradient)
        for optimizer in self.optimizers:
            optimizer.step()

    def compare(self):
        for p, q in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), **CLOSE)


def to_numpy(tree):
    """Return a state dict of PyTorch's with NumPy arrays."""
    if isinstance(tree, dict):
        return {name: to_numpy(value) for name, value in tree.items()}
    return tree.numpy() if isinstance(tree, torch.Tensor) else tree


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad"])
def test_gradients_of_very_different_sizes(name, dtype):
    case = {"Adam": {"betas": (0.0, 0.0)}, "RMSprop": {"alpha": 0.9, "eps": 1e-12}}.get(name, {})
    ours = nn.Parameter([1.0], dtype=dtype)
    theirs = torch.tensor([1.0], dtype=getattr(torch, dtype), requires_grad=True)
    optimizers = (
        getattr(nn.optim, name)([ours], lr=0.1, **case),
        getattr(torch.optim, name)([theirs], lr=0.1, **case),
    )
    huge = 3e19 if dtype == "float32" and name == "RMSprop" else 1e15  # its square is too large
    for size in (1.0, huge, 1e-4, 1.0):
        ours.grad, theirs.grad = mg.tensor([size], dtype=dtype), torch.tensor([size]).to(theirs)
        for optimizer in optimizers:
            optimizer.step()
        np.testing.assert_allclose(ours.tolist(), theirs.tolist(), rtol=1e-6)


@pytest.mark.parametrize(("name", "case"), CASES, ids=names(CASES))
def test_a_hundred_steps(name, case):
    pair = Pair(name, case)
    for i in range(100):
        pair.step(missing=i % 5 if i % 3 else None)  # gradients that are missing are skipped
        if i in (0, 1, 9, 99):
            pair.compare()


@pytest.mark.parametrize(("name", "case"), TYPICAL, ids=names(TYPICAL))
def test_options_of_a_group(name, case):
    for option, value in {"lr": 0.001, "weight_decay": 0.3, "eps": 0.5, "momentum": 0.4}.items():
        if option in getattr(nn.optim, name).options:
            pair = Pair(name, case, second={option: value})
            for _ in range(100):
                pair.step()
            pair.compare()


@pytest.mark.parametrize(("name", "case"), TYPICAL, ids=names(TYPICAL))
def test_a_learning_rate_that_is_changed_by_hand(name, case):
    pair = Pair(name, case)
    for i in range(100):
        for optimizer in pair.optimizers:
            optimizer.param_groups[i % 2]["lr"] = 0.1 / (1 + i)
        pair.step()
    pair.compare()


@pytest.mark.parametrize("convert", [to_numpy, lambda state: state], ids=["arrays", "tensors"])
@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize(("name", "case"), TYPICAL, ids=names(TYPICAL))
def test_we_go_on_from_pytorchs_state(name, case, before, convert):
    pair = Pair(name, case)
    for i in range(before):
        pair.step(missing=4 if i < 2 else None)  # one has no state yet, or less of it
    fresh = getattr(nn.optim, name)([{"params": pair.ours[:3]}, {"params": pair.ours[3:]}], lr=99.0)
    fresh.load_state_dict(convert(pair.optimizers[1].state_dict()))
    pair.optimizers[0] = fresh
    for _ in range(20):
        pair.step()
    pair.compare()


@pytest.mark.parametrize(
    "arrays", [torch.from_dlpack, torch.as_tensor, lambda t: torch.from_numpy(t.numpy())]
)
@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize(("name", "case"), TYPICAL, ids=names(TYPICAL))
def test_pytorch_goes_on_from_our_state(name, case, before, arrays):
    pair = Pair(name, case)
    for i in range(before):
        pair.step(missing=4 if i < 2 else None)
    fresh = getattr(torch.optim, name)(
        [{"params": pair.theirs[:3]}, {"params": pair.theirs[3:]}], lr=99.0
    )
    fresh.load_state_dict(pair.optimizers[0].state_dict(arrays=arrays))
    pair.optimizers[1] = fresh
    for _ in range(20):
        pair.step()
    pair.compare()


@pytest.mark.parametrize(("name", "case"), TYPICAL, ids=names(TYPICAL))
def test_the_state_has_pytorchs_names(name, case):
    pair = Pair(name, case)
    pair.step()
    ours, theirs = (optimizer.state_dict() for optimizer in pair.optimizers)
    missing = {"foreach", "fused", "capturable", "differentiable"}
    for group, expected in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        known = {k: v for k, v in expected.items() if k not in missing}
        assert group == known
    assert list(ours["state"]) == list(theirs["state"])
    for number, entry in theirs["state"].items():
        assert ours["state"][number].keys() == {k for k, v in entry.items() if v is not None}
        for key, value in entry.items():
            if value is not None:
                np.testing.assert_allclose(ours["state"][number][key], value.numpy(), **CLOSE)


# schedules

FACTOR_CASES = [
    *(("StepLR", case) for case in options(step_size=[1, 7, 200], gamma=[0.1, 0.9, 1.1, 1.0])),
    *(
        ("MultiStepLR", case)
        for case in options(
            milestones=[[5], [3, 30, 31], [10, 10, 20], [0, 4], []], gamma=[0.1, 0.5]
        )
    ),
    *(("ExponentialLR", case) for case in options(gamma=[0.9, 1.0, 1.05, 0.5])),
    *(("ConstantLR", case) for case in options(factor=[0.5, 1.0, 0.1], total_iters=[1, 5, 150])),
    *(
        ("LinearLR", case)
        for case in options(
            start_factor=[0.1, 1.0, 1 / 3], end_factor=[1.0, 0.0, 0.5], total_iters=[1, 5, 60]
        )
    ),
    *(
        ("CosineAnnealingLR", case)
        for case in options(T_max=[1, 7, 50, 99, 200], eta_min=[0.0, 0.001, 0.2])
    ),
]

OTHER_CASES = [
    *(
        ("CosineAnnealingWarmRestarts", case)
        for case in options(T_0=[1, 7, 30], T_mult=[1, 2, 3], eta_min=[0.0, 0.001])
    ),
    *(
        ("OneCycleLR", case)
        for case in options(
            max_lr=[0.5, [0.2, 0.7]],
            total_steps=[100, 137],
            pct_start=[0.3, 0.05, 0.0],
            anneal_strategy=["cos", "linear"],
            three_phase=[False, True],
            base_momentum=[0.8, [0.7, 0.75]],
        )
        if case["pct_start"] or not case["three_phase"]
    ),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 10, "steps_per_epoch": 11, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 101, "div_factor": 3.0, "final_div_factor": 2.0}),
]

SCHEDULES = [*FACTOR_CASES, *OTHER_CASES]
EPOCHS = 100


def make(name, case, optimizer, library):
    scheduler = library.lr_scheduler
    if name == "LambdaLR":
        functions = [lambda epoch: 0.95**epoch, lambda epoch: 1 / (1 + epoch)]
        return scheduler.LambdaLR(optimizer, functions if case["each"] else functions[0])
    if name != "SequentialLR":
        return getattr(scheduler, name)(optimizer, **case)
    parts = [getattr(scheduler, part)(optimizer, **given) for part, given in case["parts"]]
    return scheduler.SequentialLR(optimizer, parts, milestones=case["milestones"])


WARM_UP = ("LinearLR", {"start_factor": 0.01, "total_iters": 20})
SEQUENCES = [
    {"parts": [WARM_UP, ("CosineAnnealingLR", {"T_max": 80})], "milestones": [20]},
    {"parts": [WARM_UP, ("ExponentialLR", {"gamma": 0.9})], "milestones": [10]},
    {
        "parts": [
            ("ConstantLR", {"factor": 0.1, "total_iters": 20}),
            ("StepLR", {"step_size": 10}),
            ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}),
        ],
        "milestones": [15, 60],
    },
    {"parts": [WARM_UP, ("MultiStepLR", {"milestones": [3, 9]})], "milestones": [0]},
    {"parts": [("ExponentialLR", {"gamma": 0.9})], "milestones": []},
    {
        "parts": [("LinearLR", {"total_iters": 4}), ("LinearLR", {"start_factor": 0.5})],
        "milestones": [30],
    },
]
SCHEDULES += [("LambdaLR", {"each": each}) for each in (False, True)]
SCHEDULES += [("SequentialLR", case) for case in SEQUENCES]


def schedule_names():
    return [f"{name}-{case}" for name, case in SCHEDULES]


def two_groups(library, kind="SGD"):
    parameters = nn if library is nn.optim else torch.nn
    zeros = mg.zeros if library is nn.optim else torch.zeros
    ps = [parameters.Parameter(zeros(2)) for _ in range(2)]
    return getattr(library, kind)([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.03}], lr=0.1)


def rates(optimizer, schedule):
    """Return what the schedule rules over, in each group, and check that it tells the truth."""
    # where rounding leaves PyTorch a little below zero, we begin from zero
    shown = [group["lr"] for group in optimizer.param_groups]
    assert schedule.get_last_lr() == pytest.approx(shown, rel=0, abs=1e-17)
    momentum = [group.get("betas", (group.get("momentum"),))[0] for group in optimizer.param_groups]
    return [*schedule.get_last_lr(), *momentum]


def run(library, kind, name, case, change=None):
    optimizer = two_groups(library, kind)
    schedule = make(name, case, optimizer, library)
    found = [rates(optimizer, schedule)]
    for epoch in range(1, EPOCHS):
        optimizer.step()
        if change is not None:
            change(epoch, optimizer)
        schedule.step()
        found.append(rates(optimizer, schedule))
    return np.array(found, dtype=float)


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize(("name", "case"), SCHEDULES, ids=schedule_names())
def test_learning_rates(name, case, kind):
    ours, theirs = (run(library, kind, name, case) for library in (nn.optim, torch.optim))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)


def double_at_33(epoch, optimizer):
    if epoch == 33:
        for group in optimizer.param_groups:
            group["lr"] *= 2


@pytest.mark.parametrize(("name", "case"), SCHEDULES, ids=schedule_names())
def test_a_learning_rate_that_is_changed_between_two_steps(name, case):
    ours, theirs = (
        run(library, "SGD", name, case, double_at_33) for library in (nn.optim, torch.optim)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("epoch", [6, 7, 8, 20, 21])
def test_a_wave_goes_on_from_a_learning_rate_that_is_set_at_its_lowest_point(epoch):
    def set_by_hand(now, optimizer):
        if now == epoch:
            optimizer.param_groups[0]["lr"] = 0.5

    case = {"T_max": 7, "eta_min": 0.01}
    ours, theirs = (
        run(library, "SGD", "CosineAnnealingLR", case, set_by_hand)
        for library in (nn.optim, torch.optim)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-15)


def resumed(name, case, stop):
    """Stop after ``stop`` epochs and go on with new objects, from the state dicts."""
    found = []
    state = None
    for first, last in ((0, stop), (stop, EPOCHS)):
        optimizer = two_groups(nn.optim)
        schedule = make(name, case, optimizer, nn.optim)
        if state is not None:
            schedule.load_state_dict(state[0])
            optimizer.load_state_dict(state[1])
        else:
            found.append(rates(optimizer, schedule))
        for _ in range(max(first, 1), last):
            optimizer.step()
            schedule.step()
            found.append(rates(optimizer, schedule))
        state = copy.deepcopy((schedule.state_dict(), optimizer.state_dict()))
    return np.array(found, dtype=float)


@pytest.mark.parametrize(("name", "case"), SCHEDULES, ids=schedule_names())
def test_stopped_and_resumed(name, case):
    expected = run(torch.optim, "SGD", name, case)
    for stop in (1, 15, 20, 21, 50):
        np.testing.assert_allclose(resumed(name, case, stop), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("name", "case"), SCHEDULES, ids=schedule_names())
@pytest.mark.parametrize("theirs_first", [True, False])
def test_schedules_go_on_from_each_others_state(name, case, theirs_first):
    expected = run(torch.optim, "SGD", name, case)[50:]
    libraries = [torch.optim, nn.optim] if theirs_first else [nn.optim, torch.optim]
    optimizers = [two_groups(library) for library in libraries]
    schedules = [
        make(name, case, optimizer, library)
        for optimizer, library in zip(optimizers, libraries, strict=True)
    ]
    for _ in range(50):
        optimizers[0].step()
        schedules[0].step()
    schedules[1].load_state_dict(schedules[0].state_dict())
    arrays = {} if theirs_first else {"arrays": torch.from_dlpack}
    optimizers[1].load_state_dict(optimizers[0].state_dict(**arrays))
    found = [rates(optimizers[1], schedules[1])]
    for _ in range(50, EPOCHS - 1):
        optimizers[1].step()
        schedules[1].step()
        found.append(rates(optimizers[1], schedules[1]))
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=1e-9, atol=1e-15)


PLATEAU = options(
    mode=["min", "max"],
    factor=[0.1, 0.5],
    patience=[0, 3],
    threshold=[0.0, 1e-4, 0.2],
    threshold_mode=["rel", "abs"],
    cooldown=[0, 4],
    min_lr=[0.0, [0.002, 0.02]],
)


@pytest.mark.parametrize("case", PLATEAU, ids=str)
def test_plateau(case):
    rng = np.random.default_rng(0)
    below_zero = case["threshold_mode"] == "abs" or case["threshold"] == 0
    lowest = -1 if below_zero else 1  # its relative margin points upwards for scores below 0
    noise = rng.normal(size=60) if below_zero else np.exp(rng.normal(size=60))
    scores = np.concatenate([np.linspace(2, lowest, 40), noise, [math.nan] * 9])
    runs = []
    for library in (nn.optim, torch.optim):
        optimizer = two_groups(library)
        schedule = library.lr_scheduler.ReduceLROnPlateau(optimizer, **case)
        found = []
        for i, score in enumerate(scores):
            if i == 50:
                state, again = schedule.state_dict(), two_groups(library)
                again.load_state_dict(optimizer.state_dict())
                optimizer = again
                schedule = library.lr_scheduler.ReduceLROnPlateau(optimizer)
                schedule.load_state_dict(state)
            optimizer.step()
            schedule.step(score)
            found.append(rates(optimizer, schedule)[:2])
        runs.append(found)
    np.testing.assert_allclose(*runs, rtol=1e-12)


def test_fractions_of_an_epoch():
    runs = []
    for library in (nn.optim, torch.optim):
        optimizer = two_groups(library)
        schedule = library.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=2)
        optimizer.step()
        found = []
        for epoch in np.arange(0, 40, 0.25):
            schedule.step(float(epoch))
            found.append(schedule.get_last_lr())
        runs.append(found)
    np.testing.assert_allclose(*runs, rtol=1e-9)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("ConstantLR", {"factor": 0.1, "total_iters": 7}), ("ExponentialLR", {"gamma": 0.9})),
        (("LinearLR", {"total_iters": 9}), ("StepLR", {"step_size": 5, "gamma": 0.5})),
        (("MultiStepLR", {"milestones": [4, 8]}), ("ExponentialLR", {"gamma": 0.99})),
    ],
)
def test_two_schedules_of_one_optimiser(first, second):
    runs = []
    for library in (nn.optim, torch.optim):
        optimizer = two_groups(library)
        schedules = [make(*part, optimizer, library) for part in (first, second)]
        found = []
        for _ in range(50):
            optimizer.step()
            for schedule in schedules:
                schedule.step()
            found.append(schedules[1].get_last_lr())
        runs.append(found)
    np.testing.assert_allclose(*runs, rtol=1e-9)


# clipping


@pytest.mark.parametrize("norm_type", [1, 2.0, 3.5, 0.5, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.0, 0.3, 5.0, 1e6, math.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_clipping_by_norm(norm_type, max_norm, dtype):
    pair = Pair("SGD", {"lr": 0.1})
    ours = [nn.Parameter(p.detach().astype(dtype)) for p in pair.ours]
    theirs = [torch.nn.Parameter(p.detach().to(getattr(torch, dtype))) for p in pair.theirs]
    for p, q in zip(ours, theirs, strict=True):
        gradient = 7 * pair.rng.normal(size=p.shape).astype(dtype)
        p.grad, q.grad = mg.tensor(gradient), torch.tensor(gradient)
    ours[2].grad = theirs[2].grad = None
    norm = nn.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    close = {"rtol": 1e-12 if dtype == "float64" else 3e-6}
    np.testing.assert_allclose(norm.numpy(), expected.numpy(), **close)
    assert norm.shape == ()
    assert norm.dtype == dtype
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            assert p.grad.dtype == dtype
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **close)


@pytest.mark.parametrize("limit", [0.0, 0.5, 100.0, math.inf])
def test_clipping_by_value(limit):
    gradient = np.array([-3.0, -0.2, 0.0, 0.4, 7.0, math.inf, -math.inf, math.nan])
    p, q = nn.Parameter(np.ones(8)), torch.nn.Parameter(torch.ones(8, dtype=torch.float64))
    p.grad, q.grad = mg.tensor(gradient), torch.tensor(gradient)
    nn.clip_grad_value_([p], limit)
    torch.nn.utils.clip_grad_value_([q], limit)
    np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_clipping_what_is_not_finite(bad):
    gradient = np.array([1.0, bad, -2.0])
    p, q = nn.Parameter(np.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    p.grad, q.grad = mg.tensor(gradient), torch.tensor(gradient)
    found = nn.clip_grad_norm_(p, 1.0)
    expected = torch.nn.utils.clip_grad_norm_(q, 1.0)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


def test_warnings_are_pytorchs():
    for library in (nn.optim, torch.optim):
        schedule = library.lr_scheduler.ExponentialLR(two_groups(library), 0.9)
        with pytest.warns(UserWarning, match=r"optimizer\.step\(\)"):
            schedule.step()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            schedule.step()


OPTIMIZERS = "SGD RMSprop Adagrad Adam AdamW".split()
SCHEDULES = [
    *"StepLR MultiStepLR ExponentialLR ConstantLR LinearLR CosineAnnealingLR LambdaLR".split(),
    *"CosineAnnealingWarmRestarts OneCycleLR ReduceLROnPlateau".split(),
]


@pytest.mark.parametrize("path", [*OPTIMIZERS, *(f"lr_scheduler.{name}" for name in SCHEDULES)])
def test_signatures_and_defaults(path):
    ours, theirs = (
        inspect.signature(operator.attrgetter(path)(module)).parameters
        for module in (nn.optim, torch.optim)
    )
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(theirs)[: len(positional)]
    assert [p.default for p in ours.values()] == [theirs[name].default for name in ours]
