"""Functions on vectors: NumPy's results in longer arithmetic, within the errors of docs/accuracy.md.

Run as a script, this file measures all functions again and writes that page.
"""

import math
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from minigrad.kernels.cpu.simd import vector, vector_math
from minigrad.op import OPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "accuracy.md"
FAST = "exp expm1 exp2 log log1p log2 tanh sigmoid sinh cosh".split()
ROUNDED = 0.5  # a result that is rounded correctly


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def erf(x):
    return np.array([math.erf(v) for v in x.tolist()], x.dtype)


UNARY = {
    "exp": np.exp, "expm1": np.expm1, "exp2": np.exp2, "log": np.log, "log1p": np.log1p,
    "log2": np.log2, "log10": np.log10, "tanh": np.tanh, "sigmoid": sigmoid, "sinh": np.sinh,
    "cosh": np.cosh,    "erf": erf, "sqrt": np.sqrt, "reciprocal": lambda x: 1 / x,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
}  # fmt: skip
BINARY = {
    "atan2": np.arctan2, "hypot": np.hypot, "power": np.power, "logaddexp": np.logaddexp,
}  # fmt: skip
# what has no rounding of its own, or that of one operation: equal to NumPy in the same precision
SAME = {
    "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "trunc": np.trunc, "positive": np.positive, "negative": np.negative, "square": np.square,
    "zeros_like": np.zeros_like, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "logical_not": np.logical_not,
    "copysign": np.copysign,
    "maximum": np.maximum, "minimum": np.minimum, "add": np.add, "subtract": np.subtract,
    "multiply": np.multiply, "divide": np.divide, "remainder": np.remainder,
    "floor_divide": np.floor_divide, "equal": np.equal, "not_equal": np.not_equal,
    "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "clip": np.clip,
}  # fmt: skip
OF_TWO = {
    *BINARY, "copysign", "maximum", "minimum", "add", "subtract", "multiply", "divide", "remainder",
    "floor_divide", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "logical_and", "logical_or", "logical_xor",
}  # fmt: skip
SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.0, 7.0, 1e-3, 1e10, -1e10,
    88.72, 88.73, -87.4, -103.9, -104.1, 709.78, 709.79, -745.1, -745.2, 9.0, 9.1, 19.0, 19.1,
    5e-324, 1e-310, 1e-45, 1e-40, -1e-40, 3e38, 1.7e308, np.inf, -np.inf, np.nan,
]  # fmt: skip


@cache
def compiled(name, bits, count):
    """Return f(*arrays, result), which applies a function to whole vectors and a tail."""
    function = getattr(vector_math, name)
    lanes, load, masked, first = (
        getattr(vector, spelled)
        for spelled in (f"LANES{bits}", f"load{bits}", f"load{bits}_masked", f"first{bits}")
    )
    store, store_masked, size = vector.store, vector.store_masked, bits // 8
    if count == 1:

        @njit(error_model="numpy", nogil=True)
        def loop(n, a, b, c, out, width):
            i = 0
            while i + lanes <= n:
                store(out + i * width, function(load(a + i * size)))
                i += lanes
            k = first(n - i)
            store_masked(out + i * width, function(masked(a + i * size, k)), k)

    elif count == 2:

        @njit(error_model="numpy", nogil=True)
        def loop(n, a, b, c, out, width):
            for i in range(0, n, lanes):
                k = first(n - i)
                result = function(masked(a + i * size, k), masked(b + i * size, k))
                store_masked(out + i * width, result, k)

    else:

        @njit(error_model="numpy", nogil=True)
        def loop(n, a, b, c, out, width):
            for i in range(0, n, lanes):
                k = first(n - i)
                result = function(
                    masked(a + i * size, k), masked(b + i * size, k), masked(c + i * size, k)
                )
                store_masked(out + i * width, result, k)

    def apply(*arrays, dtype):
        result = np.empty(arrays[0].size, dtype)
        a, b, c = (array.ctypes.data for array in (*arrays, *arrays, *arrays)[:3])
        loop(result.size, a, b, c, result.ctypes.data, result.itemsize)
        return result

    return apply


