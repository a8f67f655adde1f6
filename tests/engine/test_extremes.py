"""Extreme numbers through every op: 1e4, infinities, NaN, denormals, negative zero, kinks and limits."""

import functools
import itertools
import math
import re
from pathlib import Path

import numpy
import pytest

import minigrad as mg
from minigrad.op import Composite
from minigrad.ops.index import ARRAY
from minigrad.testing import gradgradcheck
from minigrad.testing.routes import call, is_array, is_differentiable, listed
from minigrad.testing.strategies import HypothesisDraw

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
    "count_nonzero": numpy.count_nonzero,
    "cumulative_prod": numpy.cumprod,
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


@pytest.mark.parametrize(("function", "at", "result"), rows_of("NaN that is kept"))
def test_a_result_is_nan_as_documented(function, at, result):
    points = eval(f"dict({at})", {**NUMBERS})
    xs = {k: mg.tensor(v, dtype="float64") for k, v in points.items()}
    found = eval(function, {**vars(mg), **NUMBERS, **xs})
    numpy.testing.assert_array_equal(found.numpy(), eval(result, {**NUMBERS}))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "op", [op for op in [*OF_ONE, *OF_TWO] if op.rules is not None], ids=lambda op: op.name
)
def test_gradients_of_finite_results_are_finite_or_documented(op, dtype):
    documented = {re.match(r"\w+", function)[0] for function, _, _ in rows_of("Infinite slopes")}
    assert bool(infinite_slopes(op, dtype)) == (op.name in documented)


# every row of the tables, on arguments of its own domain with extreme elements

ROWS = [*mg.OPS.values(), *mg.COMPOSITES.values()]
STRUCTURED = [row for row in ROWS if isinstance(row, Composite) or not row.elementwise]
CASES = 16
KINDS = {
    "large": (1e4, -1e4),
    "denormal": ("denormal", "-denormal"),
    "infinite": (math.inf,),
    "masked": (-math.inf,),
    "not a number": (math.nan,),
}


class Sampled(HypothesisDraw):
    """Draws from NumPy's random numbers: all choices of a domain come up in a few cases."""

    def __init__(self, rng, domain):
        super().__init__(None, domain)
        self.rng = rng

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def boolean(self):
        return bool(self.integer(0, 1))

    def shape(self, min_dims=0, max_dims=3, min_side=0):
        least = 0 if min_side == 0 and self.integer(0, 7) == 7 else max(min_side, 1)
        return tuple(self.integer(least, 4) for _ in range(self.integer(min_dims, max_dims)))

    def integers(self, *shape, low, high):
        return self.rng.integers(low, high + 1, shape)

    def booleans(self, *shape):
        return self.integers(*shape, low=0, high=1).astype(bool)

    def permutation(self, n):
        return tuple(self.rng.permutation(n).tolist())


@functools.cache
def cases_of(row):
    """Return some arguments and attributes of the domain of ``row``, the same each time."""
    rng = numpy.random.default_rng(0)
    draw = Sampled(rng, row.domain)
    if row.domain.arguments is not None:
        return [row.domain.arguments(draw) for _ in range(CASES)]
    shapes = [draw.shape() for _ in range(CASES)]
    return [(tuple(draw.array(*shape) for _ in range(row.arity)), {}) for shape in shapes]


def changed(value, places, content):
    value = value.copy()
    value[places] = content
    return value


def with_extremes(args, kind, dtype, rng, first_only=False):
    """Return ``args`` in ``dtype``, with extreme numbers at about half of the places, or at all."""
    tiny = float(numpy.finfo(dtype).smallest_subnormal)
    choices = [{"denormal": tiny, "-denormal": -tiny}.get(v, v) for v in KINDS[kind]]
    remaining = itertools.count()

    def change(value):
        if not is_differentiable(value):
            return value
        value = value.astype(dtype)
        if first_only and next(remaining):
            return value
        places = rng.random(value.shape) < rng.choice([0.5, 1.0])
        return changed(value, places, rng.choice(choices, places.sum()))

    return [change(value) for value in args]


PROBABILITIES = {"binary_cross_entropy", "binary_log_loss"}  # they refuse other numbers


