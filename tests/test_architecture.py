"""Who may import whom. The rules are those of docs/architecture.md."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import minigrad
import minigrad.kernels
import minigrad.nn

pytestmark = pytest.mark.quick

COMPILERS = {"numba", "llvmlite", "cupy", "cupyx"}
# of the kernels, what the engine computes large products with: see docs/adr/0018-products.md
PRODUCTS = {"minigrad.kernels.cpu.gemm.matmul.matmul", "minigrad.kernels.runtime.switch.switch"}

# Imports of our own modules inside functions that load no large library. Each has a reason.
LAZY = {
    ("minigrad", "minigrad.versions"): "the metadata of packages, for a version rarely asked for",
    (
        "minigrad.backends.numpy_",
        "minigrad.kernels.runtime.switch",
    ): "the engine starts without the kernels",
}


class Import(NamedTuple):
    """One import statement: what it names, where it stands, and whether it waits in a function."""

    name: str
    line: int
    lazy: bool
    relative: bool


@functools.cache
def imports(source: str) -> tuple[Import, ...]:
    """Return every import of a source text, also importlib.import_module("name")."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy, False)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # "from minigrad import nn" imports minigrad.nn
                name = f"{node.module}.{alias.name}" if node.module else alias.name
                yield Import(name, node.lineno, lazy, node.level > 0)
        elif isinstance(node, ast.Call) and (called := called_import(node)) is not None:
            yield Import(called, node.lineno, lazy, False)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    return tuple(visit(ast.parse(source), False))


def called_import(call: ast.Call) -> str | None:
    """Return the name that importlib.import_module("name") or __import__("name") asks for."""
    match call:
        case ast.Call(ast.Name(function) | ast.Attribute(attr=function), [ast.Constant(name), *_]):
            return str(name) if function in {"import_module", "__import__"} else None
    return None


def is_under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def complaint(module: str, found: Import) -> str | None:
    """Say which rule this import breaks, or return None."""
    top = found.name.split(".")[0]
    if found.relative:
        return "imports are absolute"
    if top in {"nn", "kernels"}:
        return f"the package is called minigrad.{top}"
    if is_under(module, "minigrad.nn"):
        if top in COMPILERS:
            return "only kernels/targets and kernels/cpu import a compiler"
    elif is_under(module, "minigrad.kernels"):
        if is_under(found.name, "minigrad.nn"):
            return "the kernels do not know the layers"
        if is_under(module, "minigrad.kernels.emit") and top in {*COMPILERS, "numpy"}:
            return "kernels/emit writes text and needs no numpy, numba or cupy"
        if top in COMPILERS and not is_under(
            module, "minigrad.kernels.targets", "minigrad.kernels.cpu"
        ):
            return "only kernels/targets and kernels/cpu import a compiler"
    else:
        return complaint_about_engine(module, found, top)
    return None


def complaint_about_engine(module: str, found: Import, top: str) -> str | None:
    if is_under(found.name, "minigrad.nn", "minigrad.kernels"):
        if is_under(module, "minigrad.commands") and found.lazy:
            return None
        if module == "minigrad.backends.numpy_" and found.name in PRODUCTS and found.lazy:
            return None
        return "the engine knows neither the layers nor the kernels"
    if top in {"cupy", "cupyx"}:
        if module == "minigrad.backends.cupy_" and found.lazy:
            return None
        return "the engine imports cupy in backends/cupy_.py only, inside functions"
    if top == "PyInstaller" and is_under(module, "minigrad.__pyinstaller"):
        return None
    if top == "hypothesis" and is_under(module, "minigrad.testing"):
        return None
    if top == "ml_dtypes" and module == "minigrad.dtypes" and found.lazy:  # NumPy has no bfloat16
        return None
    if top == "safetensors" and module == "minigrad.weights" and found.lazy:
        return None
    if top not in {*sys.stdlib_module_names, "minigrad", "numpy"}:
        return "the engine imports numpy and the standard library only"
    return None


def complaints(module: str, source: str) -> list[str]:
    """List the broken rules of one file, each with its line."""
    return [
        f"{module}:{found.line}: imports {found.name}: {rule}"
        for found in imports(source)
        if (rule := complaint(module, found)) is not None
    ]


