"""Vectors of floats as a Numba type: the same Python text computes a register full of elements.

``vector32`` holds ``LANES32`` elements of float32, ``vector64`` holds ``LANES64`` of float64, and
comparing them gives ``mask32`` or ``mask64``. The usual operators work; a scalar beside a vector takes
its type.
Memory is reached by raw addresses in bytes, which need not be aligned. A masked load reads nothing where
the mask is false and gives zero there; a masked store leaves those elements as they are. What is stored
past the caches has to be aligned, and drives nothing else out of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.types.misc import unliteral
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from minigrad.kernels.cpu.simd.instruction_set import vector_bytes
from minigrad.kernels.cpu.simd.lanes import DOUBLE, SINGLE, Lanes, Precision, declared

LANES32 = SINGLE.lanes
LANES64 = DOUBLE.lanes

POINTER = ir.PointerType()
BYTE = ir.IntType(8)
ALIGNED_TO_ONE_BYTE = ir.Constant(ir.IntType(32), 1)
CONTRACT = ("contract",)


class VectorType(types.Type):
    """The Numba type of a vector of floats."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        super().__init__(f"vector(float{precision.bits} x {precision.lanes})")


class MaskType(types.Type):
    """The Numba type of a vector of truth values."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        super().__init__(f"mask({precision.bits} bits x {precision.lanes})")


class VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, kind.precision.vector)


class MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: MaskType) -> None:
        super().__init__(manager, kind, kind.precision.mask)


register_model(VectorType)(VectorModel)
register_model(MaskType)(MaskModel)

vector32 = VectorType(SINGLE)
vector64 = VectorType(DOUBLE)
mask32 = MaskType(SINGLE)
mask64 = MaskType(DOUBLE)
VECTORS = {SINGLE: vector32, DOUBLE: vector64}
MASKS = {SINGLE: mask32, DOUBLE: mask64}
SCALARS = {SINGLE: types.float32, DOUBLE: types.float64}

Arguments = Sequence[Any]


def common_precision(arguments: Arguments) -> Precision | None:
    """Return the precision of the vectors and masks among these Numba types.

    Returns
    -------
    Precision or None
        None if there is no vector or mask, if two differ, or if there is something that is neither a
        vector, a mask nor a scalar.
    """
    found = {a.precision for a in arguments if isinstance(a, VectorType | MaskType)}
    others = [a for a in arguments if not isinstance(a, VectorType | MaskType)]
    if len(found) != 1 or not all(isinstance(a, types.Number | types.Boolean) for a in others):
        return None
    return found.pop()


def splat(builder: Any, value: Any, kind: Any) -> Any:
    """Return a vector of this LLVM type, filled with one value."""
    if isinstance(value, ir.Constant):
        return ir.Constant(kind, [value] * kind.count)
    undefined = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(
        one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
    )


def as_vector(
    context: Any, builder: Any, kind: Any, value: Any, precision: Precision, flags: Any = ()
) -> Lanes:
    """Return an argument as floats: scalars fill a vector, truth counts as one."""
    if isinstance(kind, VectorType):
        return Lanes(builder, value, precision, flags)
    if isinstance(kind, MaskType):
        return Lanes(builder, value, precision, flags).where(1.0, 0.0)
    scalar = context.cast(builder, value, kind, SCALARS[precision])
    return Lanes(builder, splat(builder, scalar, precision.vector), precision, flags)


def as_mask(context: Any, builder: Any, kind: Any, value: Any, precision: Precision) -> Lanes:
    """Return an argument as truth values: numbers count as true where they are not zero."""
    if isinstance(kind, MaskType):
        return Lanes(builder, value, precision)
    if isinstance(kind, VectorType):
        return Lanes(builder, value, precision).differs(0.0)
    scalar = context.is_true(builder, kind, value)
    return Lanes(builder, splat(builder, scalar, precision.mask), precision)


# operators


@dataclass(frozen=True)
class Meaning:
    """What an operator does.

    Attributes
    ----------
    formula : callable
        On Lanes.
    result : dict
        The type of the result for each precision.
    convert : callable
        ``as_vector`` or ``as_mask``: what the formula takes.
    """

    formula: Callable[..., Any]
    result: dict[Precision, Any]
    convert: Callable[..., Lanes]


def define_operator(
    symbol: Callable[..., Any],
    count: int,
    *,
    on_vectors: Meaning | None = None,
    on_masks: Meaning | None = None,
) -> None:
    """Teach Numba what one of Python's operators does with numbers, and what with truth values alone."""

    def meaning(arguments: Arguments) -> Meaning | None:
        return on_masks if only_truth(arguments) else on_vectors

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Arguments, keywords: Any) -> Any:
            precision = common_precision(arguments)
            found = meaning(arguments)
            if precision is None or found is None or keywords:
                return None
            return signature(found.result[precision], *arguments)

    infer_global(symbol)(Template)

    def lower(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
        precision = common_precision(sig.args)
        found = meaning(sig.args)
        assert found is not None  # or the template had refused
        sides = [
            found.convert(context, builder, kind, value, precision)
            for kind, value in zip(sig.args, values, strict=True)
        ]
        return found.formula(*sides).value

    lanes, scalars = {VectorType, MaskType}, {types.Number, types.Boolean}
    for kinds in product(lanes | scalars, repeat=count):
        if lanes.intersection(kinds):
            lower_builtin(symbol, *kinds)(lower)


def only_truth(arguments: Arguments) -> bool:
    """Whether all arguments are truth values."""
    return all(isinstance(a, MaskType | types.Boolean) for a in arguments)


# lets LLVM join a product and a sum that the user wrote
_contracting = partial(as_vector, flags=CONTRACT)

for _symbol in (operator.add, operator.sub, operator.mul, operator.truediv):
    define_operator(_symbol, 2, on_vectors=Meaning(_symbol, VECTORS, _contracting))
define_operator(operator.neg, 1, on_vectors=Meaning(operator.neg, VECTORS, as_vector))
define_operator(operator.pos, 1, on_vectors=Meaning(lambda x: x, VECTORS, as_vector))
for _symbol in (operator.lt, operator.le, operator.gt, operator.ge):
    define_operator(_symbol, 2, on_vectors=Meaning(_symbol, MASKS, as_vector))
for _symbol in (operator.and_, operator.or_, operator.xor):
    define_operator(_symbol, 2, on_masks=Meaning(_symbol, MASKS, as_mask))
define_operator(operator.invert, 1, on_masks=Meaning(operator.invert, MASKS, as_mask))
define_operator(
    operator.eq, 2,
    on_vectors=Meaning(Lanes.equals, MASKS, as_vector),
    on_masks=Meaning(lambda a, b: ~(a ^ b), MASKS, as_mask),
)  # fmt: skip
define_operator(
    operator.ne, 2,
    on_vectors=Meaning(Lanes.differs, MASKS, as_vector),
    on_masks=Meaning(operator.xor, MASKS, as_mask),
)  # fmt: skip


# functions


def define_function(
    name: str,
    formula: Callable[..., Lanes],
    count: int = 1,
    result: dict[Precision, Any] = VECTORS,
    convert: Callable[..., Lanes] = as_vector,
) -> Any:
    """Return a function for jitted code from a formula on Lanes.

    Parameters
    ----------
    name : str
    formula : callable
    count : int
        Of its arguments: vectors, masks or scalars, at least one of them no scalar.
    result : dict
        The type of the result for each precision.
    convert : callable
        ``as_vector`` or ``as_mask``: what the formula takes.
    """

    def typed(arguments: Arguments) -> Any:
        precision = common_precision(arguments)
        if precision is None:
            raise TypingError(
                f"{name}: takes vectors of one precision and scalars, at least one vector or mask; "
                f"found {', '.join(map(str, arguments))}; convert a scalar with splat32 or splat64"
            )

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            sides = [
                convert(context, builder, kind, value, precision)
                for kind, value in zip(sig.args, values, strict=True)
            ]
            return formula(*sides).value

        return signature(result[precision], *arguments), generate

    # Numba reads the number of arguments from the signature
    if count == 1:
        return named(name, lambda typing_context, a: typed((a,)))
    if count == 2:
        return named(name, lambda typing_context, a, b: typed((a, b)))
    return named(name, lambda typing_context, a, b, c: typed((a, b, c)))


def named(name: str, typed: Callable[..., Any]) -> Any:
    """Make an intrinsic of a typing function, under this name."""
    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def _where(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
    precision = common_precision((mask, a, b))
    if not isinstance(mask, MaskType | types.Boolean) or precision is None:
        raise TypingError(
            "where: takes a mask and two vectors or scalars of its precision; "
            f"found {mask}, {a}, {b}; compare with 0 to make a mask of numbers"
        )
    truth = only_truth((a, b))
    convert = as_mask if truth else as_vector

    def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
        condition = as_mask(context, builder, sig.args[0], values[0], precision)
        sides = [
            convert(context, builder, kind, value, precision)
            for kind, value in zip(sig.args[1:], values[1:], strict=True)
        ]
        return condition.where(*sides).value

    return signature((MASKS if truth else VECTORS)[precision], mask, a, b), generate


where = named("where", _where)


# memory


def address_error(name: str, address: Any) -> TypingError:
    """Return the error for something that is no address."""
    return TypingError(f"{name}: takes an address in bytes as int64; found {address}")


def loader(name: str, precision: Precision, masked: bool) -> Any:
    """Return a function that loads one vector."""

    def emit(builder: Any, address: Any, mask: Any) -> Any:
        kind = precision.vector
        pointer = builder.inttoptr(address, POINTER)
        if mask is None:
            return builder.load(pointer, align=1, typ=kind)
        return masked_load(builder, pointer, mask, kind)

    return _loader(name, VECTORS[precision], MASKS[precision] if masked else None, emit)


def truth_loader(name: str, precision: Precision, masked: bool) -> Any:
    """Return a function that loads a mask from one byte for each element."""

    def emit(builder: Any, address: Any, mask: Any) -> Any:
        kind = ir.VectorType(BYTE, precision.lanes)
        pointer = builder.inttoptr(address, POINTER)
        if mask is None:
            found = builder.load(pointer, align=1, typ=kind)
        else:
            found = masked_load(builder, pointer, mask, kind)
        return builder.icmp_signed("!=", found, ir.Constant(kind, None))

    return _loader(name, MASKS[precision], MASKS[precision] if masked else None, emit)


def scalar_loader(name: str, kind: Any, llvm_kind: Any) -> Any:
    """Return a function that loads one number."""

    def emit(builder: Any, address: Any, mask: Any) -> Any:
        return builder.load(builder.inttoptr(address, POINTER), align=1, typ=llvm_kind)

    return _loader(name, kind, None, emit)


def _loader(name: str, result: Any, mask_kind: Any, emit: Callable[..., Any]) -> Any:
    def typed(address: Any, mask: Any = None) -> Any:
        if not isinstance(address, types.Integer):
            raise address_error(name, address)
        if mask is not mask_kind:
            raise TypingError(f"{name}: takes a mask of type {mask_kind}; found {mask}")

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            place = context.cast(builder, values[0], sig.args[0], types.int64)
            return emit(builder, place, values[1] if mask_kind else None)

        return signature(result, address, *([mask] if mask_kind else [])), generate

    if mask_kind is None:
        return named(name, lambda typing_context, address: typed(address))
    return named(name, lambda typing_context, address, mask: typed(address, mask))


def masked_load(builder: Any, pointer: Any, mask: Any, kind: Any) -> Any:
    """Load where the mask holds, and give zero elsewhere."""
    function = declared(
        builder,
        f"llvm.masked.load.{suffix(kind)}.p0",
        kind,
        [POINTER, ir.IntType(32), mask.type, kind],
    )
    return builder.call(function, [pointer, ALIGNED_TO_ONE_BYTE, mask, ir.Constant(kind, None)])


def suffix(kind: Any) -> str:
    """Return how LLVM spells this vector type in the name of an intrinsic."""
    element = kind.element
    letter = {ir.FloatType: "f32", ir.DoubleType: "f64"}.get(type(element))
    return f"v{kind.count}{letter or f'i{element.width}'}"


load32 = loader("load32", SINGLE, masked=False)
load64 = loader("load64", DOUBLE, masked=False)
load32_masked = loader("load32_masked", SINGLE, masked=True)
load64_masked = loader("load64_masked", DOUBLE, masked=True)
load_mask32 = truth_loader("load_mask32", SINGLE, masked=False)
load_mask64 = truth_loader("load_mask64", DOUBLE, masked=False)
load_mask32_masked = truth_loader("load_mask32_masked", SINGLE, masked=True)
load_mask64_masked = truth_loader("load_mask64_masked", DOUBLE, masked=True)
load_one32 = scalar_loader("load_one32", types.float32, ir.FloatType())
load_one64 = scalar_loader("load_one64", types.float64, ir.DoubleType())
load_integer = scalar_loader("load_integer", types.int64, ir.IntType(64))


def _stored(builder: Any, kind: Any, value: Any) -> Any:
    """Return what lies in memory: one byte for each truth value."""
    if isinstance(kind, MaskType):
        return builder.zext(value, ir.VectorType(BYTE, kind.precision.lanes))
    return value


def storer(name: str, storable: tuple[type, ...], past_caches: bool) -> Any:
    """Return a function that stores a value; past the caches, it is an aligned vector."""

    def typed(typing_context: Any, address: Any, value: Any) -> Any:
        if not isinstance(address, types.Integer):
            raise address_error(name, address)
        if not isinstance(value, storable):
            kinds = "a vector" if past_caches else "a vector, a mask or a number"
            raise TypingError(f"{name}: takes {kinds}; found {value}")

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            place = context.cast(builder, values[0], sig.args[0], types.int64)
            content = _stored(builder, sig.args[1], values[1])
            alignment = vector_bytes() if past_caches else 1
            made = builder.store(content, builder.inttoptr(place, POINTER), align=alignment)
            if past_caches:
                made.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
            return context.get_dummy_value()

        return signature(types.void, address, unliteral(value)), generate

    return named(name, typed)


def _store_masked(typing_context: Any, address: Any, value: Any, mask: Any) -> Any:
    if not isinstance(address, types.Integer):
        raise address_error("store_masked", address)
    if (
        not isinstance(value, VectorType | MaskType)
        or not isinstance(mask, MaskType)
        or value.precision is not mask.precision
    ):
        raise TypingError(
            f"store_masked: takes a vector and a mask of its precision; found {value} and {mask}"
        )

    def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
        place = context.cast(builder, values[0], sig.args[0], types.int64)
        content = _stored(builder, sig.args[1], values[1])
        function = declared(
            builder,
            f"llvm.masked.store.{suffix(content.type)}.p0",
            ir.VoidType(),
            [content.type, POINTER, ir.IntType(32), values[2].type],
        )
        pointer = builder.inttoptr(place, POINTER)
        builder.call(function, [content, pointer, ALIGNED_TO_ONE_BYTE, values[2]])
        return context.get_dummy_value()

    return signature(types.void, address, value, mask), generate


store = storer("store", (VectorType, MaskType, types.Float, types.Integer), past_caches=False)
store_past_caches = storer("store_past_caches", (VectorType,), past_caches=True)
store_masked = named("store_masked", _store_masked)


# making vectors and taking them apart


def _splatter(name: str, precision: Precision) -> Any:
    def typed(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, types.Number | types.Boolean):
            raise TypingError(f"{name}: takes a scalar; found {x}")

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            return as_vector(context, builder, sig.args[0], values[0], precision).value

        return signature(VECTORS[precision], x), generate

    return named(name, typed)


def _first(name: str, precision: Precision) -> Any:
    def typed(typing_context: Any, n: Any) -> Any:
        if not isinstance(n, types.Integer):
            raise TypingError(f"{name}: takes a number of lanes as an integer; found {n}")

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            wide = ir.IntType(64)
            n = context.cast(builder, values[0], sig.args[0], types.int64)
            for sign, bound in ((">", precision.lanes), ("<", 0)):
                outside = builder.icmp_signed(sign, n, wide(bound))
                n = builder.select(outside, wide(bound), n)
            narrow = ir.VectorType(ir.IntType(32), precision.lanes)
            count = splat(builder, builder.trunc(n, narrow.element), narrow)
            index = ir.Constant(narrow, list(range(precision.lanes)))
            return builder.icmp_signed("<", index, count)

        return signature(MASKS[precision], n), generate

    return named(name, typed)


def _reduction(name: str, join: Callable[[Lanes, Lanes], Lanes]) -> Any:
    """Return a function that joins the upper and the lower half until one element is left."""

    def typed(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, VectorType):
            raise TypingError(f"{name}: takes a vector; found {x}")

        def generate(context: Any, builder: Any, sig: Any, values: Arguments) -> Any:
            index = ir.IntType(32)
            total = Lanes(builder, values[0], x.precision)
            while (half := total.value.type.count // 2) > 0:
                kind = ir.VectorType(index, half)
                low, high = (
                    total.like(
                        builder.shuffle_vector(
                            total.value,
                            total.value,
                            ir.Constant(kind, list(range(start, start + half))),
                        )
                    )
                    for start in (0, half)
                )
                total = join(low, high)
            return builder.extract_element(total.value, index(0))

        return signature(SCALARS[x.precision], x), generate

    return named(name, typed)


def larger(a: Lanes, b: Lanes) -> Lanes:
    """Return the larger of the two, and NaN where either is NaN."""
    return b.differs(b).where(b, (b > a).where(b, a))


def smaller(a: Lanes, b: Lanes) -> Lanes:
    """Return the smaller of the two, and NaN where either is NaN."""
    return b.differs(b).where(b, (b < a).where(b, a))


splat32 = _splatter("splat32", SINGLE)
splat64 = _splatter("splat64", DOUBLE)
first32 = _first("first32", SINGLE)
first64 = _first("first64", DOUBLE)
sum_lanes = _reduction("sum_lanes", operator.add)
max_lanes = _reduction("max_lanes", larger)
