"""Whether a short loop is faster on a team or on one thread: found out by trying.

At a small batch the threads of a team hand the state to each other at every time step. How long that
takes depends on the processor, on which of its cores they run, and on what else runs there: on one
machine we measured 1.5 and, minutes later, 2.9 microseconds for a step that one thread takes 2 for.
"""

from __future__ import annotations

_SHORT = 1e-3  # seconds: what takes longer on a team gains by it
# Of so many runs some are done the other way. The first ones of all take longer, however they are done;
# and so do the first ones of a trial, since a core that had nothing to do needs milliseconds to wake up.
_PERIOD, _TRIALS = 256, range(16, 24)


class Pace:
    """Remembers how long the runs of a loop took on a team, and alone.

    What a loop computes does not depend on it: results are the same for any number of threads.
    """

    def __init__(self) -> None:
        self._runs = 0
        self._seconds: list[float | None] = [None, None]  # for each row: on a team, alone

    def goes_alone(self, rows: int) -> bool:
        """Say whether the next run is to be done by one thread.

        Parameters
        ----------
        rows : int
            How much there is to do.
        """
        on_team, alone = self._seconds
        if on_team is None or on_team * rows > _SHORT:
            return False
        self._runs += 1
        is_better = alone is not None and alone < on_team
        return is_better != (self._runs % _PERIOD in _TRIALS)

    def note(self, alone: bool, rows: int, seconds: float) -> None:
        """Remember how long a run took.

        A longer one than before counts for little: something else may have run, or its data have come
        from the cache of another core, as of the first run that is done another way.
        """
        found, known = seconds / max(rows, 1), self._seconds[alone]
        if known is not None and found > known:
            found = (15 * known + found) / 16
        self._seconds[alone] = found
