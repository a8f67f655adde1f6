"""The benchmark of the recurrent layers runs, times no nonsense, and publishes what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "recurrent.py"
RESULTS = ROOT / "benchmarks" / "results" / "recurrent.json"


def python(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=SCRIPT.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


TINY = "['--quick', '--sizes', 'tiny', '--cells', 'LSTM,custom', '--peers', 'JAX']"


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """Measure tiny layers, where JAX is not installed; return the JSON file and what was printed."""
    output = tmp_path_factory.mktemp("benchmark") / "figures.json"
    done = python(
        "-c",
        "import recurrent, recurrent_peers\n"
        "recurrent_peers.JAX.package = 'no-such-package'\n"
        f"recurrent.main([*{TINY}, '--parts', 'table,special,memory', '--output', {str(output)!r}])",
    )
    assert done.returncode == 0, done.stderr
    return output, done.stdout


@pytest.mark.full
def test_a_quick_run_measures_every_case(tiny_run):
    output, printed = tiny_run
    report = json.loads(output.read_text())
    cases = [(row["cell"], row["mode"]) for row in report["table"]]
    modes = ("inference", "training", "streaming step")
    assert cases == [(cell, mode) for cell in ("LSTM", "custom") for mode in modes]
    for row in report["table"]:
        ours = row["figures"]["minigrad"]
        assert min(ours["rounds"]) <= ours["median"] <= max(ours["rounds"])
        assert ours["ratio"] == 1.0
        assert 0 < row["operations"] / ours["median"] < row["peak"]
        beside = ["minigrad LSTM"] if row["cell"] == "custom" else []
        assert list(row["figures"]) == ["minigrad", *beside, "JAX"]
        assert all("median" in row["figures"][name] for name in beside)
    specials = [row["figures"][row["special"]]["ratio"] for row in report["special"]]
    assert len(specials) == 6
    assert min(specials) > 0
    assert [list(row["figures"]) for row in report["memory"]] == [["minigrad"]]
    assert "| tiny (5, 3, 4, 6) |" in printed


@pytest.mark.full
def test_a_missing_peer_is_reported(tiny_run):
    output, printed = tiny_run
    report = json.loads(output.read_text())
    assert report["missing"] == ["JAX"]
    reason = "no-such-package is not installed; make bench installs it"
    assert all(row["figures"]["JAX"] == {"failed": reason} for row in report["table"])
    assert "| Missing | JAX |" in printed
    assert f"- LSTM, training, tiny: JAX was not timed: {reason}" in printed


@pytest.mark.full
def test_page_and_readme_are_checked_against_the_figures(tiny_run, tmp_path):
    output, _ = tiny_run
    done = python(
        "-c",
        "import json, pathlib, recurrent_report as r\n"
        f"report, r.ROOT = json.loads(open({str(output)!r}).read()), pathlib.Path({str(tmp_path)!r})\n"
        "(r.ROOT / 'docs').mkdir()\n"
        "r.DOCS, r.README = r.ROOT / 'docs' / 'page.md', r.ROOT / 'README.md'\n"
        "r.PICTURE = r.DOCS.with_suffix('.svg')\n"
        "r.README.write_text(f'before\\n{r.BEGIN}\\n{r.END}\\nafter\\n')\n"
        "r.write(report)\n"
        "r.check(report)\n"
        "figures = report['table'][0]['figures']\n"
        "figures['JAX'] = {'median': 1.0, 'rounds': [1.0], 'ratio': 0.25}\n"
        "r.check(report)",
    )
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before\n<!--")
    assert readme.endswith("-->\nafter\n")
    assert "(docs/page.svg)" in readme
    assert "<svg" in (tmp_path / "docs" / "page.svg").read_text()
    assert done.returncode == 1
    assert done.stderr.startswith("page.md differ from the figures; write them again"), done.stderr


@pytest.mark.skipif(not RESULTS.exists(), reason="the whole benchmark has not been run yet")
def test_page_and_readme_are_what_the_figures_say():
    done = python(SCRIPT, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "A,Z"], "unknown ['Z']; choose from A, B, C, D, E, F, G, H, tiny"),
        (["--cells", "LSTM", "--write-docs"], "--write-docs needs the figures of a whole run"),
        (["--check", "--output", "nothing.json"], "there are no figures in nothing.json; measure"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    done = python(SCRIPT, *arguments)
    assert done.returncode != 0
    assert message in done.stderr


def test_what_computes_other_numbers_is_not_timed():
    done = python(
        "-c",
        "import json, numpy, racing\n"
        "def contender(*arrays): return (lambda: ({}, list(map(numpy.array, arrays)))), lambda: 2.0\n"
        "contenders = {'ours': contender([1.0, 2.0]), 'same': contender([1.0, 2.001]),\n"
        "              'other': contender([1.0, 2.1]), 'not a number': contender([1.0, numpy.nan]),\n"
        "              'longer': contender([1.0, 2.0, 3.0]), 'more': contender([1.0, 2.0], [3.0])}\n"
        "print(json.dumps(racing.race(contenders, 3)))",
    )
    assert done.returncode == 0, done.stderr
    timed = {"median": 2.0, "rounds": [2.0, 2.0, 2.0], "ratio": 1.0}
    assert json.loads(done.stdout) == {
        "ours": timed,
        "same": timed,
        "other": {"failed": "computes other numbers: they differ by 0.1"},
        "not a number": {"failed": "computes other numbers: they differ by nan"},
        "longer": {"failed": "computes 3 numbers, where others compute 2"},
        "more": {"failed": "computes 2 arrays, where others compute 1"},
    }


@pytest.mark.full
def test_a_process_that_fails_dies_or_hangs_does_not_stop_the_others():
    done = python(
        "-c",
        "import functools, operator, os, time, workers\n"
        "def tell(function, name, order, patience=100):\n"
        "    start = functools.partial(functools.partial, function)\n"
        "    with workers.processes(\n"
        "        start, [name, 8], threads=1, pause=0, patience=patience\n"
        "    ) as ask:\n"
        "        try:\n"
        "            print(ask(name, *order))\n"
        "        except workers.Failure as failure:\n"
        "            print('failure:', failure)\n"
        "        if function is operator.truediv:\n"
        "            print(ask(8, 4))\n"
        "tell(operator.truediv, 1, [0])\n"
        "tell(os._exit, 3, [])\n"
        "tell(time.sleep, 60, [], patience=0.2)",
    )
    assert done.stdout.splitlines() == [
        "failure: ZeroDivisionError: division by zero",
        "2.0",
        "failure: the process died (EOFError)",
        "failure: no answer within 0.2 s",
    ], done.stderr


@pytest.mark.full
def test_the_program_that_is_timed_learns():
    done = python(
        "-c",
        "import char_lm\n"
        "model = char_lm.Ours()\n"
        "before = model.loss()\n"
        "model.update()\n"
        "print(before, model.loss(), model.training.position)",
    )
    before, after, updates = map(float, done.stdout.split())
    assert after < before
    assert updates == 1


@pytest.mark.full
def test_the_first_training_step_is_timed():
    done = python(
        "-c",
        "import json, start, recurrent_report\n"
        "seconds = start.measure(2, 1)\n"
        "print(json.dumps(seconds))\n"
        "print(recurrent_report.start_table({'start': seconds}))",
    )
    assert done.returncode == 0, done.stderr
    seconds, *table = done.stdout.splitlines()
    seconds = json.loads(seconds)
    assert list(seconds) == ["machine", "cell", "later"]
    assert min(seconds.values()) > 0
    assert [line.split("|")[2].strip() for line in table[2:]] == [
        f"{value:.2f}" for value in seconds.values()
    ]