def sources() -> Iterator[tuple[str, Path]]:
    """Yield (module name, file) of everything that is installed as minigrad."""
    for package in (minigrad, minigrad.kernels, minigrad.nn):
        assert package.__file__ is not None
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            parts = [package.__name__, *path.relative_to(root).with_suffix("").parts]
            yield ".".join(parts).removesuffix(".__init__"), path


# In a wheel, nn and kernels lie inside minigrad and are found twice.
SOURCES = dict(sources())


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_one_way(module: str) -> None:
    assert complaints(module, SOURCES[module].read_text(encoding="utf-8")) == []


def test_the_three_parts_are_looked_at() -> None:
    assert {"minigrad", "minigrad.ops", "minigrad.kernels", "minigrad.nn"} <= SOURCES.keys()


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("minigrad.tape", "import minigrad.nn", "the engine knows neither"),
        ("minigrad.tape", "from minigrad import nn", "the engine knows neither"),
        ("minigrad.tape", "def f():\n    from minigrad.kernels import scan", "knows neither"),
        ("minigrad.commands.info", "from minigrad import nn", "the engine knows neither"),
        ("minigrad.__main__", "def f():\n    from minigrad import nn", "the engine knows neither"),
        (
            "minigrad.backends.numpy_",
            "from minigrad.kernels.cpu.gemm.matmul import matmul",
            "knows neither",
        ),
        (
            "minigrad.tape",
            "def f():\n    from minigrad.kernels.cpu.gemm.matmul import matmul",
            "neither",
        ),
        ("minigrad.commands.info", "def f():\n    import cupy", "backends/cupy_.py only"),
        ("minigrad.tape", "import nn", "is called minigrad.nn"),
        ("minigrad.tape", "from kernels.scan import scan", "is called minigrad.kernels"),
        ("minigrad.tape", "from . import op", "imports are absolute"),
        ("minigrad.tape", "from .op import Op", "imports are absolute"),
        ("minigrad.tape", "import numba", "numpy and the standard library only"),
        ("minigrad.tape", "def f():\n    import torch", "numpy and the standard library only"),
        ("minigrad.dtypes", "import ml_dtypes", "numpy and the standard library only"),
        ("minigrad.tape", "import hypothesis", "numpy and the standard library only"),
        ("minigrad.weights", "import safetensors", "numpy and the standard library only"),
        ("minigrad.tree", "def f():\n    import safetensors", "the standard library only"),
        ("minigrad.tape", "def f():\n    import cupy", "backends/cupy_.py only"),
        ("minigrad.backends.cupy_", "import cupy", "inside functions"),
        ("minigrad.backends.numpy_", "importlib.import_module('cupy')", "backends/cupy_.py only"),
        ("minigrad.kernels.scan", "from minigrad.nn.cells import lstm", "do not know the layers"),
        ("minigrad.kernels.scan", "import numba", "only kernels/targets and kernels/cpu"),
        ("minigrad.kernels.scan", "from cupy.cuda import Stream", "only kernels/targets"),
        ("minigrad.kernels.emit.dialect", "import numpy as np", "writes text"),
        ("minigrad.kernels.emit", "from numba import njit", "writes text"),
        ("minigrad.nn.cells", "import cupy", "only kernels/targets and kernels/cpu"),
    ],
)
def test_a_broken_rule_is_reported(module: str, source: str, rule: str) -> None:
    (report,) = complaints(module, source)
    assert rule in report
    assert report.startswith(f"{module}:{1 + source.count(chr(10))}: ")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("minigrad.tape", "import numpy as np\nfrom minigrad.op import Op\nimport weakref"),
        ("minigrad.backends.cupy_", "def xp():\n    import cupy\n    return cupy"),
        ("minigrad.testing.strategies", "from hypothesis import strategies as st"),
        ("minigrad.weights", "def save():\n    import safetensors.numpy"),
        ("minigrad.commands.info", "def f():\n    from minigrad.kernels.cpu import wide"),
        ("minigrad.commands.warmup", "def f():\n    from minigrad import nn"),
        (
            "minigrad.backends.numpy_",
            "def f():\n    from minigrad.kernels.cpu.gemm.matmul import matmul",
        ),
        (
            "minigrad.kernels.scan",
            "import numpy as np\nfrom minigrad.kernels.frontend import trace",
        ),
        ("minigrad.kernels.targets.cuda", "import cupy"),
        ("minigrad.kernels.cpu.gemm", "from numba import njit"),
        ("minigrad.nn.recurrent", "from minigrad.kernels import scan\nimport minigrad as mg"),
    ],
)
def test_what_is_allowed_is_not_reported(module: str, source: str) -> None:
    assert complaints(module, source) == []


