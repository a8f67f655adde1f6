"""Vectors while code is being generated: LLVM values that carry Python's operators.

A formula on ``Lanes`` reads like arithmetic and emits one vector instruction for each operation. It never
passes through Numba's type inference, so even a long polynomial costs next to nothing to compile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from llvmlite import ir

from minigrad.kernels.cpu.simd import polynomials
from minigrad.kernels.cpu.simd.instruction_set import vector_bytes

Coefficients: TypeAlias = tuple[float, ...]
Number: TypeAlias = "Lanes | float"


@dataclass(frozen=True)
class Precision:
    """One floating-point type: its layout, and the constants that formulas need in it.

    Attributes
    ----------
    bits : int
        Of one element.
    digits : int
        Bits of the stored mantissa.
    bias : int
        Of the stored exponent.
    smallest_normal : float
    log_largest, log_smallest : float
        ``exp`` of more is infinite; ``exp`` of less is zero.
    log2_high, log2_low : float
        The natural logarithm of 2 in two parts, the first so short that its product with an exponent is
        exact.
    tanh_one : float
        From here on ``tanh`` rounds to one.
    exp, log : tuple of float
        Polynomials of kernels/cpu/simd/polynomials.py.
    """

    bits: int
    digits: int
    bias: int
    smallest_normal: float
    log_largest: float
    log_smallest: float
    log2_high: float
    log2_low: float
    tanh_one: float
    exp: Coefficients
    log: Coefficients

    @property
    def lanes(self) -> int:
        """The number of elements of one vector."""
        return vector_bytes() * 8 // self.bits

    @property
    def element(self) -> Any:
        """The LLVM type of one element."""
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @property
    def integer(self) -> Any:
        """The LLVM type of an integer of the same size."""
        return ir.IntType(self.bits)

    @property
    def vector(self) -> Any:
        """The LLVM type of a vector."""
        return ir.VectorType(self.element, self.lanes)

    @property
    def mask(self) -> Any:
        """The LLVM type of a mask."""
        return ir.VectorType(ir.IntType(1), self.lanes)


# log2_high: the first 15 and 33 bits of log(2), as in Cephes and FDLIBM
SINGLE = Precision(
    bits=32, digits=23, bias=127, smallest_normal=2.0**-126,
    log_largest=88.8, log_smallest=-104.0,
    log2_high=0.693359375, log2_low=-2.12194440054690583e-4,
    tanh_one=9.02, exp=polynomials.EXP_32, log=polynomials.LOG_32,
)  # fmt: skip
DOUBLE = Precision(
    bits=64, digits=52, bias=1023, smallest_normal=2.0**-1022,
    log_largest=709.8, log_smallest=-745.2,
    log2_high=6.93147180369123816490e-01, log2_low=1.90821492927058770002e-10,
    tanh_one=19.1, exp=polynomials.EXP_64, log=polynomials.LOG_64,
)  # fmt: skip
PRECISIONS = (SINGLE, DOUBLE)


class Lanes:
    """A vector of floats, of integers or of truth values.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    value : llvmlite value of a vector type
    precision : Precision
        Of the floats, or of the floats that a mask chooses from.
    flags : tuple of str
        What LLVM may do to the arithmetic: "contract" lets it join a product and a sum. Formulas allow
        nothing.
    """

    __slots__ = ("builder", "flags", "precision", "value")

    def __init__(
        self, builder: Any, value: Any, precision: Precision, flags: tuple[str, ...] = ()
    ) -> None:
        self.builder = builder
        self.value = value
        self.precision = precision
        self.flags = flags

    @property
    def is_float(self) -> bool:
        """Whether the elements are floats."""
        return isinstance(self.value.type.element, ir.FloatType | ir.DoubleType)

    def like(self, value: Any) -> Lanes:
        """Wrap another LLVM value."""
        return Lanes(self.builder, value, self.precision, self.flags)

    def constant(self, number: float) -> Lanes:
        """Return a vector of the same type, filled with one number."""
        kind = self.value.type
        return self.like(ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count))

    def filled(self, number: float) -> Lanes:
        """Return a vector of floats, filled with one number."""
        kind = ir.VectorType(self.precision.element, self.value.type.count)
        return self.like(ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count))

    def _with(self, other: Number) -> Any:
        return (other if isinstance(other, Lanes) else self.constant(other)).value

    def _arithmetic(self, on_floats: str, on_integers: str, a: Any, b: Any) -> Lanes:
        if self.is_float:
            return self.like(getattr(self.builder, on_floats)(a, b, flags=self.flags))
        return self.like(getattr(self.builder, on_integers)(a, b))

    def __add__(self, other: Number) -> Lanes:
        return self._arithmetic("fadd", "add", self.value, self._with(other))

    __radd__ = __add__

    def __sub__(self, other: Number) -> Lanes:
        return self._arithmetic("fsub", "sub", self.value, self._with(other))

    def __rsub__(self, other: Number) -> Lanes:
        return self._arithmetic("fsub", "sub", self._with(other), self.value)

    def __mul__(self, other: Number) -> Lanes:
        return self._arithmetic("fmul", "mul", self.value, self._with(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Lanes:
        return self.like(self.builder.fdiv(self.value, self._with(other), flags=self.flags))

    def __rtruediv__(self, other: Number) -> Lanes:
        return self.like(self.builder.fdiv(self._with(other), self.value, flags=self.flags))

    def __neg__(self) -> Lanes:
        return self.like(self.builder.fneg(self.value))

    def __lshift__(self, count: int) -> Lanes:
        return self.like(self.builder.shl(self.value, self._with(count)))

    def __rshift__(self, count: int) -> Lanes:
        return self.like(self.builder.ashr(self.value, self._with(count)))

    def __and__(self, other: Number) -> Lanes:
        return self.like(self.builder.and_(self.value, self._with(other)))

    def __or__(self, other: Number) -> Lanes:
        return self.like(self.builder.or_(self.value, self._with(other)))

    def __xor__(self, other: Number) -> Lanes:
        return self.like(self.builder.xor(self.value, self._with(other)))

    def __invert__(self) -> Lanes:
        return self.like(self.builder.not_(self.value))

    def _compare(self, sign: str, other: Number) -> Lanes:
        if not self.is_float:
            return self.like(self.builder.icmp_signed(sign, self.value, self._with(other)))
        compare = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        return self.like(compare(sign, self.value, self._with(other)))

    def __lt__(self, other: Number) -> Lanes:
        return self._compare("<", other)

    def __le__(self, other: Number) -> Lanes:
        return self._compare("<=", other)

    def __gt__(self, other: Number) -> Lanes:
        return self._compare(">", other)

    def __ge__(self, other: Number) -> Lanes:
        return self._compare(">=", other)

    def equals(self, other: Number) -> Lanes:
        """Compare for equality; NaN equals nothing."""
        return self._compare("==", other)

    def differs(self, other: Number) -> Lanes:
        """Compare for inequality; NaN differs from all."""
        return self._compare("!=", other)

    def as_bits(self) -> Lanes:
        """Return the bits of floats as integers."""
        return self.like(self.builder.bitcast(self.value, self._of(self.precision.integer)))

    def as_floats(self) -> Lanes:
        """Return the floats that have these bits."""
        return self.like(self.builder.bitcast(self.value, self._of(self.precision.element)))

    def to_floats(self) -> Lanes:
        """Convert integers to floats."""
        return self.like(self.builder.sitofp(self.value, self._of(self.precision.element)))

    def _of(self, element: Any) -> Any:
        return ir.VectorType(element, self.value.type.count)

    def call(self, intrinsic: str, *others: Number) -> Lanes:
        """Call an LLVM intrinsic that takes and returns vectors of this type: ``llvm.<name>``."""
        kind = self.value.type
        arguments = [self.value, *map(self._with, others)]
        letter = "f" if self.is_float else "i"
        name = f"llvm.{intrinsic}.v{kind.count}{letter}{self.precision.bits}"
        function = declared(self.builder, name, kind, [kind] * len(arguments))
        return self.like(self.builder.call(function, arguments))

    def where(self, a: Number, b: Number) -> Lanes:
        """Choose from ``a`` where this mask holds, else from ``b``."""
        a, b = (side if isinstance(side, Lanes) else self.filled(side) for side in (a, b))
        return a.like(self.builder.select(self.value, a.value, b.value))


def declared(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Return the external function ``name`` of the module that is being built."""
    known = builder.module.globals.get(name)
    if known is not None:
        return known
    return ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def multiply_add(a: Lanes, b: Number, c: Number) -> Lanes:
    """Return ``a * b + c``, rounded once where the CPU has such an instruction."""
    return a.call("fmuladd", b, c)


