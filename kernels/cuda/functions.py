"""The functions of `minigrad.kernels.plan.scalar` in CUDA C++, with NumPy's results at edges and for NaN.

The text needs no header, so that NVRTC compiles it as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ctypes import c_float
from dataclasses import dataclass
from string import Template

from minigrad.kernels.emit.dialect import INFIX, number
from minigrad.kernels.plan.scalar import Call, Symbol, Tracer
from minigrad.op import OPS

# Functions whose results are truth values.
_TRUTH = frozenset(
    """
    equal not_equal less less_equal greater greater_equal isnan isinf isfinite
    logical_and logical_or logical_xor logical_not
    """.split()
)
# Where C has another name. Behind each name stands f in float32.
_C_NAMES = {"abs": "fabs", "power": "pow", "round": "rint"}
# $a, $b, $c: names of values, or numbers
_EXPRESSIONS = {
    "negative": "-$a", "positive": "$a", "zeros_like": "$zero", "where": "$a ? $b : $c",
    "logical_and": "$a && $b", "logical_or": "$a || $b", "logical_xor": "!$a != !$b",
    "logical_not": "!$a",
    "isnan": "$a != $a", "isinf": "fabs$f($a) == $infinity", "isfinite": "fabs$f($a) < $infinity",
}  # fmt: skip
# Written by running the formula of the op; each is a function of x.
_BY_FORMULA = frozenset({"sigmoid", "square", "reciprocal"})
# Larger and smaller hand on NaN, which fmax and fmin do not. Remainder and floor_divide: NumPy's.
_HELPERS = {
    "maximum": """\
__device__ inline real maximum(real a, real b) { return a >= b || a != a ? a : b; }
""",
    "minimum": """\
__device__ inline real minimum(real a, real b) { return a <= b || a != a ? a : b; }
""",
    "sign": """\
__device__ inline real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }
""",
    "logaddexp": """\
__device__ inline real logaddexp(real a, real b)
{
    const real larger = a > b ? a : b;
    return larger + (a == b ? log$f(real(2)) : log1p$f(exp$f(-fabs$f(a - b))));
}
""",
    "remainder": """\
__device__ inline real remainder(real a, real b)
{
    const real rest = fmod$f(a, b);
    if (rest == 0) return copysign$f(rest, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}
""",
    "floor_divide": """\
__device__ inline real floor_divide(real a, real b)
{
    if (b == 0) return a / b;
    const real rest = fmod$f(a, b);
    const real below = rest != 0 && (rest < 0) != (b < 0) ? 1 : 0;
    const real quotient = (a - rest) / b - below;
    if (quotient == 0) return copysign$f(quotient, a / b);
    const real whole = floor$f(quotient);
    return quotient - whole > real(0.5) ? whole + 1 : whole;
}
""",
}


@dataclass(frozen=True)
class Real:
    """A floating-point type of C.

    Attributes
    ----------
    name : str
    f : str
        What the names of its functions and its numbers end with.
    infinity, nan : str
    """

    name: str
    f: str
    infinity: str
    nan: str

    def number(self, value: float) -> str:
        """Return a number as this type rounds it where it is out of range."""
        narrow = c_float(value).value
        if self.f and (narrow == 0 or narrow in (float("inf"), float("-inf"))):
            value = narrow
        return number(value, infinity=self.infinity, nan=self.nan, suffix=self.f)


REALS: Mapping[str, Real] = {
    "float32": Real("float", "f", "__int_as_float(0x7f800000)", "__int_as_float(0x7fffffff)"),
    "float64": Real(
        "double",
        "",
        "__longlong_as_double(0x7ff0000000000000)",
        "__longlong_as_double(0x7fffffffffffffff)",
    ),
}


def assignment(call: Call, real: Real) -> str:
    """Return the line that makes the result of a call."""
    kind = "bool" if call.function in _TRUTH else "real"
    arguments = [a if isinstance(a, str) else real.number(a) for a in call.arguments]
    return f"const {kind} {call.result} = {expression(call.function, arguments, real)};"


def expression(function: str, arguments: Sequence[str], real: Real) -> str:
    """Return the text of a function of names or numbers."""
    if function in INFIX:
        left, right = arguments
        return f"{left} {INFIX[function]} {right}"
    if function in _EXPRESSIONS:
        given = dict(zip("abc", arguments, strict=False))
        zero = real.number(0.0)
        return Template(_EXPRESSIONS[function]).substitute(
            given, f=real.f, zero=zero, infinity=real.infinity
        )
    if function in _HELPERS or function in _BY_FORMULA:
        return f"minigrad::{function}({', '.join(arguments)})"
    return f"{_C_NAMES.get(function, function)}{real.f}({', '.join(arguments)})"


def definitions(functions: Collection[str], real: Real) -> list[str]:
    """Return the definitions of those functions that C does not have."""
    texts = [_formula(name, real) for name in sorted(_BY_FORMULA.intersection(functions))]
    helpers = [Template(text) for name, text in _HELPERS.items() if name in functions]
    return texts + [helper.substitute(f=real.f) for helper in helpers]


def _formula(name: str, real: Real) -> str:
    tracer = Tracer()
    result = OPS[name].fn(tracer, Symbol("x", tracer))
    lines = [f"    {assignment(call, real)}\n" for call in tracer.calls]
    head = f"__device__ inline real {name}(real x)\n{{\n"
    return f"{head}{''.join(lines)}    return {result.name};\n}}\n"