def extremes_of(row, args, *how, **options):
    """Return `with_extremes`, within what ``row`` takes."""
    args = with_extremes(args, *how, **options)
    if row.name not in PROBABILITIES:
        return args
    return [numpy.clip(numpy.nan_to_num(a), 0, 1) if is_differentiable(a) else a for a in args]


def run(row, args, attrs, requires_grad=False):
    """Return the float tensors that ``row`` was called with, and its results."""
    given = [
        mg.tensor(a, requires_grad=requires_grad and is_differentiable(a)) if is_array(a) else a
        for a in args
    ]
    return [x for x in given if is_differentiable(x)], listed(call(row, given, attrs))


def all_finite(tensors):
    return all(numpy.isfinite(t.detach().numpy()).all() for t in tensors)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.full), "float64"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_takes_extreme_numbers(row, dtype):
    # warnings are errors here, but for those that NumPy's errstate silences
    documented = {re.match(r"\w+", function)[0] for function, _, _ in rows_of("Infinite slopes")}
    rng, checked = numpy.random.default_rng(0), False
    for (args, attrs), kind in itertools.product(cases_of(row), KINDS):
        usual = [a.astype(dtype) if is_differentiable(a) else a for a in args]
        xs, ys = run(row, extremes_of(row, args, kind, dtype, rng), attrs, requires_grad=True)
        expected = [(y.shape, y.dtype) for y in run(row, usual, attrs)[1]]
        assert [(y.shape, y.dtype) for y in ys] == expected
        ys = [y for y in ys if y.requires_grad]
        if not ys:
            continue
        gs = mg.grad(ys, xs, [mg.ones(y.shape, dtype=y.dtype) for y in ys], allow_unused=True)
        gs = [mg.zeros_like(x) if g is None else g for x, g in zip(xs, gs, strict=True)]
        assert [(g.shape, g.dtype) for g in gs] == [(x.shape, x.dtype) for x in xs]
        known = row.name in documented and (kind == "denormal" or row not in STRUCTURED)
        if all_finite([*xs, *ys]) and not known:
            assert all_finite(gs), f"{kind}: {args} {attrs}"
            checked |= any(x.size for x in xs)
    if row in STRUCTURED:
        assert checked == (isinstance(row, Composite) or row.rules is not None)


# sums of products, which are linear in each argument
MULTILINEAR = {row.name for row in ROWS if row.domain.sharp == "linear"} | {"contract", "einsum"}
# zeros of their padding are multiplied with a weight, and 0 * nan is NaN
PADDED_BY_ZEROS = {"conv1d", "conv2d"}
SPREADING = [row for row in ROWS if row.name in (MULTILINEAR | {"pad"}) - PADDED_BY_ZEROS]


@pytest.mark.parametrize("row", SPREADING, ids=lambda row: row.name)
def test_nan_goes_where_any_other_number_goes_and_nowhere_else(row):
    rng = numpy.random.default_rng(0)
    for args, attrs in cases_of(row):
        _, before = run(row, args, attrs)
        for i, x in enumerate(args):
            if not is_differentiable(x) or not x.size:
                continue
            place = tuple(rng.integers(n) for n in x.shape)
            other, nan = (
                run(row, [*args[:i], changed(x, place, value), *args[i + 1 :]], attrs)[1]
                for value in (7.25, math.nan)
            )
            for y, z, bad in zip(
                *([t.numpy() for t in ts] for ts in (before, other, nan)), strict=True
            ):
                numpy.testing.assert_array_equal(numpy.isnan(bad), y != z)
                numpy.testing.assert_array_equal(bad[y == z], y[y == z])


# what NumPy or a formula written out says of rows that are not elementwise


def keyed(key, arrays):
    remaining = iter(arrays)
    return tuple(next(remaining) if part is ARRAY else part for part in key)


def positions_in_order(x, axis, descending, stable=True):
    """Sort positions with Python's stable sort; NaN counts as largest, as in NumPy."""

    def order(line):
        def rank(i):
            return (math.isnan(line[i]), 0.0 if math.isnan(line[i]) else line[i])

        return numpy.array(sorted(range(len(line)), key=rank, reverse=descending))

    return numpy.apply_along_axis(order, axis, x)


