"""Plans, run by NumPy: equal to the loop of tensors, for random steps, in values and gradients."""

import functools
import inspect
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.backends import backend_named
from minigrad.graph import Var
from minigrad.kernels import scan
from minigrad.kernels.cpu.ragged.packed_sequences import packed_rows
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.frontend.traces import traced_step
from minigrad.kernels.passes.legalize import INTERNAL, Refusal
from minigrad.kernels.plan.program import make_program
from minigrad.kernels.runtime import programs as compile
from minigrad.kernels.runtime.executable import Executable, Run, rows_kept
from minigrad.kernels.runtime.rows import rows_of
from minigrad.kernels.runtime.switch import switch
from minigrad.testing.steps import random_steps

M = backend_named("numpy").namespace
ROWS = 7919  # a prime that divides the size of no axis in these tests


class ByNumPy:
    """What a plan means: a target that runs it block by block, and row by row in the layout's order."""

    namespace = M
    packed_rows = staticmethod(packed_rows)

    def __init__(self, blocks):
        self.number = blocks
        self.kept = []  # for each run: whether it was a backward pass, and what it was told to keep

    def blocks(self, plan, count):
        return max(1, min(self.number, count))

    def take_rows(self, rows, index):
        found, there = np.zeros((*index.shape, *rows.shape[1:]), rows.dtype), index >= 0
        found[there] = rows[index[there]]
        return found

    def kept_rows(self, plan, layout, kept, buffers):
        return kept

    def bind(self, plan, layout, reverse, backward):
        run = functools.partial(self.run_loop, plan, reverse, backward)
        return types.SimpleNamespace(run=run)

    def run_loop(self, plan, reverse, backward, layout, values, initial, keep, residuals=None):
        self.kept.append((backward, keep))
        if residuals is not None:
            values = {**values, **rows_kept(self, layout, residuals)}
        numba_source(plan, 8)  # refuses what has two meanings as text
        sequences = {}
        for v, b in plan.read.items():
            rows = values[v]
            if rows.ndim == 3:
                rows = layout.rows_of(rows, self.take_rows)
            sequences[b] = np.asarray(rows, float)
        stored = {b: np.full((layout.size, b.width), np.nan) for b in plan.stored.values()}
        given = (
            np.zeros(b.width) if s is None else s for b, s in zip(plan.states, initial, strict=True)
        )
        size = layout.count, 1
        states = {b: s + np.zeros(size) for b, s in zip(plan.states, given, strict=True)}
        histories = {
            b: np.full((layout.steps + 1, *states[b].shape), np.nan)
            for b in plan.states
            if b.kind == "history"
        }
        starts = {b: s.copy() for b, s in states.items()}
        released = {b: np.zeros_like(s) for b, s in states.items()}
        vectors = {b: np.asarray(values[v]) for v, b in plan.fixed.items()}
        steps = range(layout.steps)[:: -1 if reverse else 1]
        for b, history in histories.items():
            history[layout.steps if reverse else 0] = states[b]
        for t in steps:
            for table in layout.tables:
                begin, at, n = table[0], table[1 + 2 * t], table[2 + 2 * t]
                rows, flat = slice(begin, begin + n), slice(at, at + n)
                ones = np.ones(n, bool)
                present = ones if layout.present is None else layout.present[flat] != 0
                fresh = ~ones if layout.fresh is None else layout.fresh[flat] != 0
                memory = {b: a[flat] for b, a in (*sequences.items(), *stored.items())}
                memory.update(vectors)
                memory.update((b, np.full((n, b.width), np.nan)) for b in plan.scratch)
                for b in plan.states:
                    if not backward:
                        states[b][rows][fresh] = starts[b][rows][fresh]
                    memory[b] = states[b][rows]
                with np.errstate(all="ignore"):  # in rows that are absent
                    following = step_by_numpy(plan, memory, n)
                for array in stored.values():
                    array[flat][~present] = 0
                for b in plan.states:
                    states[b][rows] = np.where(present[:, None], following[b], memory[b])
                    if backward:
                        released[b][rows][fresh] += states[b][rows][fresh]
                        states[b][rows][fresh] = 0
            for b, history in histories.items():
                history[t if reverse else t + 1] = states[b]
        return Run(
            [states[b] for b in plan.states],
            [released[b] for b in plan.states] if backward else [],
            # what is passing is for the sums alone, and is gone when the loop has ended
            {**histories, **{b: a for b, a in stored.items() if b.kind == "stored"}},
            {
                v: layout.over_time(stored[b], self.take_rows)
                for v, b in plan.stored.items()
                if v in plan.given_away or (v in plan.spread and layout.index is not None)
            },
            {s.result: sum_by_numpy(s, {**sequences, **stored}) for s in plan.sums},
        )


