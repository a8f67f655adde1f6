"""examples/README.md shows every example, with the scores that scripts/examples.py measured."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
SUM = '''"""Add a|b.

More of it.
"""
import sys
from minigrad.nn.training import Program

PROGRAM = Program("sum", __doc__, data="numbers (default: drawn)", cell=None, quick={"seed": 3})

def main(given):
    given.report("error, held out", {"model": 0.123456 + given.seed, "mean": 1.5})

if __name__ == "__main__":
    sys.exit(PROGRAM.run(main))
'''


@pytest.fixture
def copy(tmp_path):
    """Return a root with the script, one example that runs, and one that reports nothing."""
    for name in ("scripts/examples.py", "benchmarks/measuring.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "examples").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir()
    (tmp_path / "examples" / "sum.py").write_text(SUM)
    (tmp_path / "examples" / "silent.py").write_text(SUM.replace("given.report", "print"))
    return tmp_path


def run(root, *options):
    script = root / "scripts" / "examples.py"
    return subprocess.run(
        [sys.executable, "-W", "error", script, *options],
        capture_output=True,
        text=True,
        check=False,
    )


def rows(page):
    """Return the cells of each row of the table, by the first of them."""
    found = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| [")]
    return {cells[0]: cells[1:] for cells in found}


def test_examples_are_run_and_what_fails_is_told(copy):
    done = run(copy)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].strip() == "failed: silent.py"
    page = (copy / "examples" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"at their defaults on .+ cores, .+, Python 3[\d.]+, \d{4}-\d\d-\d\d\.", page)
    found = rows(page)
    assert found["[`silent.py`](silent.py)"][2] == "failed"
    *told, seconds = found["[`sum.py`](sum.py)"]
    score = "error, held out: model 0.1235, mean 1.5"
    assert told == ["Add a&#124;b.", "numbers (default: drawn)", score]
    assert 0 <= int(seconds) < 600
    (copy / "examples" / "silent.py").unlink()
    assert run(copy, "--no-run").returncode == 0
    kept = rows((copy / "examples" / "README.md").read_text(encoding="utf-8"))
    assert kept == {"[`sum.py`](sum.py)": [*told, seconds]}


def test_a_quick_run_of_one_example_is_printed_and_writes_nothing(copy):
    done = run(copy, "--quick", "sum")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert found["[`sum.py`](sum.py)"][2] == "error, held out: model 3.123, mean 1.5"
    assert found["[`silent.py`](silent.py)"][2] == "not run yet"
    assert not (copy / "examples" / "README.md").exists()
    assert list((copy / "benchmarks" / "results").iterdir()) == []


def test_an_unknown_example_is_refused(copy):
    done = run(copy, "summ")
    assert done.returncode == 2
    assert "there is no example 'summ'; there are silent, sum" in done.stderr


def test_the_page_shows_every_example_as_it_is(tmp_path):
    for folder in ("scripts", "benchmarks", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert {cell.partition("](")[2] for cell in rows(page)} == {f"{name}.py)" for name in NAMES}
    assert run(tmp_path, "--no-run").returncode == 0
    assert page == (tmp_path / "examples" / "README.md").read_text(encoding="utf-8"), (
        "what the examples say of themselves changed; run python scripts/examples.py --no-run"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_leads_to_every_example_and_shows_flags_that_it_has(name):
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"(?s)## Find your problem\n(.*?)\n## ", readme)
    flags = re.findall(rf"(?m)\(examples/{name}\.py\) `(.+?)` \|$", table)
    assert flags, f"say in the table of README.md whose problem examples/{name}.py solves"
    shown = [sys.executable, ROOT / "examples" / f"{name}.py", "--help"]
    told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    flags += [title for title in rows(page) if f"({name}.py)" in title]  # `tagging.py --task names`
    assert {*re.findall(r"--[\w-]+", " ".join(flags))} <= {*re.findall(r"--[\w-]+", told)}