def in_order(x, axis, descending, stable=True):
    return numpy.take_along_axis(x, positions_in_order(x, axis, descending), axis)


def largest(x, k, axis, largest):
    first = numpy.arange(k)
    return (
        in_order(x, axis, largest).take(first, axis),
        positions_in_order(x, axis, largest).take(first, axis),
    )


def index_set(x, values, *arrays, key):
    x = x.copy()
    x[keyed(key, arrays)] = values
    return x


def index_add(x, values, *arrays, key):
    x = x.copy()
    numpy.add.at(x, keyed(key, arrays), values)
    return x


def added_along(x, indices, values, axis):
    x = x.copy()
    for place in numpy.ndindex(indices.shape):
        target = list(place)
        target[axis] = indices[place]
        x[tuple(target)] += values[place]
    return x


def written_last(x, *arrays, key):
    places = numpy.arange(x.size).reshape(x.shape)[keyed(key, arrays)]
    last = {place: i for i, place in enumerate(places.ravel().tolist())}
    written = [last[place] == i for i, place in enumerate(places.ravel().tolist())]
    return numpy.array(written, dtype=bool).reshape(places.shape)


def put_diagonal(x, shape, offset):
    y = numpy.zeros((*x.shape[:-1], *shape), x.dtype)
    for i in range(x.shape[-1]):
        y[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return y


def pick_class(x, target, ignore_index):
    y = numpy.zeros(target.shape, x.dtype)
    for place in numpy.ndindex(target.shape):
        if target[place] != ignore_index:
            y[place] = x[(*place[:1], target[place], *place[1:])]
    return y


def put_class(values, target, classes, ignore_index):
    y = numpy.zeros((*target.shape[:1], classes, *target.shape[1:]), values.dtype)
    for place in numpy.ndindex(target.shape):
        if target[place] != ignore_index:
            y[(*place[:1], target[place], *place[1:])] = values[place]
    return y


def sum_to(x, shape):
    wide = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, n in enumerate(wide) if n != x.shape[i])
    return x.sum(axis=axes, keepdims=True).reshape(shape)


def cut(x, sections, axis):
    ends = sections if isinstance(sections, int) else numpy.cumsum(sections)[:-1]
    return numpy.split(x, ends, axis=axis)


def running(function, initial):
    def oracle(x, axis, include_initial, dtype=None):
        y = function(x, axis=axis)
        widths = [(int(i == axis % x.ndim), 0) for i in range(x.ndim)]
        return numpy.pad(y, widths, constant_values=initial) if include_initial else y

    return oracle


def vector_norm(x, axis, keepdims, ord):
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    rows = numpy.moveaxis(x, axes, range(len(axes))) if axes else x
    rows = rows.reshape(-1, *rows.shape[len(axes) :])
    y = numpy.linalg.norm(rows, ord, axis=0)
    return numpy.expand_dims(y, axes) if keepdims else y


# rows that only move elements: the result is the same bit for bit
MOVES = {
    "argsort": positions_in_order,
    "astype": lambda x, dtype: x.astype(dtype),
    "broadcast_arrays": numpy.broadcast_arrays,
    "broadcast_to": numpy.broadcast_to,
    "concat": lambda *xs, axis: numpy.concatenate(xs, axis=axis),
    "diagonal": lambda x, offset: numpy.diagonal(x, offset, -2, -1),
    "embedding": lambda indices, weight, padding_idx: weight.take(indices, axis=0),
    "expand_dims": numpy.expand_dims,
    "flatten": numpy.ravel,
    "flip": numpy.flip,
    "gather": numpy.take_along_axis,
    "getitem": lambda x, *arrays, key: x[keyed(key, arrays)],
    "index_set": index_set,
    "matrix_transpose": lambda x: numpy.swapaxes(x, -1, -2),
    "meshgrid": numpy.meshgrid,
    "moveaxis": numpy.moveaxis,
    "one_hot": lambda i, num_classes: numpy.eye(num_classes, dtype="float32")[i],
    "pad": lambda x, pad_width, value: (
        numpy.pad(x, pad_width, constant_values=value) if x.ndim else x
    ),
    "permute_dims": numpy.transpose,
    "pick_class": pick_class,
    "put_class": put_class,
    "put_diagonal": put_diagonal,
    "repeat": numpy.repeat,
    "reshape": numpy.reshape,
    "roll": numpy.roll,
    "searchsorted": numpy.searchsorted,
    "sort": in_order,
    "split": cut,
    "squeeze": numpy.squeeze,
    "stack": lambda *xs, axis: numpy.stack(xs, axis=axis),
    "swapaxes": numpy.swapaxes,
    "take": numpy.take,
    "take_along_axis": numpy.take_along_axis,
    "tile": numpy.tile,
    "topk": largest,
    "transfer": lambda x, device: x,
    "tril": numpy.tril,
    "triu": numpy.triu,
    "unstack": lambda x, axis: list(numpy.moveaxis(x, axis, 0)),
    "written_last": written_last,
}


