"""The states of sequences that begin and end, and of absent and fresh rows, as Python text for Numba."""

from __future__ import annotations

from minigrad.kernels.emit.numba_sweep import SweepWriter, added, copied, zeros


class RowWriter:
    """Writes what happens to the rows of states before a step and behind it.

    Parameters
    ----------
    sweeps : SweepWriter
    """

    def __init__(self, sweeps: SweepWriter) -> None:
        self.sweeps, self.addresses = sweeps, sweeps.addresses
        self.plan = sweeps.addresses.plan
        self.carried = [state for state in self.plan.states if state.kind == "state"]

    def entered(self) -> list[str]:
        """Return what happens before a step: some sequences begin."""
        blocks = []
        if self.carried:
            blocks.append(self.moved("active", "n", "parked_row", "row"))
            if self.plan.broken:
                copies = self.copies("first_row", "row")
                blocks.append(self.where("fresh != 0 and not backward", "fresh", "!=", copies))
        return blocks

    def left(self) -> list[str]:
        """Return what happens behind a step: absent rows are as before it, and some sequences end."""
        blocks = []
        if self.plan.broken:
            carried = self.copies("row", "next_row")
            for buffer in self.plan.stored.values():
                carried += self.sweeps.columns(buffer, zeros(self.addresses.current(buffer, "row")))
            blocks.append(self.where("present != 0", "present", "==", carried))
            blocks.append(self.where("fresh != 0 and backward", "fresh", "!=", self.released()))
        if self.carried:
            blocks.append(self.moved("remaining", "n", "next_row", "parked_row"))
        return blocks

    def released(self) -> list[str]:
        """Return lines that hand the cotangents of a fresh row to the initial states."""
        lines = []
        for buffer in self.carried:
            later, first = (
                self.addresses.current(buffer, part) for part in ("next_row", "first_row")
            )
            lines += self.sweeps.columns(buffer, added(first, later))
            lines += self.sweeps.columns(buffer, zeros(later))
        return lines

    def moved(self, first: str, last: str, source: str, target: str) -> str:
        """Return a loop that moves the states of some sequences between parts of the buffers."""
        lines = [f"    {line}" for line in self.copies(source, target)]
        return "\n".join([f"for row in range({first}, {last}):", *lines])

    def copies(self, source: str, target: str) -> list[str]:
        """Return lines that copy one part of each carried state to another, in the current row."""
        lines = []
        for buffer in self.carried:
            copy = copied(
                self.addresses.current(buffer, source), self.addresses.current(buffer, target)
            )
            lines += self.sweeps.columns(buffer, copy)
        return lines

    def where(self, condition: str, flags: str, comparison: str, lines: list[str]) -> str:
        """Return a loop that, under a condition, runs ``lines`` for rows whose flag is zero or not."""
        test = f"load_integer({flags} + (at + row) * 8) {comparison} 0"
        head = [f"if {condition}:", "    for row in range(n):", f"        if {test}:"]
        return "\n".join([*head, *(f"            {line}" for line in lines)])
