"""Schedules against their closed forms; resumed, composed, and what they refuse."""

import inspect
import math
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn.optim import lr_scheduler as schedules

BASE = np.array([0.1, 0.03])
STEPS = 100


def two_groups(kind="SGD", **options):
    groups = [{"params": [nn.Parameter([0.0])], "lr": lr} for lr in BASE.tolist()]
    optimizer = getattr(nn.optim, kind)(groups, **options)
    optimizer.step()
    return optimizer


def wave(t, length):
    return (1 + math.cos(math.pi * t / length)) / 2


def restarts(t, length, mult):
    while t >= length:
        t, length = t - length, length * mult
    return wave(t, length)


def cosine_down_to(low, factor):
    return lambda t: (low + (BASE - low) * factor(t)) / BASE


CASES = {
    "StepLR": (
        lambda o: schedules.StepLR(o, step_size=7, gamma=0.5),
        lambda t: 0.5 ** (t // 7),
    ),
    "MultiStepLR": (
        lambda o: schedules.MultiStepLR(o, milestones=(m for m in [30, 5, 30]), gamma=0.2),
        lambda t: 0.2 ** ((t >= 5) + 2 * (t >= 30)),
    ),
    "ExponentialLR": (lambda o: schedules.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "ConstantLR": (
        lambda o: schedules.ConstantLR(o, factor=0.25, total_iters=9),
        lambda t: 0.25 if t < 9 else 1,
    ),
    "ConstantLR from zero": (
        lambda o: schedules.ConstantLR(o, factor=0.0, total_iters=9),
        lambda t: 0 if t < 9 else 1,
    ),
    "LinearLR": (
        lambda o: schedules.LinearLR(o, start_factor=0.1, end_factor=0.7, total_iters=20),
        lambda t: 0.1 + 0.6 * min(t, 20) / 20,
    ),
    "LinearLR to zero": (
        lambda o: schedules.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=50),
        lambda t: 1 - min(t, 50) / 50,
    ),
    "LambdaLR": (
        lambda o: schedules.LambdaLR(o, lambda t: 1 / (1 + t)),
        lambda t: 1 / (1 + t),
    ),
    "LambdaLR for each": (
        lambda o: schedules.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.5]),
        lambda t: np.array([1 / (1 + t), 0.5]),
    ),
    "CosineAnnealingLR": (lambda o: schedules.CosineAnnealingLR(o, 99), lambda t: wave(t, 99)),
    "CosineAnnealingLR up and down": (
        lambda o: schedules.CosineAnnealingLR(o, T_max=8, eta_min=0.002),
        cosine_down_to(0.002, lambda t: wave(t, 8)),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=2, eta_min=0.002),
        cosine_down_to(0.002, lambda t: restarts(t, 5, 2)),
    ),
    "warm-up, then cosine": (
        lambda o: schedules.SequentialLR(
            o,
            [
                schedules.LinearLR(o, start_factor=0.01, total_iters=20),
                schedules.CosineAnnealingLR(o, T_max=80),
            ],
            milestones=[20],
        ),
        lambda t: 0.01 + 0.99 * t / 20 if t < 20 else wave(t - 20, 80),
    ),
    "a sequence in a sequence": (
        lambda o: schedules.SequentialLR(
            o,
            [
                schedules.ConstantLR(o, 0.5, total_iters=10),
                schedules.SequentialLR(
                    o, [schedules.ExponentialLR(o, 0.9), schedules.StepLR(o, 10)], milestones=[15]
                ),
            ],
            milestones=[30],
        ),
        lambda t: (
            (0.5 if t < 10 else 1)
            if t < 30
            else 0.9 ** (t - 30)
            if t < 45
            else 0.1 ** ((t - 45) // 10)
        ),
    ),
}


def run(optimizer, schedule, steps):
    """Return the learning rates of each group in each step."""
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        assert schedule.get_last_lr() == found[-1]
        optimizer.step()
        schedule.step()
    return np.array(found)


