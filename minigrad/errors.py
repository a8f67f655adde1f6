"""One tree of errors. Each message says what was being done, what was found, and what to do."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

_NOT_THE_USER = frozenset({"minigrad", "contextlib", "copy", "functools"})


class MinigradError(Exception):
    """Base of every error that minigrad raises on purpose."""

    call = ""  # of an op that failed: what the message begins with


class ArgumentError(MinigradError, ValueError):
    """An argument has a value that the function cannot use."""


class ShapeError(ArgumentError):
    """Shapes, axes or sizes do not fit together."""


class DtypeError(MinigradError, TypeError):
    """A dtype cannot be used here; for instance a gradient with respect to integers."""


class IndexingError(MinigradError, IndexError):
    """An index is out of range, or of a kind that cannot index."""


class BackendError(MinigradError, RuntimeError):
    """An array library or a device is missing, broken, or mixed with another one."""


class GradientError(MinigradError, RuntimeError):
    """A derivative was asked for that does not exist or would be wrong."""


class AnomalyError(GradientError):
    """An op produced NaN or infinity while ``minigrad.anomaly()`` was watching."""


class FileFormatError(MinigradError, ValueError):
    """A file is damaged, or of a kind that cannot be read."""


class TraceError(MinigradError, TypeError):
    """A step does something that cannot be recorded as a graph."""


class KernelError(MinigradError, RuntimeError):
    """A loop cannot be compiled although that was required."""


def type_name(value: Any) -> str:
    """Return the name of a value's type; with its module, unless it is Python's: "torch.Tensor"."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def conversion(value: Any) -> str:
    """Return ``"; convert it with minigrad.tensor(...)"`` for what that takes, or an empty string.

    Of a named tuple, such as a padded batch or a result with several parts, one part is wanted.
    """
    if parts := getattr(value, "_fields", ()):
        hint = (
            " (layers take lengths=..., nn.SequenceLoss takes both)" if "lengths" in parts else ""
        )
        return f"; give one of its parts, {' or '.join(f'.{name}' for name in parts)}{hint}"
    known = isinstance(value, (bool, int, float, list, tuple, range))
    known = known or hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    return "; convert it with minigrad.tensor(...)" if known else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty string."""
    names = list(known)
    distances = [_distance(name.casefold(), k.casefold()) for k in names]
    distance = min(distances, default=len(name))
    # one change, or few and not as many as half of the letters: "hessian" is not "sin"
    if distance <= 1 < len(name) or (
        distance <= max(2, len(name) // 4) and 2 * distance < len(name)
    ):
        return f"; did you mean {names[distances.index(distance)]!r}?"
    parts = [k for k in names if _is_part(name, k) or _is_part(k, name)]
    return f"; did you mean {parts[0]!r}?" if parts else ""


def _is_part(a: str, b: str) -> bool:
    """Say whether ``b`` is ``a`` and more words, before or after."""
    return bool(a) and (b.startswith(f"{a}_") or b.endswith(f"_{a}"))


def _distance(a: str, b: str) -> int:
    """Return how many letters to add, drop, change or swap with the next one to get from a to b."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def check_choice(of: str, known: Iterable[str], **given: Any) -> None:
    """Refuse an option that is not one of the ``known`` words; the message names the nearest one.

    Raises
    ------
    ArgumentError
    """
    *others, last = map(repr, known)
    for name, value in given.items():
        if not isinstance(value, str) or value not in known:
            raise ArgumentError(
                f"{of}: {name} must be {', '.join(others)} or {last}, not {value!r}"
                f"{suggestion(str(value), known)}"
            )


def is_user_frame(frame: FrameType) -> bool:
    """Say whether ``frame`` runs code of a user: not this package, nor what calls for it."""
    return is_user_code(frame.f_globals.get("__name__", ""), frame.f_code.co_filename)


def is_user_code(module: str, filename: str) -> bool:
    """Say whether a module is a user's, and has a file."""
    return module.partition(".")[0] not in _NOT_THE_USER and not filename.startswith("<")


def user_line() -> str:
    """Return ``"file.py:12: source text"`` of the nearest caller outside the package."""
    frame, _ = _nearest_user()
    if frame is None:
        return "<unknown line>"
    return source_line(frame.f_code.co_filename, frame.f_lineno)


def user_stacklevel() -> int:
    """Return the ``stacklevel`` with which the caller of this function warns at the user's line."""
    return _nearest_user()[1]


def _nearest_user() -> tuple[FrameType | None, int]:
    """Return the nearest frame of a user, and how far it is from who asks; 1 is its caller."""
    frame: FrameType | None = sys._getframe(2)
    level = 1
    while frame is not None and not is_user_frame(frame):
        frame, level = frame.f_back, level + 1
    return frame, level


def source_line(filename: str, number: int) -> str:
    """Return ``"file.py:12: source text"``."""
    text = linecache.getline(filename, number).strip()
    return f"{os.path.basename(filename)}:{number}: {text}"
