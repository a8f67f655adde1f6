"""Short loops run on a team or alone, whichever has been faster; what they compute is the same."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels.cpu import pace
from minigrad.kernels.targets import numba_cpu, runner

PERIOD = 256
ROWS = 100


def choices(known, runs, on_team, alone):
    """Return of each run whether it is done alone, if runs take so many microseconds.

    The first four runs after one that was done the other way take twice as long.
    """
    found, before = [], 4
    for _ in range(runs):
        found.append(known.goes_alone(ROWS))
        before = before + 1 if found[-2:-1] != [not found[-1]] else 0
        longer = 2 if before < 4 else 1
        known.note(found[-1], ROWS, 1e-6 * longer * (alone if found[-1] else on_team))
    return found


def test_the_faster_way_is_found_and_the_other_one_tried_now_and_then():
    for on_team, alone in ((100, 150), (150, 100)):
        found = choices(pace.Pace(), 10 * PERIOD, on_team, alone)
        assert not any(found[:16])
        settled = found[PERIOD:]
        assert np.mean([way == (alone < on_team) for way in settled]) > 0.95
        assert set(settled) == {True, False}


def test_a_change_is_noticed_within_some_periods():
    known = pace.Pace()
    choices(known, 2 * PERIOD, on_team=100, alone=150)
    assert all(choices(known, 4 * PERIOD, on_team=300, alone=150)[-100:])
    assert not any(choices(known, 12 * PERIOD, on_team=100, alone=150)[-100:])


def test_a_single_long_run_changes_nothing():
    known = pace.Pace()
    choices(known, PERIOD, on_team=100, alone=150)
    known.note(False, ROWS, 800e-6)
    assert not known.goes_alone(ROWS)


def test_long_loops_always_have_a_team():
    assert not any(choices(pace.Pace(), 3 * PERIOD, on_team=2000, alone=100))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_results_do_not_depend_on_the_way(monkeypatch, kind):
    for module in (numba_cpu, runner):
        monkeypatch.setattr(module, "threads_for", lambda operations: mg.get_num_threads())
    before = mg.get_num_threads()
    mg.set_num_threads(2)
    try:
        layer, x = kind(5, 24), mg.randn(7, 3, 5)
        turns = itertools.cycle([True, False])
        monkeypatch.setattr(pace.Pace, "goes_alone", lambda known, rows: next(turns))
        results = []
        for _ in range(4):
            layer.zero_grad()
            output, _ = layer(x)
            (output * output).sum().backward()
            with mg.no_grad():
                again, _ = layer(x)
            grads = [p.grad.numpy() for p in layer.parameters()]
            results.append([output.detach().numpy(), again.numpy(), *grads])
        for result in results[1:]:
            for found, expected in zip(result, results[0], strict=True):
                np.testing.assert_array_equal(found, expected)
    finally:
        mg.set_num_threads(before)
