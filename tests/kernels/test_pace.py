"""Short loops run on a team or alone, whichever has been faster; what they compute is the same."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels.cpu.threads import autotuner as pace
from minigrad.kernels.targets import runner
from minigrad.kernels.targets import runs as targets_runs

ROWS = 100


class Runs:
    """Runs of a loop that take so many microseconds, on a clock that stands still otherwise.

    After one that was done the other way, four runs on a team take twice as long, and one run alone.
    """

    def __init__(self):
        self.known, self.now, self.same, self.before = pace.Pace(), 0.0, 4, None

    def choices(self, seconds, on_team, alone):
        """Return for each run, for so many seconds, whether it is done alone."""
        found, end = [], self.now + seconds
        while self.now < end:
            way = self.known.goes_alone(ROWS, self.now)
            self.same = self.same + 1 if way == self.before else 0
            self.before = way
            taken = 1e-6 * (alone if way else on_team) * (2 if self.same < (1 if way else 4) else 1)
            self.now += taken
            self.known.note(way, ROWS, taken)
            found.append(way)
        return found


@pytest.mark.parametrize(("on_team", "alone"), [(100, 150), (150, 100), (900, 950), (900, 700)])
def test_the_faster_way_is_found_and_the_other_one_tried_now_and_then(on_team, alone):
    runs = Runs()
    assert not any(runs.choices(0.02, on_team, alone))
    runs.choices(0.2, on_team, alone)
    settled = runs.choices(2, on_team, alone)
    assert np.mean([way == (alone < on_team) for way in settled]) > 0.93
    assert set(settled) == {True, False}


def test_a_change_is_noticed_soon():
    runs = Runs()
    runs.choices(0.1, on_team=100, alone=150)
    assert np.mean(runs.choices(0.2, on_team=300, alone=150)[-200:]) > 0.9
    assert np.mean(runs.choices(0.2, on_team=100, alone=150)[-200:]) < 0.1


def test_after_a_pause_the_other_way_is_tried_at_once():
    runs = Runs()
    assert np.mean(runs.choices(0.2, on_team=300, alone=150)[-200:]) > 0.9
    runs.now += 1
    assert not any(runs.choices(0.02, on_team=100, alone=150)[-100:])


def test_a_single_long_run_changes_nothing():
    runs = Runs()
    runs.choices(0.1, on_team=100, alone=150)
    runs.known.note(False, ROWS, 800e-6)
    assert not runs.known.goes_alone(ROWS, runs.now)


def test_long_loops_always_have_a_team():
    assert not any(Runs().choices(1, on_team=2000, alone=100))


@pytest.mark.full(but=["LSTM"])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_results_do_not_depend_on_the_way(monkeypatch, kind):
    for module in (targets_runs, runner):
        monkeypatch.setattr(module, "threads_for", lambda operations: mg.get_num_threads())
    before = mg.get_num_threads()
    mg.set_num_threads(2)
    try:
        layer, x = kind(5, 24), mg.randn(7, 3, 5)
        turns = itertools.cycle([True, False])
        monkeypatch.setattr(pace.Pace, "goes_alone", lambda *_: next(turns))
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
