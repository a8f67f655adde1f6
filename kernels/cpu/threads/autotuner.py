"""Whether a short loop is faster on a team or on one thread: found out by trying.

At a small batch the threads of a team hand the state to each other at every time step. How long that
takes depends on the processor, on which of its cores they run, and on what else runs there: on one
machine we measured 1.5 and, minutes later, 2.9 microseconds for a step that one thread takes 2 for.
"""

from __future__ import annotations

_SHORT = 1e-3  # seconds: what takes longer on a team gains by it
# Seconds between two trials of the other way, by the clock, so that there is one after each longer pause:
# much may have changed. And never more than a sixteenth of the time goes into trials.
_BETWEEN, _SHARE = 0.04, 16
# Of a trial. The first ones say little: the data are in the cache of another core, and a core that had
# nothing to do needs milliseconds to wake up.
_RUNS = 8
# A trial of one thread is over when a run takes so many times as long as on a team: it wakes nobody up.
_HOPELESS = 1.25


class Pace:
    """Remembers how long the runs of a loop took on a team, and alone.

    What a loop computes does not depend on it: results are the same for any number of threads.
    """

    def __init__(self) -> None:
        self._seconds: list[float | None] = [None, None]  # for each row: on a team, alone
        self._due: float | None = None
        self._begun, self._left, self._tried = 0.0, 0, False  # the trial

    def goes_alone(self, rows: int, now: float) -> bool:
        """Say whether the next run is to be done by one thread.

        Parameters
        ----------
        rows : int
            How much there is to do.
        now : float
            Seconds of a clock.
        """
        on_team, alone = self._seconds
        if on_team is None or on_team * rows > _SHORT:
            return False
        is_better = alone is not None and alone < on_team
        if self._due is None:
            self._due = now + _BETWEEN  # the first runs of all take longer, however they are done
        elif self._left <= 0 and now >= self._due:
            self._begun, self._left, self._tried = now, _RUNS, not is_better
        if self._left <= 0:
            return is_better
        self._left -= 1
        self._due = now + max(_BETWEEN, _SHARE * (now - self._begun))
        return self._tried

    def note(self, alone: bool, rows: int, seconds: float) -> None:
        """Remember how long a run took.

        A longer one than before counts for little: something else may have run, or its data have come
        from the cache of another core, as of the first run that is done another way.
        """
        found, known, on_team = seconds / max(rows, 1), self._seconds[alone], self._seconds[False]
        if alone and 0 < self._left < _RUNS - 1 and on_team and found > _HOPELESS * on_team:
            self._left = 0
        if known is not None and found > known:
            found = (15 * known + found) / 16
        self._seconds[alone] = found