def sum_by_numpy(s, rows):
    """Return the sum over all rows of what was stored or read."""
    left = rows[s.left]
    found = left.sum(axis=0) if s.right is None else left.T @ rows[s.right]
    assert found.size == s.outer * s.inner
    return found.reshape(s.result.shape)


def step_by_numpy(plan, memory, rows):
    """Run the phases of one step; return the new states."""
    following = {b: np.full((rows, b.width), np.nan) for b in plan.states}

    def array_of(place):
        return following[place.buffer] if place.next else memory[place.buffer]

    def columns(place, width):
        array = array_of(place)
        if place.buffer.kind == "vector":
            return array.reshape(1, -1)[:, place.offset : place.offset + width]
        return array[:, place.offset : place.offset + width]

    for phase in plan.phases:
        for p in phase.products:
            start = 0 if p.start is None else columns(p.start, p.width)
            array_of(p.target)[...] = start + columns(p.source, p.inner) @ memory[p.matrix]
        for sweep in phase.sweeps.values():
            values = {
                v: columns(place, v.shape[-1] if v.shape else 1) for v, place in sweep.loads.items()
            }
            values = {v: a != 0 if v.dtype == bool else a for v, a in values.items()}
            for node in sweep.nodes:
                args = [values[i] if isinstance(i, Var) else i for i in node.inputs]
                attributes = dict(node.attributes)
                if node.op.name == "broadcast_to":
                    attributes["shape"] = (rows, *attributes["shape"][1:])
                values[node.outputs[0]] = node.op.fn(M, *args, **attributes)
            for value, place in sweep.stores:
                given = values[value] if isinstance(value, Var) else value
                array_of(place)[:, place.offset : place.offset + sweep.width] = given
            for node, place in sweep.reductions:
                memory[place.buffer][...] = node.op.fn(M, values[node.inputs[0]], **node.attributes)
    return following


def program_of(step, inputs, states, parameters, wanted, broken=False):
    xs = [Var((ROWS, *s), np.dtype("float64"), f"x{i}") for i, s in enumerate(inputs)]
    ss = [Var((ROWS, w), np.dtype("float64"), f"s{i}") for i, w in enumerate(states)]
    ps = {name: Var(tuple(shape), np.dtype("float64"), name) for name, shape in parameters.items()}
    return make_program(trace(step, xs, ss, ps), len(xs), len(ss), wanted, broken)


def compare(
    step, inputs, states, parameters, steps, rows, reverse, seed, masked=False, program=None
):
    rng = np.random.default_rng(seed)
    options, flags = {}, None
    if masked:
        options["lengths"] = rng.integers(0, steps + 1, size=rows)
        options["mask"] = rng.random((steps, rows)) < 0.8
        options["reset"] = rng.random((steps, rows)) < 0.3
        flags = rows_of("test", steps, rows, "cpu", *options.values())
        flags = flags and flags.as_arrays()
    shapes = [(steps, rows, *s) for s in inputs] + [(rows, w) for w in states]
    arrays = [rng.uniform(-1, 1, shape) for shape in (*shapes, *parameters.values())]
    tensors = [mg.tensor(a, requires_grad=True) for a in arrays]
    k, n = len(inputs), len(inputs) + len(states)
    params = dict(zip(parameters, tensors[n:], strict=True))
    options |= {"reverse": reverse, "compile": "never"}
    outputs, final = scan(step, tensors[:k], tensors[k:n], params, **options)
    wanted = [i for i in range(len(arrays)) if not k <= i < n]
    if program is None:
        program = program_of(step, inputs, states, parameters, wanted, flags is not None)
    target = ByNumPy(1 + seed % 3)
    executable = Executable(program, target, reverse)
    results = executable.forward(arrays, flags)
    expected = [outputs, *final]
    for a, b in zip(results, expected, strict=False):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-9, atol=1e-11)
    cotangents = [rng.normal(size=r.shape) for r in expected]
    found = executable.backward(arrays, results, cotangents, flags)
    pairs = [
        (r, mg.tensor(c)) for r, c in zip(expected, cotangents, strict=True) if r.requires_grad
    ]
    if not pairs:
        return
    theirs = mg.grad([r for r, _ in pairs], tensors, [c for _, c in pairs], allow_unused=True)
    for i, their in enumerate(theirs):
        wanted_gradient = np.zeros(arrays[i].shape) if their is None else their.numpy()
        np.testing.assert_allclose(found[i], wanted_gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "cell", [nn.cells.lstm, nn.cells.gru, nn.cells.rnn_tanh, nn.cells.rnn_relu]
)
def test_cells(cell, reverse, masked):
    parameters = cell.initial_parameters(3, 5)
    compare(cell, [(3,)], cell.state_widths(5), parameters, 4, 3, reverse, 0, masked)


