"""Vectors in registers: equal to NumPy, lane by lane, and careful at the edges of memory."""

import ctypes
import mmap
import operator
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from minigrad.kernels.cpu.simd import vector, vector_math

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.5, -7.0, np.inf, -np.inf, np.nan, 1e-40, -1e-310, 3e38]


def kit(bits):
    """Return the functions of one precision, under names without the number of bits."""
    names = "LANES splat first load load_masked load_mask load_mask_masked load_one".split()
    found = {}
    for name in names:
        stem, _, rest = name.partition("_masked")
        spelled = f"{stem}{bits}_masked" if name.endswith("_masked") else f"{stem}{rest}{bits}"
        found[name] = getattr(vector, spelled)
    dtype = np.dtype(f"float{bits}")
    return SimpleNamespace(dtype=dtype, size=dtype.itemsize, **found)


@pytest.fixture(params=[32, 64])
def of(request):
    return kit(request.param)


def pairs(dtype, lanes):
    """Return all pairs of special values, and as many random ones as fill the last vector."""
    with np.errstate(over="ignore", under="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    a, b = (side.ravel() for side in np.meshgrid(special, special))
    more = np.random.default_rng(0).normal(size=(2, -a.size % lanes + lanes)).astype(dtype)
    return np.concatenate([a, more[0]]), np.concatenate([b, more[1]])


BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def test_operators_equal_numpy(of):
    load, lanes, size, store, where = of.load, of.LANES, of.size, vector.store, vector.where

    @njit(error_model="numpy")
    def compute(n, a_address, b_address, out, scalar, number):
        for i in range(0, n, lanes):
            a, b = load(a_address + i * size), load(b_address + i * size)
            row = n * size
            place = out + i * size
            for v in (
                a + b, a - b, a * b, a / b,
                where(a < b, 1, 0), where(a <= b, 1, 0), where(a > b, 1, 0), where(a >= b, 1, 0),
                where(a == b, 1, 0), where(a != b, 1, 0),
                a + scalar, a - scalar, a * scalar, a / scalar,
                where(a < scalar, 1, 0), where(a <= scalar, 1, 0), where(a > scalar, 1, 0),
                where(a >= scalar, 1, 0), where(a == scalar, 1, 0), where(a != scalar, 1, 0),
                number + a, number - a, number * a, number / a,
                where(number < a, 1, 0), where(number <= a, 1, 0), where(number > a, 1, 0),
                where(number >= a, 1, 0), where(number == a, 1, 0), where(number != a, 1, 0),
                -a, +a, a * True, (a > 0) + b, (a > 0) * 2.5,
            ):  # fmt: skip
                store(place, v)
                place += row

    a, b = pairs(of.dtype, of.LANES)
    with np.errstate(all="ignore"):
        scalar, number = of.dtype.type(2.5), of.dtype.type(3)
        want = [
            *(op(a, b) for op in BINARY.values()),
            *(op(a, scalar) for op in BINARY.values()),
            *(op(number, a) for op in BINARY.values()),
            -a, +a, a, (a > 0) + b, (a > 0) * 2.5,
        ]  # fmt: skip
    got = np.full((len(want), a.size), 77, of.dtype)
    compute(a.size, a.ctypes.data, b.ctypes.data, got.ctypes.data, 2.5, 3)
    for row, expected in zip(got, want, strict=True):
        np.testing.assert_array_equal(row, expected.astype(of.dtype))
        known = ~np.isnan(row)
        np.testing.assert_array_equal(np.signbit(row)[known], np.signbit(expected)[known])


def test_masks_combine_as_booleans(of):
    load_mask, lanes, store, where = of.load_mask, of.LANES, vector.store, vector.where

    @njit
    def compute(n, a_address, b_address, out, yes):
        for i in range(0, n, lanes):
            a, b = load_mask(a_address + i), load_mask(b_address + i)
            place = out + i
            for m in (
                a & b, a | b, a ^ b, ~a, a == b, a != b, a & yes, yes ^ a, where(a, b, False),
                vector_math.logical_and(a, b), vector_math.logical_or(a, b),
                vector_math.logical_xor(a, b), vector_math.logical_not(a),
            ):  # fmt: skip
                store(place, m)
                place += n

    a, b = (np.random.default_rng(k).integers(0, 2, 4 * of.LANES).astype(bool) for k in (0, 1))
    want = [a & b, a | b, a ^ b, ~a, a == b, a != b, a, ~a, a & b, a & b, a | b, a ^ b, ~a]
    got = np.zeros((len(want), a.size), bool)
    compute(a.size, a.ctypes.data, b.ctypes.data, got.ctypes.data, True)
    np.testing.assert_array_equal(got, want)


def test_tails_touch_only_their_lanes(of):
    load_masked, load_mask_masked, first = of.load_masked, of.load_mask_masked, of.first
    store, store_masked, where = vector.store, vector.store_masked, vector.where

    @njit
    def copy(n, source, truth, target, truth_target, whole):
        mask = first(n)
        v, m = load_masked(source, mask), load_mask_masked(truth, mask)
        store_masked(target, v, mask)
        store_masked(truth_target, m, mask)
        store(whole, where(m, v, v))

    source = np.arange(1, of.LANES + 1, dtype=of.dtype)
    truth = np.ones(of.LANES, np.uint8)
    for n in range(-2, of.LANES + 3):
        target, truth_target = np.full(of.LANES, -1, of.dtype), np.full(of.LANES, 9, np.uint8)
        whole = np.full(of.LANES, -1, of.dtype)
        addresses = (x.ctypes.data for x in (source, truth, target, truth_target, whole))
        copy(n, *addresses)
        inside = np.arange(of.LANES) < n
        np.testing.assert_array_equal(target, np.where(inside, source, -1))
        np.testing.assert_array_equal(truth_target, np.where(inside, 1, 9))
        np.testing.assert_array_equal(whole, np.where(inside, source, 0))
    copy(2**40 + 1, *(x.ctypes.data for x in (source, truth, target, truth_target, whole)))
    np.testing.assert_array_equal(whole, source)


@pytest.mark.skipif(sys.platform == "win32", reason="protects a page by mprotect")
def test_a_masked_load_reads_nothing_else(of):
    """The tail ends where readable memory ends: one lane more would crash."""
    load_masked, load_mask_masked, first = of.load_masked, of.load_mask_masked, of.first
    store, store_masked = vector.store, vector.store_masked

    @njit
    def touch(n, address, truth_address, out):
        mask = first(n)
        store(out, load_masked(address, mask))
        store_masked(address, load_masked(address, mask), mask)
        store_masked(truth_address, load_mask_masked(truth_address, mask), mask)

    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    end = start + page
    libc = ctypes.CDLL(None)
    assert libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(page), 0) == 0
    out = np.ones(of.LANES, of.dtype)
    try:
        for n in range(of.LANES):
            touch(n, end - n * of.size, end - n, out.ctypes.data)
            np.testing.assert_array_equal(out, 0)
    finally:
        libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(page), 3)