@pytest.mark.parametrize("name", CASES)
def test_the_closed_form(name):
    make, factor = CASES[name]
    optimizer = two_groups()
    schedule = make(optimizer)
    expected = np.array([BASE * factor(t) for t in range(STEPS)])
    np.testing.assert_allclose(run(optimizer, schedule, STEPS), expected, rtol=1e-12, atol=1e-16)
    assert schedule.last_epoch == STEPS


@pytest.mark.parametrize("stop", [0, 1, 4, 20, 33, 45])
@pytest.mark.parametrize("name", CASES)
def test_a_stopped_run_goes_on_bit_for_bit(name, stop, tmp_path):
    make, _ = CASES[name]
    optimizer, fresh = two_groups(), two_groups()
    schedule = make(optimizer)
    run(optimizer, schedule, stop)
    mg.save(tmp_path / "state", [schedule.state_dict(), optimizer.state_dict()])
    again = make(fresh)
    state = mg.load(tmp_path / "state")
    again.load_state_dict(state[0])
    fresh.load_state_dict(state[1])
    assert again.last_epoch == schedule.last_epoch == stop
    rest = STEPS - stop
    np.testing.assert_array_equal(run(fresh, again, rest), run(optimizer, schedule, rest))


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR"])
def test_going_on_by_last_epoch_keeps_the_learning_rate(name):
    make, factor = CASES[name]
    optimizer = two_groups()
    run(optimizer, make(optimizer), 14)
    kind = getattr(schedules, name)
    options = {
        "StepLR": {"step_size": 7, "gamma": 0.5},
        "ExponentialLR": {"gamma": 0.9},
        "LinearLR": {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 20},
        "CosineAnnealingLR": {"T_max": 99},
    }[name]
    schedule = kind(optimizer, **options, last_epoch=13)
    expected = np.array([BASE * factor(t) for t in range(14, 50)])
    np.testing.assert_allclose(run(optimizer, schedule, 36), expected, rtol=1e-12)


def test_a_change_by_hand_goes_on_to_count():
    optimizer = two_groups()
    schedule = schedules.ExponentialLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert schedule.get_last_lr() == [4.0, 0.015]


def test_a_change_by_hand_after_the_end_stays():
    optimizer = two_groups()
    schedule = schedules.LinearLR(optimizer, 1.0, end_factor=0.0, total_iters=2)
    run(optimizer, schedule, 3)
    optimizer.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert schedule.get_last_lr() == [8.0, 0.0]


def test_a_learning_rate_of_zero_that_a_wave_returns_to_does_not_fall_below():
    optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=0.0)
    schedule = schedules.CosineAnnealingLR(optimizer, T_max=6, eta_min=0.001)
    for t in range(100):
        optimizer.step()
        schedule.step()
        assert schedule.get_last_lr()[0] >= 0, t


def test_two_schedules_multiply():
    optimizer = two_groups()
    first = schedules.ConstantLR(optimizer, factor=0.5, total_iters=3)
    second = schedules.ExponentialLR(optimizer, 0.9)
    for t in range(1, 6):
        first.step()
        second.step()
        expected = BASE * 0.9**t * (0.5 if t < 3 else 1)
        np.testing.assert_allclose(second.get_last_lr(), expected, rtol=1e-14)


def test_any_place_in_a_run_of_restarts():
    optimizer = two_groups()
    schedule = schedules.CosineAnnealingWarmRestarts(optimizer, T_0=5, T_mult=3)
    for epoch in (0.25, 4.75, 5.5, 19.5, 20, 64.5, 65):
        schedule.step(epoch)
        np.testing.assert_allclose(schedule.get_last_lr(), BASE * restarts(epoch, 5, 3), rtol=1e-12)
        assert schedule.last_epoch == int(epoch)


# one cycle


