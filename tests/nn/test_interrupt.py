"""Ctrl-C is noted, the second one is not, and afterwards all is as before."""

import contextlib
import signal
import threading

import pytest

from minigrad import nn


@pytest.fixture(autouse=True)
def usual_handler():
    """Start from Python's own handler, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_the_first_interrupt_is_noted():
    with nn.noting_interrupts() as interrupt:
        assert isinstance(interrupt, nn.Interrupt)
        assert not interrupt
        press_ctrl_c()
        assert interrupt
        assert interrupt  # it stays so
    assert interrupt
    with nn.noting_interrupts() as another:
        assert not another


def test_the_second_interrupt_is_raised():
    with pytest.raises(KeyboardInterrupt), nn.noting_interrupts():  # noqa: PT012
        press_ctrl_c()
        press_ctrl_c()
        pytest.fail("the second one was noted, too")


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_afterwards_the_handler_is_the_one_before(error):
    def own(*_):
        """Stand in for a handler of the program."""

    signal.signal(signal.SIGINT, own)
    with contextlib.suppress(*[error] * bool(error)), nn.noting_interrupts():
        assert signal.getsignal(signal.SIGINT) is not own
        if error:
            raise error
    assert signal.getsignal(signal.SIGINT) is own


def test_afterwards_an_interrupt_is_raised_as_usual():
    with nn.noting_interrupts() as interrupt:
        pass
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
    assert not interrupt


def test_the_inner_one_notes():
    with nn.noting_interrupts() as outer:
        with nn.noting_interrupts() as inner:
            press_ctrl_c()
        assert inner
        assert not outer
        press_ctrl_c()
        assert outer


def test_other_threads_note_nothing_and_break_nothing():
    found = []

    def work():
        with nn.noting_interrupts() as interrupt:
            found.append(bool(interrupt))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_ignored():
    """A script that a shell runs in the background must not stop when Ctrl-C is meant for another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with nn.noting_interrupts() as interrupt:
        press_ctrl_c()
        assert not interrupt
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_handler_that_python_cannot_put_back_is_left_alone(monkeypatch):
    """Where a program around Python handles Ctrl-C, Python knows no handler."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with nn.noting_interrupts() as interrupt:
        with pytest.raises(KeyboardInterrupt):  # by the handler from before
            press_ctrl_c()
        assert not interrupt
