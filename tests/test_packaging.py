"""The root folders are imported as minigrad.nn and minigrad.kernels; nothing is left out."""

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minigrad
import minigrad.kernels
import minigrad.nn
from minigrad.versions import version_of

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
IS_CHECKOUT = (ROOT / "minigrad").is_dir()

needs_checkout = pytest.mark.skipif(
    not IS_CHECKOUT, reason="outside the checkout: the folders of the sources are not here"
)


def packages_in(root: Path) -> list[str]:
    """Name every package that the folders under `root` hold, as it is imported."""
    tops = {"minigrad": "minigrad", "nn": "minigrad.nn", "kernels": "minigrad.kernels"}
    return sorted(
        ".".join([name, *file.parent.relative_to(root / folder).parts])
        for folder, name in tops.items()
        for file in (root / folder).rglob("__init__.py")
    )


@needs_checkout
def test_the_list_of_packages_is_complete() -> None:
    assert sorted(SETUPTOOLS["packages"]) == packages_in(ROOT)


@needs_checkout
def test_every_source_file_lies_in_a_package() -> None:
    files = [f for top in ("minigrad", "nn", "kernels") for f in (ROOT / top).rglob("*.py")]
    lost = [f for f in files if not (f.parent / "__init__.py").exists()]
    assert lost == []


def test_a_forgotten_package_is_noticed(tmp_path: Path) -> None:
    for folder in ("minigrad/ops", "nn", "kernels/emit/deep"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    assert packages_in(tmp_path) == ["minigrad.kernels.emit.deep", "minigrad.nn", "minigrad.ops"]


@pytest.mark.parametrize("package", SETUPTOOLS["packages"])
def test_every_listed_package_imports(package: str) -> None:
    importlib.import_module(package)


def test_tools_see_the_package_as_it_is_imported(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "typing_tree.py"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "typing_tree.py", script)
    files = ["minigrad/__init__.py", "minigrad/ops/shape.py", "nn/cells/gru.py", "kernels/scan.py"]
    tree = tmp_path / ".typing"
    assert PYPROJECT["tool"]["pyright"]["stubPath"] == tree.name
    assert PYPROJECT["tool"]["mypy"]["mypy_path"] == f"$MYPY_CONFIG_FILE_DIR/{tree.name}"
    for found in (files, [*files, "minigrad/new.py", "nn/new.py"]):  # the links are laid out again
        for file in found:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        subprocess.run([sys.executable, script], check=True)
        for file in found:
            seen = tree / file if file.startswith("minigrad/") else tree / "minigrad" / file
            assert seen.samefile(tmp_path / file)


def test_types_are_declared() -> None:
    assert minigrad.__file__ is not None
    assert (Path(minigrad.__file__).parent / "py.typed").is_file()


def test_version_is_told_once() -> None:
    assert minigrad.__version__ == importlib.metadata.version("minigrad")
    assert minigrad.__version__ == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("package", ["minigrad", "numpy", "numba", "llvmlite"])
def test_versions_are_known_without_metadata(package, monkeypatch) -> None:
    known = version_of(package)
    assert known == importlib.metadata.version(package)
    module = importlib.import_module(package)

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("minigrad.versions.version", missing)
    assert version_of(package) == ("unknown" if module is minigrad else known)
    monkeypatch.setitem(module.__dict__, "__version__", "1.2")
    assert version_of(package) == "1.2"


def test_pyinstaller_finds_its_hook() -> None:
    module, _, name = PYPROJECT["project"]["entry-points"]["pyinstaller40"]["hook-dirs"].partition(
        ":"
    )
    (folder,) = getattr(importlib.import_module(module), name)()
    assert (Path(folder) / "hook-minigrad.py").is_file()


@pytest.mark.parametrize("package", [minigrad.nn, minigrad.kernels])
def test_a_root_folder_refuses_another_name(package) -> None:
    short = package.__name__.removeprefix("minigrad.")
    spec = importlib.util.spec_from_file_location(short, package.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=f"write 'from minigrad import {short}'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@needs_checkout
def test_pre_commit_runs_the_same_ruff() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (hook,) = re.findall(r"ruff-pre-commit\n\s+rev: v(\S+)", text)
    assert f"ruff=={hook}" in PYPROJECT["project"]["optional-dependencies"]["dev"]
