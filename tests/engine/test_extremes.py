"""Extreme numbers through every op: 1e4, infinities, NaN, denormals, negative zero, kinks and limits."""

import math
import re
from pathlib import Path

import numpy
import pytest

import minigrad as mg
from minigrad.testing import gradgradcheck

DTYPES = ["float32", "float64"]


def values(dtype):
    tiny = float(numpy.finfo(dtype).smallest_subnormal)
    normal = float(numpy.finfo(dtype).smallest_normal)
    ordinary = [1.0, -1.0, 0.5, -0.5, 2.0, 3.0, 1e4, -1e4]
    extreme = [0.0, -0.0, tiny, -tiny, normal / 2, math.inf, -math.inf, math.nan]
    return numpy.array([*ordinary, *extreme], dtype=dtype)


@pytest.fixture(autouse=True)
def quiet():
    with numpy.errstate(all="ignore"):
        yield


# forward: NumPy's function of that name, else an independent formula in Python's math


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x)


def plain(function):
    """Turn a function of a Python float into one of arrays that keeps NaN."""

    def oracle(x):
        found = [math.nan if math.isnan(v) else function(v) for v in x.astype("float64").tolist()]
        return numpy.array(found).astype(x.dtype)

    return oracle


def gelu(x):
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


ORACLES = {
    "elu": plain(lambda x: x if x > 0 else math.expm1(x)),
    "erf": plain(math.erf),
    "gelu": plain(lambda x: math.nan if x == -math.inf else gelu(x)),
    "hard_sigmoid": plain(lambda x: min(max(x / 6 + 0.5, 0.0), 1.0)),
    "hard_tanh": plain(lambda x: min(max(x, -1.0), 1.0)),
    "leaky_relu": plain(lambda x: x if x > 0 else 0.01 * x),
    "relu": plain(lambda x: x if x > 0 else 0.0),
    "sigmoid": plain(logistic),
    "silu": plain(lambda x: x * logistic(x)),
    "softplus": plain(lambda x: x if x > 700 else math.log1p(math.exp(x))),
    "softsign": plain(lambda x: x / (1 + abs(x))),
}
ELEMENTWISE = [op for op in mg.OPS.values() if op.elementwise]
OF_ONE = [op for op in ELEMENTWISE if op.arity == 1]
OF_TWO = [op for op in ELEMENTWISE if op.arity == 2]


def arguments_of(op, dtype):
    """Return all extreme values, or all pairs of them; truth values for what takes only those."""
    xs = values(dtype)
    if op.name.startswith("bitwise"):
        xs = numpy.array([False, True])
    return [xs] if op.arity == 1 else [a.ravel() for a in numpy.meshgrid(xs, xs)]


def test_every_elementwise_op_has_an_oracle():
    assert {op.name for op in ELEMENTWISE if not hasattr(numpy, op.name)} == set(ORACLES)
    assert {op.arity for op in ELEMENTWISE} == {1, 2, 3}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", [*OF_ONE, *OF_TWO], ids=lambda op: op.name)
