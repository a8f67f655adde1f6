"""The example of an own cell: it computes the published equations, runs, and answers mistakes."""

import importlib.util
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn.text import NGram, Vocabulary, english_text

SMALL = "--quick --hidden 4 --epochs 1 --limit 900 --cases 1 --rounds 1".split()
SCORE = "bits per character, held out"


def test_the_cell_computes_its_equations(load_example):
    example = load_example("custom_cell")
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


@pytest.mark.full
def test_a_quick_run(run_example):
    done = run_example("custom_cell", "--quick", "--cases", "1", apart=True)
    assert (done.status, done.err) == (0, "")
    assert "fast_grnn(x[N,64], h[N,64])" in done.out
    assert "gradients are those of differences" in done.out
    few, many = (int(n.replace(",", "")) for n in re.findall(r"(?m)^([\d,]+) weights$", done.out))
    assert few < many
    scores = done.scores[SCORE]
    text = english_text()[:30_000]
    codes = Vocabulary(text).encode(text)
    bigram = NGram(codes[:27_000], len(set(text)), 2).bits(codes[27_000:])
    assert scores["bigram model"] == pytest.approx(bigram)
    assert max(scores["fast_grnn"], scores["lstm"]) < bigram
    assert re.search(r"(?m)^  fast_grnn +[\d.]+ ms\n  lstm +[\d.]+ ms$", done.out)
    assert ("PyTorch loop" in done.out) != ("PyTorch is not installed" in done.out)
    assert (done.results / "loss.png").stat().st_size > 10_000


@pytest.mark.full
def test_without_pytorch_it_says_so(run_example, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = run_example("custom_cell", *SMALL)
    assert (done.status, done.err) == (0, "")
    assert "PyTorch is not installed" in done.out
    assert "x[32, 8, 64]" in done.out
    assert "PyTorch loop" not in done.out


@pytest.mark.full
def test_beside_a_cell_of_the_users_choice_and_gone_on(run_example, tmp_path):
    (tmp_path / "text.txt").write_text("быть или не быть, вот в чём вопрос " * 40)
    done = run_example("custom_cell", *SMALL, "--data", "text.txt", "--cell", "mgu")
    assert list(done.scores[SCORE]) == ["fast_grnn", "mgu", "bigram model"]
    again = run_example("custom_cell", "--resume", "out/checkpoint.safetensors")
    assert again.scores == done.scores


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--hidden 0", "argument --hidden: '0' is not a whole number from 1 to 4096"),
        ("--lr nan", "argument --lr: 'nan' is not a number from 1e-09 to 1"),
        ("--hiden 4", "unrecognized arguments: --hiden 4"),
        ("--quick --data missing.txt", "missing.txt: No such file or directory"),
        ("--quick --limit 100 --batch 99", "too short for 99 streams"),
        ("--cell lsmt", "'lsmt' is no cell; did you mean 'lstm'?"),
    ],
)
def test_mistakes_are_answered_with_one_line(run_example, arguments, line):
    done = run_example("custom_cell", *arguments.split())
    done.says(line)
    assert done.out == ""
    assert done.err.startswith("custom_cell: ")