def inputs(dtype):
    """Return numbers of every sign and exponent, with many mantissas, and more where it matters."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    word = np.dtype(f"u{info.bits // 8}").type
    exponents = np.arange(2 ** (info.bits - info.nmant), dtype=word)[:, None] << word(info.nmant)
    count = 400 if info.bits == 32 else 60
    mantissas = rng.integers(0, 2**info.nmant, (exponents.size, count), dtype=word)
    mantissas[:, :4] = [0, 1, 2**info.nmant - 1, 2 ** (info.nmant - 1)]
    everywhere = (exponents | mantissas).view(dtype).ravel()
    largest = info.maxexp * math.log(2)
    near = [rng.uniform(-width, width, 40_000) for width in (0.5, 2, 10, 20, largest)]
    small = 2.0 ** rng.uniform(-6, 0, 100_000)
    with np.errstate(over="ignore"):
        return np.concatenate([np.array(SPECIAL), *near, small, -small]).astype(dtype), everywhere


def unary_inputs(dtype):
    return (np.concatenate(inputs(dtype)),)


def binary_inputs(dtype):
    """Return all pairs of special values, and random pairs of several sizes."""
    rng = np.random.default_rng(1)
    special = inputs(dtype)[0][: len(SPECIAL)]
    a, b = (side.ravel() for side in np.meshgrid(special, special))
    c, d = (
        np.concatenate([rng.uniform(-w, w, 20_000) for w in (1, 10, 300)]).astype(dtype)
        for _ in range(2)
    )
    return np.concatenate([a, c, np.abs(c)]), np.concatenate([b, d, d])


def errors(got, want, size, dtype):
    """Return the error of each element in units in the last place of ``size``.

    A NaN, an infinity or a zero of the wrong sign where the other is not counts as infinite.
    """
    info = np.finfo(dtype)
    rounded = want.astype(dtype)
    finite = np.isfinite(got) & np.isfinite(rounded)
    exponent = np.frexp(np.where(finite, size, 1))[1].astype(int) - 1
    unit = np.ldexp(np.ones_like(want), np.maximum(exponent, info.minexp) - info.nmant)
    distance = np.abs(got.astype(want.dtype) - np.where(finite, want, 0)) / unit
    zero = (got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    distance = np.where(finite, distance, np.where(same, 0, np.inf))
    return np.where(zero, np.inf, distance).astype(float)


def measure(name, bits, arguments=None):
    """Return the largest error of a function, and the arguments where it is made."""
    dtype = np.dtype(f"float{bits}")
    count = 2 if name in BINARY else 1
    if arguments is None:
        arguments = (binary_inputs if count == 2 else unary_inputs)(dtype)
    got = compiled(name, bits, count)(*arguments, dtype=dtype)
    longer = np.float64 if bits == 32 else np.longdouble
    if name == "erf":
        longer = np.float64  # Python has no longer one
    with np.errstate(all="ignore"):
        want = (BINARY if count == 2 else UNARY)[name](*(a.astype(longer) for a in arguments))
        size = want
        if name == "logaddexp":
            size = np.maximum(np.abs(want), np.abs(np.maximum(*arguments)))
        found = errors(got, want, size, dtype)
    worst = int(found.argmax())
    return round(found[worst], 2), tuple(float(a[worst]) for a in arguments)


def promised():
    """Read the page: the largest error for each function and precision."""
    rows = re.findall(r"^\| `(\w+)` \| float(\d+) \| ([\d.]+) \|", PAGE.read_text(), re.MULTILINE)
    return {(name, int(bits)): float(bound) for name, bits, bound in rows}


@pytest.mark.full(but=[f"{name}-32" for name in FAST])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_errors_are_as_documented(name, bits):
    error, where = measure(name, bits)
    bound = promised()[name, bits]
    assert error <= bound, f"{name}({', '.join(map(str, where))}) is wrong by {error} units"
    assert error > bound - 1.5, f"docs/accuracy.md promises {bound}; the error is {error}"


def test_the_fast_functions_keep_their_promise():
    page = promised()
    assert page.keys() == {(name, bits) for name in (*UNARY, *BINARY) for bits in (32, 64)}
    assert max(page[name, bits] for name in FAST for bits in (32, 64)) <= 4


@pytest.mark.full(but=[f"{name}-64" for name in "round maximum remainder logical_or clip".split()])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", SAME)
def test_exact_functions_equal_numpy(name, bits):
    dtype = np.dtype(f"float{bits}")
    a, b = binary_inputs(dtype)
    low, high = dtype.type(-1.5), dtype.type(2.5)
    arguments = {"clip": (a, np.full_like(a, low), np.full_like(a, high))}.get(
        name, (a, b) if name in OF_TWO else (a,)
    )
    with np.errstate(all="ignore"):
        want = SAME[name](*arguments)
    got = compiled(name, bits, len(arguments))(*arguments, dtype=want.dtype)
    np.testing.assert_array_equal(got, want)
    if name not in {"maximum", "minimum", "clip"} and want.dtype != bool:  # either zero will do
        known = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[known], np.signbit(want)[known])


@pytest.mark.parametrize("bits", [32, 64])
def test_activations_stay_in_their_range(bits):
    """One unit more would make a square root or a logarithm of a gradient rule fail."""
    x = unary_inputs(np.dtype(f"float{bits}"))
    for name, low, high in (("tanh", -1, 1), ("sigmoid", 0, 1), ("erf", -1, 1)):
        y = compiled(name, bits, 1)(*x, dtype=x[0].dtype)
        y = y[~np.isnan(y)]
        assert (y.min(), y.max()) == (low, high)


def test_powers_by_operator():
    load, store = vector.load64, vector.store

    @njit
    def apply(a, b, out, width):
        store(out, load(a) ** load(b))
        store(out + width, load(a) ** 3)
        store(out + 2 * width, 2.0 ** load(a))

    a, b = np.random.default_rng(0).uniform(0.1, 3, (2, vector.LANES64))
    out = np.empty((3, vector.LANES64))
    apply(a.ctypes.data, b.ctypes.data, out.ctypes.data, a.nbytes)
    np.testing.assert_allclose(out, [a**b, a**3, 2.0**a], rtol=1e-15)


NOT_COMPUTED = {
    "nextafter": "the C library has it for each type, and what is called is that of double precision",
    "bitwise_left_shift": "a loop computes floating-point numbers",
    "bitwise_right_shift": "a loop computes floating-point numbers",
}


def test_every_elementwise_op_can_be_computed():
    """An op is computed by its own function, or its formula asks for functions that are there."""

    class Functions:
        def __init__(self):
            self.asked = set()

        def __getattr__(self, name):
            self.asked.add(name)
            return getattr(np, name)

    for op in OPS.values():
        if op.elementwise and not hasattr(vector_math, op.name) and op.name not in NOT_COMPUTED:
            functions = Functions()
            dtype = bool if op.name.startswith("bitwise") else float
            op.fn(functions, *[np.ones(3, dtype)] * op.arity)
            assert all(hasattr(vector_math, name) for name in functions.asked), op.name


CHECKED_ELSEWHERE = " or ".join(
    [
        "operators",
        "tails",
        "lanes",
        *(f"[{name}-" for name in "exp tanh sigmoid log sin round".split()),
    ]
)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names x86 processors")
@pytest.mark.full
@pytest.mark.parametrize(("processor", "lanes"), [("x86-64-v3", 8), ("x86-64-v2", 4)])
def test_other_processors_compute_the_same(processor, lanes, tmp_path):
    code = (
        "import sys, pytest; from minigrad.kernels.cpu.simd import vector as v; "
        f"assert (v.LANES32, v.LANES64) == ({lanes}, {lanes // 2}); "
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    env = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "-n0", "-k",
         CHECKED_ELSEWHERE, __file__,
         Path(__file__).with_name("test_vector.py")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


HEAD = """# Accuracy of compiled functions