@pytest.mark.parametrize(("kind", "option"), [("SGD", "momentum"), ("Adam", "betas")])
def test_one_cycle(kind, option):
    optimizer = two_groups(kind)
    schedule = schedules.OneCycleLR(optimizer, max_lr=[1.0, 0.5], total_steps=11, pct_start=0.4)
    rates, momenta = [], []
    for t in range(11):
        optimizer.step()
        rates.append(schedule.get_last_lr())
        momenta.append([np.ravel(group[option])[0] for group in optimizer.param_groups])
        if t < 10:
            schedule.step()
    top = np.array([1.0, 0.5])
    np.testing.assert_allclose(rates[0], top / 25)
    np.testing.assert_allclose(rates[10], top / 25 / 1e4)
    peak = 0.4 * 11 - 1  # lies between two steps
    rising = top / 25 + (top - top / 25) * (1 - wave(2, peak))
    np.testing.assert_allclose(rates[2], rising)
    falling = top / 25e4 + (top - top / 25e4) * wave(7 - peak, 10 - peak)
    np.testing.assert_allclose(rates[7], falling)
    np.testing.assert_allclose([momenta[0], momenta[10]], 0.95)
    np.testing.assert_allclose(momenta[7], 0.95 - 0.1 * wave(7 - peak, 10 - peak))
    if kind == "Adam":
        assert optimizer.param_groups[0]["betas"][1] == 0.999


def test_the_end_of_a_cycle():
    optimizer = two_groups()
    schedule = schedules.OneCycleLR(optimizer, 1.0, total_steps=5, anneal_strategy="linear")
    for _ in range(5):  # once for each optimizer.step(), as people do; the last one is of no use
        schedule.step()
        assert min(schedule.get_last_lr()) >= 1 / 25e4 * (1 - 1e-9)
    with pytest.raises(
        ArgumentError, match=r"OneCycleLR: step 6 lies after the end of the cycle, .* 5"
    ):
        schedule.step()


@pytest.mark.parametrize("start", [0, 0.2, 1])
@pytest.mark.parametrize("total", [1, 2, 5])
@pytest.mark.parametrize("three", [False, True])
def test_a_short_cycle(total, start, three):
    optimizer = two_groups()
    schedule = schedules.OneCycleLR(
        optimizer, 1.0, total_steps=total, pct_start=start, three_phase=three
    )
    for _ in range(total - 1):
        schedule.step()
        assert all(1 / 25e4 * (1 - 1e-9) <= rate <= 1 for rate in schedule.get_last_lr())


# plateau


def plateau(scores, **options):
    """Return the learning rate of the first group after each score."""
    optimizer = two_groups()
    schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    found = []
    for score in scores:
        schedule.step(score)
        found.append(schedule.get_last_lr()[0])
    return [round(rate, 12) for rate in found]


def test_plateau():
    assert plateau([3, 2, 2, 2, 2, 1], patience=1) == [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]
    assert plateau([1, 2, 2, 2, 3], patience=1, mode="max") == [0.1, 0.1, 0.1, 0.05, 0.05]
    assert plateau([4, 3, 2, 1], patience=0, threshold=0.5) == [0.1, 0.05, 0.025, 0.025]
    assert plateau([4, 3.5, 3, 2], patience=0, threshold=1, threshold_mode="abs") == [
        0.1,
        0.05,
        0.025,
        0.025,
    ]
    assert plateau([1, 1, 1, 1, 1], patience=0, cooldown=2) == [0.1, 0.05, 0.05, 0.05, 0.025]
    assert plateau([1, 1, 1, 1], patience=0, min_lr=0.04) == [0.1, 0.05, 0.04, 0.04]
    assert plateau([1, 1, 1], patience=0, eps=0.03) == [0.1, 0.05, 0.05]
    assert plateau([1, math.nan, mg.tensor(2.0)], patience=0) == [0.1, 0.05, 0.025]


