"""``python -m minigrad sizes``: lines of source, folder by folder, so that growth is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_AROUND = ("benchmarks", "examples", "scripts", "tests")  # folders of a checkout


def sizes() -> Iterator[str]:
    """Yield a line for each folder of the library, without those below, and their sum.

    Every line counts, as for ``wc -l``. A checkout has more folders, which follow as one line each; an
    installed package has the same library alone.
    """
    library, around = _library(), _around()
    yield _row("lines", "files", "folder")
    yield from _table(library)
    yield _row(f"{sum(map(_lines, library)):,}", str(len(library)), "in all")
    yield from _table(around)


def _library() -> dict[Path, str]:
    """Return the files of the library, each with its folder as the repository calls it."""
    found = {}
    for package in (
        "minigrad",
        "minigrad.kernels",
        "minigrad.nn",
    ):  # installed, the first holds all
        base = _folder(package)
        name = Path(package.rpartition(".")[2])
        for path in base.rglob("*.py"):
            found[path] = (name / path.parent.relative_to(base)).as_posix()
    return found


def _around() -> dict[Path, str]:
    root = _folder("minigrad").parent
    folders = _AROUND if (root / "pyproject.toml").is_file() else ()
    return {path: name for name in folders for path in (root / name).rglob("*.py")}


def _folder(package: str) -> Path:
    """Return where a package lies, without importing it."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _table(files: dict[Path, str]) -> Iterator[str]:
    lines: Counter[str] = Counter()
    for path, name in files.items():
        lines[name] += _lines(path)
    numbers = Counter(files.values())
    for name in sorted(lines):
        yield _row(f"{lines[name]:,}", str(numbers[name]), name)


def _row(lines: str, files: str, folder: str) -> str:
    return f"{lines:>8} {files:>6}  {folder}"
