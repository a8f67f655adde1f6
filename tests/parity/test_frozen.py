"""A program that PyInstaller has frozen trains, compiles its loops, and finds them again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad
import minigrad.kernels
import minigrad.nn

pytest.importorskip("PyInstaller")  # --parity=require refuses to start without it

PROGRAM = """
import sys

import minigrad as mg
from minigrad import nn
from minigrad.kernels import scan


def own(x, h, *, w):
    return mg.tanh(x @ w + h)


mg.manual_seed(0)
layer, w = nn.GRU(3, 4), mg.randn(3, 4).requires_grad_()
outputs, _ = layer(mg.randn(5, 2, 3))
mg.sum(outputs * outputs).backward()
outputs, _ = scan(own, mg.randn(5, 2, 3), mg.zeros((2, 4)), {"w": w}, compile="require")
mg.sum(outputs).backward()
with mg.no_grad():
    layer(mg.randn(5, 2, 3), lengths=[5, 2])
print(mg.__version__, *(p.grad.tolist() for p in (*layer.parameters(), w)))
try:
    scan(lambda x, h: mg.arccos(x), mg.ones((2, 2, 3)), mg.ones((2, 3)))
except mg.errors.TraceError as error:  # which shows the line of the step, where there is one
    print(str(error).splitlines()[-1])
print(getattr(sys, "frozen", False))
"""
LEFT_OUT = "cupy torch jax onnx onnxruntime matplotlib PIL scipy hypothesis einops pytest".split()


def run(*command, folder, **environment):
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_frozen_program_trains_and_keeps_what_it_compiled(tmp_path):
    packages = tmp_path / "packages"  # as they lie when minigrad is installed
    for package in (minigrad, minigrad.nn, minigrad.kernels):
        place = packages.joinpath(*package.__name__.split("."))
        shutil.copytree(Path(package.__file__).parent, place, dirs_exist_ok=True)
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {
        "PYTHONPATH": str(packages),
        "MINIGRAD_CACHE_DIR": str(tmp_path / "cache"),
        "NUMBA_CACHE_DIR": "",
    }
    left_out = [option for name in LEFT_OUT for option in ("--exclude-module", name)]
    build = [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", *left_out, "program.py"]
    run(*build, folder=tmp_path, **environment)

    expected, _ = run(sys.executable, "program.py", folder=tmp_path, **environment)
    environment["PYTHONPATH"] = str(tmp_path / "nothing")
    environment["MINIGRAD_CACHE_DIR"] = str(tmp_path / "cache of the bundle")
    frozen = str(tmp_path / "dist" / "program" / "program")
    found, told = run(frozen, folder=tmp_path, **environment)
    assert (found, told) == (expected.replace("False", "True"), "")
    assert "True" in found

    kept = compiled(tmp_path / "cache of the bundle")
    assert len(kept) > 10
    again, told = run(frozen, folder=tmp_path, **environment)
    assert (again, told) == (found, "")
    assert compiled(tmp_path / "cache of the bundle") == kept


def compiled(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}