@pytest.mark.parametrize(
    ("options", "best", "score", "better"),
    [
        # the bound is best - threshold * |best|, or best + threshold * |best|
        ({"mode": "min"}, -10.0, -9.0, False),
        ({"mode": "min"}, -10.0, -12.0, False),
        ({"mode": "min"}, -10.0, -12.6, True),
        ({"mode": "max"}, -10.0, -11.0, False),
        ({"mode": "max"}, -10.0, -8.0, False),
        ({"mode": "max"}, -10.0, -7.4, True),
        ({"mode": "min"}, 10.0, 7.6, False),
        ({"mode": "min"}, 10.0, 7.4, True),
        ({"mode": "max"}, 10.0, 12.4, False),
        ({"mode": "max"}, 10.0, 12.6, True),
        ({"mode": "min"}, 0.0, 0.0, False),
        ({"mode": "max"}, -0.0, 0.0, False),
        ({"mode": "min"}, 0.0, -1e-300, True),
        ({"mode": "max"}, 0.0, 1e-300, True),
        ({"mode": "min", "threshold": 2.0}, math.inf, 5.0, True),
        ({"mode": "max", "threshold": 2.0}, -math.inf, -5.0, True),
        ({"mode": "min"}, math.inf, math.inf, False),
        ({"mode": "min"}, -math.inf, -math.inf, False),
        ({"mode": "min", "threshold": 2.0}, 4.0, -3.9, False),
        ({"mode": "min", "threshold": 2.0}, 4.0, -4.1, True),
        ({"mode": "min", "threshold": 0.0}, math.inf, 5.0, True),
        ({"mode": "min", "threshold": 0.0}, -4.0, -4.0, False),
        ({"mode": "min", "threshold": 0.0}, -4.0, -4.1, True),
        ({"mode": "min", "threshold_mode": "abs"}, -10.0, -10.2, False),
        ({"mode": "min", "threshold_mode": "abs"}, -10.0, -10.3, True),
        ({"mode": "max", "threshold_mode": "abs"}, -10.0, -9.8, False),
        ({"mode": "max", "threshold_mode": "abs"}, -10.0, -9.7, True),
        ({"mode": "min"}, -10.0, math.nan, False),
        ({"mode": "max"}, math.inf, math.nan, False),
    ],
)
def test_what_counts_as_better(options, best, score, better):
    schedule = schedules.ReduceLROnPlateau(two_groups(), **{"threshold": 0.25, **options})
    if math.isfinite(best):
        schedule.step(best)
    else:
        schedule.best = best
    schedule.step(score)
    assert (schedule.num_bad_epochs == 0) == better
    assert schedule.best == (score if better else best)


# mistakes


def test_a_schedule_that_steps_first():
    optimizer = nn.optim.SGD([nn.Parameter([1.0])])
    schedule = schedules.ExponentialLR(optimizer, 0.9)
    with pytest.warns(
        UserWarning, match=r"ExponentialLR\.step\(\) was called before optimizer\.step"
    ):
        schedule.step()


def test_a_group_that_comes_later():
    optimizer = two_groups()
    several = [
        schedules.LambdaLR(optimizer, lambda t: 0.9),
        schedules.CosineAnnealingWarmRestarts(optimizer, 5),
        schedules.ReduceLROnPlateau(optimizer),
    ]
    optimizer.add_param_group({"params": [nn.Parameter([1.0])]})
    for schedule in several:
        with pytest.raises(ArgumentError, match=r"has 3 groups, and had 2 .* last add_param_group"):
            schedule.step(*[1.0] * isinstance(schedule, schedules.ReduceLROnPlateau))


def test_a_factor_also_counts_for_a_group_that_comes_later():
    optimizer = two_groups()
    schedule = schedules.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": 8.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.05, 0.015, 4.0]


