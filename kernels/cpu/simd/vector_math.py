"""The functions of the op table on vectors, under the names that formulas use.

Those that recurrent networks live on (exp, tanh, sigmoid and their relatives) are computed here in vector
registers, with the polynomials of scripts/fit_polynomials.py. The others call the C library for one
element after the other, in float64. Domain edges, infinities, NaN and signs of zero are NumPy's;
docs/accuracy.md has the largest error of each function.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from types import SimpleNamespace

from llvmlite import ir

from minigrad.kernels.cpu.simd.lanes import (
    SINGLE,
    Lanes,
    Precision,
    Whole,
    declared,
    multiply_add,
    no_less,
    no_more,
    polynomial,
    power_of_two,
    rounded,
    times_power_of_two,
)
from minigrad.kernels.cpu.simd.vector import (
    MASKS,
    VECTORS,
    Meaning,
    as_mask,
    as_vector,
    define_function,
    define_operator,
    larger,
    smaller,
    where,
)
from minigrad.ops.elementwise import erf as erf_op

__all__ = [
    "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "tanh", "sigmoid",
    "sqrt", "square", "reciprocal",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "asinh", "acosh", "atanh", "erf",
    "abs", "sign", "copysign", "floor", "ceil", "round", "trunc",
    "maximum", "minimum", "clip", "where", "zeros_like", "positive", "negative",
    "add", "subtract", "multiply", "divide", "power", "remainder", "floor_divide", "hypot", "logaddexp",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_xor", "logical_not",
]  # fmt: skip

INFINITY = math.inf
LOG2 = math.log(2)


# rounding, signs, comparisons


def _abs(x: Lanes) -> Lanes:
    return x.call("fabs")


def _sign(x: Lanes) -> Lanes:
    return (x > 0.0).where(1.0, (x < 0.0).where(-1.0, (x.equals(0.0)).where(0.0, x)))


def _copysign(size: Lanes, sign: Lanes) -> Lanes:
    return size.call("copysign", sign)


def _is_nan(x: Lanes) -> Lanes:
    return x.differs(x)


def _is_infinite(x: Lanes) -> Lanes:
    return _abs(x).equals(INFINITY)


def _is_finite(x: Lanes) -> Lanes:
    return _abs(x) < INFINITY


def _clip(x: Lanes, low: Lanes, high: Lanes) -> Lanes:
    return smaller(larger(x, low), high)


# exponentials


def _reduced(x: Lanes) -> tuple[Whole, Lanes]:
    """Return a whole n, and ``exp(r) - 1`` for the rest r: ``x = n log(2) + r``."""
    n = rounded(x, 1 / LOG2)
    r = multiply_add(n.floats, -x.precision.log2_high, x)
    return n, _short_expm1(multiply_add(n.floats, -x.precision.log2_low, r))


def _short_expm1(r: Lanes) -> Lanes:
    return multiply_add(r * r, polynomial(r.precision.exp, r), r)


def _bounded_exp(x: Lanes) -> Lanes:
    """Return ``exp(x)`` where x is neither so large nor so small that the exponent overflows."""
    n, q = _reduced(x)
    return times_power_of_two(q + 1.0, n)


def _exp(x: Lanes) -> Lanes:
    precision = x.precision
    return _bounded_exp(no_less(no_more(x, precision.log_largest), precision.log_smallest))


def _exp_of_minus(size: Lanes) -> Lanes:
    """Return ``exp(-size)``; size is not negative."""
    return _bounded_exp(no_less(-size, size.precision.log_smallest))


def _exp2(x: Lanes) -> Lanes:
    precision = x.precision
    x = no_less(no_more(x, precision.log_largest / LOG2), precision.log_smallest / LOG2)
    n = rounded(x, 1.0)
    return times_power_of_two(_short_expm1((x - n.floats) * LOG2) + 1.0, n)


def _half_expm1(x: Lanes) -> Lanes:
    """Return ``(exp(x) - 1) / 2``, which is in range where its double just is not."""
    n, q = _reduced(no_less(no_more(x, x.precision.log_largest), -40.0))
    half = power_of_two(n.integers - 1)
    return multiply_add(half, q, half - 0.5)


def _tiny_as_it_is(x: Lanes, y: Lanes) -> Lanes:
    """Return x where it is so small that the function is x: the halves of y lose its last bit."""
    return (_abs(x) < 2.0**-60).where(x, y)


def _expm1(x: Lanes) -> Lanes:
    return _tiny_as_it_is(x, _half_expm1(x) * 2.0)


def _half_exp(size: Lanes) -> Lanes:
    """Return ``exp(size) / 2``; size is not negative."""
    n, q = _reduced(no_more(size, size.precision.log_largest + 1.0))
    return times_power_of_two((q + 1.0) * 0.5, n)


def _sinh(x: Lanes) -> Lanes:
    size = _abs(x)
    t = _half_expm1(no_more(size, 30.0))
    y = (size > 25.0).where(_half_exp(size), t + t / (t + t + 1.0))
    return _tiny_as_it_is(x, _copysign(y, x))


def _cosh(x: Lanes) -> Lanes:
    half = _half_exp(_abs(x))
    return half + 0.25 / half


def _tanh(x: Lanes) -> Lanes:
    size = no_more(_abs(x), x.precision.tanh_one)
    n, q = _reduced(size + size)
    power = power_of_two(n.integers)
    t = multiply_add(power, q, power - 1.0)  # exp(2 x) - 1
    return _copysign(t / (t + 2.0), x)


def _sigmoid(x: Lanes) -> Lanes:
    e = _exp_of_minus(_abs(x))  # at most one: nothing overflows and no digit is lost
    return (x < 0.0).where(e, 1.0) / (1.0 + e)


# logarithms


def _bits_of_root_half(precision: Precision) -> int:
    code, whole = ("<f", "<i") if precision is SINGLE else ("<d", "<q")
    return int(struct.unpack(whole, struct.pack(code, math.sqrt(0.5)))[0])


def _split(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return e and f with ``x = 2**e * (1 + f)`` and ``sqrt(1/2) <= 1 + f < sqrt(2)``; x is positive."""
    precision = x.precision
    small = x < precision.smallest_normal
    lift = precision.digits + 1
    bits = small.where(x * 2.0**lift, x).as_bits()
    exponent = (bits - _bits_of_root_half(precision)) >> precision.digits
    f = (bits - (exponent << precision.digits)).as_floats() - 1.0
    e = exponent.to_floats()
    return small.where(e - float(lift), e), f


