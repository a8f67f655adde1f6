"""The loop: equal to a loop of tensors, in outputs and gradients, whatever the step."""

import functools
import gc
import importlib
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import AnomalyError, GradientError, ShapeError, TraceError
from minigrad.kernels import cell, scan
from minigrad.kernels import scan as scan_function
from minigrad.kernels.frontend.traces import traced_step
from minigrad.testing import gradcheck

pytestmark = pytest.mark.usefixtures("both_loops")

# steps made up to differ: (step, widths of inputs, widths of states, shapes of parameters)


def rnn(x, h, *, w, u, b):
    return mg.tanh(x @ w + h @ u + b)


def lstm(x, h, c, *, w, u, b):
    i, f, g, o = mg.split(x @ w + h @ u + b, 4)
    c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
    return mg.sigmoid(o) * mg.tanh(c), c


def three_states(x, y, a, b, c, *, p, q):
    joined = mg.concat([a, b, c], axis=-1)
    mixed = mg.tanh(mg.linear(joined, p) + x)
    left, right = mg.split(mixed, (2, 4))
    total = mg.sum(y * c, axis=-1, keepdims=True)
    return left * mg.sigmoid(total), mg.concat([right[:, :3] * b], axis=-1), c * q + y / 4


def normed(x, h, *, w, gain):
    z = x + h @ w
    centred = z - mg.mean(z, axis=-1, keepdims=True)
    scale = mg.sqrt(mg.mean(centred * centred, axis=-1, keepdims=True) + 0.1)
    return gain * centred / scale


def swapped(x, a, b, *, w):
    """Return the old states in the other order; one output depends on nothing new."""
    return b, mg.tanh(a * w + x)


def half_dropped(x, h, *, w):
    """Use one half of a split only, and a maximum, which selects."""
    left, _ = mg.split(h @ w, 2)
    return mg.maximum(left, x) * 0.5


def same_twice(x, a, b, *, w):
    new = mg.tanh(a + b * w + x)
    return new, new


def unchanged(x, h, c, *, w):
    """Leave one state as it is, and do not use a parameter."""
    return x * h, c


def looking(x, h, c, *, w):
    """Read a state that stays as it is."""
    return mg.tanh(x + h * w * c) * c, c


STEPS = {
    "rnn": (rnn, (4,), (5,), {"w": (4, 5), "u": (5, 5), "b": (5,)}),
    "lstm": (lstm, (4,), (3, 3), {"w": (4, 12), "u": (3, 12), "b": (12,)}),
    "three_states": (three_states, (6, 1), (2, 3, 1), {"p": (6, 6), "q": (1,)}),
    "normed": (normed, (4,), (4,), {"w": (4, 4), "gain": (4,)}),
    "swapped": (swapped, (3,), (3, 3), {"w": ()}),
    "half_dropped": (half_dropped, (3,), (3,), {"w": (3, 6)}),
    "same_twice": (same_twice, (2,), (2, 2), {"w": (2,)}),
    "unchanged": (unchanged, (2,), (2, 2), {"w": (2,)}),
    "looking": (looking, (2,), (2, 2), {"w": (2,)}),
}


@pytest.fixture
def draw():
    rng = np.random.default_rng(5)
    return lambda *shape: mg.tensor(rng.normal(size=shape), requires_grad=True)


def arguments(draw, name, steps, rows):
    step, inputs, states, shapes = STEPS[name]
    xs = tuple(draw(steps, rows, width) for width in inputs)
    state = tuple(draw(rows, width) for width in states)
    return step, xs, state, {key: draw(*shape) for key, shape in shapes.items()}


def loop_of_tensors(step, xs, state, params, reverse=False):
    """What `scan` means, written without it."""
    steps = xs[0].shape[0]
    outputs = [None] * steps
    for t in range(steps)[:: -1 if reverse else 1]:
        result = step(*(x[t] for x in xs), *state, **params)
        state = result if isinstance(result, tuple) else (result,)
        outputs[t] = state[0]
    if not outputs:
        return mg.zeros((0, *state[0].shape), dtype=state[0].dtype), state
    return mg.stack(outputs), state