# circles


def modules_of(files: Mapping[str, str], module: str, *, lazy: bool | None = None) -> set[str]:
    """Return which of ``files`` a module imports; with ``lazy``, those inside functions, or not."""
    found = set()
    for one in imports(files[module]):
        if lazy is None or one.lazy == lazy:
            parts = one.name.split(".")  # "from minigrad.op import Op" imports minigrad.op
            names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
            found.add(next((name for name in names if name in files), module))
    return found - {module}


def circle(files: Mapping[str, str]) -> list[str]:
    """Return modules that import each other, one after the other; an import in a function counts."""
    try:
        TopologicalSorter({module: modules_of(files, module) for module in files}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))  # it names what is imported first
    return []


def heavy(files: Mapping[str, str]) -> set[str]:
    """Return the modules that load a library outside of NumPy and Python as soon as they are imported."""
    light = {*sys.stdlib_module_names, "minigrad", "numpy"}
    found = {
        module
        for module, source in files.items()
        if any(not one.lazy and one.name.split(".")[0] not in light for one in imports(source))
    }
    while more := {m for m in files.keys() - found if modules_of(files, m, lazy=False) & found}:
        found |= more
    return found


def late(files: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return pairs of modules: the first imports the second in a function, though it loads nothing large.

    The commands do so since they are imported with the engine, which knows no other part.
    """
    large = heavy(files)
    return {
        (module, other)
        for module in files
        if not is_under(module, "minigrad.commands")
        for other in modules_of(files, module, lazy=True) - modules_of(files, module, lazy=False)
        if other not in large
    }


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {module: path.read_text(encoding="utf-8") for module, path in SOURCES.items()}


def test_no_modules_import_each_other(texts: dict[str, str]) -> None:
    found = circle(texts)
    assert not found, " imports ".join(found)


def test_an_import_waits_in_a_function_only_for_a_large_library(texts: dict[str, str]) -> None:
    assert late(texts) == LAZY.keys()


@pytest.mark.parametrize(
    "importing_a",
    [
        "from minigrad import a",
        "from minigrad.a import f",
        "import minigrad.a",
        "def f():\n    from minigrad.a import f",
        "if TYPE_CHECKING:\n    from minigrad.a import F",
        "def f():\n    import_module('minigrad.a')",
    ],
)
def test_a_circle_is_found(importing_a: str) -> None:
    files = {"minigrad": "", "minigrad.a": "import minigrad.b", "minigrad.b": importing_a}
    assert circle({**files, "minigrad.c": "import minigrad.b"}) in (
        ["minigrad.a", "minigrad.b", "minigrad.a"],
        ["minigrad.b", "minigrad.a", "minigrad.b"],
    )
    assert circle({**files, "minigrad.b": "import minigrad"}) == []


def test_what_loads_a_large_library_may_be_imported_late() -> None:
    files = {
        "minigrad.a": "def f():\n    from minigrad.b import g",
        "minigrad.b": "from minigrad.c import g",
        "minigrad.c": "import math, numpy",
    }
    assert late(files) == {("minigrad.a", "minigrad.b")}
    assert late({**files, "minigrad.c": "from numba import njit"}) == set()
    assert late({**files, "minigrad.c": "def g():\n    import cupy"}) != set()


# large libraries


@pytest.mark.parametrize("module", ["minigrad", "minigrad.kernels", "minigrad.nn"])
def test_importing_loads_no_large_library(module: str) -> None:
    code = f"import {module}, sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "minigrad" in loaded
    assert (
        loaded & {*COMPILERS, "safetensors", "torch", "hypothesis", "matplotlib", "scipy"} == set()
    )
