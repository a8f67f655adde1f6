"""Ops on single elements. In a rule, ``g`` is the cotangent of the output ``y``.

At a kink the gradient is a subgradient, as in PyTorch: zero for ``abs``, ``sign`` and ``relu`` at 0, half
to each side where ``maximum`` or ``minimum`` ties, and one at the bounds of ``clip``.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad.conversion import check_fits
from minigrad.errors import ArgumentError
from minigrad.op import Arguments, Domain, Draw, elementwise

ANALYTIC = Domain(sharp="complex")
LINEAR = Domain(sharp="linear")
POSITIVE = Domain(0.3, 3.0, sharp="complex")


def _with(**choices: tuple[Any, ...]) -> Any:
    """Arguments for a function of one array that has options."""

    def arguments(draw: Draw) -> Arguments:
        return (draw.array(*draw.shape()),), {k: draw.choice(v) for k, v in choices.items()}

    return arguments


def _safe_ratio(m: Any, a: Any, b: Any) -> Any:
    """``a / b``, and 0 where ``b`` is 0."""
    return m.where(b == 0, 0.0, a / m.where(b == 0, 1.0, b))


# arithmetic

add = elementwise(
    "add", lambda m, a, b: a + b, (lambda m, g, y, a, b: g, lambda m, g, y, a, b: g),
    domain=LINEAR, doc="Sum of two tensors.",
)  # fmt: skip
subtract = elementwise(
    "subtract", lambda m, a, b: a - b, (lambda m, g, y, a, b: g, lambda m, g, y, a, b: -g),
    domain=LINEAR, doc="Difference of two tensors.",
)  # fmt: skip
multiply = elementwise(
    "multiply", lambda m, a, b: a * b, (lambda m, g, y, a, b: g * b, lambda m, g, y, a, b: g * a),
    domain=LINEAR, doc="Product, element by element.",
)  # fmt: skip
divide = elementwise(
    "divide", lambda m, a, b: a / b,
    (lambda m, g, y, a, b: g / b, lambda m, g, y, a, b: -g * y / b),
    domain=POSITIVE, promotion="float", doc="Quotient of two tensors.",
)  # fmt: skip


def _power_base(m: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(b, (int, float)):
        # both read a: what is saved depends on the op, not on the value of b
        return m.zeros_like(a) if b == 0 else g * (b * a ** (b - 1))
    return g * m.where(b == 0, 0.0, b * a ** m.where(b == 0, 1.0, b - 1))


def _power_exponent(m: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    if isinstance(a, (int, float)):
        return m.zeros_like(y) if a == 0 else g * y * (math.log(a) if a > 0 else math.nan)
    return g * m.where(a == 0, 0.0, y * m.log(m.where(a == 0, 1.0, a)))


power = elementwise(
    "power", lambda m, a, b: a**b, (_power_base, _power_exponent), domain=POSITIVE,
    doc="``a`` to the power ``b``. The gradient of ``b`` is 0 where ``a`` is 0.",
)  # fmt: skip
negative = elementwise(
    "negative", lambda m, x: -x, lambda m, g, y, x: -g, domain=LINEAR, doc="``-x``.",
)  # fmt: skip
positive = elementwise(
    "positive", lambda m, x: +x, lambda m, g, y, x: g, domain=LINEAR, doc="A copy of ``x``.",
)  # fmt: skip
abs = elementwise(
    "abs", lambda m, x: m.abs(x), lambda m, g, y, x: g * m.sign(x), doc="Absolute value.",
)  # fmt: skip
square = elementwise(
    "square", lambda m, x: x * x, lambda m, g, y, x: g * (2 * x), domain=ANALYTIC,
    doc="``x * x``.",
)  # fmt: skip
reciprocal = elementwise(
    "reciprocal", lambda m, x: 1 / x, lambda m, g, y, x: -g * y * y, domain=POSITIVE,
    promotion="float", doc="``1 / x``.",
)  # fmt: skip
remainder = elementwise(
    "remainder", lambda m, a, b: m.remainder(a, b),
    (lambda m, g, y, a, b: g, lambda m, g, y, a, b: -g * m.floor_divide(a, b)),
    domain=Domain(0.5, 3.0), doc="Remainder of ``a / b`` with the sign of ``b``, as Python's ``%``.",
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide", lambda m, a, b: m.floor_divide(a, b), domain=Domain(0.5, 3.0),
    doc="``a / b`` rounded down. Has no derivative.",
)  # fmt: skip

# rounding: constant between jumps, so the gradient is zero


def _no_slope(m: Any, g: Any, y: Any, x: Any) -> Any:
    return m.zeros_like(g)


zeros_like = elementwise(
    "zeros_like", lambda m, x: m.zeros_like(x), _no_slope, doc="Zeros of the shape of ``x``."
)
sign = elementwise(
    "sign", lambda m, x: m.sign(x), _no_slope, doc="-1, 0 or 1. The gradient is 0.",
)  # fmt: skip
floor = elementwise(
    "floor", lambda m, x: m.floor(x), _no_slope, doc="Round down. The gradient is 0.",
)  # fmt: skip
ceil = elementwise(
    "ceil", lambda m, x: m.ceil(x), _no_slope, doc="Round up. The gradient is 0.",
)  # fmt: skip
round = elementwise(
    "round", lambda m, x: m.round(x), _no_slope,
    doc="Round to the nearest integer, halves to the even one. The gradient is 0.",
)  # fmt: skip
trunc = elementwise(
    "trunc", lambda m, x: m.trunc(x), _no_slope, doc="Round towards zero. The gradient is 0.",
)  # fmt: skip

# signs and neighbours: of the bits of a number

copysign = elementwise(
    "copysign", lambda m, a, b: m.copysign(a, b),
    (
        lambda m, g, y, a, b: g * m.sign(a) * m.sign(y),
        lambda m, g, y, a, b: m.zeros_like(g),
    ),
    domain=Domain(0.3, 3.0), promotion="float",
    doc="The size of ``a`` with the sign of ``b``. The gradient of ``a`` at 0 is 0, as that of ``b`` is.",
)  # fmt: skip
signbit = elementwise(
    "signbit", lambda m, x: m.copysign(m.zeros_like(x) + 1.0, x) < 0, promotion="float",
    doc="Whether an element has a minus sign, as -0.0 has.",
)  # fmt: skip
nextafter = elementwise(
    "nextafter", lambda m, a, b: m.nextafter(a, b),
    (lambda m, g, y, a, b: g, lambda m, g, y, a, b: m.zeros_like(g)),
    promotion="float", moves=True,
    doc="The next number after ``a`` on the way to ``b`` that the dtype holds.",
)  # fmt: skip

# exponentials, logarithms, roots

exp = elementwise(
    "exp", lambda m, x: m.exp(x), lambda m, g, y, x: g * y, domain=ANALYTIC, promotion="float",
    doc="``e ** x``.",
)  # fmt: skip
expm1 = elementwise(
    "expm1", lambda m, x: m.expm1(x), lambda m, g, y, x: g * (y + 1), domain=ANALYTIC,
    promotion="float", doc="``e ** x - 1``, accurate near 0.",
)  # fmt: skip
exp2 = elementwise(
    "exp2", lambda m, x: 2.0**x, lambda m, g, y, x: g * y * math.log(2), domain=ANALYTIC,
    promotion="float", doc="``2 ** x``.",
)  # fmt: skip
log = elementwise(
    "log", lambda m, x: m.log(x), lambda m, g, y, x: g / x, domain=POSITIVE,
    promotion="float", doc="Natural logarithm.",
)  # fmt: skip
log1p = elementwise(
    "log1p", lambda m, x: m.log1p(x), lambda m, g, y, x: g / (1 + x), domain=POSITIVE,
    promotion="float", doc="``log(1 + x)``, accurate near 0.",
)  # fmt: skip
log2 = elementwise(
    "log2", lambda m, x: m.log2(x), lambda m, g, y, x: g / (x * math.log(2)), domain=POSITIVE,
    promotion="float", doc="Logarithm to base 2.",
)  # fmt: skip
log10 = elementwise(
    "log10", lambda m, x: m.log10(x), lambda m, g, y, x: g / (x * math.log(10)), domain=POSITIVE,
    promotion="float", doc="Logarithm to base 10.",
)  # fmt: skip
sqrt = elementwise(
    "sqrt", lambda m, x: m.sqrt(x), lambda m, g, y, x: g * 0.5 / y, domain=POSITIVE,
    promotion="float", doc="Square root. The gradient at 0 is infinite.",
)  # fmt: skip

# trigonometric and hyperbolic functions

sin = elementwise(
    "sin", lambda m, x: m.sin(x), lambda m, g, y, x: g * m.cos(x), domain=ANALYTIC, promotion="float",
    doc="Sine.",
)  # fmt: skip
cos = elementwise(
    "cos", lambda m, x: m.cos(x), lambda m, g, y, x: -g * m.sin(x), domain=ANALYTIC, promotion="float",
    doc="Cosine.",
)  # fmt: skip
tan = elementwise(
    "tan", lambda m, x: m.tan(x), lambda m, g, y, x: g * (1 + y * y),
    domain=Domain(-1.2, 1.2, sharp="complex"), promotion="float", doc="Tangent.",
)  # fmt: skip
asin = elementwise(
    "asin", lambda m, x: m.asin(x), lambda m, g, y, x: g / m.sqrt((1 - x) * (1 + x)),
    domain=Domain(-0.8, 0.8, sharp="complex"), promotion="float", doc="Inverse sine.",
)  # fmt: skip
acos = elementwise(
    "acos", lambda m, x: m.acos(x), lambda m, g, y, x: -g / m.sqrt((1 - x) * (1 + x)),
    domain=Domain(-0.8, 0.8, sharp="complex"), promotion="float", doc="Inverse cosine.",
)  # fmt: skip
atan = elementwise(
    "atan", lambda m, x: m.atan(x), lambda m, g, y, x: g / (1 + x * x), domain=ANALYTIC,
    promotion="float", doc="Inverse tangent.",
)  # fmt: skip


def _angle_slope(m: Any, side: Any, size: Any) -> Any:
    """``side / size ** 2`` without overflow, and 0 where ``size`` is 0 or infinite."""
    outside = m.logical_or(size == 0, m.isinf(size))
    size = m.where(outside, 1.0, size)
    return m.where(outside, 0.0, side / size / size)


atan2 = elementwise(
    "atan2", lambda m, a, b: m.atan2(a, b),
    (
        lambda m, g, y, a, b: g * _angle_slope(m, b, m.hypot(a, b)),
        lambda m, g, y, a, b: -g * _angle_slope(m, a, m.hypot(a, b)),
    ),
    domain=Domain(0.3, 3.0),
    promotion="float",
    doc="Angle of the point (b, a). The gradient at (0, 0) is 0.",
)  # fmt: skip
sinh = elementwise(
    "sinh", lambda m, x: m.sinh(x), lambda m, g, y, x: g * m.cosh(x), domain=ANALYTIC,
    promotion="float", doc="Hyperbolic sine.",
)  # fmt: skip
cosh = elementwise(
    "cosh", lambda m, x: m.cosh(x), lambda m, g, y, x: g * m.sinh(x), domain=ANALYTIC,
    promotion="float", doc="Hyperbolic cosine.",
)  # fmt: skip
tanh = elementwise(
    "tanh", lambda m, x: m.tanh(x), lambda m, g, y, x: g * (1 - y * y), domain=ANALYTIC,
    promotion="float", doc="Hyperbolic tangent.",
)  # fmt: skip
asinh = elementwise(
    "asinh", lambda m, x: m.asinh(x), lambda m, g, y, x: g / m.sqrt(x * x + 1), domain=ANALYTIC,
    promotion="float", doc="Inverse hyperbolic sine.",
)  # fmt: skip
acosh = elementwise(
    "acosh", lambda m, x: m.acosh(x), lambda m, g, y, x: g / m.sqrt((x - 1) * (x + 1)),
    domain=Domain(1.3, 3.0, sharp="complex"), promotion="float", doc="Inverse hyperbolic cosine.",
)  # fmt: skip
atanh = elementwise(
    "atanh", lambda m, x: m.atanh(x), lambda m, g, y, x: g / ((1 - x) * (1 + x)),
    domain=Domain(-0.8, 0.8, sharp="complex"), promotion="float", doc="Inverse hyperbolic tangent.",
)  # fmt: skip
hypot = elementwise(
    "hypot", lambda m, a, b: m.hypot(a, b),
    (
        lambda m, g, y, a, b: g * _safe_ratio(m, a, y),
        lambda m, g, y, a, b: g * _safe_ratio(m, b, y),
    ),
    domain=Domain(0.3, 3.0), promotion="float",
    doc="``sqrt(a * a + b * b)`` without overflow. The gradient at 0 is 0.",
)  # fmt: skip


def _logaddexp_share(m: Any, g: Any, a: Any, b: Any) -> Any:
    difference = a - b
    same_infinity = m.logical_and(a == b, m.isnan(difference))
    return g * m.sigmoid(m.where(same_infinity, 0.0, difference))


logaddexp = elementwise(
    "logaddexp", lambda m, a, b: m.logaddexp(a, b),
    (
        lambda m, g, y, a, b: _logaddexp_share(m, g, a, b),
        lambda m, g, y, a, b: _logaddexp_share(m, g, b, a),
    ),
    promotion="float", doc="``log(exp(a) + exp(b))`` without overflow.",
)  # fmt: skip

# the error function: near 0 by the rational approximation of FDLIBM (Sun Microsystems, 1993), elsewhere
# by those of W. J. Cody (1969), Mathematics of Computation 23; accurate to two units in the last place

_NEAR = (
    (-2.37630166566501626084e-5, -5.77027029648944159157e-3, -2.84817495755985104766e-2,
     -3.25042107247001499370e-1, 1.28379167095512558561e-1),
    (-3.96022827877536812320e-6, 1.32494738004321644526e-4, 5.08130628187576562776e-3,
     6.50222499887672944485e-2, 3.97917223959155352819e-1, 1.0),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    values = []
    for polynomial in coefficients:
        value = polynomial[0] * x + polynomial[1]
        for coefficient in polynomial[2:]:
            value = value * x + coefficient
        values.append(value)
    return values[0] / values[1]


def _erf(m: Any, x: Any) -> Any:
    size = m.minimum(m.abs(x), 6.0)  # erf(6) is 1 to the last bit
    near = m.minimum(size, 1.0)
    middle = m.clip(size, 0.75, 4.0)
    far = m.maximum(size, 4.0)
    inverse = 1 / (far * far)
    tail = m.where(
        size <= 4.0,
        m.exp(-middle * middle) * _ratio(_MIDDLE, middle),
        m.exp(-far * far) * (1 / math.sqrt(math.pi) - inverse * _ratio(_FAR, inverse)) / far,
    )
    return m.where(size <= 0.84375, x + x * _ratio(_NEAR, near * near), m.sign(x) * (1 - tail))


erf = elementwise(
    "erf", _erf, lambda m, g, y, x: g * (2 / math.sqrt(math.pi)) * m.exp(-x * x),
    promotion="float", doc="Error function (Cody 1969; FDLIBM).",
)  # fmt: skip

# activations


def _sigmoid(m: Any, x: Any) -> Any:
    e = m.exp(m.where(x >= 0, -x, x))  # never above one, so nothing overflows and no digit is lost
    return m.where(x >= 0, 1.0, e) / (1 + e)


sigmoid = elementwise(
    "sigmoid", _sigmoid, lambda m, g, y, x: g * (y * (1 - y)), domain=ANALYTIC,
    promotion="float", doc="Logistic function ``1 / (1 + exp(-x))``.",
)  # fmt: skip
relu = elementwise(
    "relu", lambda m, x: m.maximum(x, 0), lambda m, g, y, x: m.where(y > 0, g, 0.0), selects=True,
    doc="``max(x, 0)``. The gradient at 0 is 0.",
)  # fmt: skip
leaky_relu = elementwise(
    "leaky_relu",
    lambda m, x, /, negative_slope=0.01: m.where(x > 0, x, negative_slope * x),
    lambda m, g, y, x, negative_slope: m.where(x > 0, g, negative_slope * g),
    domain=Domain(arguments=_with(negative_slope=(0.01, 0.2))),
    promotion="float", doc="``x`` where positive, else ``negative_slope * x`` (Maas 2013).",
)  # fmt: skip
elu = elementwise(
    "elu",
    lambda m, x, /, alpha=1.0: m.where(x > 0, x, alpha * m.expm1(m.minimum(x, 0))),
    lambda m, g, y, x, alpha: g * m.where(x > 0, 1.0, alpha * m.exp(m.minimum(x, 0))),
    domain=Domain(arguments=_with(alpha=(1.0, 0.5))),
    promotion="float", doc="``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert 2016).",
)  # fmt: skip

_CUBIC = 0.044715
_ROOT = math.sqrt(2 / math.pi)


def _gelu(m: Any, x: Any, /, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + m.tanh(_ROOT * (x + _CUBIC * x * x * x)))
    if approximate != "none":
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    return 0.5 * x * (1 + _erf(m, x * math.sqrt(0.5)))


def _gelu_rule(m: Any, g: Any, y: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        t = m.tanh(_ROOT * (x + _CUBIC * x * x * x))
        slope = _ROOT * (1 + 3 * _CUBIC * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)
    density = m.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return g * (0.5 * (1 + m.erf(x * math.sqrt(0.5))) + x * density)


gelu = elementwise(
    "gelu", _gelu, _gelu_rule, domain=Domain(arguments=_with(approximate=("none", "tanh"))),
    promotion="float",
    doc="Gaussian error linear unit (Hendrycks 2016), exact or by PyTorch's tanh formula.",
)  # fmt: skip


def _silu_rule(m: Any, g: Any, y: Any, x: Any) -> Any:
    s = m.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


silu = elementwise(
    "silu", lambda m, x: x * _sigmoid(m, x), _silu_rule, domain=ANALYTIC,
    promotion="float", doc="``x * sigmoid(x)``, also called swish.",
)  # fmt: skip
softplus = elementwise(
    "softplus", lambda m, x: m.maximum(x, 0) + m.log1p(m.exp(-m.abs(x))),
    lambda m, g, y, x: g * m.sigmoid(x), promotion="float",
    doc="``log(1 + exp(x))`` without overflow.",
)  # fmt: skip
hard_sigmoid = elementwise(
    "hard_sigmoid", lambda m, x: m.clip(x / 6 + 0.5, 0, 1),
    lambda m, g, y, x: m.where(m.abs(x) < 3, g / 6, 0.0), domain=Domain(-4, 4), selects=True,
    promotion="float", doc="``clip(x / 6 + 1 / 2, 0, 1)``, as PyTorch.",
)  # fmt: skip


def _hard_tanh(m: Any, x: Any, /, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    if not min_val <= max_val:
        raise ArgumentError(
            f"min_val={min_val} must not be larger than max_val={max_val}; swap them"
        )
    return m.clip(x, min_val, max_val)


hard_tanh = elementwise(
    "hard_tanh", _hard_tanh,
    lambda m, g, y, x, min_val, max_val: m.where(
        x > min_val, m.where(x < max_val, g, 0.0), 0.0
    ),
    domain=Domain(arguments=_with(min_val=(-1.0, -0.5), max_val=(0.25, 1.0))), selects=True,
    promotion="float", doc="``clip(x, min_val, max_val)``. The gradient at the bounds is 0.",
)  # fmt: skip
softsign = elementwise(
    "softsign", lambda m, x: x / (1 + m.abs(x)),
    lambda m, g, y, x: g / m.square(1 + m.abs(x)), promotion="float", doc="``x / (1 + abs(x))``.",
)  # fmt: skip

# choosing


def _larger_share(m: Any, g: Any, a: Any, b: Any) -> Any:
    return m.where(a == b, 0.5 * g, m.where(a > b, g, 0.0))


maximum = elementwise(
    "maximum", lambda m, a, b: m.maximum(a, b),
    (
        lambda m, g, y, a, b: _larger_share(m, g, a, b),
        lambda m, g, y, a, b: _larger_share(m, g, b, a),
    ),
    selects=True, doc="The larger of two elements; where equal, each gets half the gradient.",
)  # fmt: skip
minimum = elementwise(
    "minimum", lambda m, a, b: m.minimum(a, b),
    (
        lambda m, g, y, a, b: _larger_share(m, g, b, a),
        lambda m, g, y, a, b: _larger_share(m, g, a, b),
    ),
    selects=True, doc="The smaller of two elements; where equal, each gets half the gradient.",
)  # fmt: skip


def _clip(m: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = m.maximum(x, min)
    return x if max is None else m.minimum(x, max)


def _clip_rule(m: Any, g: Any, y: Any, x: Any, min: Any, max: Any) -> Any:
    if min is None and max is None:  # reads x as the other cases do: they save the same
        return m.where(m.isnan(x), 0.0, g)
    if min is not None:
        g = m.where(x >= min, g, 0.0)
    return g if max is None else m.where(x <= max, g, 0.0)


def _clip_min_rule(m: Any, g: Any, y: Any, x: Any, min: Any, max: Any) -> Any:
    g = m.where(x < min, g, 0.0)
    return g if max is None else m.where(min <= max, g, 0.0)


def _clip_max_rule(m: Any, g: Any, y: Any, x: Any, min: Any, max: Any) -> Any:
    return m.where((x if min is None else m.maximum(x, min)) > max, g, 0.0)


def _clip_arguments(draw: Draw) -> Arguments:
    bounds = draw.choice([(-1.0, 1.0), (None, 0.5), (-0.5, None), (draw.array(1), 3.0)])
    return (draw.array(*draw.shape()), *bounds), {}


clip = elementwise(
    "clip", _clip, (_clip_rule, _clip_min_rule, _clip_max_rule),
    domain=Domain(arguments=_clip_arguments), selects=True,
    doc="``x`` no smaller than ``min`` and no larger than ``max``; None leaves a side open.",
)  # fmt: skip


def _where_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.booleans(*shape), draw.array(*shape), draw.array(*shape[-1:])), {}


def _where(m: Any, condition: Any, a: Any, b: Any) -> Any:
    for value, other in ((a, b), (b, a)):
        if type(value) is int and getattr(getattr(other, "dtype", None), "kind", "f") in "iu":
            check_fits("", value, other.dtype)  # NumPy's where would wrap it
    return m.where(condition, a, b)


where = elementwise(
    "where", _where,
    (
        None,
        lambda m, g, y, condition, a, b: m.where(condition, g, 0.0),
        lambda m, g, y, condition, a, b: m.where(condition, 0.0, g),
    ),
    domain=Domain(sharp="linear", arguments=_where_arguments), selects=True, moves=True,
    doc="``a`` where the condition holds, else ``b``; the side not taken gets a gradient of 0.",
)  # fmt: skip

# comparisons and logic: no derivative

equal = elementwise("equal", lambda m, a, b: a == b, doc="``a == b``.")
not_equal = elementwise("not_equal", lambda m, a, b: a != b, doc="``a != b``.")
less = elementwise("less", lambda m, a, b: a < b, doc="``a < b``.")
less_equal = elementwise("less_equal", lambda m, a, b: a <= b, doc="``a <= b``.")
greater = elementwise("greater", lambda m, a, b: a > b, doc="``a > b``.")
greater_equal = elementwise("greater_equal", lambda m, a, b: a >= b, doc="``a >= b``.")
isnan = elementwise("isnan", lambda m, x: m.isnan(x), doc="Whether an element is NaN.")
isinf = elementwise("isinf", lambda m, x: m.isinf(x), doc="Whether an element is infinite.")
isfinite = elementwise(
    "isfinite", lambda m, x: m.isfinite(x), doc="Whether an element is neither NaN nor infinite."
)


def _truths(count: int) -> Domain:
    def arguments(draw: Draw) -> Arguments:
        shape = draw.shape()
        return tuple(draw.booleans(*shape) for _ in range(count)), {}

    return Domain(arguments=arguments)


logical_and = elementwise(
    "logical_and", lambda m, a, b: m.logical_and(a, b), domain=_truths(2), doc="Both are true."
)
logical_or = elementwise(
    "logical_or", lambda m, a, b: m.logical_or(a, b), domain=_truths(2), doc="Either is true."
)
logical_xor = elementwise(
    "logical_xor", lambda m, a, b: m.logical_xor(a, b), domain=_truths(2), doc="Just one is true."
)
logical_not = elementwise(
    "logical_not", lambda m, x: m.logical_not(x), domain=_truths(1), doc="False becomes true."
)
bitwise_and = elementwise("bitwise_and", lambda m, a, b: a & b, domain=_truths(2), doc="``a & b``.")
bitwise_or = elementwise("bitwise_or", lambda m, a, b: a | b, domain=_truths(2), doc="``a | b``.")
bitwise_xor = elementwise("bitwise_xor", lambda m, a, b: a ^ b, domain=_truths(2), doc="``a ^ b``.")
bitwise_invert = elementwise("bitwise_invert", lambda m, x: ~x, domain=_truths(1), doc="``~x``.")


def _shift(name: str, direction: str, formula: Any) -> Any:
    def checked(m: Any, a: Any, b: Any) -> Any:
        if bool(m.any(m.asarray(b) < 0)):
            raise ArgumentError("a number of places is negative; shift the other way instead")
        return formula(m, a, b)

    return elementwise(name, checked, domain=Domain(arguments=_whole_arguments), doc=direction)


def _whole_arguments(draw: Draw) -> Arguments:
    shape = draw.shape()
    return (draw.integers(*shape, low=-9, high=9), draw.integers(*shape, low=0, high=5)), {}


bitwise_left_shift = _shift(
    "bitwise_left_shift", "The bits of ``a`` moved ``b`` places up, which fills with zeros.",
    lambda m, a, b: m.bitwise_left_shift(a, b),
)  # fmt: skip
bitwise_right_shift = _shift(
    "bitwise_right_shift", "The bits of ``a`` moved ``b`` places down, which fills with the sign.",
    lambda m, a, b: m.bitwise_right_shift(a, b),
)  # fmt: skip
