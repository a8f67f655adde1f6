"""How many threads are used: the default, the environment variable, and the function."""

import os
import subprocess
import sys

import pytest

import minigrad as mg
from minigrad import errors, threads


@pytest.fixture(autouse=True)
def not_chosen_yet(monkeypatch):
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.delenv("MINIGRAD_NUM_THREADS", raising=False)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_default_is_the_cores_that_may_be_used():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import minigrad; print(minigrad.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert mg.get_num_threads() == len(os.sched_getaffinity(0))


def test_where_no_affinity_is_known_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert mg.get_num_threads() == 7


def test_the_environment_variable_comes_first(monkeypatch):
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", " 5 ")
    assert mg.get_num_threads() == 5


def test_the_function_comes_before_the_environment_variable(monkeypatch):
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "5")
    mg.set_num_threads(3)
    assert mg.get_num_threads() == 3


def test_an_empty_environment_variable_is_none(monkeypatch):
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", "")
    assert mg.get_num_threads() >= 1


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_environment_variable_is_named(text, monkeypatch):
    monkeypatch.setenv("MINIGRAD_NUM_THREADS", text)
    with pytest.raises(errors.ArgumentError) as caught:
        mg.get_num_threads()
    assert str(caught.value) == (
        "get_num_threads: the environment variable MINIGRAD_NUM_THREADS must be a positive "
        f"integer, not {text!r}; correct it, or unset it to use every core"
    )


@pytest.mark.parametrize("number", [0, -2, 1.0, "2", True, None])
def test_a_wrong_number_is_refused(number):
    with pytest.raises(errors.ArgumentError) as caught:
        mg.set_num_threads(number)
    assert str(caught.value) == (
        f"set_num_threads: the number of threads must be a positive integer, not {number!r}"
    )
