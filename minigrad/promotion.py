"""In which dtype an op computes: one rule, applied wherever an op is interpreted (ADR 4).

Arguments meet in the highest kind among them (truth values, integers, floating-point numbers), and there
in the widest dtype of a tensor: a number has a kind and no width. Half precision is for storage: formulas
and adjoint rules compute in float32, and each result is rounded once.

An op whose arguments need conversions is another op: the same record, with the conversions around its
formula and its rules. What runs formulas or rules asks `promoted` for it and need know no more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy

from minigrad.dtypes import as_dtype, bool_, float32, get_default_dtype, int64, is_half
from minigrad.op import OPS, Op, Promotion, Rule

_BOOL, _INTEGER, _FLOAT = range(3)
_KINDS = {"b": _BOOL, "i": _INTEGER, "u": _INTEGER, "f": _FLOAT, "V": _FLOAT}  # V: bfloat16
_F = TypeVar("_F", bound=Callable[..., Any])
_NUMBERS: dict[Any, int] = {bool: _BOOL, int: _INTEGER, float: _FLOAT}


def _rank(kind: Any) -> int:
    return _NUMBERS[kind] if kind in _NUMBERS else _KINDS[kind.kind]


def weak_number(value: Any) -> bool | int | float | None:
    """Return a number of Python or NumPy as one of Python: it has a kind and no width. Else None."""
    if isinstance(value, numpy.generic):
        value = value.item()
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return None


def result_type(*kinds: Any, floating: bool = False) -> numpy.dtype[Any]:
    """Return the dtype in which arguments meet.

    Parameters
    ----------
    *kinds : numpy.dtype, or one of bool, int, float
        The dtypes of tensors, and the types of Python numbers.
    floating : bool
        Whether the op is one of floating-point numbers: then others become the default dtype.
    """
    top = max(map(_rank, kinds))
    if floating and top < _FLOAT:
        return get_default_dtype()
    dtypes = {kind for kind in kinds if kind not in _NUMBERS and _rank(kind) == top}
    if not dtypes:
        return (bool_, int64, get_default_dtype())[top]
    if top < _FLOAT:
        return numpy.result_type(*dtypes)
    widest = max(dtypes, key=lambda dtype: dtype.itemsize)
    return float32 if is_half(widest) and len(dtypes) > 1 else widest  # float16 with bfloat16


def promoted(op: Op, args: Sequence[Any]) -> Op:
    """Return ``op`` as it computes on ``args``: itself, or with conversions around it.

    Parameters
    ----------
    op : Op
    args : sequence
        Arrays or variables of a graph, numbers, and None.
    """
    if op.promotion == "none":
        return op
    kinds: list[Any] = []
    for arg in args:
        dtype = getattr(arg, "dtype", None)
        # the type of a dtype of NumPy stands for it, and is found sooner
        kinds.append(
            type(arg) if dtype is None else type(dtype) if isinstance(dtype, numpy.dtype) else dtype
        )
    alike = op.variadic and op.promotion == "common"  # of a long list just the kinds matter
    key = (get_default_dtype(), frozenset(kinds) if alike else tuple(kinds))
    found = op.promotions.get(key)
    if found is None:
        found = op.promotions[key] = _promoted(op, args)
    return found


def _promoted(op: Op, args: Sequence[Any]) -> Op:
    """Return ``op`` with the conversions around it that arguments of these kinds need."""
    if any(getattr(getattr(arg, "dtype", None), "kind", "") == "c" for arg in args):
        return op  # the complex step of a gradient check
    given = [(_kind(arg), i in op.fixed) for i, arg in enumerate(args) if arg is not None]
    meeting = [kind for kind, fixed in given if not fixed and op.promotion != "separate"]
    tensors = [kind for kind in meeting if kind not in _NUMBERS]
    floats = [kind for kind, _ in given if kind not in _NUMBERS and _rank(kind) == _FLOAT]
    if meeting:
        common = result_type(*meeting, floating=op.promotion == "float")
    elif floats:
        common = floats[0]
    else:
        return op
    inside = common if op.moves or not is_half(common) else float32
    reached = any(_rank(kind) == _rank(common) for kind in tensors)

    def target(kind: Any, fixed: bool) -> Any:
        """Return what the formula needs an argument converted to; the rest the array library does."""
        if fixed or not meeting:
            return float32 if is_half(kind) and not op.moves else None
        if kind in _NUMBERS:
            return inside if is_half(inside) or not tensors else None
        if is_half(kind) or is_half(inside):
            return inside if kind != inside else None
        below = _rank(kind) < _rank(common)
        return inside if below and not (reached and _rank(kind) == _BOOL) else None

    targets = {key: found for key in given if (found := target(*key)) is not None}
    counts = any(
        fixed and kind not in _NUMBERS and _rank(kind) == _INTEGER for kind, fixed in given
    )
    rounded = _rank(common) == _FLOAT and not op.moves and (is_half(common) or counts)
    if not targets and not rounded and not any(map(is_half, floats)):
        return op

    def formula(m: Any, *args: Any, **attrs: Any) -> Any:
        kinds = [(_kind(arg), i in op.fixed) for i, arg in enumerate(args)]
        out = op.fn(
            m, *[_cast(m, a, targets.get(k)) for a, k in zip(args, kinds, strict=True)], **attrs
        )
        if not rounded or attrs.get("dtype") is not None:  # the formula gives what was asked for
            return out
        if isinstance(out, (tuple, list)):
            return tuple([_rounded(m, part, common) for part in out])
        return _rounded(m, out, common)

    def around(rule: Rule) -> Rule:
        def converted(m: Any, g: Any, y: Any, *xs: Any, **attrs: Any) -> Any:
            wide = [_wide(m, x, targets.get((_kind(x), i in op.fixed))) for i, x in enumerate(xs)]
            return rule(m, _wide(m, g), _wide(m, y), *wide, **attrs)

        return converted

    return op.with_conversions(formula, around)


def rounded_once(
    *, promotion: Promotion = "common", fixed: tuple[str, ...] = ()
) -> Callable[[_F], _F]:
    """Let a function that is written in terms of ops keep to the rule as if it were one op.

    Parameters
    ----------
    promotion : {"common", "float"}
        As for an op.
    fixed : tuple of str
        The parameters whose integers stay what they are, such as class indices.
    """

    def decorate(function: _F) -> _F:
        parameters = inspect.signature(function).parameters
        names = tuple(parameters)
        arrays = {n for n, p in parameters.items() if p.annotation in ("Any", Any)}

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            named = [*zip(names, args, strict=False), *kwargs.items()]
            kinds = {
                name: kind
                for name, value in named
                if name in arrays and (kind := _array_kind(value)) is not None
            }
            meeting = [k for n, k in kinds.items() if n not in fixed or _rank(k) == _FLOAT]
            if not meeting or len(args) > len(names) or len(dict(named)) < len(named):
                return function(*args, **kwargs)
            common = result_type(*meeting, floating=promotion == "float")
            inside = float32 if is_half(common) else common
            wanted = {
                name: inside
                for name, kind in kinds.items()
                if is_half(kind)
                or (promotion == "float" and name not in fixed and _rank(kind) < _FLOAT)
            }
            if not wanted:
                return function(*args, **kwargs)
            astype = OPS["astype"]
            given = {
                name: astype(x, dtype=wanted[name]) if name in wanted else x for name, x in named
            }
            out = function(*[given.pop(name) for name in names[: len(args)]], **given)
            if not is_half(common):
                return out
            if isinstance(out, tuple):  # what follows the result is not rounded
                return (astype(out[0], dtype=common), *out[1:])
            return astype(out, dtype=common)

        return wrapper  # type: ignore[return-value]

    return decorate


def _array_kind(value: Any) -> Any:
    dtype = getattr(getattr(value, "_array", value), "dtype", None)
    known = dtype is None or (isinstance(dtype, numpy.dtype) and dtype.kind in _KINDS)
    return dtype if known else as_dtype(dtype)


def _kind(value: Any) -> Any:
    return as_dtype(value.dtype) if hasattr(value, "dtype") else type(value)


def _cast(m: Any, value: Any, kind: Any) -> Any:
    """Return an argument or a result of a formula in this dtype; None leaves it as it is."""
    if kind is None:
        return value
    if hasattr(value, "dtype"):
        return OPS["astype"].fn(m, value, dtype=kind)
    return m.asarray(value, dtype=m.native(kind))


def _rounded(m: Any, out: Any, common: Any) -> Any:
    kind = _kind(out)
    return out if kind == common or _rank(kind) < _FLOAT else _cast(m, out, common)


def _wide(m: Any, value: Any, kind: Any = None) -> Any:
    """Return what a rule is given in place of an argument or a cotangent, or of several."""
    if type(value) is tuple:
        return tuple([_wide(m, part) for part in value])
    if isinstance(value, tuple) or not hasattr(value, "dtype"):  # a description, a number, None
        return value
    found = _kind(value)
    wanted = float32 if is_half(kind or found) else kind or found
    return value if wanted == found else m.astype(value, dtype=wanted)
