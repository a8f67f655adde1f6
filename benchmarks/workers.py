"""Processes that wait for orders: one for each library, so that none disturbs another one's threads."""

import contextlib
import multiprocessing
import os
import time
import traceback

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "MINIGRAD_NUM_THREADS",
)


class Failure(Exception):
    """A process could not do what it was asked for; the text says why."""


@contextlib.contextmanager
def processes(start, names, *, threads, pause, environment=None, patience=600):
    """Start a process for each name; yield ``ask(name, *order)``, which waits for the answer.

    Each process calls ``start(name)`` once, and what that returns for each order. It may use as many
    cores as there are threads. ``ask`` waits ``pause`` seconds first, so that the threads of the process
    before have gone to sleep; it raises `Failure` if the order failed, the process died, or there was
    no answer within ``patience`` seconds.
    """
    context = multiprocessing.get_context("spawn")
    ends, started = {}, {}
    with _surroundings(threads, environment or {}):
        for name in names:
            ends[name], theirs = context.Pipe()
            started[name] = context.Process(target=_serve, args=(theirs, start, name), daemon=True)
            started[name].start()
            theirs.close()

        def ask(name, *order):
            time.sleep(pause)
            try:
                ends[name].send(order)
                if not ends[name].poll(patience):
                    started[name].kill()
                    raise Failure(f"no answer within {patience} s")
                succeeded, answer = ends[name].recv()
            except (EOFError, OSError) as error:
                raise Failure(f"the process died ({type(error).__name__})") from error
            if not succeeded:
                raise Failure(answer)
            return answer

        try:
            yield ask
        finally:
            for end in ends.values():
                with contextlib.suppress(OSError):
                    end.send(None)
            for process in started.values():
                process.join()


def _serve(connection, start, name):
    answer = None
    while (order := connection.recv()) is not None:
        try:
            answer = answer or start(name)
            connection.send((True, answer(*order)))
        except Exception as error:
            traceback.print_exc()
            connection.send((False, f"{type(error).__name__}: {error}".splitlines()[0][:300]))


@contextlib.contextmanager
def _surroundings(threads, environment):
    """Set what processes inherit: the numbers of threads, and the cores."""
    wanted = dict.fromkeys(_THREADS, str(threads)) | environment
    before = {name: os.environ.get(name) for name in wanted}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    _set(wanted)
    if cores:
        os.sched_setaffinity(0, sorted(cores)[:threads])
    try:
        yield
    finally:
        _set(before)
        if cores:
            os.sched_setaffinity(0, cores)


def _set(environment):
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
