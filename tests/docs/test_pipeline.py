"""docs/architecture.md shows an LSTM at every stage of the compiler, as it is now."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pipeline(root, *options):
    script = root / "scripts" / "pipeline.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.strip()


@pytest.fixture
def copy(tmp_path):
    """Return a root with the script and the page, to be changed."""
    for name in ("scripts/pipeline.py", "docs/architecture.md"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.quick
def test_the_page_shows_the_compiler_as_it_is():
    assert pipeline(ROOT, "--check") == (0, "")


def test_another_page_is_noticed_and_written_anew(copy):
    page = copy / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("= tanh(", "= sigmoid(", 1), encoding="utf-8")
    code, message = pipeline(copy, "--check")
    assert code == 1
    assert message == (
        "docs/architecture.md shows another compiler than this one: run python scripts/pipeline.py"
    )
    assert pipeline(copy) == (0, "")
    assert page.read_text(encoding="utf-8") == text


def test_a_stage_that_is_not_on_the_page_is_noticed(copy):
    page = copy / "docs" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<!-- scripts/pipeline.py: kept -->", ""), encoding="utf-8")
    code, message = pipeline(copy)
    assert code == 1
    assert "there must be one for each of ['summary', 'step', 'graph', 'derived'" in message
