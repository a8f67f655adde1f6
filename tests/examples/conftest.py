"""Running an example as its user does, in an empty folder: as a process, or quicker, in this one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


class Done(NamedTuple):
    """What a run left behind."""

    status: int
    out: str
    err: str
    results: Path

    @property
    def scores(self):
        """What the program reported: from the name of a score to names and numbers."""
        return json.loads((self.results / "scores.json").read_text())["scores"]

    def says(self, message):
        """Check that there was a mistake, answered with one line."""
        assert (self.status, self.err.count("\n")) == (2, 1), self.err or self.out
        assert message in self.err
        assert "Traceback" not in self.err


@pytest.fixture(scope="session")
def load_example():
    """Return a function from the name of an example to its module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENBLAS_NUM_THREADS", "1")  # the example sets it for its process
            patch.syspath_prepend(EXAMPLES)  # one may import another, as scripts can
            spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_example(load_example, tmp_path, monkeypatch, capsys):
    """Return a function of the name of an example and its arguments; results go to tmp_path/out.

    With ``apart=True`` it runs as a process of its own, in which a warning is an error.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)  # as Python does for a script

    def run(name, *arguments, apart=False):
        given = [*map(str, arguments), "--out", "out"]
        if apart:
            script = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"]
            ended = subprocess.run([*script, *given], capture_output=True, text=True, check=False)
            return Done(ended.returncode, ended.stdout, ended.stderr, tmp_path / "out")
        example = load_example(name)
        capsys.readouterr()
        try:
            status = example.PROGRAM.run(example.main, given)
        except SystemExit as ended:
            status = ended.code
        return Done(status, *capsys.readouterr(), tmp_path / "out")

    return run
