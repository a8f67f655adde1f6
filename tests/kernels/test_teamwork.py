"""Packing, products by shares, and sums over rows, as a loop uses them: equal to NumPy in float64."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

import minigrad as mg
from minigrad import nn, reuse
from minigrad.kernels import scan
from minigrad.kernels.cpu import workspaces
from minigrad.kernels.cpu.gemm import matmul as wide
from minigrad.kernels.cpu.gemm import pack, packing, product, weight_gradients
from minigrad.kernels.cpu.gemm import partial_sums as parts
from minigrad.kernels.cpu.linked import provide
from minigrad.kernels.cpu.threads import team
from minigrad.kernels.cpu.threads.autotuner import Pace
from minigrad.kernels.targets import runs

GUARD = 12345
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
seeds = st.integers(0, 999)
sizes = st.integers(1, 40)


def callable_here(function):
    """Return an external function, which compiled functions call, as one of Python."""

    @njit
    def call(*numbers):
        function(*numbers)

    return call


for real in (np.float32, np.float64):
    provide(real)  # what `shared_product` calls
add_parts = callable_here(parts.add_parts)
shared_gradient = callable_here(weight_gradients.shared_gradient)


@pytest.fixture
def threads(monkeypatch):
    """Use a team for any piece of work, however small."""
    for module in (packing, runs):
        monkeypatch.setattr(module, "threads_for", lambda operations: mg.get_num_threads())
    monkeypatch.setattr(Pace, "goes_alone", lambda *_: False)
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


def roundings(dtype, terms):
    return (terms + 2) * np.finfo(dtype).eps


def packed_by_shares(b, shares, parts):
    """Return a matrix as `shared_product` reads it, after a look at what lies behind it."""
    dtype, (inner, columns) = b.dtype.type, b.shape
    width = columns // parts
    bounds = [pack.share_start(dtype, width, share, shares) for share in range(shares + 1)]
    size = parts * sum(pack.packed_size(dtype, inner, width) for width in np.diff(bounds).tolist())
    packed = np.full(size + 16, GUARD, dtype)
    rows, along = (stride // b.itemsize for stride in b.strides)
    item = (parts, inner, columns, b.ctypes.data, rows, along, packed.ctypes.data)
    packing.pack_matrix(dtype, shares, *item)
    assert (packed[size:] == GUARD).all()
    return packed


@dtypes
@given(sizes, st.integers(1, 30), sizes, st.integers(1, 4), st.integers(1, 3), seeds)
def test_a_product_by_shares_and_parts(dtype, n, inner, width, shares, parts, seed):
    rng = np.random.default_rng(seed)
    columns = width * parts
    a, b, start = (
        rng.normal(size=s).astype(dtype) for s in [(n, inner), (inner, columns), columns]
    )
    packed = packed_by_shares(np.asfortranarray(b) if seed % 2 else b, shares, parts)
    found = np.full((n, columns), np.nan, dtype)
    for share in range(shares):
        product.shared_product(
            dtype, share, share + 1, shares, parts, 1, 0, 0, n, a.ctypes.data, inner,
            packed.ctypes.data, inner, columns, start.ctypes.data, 0, found.ctypes.data, columns,
        )  # fmt: skip
    exact = a.astype(float) @ b.astype(float) + start
    bound = np.abs(a).astype(float) @ np.abs(b) + np.abs(start)
    assert (np.abs(found - exact) <= roundings(dtype, inner) * bound).all()


@dtypes
@given(
    groups=st.integers(0, 4),
    n=st.one_of(st.integers(0, 20), st.just(300)),
    between=st.integers(0, 3),
    inner=st.sampled_from([0, 1, 30, 515, 1100]),
    width=st.integers(1, 40),
    shares=st.integers(1, 3),
    parts=st.integers(1, 3),
    start=st.sampled_from(["nothing", "itself", "one row", "another"]),
    gaps=st.tuples(*[st.integers(0, 3)] * 3),
    seed=seeds,
)
@example(3, 2, 1, 1100, 20, 2, 1, "one row", (0, 1, 2), 0)
@example(2, 300, 1, 515, 20, 1, 2, "another", (0, 1, 2), 0)
def test_groups_of_rows_are_as_many_products(
    dtype, groups, n, between, inner, width, shares, parts, start, gaps, seed
):
    """Bit for bit. What lies between the groups is left alone."""
    rng = np.random.default_rng(seed)
    rows, columns = groups * (n + between), width * parts
    a, before, other = (
        rng.normal(size=(rows + 1, width + gap)).astype(dtype)
        for width, gap in zip((inner, columns, columns), gaps, strict=True)
    )
    packed = packed_by_shares(rng.normal(size=(inner, columns)).astype(dtype), shares, parts)
    found = []
    for calls in (1, groups):
        c = before.copy()
        at, stride = {
            "nothing": (0, 0),
            "itself": (c.ctypes.data, c.shape[1]),
            "one row": (other.ctypes.data, 0),
            "another": (other.ctypes.data, other.shape[1]),
        }[start]
        for call in range(calls):
            row = call * (n + between)
            product.shared_product(
                dtype, 0, shares, shares, parts, groups if calls == 1 else 1,
                n + between, 0, n,
                a[row:].ctypes.data, a.shape[1], packed.ctypes.data, inner, columns,
                at and at + row * stride * c.itemsize, stride, c[row:].ctypes.data, c.shape[1],
            )  # fmt: skip
        found.append(c)
    assert np.array_equal(*found)
    inside = np.arange(rows + 1) % max(1, n + between) < n
    assert np.array_equal(found[0][~inside], before[~inside])
    assert np.array_equal(found[0][-1], before[-1])


@dtypes
@given(
    sizes=st.lists(
        st.one_of(st.integers(0, 20), st.just(1), st.just(1100)), min_size=1, max_size=5
    ),
    between=st.integers(0, 3),
    inner=st.sampled_from([0, 1, 30, 515]),
    width=st.integers(1, 60),
    shares=st.integers(1, 2),
    start=st.sampled_from(["nothing", "itself", "one row"]),
    seed=seeds,
)
@example([1, 1, 0], 2, 30, 60, 1, "one row", 0)
@example([1100, 20, 1], 0, 515, 20, 1, "itself", 0)
def test_groups_of_different_sizes_are_as_many_products(
    dtype, sizes, between, inner, width, shares, start, seed
):
    """Bit for bit; the first group is the largest one. What lies between the groups is left alone."""
    rng, sizes = np.random.default_rng(seed), sorted(sizes, reverse=True)
    firsts = 5 + np.cumsum([0, *(n + between for n in sizes)])
    table = np.array([[first, n] for first, n in zip(firsts, sizes, strict=False)])
    a = rng.normal(size=(firsts[-1] + 1, inner)).astype(dtype)
    before = rng.normal(size=(firsts[-1] + 1, width)).astype(dtype)
    packed = packed_by_shares(rng.normal(size=(inner, width)).astype(dtype), shares, 1)
    found, inside = [], np.zeros(len(before), bool)
    for together in (True, False):
        c = before.copy()
        for first, n in table[:1] if together else table:
            inside[first : first + n] = True
            at, stride = {
                "nothing": (0, 0),
                "itself": (c[first:].ctypes.data, width),
                "one row": (before.ctypes.data, 0),
            }[start]
            product.shared_product(
                dtype, 0, shares, shares, 1, len(table) if together else 1, 0,
                table.ctypes.data if together else 0, n, a[first:].ctypes.data, inner,
                packed.ctypes.data, inner, width, at, stride, c[first:].ctypes.data, width,
            )  # fmt: skip
        found.append(c)
    assert np.array_equal(*found)
    assert np.array_equal(found[0][~inside], before[~inside])


@dtypes
@pytest.mark.parametrize("rows", [1, 2, 17, 300, 700])
@pytest.mark.parametrize(
    ("outer", "inner"), [(17, 33), (1, 1), (60, None), (1, None), (5, 60), (100, 2), (33, 8)]
)
def test_shares_of_a_sum_over_rows_are_bits_of_the_whole(dtype, rows, outer, inner):
    rng = np.random.default_rng(0)
    both = rng.normal(size=(rows, outer + (inner or 0))).astype(dtype)
    left, right = both[:, :outer], both[:, outer:] if inner else np.ones((rows, 1), dtype)
    of_right = (left.ctypes.data + outer * left.itemsize, both.shape[1]) if inner else (0, 0)
    inner = inner or 1
    is_turned = weight_gradients.is_narrow(inner)
    results = []
    for shares in (1, 2, 3, 5):
        out = np.full((inner, outer) if is_turned else (outer, inner), np.nan, dtype)
        for share in range(shares):
            scratch = np.full(weight_gradients.scratch_size(dtype, inner), np.nan, dtype)
            shared_gradient(
                dtype, share, shares, rows, left.ctypes.data, both.shape[1], outer, *of_right,
                inner, out.ctypes.data, 0, scratch.ctypes.data,
            )  # fmt: skip
        results.append(out.T if is_turned else out)
    exact, bound = left.T.astype(float) @ right, np.abs(left.T) @ np.abs(right)
    assert (np.abs(results[0] - exact) <= roundings(dtype, rows) * bound).all()
    assert all(np.array_equal(results[0], other) for other in results[1:])


@dtypes
@given(st.integers(1, 4), st.integers(0, 100), st.integers(1, 3), seeds)
def test_parts_are_added_and_nothing_else_is_touched(dtype, count, size, threads, seed):
    given = np.random.default_rng(seed).normal(size=(count, size)).astype(dtype)
    found = np.full(size + 40, GUARD, dtype)
    for thread in range(threads):
        addresses = given.ctypes.data, found[20:].ctypes.data
        add_parts(dtype, thread, threads, count, size, *addresses)
    expected = sum(given[1:], given[0])
    assert np.array_equal(found[20 : 20 + size], expected)
    assert (found[:20] == GUARD).all()
    assert (found[20 + size :] == GUARD).all()


@dtypes
def test_large_products_on_a_team(dtype, threads):
    rng = np.random.default_rng(0)
    many, other = rng.normal(size=(2, 4000, 60)).astype(dtype)
    pairs = [
        (many, other[:60, :33]),
        (many[:, 5:], other.T[:55, ::100]),
        (many.T, other),
        (many[:, 3:50].T, other[:, :8]),
        (many.T, np.broadcast_to(other[:1], other.shape)),
        (many[::-1], other[:60]),
    ]
    for left, right in pairs:
        results = []
        for number in (1, 2, 3, 5):
            threads(number)
            results.append(wide.matmul(left, right))
        exact, bound = left.astype(float) @ right, np.abs(left) @ np.abs(right)
        assert results[0].flags.c_contiguous
        assert (np.abs(results[0] - exact) <= roundings(dtype, left.shape[1]) * bound).all()
        assert all(np.array_equal(results[0], other) for other in results[1:])


CHUNKS = {
    "whole, a sequence": (600, 1, {}),
    "whole, threads share columns": (300, 2, {"reverse": True}),
    "whole, threads share rows": (39, 41, {}),
    "whole, more rows than a chunk": (3, 300, {"reverse": True}),
    "lengths": (40, 20, {"lengths": np.arange(20) * 2}),
    "holes": (40, 20, {"mask": np.arange(800).reshape(40, 20) % 7 > 0}),
    "resets": (40, 20, {"reset": np.arange(800).reshape(40, 20) % 7 == 0, "reverse": True}),
}


def results_of(case, compile):
    """Return outputs, final states and gradients of an LSTM, always of the same numbers."""
    (steps, rows, options), width = CHUNKS[case], 85
    rng = np.random.default_rng(0)

    def draw(*shape):
        return mg.tensor(rng.normal(size=shape) * 0.3, requires_grad=True)

    shapes = nn.cells.lstm.initial_parameters(3, width)
    params = {name: draw(*shape) for name, shape in shapes.items()}
    x, *state = draw(steps, rows, 3), draw(rows, width), draw(rows, width)
    outputs, final = scan(nn.cells.lstm, x, state, params, compile=compile, **options)
    loss = mg.sum(mg.sin(outputs)) + sum(mg.sum(mg.sin(f)) for f in final)
    gradients = mg.grad(loss, [x, *state, *params.values()])
    return [t.detach().numpy() for t in (outputs, *final, *gradients)]


@pytest.mark.full(but=["whole, threads share rows", "lengths"])
@pytest.mark.parametrize("case", CHUNKS)
def test_a_loop_sums_the_rows_of_all_chunks_alike_on_any_number_of_threads(case, threads):
    found = []
    for number in (1, 2, 3, 5):
        threads(number)
        found.append(results_of(case, "require"))
    for one, expected in zip(found[0], results_of(case, "never"), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())
    for others in found[1:]:
        assert all(np.array_equal(*pair) for pair in zip(found[0], others, strict=True))


def test_threads_with_sequences_of_other_lengths_are_in_other_chunks(threads):
    """One thread has a few long sequences, the other many short ones: they are not in step."""
    T, N, D, H = 300, 40, 24, 64
    lengths = np.linspace(1, T, N).astype(int)
    layer, x = nn.GRU(D, H), mg.randn(T, N, D, requires_grad=True)

    def results():
        layer.zero_grad()
        x.grad = None
        output, _ = layer(x, lengths=lengths)
        (output * output).sum().backward()
        return [t.detach().numpy() for t in (output, x.grad, *(p.grad for p in layer.parameters()))]

    threads(1)
    expected = results()
    threads(2)
    for _ in range(20):
        assert all(np.array_equal(*pair) for pair in zip(results(), expected, strict=True))


@pytest.mark.parametrize("case", CHUNKS)
def test_a_loop_reads_nothing_of_what_was_left_in_its_memory(case, monkeypatch):
    expected = results_of(case, "require")

    def borrowed(size):
        space = workspaces.borrow(size)
        np.ndarray(space.size, np.uint8, space.memory, space.skipped)[...] = 255  # NaN
        return space

    def array_of_nan(shape, kind):
        array, address = reuse.reused_array(shape, kind)
        array[...] = np.nan
        return array, address

    monkeypatch.setattr(runs, "borrow", borrowed)
    monkeypatch.setattr(runs, "reused_array", array_of_nan)
    found = results_of(case, "require")
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_team_is_for_what_is_worth_it():
    assert team.threads_for(1) == 1
    assert team.threads_for(1e9) == mg.get_num_threads()
