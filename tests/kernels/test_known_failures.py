"""What a compiled loop does not do yet, each with its reason: a test that passes has to lose its mark."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.kernels import scan
from minigrad.kernels.cpu import memory


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="absent rows are zeros in what runs behind the loop, and 0 * (1 / 0) is NaN",
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_gradients_behind_the_loop_do_not_read_absent_rows():
    def step(x, h):
        parts = mg.reshape(x, (x.shape[0], 2, 3))
        return mg.tanh(h + mg.mean(mg.log(parts), axis=1))

    x = mg.rand(3, 2, 6, dtype="float64", requires_grad=True) + 0.5
    mask = [[True, True], [True, False], [True, True]]
    outputs, _ = scan(step, x, mg.zeros((2, 3), dtype="float64"), mask=mask, compile="require")
    (g,) = mg.grad(mg.sum(outputs), [x])
    assert np.isfinite(g.numpy()).all()


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="with lengths the order of the rows, and so that of sums over them, follows the threads",
)
def test_results_with_lengths_do_not_depend_on_the_number_of_threads():
    params = {
        name: mg.randn(*shape, dtype="float64", requires_grad=True)
        for name, shape in nn.cells.lstm.initial_parameters(3, 21).items()
    }
    x, h, c = (mg.randn(*shape, dtype="float64") for shape in [(9, 7, 3), (7, 21), (7, 21)])
    before, found = mg.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            mg.set_num_threads(number)
            lengths = [9, 1, 4, 0, 7, 7, 2]
            outputs, _ = scan(nn.cells.lstm, x, (h, c), params, lengths=lengths, compile="require")
            gradients = mg.grad(mg.sum(mg.sin(outputs)), list(params.values()))
            found.append([outputs.tolist(), *(g.tolist() for g in gradients)])
    finally:
        mg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a child process inherits the lock of the memory as another thread held it",
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_can_borrow_whatever_another_thread_did():
    held, done = threading.Event(), threading.Event()

    def hold():
        with memory._pool.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
        child = os.fork()
    if not child:
        signal.alarm(2)
        memory.give_back(memory.borrow(10_000))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0