def polynomial(coefficients: Coefficients, x: Lanes) -> Lanes:
    """Return the polynomial at ``x``; the lowest power comes first."""
    *rest, last = coefficients
    total = x.constant(last)
    for c in reversed(rest):
        total = multiply_add(total, x, c)
    return total


def no_more(x: Lanes, bound: Number) -> Lanes:
    """Return the smaller of the two, and NaN where ``x`` is NaN: one instruction."""
    bound = bound if isinstance(bound, Lanes) else x.constant(bound)
    return (bound < x).where(bound, x)


def no_less(x: Lanes, bound: Number) -> Lanes:
    """Return the larger of the two, and NaN where ``x`` is NaN: one instruction."""
    bound = bound if isinstance(bound, Lanes) else x.constant(bound)
    return (bound > x).where(bound, x)


class Whole(NamedTuple):
    """Whole numbers, as floats and as integers."""

    floats: Lanes
    integers: Lanes


def rounded(x: Lanes, factor: float) -> Whole:
    """Return ``x * factor`` rounded to whole numbers, which must be small beside 2**22.

    Added to so large a number, a float drops its fraction, and its whole part appears in the lowest
    bits. Instructions that convert are slower, and AVX2 has none for float64.
    """
    large = x.constant(1.5 * 2.0**x.precision.digits)
    sum_ = multiply_add(x, factor, large)
    return Whole(sum_ - large, sum_.as_bits() - large.as_bits())


def times_power_of_two(x: Lanes, n: Whole) -> Lanes:
    """Return ``x * 2**n``, rounded once; ``x`` is about one."""
    precision = x.precision
    if vector_bytes() == 64:  # AVX-512 has an instruction for it
        kind = x.value.type
        mask = ir.IntType(kind.count)
        rounding = ir.IntType(32)
        letter = "s" if precision.bits == 32 else "d"
        scale = declared(
            x.builder,
            f"llvm.x86.avx512.mask.scalef.p{letter}.512",
            kind,
            [kind, kind, kind, mask, rounding],
        )
        all_lanes = ir.Constant(mask, -1)
        as_usual = ir.Constant(rounding, 4)
        arguments = [x.value, n.floats.value, x.value, all_lanes, as_usual]
        return x.like(x.builder.call(scale, arguments))
    # 2**n itself may lie outside the range of floats, so it is applied in two halves
    half = n.integers >> 1
    return x * power_of_two(half) * power_of_two(n.integers - half)


def power_of_two(n: Lanes) -> Lanes:
    """Return ``2**n`` as floats for integers in the range of the exponent."""
    return ((n + n.precision.bias) << n.precision.digits).as_floats()
