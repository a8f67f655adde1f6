"""Options that are declared once: signature, check and documentation follow from one record each.

A subclass of `Optioned` declares them as a dataclass does its fields::

    lr: float = option("The learning rate.", NOT_NEGATIVE, default=1e-3)
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from typing import Any, ClassVar, dataclass_transform

from minigrad.checks import check_flag, check_integer, check_number
from minigrad.docstring import document
from minigrad.errors import ArgumentError, check_choice
from minigrad.nn.constructors import explain_arguments

Check = Callable[[str, str, Any], Any]
"""Takes whose option it is, its name and a value; returns the value as Python's, or raises."""

NUMBER = functools.partial(check_number, finite=True)
NOT_NEGATIVE = functools.partial(check_number, low=0, finite=True)
PROPORTION = functools.partial(check_number, low=0, high=1)
COUNT = functools.partial(check_integer, low=1)


_TOLD = {
    r"^Literal\[(.*)\]$": r"{\1}",
    r"\blist\[(\w+)\]": r"list of \1",
    r" \| None$": ", optional",
    r" \| ": " or ",
}
"""How documentation writes annotations."""

_RAISES = "ArgumentError\n    If an option has an impossible value; see also `{base}`."


@dataclass(frozen=True)
class Option:
    """What is known of one option; see `option`."""

    empty: ClassVar = Parameter.empty  # the default of one that must be given
    doc: str
    check: Check | None
    default: Any
    kind: str
    init: bool
    kw_only: bool
    annotation: Any = Parameter.empty

    def annotated(self, given: Any) -> Option:
        """Return the option with its annotation, a type or its text, which may say what it accepts."""
        annotation = given if isinstance(given, str) else inspect.formatannotation(given)
        words = re.match(r"Literal\[(.*)\]$", annotation)
        known = ast.literal_eval(f"({words[1]},)") if words else ()
        by_annotation = _one_of(known) if words else check_flag if annotation == "bool" else None
        return replace(self, annotation=annotation, check=self.check or by_annotation)

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of a signature that passes it."""
        kind = Parameter.KEYWORD_ONLY if self.kw_only else Parameter.POSITIONAL_OR_KEYWORD
        return Parameter(name, kind, default=self.default, annotation=self.annotation)

    def entry(self, name: str) -> str:
        """Return the entry of the section Parameters."""
        kind = self.kind or self.annotation
        for pattern, told in _TOLD.items():
            kind = re.sub(pattern, told, kind)
        return f"{name} : {kind}\n    {self.doc}"


def _one_of(known: tuple[str, ...]) -> Check:
    def check(of: str, name: str, value: Any) -> Any:
        check_choice(of, known, **{name: value})
        return value

    return check


def option(
    doc: str = "",
    check: Check | None = None,
    *,
    default: Any = Parameter.empty,
    kind: str = "",
    init: bool = True,
    kw_only: bool = False,
) -> Any:
    """Declare an option in the body of a class.

    Parameters
    ----------
    doc : str
        What it means.
    check : callable, optional
        See `Check`. The annotations ``bool`` and ``Literal`` check by themselves.
    default : Any
        Without one the option must be given.
    kind : str
        Its type in the documentation; by default its annotation.
    init : bool
        Whether it can be given; otherwise it always has its default.
    kw_only : bool
        Whether it is given by name only.
    """
    return Option(doc, check, default, kind, init, kw_only)


@dataclass_transform(eq_default=False, field_specifiers=(option,))
class Optioned:
    """The base of classes with options. Their ``__init__`` gives them to `_set_up`, which checks them."""

    options: ClassVar[Mapping[str, Option]] = {}
    """The options by name, in the order of the arguments."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        annotations = inspect.get_annotations(cls)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
        for name, value in own.items():
            if name not in annotations:
                raise ArgumentError(
                    f"{cls.__name__}: the option {name!r} has no annotation; write {name}: float = "
                    "option(...), or what type it has"
                )
            own[name] = value.annotated(annotations[name])
        for name in own:
            delattr(cls, name)  # on an instance it is an attribute only if that has set it
        declared = {**cls.options, **own}
        cls.options = dict(sorted(declared.items(), key=lambda entry: entry[1].kw_only))
        if own and "__init__" not in vars(cls):
            cls.__init__ = _constructor(cls.options)  # type: ignore[method-assign]
            _document(cls)
        explain_arguments(cls)

    @property
    def name(self) -> str:
        """The name of the class, for messages."""
        return type(self).__name__

    def _set_up(self, options: dict[str, Any]) -> None:
        """Check the options, given or not, and begin."""
        raise NotImplementedError


def _constructor(options: Mapping[str, Option]) -> Callable[..., None]:
    given = [value.parameter(name) for name, value in options.items() if value.init]
    given.sort(key=lambda parameter: parameter.kind)
    itself = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    signature = Signature([itself, *given], return_annotation=None)
    defaults = {name: value.default for name, value in options.items()}

    def __init__(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        values = {**defaults, **bound.arguments}
        self = values.pop("self")
        self._set_up(values)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def _document(cls: type[Optioned]) -> None:
    told = [cls.options[name].entry(name) for name in inspect.signature(cls).parameters]
    base = next(c for c in cls.__mro__ if "_set_up" in vars(c))
    document(cls, "\n".join(told), _RAISES.format(base=base.__name__))
