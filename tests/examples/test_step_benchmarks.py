"""The benchmark of whole training steps runs, and publishes what it measured, also where we lose."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "steps.py"


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
def test_a_quick_run_measures_every_step_also_without_pytorch(tmp_path):
    output = tmp_path / "figures.json"
    done = python(
        "-c",
        "import steps\n"
        "steps.installed = lambda: False\n"
        f"steps.main(['--quick', '--output', {str(output)!r}])",
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    reason = "torch is not installed; make bench installs it"
    for name, figures in report["table"].items():
        ours = figures["minigrad"]
        assert min(ours["rounds"]) <= ours["median"] <= max(ours["rounds"]), name
        assert "said" not in ours  # all loops are compiled
        assert figures["PyTorch"] == {"failed": reason}
        assert f"| `{name}`: {ours['shape']} | " in done.stdout
        assert f"- {name}: PyTorch was not timed: {reason}" in done.stdout


def test_the_page_says_where_we_lose_and_what_was_interpreted(tmp_path):
    row = {"minigrad": {"shape": "5 steps", "median": 0.01, "said": ["it is interpreted"]}}
    row["PyTorch"] = {"shape": "5 steps", "median": 0.004, "ratio": 0.4}
    usual = dict.fromkeys(("machine", "commit", "date", "threads", "load", "rounds"), 2)
    figures = {**usual, "versions": {"minigrad": "1"}, "table": {"word_lm": row}}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    done = python(SCRIPT, "--no-run", "--output", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    assert "| `word_lm`: 5 steps | 10 ms | 4 ms (0.40x) |" in done.stdout
    *_, lost, said = done.stdout.strip().splitlines()
    assert lost == "- word_lm: PyTorch (0.40x)"
    assert said == "- word_lm: minigrad said: it is interpreted"


def test_a_quick_run_is_not_published():
    done = python(SCRIPT, "--quick", "--write-docs")
    assert done.returncode != 0
    assert "--write-docs needs the figures of a whole run" in done.stderr


def test_the_page_is_what_the_figures_say():
    done = python(
        "-c", "import steps, json\nprint(steps.page(json.loads(steps.RESULTS.read_text())), end='')"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs" / "step_benchmarks.md").read_text()