def gradients(outputs, inputs, cotangents):
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    found = mg.grad([o for o, _ in pairs], inputs, [c for _, c in pairs], allow_unused=True)
    return [
        np.zeros(i.shape) if g is None else g.numpy() for g, i in zip(found, inputs, strict=True)
    ]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def arrays(tensors):
    return [t.detach().numpy() for t in tensors]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("steps", "rows"), [(4, 3), (1, 2), (3, 1), (0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("name", STEPS)
def test_equals_a_loop_of_tensors(name, steps, rows, reverse, draw):
    step, xs, state, params = arguments(draw, name, steps, rows)
    outputs, final = scan(step, xs, state, params, reverse=reverse)
    expected, last = loop_of_tensors(step, xs, state, params, reverse)
    results, wanted = (outputs, *final), (expected, *last)
    assert_same(arrays(results), arrays(wanted))
    inputs = [*xs, *state, *params.values()]
    cotangents = [draw(*o.shape).detach() for o in results]
    assert_same(gradients(results, inputs, cotangents), gradients(wanted, inputs, cotangents))


@pytest.mark.parametrize("name", STEPS)
def test_gradients_of_single_results(name, draw):
    step, xs, state, params = arguments(draw, name, 3, 2)
    inputs = [*xs, *state, *params.values()]
    for position in range(1 + len(state)):
        outputs, final = scan(step, xs, state, params)
        expected, last = loop_of_tensors(step, xs, state, params)
        result, wanted = (outputs, *final)[position], (expected, *last)[position]
        g = [draw(*result.shape).detach()]
        assert_same(gradients([result], inputs, g), gradients([wanted], inputs, g))


@pytest.mark.parametrize("name", STEPS)
def test_gradients_of_some_arguments_only(name, draw):
    step, xs, state, params = arguments(draw, name, 3, 2)
    inputs = [*xs, *state, *params.values()]
    for chosen in inputs:
        for t in inputs:
            t.requires_grad_(t is chosen)
        outputs, final = scan(step, xs, state, params)
        expected, last = loop_of_tensors(step, xs, state, params)
        if not any(o.requires_grad for o in (expected, *last)):
            continue  # the step does not use it
        g = [draw(*o.shape).detach() for o in (outputs, *final)]
        assert_same(
            gradients((outputs, *final), [chosen], g), gradients((expected, *last), [chosen], g)
        )


@pytest.mark.parametrize("name", ["rnn", "lstm", "three_states", "normed"])
def test_against_finite_differences(name, draw):
    step, xs, state, params = arguments(draw, name, 3, 2)
    count, states = len(xs), len(state)

    def function(*given):
        outputs, final = scan(
            step,
            given[:count],
            given[count : count + states],
            dict(zip(params, given[count + states :], strict=True)),
        )
        return (outputs, *final)

    gradcheck(function, *xs, *state, *params.values())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_second_order(name, reverse, draw):
    step, xs, state, params = arguments(draw, name, 3, 2)
    inputs = [*xs, *state, *params.values()]

    def curvature(loop):
        outputs, final = loop(step, xs, state, params, reverse=reverse)
        value = mg.sum(outputs**3) + sum((mg.sum(mg.sin(s)) for s in final), mg.tensor(0.0))
        first = mg.grad(value, inputs, create_graph=True, allow_unused=True)
        energy = sum((mg.sum(g * g) for g in first if g is not None), mg.tensor(0.0))
        return gradients([energy], inputs, [mg.tensor(1.0, dtype="float64")])

    assert_same(curvature(scan), curvature(loop_of_tensors))


def test_hessian_vector_product(draw):
    step, xs, state, params = arguments(draw, "lstm", 3, 2)
    primals = [t.detach() for t in (xs[0], *state, *params.values())]
    tangents = [draw(*t.shape).detach() for t in primals]

    def value(loop):
        return lambda x, h, c, *rest: mg.sum(
            loop(step, (x,), (h, c), dict(zip(params, rest, strict=True)))[0] ** 2
        )

    _, fast = mg.hvp(value(scan), primals, tangents)
    _, slow = mg.hvp(value(loop_of_tensors), primals, tangents)
    assert_same(arrays(fast), arrays(slow))


def test_the_same_tensor_given_twice(draw):
    step, xs, (h, _), params = arguments(draw, "lstm", 3, 2)
    outputs, final = scan(step, xs, (h, h), params)
    expected, last = loop_of_tensors(step, xs, (h, h), params)
    ones = [mg.ones(o.shape, dtype="float64") for o in (outputs, *final)]
    assert_same(gradients((outputs, *final), [h], ones), gradients((expected, *last), [h], ones))
    (first,) = mg.grad(mg.sum(scan(step, xs, (h, h), params)[0]), [h], create_graph=True)
    assert_same(
        gradients([first], [h], [ones[1]]),
        gradients(
            mg.grad(mg.sum(expected := loop_of_tensors(step, xs, (h, h), params)[0]), [h],
                    create_graph=True), [h], [ones[1]],
        ),
    )  # fmt: skip


# what comes in and what goes out


def test_one_state_is_given_and_returned_as_a_tensor(draw):
    x, h, w = draw(3, 2, 4), draw(2, 4), draw(4, 4)
    step, params = STEPS["normed"][0], {"w": w, "gain": draw(4)}
    outputs, final = scan(step, x, h, params)
    assert isinstance(final, mg.Tensor)
    np.testing.assert_array_equal(final.detach().numpy(), outputs[-1].detach().numpy())
    _, (in_a_tuple,) = scan(step, x, (h,), params)
    np.testing.assert_array_equal(in_a_tuple.detach().numpy(), final.detach().numpy())


def test_inputs_may_be_integers_and_have_any_width(draw):
    def counting(tokens, image, h, *, table):
        return mg.tanh(mg.embedding(tokens, table) + h) + mg.mean(image, axis=(-2, -1))[:, None]

    tokens = mg.tensor([[0, 2], [1, 1], [2, 0]])
    image, h, table = draw(3, 2, 5, 4), draw(2, 6), draw(3, 6)
    xs, params = (tokens, image), {"table": table}
    outputs, final = scan(counting, xs, (h,), params)
    expected, last = loop_of_tensors(counting, xs, (h,), params)
    inputs, ones = [image, h, table], [mg.ones((3, 2, 6), dtype="float64")]
    assert_same(arrays((outputs, *final)), arrays((expected, *last)))
    assert_same(gradients([outputs], inputs, ones), gradients([expected], inputs, ones))


def test_an_integer_state_counts(draw, interpreted):
    def counting(x, h, n):
        return h * mg.tanh(x), n + 1

    x, h, n = draw(4, 2, 3), draw(2, 3), mg.zeros((2, 1), dtype="int64")
    outputs, (_, count) = scan(counting, x, (h, n))
    assert count.tolist() == [[4], [4]]
    assert not count.requires_grad
    expected, _ = loop_of_tensors(counting, (x,), (h, n), {})
    ones = [mg.ones(outputs.shape, dtype="float64")]
    assert_same(gradients([outputs], [x, h], ones), gradients([expected], [x, h], ones))


def test_final_states_do_not_share_memory_with_initial_ones():
    h = mg.tensor([[1.0, 2.0]])
    _, final = scan(lambda x, h: h, mg.zeros((0, 1, 2)), h)
    h.data[0, 0] = 5.0
    assert final.tolist() == [[1.0, 2.0]]


def test_float32_stays_float32():
    step, inputs, states, shapes = STEPS["lstm"]
    xs = tuple(mg.rand(3, 2, width) for width in inputs)
    state = tuple(mg.rand(2, width) for width in states)
    params = {key: mg.rand(*shape, requires_grad=True) for key, shape in shapes.items()}
    outputs, final = scan(step, xs, state, params)
    (g,) = mg.grad(mg.sum(outputs), params["w"])
    assert {t.dtype for t in (outputs, *final, g)} == {mg.float32}


# properties


def test_later_inputs_do_not_change_earlier_outputs(draw):
    step, (x,), state, params = arguments(draw, "lstm", 6, 2)
    for t in range(6):
        changed = x.detach().at[t].set(9.0)
        before = scan(step, x, state, params)[0].detach().numpy()[:t]
        np.testing.assert_array_equal(
            scan(step, changed, state, params)[0].detach().numpy()[:t], before
        )
        (g,) = mg.grad(mg.sum(scan(step, x, state, params)[0][t]), x)
        assert np.all(g.numpy()[t + 1 :] == 0)
        assert np.all(np.any(g.numpy()[: t + 1] != 0, axis=(1, 2)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_two_chunks_equal_the_whole(cut, reverse, draw):
    step, (x,), state, params = arguments(draw, "lstm", 5, 2)
    inputs = [x, *state, *params.values()]
    outputs, final = scan(step, x, state, params, reverse=reverse)
    chunks = [x[:cut], x[cut:]]
    parts, carried = [None, None], state
    for k in (1, 0) if reverse else (0, 1):
        parts[k], carried = scan(step, chunks[k], carried, params, reverse=reverse)
    results, wanted = (mg.concat(parts, axis=0), *carried), (outputs, *final)
    assert_same(arrays(results), arrays(wanted))
    g = [draw(*o.shape).detach() for o in results]
    assert_same(gradients(results, inputs, g), gradients(wanted, inputs, g))


def test_reverse_is_a_loop_over_the_reversed_inputs(draw):
    step, (x,), state, params = arguments(draw, "lstm", 5, 2)
    backwards, final = scan(step, x, state, params, reverse=True)
    outputs, last = scan(step, mg.flip(x, axis=0), state, params)
    assert_same(arrays((backwards, *final)), arrays((mg.flip(outputs, axis=0), *last)))


def test_the_terms_of_backpropagation_through_time_add_up(draw):
    """dL/dW is the sum over k of the gradient through the W that is used at step k alone."""
    step, (x,), (h, c), params = arguments(draw, "lstm", 5, 2)
    g = draw(5, 2, 3).detach()
    (full,) = gradients([scan(step, x, (h, c), params)[0]], [params["u"]], [g])
    total = 0
    for k in range(5):
        frozen = {key: p.detach() for key, p in params.items()}
        outputs, state = [], (h.detach(), c.detach())
        for t in range(5):
            used = {**frozen, "u": params["u"]} if t == k else frozen
            part, state = scan(step, x.detach()[t : t + 1], state, used)
            outputs.append(part)
        total = total + gradients([mg.concat(outputs, axis=0)], [params["u"]], [g])[0]
    np.testing.assert_allclose(total, full, rtol=1e-10)


def test_rows_of_a_batch_do_not_mix(draw):
    step, (x,), state, params = arguments(draw, "lstm", 4, 3)
    outputs, _ = scan(step, x, state, params)
    for n in range(3):
        alone, _ = scan(step, x[:, n : n + 1], [s[n : n + 1] for s in state], params)
        np.testing.assert_allclose(
            alone.detach().numpy()[:, 0], outputs.detach().numpy()[:, n], rtol=1e-12
        )


def test_an_element_that_is_not_chosen_has_no_influence():
    """The exponential of the first step overflows, and the mask of the second drops what follows."""

    def guarded(x, h, *, w):
        return mg.where(x > 0, mg.exp(h + w), x)

    x = mg.tensor([[[1.0]], [[-1.0]], [[1.0]]])
    h, w = mg.tensor([[800.0]], requires_grad=True), mg.tensor([0.5], requires_grad=True)
    with np.errstate(over="ignore"):
        outputs, _ = scan(guarded, x, h, {"w": w})
    assert np.isinf(outputs[0].item())
    gh, gw = mg.grad(outputs[2].sum(), [h, w])
    np.testing.assert_allclose([gh.item(), gw.item()], [0.0, np.exp(-0.5)], rtol=1e-6)


# the tape


def test_the_loop_is_one_record(draw):
    step, (x,), state, params = arguments(draw, "lstm", 50, 2)
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        return step(*args, **kwargs)

    outputs, (final, _) = scan(counted, x, state, params)
    assert calls == 2  # traced, and traced again to see that it is the same
    assert repr(outputs).endswith("from scan)")
    assert outputs._node.record is final._node.record
    mg.sum(outputs).backward()
    assert x.grad.shape == x.shape


def test_backward_twice(draw):
    step, (x,), state, params = arguments(draw, "lstm", 4, 2)
    value = mg.sum(scan(step, x, state, params)[0])
    (first,) = mg.grad(value, x, retain_graph=True)
    (second,) = mg.grad(value, x)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    with pytest.raises(GradientError, match="backward through sum a second time"):
        value.backward()


def test_a_write_between_forward_and_backward_is_noticed(draw):
    step, (x,), state, params = arguments(draw, "lstm", 4, 2)
    for tensor in (x, state[0], params["u"]):
        outputs, _ = scan(step, x, state, params)
        tensor.data *= 0.5
        with pytest.raises(GradientError, match=r"backward through scan.*written in place"):
            mg.sum(outputs).backward()


@pytest.fixture
def large():
    """Return a step, its arguments, and the bytes of one value for each step of the loop."""
    step, x, state = STEPS["lstm"][0], mg.rand(100, 20, 50), (mg.rand(20, 50), mg.rand(20, 50))
    shapes = {"w": (50, 200), "u": (50, 200), "b": (200,)}
    params = {key: mg.rand(*shape, requires_grad=True) for key, shape in shapes.items()}
    mg.sum(scan(step, x, state, params)[0]).backward()  # trace, and make room for gradients
    tracemalloc.start()
    yield step, x, state, params, 100 * 20 * 50 * 4
    tracemalloc.stop()


def test_intermediate_values_are_freed_with_the_record(large, interpreted):
    step, x, state, params, one = large
    outputs, _final = scan(step, x, state, params)
    kept = tracemalloc.get_traced_memory()[0]
    mg.sum(outputs).backward()
    left = tracemalloc.get_traced_memory()[0]
    assert 6.5 * one < kept < 7.5 * one  # outputs, cells, four gates and tanh(c)
    assert left < 1.5 * one  # outputs


def test_nothing_is_kept_without_gradients(large, interpreted):
    step, x, state, params, one = large
    with mg.no_grad():
        outputs, _final = scan(step, x, state, params)
    assert not outputs.requires_grad
    assert tracemalloc.get_traced_memory()[1] < 1.5 * one  # never more than the outputs


def test_a_state_that_stays_as_it_is_is_not_kept_for_each_step():
    spec = (2, 2), mg.float32
    traced = traced_step(looking, [spec], [spec, spec], {"w": ((2,), mg.float32)})
    state = traced.states[1]
    assert traced.constant == {state}
    for broken in (False, True):
        kept = traced.backward((0, 1, 2, 3)).kept(broken)
        assert kept
        assert traced.constant.isdisjoint(kept)


def test_anomaly_names_the_time_step(draw):
    def exploding(x, h):
        return mg.exp(h) * x

    x, h = mg.ones((6, 1, 1)), mg.ones((1, 1))
    with np.errstate(over="ignore"), mg.anomaly(), pytest.raises(AnomalyError) as caught:
        scan(exploding, x, h)
    assert "at time step 3 of step 'exploding': exp(float32[1, 1]) produced NaN" in str(
        caught.value
    )
    assert "return mg.exp(h) * x" in str(caught.value)


# the cache of traces


def test_a_step_is_run_twice_and_once_for_each_further_number_of_rows(draw, monkeypatch):
    module = importlib.import_module("minigrad.kernels.frontend.traces")
    rows, record = [], module.record

    def recorded(step, inputs, *rest):
        rows.append(inputs[0].shape[0])
        return record(step, inputs, *rest)

    def step(x, h):
        return mg.tanh(x + h)

    monkeypatch.setattr(module, "record", recorded)
    for steps, count in [(3, 2), (5, 2), (3, 4), (3, 2), (1, 3), (2, 6)]:
        scan(step, draw(steps, count, 1), draw(count, 1))
    assert rows == [2, 3, 4, 3, 6]
    scan(step, mg.zeros((3, 2, 1)), mg.zeros((2, 1)))  # another dtype
    assert rows[5:] == [2, 3]


@pytest.mark.filterwarnings("ignore:.*something else for another number of rows")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
def test_a_step_may_branch_on_the_number_of_rows(draw, order, count):
    def step(x, h):
        return h * (2.0 if len(h) == count else 1.0) + x

    for rows in order:
        outputs, _ = scan(step, mg.zeros((2, rows, 1)), mg.ones((rows, 1)))
        assert outputs[-1, 0].item() == (4.0 if rows == count else 1.0)


def test_a_trace_does_not_keep_its_step_alive(draw):
    def make():
        return lambda x, h: mg.tanh(x + h)

    step = make()
    outputs, _ = scan(step, draw(3, 2, 1), draw(2, 1))
    mg.sum(outputs).backward()
    seen = weakref.ref(step)
    del step, outputs, _
    gc.collect()
    assert seen() is None


def test_numbers_that_a_step_reads_from_outside_may_change():
    scale = 1.0

    def step(x, h):
        return h + x * scale

    x, h = mg.ones((2, 1, 1)), mg.zeros((1, 1))
    assert scan(step, x, h)[1].item() == 2.0
    scale = 10.0
    assert scan(step, x, h)[1].item() == 20.0


def _by_dict(numbers):
    return lambda x, h: h + x * numbers["scale"]


def _by_helper(numbers):
    def scaled(x):
        return x * numbers["scale"]

    return lambda x, h: h + scaled(x)


def _by_nested_function(numbers):
    return lambda x, h: h + next(v * numbers["scale"] for v in (x,))


def _by_object(numbers):
    class Step:
        def __call__(self, x, h):
            return h + x * numbers["scale"]

    return Step()


def _by_partial(numbers):
    return functools.partial(lambda numbers, x, h: h + x * numbers["scale"], numbers)


@pytest.mark.parametrize(
    "make", [_by_dict, _by_helper, _by_nested_function, _by_object, _by_partial]
)
def test_what_a_step_reads_from_outside_in_other_ways_may_change(make):
    numbers = {"scale": 1.0}
    step = make(numbers)
    x, h = mg.ones((2, 1, 1)), mg.zeros((1, 1))
    assert scan(step, x, h)[1].item() == 2.0
    numbers["scale"] = 10.0
    assert scan(step, x, h)[1].item() == 20.0


def test_a_recorded_backward_pass_is_that_of_the_step_as_it_ran():
    scale = 1.0

    def step(x, h):
        return h + x * x * scale

    x = mg.tensor([[[2.0]], [[3.0]]], requires_grad=True)
    y = scan(step, x, mg.zeros((1, 1)))[1]
    scale = 10.0
    assert mg.grad(y, x, create_graph=True)[0].tolist() == [[[4.0]], [[6.0]]]


def test_defaults_of_a_step_may_change():
    def step(x, h, *, scale=1.0):
        return h + x * scale

    x, h = mg.ones((2, 1, 1)), mg.zeros((1, 1))
    assert scan(step, x, h)[1].item() == 2.0
    step.__kwdefaults__["scale"] = 10.0
    assert scan(step, x, h)[1].item() == 20.0


def test_attributes_of_a_step_and_of_its_helpers_may_change():
    def scaled(x):
        return x * scaled.by

    def step(x, h):
        return h + scaled(x) * step.by

    x, h = mg.ones((2, 1, 1)), mg.zeros((1, 1))
    step.by = scaled.by = 1.0
    assert scan(step, x, h)[1].item() == 2.0
    step.by = 10.0
    assert scan(step, x, h)[1].item() == 20.0
    scaled.by = 2.0
    assert scan(step, x, h)[1].item() == 40.0


def test_the_default_dtype_may_change():
    def step(x, h):
        return h + x * (1 if mg.get_default_dtype() == mg.float32 else 10)

    x, h = mg.ones((2, 1, 1)), mg.zeros((1, 1))
    assert scan(step, x, h)[1].item() == 2.0
    mg.set_default_dtype("float64")
    try:
        assert scan(step, x, h)[1].item() == 20.0
    finally:
        mg.set_default_dtype("float32")


# wrong calls


def identity(x, h):
    return h


@pytest.mark.parametrize(
    ("xs", "state", "kind", "text"),
    [
        (np.zeros((3, 2, 1)), mg.zeros((2, 1)), TypeError, "input 0 is of type ndarray"),
        (mg.zeros((3, 2, 1)), [1.0], TypeError, "state 0 is of type float; it must be a tensor"),
        ((), mg.zeros((2, 1)), ShapeError, "at least one input and one state"),
        (mg.zeros(3), mg.zeros((2, 1)), ShapeError, r"input 0 has shape \(3,\); inputs are \(T, N"),
        (
            (mg.zeros((3, 2)), mg.zeros((4, 2))),
            mg.zeros((2, 1)),
            ShapeError,
            r"the inputs have 3, 4 time steps \(axis 0\)",
        ),
        (
            mg.zeros((3, 2, 1)),
            mg.zeros((1, 4)),
            ShapeError,
            r"have shapes \(3, 2, 1\), \(1, 4\); they must agree in N",
        ),
        (mg.zeros((3, 2, 1)), mg.zeros(()), ShapeError, "must agree in N"),
    ],
)
def test_wrong_arguments(xs, state, kind, text):
    with pytest.raises(kind, match="scan of step 'identity': .*" + text):
        scan(identity, xs, state)


def test_a_loop_in_a_step_is_refused():
    def outer(x, h):
        return scan_function(identity, x, h)[1]

    with pytest.raises(TraceError, match="a loop in a loop is not supported"):
        scan(outer, mg.zeros((3, 2, 1)), mg.zeros((2, 1)))


# cells


def test_a_cell_is_its_function_and_the_names_of_its_states():
    @cell(state=("h", "c"))
    def both(x, y, h, c, *, w):
        """Add."""
        return x + h, y + c

    assert (both.inputs, both.states, both.parameters) == (("x", "y"), ("h", "c"), ("w",))
    assert both.__name__ == "both"
    assert both.__doc__.startswith("Add.\n\nParameters\n")
    assert both(1, 2, 3, 4, w=0) == (4, 6)
    assert repr(both) == "<cell both(x, y, h, c, *, w)>"
    outputs, _ = scan(both, (mg.ones((2, 1, 1)), mg.ones((2, 1, 1))), (mg.zeros((1, 1)),) * 2,
                      {"w": mg.zeros(1)})  # fmt: skip
    assert outputs.tolist() == [[[1.0]], [[2.0]]]


@pytest.mark.parametrize("states", [("c",), ("h", "c"), ("x", "h"), ()])
def test_a_cell_must_end_with_its_states(states):
    with pytest.raises(mg.errors.ArgumentError, match=r"cell: wrong\(x, h\) does not end with"):

        @cell(state=states)
        def wrong(x, h):
            return h


@pytest.mark.parametrize(
    ("function", "slopes"),
    [
        (lambda x: mg.where(x > 0, mg.log(x), 0.0), [0.0, 0.5]),
        (lambda x: mg.where(x > 0, x * mg.log(x), 0.0), [0.0, 1 + np.log(2.0)]),
        (lambda x: mg.relu(mg.log(x)), [0.0, 0.5]),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_an_element_that_a_step_drops_has_a_gradient_of_zero(function, slopes):
    x = mg.tensor(np.array([[[0.0, 2.0]]]), requires_grad=True)
    _, h = scan(lambda x, h: h + function(x), x, mg.zeros((1, 2), dtype="float64"))
    (found,) = mg.grad(h.sum(), x)
    np.testing.assert_allclose(found.numpy(), [[slopes]], rtol=1e-15)