def test_a_projection():
    options = {"proj_size": 2}
    parameters = nn.cells.lstm.initial_parameters(3, 5, **options)
    compare(
        nn.cells.lstm, [(3,)], nn.cells.lstm.state_widths(5, **options), parameters, 4, 2, False, 0
    )


@pytest.mark.parametrize("wanted", [None, [], [2]])
def test_matrices_are_kept_for_runs_without_a_backward_pass(wanted):
    """Their weights seldom change; those of a training step change before the next one."""
    program = program_of(lambda x, h, *, w: mg.tanh(x + h @ w), [(3,)], [3], {"w": (3, 3)}, wanted)
    target, arrays = ByNumPy(1), [np.ones(s) for s in [(4, 2, 3), (2, 3), (3, 3)]]
    executable = Executable(program, target, False)
    results = executable.forward(arrays, None)
    assert target.kept == [(False, wanted is None)]
    if wanted is not None:
        executable.backward(arrays, results, results[:2], None)
        assert target.kept[1:] == [(True, False)]


def later_product_first(x, h, *, u, v, w):
    """Add to a product of the second phase one of the first, which cannot begin with it."""
    return mg.tanh(h @ u) @ v + h @ w + x @ w


def other_order(x, h, *, u, v, w):
    """Add products in another order than they were made in."""
    first, second = h @ u, h @ v
    return mg.tanh(second + first) @ w


@pytest.mark.parametrize("step", [later_product_first, other_order])
def test_sums_of_products(step):
    compare(step, [(5,)], [5], dict.fromkeys("uvw", (5, 5)), 3, 2, False, 0)


def in_products_and_sweeps(x, h, *, u, v, w):
    return mg.tanh(x @ w + h @ mg.exp(u)) * (v[0] + v[1])


def in_what_is_before_the_loop(x, h, *, u, v, w):
    """What has three axes is computed before the loop, and differentiated behind it."""
    mixed = mg.sum(mg.reshape(x, (x.shape[0], 5, 1)) * mg.exp(v), axis=1)
    return mg.tanh(mg.sin(mixed) * mg.exp(w[0]) + h @ u)


def in_slots(x, h, *, w):
    """Attend to slots (N, 4, 5): what has more axes than (N, width) is made before the loop."""
    keys = x @ w
    scores = mg.softmax(mg.sum(keys * x, axis=-1, keepdims=True), axis=1)
    return mg.tanh(h + mg.sum(scores * keys, axis=1))


OF_SLOTS = {
    "softmax": lambda x, h: h + mg.sum(mg.softmax(x, axis=1) * x, axis=1),
    "log_softmax": lambda x, h: h + mg.log_softmax(x, axis=1)[:, 1],
    "logsumexp": lambda x, h: h + mg.logsumexp(x, axis=1),
    "sum": lambda x, h: h + mg.sum(x, axis=1, keepdims=True)[:, 0],
    "mean": lambda x, h: h + mg.mean(x, axis=1, keepdims=True)[:, 0],
    "max": lambda x, h: h + mg.max(x, axis=1, keepdims=True)[:, 0],
    "concat": lambda x, h: h + mg.sum(mg.concat([x, mg.sin(x)], axis=1), axis=1),
    "split": lambda x, h: h + mg.prod(mg.stack(mg.split(x, 2, axis=1)), axis=0)[:, 1],
    "stack": lambda x, h: h + mg.sum(mg.sum(mg.stack([x, mg.sin(x)], axis=0), axis=0), axis=1),
    "broadcast_to": lambda x, h, *, w: h + mg.sum(x * mg.broadcast_to(w[0], x.shape), axis=1),
    "reshape": lambda x, h: h + mg.sin(x.reshape(4 * x.shape[0], 5)).reshape(x.shape)[:, 1],
    "matmul": in_slots,
    "linear": lambda x, h, *, w: h + mg.stack([mg.linear(x[:, 0], w), x[:, 1]], axis=1)[:, 0],
}


