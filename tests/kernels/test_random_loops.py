"""Random steps, compiled: equal to the loop of tensors in float64, outputs and every gradient.

To compile a step takes seconds, and to run it once more nothing. So each step is run for several sizes.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.graph import Var
from minigrad.kernels import scan
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.plan.program import make_program
from minigrad.kernels.runtime import layout
from minigrad.kernels.targets import frames, runs
from minigrad.testing.steps import random_steps

WIDTHS = (1, 2, 3, 5, 8, 9, 16, 17)
SIZES = [(0, 2), (1, 1), (5, 0), (4, 3), (2, 19), (9, 6)]
random_cases = settings(
    max_examples=max(
        2, settings.default.max_examples // 3
    ),  # each is compiled, which takes seconds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def several_threads_and_chunks(monkeypatch):
    """Let three threads work, also where it is not worth it, on a few rows at once."""
    for module in (layout, frames):
        monkeypatch.setattr(module, "CHUNK_ROWS", 12)
    monkeypatch.setattr(runs, "threads_for", lambda operations: mg.get_num_threads())
    before = mg.get_num_threads()
    mg.set_num_threads(3)
    yield
    mg.set_num_threads(before)


def options_for(steps, rows, broken, rng):
    options = {"reverse": bool(rng.integers(2))}
    if broken:
        options["lengths"] = rng.integers(0, steps + 1, rows)
        options["mask"] = rng.random((steps, rows)) < 0.8
        options["reset"] = rng.random((steps, rows)) < 0.3
    return options


def results_of(step, inputs, number, compile, options):
    """Return outputs, final states, and gradients by all inputs."""
    first, second = number
    params = dict(zip(step.parameters, inputs[second:], strict=True))
    outputs, final = scan(
        step, inputs[:first], inputs[first:second], params, compile=compile, **options
    )
    results = [outputs, *final]
    loss = sum(mg.sum(mg.sin(r + 0.1 * i)) for i, r in enumerate(results))
    gradients = (
        mg.grad(loss, inputs, allow_unused=True) if loss.requires_grad else [None] * len(inputs)
    )
    zeros = map(mg.zeros_like, inputs)
    gradients = [z if g is None else g for g, z in zip(gradients, zeros, strict=True)]
    return [r.detach().numpy() for r in (*results, *gradients)]


def check_random_step(step, broken, seed):
    rng = np.random.default_rng(seed)
    for steps, rows in SIZES:
        shapes = [(steps, rows, *s) for s in step.shapes] + [(rows, w) for w in step.states]
        shapes += step.parameters.values()
        inputs = [
            mg.tensor(rng.uniform(-0.7, 0.7, shape), dtype="float64", requires_grad=True)
            for shape in shapes
        ]
        number = len(step.shapes), len(step.shapes) + len(step.states)
        options = options_for(steps, rows, broken, rng)
        found = [results_of(step, inputs, number, way, options) for way in ("require", "never")]
        for a, b in zip(*found, strict=True):
            largest = np.abs(b).max(initial=1e-2)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * largest, err_msg=str(options))


# Two tests, and not one with a parameter: without chance, in CI, both would draw the same steps.
@pytest.mark.full
@random_cases
@given(random_steps(widths=WIDTHS) | random_steps(widths=WIDTHS, axes=True), st.integers(0, 999))
def test_random_steps(step, seed):
    check_random_step(step, False, seed)


@random_cases
@given(random_steps(widths=WIDTHS) | random_steps(widths=WIDTHS, axes=True), st.integers(0, 999))
def test_random_steps_with_lengths_masks_and_resets(step, seed):
    check_random_step(step, True, seed)


@pytest.mark.parametrize("cell", [nn.cells.lstm, nn.cells.gru_reset_before, nn.cells.minlstm])
def test_cells_of_other_widths_have_the_same_text(cell):
    """So that nothing new is compiled for them, also where some of them are equal by chance."""
    texts, real = set(), np.dtype("float32")
    for width, hidden in [
        (3, 21),
        (5, 42),
        (7, 1003),
        (21, 21),
        (63, 21),
        (84, 21),
        (1, 21),
        (3, 1),
    ]:
        shapes = cell.initial_parameters(width, hidden)
        x, *states = (Var((11, w), real) for w in (width, *[hidden] * len(cell.states)))
        params = {name: Var(tuple(shape), real, name) for name, shape in shapes.items()}
        graph = trace(cell, [x], states, params)
        wanted = [0, *range(1 + len(states), len(graph.inputs))]
        program = make_program(graph, 1, len(states), wanted)
        plans = (program.loop, program.backward.loop)
        texts.add(tuple(numba_source(plan, 16).text for plan in plans))
    assert len(texts) == 1