def _series(f: Lanes) -> tuple[Lanes, Lanes]:
    """Return a and b with ``log(1 + f) = f - (a - b)``, as FDLIBM does (Sun Microsystems, 1993)."""
    s = f / (f + 2.0)
    z = s * s
    a = 0.5 * f * f
    return a, s * multiply_add(z, polynomial(f.precision.log, z), a)


def _joined(e: Lanes, f: Lanes, correction: Lanes) -> Lanes:
    """Return ``e log(2) + log(1 + f)`` plus a small correction."""
    a, b = _series(f)
    low = multiply_add(e, e.precision.log2_low, correction)
    return e * e.precision.log2_high - ((a - (b + low)) - f)


def _at_edges(x: Lanes, y: Lanes) -> Lanes:
    """Return the logarithm y of x: not finite where x is 0, negative, infinite or NaN."""
    y = (x > 0.0).where(y, (x.equals(0.0)).where(-INFINITY, math.nan))
    return (x < INFINITY).where(y, x)


def _log(x: Lanes) -> Lanes:
    e, f = _split(x)
    return _at_edges(x, _joined(e, f, x.constant(0.0)))


def _log2(x: Lanes) -> Lanes:
    e, f = _split(x)
    a, b = _series(f)
    return _at_edges(x, multiply_add(f - (a - b), 1 / LOG2, e))


def _log1p(x: Lanes) -> Lanes:
    u = 1.0 + x
    e, f = _split(u)
    lost = (e > 1.0).where(1.0 - (u - x), x - (u - 1.0)) / u
    near = e.equals(0.0)
    y = _joined(e, near.where(x, f), near.where(0.0, lost))
    return x.equals(0.0).where(x, _at_edges(u, y))


def _logaddexp(a: Lanes, b: Lanes) -> Lanes:
    y = larger(a, b) + _log1p(_exp_of_minus(_abs(a - b)))
    return a.equals(b).where(a + LOG2, y)


# through the C library


def _from_library(symbol: str) -> Callable[..., Lanes]:
    """Return a formula that calls the C function for each element, in float64."""

    def formula(*sides: Lanes) -> Lanes:
        builder, kind = sides[0].builder, sides[0].value.type
        name = f"minigrad.{symbol}.{kind.count}.{sides[0].precision.bits}"
        function = builder.module.globals.get(name) or _lane_by_lane(
            builder, name, symbol, kind, len(sides)
        )
        return sides[0].like(builder.call(function, [side.value for side in sides]))

    return formula


def _lane_by_lane(
    builder: ir.IRBuilder, name: str, symbol: str, kind: ir.Type, count: int
) -> ir.Function:
    """Write a function that loops over the lanes: many calls in line would only cost compile time."""
    function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * count), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    double, index = ir.DoubleType(), ir.IntType(32)
    scalar = declared(builder, symbol, double, [double] * count)
    entry, loop, done = (function.append_basic_block(label) for label in ("entry", "loop", "done"))
    body = ir.IRBuilder(entry)
    body.branch(loop)
    body.position_at_end(loop)
    lane = body.phi(index)
    result = body.phi(kind)
    lane.add_incoming(index(0), entry)
    result.add_incoming(ir.Constant(kind, ir.Undefined), entry)
    numbers = [body.extract_element(argument, lane) for argument in function.args]
    if kind.element == double:
        found = body.call(scalar, numbers)
    else:
        found = body.call(scalar, [body.fpext(number, double) for number in numbers])
        found = body.fptrunc(found, kind.element)
    extended = body.insert_element(result, found, lane)
    following = body.add(lane, index(1))
    lane.add_incoming(following, loop)
    result.add_incoming(extended, loop)
    body.cbranch(body.icmp_signed("<", following, index(kind.count)), loop, done)
    body.position_at_end(done)
    body.ret(extended)
    return function


