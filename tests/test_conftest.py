"""What tests/conftest.py promises: a leak fails the test, a missing peer is told."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CONFIGURATION = ("-p", "no:cacheprovider", "--import-mode=importlib")


def run_pytest(folder: Path, name: str, test: str, *options: str) -> tuple[int, str]:
    """Run one made-up test file with our conftest files, in its own process."""
    shutil.copy(HERE / "conftest.py", folder)
    (folder / "parity").mkdir()
    shutil.copy(HERE / "parity" / "conftest.py", folder / "parity")
    file = folder / name
    file.write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-rs", *CONFIGURATION, *options, str(file)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


LEAKS = {
    "grad mode": "enter(minigrad.no_grad())",
    "default dtype": "minigrad.set_default_dtype('float64')",
    "interpreter": "enter(minigrad.dispatch.interpreting(minigrad.graph.Recorder()))",
}
LEAKY_TEST = """
import minigrad, minigrad.dispatch, minigrad.graph
kept = []

def enter(context):
    kept.append(context)  # else it may close itself when it is collected
    context.__enter__()

def test_leaks():
    LEAK

def test_next():
    pass
"""


@pytest.mark.parametrize("what", LEAKS)
def test_a_leak_fails_the_test_that_leaks(what: str, tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "test_leaks.py", LEAKY_TEST.replace("LEAK", LEAKS[what]))
    assert code == pytest.ExitCode.TESTS_FAILED
    assert re.search(rf"the test leaks global state: .*\b{what}: .* became ", output)
    assert "2 passed, 1 error" in output


def test_drawing_random_numbers_is_no_leak_and_starts_anew(tmp_path: Path) -> None:
    test = """
import minigrad, pytest
first = []
@pytest.mark.parametrize("n", range(2))
def test_draws(n):
    first.append(minigrad.randn(3).numpy().tolist())
    assert first[0] == first[-1]
"""
    code, output = run_pytest(tmp_path, "test_draws.py", test)
    assert (code, "2 passed" in output) == (pytest.ExitCode.OK, True), output


def test_comparisons_are_skipped_with_the_reason(tmp_path: Path) -> None:
    test = "import no_such_library\n\ndef test_compares(): pass\n"
    code, output = run_pytest(tmp_path, "parity/test_peer.py", test, "--parity=skip")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert 'comparisons with other libraries: run "make parity"' in output


@pytest.mark.parametrize(
    ("choice", "code", "text"),
    [
        ("auto", pytest.ExitCode.NO_TESTS_COLLECTED, 'not installed: run "make parity"'),
        ("require", pytest.ExitCode.USAGE_ERROR, "--parity require: not installed: torch"),
    ],
)
def test_a_missing_peer(choice: str, code: int, text: str, tmp_path: Path) -> None:
    # A plugin that hides PyTorch, so that this also holds where it is installed.
    (tmp_path / "hide.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'torch' else found(name, *a)\n",
        encoding="utf-8",
    )
    got, output = run_pytest(
        tmp_path, "parity/test_peer.py", "import torch\n", "-p", "hide", f"--parity={choice}"
    )
    assert (got, text in output) == (code, True), output
