"""The example of an own cell: it computes the published equations, runs, and answers mistakes."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

SCRIPT = Path(__file__).parents[2] / "examples" / "custom_cell.py"


@pytest.fixture(scope="module")
def example():
    """Return the example as a module."""
    spec = importlib.util.spec_from_file_location("custom_cell", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # the example sets it for its process
        spec.loader.exec_module(module)
    return module


def test_the_cell_computes_its_equations(example):
    rng = np.random.default_rng(0)
    starts = example.parameters(3, 4)
    shapes = {name: tuple(getattr(start, "shape", start)) for name, start in starts.items()}
    p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x, h = rng.standard_normal((2, 3)), rng.standard_normal((2, 4))

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    expected = np.empty_like(h)
    for n in range(2):
        for unit in range(4):
            mixed = p["weight"][unit] @ x[n] + p["recurrent"][unit] @ h[n]
            z = sigmoid(mixed + p["gate_bias"][unit])
            new = np.tanh(mixed + p["bias"][unit])
            share = sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])
            expected[n, unit] = share * new + z * h[n, unit]
    found = example.fast_grnn(
        mg.tensor(x), mg.tensor(h), **{name: mg.tensor(value) for name, value in p.items()}
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_a_quick_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, "--quick", "--cases", "1"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "fast_grnn(x[N,64], h[N,64])" in done.stdout
    assert "gradients are those of differences" in done.stdout
    rows = re.findall(r"(?m)^(FastGRNN|LSTM) +([\d,]+) +([\d.]+) +[\d,]+$", done.stdout)
    ((_, few, ours), (_, many, lstm)) = rows
    assert int(few.replace(",", "")) < int(many.replace(",", ""))
    assert float(ours) < 4.2  # letters drawn by their frequency need more
    assert float(lstm) < 4.2
    assert re.search(r"minigrad +[\d.]+ ms", done.stdout)
    assert ("PyTorch loop" in done.stdout) != ("PyTorch is not installed" in done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_without_pytorch_it_says_so(example, monkeypatch, capsys):
    monkeypatch.setattr(example.importlib.util, "find_spec", lambda name: None)
    example.time_side_by_side(example.parse("--quick --hidden 4 --rounds 1".split())[1])
    out = capsys.readouterr().out
    assert "PyTorch is not installed" in out
    assert "x[32, 8, 64]" in out
    assert "PyTorch loop" not in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--hidden 0", "argument --hidden: '0' is not a whole number from 1 to 4096"),
        ("--lr nan", "argument --lr: 'nan' is not a number from 1e-09 to 1"),
        ("--hiden 4", "unrecognized arguments: --hiden 4"),
        ("--quick --text missing.txt", "missing.txt: No such file or directory"),
        ("--quick --limit 100 --batch 99", "too short for 99 streams"),
    ],
)
def test_mistakes_are_answered_with_one_line(
    example, arguments, line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    ended = None
    try:
        parser, settings = example.parse(arguments.split())
        parser.run(lambda: example.main(settings))
    except SystemExit as exit:
        ended = exit.code
    out, err = capsys.readouterr()
    assert (ended, out) == (2, "")
    assert err.startswith("custom_cell: ")
    assert line in err
    assert err.count("\n") == 1


def test_help_tells_every_default(example, capsys):
    with pytest.raises(SystemExit) as ended:
        example.parse(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    options = [" ".join(text.split()) for text in re.split(r"\n  (?=-)", shown)[2:]]  # no --help
    assert len(options) == len(example.SETTINGS) + 1
    assert [text for text in options if "(default: " not in text and "--quick" not in text] == []
    assert "--hidden 64, --seq-len 32" in " ".join(shown.split())
