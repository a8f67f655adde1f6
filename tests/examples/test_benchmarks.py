"""The benchmark of the engine runs, refuses nonsense, and its page is what its figures say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "eager.py"


def python(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=SCRIPT.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.full
def test_a_quick_run_measures_every_case(tmp_path):
    output = tmp_path / "figures.json"
    done = python(SCRIPT, "--quick", "--libraries", "NumPy alone,minigrad", "--output", output)
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    assert [len(report[measure]) for measure in ("time", "memory")] == [6, 3]
    for found in (*report["time"].values(), *report["memory"].values()):
        assert list(found) == ["minigrad", "NumPy alone"]
        assert found["minigrad"]["median"] > 0
        assert found["minigrad"]["ratio"] == 1.0
    assert "| chain, all operands tracked |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--libraries", "Theano"], "unknown libraries ['Theano']; choose from minigrad, PyTorch"),
        (["--quick", "--write-docs"], "--write-docs needs the figures of a whole run"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    done = python(SCRIPT, *arguments)
    assert done.returncode != 0
    assert message in done.stderr


def test_libraries_that_disagree_are_not_timed():
    done = python(
        "-c",
        "import eager\n"
        "answers = {'minigrad': [[1.0, 2.0]], 'other': [[1.0, 2.1]]}\n"
        "eager.check_agreement(lambda name, *_: answers[name], list(answers))",
    )
    assert "other and minigrad compute different numbers" in done.stderr


def test_the_page_is_what_the_figures_say():
    done = python(
        "-c",
        "import eager, json\nprint(eager.page(json.loads(eager.RESULTS.read_text())), end='')",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "benchmarks.md").read_text()
