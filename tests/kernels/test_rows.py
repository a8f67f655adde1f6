"""Lengths, masks and resets: equal to what happens to each sequence by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.kernels import scan
from minigrad.testing.steps import random_steps

pytestmark = pytest.mark.usefixtures("both_loops")


def one_by_one(step, xs, state, params, *, lengths, mask, reset, reverse):
    """What the loop means, one row after the other, without masks: absent steps are left out."""
    steps, count = xs[0].shape[:2]
    rows = []
    for n in range(count):
        initial = current = tuple(s[n : n + 1] for s in state)
        outputs = [mg.zeros_like(initial[0])] * steps
        for t in range(lengths[n])[:: -1 if reverse else 1]:
            if reset[t, n]:
                current = initial
            if mask[t, n]:
                result = step(*(x[t, n : n + 1] for x in xs), *current, **params)
                current = result if isinstance(result, tuple) else (result,)
                outputs[t] = current[0]
        rows.append((*([mg.stack(outputs)] if steps else []), *current))
    return [mg.concat(parts, axis=-2) for parts in zip(*rows, strict=True)]


def gradients(results, inputs, cotangents):
    pairs = [(r, c) for r, c in zip(results, cotangents, strict=True) if r.requires_grad]
    if not pairs:
        return [np.zeros(i.shape) for i in inputs]
    found = mg.grad([r for r, _ in pairs], inputs, [c for _, c in pairs], allow_unused=True)
    return [
        np.zeros(i.shape) if g is None else g.numpy() for g, i in zip(found, inputs, strict=True)
    ]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@st.composite
def loops(draw):
    """A random step, arguments for it, and random lengths, masks and resets."""
    step = draw(random_steps())
    steps, count = draw(st.integers(0, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def tensor(*shape):
        return mg.tensor(rng.uniform(-1, 1, size=shape), requires_grad=True)

    xs = tuple(tensor(steps, count, width) for width in step.inputs)
    state = tuple(tensor(count, width) for width in step.states)
    params = {name: tensor(*shape) for name, shape in step.parameters.items()}
    whole, every, never = (
        [steps] * count,
        np.ones((steps, count), bool),
        np.zeros((steps, count), bool),
    )
    options = {
        "lengths": rng.integers(0, steps + 1, size=count) if draw(st.booleans()) else whole,
        "mask": rng.random((steps, count)) < 0.7 if draw(st.booleans()) else every,
        "reset": rng.random((steps, count)) < 0.3 if draw(st.booleans()) else never,
        "reverse": draw(st.booleans()),
    }
    return step, xs, state, params, options


@given(loops())
def test_a_loop_is_what_happens_to_each_row(loop):
    step, xs, state, params, options = loop
    inputs = [*xs, *state, *params.values()]
    expected = one_by_one(step, xs, state, params, **options)
    rng = np.random.default_rng(1)
    cotangents = [mg.tensor(rng.normal(size=e.shape)) for e in expected]
    slopes = gradients(expected, inputs, cotangents)
    for compile in ("auto", "never"):
        outputs, final = scan(step, xs, state, params, **options, compile=compile)
        results = [*([outputs] if len(xs[0]) else []), *final]
        assert_same([r.detach().numpy() for r in results], [e.detach().numpy() for e in expected])
        assert_same(gradients(results, inputs, cotangents), slopes)


@given(loops())
def test_second_order(loop):
    step, xs, state, params, options = loop
    inputs = [*xs, *state, *params.values()]

    def curvature(results):
        value = sum((mg.sum(mg.sin(r)) for r in results), mg.tensor(0.0, dtype="float64"))
        if not value.requires_grad:
            return [np.zeros(i.shape) for i in inputs]
        first = mg.grad(value, inputs, create_graph=True, allow_unused=True)
        energy = sum((mg.sum(g * g) for g in first if g is not None), mg.tensor(0.0))
        return gradients([energy], inputs, [mg.tensor(1.0, dtype="float64")])

    # the way back is the loop of tensors, whichever loop ran forwards
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr("minigrad.kernels.runtime.switch.switch.is_off", True)
        outputs, final = scan(step, xs, state, params, **options)
    results = [*([outputs] if len(xs[0]) else []), *final]
    assert_same(curvature(results), curvature(one_by_one(step, xs, state, params, **options)))


def logarithmic(x, tokens, h, *, table, w):
    """Infinite at x = 0 and NaN below, and an index that must be in range."""
    return mg.tanh(mg.log(x) + h @ w + mg.embedding(tokens, table))


@pytest.fixture
def draw():
    rng = np.random.default_rng(5)
    return lambda *shape: mg.tensor(rng.uniform(0.1, 1, size=shape), requires_grad=True)


@pytest.mark.parametrize("compile", ["auto", "never"])
@pytest.mark.parametrize("garbage", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.filterwarnings("error")
def test_what_stands_in_the_padding_is_never_read(garbage, compile, draw):
    x, h, w, table = draw(4, 3, 2), draw(3, 2), draw(2, 2), draw(5, 2)
    tokens = np.random.default_rng(0).integers(0, 5, size=(4, 3))
    lengths = [2, 4, 0]
    padding = np.arange(4)[:, None] >= np.array(lengths)

    def run(x, tokens):
        params = {"table": table, "w": w}
        x = mg.tensor(x, requires_grad=True)
        outputs, final = scan(
            logarithmic, (x, mg.tensor(tokens)), h, params, lengths=lengths, compile=compile
        )
        loss = mg.sum(outputs**2) + mg.sum(final)
        found = mg.grad(loss, [x, h, w, table])
        return [outputs.detach().numpy(), final.detach().numpy(), *(g.numpy() for g in found)]

    clean = x.detach().numpy()
    dirty = np.where(padding[..., None], garbage, clean)
    wanted = run(clean, tokens)
    for a, b in zip(run(dirty, np.where(padding, 999, tokens)), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (wanted[0][padding] == 0).all()
    assert (wanted[2][padding] == 0).all()


def test_an_absent_row_has_no_gradient_where_its_slope_would_be_infinite():
    """The derivative of a root is made of the root: neither 0 / 0 nor 0 * inf may come out."""
    x = mg.tensor([[[0.25], [0.0]], [[0.0], [0.0]]], requires_grad=True)
    h, w = mg.zeros((2, 1)), mg.tensor([1.0], requires_grad=True)
    outputs, _ = scan(lambda x, h, *, w: mg.sqrt(x * w), x, h, {"w": w}, lengths=[1, 0])
    gx, gw = mg.grad(mg.sum(outputs), [x, w])
    assert gx.tolist() == [[[1.0], [0.0]], [[0.0], [0.0]]]
    assert gw.tolist() == [0.25]
    with np.errstate(divide="ignore"):
        outputs, _ = scan(lambda x, h: mg.sqrt(x), x, h, mask=np.array([[0, 1], [0, 1]], bool))
        (g,) = mg.grad(mg.sum(outputs), x)
    assert g.tolist() == [[[0.0], [np.inf]], [[0.0], [np.inf]]]


def counting(x, h):
    return h + x


def test_what_the_words_say():
    x = mg.ones((5, 2, 1))
    mask = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 1]], bool).T
    reset = np.array([[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]], bool).T
    start = mg.tensor([[10.0], [20.0]])
    outputs, final = scan(counting, x, start, mask=mask, reset=reset, lengths=[5, 4])
    assert outputs[:, 0, 0].tolist() == [11.0, 12.0, 0.0, 11.0, 12.0]  # begins anew while masked
    assert outputs[:, 1, 0].tolist() == [21.0, 22.0, 23.0, 24.0, 0.0]  # no reset behind the end
    assert final[:, 0].tolist() == [12.0, 24.0]
    outputs, final = scan(counting, x, start, lengths=mg.tensor([2, 5]), reverse=True)
    assert outputs[:, 0, 0].tolist() == [12.0, 11.0, 0.0, 0.0, 0.0]
    assert final[:, 0].tolist() == [12.0, 25.0]


@pytest.mark.parametrize(
    "options",
    [
        {"lengths": [4, 4, 4]},
        {"mask": np.ones((4, 3), bool)},
        {"reset": np.zeros((4, 3), bool)},
        {"lengths": [4, 4, 4], "mask": np.ones((4, 3), bool), "reset": np.zeros((4, 3), bool)},
    ],
)
def test_options_that_say_nothing_change_nothing(options, draw):
    x, h = draw(4, 3, 2), draw(3, 2)
    outputs, final = scan(counting, x, h, **options)
    expected, last = scan(counting, x, h)
    np.testing.assert_array_equal(outputs.detach().numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(final.detach().numpy(), last.detach().numpy())


@pytest.mark.parametrize("compile", ["auto", "never"])
def test_a_bool_state_stays_bool_where_rows_are_absent(compile, interpreted):
    def toggle(x, seen):
        return mg.logical_xor(seen, x > 0)

    x, seen = mg.ones((3, 2)), mg.tensor([False, True])
    outputs, final = scan(toggle, x, seen, lengths=[3, 1], compile=compile)
    assert outputs.dtype == final.dtype == mg.bool_
    assert outputs.tolist() == [[True, False], [False, False], [True, False]]
    assert final.tolist() == [True, False]


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("steps", [0, 3])
def test_nothing_to_do(steps, count):
    x, h = mg.ones((steps, count, 1), requires_grad=True), mg.ones((count, 1), requires_grad=True)
    nobody = np.zeros((steps, count), bool)
    outputs, final = scan(counting, x, h, lengths=[0] * count, mask=nobody, reset=nobody)
    assert outputs.shape == (steps, count, 1)
    assert not outputs.detach().numpy().any()
    np.testing.assert_array_equal(final.detach().numpy(), h.detach().numpy())
    gx, gh = mg.grad(mg.sum(outputs) + mg.sum(final), [x, h], allow_unused=True)
    assert gx is None or not gx.numpy().any()
    np.testing.assert_array_equal(gh.numpy(), np.ones((count, 1)))


def test_never_runs_the_step_on_tensors():
    seen = []

    def step(x, h):
        seen.append(x.item())
        return h + x if x.item() > 1 else h

    x = mg.tensor([[[1.0]], [[2.0]], [[3.0]]])
    assert scan(step, x, mg.zeros((1, 1)), compile="never")[1].item() == 5.0
    assert seen == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"lengths": [1, 2]}, ShapeError, r"lengths have shape \(2,\).*each of the 3 rows"),
        ({"lengths": 4}, ShapeError, r"lengths have shape \(\)"),
        ({"lengths": [1.0, 2.0, 3.0]}, DtypeError, "lengths must be integers, not float32"),
        ({"lengths": [1, 5, 2]}, ArgumentError, "the length of row 1 is 5, but the input has 4 st"),
        ({"lengths": [1, 2, -1]}, ArgumentError, "row 2 is -1.*lengths go from 0 to 4"),
        (
            {"mask": np.ones((3, 4), bool)},
            ShapeError,
            r"mask has shape \(3, 4\).*\(T, N\) = \(4, 3",
        ),
        ({"mask": np.ones((4, 3))}, DtypeError, r"mask has dtype float\d+; it must be bool"),
        ({"reset": np.zeros(3, bool)}, ShapeError, r"reset has shape \(3,\)"),
        ({"reset": np.zeros((4, 3), int)}, DtypeError, "it must be bool, for instance reset != 0"),
        (
            {"compile": "allways"},
            ArgumentError,
            "must be 'auto', 'require' or 'never', not 'allways'",
        ),
        ({"compile": "requir"}, ArgumentError, "did you mean 'require'?"),
    ],
)
def test_wrong_options(options, kind, text):
    with pytest.raises(kind, match="scan of step 'counting': .*" + text):
        scan(counting, mg.ones((4, 3, 1)), mg.zeros((3, 1)), **options)