def test_sums_and_largest_of_the_lanes(of):
    load, load_one, store = of.load, of.load_one, vector.store
    sum_lanes, max_lanes = vector.sum_lanes, vector.max_lanes

    @njit
    def reduce(address, out):
        v = load(address)
        size = (store(out, sum_lanes(v)), store(out + of_size, max_lanes(v)))
        store(out + 2 * of_size, load_one(address))
        return size

    of_size = of.size
    rng = np.random.default_rng(0)
    x = (rng.normal(size=of.LANES) * 10.0 ** rng.integers(-4, 4, of.LANES)).astype(of.dtype)
    halves = x
    while halves.size > 1:  # the documented order: the upper half is added to the lower
        halves = halves[: halves.size // 2] + halves[halves.size // 2 :]
    out = np.zeros(3, of.dtype)
    reduce(x.ctypes.data, out.ctypes.data)
    np.testing.assert_array_equal(out, [halves[0], x.max(), x[0]])
    for lane in range(of.LANES):
        for special in (np.nan, np.inf, -np.inf):
            y = x.copy()
            y[lane] = special
            reduce(y.ctypes.data, out.ctypes.data)
            np.testing.assert_array_equal(out[1], y.max())


def test_scalars_fill_a_vector(of):
    splat, store = of.splat, vector.store

    @njit
    def fill(out, number, whole, truth):
        store(out, splat(number))
        store(out + 1 * row, splat(whole))
        store(out + 2 * row, splat(truth))
        store(out + 3 * row, splat(0.1))

    row = of.LANES * of.size
    out = np.zeros((4, of.LANES), of.dtype)
    fill(out.ctypes.data, 1.5, 3, True)
    np.testing.assert_array_equal(out.T, [[1.5, 3, 1, of.dtype.type(0.1)]] * of.LANES)


def test_a_store_past_the_caches_is_seen_by_whoever_loads(of):
    load, lanes, store = of.load, of.LANES, vector.store_past_caches

    @njit
    def double(n, source, target):
        for at in range(0, n * row, row):
            v = load(source + at)
            store(target + at, v + v)

    row, n = lanes * of.size, 1000
    memory = np.zeros((n + 1) * lanes, of.dtype)
    skipped = -memory.ctypes.data % row // of.size
    numbers = memory[skipped : skipped + n * lanes]
    numbers[:] = np.arange(n * lanes)
    double(n, numbers.ctypes.data, numbers.ctypes.data)
    np.testing.assert_array_equal(numbers, 2 * np.arange(n * lanes))


def test_integers_in_memory():
    load_integer, store = vector.load_integer, vector.store

    @njit
    def move(source, target):
        store(target, load_integer(source) + 1)

    numbers = np.array([2**40, 0])
    move(numbers.ctypes.data, numbers.ctypes.data + 8)
    assert numbers[1] == 2**40 + 1


# without arguments, so that one call compiles it
def refused():
    v, m, address = vector, vector_math, 0
    ones32, ones64, m32 = v.splat32, v.splat64, v.first32
    return {
        "where: takes a mask": lambda: v.where(ones32(1), ones32(1), 0),
        "where: takes a mask and": lambda: v.where(m32(1), ones64(1), 0),
        "exp: takes vectors of one precision": lambda: m.exp(1.0),
        "maximum: takes vectors of one precision": lambda: m.maximum(ones32(1), ones64(1)),
        "store: takes a vector, a mask or a number": lambda: v.store(address, (1, 2)),
        "store: takes an address": lambda: v.store(0.5, ones32(1)),
        "store_masked: takes a vector": lambda: v.store_masked(address, ones64(1), m32(1)),
        "store_masked: takes an address": lambda: v.store_masked(0.5, ones32(1), m32(1)),
        "load32: takes an address": lambda: v.load32(0.5),
        "load64_masked: takes a mask": lambda: v.load64_masked(address, m32(1)),
        "store_past_caches: takes a vector; found": lambda: v.store_past_caches(address, 1.0),
        "store_past_caches: takes an address": lambda: v.store_past_caches(0.5, ones32(1)),
        "splat32: takes a scalar": lambda: ones32(ones32(1)),
        "first64: takes a number of lanes": lambda: v.first64(0.5),
        "sum_lanes: takes a vector": lambda: v.sum_lanes(1.0),
        "No implementation of function": lambda: ones32(1) + ones64(1),
        "No implementation of function Function(<built-in function and_>)": lambda: ones32(1) & m32(1),
    }  # fmt: skip


@pytest.mark.parametrize("text", refused())
def test_what_is_refused_is_explained(text):
    with pytest.raises(TypingError) as caught:
        njit(refused()[text])()
    assert text in str(caught.value)


CACHED = """
import numpy as np
from numba import njit
from minigrad.kernels.cpu.simd.vector import LANES32, load32, store
from minigrad.kernels.cpu.simd.vector_math import tanh, sin

@njit(cache=True)
def apply(source, target):
    store(target, tanh(sin(load32(source))))

x = np.linspace(-1, 1, LANES32, dtype=np.float32)
y = np.empty_like(x)
apply(x.ctypes.data, y.ctypes.data)
np.testing.assert_allclose(y, np.tanh(np.sin(x)), rtol=1e-6)
print(sum(apply.stats.cache_hits.values()))
"""


def test_compiled_code_is_found_in_the_cache(tmp_path):
    script = tmp_path / "cached.py"
    script.write_text(CACHED)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    hits = [
        subprocess.run(
            [sys.executable, script], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert hits == ["0", "1"]
