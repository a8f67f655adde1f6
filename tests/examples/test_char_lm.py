"""The character language model as a user runs it: it learns, and answers mistakes with one line."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "char_lm.py"


@pytest.fixture
def char_lm(tmp_path):
    """Return a function that runs the example in an empty folder."""

    def run(*arguments):
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )

    return run


def test_a_quick_run_learns(char_lm, tmp_path):
    done = char_lm("--quick", "--out", "here")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    score = re.search(
        r"LSTM ([\d.]+) bits per character, bigram ([\d.]+), unigram ([\d.]+)", done.stdout
    )
    lstm, bigram, unigram = map(float, score.groups())
    assert 1.0 < lstm < bigram - 0.1 < unigram
    sample = done.stdout.split("--- a sample ---\n")[1].split("\n------")[0]
    assert len(sample) == 500
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["loss.png"]
    assert (tmp_path / "here" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_text_of_ones_own_in_another_alphabet(char_lm, tmp_path):
    (tmp_path / "text.txt").write_text(
        "Быть или не быть, вот в чём вопрос. " * 100, encoding="utf-8"
    )
    one = char_lm("--quick", "--text", "text.txt", "--seed", "3")
    assert one.returncode == 0, one.stderr
    assert "3,600 characters, 20 different ones" in one.stdout
    assert one.stdout == char_lm("--quick", "--text", "text.txt", "--seed", "3").stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--text", "missing.txt"], "char_lm: cannot read missing.txt: No such file or directory"),
        (["--text", "."], "char_lm: cannot read .: Is a directory"),
        (["--text", "empty.txt"], "char_lm: empty.txt is empty; give a file with text"),
        (["--text", "binary"], "char_lm: binary is no UTF-8 text: byte 0 is 0xff"),
        (["--text", "zero"], "char_lm: zero is no text: it holds a zero byte"),
        (["--text", "short.txt"], "char_lm: a text of 18 characters is too short for 32 streams"),
        (["--hidden", "0"], "char_lm: argument --hidden: '0' is not a whole number from 1 to 4096"),
        (
            ["--batch", "-3"],
            "char_lm: argument --batch: '-3' is not a whole number from 1 to 1000000",
        ),
        (["--seq-len", "many"], "char_lm: argument --seq-len: 'many' is not a whole number from 1"),
        (["--lr", "nan"], "char_lm: argument --lr: 'nan' is not a number from 1e-09 to 1"),
        (["--seed", "-1"], "char_lm: argument --seed: '-1' is not a whole number from 0"),
        (["--layer", "1", "--wrong"], "char_lm: unrecognized arguments: --wrong"),
        (["--batch", "1000000"], "characters is too short for 1000000 streams side by side"),
        (
            ["--hidden", "10000000"],
            "char_lm: argument --hidden: '10000000' is not a whole number from 1",
        ),
        (["--out", "short.txt/below"], "char_lm: cannot write to short.txt/below: "),
    ],
)
def test_mistakes_are_answered_with_one_line(char_lm, tmp_path, arguments, text):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "zero").write_bytes(b"ab\0cd" * 1000)
    (tmp_path / "short.txt").write_text("ab" * 10)
    done = char_lm(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_interrupt_ends_it_cleanly(tmp_path):
    command = [sys.executable, "-u", str(SCRIPT), "--out", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert "different ones" in running.stdout.readline()
        time.sleep(1.0)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.strip() == "stopped"