def windows_of(x, kernel, stride, dilation):
    """Yield the places of all windows over the axes after the second, and their keys."""
    fits = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in fits]
    for place in itertools.product(*map(range, counts)):
        steps = zip(place, kernel, stride, dilation, strict=True)
        yield place, tuple(slice(p * s, p * s + d * (k - 1) + 1, d) for p, k, s, d in steps)


def windows(x, kernel, stride, dilation):
    found = dict(windows_of(x, kernel, stride, dilation))
    y = numpy.empty((*x.shape[:2], math.prod(kernel), *(n + 1 for n in max(found))), x.dtype)
    for place, key in found.items():
        y[(..., *place)] = x[(..., *key)].reshape(y.shape[:3])
    return y


def put_windows(values, size, kernel, stride, dilation):
    x = numpy.zeros((*values.shape[:2], *size), values.dtype)
    for place, key in windows_of(x, kernel, stride, dilation):
        x[(..., *key)] += values[(..., *place)].reshape(*x.shape[:2], *kernel)
    return x


def products(x, weight, stride, dilation, groups):
    """Yield, for each output channel and place: channel, place, and the key of what is multiplied."""
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    for place, key in windows_of(x, weight.shape[2:], stride, dilation):
        for channel in range(weight.shape[0]):
            start = channel // outputs * inputs
            yield channel, place, (slice(None), slice(start, start + inputs), *key)


def convolution(x, weight, **attrs):
    terms = {
        (channel, *place): (x[key] * weight[channel]).sum(axis=tuple(range(1, x.ndim)))
        for channel, place, key in products(x, weight, **attrs)
    }
    shape = tuple(n + 1 for n in max(terms))
    return numpy.stack(list(map(terms.get, numpy.ndindex(shape))), 1).reshape(len(x), *shape)


def convolution_input(g, weight, size, **attrs):
    x = numpy.zeros((g.shape[0], weight.shape[1] * attrs["groups"], *size), g.dtype)
    for channel, place, key in products(x, weight, **attrs):
        scale = g[(slice(None), channel, *place)]
        x[key] += scale.reshape(-1, *(1,) * (x.ndim - 1)) * weight[channel]
    return x


