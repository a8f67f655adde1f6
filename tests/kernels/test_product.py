"""Packed products and sums over rows, against NumPy in extended precision.

An error is measured by the number of roundings on the way: each is at most half an ``eps`` of the sum of
the magnitudes. Everything that a kernel writes to lies in a larger buffer, which it has to leave alone.
"""

import ctypes
import itertools
import mmap
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.kernels.cpu.gemm import pack, product, weight_gradients
from minigrad.kernels.cpu.simd.instruction_set import vector_bytes

GUARD = 12345.0
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
gaps = st.integers(0, 5)


def address(array):
    return array.ctypes.data


class Guarded:
    """A matrix inside a larger buffer whose other elements must not change."""

    def __init__(self, values, gap=0):
        rows, columns = values.shape
        self.stride = columns + gap
        self.buffer = np.full(64 + rows * self.stride + 64, GUARD, values.dtype)
        inside = self.buffer[64 : 64 + rows * self.stride].reshape(rows, self.stride)
        self.values = inside[:, :columns]
        self.values[...] = values
        self.address = self.buffer[64:].ctypes.data

    def is_guarded(self):
        """Say whether everything but the matrix is as it was."""
        before, kept = self.buffer.copy(), self.values.copy()
        self.values[...] = GUARD
        outside_is_kept = np.all(self.buffer == GUARD)
        self.buffer[...] = before
        return outside_is_kept and np.array_equal(kept, self.values, equal_nan=True)


