"""What tests/conftest.py promises: tiers lose no test, a leak fails it, a missing peer is told."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CONFIGURATION = ("-p", "no:cacheprovider", "--import-mode=importlib")


ROOT = HERE.parent
TIERS = ("quick", "test", "full", "nightly")


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


TIERED_TEST = """
import hypothesis, pytest

cases = pytest.mark.parametrize("case", ["one", "two"])

def test_usual(): pass

@pytest.mark.quick
def test_quick(): pass

@pytest.mark.quick(only=["one"])
@pytest.mark.full(but=["one"])
@cases
def test_parts(case): pass

@pytest.mark.full
@cases
def test_full(case): pass

@hypothesis.given(hypothesis.strategies.none())
def test_drawn(nothing): pass

@pytest.mark.full
@hypothesis.given(hypothesis.strategies.none())
def test_many_drawn(nothing): pass
"""
IN_TEST = ["drawn", "parts[one]", "quick", "usual"]
IN_FULL = ["drawn", "full[one]", "full[two]", "many_drawn", "parts[two]"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tier=quick"], ["parts[one]", "quick"]),
        (["--tier=test"], IN_TEST),
        (["--tier=full"], IN_FULL),
        (["--tier=nightly"], sorted({*IN_TEST, *IN_FULL})),
        ([], sorted({*IN_TEST, *IN_FULL})),
    ],
)
def test_what_is_in_a_tier(options: list[str], expected: list[str], tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "test_tiers.py", TIERED_TEST, "-v", *options)
    assert code == pytest.ExitCode.OK, output
    assert sorted(re.findall(r"::test_(\S+) PASSED", output)) == expected


def test_a_case_of_a_mark_that_is_not_there(tmp_path: Path) -> None:
    code, output = run_pytest(
        tmp_path, "test_x.py", TIERED_TEST.replace('but=["one"]', 'but=["on"]')
    )
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "test_x.py::test_parts is marked full(but=['on']), and has no such case" in output


@pytest.mark.parametrize("tier", ["quick", "test", "full", "nightly", None])
def test_how_many_cases_are_drawn(tier: str | None, tmp_path: Path) -> None:
    test = "import hypothesis\n\ndef test_it(): print(hypothesis.settings().max_examples)\n"
    mark = "import pytest\npytestmark = [pytest.mark.hypothesis, pytest.mark.quick]\n"
    _, output = run_pytest(
        tmp_path, "test_x.py", mark + test, "-s", *[f"--tier={tier}"] * bool(tier)
    )
    (number,) = map(int, re.findall(r"(?m)^(?:test_x.py )?(\d+)", output))
    assert number == {"quick": 2, "test": 5, "full": 50, "nightly": 1000, None: 25}[tier]


@pytest.mark.full
def test_the_tiers_are_the_whole_suite() -> None:
    found = {tier: collected("--tier", tier) for tier in TIERS}
    assert found["test"] | found["full"] == found["nightly"] == collected()
    assert found["quick"] <= found["test"] < found["nightly"]
    assert min(map(len, found.values())) > 100
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {*re.findall(r"--tier (\w+)", recipes)} == {*TIERS}
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r'"make (test|full)" make (\w+)', commands) == [("test",) * 2, ("full",) * 2]


def collected(*options: str) -> set[str]:
    """Return the ids of the tests that would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line for line in done.stdout.splitlines() if "::" in line}


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