What a compiled loop computes, against NumPy in longer arithmetic: the largest error, in units in the last
place (ULP) of the true value, over numbers of every sign and exponent, infinities, NaN and denormal
numbers; `exp` to `cosh` in float32 over every number between 2**-26 and 128. 0.5 is the error of correct
rounding. Infinities, NaN and signs of zero are NumPy's. `logaddexp` is measured in units of the larger
argument where that is further from 0 than the result.

Written by `tests/kernels/test_vector_math.py`, run as a script, and checked by the tests in it. The
functions that are not listed give the same as NumPy in the same precision.

| function | type | ULP at most | measured | at |
|---|---|---|---|---|
"""


def every_float32():
    """Yield all numbers between 2**-26 and 128, of both signs, in parts."""
    first, last = (int(np.float32(x).view(np.uint32)) for x in (2.0**-26, 128.0))
    for sign in (0, 2**31):
        for start in range(first, last, 2**20):
            yield np.arange(start + sign, start + sign + 2**20, dtype=np.uint32).view(np.float32)


def page():
    """Measure everything and return the page."""
    lines = [HEAD]
    for name in (*UNARY, *BINARY):
        for bits in (32, 64):
            error, where = measure(name, bits)
            if name in FAST and bits == 32:
                error, where = max(
                    (error, where), *(measure(name, 32, (part,)) for part in every_float32())
                )
            bound = ROUNDED if error <= ROUNDED else math.ceil(error * 2 + 0.2) / 2
            at = ", ".join(f"{x:.6g}" for x in where)
            lines.append(f"| `{name}` | float{bits} | {bound} | {error:.2f} | {at} |\n")
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
