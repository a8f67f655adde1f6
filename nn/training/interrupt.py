"""Stop a training run between two updates, where it can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """Whether Ctrl-C was pressed; true or false.

    Examples
    --------
    >>> bool(nn.Interrupt())
    False
    """

    def __init__(self) -> None:
        self._noted = False

    def __bool__(self) -> bool:
        return self._noted

    def _note(self, *_: object) -> None:
        if self._noted:  # the second one does not wait
            raise KeyboardInterrupt
        self._noted = True


@contextmanager
def noting_interrupts() -> Iterator[Interrupt]:
    """Note Ctrl-C instead of raising, so that a run can stop between two updates and save.

    ``if interrupt: break`` asks for it. A second Ctrl-C raises `KeyboardInterrupt` as usual. Python
    tells only the main thread of signals, so elsewhere nothing is ever noted; nor where Ctrl-C is
    ignored, as in a job that a shell script runs in the background, or is taken by a program around
    Python.

    Yields
    ------
    Interrupt
        True once Ctrl-C was pressed.

    Examples
    --------
    >>> with nn.noting_interrupts() as interrupt:
    ...     for epoch in range(3):
    ...         if interrupt:
    ...             break
    >>> epoch
    2
    """
    interrupt, before = Interrupt(), signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or before in (signal.SIG_IGN, None):
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt._note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