def test_a_program_is_for_any_number_of_rows():
    def step(x, h):
        return mg.tanh(h + mg.sum(mg.reshape(x, (x.shape[0], 2, 3)), axis=1))

    kind = np.dtype("float64")
    programs = {
        compile.program_of(
            step, traced_step(step, [((n, 6), kind)], [((n, 3), kind)], {}), [0], False
        )
        for n in (1, 2, 3, 7)
    }
    assert len(programs) == 1


def test_an_input_that_is_one_number_for_each_row():
    def step(x, h):
        return mg.tanh(h + mg.expand_dims(x * x, 1))

    compare(step, [()], [5], {}, 3, 2, False, 0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("step", OF_SLOTS.values(), ids=OF_SLOTS)
def test_inputs_with_more_axes(step, masked):
    parameters = {"w": (5, 5)} if "w" in inspect.signature(step).parameters else {}
    compare(step, [(4, 5)], [5], parameters, 3, 2, False, 0, masked)


def test_columns_that_are_not_there():
    """A rotation of a single unit has an empty part; so has one by nothing."""
    for shift, width in [(1, 1), (0, 3), (3, 3), (1, 3)]:
        compare(
            lambda x, h: mg.tanh(mg.roll(h, shift, axis=-1) + x),  # noqa: B023
            [(width,)],
            [width],
            {},
            3,
            2,
            False,
            0,
        )


@pytest.mark.parametrize("masked", [False, True])
def test_a_part_without_columns_is_not_kept_for_the_backward_pass(masked):
    def step(x, y, z, h, c, *, u, v):
        part, _ = mg.split(y, (1, 0), axis=-1)
        row = mg.sum(z, axis=1)
        return x + row @ u, part + row @ v

    inputs, parameters = [(3,), (1,), (2, 3)], {"u": (3, 3), "v": (3, 1)}
    compare(step, inputs, [3, 1], parameters, 3, 2, False, 0, masked)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("step", [in_products_and_sweeps, in_what_is_before_the_loop])
def test_what_is_made_of_parameters_is_there_in_the_backward_pass(step, masked):
    compare(step, [(5,)], [5], dict.fromkeys("uvw", (5, 5)), 3, 2, False, 0, masked)


LOOPS = (
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 99),
    st.booleans(),
)
many = settings(max_examples=10 * settings.default.max_examples)


@many
@given(random_steps() | random_steps(axes=True), *LOOPS)
def test_random_steps(step, steps, rows, reverse, seed, masked):
    compare(step, step.shapes, step.states, step.parameters, steps, rows, reverse, seed, masked)


def loop_results(step, tensors, inputs, last, names, options):
    """Return outputs, final states and gradients of a loop of tensors that require them."""
    params = dict(zip(names, tensors[last:], strict=True))
    outputs, finals = scan(step, tensors[:inputs], tensors[inputs:last], params, **options)
    results = [outputs, *finals]
    loss = sum(mg.sum(mg.sin(r)) for r in results)
    gradients = mg.grad(loss, tensors, allow_unused=True) if loss.requires_grad else ()
    zeros = map(mg.zeros_like, tensors)
    return [*results, *(z if g is None else g for g, z in zip(gradients, zeros, strict=False))]


@many
@given(random_steps(anything=True), *LOOPS)
def test_steps_are_compiled_or_refused_and_interpreted(step, steps, rows, reverse, seed, masked):
    k, n = len(step.shapes), len(step.shapes) + len(step.states)
    specs = [((rows, *s), np.dtype("float64")) for s in (*step.shapes, *map(single, step.states))]
    parameters = {name: (shape, specs[0][1]) for name, shape in step.parameters.items()}
    traced = traced_step(step, specs[:k], specs[k:], parameters)
    wanted = [i for i in range(n + len(parameters)) if not k <= i < n]
    try:
        compiled = compile.program_of(step, traced, wanted, masked)
    except Refusal as refusal:
        # declared, and not what went wrong in the compiler
        assert INTERNAL not in str(refusal)  # noqa: PT017
    else:
        arguments = (step, step.shapes, step.states, step.parameters, steps, rows, reverse, seed)
        return compare(*arguments, masked, compiled)
    rng = np.random.default_rng(seed)
    shapes = [*((steps, *shape) for shape, _ in specs[:k]), *(shape for shape, _ in specs[k:])]
    tensors = [
        mg.tensor(rng.uniform(-1, 1, shape), requires_grad=True)
        for shape in (*shapes, *step.parameters.values())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switch, "is_off", True)
        found, expected = (
            loop_results(step, tensors, k, n, parameters, {"reverse": reverse, "compile": way})
            for way in ("auto", "never")
        )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11)
    return None


def single(width):
    return (width,)
