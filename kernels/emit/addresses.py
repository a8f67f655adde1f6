"""Where the buffers of a plan lie, as expressions in Python."""

from __future__ import annotations

from minigrad.kernels.emit.arguments import addressed
from minigrad.kernels.emit.widths import Widths
from minigrad.kernels.plan.ir import Buffer, LoopPlan, Place


class Addresses:
    """Writes the addresses of a plan's buffers.

    Attributes
    ----------
    widths : Widths
        The names of widths, which are given as they are asked for.
    size : int
        The bytes of an element.
    """

    def __init__(self, plan: LoopPlan) -> None:
        self.plan = plan
        self.widths = Widths(plan)
        self.size = plan.dtype.itemsize

    def stride(self, buffer: Buffer) -> str:
        """Return the distance of the rows of a buffer in elements. What is read may be a part of rows."""
        return f"{buffer.name}_stride" if buffer.kind == "read" else self.widths.of(buffer)

    def row_bytes(self, buffer: Buffer) -> str:
        """Return the distance of the rows of a buffer in bytes."""
        return f"{self.stride(buffer)} * {self.size}"

    def pointers(self) -> list[str]:
        """Return lines that set the address of the block's first row in each buffer."""
        before, behind = ("at + (rows if reverse else 0)", "at + (0 if reverse else rows)")
        rows = {
            "read": {"row": "at"},
            "stored": {"row": "at"},
            "scratch": {"row": "begin"},
            "passing": {"row": "at - passed"},
            "ahead": {"row": "at - early"},
            "history": {"row": before, "next_row": behind},
            "state": {
                "row": "now * rows + begin",
                "next_row": "later * rows + begin",
                "parked_row": "2 * rows + begin",
                "first_row": "3 * rows + begin",
            },
        }
        return [
            f"{buffer.name}_{name} = {self.first(buffer)} + ({start}) * {self.row_bytes(buffer)}"
            for buffer in addressed(self.plan)
            for name, start in rows.get(buffer.kind, {}).items()
        ]

    def first(self, buffer: Buffer) -> str:
        """Return the address of the first of all rows, as if there were all of what is leaving."""
        if buffer in self.plan.leaving:
            return f"{buffer.name} - early * {self.row_bytes(buffer)}"
        return buffer.name

    def rows_of(self, buffer: Buffer, first: str) -> str:
        """Return the address of the row ``first``, and the distance of rows."""
        row = f"({first} - passed)" if buffer.kind == "passing" else first
        return f"{buffer.name} + {row} * {self.row_bytes(buffer)}, {self.stride(buffer)}"

    def base(self, place: Place, row: str = "row") -> str:
        """Return the address of a place in the block's first row."""
        name = place.buffer.name
        if place.buffer.kind != "vector":
            name += f"_next_{row}" if place.next else f"_{row}"
        return f"{name} + {self.widths.offset(place)} * {self.size}" if place.offset else name

    def address(self, place: Place, column: str | None) -> str:
        """Return the address of the column in the current row."""
        parts = [self.base(place)]
        if place.buffer.kind != "vector":
            parts.append(f"row * {self.row_bytes(place.buffer)}")
        if column is not None:
            parts.append(column)
        return " + ".join(parts)

    def current(self, buffer: Buffer, part: str) -> str:
        """Return the address of the current row in a part of a buffer."""
        return f"{buffer.name}_{part} + row * {self.row_bytes(buffer)}"