def test_elementwise_results_are_those_of_numpy(op, dtype):
    xs = arguments_of(op, dtype)
    oracle = ORACLES.get(op.name) or getattr(numpy, op.name)
    found, expected = op(*map(mg.tensor, xs)).numpy(), oracle(*xs)
    rounding = 4 * numpy.finfo(dtype).eps
    # what is below the smallest normal number may be rounded to its neighbour, or to 0
    smallest = 2 * float(numpy.finfo(dtype).smallest_subnormal)
    if op.name == "gelu":  # erf near -1 cancels; PyTorch's gelu does the same
        smallest = rounding
    numpy.testing.assert_allclose(found, expected, rtol=rounding, atol=smallest, strict=True)
    if op.name not in ORACLES and found.dtype.kind == "f":
        numbers = ~numpy.isnan(expected)
        assert (numpy.signbit(found) == numpy.signbit(expected))[numbers].all(), (
            "the sign of a zero"
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_and_where_are_those_of_numpy(dtype):
    a, b = (x.ravel() for x in numpy.meshgrid(values(dtype), values(dtype)))
    numpy.testing.assert_array_equal(mg.clip(mg.tensor(a), -1, 1).numpy(), numpy.clip(a, -1, 1))
    numpy.testing.assert_array_equal(
        mg.clip(mg.tensor(a), mg.tensor(b), None).numpy(), numpy.clip(a, b, None)
    )
    chosen = mg.where(mg.tensor(a > b), mg.tensor(a), mg.tensor(b))
    numpy.testing.assert_array_equal(chosen.numpy(), numpy.where(a > b, a, b))


REDUCTIONS = {
    "all": numpy.all,
    "any": numpy.any,
    "argmax": numpy.argmax,
    "argmin": numpy.argmin,
    "argsort": lambda x, axis: numpy.argsort(x, axis=axis, stable=True),
    "cumulative_sum": numpy.cumsum,
    "logsumexp": numpy.logaddexp.reduce,
    "max": numpy.max,
    "mean": numpy.mean,
    "min": numpy.min,
    "prod": numpy.prod,
    "sort": numpy.sort,
    "std": numpy.std,
    "sum": numpy.sum,
    "var": numpy.var,
    "vector_norm": lambda x, axis: numpy.linalg.norm(x, axis=axis),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_those_of_numpy(name, dtype):
    pairs = numpy.stack([x.ravel() for x in numpy.meshgrid(values(dtype), values(dtype))], axis=-1)
    found = getattr(mg, name)(mg.tensor(pairs), axis=-1).numpy()
    rounding = 8 * numpy.finfo(dtype).eps
    expected = REDUCTIONS[name](pairs, axis=-1)
    numpy.testing.assert_allclose(found, expected, rtol=rounding, atol=0, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bounds", [(1e-300, 1e-3), (1e-3, 0.84375), (0.84375, 1), (1, 4), (4, 7)])
def test_erf_is_right_to_the_last_digits(bounds, dtype):
    grid = numpy.linspace(*bounds, 20001).astype(dtype)
    grid = grid[grid >= numpy.finfo(dtype).smallest_normal]
    expected = numpy.array([math.erf(x) for x in grid.tolist()])
    for sign in (1, -1):
        found = mg.erf(mg.tensor(sign * grid)).numpy().astype("float64")
        error = numpy.abs(sign * found - expected) / expected
        assert error.max() < (3e-16 if dtype == "float64" else 1.8e-7)


# gradients


def infinite_slopes(op, dtype):
    """Return the points at which the result is finite and a gradient is not."""
    xs = [mg.tensor(x, requires_grad=True) for x in arguments_of(op, dtype)]
    y = op(*xs)
    gs = mg.grad(y, xs, mg.ones(y.shape, dtype=y.dtype))
    finite = numpy.isfinite(y.detach().numpy())
    for x in xs:
        finite &= ~numpy.isnan(x.detach().numpy())
    wild = finite & ~numpy.all([numpy.isfinite(g.numpy()) for g in gs], axis=0)
    return [tuple(float(x.detach().numpy()[i]) for x in xs) for i in numpy.flatnonzero(wild)]


# the tables of docs/limits.md


def rows_of(heading):
    text = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \|", section, flags=re.MULTILINE)


LIMITS = [
    row for heading in ("Kinks and jumps", "Limits", "Infinite slopes") for row in rows_of(heading)
]
NUMBERS = {"inf": math.inf, "nan": math.nan}


def test_the_tables_of_limits_are_read():
    assert len(LIMITS) > 45


@pytest.mark.parametrize("create_graph", [False, True], ids=["first order", "recorded"])
@pytest.mark.parametrize(("function", "at", "gradient"), LIMITS)
def test_the_gradient_at_a_limit_is_as_documented(function, at, gradient, create_graph):
    points = eval(f"dict({at})", {**NUMBERS})
    xs = {k: mg.tensor(v, dtype="float64", requires_grad=True) for k, v in points.items()}
    y = eval(function, {**vars(mg), **NUMBERS, **xs})
    found = mg.grad(y.sum(), list(xs.values()), create_graph=create_graph)
    expected = eval(gradient, {**NUMBERS})
    expected = expected if isinstance(expected, tuple) else (expected,)
    for g, e in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(g.detach().numpy(), e, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "op", [op for op in [*OF_ONE, *OF_TWO] if op.rules is not None], ids=lambda op: op.name
)
def test_gradients_of_finite_results_are_finite_or_documented(op, dtype):
    documented = {re.match(r"\w+", function)[0] for function, _, _ in rows_of("Infinite slopes")}
    assert bool(infinite_slopes(op, dtype)) == (op.name in documented)


# an element that is dropped has no influence


def guarded(inner, outer):
    """``outer`` drops the first element of ``inner(x)``, which is singular at 0."""
    return lambda x: outer(x, inner(x))


INNER = {
    "log": mg.log,
    "sqrt": mg.sqrt,
    "power": lambda x: x**0.5,
    "reciprocal": lambda x: 1 / x,
    "x log x": lambda x: x * mg.log(x),
    "square of log": lambda x: mg.square(mg.log(x)),
    "scaled and shifted": lambda x: 1 - 3 * mg.log(x),
    "ratio": lambda x: mg.sin(x) / x,
    "log of sum": lambda x: mg.log(x + 0 * x),
    "overflow": lambda x: mg.exp(1 / x),
    "through reshape": lambda x: mg.log(x).reshape(1, -1).reshape(-1),
    "through broadcast": lambda x: mg.broadcast_to(mg.log(x), (2, 2))[0],
    "through concat": lambda x: mg.concat([mg.log(x), x])[:2],
    "through flip": lambda x: mg.flip(mg.log(mg.flip(x))),
    "through sum": lambda x: mg.sum(mg.log(mg.stack([x, x])), axis=0),
    "through mean": lambda x: mg.mean(mg.log(mg.stack([x, 2 * x])), axis=0),
    "through split": lambda x: mg.split(mg.log(mg.concat([x, x])), 2)[0],
    "through layers": lambda x: mg.exp(mg.tanh(mg.log(x) * 2) + mg.sqrt(x)),
}
OUTER = {
    "where": lambda x, y: mg.where(x > 0, y, 0.0),
    "where, other side": lambda x, y: mg.where(x <= 0, 0.0, y),
    "getitem": lambda x, y: y[1:],
    "mask": lambda x, y: y[x > 0],
    "gather": lambda x, y: mg.gather(y, mg.tensor([1])),
    "set": lambda x, y: y.at[0].set(0.0),
    "triangle": lambda x, y: (
        mg.triu(mg.stack([x, y]).mT)[0, 0] + mg.tril(mg.stack([y, x]).mT)[1, 0]
    ),
}


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", INNER)
def test_a_dropped_element_has_a_gradient_of_zero(inner, outer):
    function = guarded(INNER[inner], OUTER[outer])
    x = mg.tensor([0.0, 0.7], dtype="float64", requires_grad=True)
    alone = mg.tensor([0.7, 0.7], dtype="float64", requires_grad=True)
    (expected,) = mg.grad(function(alone).sum(), alone)
    (first,) = mg.grad(function(x).sum(), x)
    assert first.numpy()[0] in (0.0, 1.0)  # 1: the diagonal that `triangle` keeps
    numpy.testing.assert_allclose(first.numpy()[1], expected.numpy()[1], rtol=1e-13)
    (recorded,) = mg.grad(function(x).sum(), x, create_graph=True)
    numpy.testing.assert_allclose(recorded.detach().numpy(), first.numpy(), rtol=1e-13)
    (second,) = mg.grad((recorded * mg.tensor([3.0, 2.0], dtype="float64")).sum(), x)
    assert second.numpy()[0] == 0
    assert numpy.isfinite(second.numpy()[1])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: mg.relu(mg.log(x)),
        lambda x: mg.clip(mg.log(x), -1, 1),
        lambda x: mg.maximum(mg.sqrt(x), 0.1),
        lambda x: mg.minimum(-mg.log(x), 1.0),
        lambda x: mg.hard_tanh(mg.log(x)),
        lambda x: mg.hard_sigmoid(5 * mg.log(x)),
        lambda x: mg.max(mg.log(x)),
        lambda x: mg.min(1 / x),
    ],
)
def test_a_choice_drops_what_it_does_not_choose(function):
    x = mg.tensor([0.0, 1.7], dtype="float64", requires_grad=True)
    (first,) = mg.grad(function(x).sum(), x, create_graph=True)
    assert first.detach().numpy()[0] == 0
    assert first.detach().numpy()[1] != 0
    (second,) = mg.grad(first.sum(), x)
    assert second.numpy()[0] == 0
    assert numpy.isfinite(second.numpy()).all()


@pytest.mark.parametrize("choose", [mg.relu, lambda y: y[:], lambda y: mg.where(y > 0, y, 0.0)])
def test_a_cotangent_of_zero_does_not_hide_second_derivatives(choose):
    # the first gradient is 0 at the minimum, and the second is not
    x = mg.tensor([0.5], dtype="float64", requires_grad=True)
    target = mg.exp(x.detach())
    (first,) = mg.grad((0.5 * mg.square(choose(mg.exp(x)) - target)).sum(), x, create_graph=True)
    assert first.item() == 0
    (second,) = mg.grad(first, x)
    numpy.testing.assert_allclose(second.numpy(), numpy.exp([1.0]), rtol=1e-14)


def test_forward_derivatives_pass_through_choices():
    # jvp pulls back a cotangent of zero, which must not count as "not chosen"
    x, v = mg.tensor([0.5, 0.0], dtype="float64"), mg.tensor([1.0, 1.0], dtype="float64")
    _, tangent = mg.jvp(lambda x: mg.relu(mg.exp(x)), [x], [v])
    numpy.testing.assert_allclose(tangent.numpy(), numpy.exp(x.numpy()), rtol=1e-14)
    _, tangent = mg.jvp(lambda x: mg.where(x > 0, x * mg.log(x), 0.0), [x], [v])
    numpy.testing.assert_allclose(tangent.numpy(), [1 + math.log(0.5), 0], rtol=1e-14)


def test_derivatives_by_unused_infinite_arguments_are_zero():
    x, y = mg.tensor([1.0, 2.0]), mg.tensor([math.inf, math.nan])
    _, pull_back = mg.vjp(lambda x, y: x * 2, x, y)
    numpy.testing.assert_array_equal(pull_back(mg.ones(2))[1].numpy(), [0, 0])
    _, pull_back = mg.vjp(lambda y: mg.ones(2), y)
    numpy.testing.assert_array_equal(pull_back(mg.ones(2))[0].numpy(), [0, 0])
    _, products = mg.hvp(lambda x, y: (x * x).sum(), [x, y], [mg.ones(2), mg.ones(2)])
    numpy.testing.assert_array_equal(products[1].numpy(), [0, 0])
    _, tangent = mg.jvp(lambda x: mg.ones(2) * math.inf, [x], [mg.ones(2)])
    numpy.testing.assert_array_equal(tangent.numpy(), [0, 0])


def test_second_derivatives_next_to_a_dropped_element_are_right():
    x = mg.tensor([0.4, 0.7], dtype="float64")
    gradgradcheck(lambda x: mg.where(x > 0.5, x * mg.log(x), x**3), x)
    gradgradcheck(lambda x: mg.relu(mg.log(x) + 0.5) * x, x)


def test_an_infinite_slope_that_is_chosen_stays_infinite():
    x = mg.tensor([0.0, 1.0], dtype="float64", requires_grad=True)
    (g,) = mg.grad(mg.where(x < 1, mg.sqrt(x), 0.0).sum(), x)
    numpy.testing.assert_array_equal(g.numpy(), [math.inf, 0])


def test_nan_is_not_hidden_where_it_was_chosen():
    x = mg.tensor([-1.0, 1.0], dtype="float64", requires_grad=True)
    (g,) = mg.grad((mg.where(x < 0, mg.sqrt(x), 0.0) * x).sum(), x)
    assert numpy.isnan(g.numpy()[0])