def draw(rng, *shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def packed(b):
    """Pack a matrix of any strides into a buffer of exactly the right size."""
    dtype, (K, M) = b.dtype.type, b.shape
    target = Guarded(np.full((1, pack.packed_size(dtype, K, M)), np.nan, dtype))
    strides = (stride // b.itemsize for stride in b.strides)
    pack.pack(dtype, K, M, address(b), *strides, target.address)
    assert target.is_guarded()
    return target


def multiply(a, b, start, start_stride, c, rows=None, panels=None):
    """Run the product for some rows and panels; by default for all."""
    dtype, (K, M) = b.dtype.type, b.shape
    first, last = rows or (0, len(c.values))
    size = a.values.itemsize
    right = packed(b)
    product.panels_product(
        dtype,
        *(panels or (0, pack.panel_count(dtype, M))),
        last - first,
        a.address + first * a.stride * size,
        a.stride,
        right.address,
        K,
        M,
        start and start + first * start_stride * size,
        start_stride,
        c.address + first * c.stride * size,
        c.stride,
    )


def assert_close(found, expected, magnitude, roundings):
    """Compare with a result in extended precision (on some machines that is float64 itself)."""
    bound = (roundings + 1) * np.finfo(found.dtype).eps * magnitude
    assert np.all(abs(found - expected) <= bound)


def wide(x):
    return x.astype(np.longdouble)


def layouts(rng, K, M, dtype):
    """Draw one matrix and return it in each layout that is packed in its own way."""
    base = draw(rng, K, M, dtype=dtype)
    apart = np.full((2 * K + 1, 3 * M + 1), GUARD, dtype)[: 2 * K : 2, : 3 * M : 3]
    apart[...] = base
    return {"rows": base, "columns": np.asfortranarray(base), "apart": apart}


# -- packing


@dtypes
@given(K=st.integers(0, 70), M=st.integers(1, 200), seed=seeds)
def test_panels_hold_the_columns_padded_with_zeros(dtype, K, M, seed):
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    count = pack.panel_count(dtype, M)
    starts = [pack.panel_start(dtype, M, panel) for panel in range(count + 1)]
    assert starts[0] == 0
    assert starts[-1] == M
    for layout, b in layouts(np.random.default_rng(seed), K, M, dtype).items():
        expected = []
        for first, last in itertools.pairwise(starts):
            assert first < last
            panel = np.zeros((K, -(-(last - first) // lanes) * lanes), dtype)
            panel[:, : last - first] = b[:, first:last]
            expected.append(panel.ravel())
        assert np.array_equal(packed(b).values.ravel(), np.concatenate(expected)), layout


# -- products


def check_product(dtype, n, K, M, layout, start, gaps, seed):
    rng = np.random.default_rng(seed)
    b = layouts(rng, K, M, dtype)[layout]
    a = Guarded(draw(rng, n, K, dtype=dtype), gaps[0])
    c = Guarded(draw(rng, n, M, dtype=dtype), gaps[1])
    other = Guarded(draw(rng, max(n, 1), M, dtype=dtype), gaps[2])
    at, stride, values = {
        "nothing": (0, 0, np.zeros((n, M))),
        "itself": (c.address, c.stride, c.values.copy()),
        "one row": (other.address, 0, other.values[:1]),
        "another": (other.address, other.stride, other.values[:n]),
    }[start]
    multiply(a, b, at, stride, c)
    magnitude = abs(wide(a.values)) @ abs(wide(b)) + abs(values)
    assert_close(c.values, wide(a.values) @ wide(b) + values, magnitude, K + 1)
    assert c.is_guarded()
    return a, b, at, stride, c


@dtypes
@given(
    n=st.integers(0, 20),
    K=st.integers(0, 70),
    M=st.integers(1, 200),
    layout=st.sampled_from(["rows", "columns", "apart"]),
    start=st.sampled_from(["nothing", "itself", "one row", "another"]),
    gaps=st.tuples(gaps, gaps, gaps),
    seed=seeds,
)
def test_product(dtype, n, K, M, layout, start, gaps, seed):
    check_product(dtype, n, K, M, layout, start, gaps, seed)


@dtypes
@pytest.mark.parametrize("start", ["nothing", "itself", "one row", "another"])
def test_product_of_several_blocks_and_chunks(dtype, start):
    check_product(dtype, 401, 1100, 50, "rows", start, (3, 2, 1), seed=0)


@dtypes
def test_all_rows_are_all_panels(dtype):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 9, 33, dtype=dtype), draw(rng, 33, 101, dtype=dtype)
    c, again = np.empty((2, 9, 101), dtype)
    right = packed(b)
    operands = (9, address(a), 33, right.address, 33, 101, address(b), 0)
    product.rows_product(dtype, *operands, address(c), 101)
    panels = (0, pack.panel_count(dtype, 101))
    product.panels_product(dtype, *panels, *operands, address(again), 101)
    assert np.array_equal(c, again)


@dtypes
@given(
    n=st.integers(1, 40),
    K=st.sampled_from([1, 64, 515]),
    M=st.integers(1, 300),
    cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=seeds,
)
def test_bits_do_not_depend_on_how_the_work_is_split(dtype, n, K, M, cuts, seed):
    rng = np.random.default_rng(seed)
    a = Guarded(draw(rng, n, K, dtype=dtype))
    b = draw(rng, K, M, dtype=dtype)
    whole, split = (Guarded(np.full((n, M), np.nan, dtype)) for _ in range(2))
    multiply(a, b, b.ctypes.data, 0, whole)
    row, count = round(cuts[0] * n), pack.panel_count(dtype, M)
    panel = round(cuts[1] * count)
    for rows in [(0, row), (row, n)]:
        for panels in [(0, panel), (panel, count)]:
            multiply(a, b, b.ctypes.data, 0, split, rows, panels)
    assert np.array_equal(whole.values, split.values)


@dtypes
def test_nan_and_infinity_reach_their_row_and_column_and_no_other(dtype):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 11, 20, dtype=dtype), draw(rng, 20, 90, dtype=dtype)
    a[3, 7], a[5, 2], a[8, 1] = np.nan, np.inf, -np.inf
    b[4, 60], b[9, 89], b[1, 11] = np.nan, np.inf, 0
    start = draw(rng, 11, 90, dtype=dtype)
    start[0, 0], start[10, 88] = np.inf, np.nan
    a, c = Guarded(a), Guarded(np.zeros((11, 90), dtype))
    multiply(a, b, address(start), 90, c)
    with np.errstate(invalid="ignore"):
        expected = a.values @ b + start
    for same in (np.isnan, np.isposinf, np.isneginf):
        assert np.array_equal(same(c.values), same(expected))


def before_forbidden_memory(array):
    """Return a copy of an array behind which memory cannot be read: doing so ends the process."""
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    block = np.frombuffer(mmap.mmap(-1, size + page), np.uint8)
    libc = ctypes.CDLL(None)
    assert libc.mprotect(ctypes.c_void_p(address(block) + size), ctypes.c_size_t(page), 0) == 0
    copy = block[size - array.nbytes : size].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@dtypes
@pytest.mark.parametrize(("n", "K", "M"), [(1, 1, 1), (9, 18, 101)])
def test_no_operand_is_read_behind_its_end(dtype, n, K, M):
    rng = np.random.default_rng(0)
    shapes = [(n, K), (K, M), (M, K), (n, M)]
    arrays = [before_forbidden_memory(draw(rng, *shape, dtype=dtype)) for shape in shapes]
    a, b, transposed, start = arrays
    for matrix, *strides in [(b, M, 1), (transposed, 1, K)]:
        right = before_forbidden_memory(np.zeros(pack.packed_size(dtype, K, M), dtype))
        c = before_forbidden_memory(np.zeros((n, M), dtype))
        pack.pack(dtype, K, M, address(matrix), *strides, address(right))
        sizes = (address(right), K, M, address(start), M)
        product.rows_product(dtype, n, address(a), K, *sizes, address(c), M)
        factor = b if matrix is b else transposed.T
        magnitude = abs(wide(a)) @ abs(wide(factor)) + abs(start)
        assert_close(c, wide(a) @ wide(factor) + start, magnitude, K + 1)


@dtypes
@pytest.mark.parametrize("Kb", [None, 3, 30])
def test_no_row_is_read_behind_its_end(dtype, Kb):
    rng = np.random.default_rng(0)
    a = before_forbidden_memory(draw(rng, 20, 37, dtype=dtype))
    b = before_forbidden_memory(draw(rng, 20, Kb or 1, dtype=dtype))
    inner = Kb or 1
    is_turned = weight_gradients.is_narrow(inner)
    out = before_forbidden_memory(np.zeros((inner, 37) if is_turned else (37, inner), dtype))
    size = weight_gradients.scratch_size(dtype, inner)
    scratch = before_forbidden_memory(np.zeros(size, dtype))
    right = (address(b), Kb) if Kb else (0, 0)
    weight_gradients.weight_gradient(
        dtype, 0, 37, 20, address(a), 37, 37, *right, inner, address(out), 0, address(scratch)
    )
    factor = b if Kb else np.ones_like(b)
    found = out.T if is_turned else out
    assert_close(found, wide(a).T @ wide(factor), abs(wide(a)).T @ abs(wide(factor)), 21)


# -- gradients of weights


class Gradient:
    """Memory for a result of (Ma, Kb), which lies there as `weight_gradient` writes it.

    Parameters
    ----------
    values : numpy.ndarray
        What lies there before.
    """

    def __init__(self, values):
        self.inner = values.shape[1]
        self.is_turned = weight_gradients.is_narrow(self.inner)
        self.memory = Guarded(values.T if self.is_turned else values)

    @property
    def values(self):
        return self.memory.values.T if self.is_turned else self.memory.values

    def add(self, a, b, rows=None, of=None, more=0):
        """Compute some of its rows from some rows of the factors; ``b`` is None for a column of ones."""
        dtype, (R, Ma), size = a.values.dtype.type, a.values.shape, a.values.itemsize
        start, end = of or (0, R)
        scratch = Guarded(
            np.full((1, weight_gradients.scratch_size(dtype, self.inner)), np.nan, dtype)
        )
        right = (0, 0) if b is None else (b.address + start * b.stride * size, b.stride)
        weight_gradients.weight_gradient(
            dtype,
            *(rows or (0, Ma)),
            end - start,
            a.address + start * a.stride * size,
            a.stride,
            Ma,
            *right,
            self.inner,
            self.memory.address,
            more,
            scratch.address,
        )
        assert scratch.is_guarded()
        assert self.memory.is_guarded()


common_sizes = st.sampled_from([0, 1, 255, 256, 257, 600])
widths = st.one_of(st.integers(1, 12), st.integers(1, 100), st.just(600))


@dtypes
@given(
    R=common_sizes,
    Ma=st.integers(1, 40),
    Kb=st.one_of(st.none(), widths),
    gaps=st.tuples(gaps, gaps),
    cut=st.floats(0, 1),
    more=st.booleans(),
    seed=seeds,
)
def test_weight_gradient(dtype, R, Ma, Kb, gaps, cut, more, seed):
    rng = np.random.default_rng(seed)
    a = Guarded(draw(rng, R, Ma, dtype=dtype), gaps[0])
    b = None if Kb is None else Guarded(draw(rng, R, Kb, dtype=dtype), gaps[1])
    right = np.ones((R, 1), dtype) if b is None else b.values
    shape = (Ma, right.shape[1])
    before = draw(rng, *shape, dtype=dtype) if more else np.full(shape, np.nan, dtype)
    whole, split = Gradient(before), Gradient(before)
    whole.add(a, b, more=int(more))
    added = before if more else np.zeros(shape)
    magnitude = abs(wide(a.values)).T @ abs(wide(right)) + abs(added)
    expected = wide(a.values).T @ wide(right) + added
    assert_close(whole.values, expected, magnitude, min(R, 256) + 4)

    row = round(cut * Ma)
    split.add(a, b, (0, row), more=int(more))
    assert np.array_equal(split.values[row:], before[row:], equal_nan=True)
    split.add(a, b, (row, Ma), more=int(more))
    assert np.array_equal(split.values, whole.values)


@dtypes
@given(
    chunks=st.integers(0, 2),
    R=st.sampled_from([1, 100, 256, 300]),
    Ma=st.integers(1, 40),
    Kb=st.one_of(st.none(), widths),
    seed=seeds,
)
def test_more_rows_are_added_as_if_they_had_come_at_once(dtype, chunks, R, Ma, Kb, seed):
    """A loop takes its sums every some steps."""
    rng, first = np.random.default_rng(seed), 256 * chunks
    a = Guarded(draw(rng, first + R, Ma, dtype=dtype), 3)
    b = None if Kb is None else Guarded(draw(rng, first + R, Kb, dtype=dtype), 2)
    whole, parts = (Gradient(np.full((Ma, Kb or 1), np.nan, dtype)) for _ in range(2))
    whole.add(a, b)
    parts.add(a, b, of=(0, first))
    parts.add(a, b, of=(first, first + R), more=1)
    assert np.array_equal(parts.values, whole.values)


@dtypes
@given(R=common_sizes, Ma=st.integers(1, 40), seed=seeds)
def test_sums_of_columns_are_products_with_ones(dtype, R, Ma, seed):
    a = Guarded(draw(np.random.default_rng(seed), R, Ma, dtype=dtype), 1)
    ones = Guarded(np.ones((R, 1), dtype), 2)
    sums, products = (Gradient(np.full((Ma, 1), np.nan, dtype)) for _ in range(2))
    sums.add(a, None)
    products.add(a, ones)
    assert np.array_equal(sums.values, products.values)


@dtypes
@pytest.mark.parametrize("Kb", [3, 30])
def test_nan_and_infinity_reach_their_weights_and_no_other(dtype, Kb):
    rng = np.random.default_rng(0)
    a, b = draw(rng, 300, 21, dtype=dtype), draw(rng, 300, Kb, dtype=dtype)
    a[299, 20], a[0, 4], b[7, 1] = np.nan, np.inf, -np.inf
    out = Gradient(np.zeros((21, Kb), dtype))
    out.add(Guarded(a), Guarded(b))
    with np.errstate(invalid="ignore"):
        expected = a.T @ b
    for same in (np.isnan, np.isposinf, np.isneginf):
        assert np.array_equal(same(out.values), same(expected))


@dtypes
@pytest.mark.parametrize(("R", "M"), [(0, 3), (1, 1), (256, 16), (257, 130), (100_000, 3)])
def test_column_sums_round_as_often_as_a_chunk_and_the_chunks(dtype, R, M):
    a = Guarded(np.full((R, M), 0.1, dtype), 2)  # a single sum of 0.1 drifts away
    out = Gradient(np.full((M, 1), np.nan, dtype))
    out.add(a, None)
    expected = wide(a.values).sum(axis=0)
    assert_close(out.values[:, 0], expected, abs(expected), (min(R, 256) + R // 256) / 2)


# -- other CPUs


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="has no AVX2")
@pytest.mark.skipif(vector_bytes() == 32, reason="the other tests have run on AVX2")
def test_an_avx2_build_passes_the_same_tests(tmp_path):
    settings = {
        "NUMBA_CPU_NAME": "x86-64-v3",  # with the features that the name implies
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
