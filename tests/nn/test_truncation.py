"""States without their history."""

from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


class State(NamedTuple):
    h: mg.Tensor
    c: mg.Tensor


def tracked():
    return mg.ones(2, requires_grad=True) * 2


@pytest.mark.parametrize(
    "state",
    [
        tracked(),
        (tracked(), tracked()),
        [tracked(), (tracked(), None)],
        {"h": tracked(), "rest": [tracked()]},
        State(tracked(), tracked()),
        (),
        None,
    ],
)
def test_the_form_stays_and_the_history_goes(state):
    def compare(before, after):
        assert type(before) is type(after)
        if isinstance(before, mg.Tensor):
            assert before.requires_grad
            assert not after.requires_grad
            assert before.tolist() == after.tolist()
        elif isinstance(before, dict):
            assert list(before) == list(after)
            compare(list(before.values()), list(after.values()))
        elif before is not None:
            for one, other in zip(before, after, strict=True):
                compare(one, other)

    compare(state, nn.detach_state(state))


def test_no_gradient_flows_back_through_it():
    lstm = nn.LSTM(2, 3, dtype="float64")
    xs = mg.tensor(np.random.default_rng(0).normal(size=(4, 1, 2)), requires_grad=True)
    _, state = lstm(xs[:2])
    outputs, _ = lstm(xs[2:], nn.detach_state(state))
    (gradient,) = mg.grad(outputs.sum(), [xs])
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] != 0).all()


@pytest.mark.parametrize("state", [np.ones(2), {tracked()}, 3, (mg.ones(2), "c")])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(
        ArgumentError, match=r"tensors in tuples, lists and dicts, not of a .*; detach"
    ):
        nn.detach_state(state)