_fmod = _from_library("fmod")
_power = _from_library("pow")


def _other_sign(a: Lanes, b: Lanes) -> Lanes:
    """Whether a is not zero and has another sign than b."""
    return ((a < 0.0) ^ (b < 0.0)) & a.differs(0.0)


def _remainder(a: Lanes, b: Lanes) -> Lanes:
    rest = _fmod(a, b)
    rest = _other_sign(rest, b).where(rest + b, rest)
    return rest.equals(0.0).where(_copysign(rest, b), rest)


def _floor_divide(a: Lanes, b: Lanes) -> Lanes:
    rest = _fmod(a, b)
    quotient = (a - rest) / b
    quotient = _other_sign(rest, b).where(quotient - 1.0, quotient)
    whole = quotient.call("floor")
    whole = (quotient - whole > 0.5).where(whole + 1.0, whole)
    exact = a / b
    whole = quotient.equals(0.0).where(_copysign(quotient, exact), whole)
    return b.equals(0.0).where(exact, whole)


# for jitted code

exp = define_function("exp", _exp)
expm1 = define_function("expm1", _expm1)
exp2 = define_function("exp2", _exp2)
log = define_function("log", _log)
log1p = define_function("log1p", _log1p)
log2 = define_function("log2", _log2)
tanh = define_function("tanh", _tanh)
sigmoid = define_function("sigmoid", _sigmoid)
sqrt = define_function("sqrt", lambda x: x.call("sqrt"))
square = define_function("square", lambda x: x * x)
reciprocal = define_function("reciprocal", lambda x: 1.0 / x)
log10, sin, cos, tan, asin, acos, atan, asinh, acosh, atanh = (
    define_function(name, _from_library(name))
    for name in "log10 sin cos tan asin acos atan asinh acosh atanh".split()
)
sinh = define_function("sinh", _sinh)
cosh = define_function("cosh", _cosh)
abs = define_function("abs", _abs)
sign = define_function("sign", _sign)
copysign = define_function("copysign", _copysign, 2)
floor = define_function("floor", lambda x: x.call("floor"))
ceil = define_function("ceil", lambda x: x.call("ceil"))
round = define_function("round", lambda x: x.call("rint"))
trunc = define_function("trunc", lambda x: x.call("trunc"))
zeros_like = define_function("zeros_like", lambda x: x.constant(0.0))
positive = define_function("positive", lambda x: x)
negative = define_function("negative", operator.neg)

add = define_function("add", operator.add, 2)
subtract = define_function("subtract", operator.sub, 2)
multiply = define_function("multiply", operator.mul, 2)
divide = define_function("divide", operator.truediv, 2)
maximum = define_function("maximum", larger, 2)
minimum = define_function("minimum", smaller, 2)
clip = define_function("clip", _clip, 3)
atan2 = define_function("atan2", _from_library("atan2"), 2)
hypot = define_function("hypot", _from_library("hypot"), 2)
power = define_function("power", _power, 2)
remainder = define_function("remainder", _remainder, 2)
floor_divide = define_function("floor_divide", _floor_divide, 2)
logaddexp = define_function("logaddexp", _logaddexp, 2)
define_operator(operator.pow, 2, on_vectors=Meaning(_power, VECTORS, as_vector))

equal = define_function("equal", Lanes.equals, 2, MASKS)
not_equal = define_function("not_equal", Lanes.differs, 2, MASKS)
less = define_function("less", operator.lt, 2, MASKS)
less_equal = define_function("less_equal", operator.le, 2, MASKS)
greater = define_function("greater", operator.gt, 2, MASKS)
greater_equal = define_function("greater_equal", operator.ge, 2, MASKS)
isnan = define_function("isnan", _is_nan, 1, MASKS)
isinf = define_function("isinf", _is_infinite, 1, MASKS)
isfinite = define_function("isfinite", _is_finite, 1, MASKS)
logical_and = define_function("logical_and", operator.and_, 2, MASKS, as_mask)
logical_or = define_function("logical_or", operator.or_, 2, MASKS, as_mask)
logical_xor = define_function("logical_xor", operator.xor, 2, MASKS, as_mask)
logical_not = define_function("logical_not", operator.invert, 1, MASKS, as_mask)

# the error function has one formula, in the op table; here it runs on Lanes
_FOR_ERF = SimpleNamespace(
    abs=_abs, sign=_sign, exp=_exp, where=Lanes.where,
    minimum=no_more, maximum=no_less,
    clip=lambda x, low, high: no_more(no_less(x, low), high),
)  # fmt: skip
erf = define_function("erf", lambda x: erf_op.fn(_FOR_ERF, x))