O = two_groups
S = schedules
MISTAKES = [
    (
        lambda: S.StepLR(nn.Linear(1, 1), 3),
        "StepLR: the first argument must be an optimizer, not Li",
    ),
    (lambda: S.StepLR(O(), 0), "StepLR: step_size must be a positive integer, not 0"),
    (lambda: S.StepLR(O(), 2.5), "StepLR: step_size must be a positive integer, not 2.5"),
    (lambda: S.StepLR(O(), 3, -1), "StepLR: gamma must be a finite number, 0 or more, not -1"),
    (
        lambda: S.StepLR(O(), 3, last_epoch=4),
        "StepLR: to go on from last_epoch=4, group 0 of the optimizer must have 'initial_lr'; load",
    ),
    (
        lambda: S.MultiStepLR(O(), 5),
        "MultiStepLR: milestones must be a list of integers, 0 or more",
    ),
    (lambda: S.MultiStepLR(O(), [1, 2.5]), "milestones must be a list of integers, 0 or more, not"),
    (lambda: S.ExponentialLR(O(), "x"), "ExponentialLR: gamma must be a finite number, 0 or more"),
    (lambda: S.ConstantLR(O(), 2), "ConstantLR: factor must be a number from 0 to 1, not 2"),
    (lambda: S.ConstantLR(O(), 1, 0), "ConstantLR: total_iters must be a positive integer, not 0"),
    (lambda: S.LinearLR(O(), 0), "LinearLR: start_factor must be above 0, not 0"),
    (lambda: S.LinearLR(O(), 1, -1), "LinearLR: end_factor must be a number from 0 to 1, not -1"),
    (
        lambda: S.CosineAnnealingLR(O(), 0),
        "CosineAnnealingLR: T_max must be a positive integer, not",
    ),
    (lambda: S.CosineAnnealingLR(O(), 5, -1), "eta_min must be a finite number, 0 or more, not -1"),
    (lambda: S.CosineAnnealingWarmRestarts(O(), 0), "T_0 must be a positive integer, not 0"),
    (lambda: S.CosineAnnealingWarmRestarts(O(), 1, 1.5), "T_mult must be a positive integer, not"),
    (lambda: S.CosineAnnealingWarmRestarts(O(), 1).step(-1), "epoch must be a finite number, 0 or"),
    (
        lambda: S.LambdaLR(O(), 0.9),
        "LambdaLR: lr_lambda must be a function, or a list of functions",
    ),
    (
        lambda: S.LambdaLR(O(), [abs] * 3),
        "LambdaLR: lr_lambda has 3 members, and the optimizer has 2",
    ),
    (
        lambda: S.LambdaLR(O(), str),
        "LambdaLR: what lr_lambda returns must be a finite number, not '0'",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0),
        "OneCycleLR: the length of the cycle is unknown; give total_steps, or epochs and steps_per_ep",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, 0),
        "OneCycleLR: total_steps must be a positive integer, not 0",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, epochs=1, steps_per_epoch=0.5),
        "steps_per_epoch must be a posit",
    ),
    (
        lambda: S.OneCycleLR(O(), [1.0], 9),
        "OneCycleLR: max_lr has 1 members, and the optimizer has 2",
    ),
    (
        lambda: S.OneCycleLR(O(), "x", 9),
        "OneCycleLR: max_lr must be a finite number, 0 or more, not",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, 9, pct_start=2),
        "pct_start must be a number from 0 to 1, not 2",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, 9, div_factor=0),
        "OneCycleLR: div_factor must be above 0, not 0",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, 9, anneal_strategy="cosine"),
        "OneCycleLR: anneal_strategy must be 'cos' or 'linear', not 'cosine'",
    ),
    (
        lambda: S.OneCycleLR(O("Adagrad"), 1.0, 9),
        "OneCycleLR: Adagrad has no momentum to change; pass cycle_momentum=False",
    ),
    (
        lambda: S.OneCycleLR(O(), 1.0, 9, three_phase=1),
        "OneCycleLR: three_phase must be True or False, not 1",
    ),
    (lambda: S.StepLR(O(), 3, last_epoch="x"), "StepLR: last_epoch must be an integer, not 'x'"),
    (
        lambda: S.ReduceLROnPlateau(O(), "low"),
        "ReduceLROnPlateau: mode must be 'min' or 'max', not 'lo",
    ),
    (
        lambda: S.ReduceLROnPlateau(O(), factor=1.0),
        "ReduceLROnPlateau: factor must be below 1, not 1",
    ),
    (
        lambda: S.ReduceLROnPlateau(O(), patience=-1),
        "patience must be an integer, 0 or more, not -1",
    ),
    (lambda: S.ReduceLROnPlateau(O(), threshold_mode="x"), "threshold_mode must be 'rel' or 'abs'"),
    (
        lambda: S.ReduceLROnPlateau(O(), min_lr=[0.1]),
        "min_lr has 1 members, and the optimizer has 2",
    ),
    (
        lambda: S.ReduceLROnPlateau(O(), min_lr=-1),
        "min_lr must be a finite number, 0 or more, not -1",
    ),
    (
        lambda: S.SequentialLR(O(), [], []),
        "SequentialLR: there are 0 schedules and 0 milestones; give",
    ),
    (lambda: S.SequentialLR(O(), [1], []), "SequentialLR: number 0 is no schedule but 1"),
    (
        lambda: S.SequentialLR(O(), [S.ExponentialLR(O(), 1)], []),
        "SequentialLR: number 0, ExponentialLR, belongs to another optimizer; make all schedules for",
    ),
    (
        lambda: (lambda o: S.SequentialLR(o, [S.ReduceLROnPlateau(o)], []))(O()),  # noqa: PLC3002
        r"SequentialLR: number 0 is a ReduceLROnPlateau, whose step\(\) needs a score; use it by itself",
    ),
    (
        lambda: (lambda o: S.SequentialLR(o, [S.StepLR(o, 1)] * 3, [5, 2]))(O()),  # noqa: PLC3002
        r"SequentialLR: milestones must be integers in rising order, not \[5, 2\]",
    ),
    (
        lambda: (lambda o: S.SequentialLR(o, [S.StepLR(o, 1)], [5]))(O()),  # noqa: PLC3002
        "SequentialLR: there are 1 schedules and 1 milestones; give schedules, and one milestone betw",
    ),
]