def convolution_weight(x, g, kernel, groups, **attrs):
    weight = numpy.zeros((g.shape[1], x.shape[1] // groups, *kernel), x.dtype)
    for channel, place, key in products(x, weight, groups=groups, **attrs):
        scale = g[(slice(None), channel, *place)]
        weight[channel] += (scale.reshape(-1, *(1,) * (x.ndim - 1)) * x[key]).sum(axis=0)
    return weight


def bordered(x, rank, widths, value):
    x = x if x.ndim == rank + 2 else x[None]
    return numpy.pad(x, [(0, 0), (0, 0), *widths], constant_values=value)


def each_axis(value, rank):
    return value if isinstance(value, tuple) else (value,) * rank


def conv(x, weight, bias, stride, padding, dilation, groups):
    rank = weight.ndim - 2
    spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    widths = [(n, n) for n in each_axis(0 if isinstance(padding, str) else padding, rank)]
    if padding == "same":
        widths = [(n // 2, n - n // 2) for n in spans]
    attrs = {"stride": each_axis(stride, rank), "dilation": dilation, "groups": groups}
    y = convolution(bordered(x, rank, widths, 0.0), weight, **attrs)
    y = y if bias is None else y + bias.reshape(-1, *(1,) * rank)
    return y if x.ndim == rank + 2 else y[0]


def conv_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation):
    rank = weight.ndim - 2
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    ends = zip(x.shape[-rank:], spans, stride, output_padding, strict=True)
    size = [(n - 1) * s + span + more for n, span, s, more in ends]
    y = numpy.zeros((*x.shape[: x.ndim - rank - 1], weight.shape[1] * groups, *size), x.dtype)
    share, made = len(weight) // groups, weight.shape[1]
    for channel, place in itertools.product(range(len(weight)), numpy.ndindex(x.shape[-rank:])):
        steps = zip(place, spans, stride, dilation, strict=True)
        key = tuple(slice(p * s, p * s + span, d) for p, span, s, d in steps)
        start = channel // share * made
        one = x[(..., channel, *place)].reshape(-1, *(1,) * (rank + 1))
        y[(..., slice(start, start + made), *key)] += (one * weight[channel]).reshape(
            *x.shape[: x.ndim - rank - 1], *weight.shape[1:]
        )
    y = y[(..., *(slice(p, n - p) for p, n in zip(padding, size, strict=True)))]
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)


def pool(reduce, border):
    def pooled(x, kernel, stride, padding, dilation=1, ceil_mode=False):
        rank = len(kernel)
        stride, dilation = stride or kernel, each_axis(dilation, rank)
        widths = []
        axes = (x.shape[-rank:], each_axis(padding, rank), kernel, stride, dilation)
        for size, width, k, step, d in zip(*axes, strict=True):
            end, start = size + 2 * width - d * (k - 1) - 1, 0
            while start < end:  # the first window that reaches the end
                start += step
            may_stick_out = ceil_mode and start < size + width
            widths.append((width, width + start - end if may_stick_out else width))
        wide = bordered(x, rank, widths, border)
        y = reduce(windows(wide, kernel, stride, dilation), axis=2)
        return y if x.ndim == rank + 2 else y[0]

    return pooled


def average_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    total = pool(numpy.sum, 0.0)(x, kernel, stride, padding, ceil_mode=ceil_mode)
    if divisor_override is not None:
        return total / divisor_override
    rank, counted = len(kernel), numpy.ones(x.shape)
    if count_include_pad:
        widths = [(width, width) for width in each_axis(padding, rank)]
        wide = bordered(counted, rank, widths, 1.0)
        counted, padding = wide if x.ndim == rank + 2 else wide[0], 0
    count = pool(numpy.sum, 0.0)(counted, kernel, stride, padding, ceil_mode=ceil_mode)
    return total / count[tuple(map(slice, total.shape))]


def adaptive_pool(x, output_size):
    rank = len(output_size)
    counts = [n if c is None else c for n, c in zip(x.shape[-rank:], output_size, strict=True)]
    y = numpy.zeros((*x.shape[:-rank], *counts))
    for place in numpy.ndindex(*counts):
        window = x
        for axis, (i, count) in enumerate(zip(place, counts, strict=True), x.ndim - rank):
            size = x.shape[axis]
            inside = range(math.floor(i * size / count), math.ceil((i + 1) * size / count))
            window = window.take(inside, axis)
        y[(..., *place)] = window.mean(axis=tuple(range(-rank, 0)))
    return y


def prelu(x, weight):
    slope = weight.reshape(-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else weight.sum()
    return numpy.where(x > 0, x, slope * x)


def by_rows(function):
    """Turn a function of a vector into one along an axis, several axes, or all (None)."""

    def along(x, axis):
        axes = tuple(range(x.ndim)) if axis is None else axis
        axes = axes if isinstance(axes, tuple) else (axes,)
        last = tuple(range(x.ndim - len(axes), x.ndim))
        moved = numpy.moveaxis(x, axes, last)
        rows = moved.reshape(-1, math.prod(moved.shape[x.ndim - len(axes) :]))
        y = numpy.array([function(row) for row in rows]).reshape(moved.shape)
        return numpy.moveaxis(y, last, axes)

    return along


@by_rows
def log_softmax(row):
    if not (row < math.inf).all():  # also where it is NaN
        return numpy.full_like(row, math.nan)
    kept = row > -math.inf
    y = numpy.full_like(row, -math.inf)
    y[kept] = [-numpy.logaddexp.reduce(row[kept] - v) for v in row[kept]]
    return y


def softmax(x, axis):
    return numpy.exp(log_softmax(x, axis))


def matching(query, key, scale):
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    return (query[..., :, None, :] * scale * key[..., None, :, :]).sum(axis=-1)


def attention(query, key, value, mask, is_causal, scale):
    scores = matching(query, key, scale)
    mask = numpy.tri(*scores.shape[-2:], dtype=bool) if is_causal else mask
    if mask is not None:
        scores = numpy.where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    weights = softmax(scores, -1) if scores.size else scores
    return (weights[..., None] * value[..., None, :, :]).sum(axis=-2)


def size_of_attention(query, key, value, mask, is_causal, scale):
    """An error of the scores is one of the exponents."""
    scores = matching(query, key, scale) + (0 if mask is None else mask)
    size = (1 + numpy.nanmax(scores, initial=0)) * value.max(initial=0)
    return numpy.full((*scores.shape[:-1], value.shape[-1]), size)


def reduced(loss, reduction):
    return {"none": numpy.asarray, "mean": numpy.mean, "sum": numpy.sum}[reduction](loss)


def likelihood(scores, target, weight, reduction, ignore_index=-100, label_smoothing=0.0):
    """Go through the places one by one; a class target is an integer, else probabilities."""
    axis = min(1, scores.ndim - 1)
    rows = numpy.moveaxis(scores, axis, -1)
    weight = numpy.ones(rows.shape[-1]) if weight is None else weight
    losses, total = numpy.zeros(rows.shape[:-1]), 0.0
    for place in numpy.ndindex(losses.shape):
        row = rows[place]
        if target.dtype.kind == "f":
            share = numpy.moveaxis(target, axis, -1)[place]
            share = share * (1 - label_smoothing) + label_smoothing / len(row)
            row = numpy.where((share == 0) & numpy.isneginf(row), 0.0, row)
            losses[place], total = -(share * row * weight).sum(), total + 1
        elif (chosen := target[place]) != ignore_index:
            losses[place] = -row[chosen] * weight[chosen]
            if label_smoothing:
                smooth = -(row * weight).mean()
                losses[place] = (1 - label_smoothing) * losses[place] + label_smoothing * smooth
            total += weight[chosen]
    if reduction == "mean":
        return losses.sum() / total if total else numpy.float64(math.nan)
    return reduced(losses, reduction)


def cross_entropy(x, target, weight, **attrs):
    return likelihood(log_softmax(x, min(1, x.ndim - 1)), target, weight, **attrs)


def binary_cross_entropy(x, target, weight, pos_weight, reduction):
    pos_weight = 1.0 if pos_weight is None else pos_weight
    log_p, log_q = -numpy.logaddexp(0, -x), -numpy.logaddexp(0, x)
    loss = -(pos_weight * target * log_p + (1 - target) * log_q)
    return reduced(loss if weight is None else loss * weight, reduction)


def of_probabilities(x, target):
    """Go through the pairs; the logarithm of 0 counts as -100."""

    def loss(p, q):
        logs = [max(math.log(v), -100.0) if v > 0 else -100.0 for v in (p, 1 - p)]
        return -(q * logs[0] + (1 - q) * logs[1])

    return numpy.array([*map(loss, x.ravel(), target.ravel())]).reshape(x.shape)


def kl_div(x, target, reduction, log_target):
    p = numpy.exp(target) if log_target else target
    with numpy.errstate(divide="ignore", invalid="ignore"):
        loss = numpy.where(p == 0, 0.0, p * ((target if log_target else numpy.log(target)) - x))
    return loss.sum() / len(x) if reduction == "batchmean" else reduced(loss, reduction)


def cosine_similarity(x, y, axis, eps):
    x, y = numpy.broadcast_arrays(x, y)
    sizes = [numpy.maximum(numpy.linalg.norm(v, axis=axis, keepdims=True), eps) for v in (x, y)]
    return ((x / sizes[0]) * (y / sizes[1])).sum(axis=axis)


def huber_loss(x, target, delta, reduction):
    d = abs(x - target)
    return reduced(numpy.where(d <= delta, d * d / 2, delta * (d - delta / 2)), reduction)


def smooth_l1_loss(x, target, beta, reduction):
    d = abs(x - target)
    small = d < beta
    return reduced(numpy.where(small, d * d / (2 * beta or 1), d - beta / 2), reduction)


def layer_norm(x, shape, weight, bias, eps):
    axes = tuple(range(-len(shape), 0))
    y = x - x.mean(axis=axes, keepdims=True)
    y = y / numpy.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


def group_norm(x, groups, weight, bias, eps):
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    rows = x.reshape(len(x), groups, math.prod(x.shape[1:]) // groups)
    y = layer_norm(rows, rows.shape[2:], None, None, eps).reshape(x.shape)
    weight, bias = (p if p is None else p.reshape(shape) for p in (weight, bias))
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


def batch_norm(x, mean, var, weight, bias, eps):
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    if mean is None:
        axes = (0, *range(2, x.ndim))
        mean, var = x.mean(axis=axes), x.var(axis=axes)
    y = (x - mean.reshape(shape)) / numpy.sqrt(var.reshape(shape) + eps)
    weight, bias = (p if p is None else p.reshape(shape) for p in (weight, bias))
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


# NumPy has the function
OF_NUMPY = {
    # in NumPy's best order too: `inf * a + inf * b` may be NaN where `inf * (a + b)` is not
    "contract": lambda *xs, subscripts: numpy.einsum(subscripts, *xs, optimize=True),
    "count_nonzero": numpy.count_nonzero,
    "cumulative_prod": running(numpy.cumprod, 1),
    "cumulative_sum": running(numpy.cumsum, 0),
    "diff": numpy.diff,
    "einsum": functools.partial(numpy.einsum, optimize=True),
    "linear": lambda x, weight, bias: (
        (x[..., None, :] * weight).sum(axis=-1) + (0 if bias is None else bias)
    ),
    "logsumexp": lambda x, axis, keepdims: numpy.logaddexp.reduce(
        x, axis=tuple(range(x.ndim)) if axis is None else axis, keepdims=keepdims
    ),
    "matmul": numpy.matmul,
    "matmul_transposed": lambda a, b: numpy.matmul(a, b.T),
    "max": numpy.max,
    "mean": numpy.mean,
    "min": numpy.min,
    "outer": numpy.outer,
    "prod": numpy.prod,
    "std": lambda x, correction, **attrs: numpy.std(x, ddof=correction, **attrs),
    "sum": numpy.sum,
    "tensordot": numpy.tensordot,
    "trace": lambda x, offset: numpy.trace(x, offset, -2, -1),
    "var": lambda x, correction, **attrs: numpy.var(x, ddof=correction, **attrs),
    "vecdot": lambda a, b, axis: numpy.vecdot(a, b, axis=axis),
    "vector_norm": vector_norm,
}
# it does not: the formula, written out above
WRITTEN_OUT = {
    "adaptive_avg_pool1d": adaptive_pool,
    "adaptive_avg_pool2d": adaptive_pool,
    "avg_pool1d": average_pool,
    "avg_pool2d": average_pool,
    "batch_norm": batch_norm,
    "binary_cross_entropy": lambda x, target, weight, reduction: reduced(
        of_probabilities(x, target) * (1 if weight is None else weight), reduction
    ),
    "binary_cross_entropy_with_logits": binary_cross_entropy,
    "binary_log_loss": of_probabilities,
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "convolution": convolution,
    "convolution_input": convolution_input,
    "convolution_weight": convolution_weight,
    "cosine_similarity": cosine_similarity,
    "cross_entropy": cross_entropy,
    "dropout": lambda x, mask, p: numpy.where(mask & (p < 1), x / (1 - p % 1), 0.0),
    "group_norm": group_norm,
    "huber_loss": huber_loss,
    "index_add": index_add,
    "kl_div": kl_div,
    "l1_loss": lambda x, target, reduction: reduced(abs(x - target), reduction),
    "layer_norm": layer_norm,
    "log_softmax": log_softmax,
    "max_pool1d": pool(numpy.max, -math.inf),
    "max_pool2d": pool(numpy.max, -math.inf),
    "mse_loss": lambda x, target, reduction: reduced((x - target) ** 2, reduction),
    "nll_loss": likelihood,
    "prelu": prelu,
    "put_along_axis": lambda values, indices, axis, shape: added_along(
        numpy.zeros(shape), indices, values, axis
    ),
    "put_windows": put_windows,
    "put_zeros": lambda values, *arrays, key, shape: index_add(
        numpy.zeros(shape), values, *arrays, key=key
    ),
    "scaled_dot_product_attention": attention,
    "scatter_add": added_along,
    "smooth_l1_loss": smooth_l1_loss,
    "softmax": softmax,
    "sum_to": sum_to,
    "windows": windows,
}
# the size of the terms of a sum, from the sizes of the arguments; multilinear rows need none
SIZES = {
    "binary_cross_entropy_with_logits": lambda x, target, *weights, reduction: binary_cross_entropy(
        -x, numpy.ones_like(target), *weights, reduction
    ),
    "nll_loss": likelihood,
    "scaled_dot_product_attention": size_of_attention,
}
# where the formula has a limit and minigrad gives NaN: rows of "NaN that is kept" in docs/limits.md
UNDEFINED = {("binary_cross_entropy_with_logits", "masked")}
TRUTHS = {"all", "any", "argmax", "argmin"}  # in REDUCTIONS


def test_every_row_that_is_not_elementwise_has_one_oracle():
    named = [*MOVES, *OF_NUMPY, *WRITTEN_OUT, *TRUTHS]
    assert sorted(named) == sorted(row.name for row in STRUCTURED)
    assert set(REDUCTIONS) >= TRUTHS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "row", [row for row in STRUCTURED if row.name in MOVES], ids=lambda r: r.name
)
def test_rows_that_move_elements_keep_each_bit(row, dtype):
    rng = numpy.random.default_rng(1)
    for (args, attrs), kind in itertools.product(cases_of(row), KINDS):
        args = with_extremes(args, kind, dtype, rng)
        expected = listed(MOVES[row.name](*args, **attrs))
        for y, e in zip(run(row, args, attrs)[1], expected, strict=True):
            numpy.testing.assert_array_equal(y.numpy(), e, strict=True)
            if y.dtype.kind == "f":
                assert (numpy.signbit(y.numpy()) == numpy.signbit(e)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "row", [row for row in STRUCTURED if row.name in OF_NUMPY | WRITTEN_OUT], ids=lambda r: r.name
)
def test_rows_that_compute_give_what_the_formula_gives(row, dtype):
    rng = numpy.random.default_rng(1)
    oracle = (OF_NUMPY | WRITTEN_OUT)[row.name]
    limits = numpy.finfo(dtype)
    multilinear = row.name in MULTILINEAR
    for (args, attrs), kind in itertools.product(cases_of(row), KINDS):
        if (row.name, kind) in UNDEFINED:
            continue
        args = extremes_of(row, args, kind, dtype, rng, first_only=not multilinear)
        exact = [a.astype("float64") if is_differentiable(a) else a for a in args]
        expected = numpy.asarray(oracle(*exact, **attrs)).astype(dtype)
        (y,) = run(row, args, attrs)[1]
        numpy.testing.assert_array_equal(numpy.isnan(y.numpy()), numpy.isnan(expected), strict=True)
        # the error of a sum is relative to the sum of the sizes of its terms
        sizes = [abs(a) if is_differentiable(a) else a for a in exact]
        terms = oracle if multilinear else SIZES.get(row.name)
        size = numpy.maximum(abs(expected), 1) if terms is None else abs(terms(*sizes, **attrs))
        size = numpy.asarray(size)
        kept = numpy.isfinite(expected)
        numpy.testing.assert_array_equal(y.numpy()[~kept], expected[~kept])
        error = abs(y.numpy()[kept].astype("float64") - expected[kept])
        assert (error <= 16 * limits.eps * size[kept] + limits.smallest_normal).all(), (kind, args)


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