@pytest.mark.parametrize(("make", "text"), MISTAKES)
def test_wrong_arguments(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_loading_lists_every_mismatch_and_changes_nothing():
    optimizer = two_groups()
    schedule = schedules.StepLR(optimizer, 3)
    before = schedule.state_dict()
    state = {**before, "base_lrs": [0.1], "gama": 1}
    del state["gamma"]
    with pytest.raises(ArgumentError) as caught:
        schedule.load_state_dict(state)
    assert str(caught.value).split("\n  ") == [
        "StepLR.load_state_dict:",
        "missing: gamma",
        "not in this schedule: gama; did you mean 'gamma'?",
        "base_lrs has 1 groups, and the optimizer has 2",
    ]
    assert schedule.state_dict() == before
    with pytest.raises(ArgumentError, match=r"give what schedule\.state_dict\(\) returned, not 3"):
        schedule.load_state_dict(3)


def test_loading_a_sequence_that_does_not_fit_changes_nothing():
    optimizer = two_groups()
    parts = [schedules.StepLR(optimizer, 3), schedules.LambdaLR(optimizer, lambda t: 1.0)]
    schedule = schedules.SequentialLR(optimizer, parts, [4])
    before = schedule.state_dict()
    longer = {**before, "_schedulers": [*before["_schedulers"], {}]}
    with pytest.raises(ArgumentError, match="there are 3 schedules in it, and 2 in this one"):
        schedule.load_state_dict(longer)
    stateful = schedule.state_dict()
    stateful["last_epoch"] = 7
    stateful["_schedulers"][0]["gamma"] = 0.7
    stateful["_schedulers"][1]["lr_lambdas"] = [{"width": 3}, None]
    with pytest.raises(
        ArgumentError, match=r"LambdaLR.* lr_lambdas holds the state of a callable object"
    ):
        schedule.load_state_dict(stateful)
    assert schedule.state_dict() == before


def test_a_state_is_a_copy():
    schedule = schedules.StepLR(two_groups(), 3)
    state = schedule.state_dict()
    state["base_lrs"][0] = 9.0
    assert schedule.base_lrs == BASE.tolist()
    schedule.load_state_dict(state)
    state["base_lrs"][0] = 8.0
    assert schedule.base_lrs[0] == 9.0


def test_what_a_schedule_must_define():
    with pytest.raises(NotImplementedError, match="LRScheduler has no method get_lr; define it"):
        schedules.LRScheduler(two_groups())


@pytest.mark.parametrize(
    "name", [n for n in dir(schedules) if n.endswith(("LR", "Restarts", "Plateau"))]
)
def test_an_option_is_declared_once(name):
    kind = getattr(schedules, name)
    assert list(inspect.signature(kind).parameters) == list(kind.options)
    told = kind.__doc__.partition("Parameters")[2].partition("Attributes")[0].partition("Raises")[0]
    assert re.findall(r"^(\w+) : ", told, re.MULTILINE) == list(kind.options)
