"""docs/cells.md shows every cell of the table: `python tests/docs/test_cells_page.py` writes it."""

import inspect
import sys
from pathlib import Path

from minigrad import Tensor
from minigrad.nn import cells

PAGE = Path(__file__).parents[2] / "docs" / "cells.md"
D, H = 7, 100  # no multiples of each other: a size tells what it is made of

HEAD = """# Recurrent cells

A cell is a plain function of one time step in `nn/cells/`. Any of them makes a layer:

```python
import minigrad as mg
from minigrad import nn

layer = nn.Recurrent(nn.cells.mgu, 8, 16, num_layers=2, bidirectional=True)
outputs, h = layer(mg.randn(50, 3, 8), lengths=[50, 20, 0])
```

`nn.RNN`, `nn.LSTM` and `nn.GRU` are such layers with PyTorch's names. `nn.cells.CELLS` holds all
cells by name. A cell of your own is written in the same way, see [a cell of your own](own_cell.md).
"""


def size(number):
    """Return a size in terms of those of the layer."""
    if number == D:
        return "D"
    return "H" if number == H else f"{number // H} H"


def shape(start):
    sizes = start.shape if isinstance(start, Tensor) else start
    return f"({', '.join(map(size, sizes))})"


def summary(cell):
    """Return the first sentence about a cell, without the order of its gates."""
    return text(cell).splitlines()[0].partition(";")[0].rstrip(".")


def text(cell):
    """Return what its author says of a cell, without the example: the page begins with one."""
    return inspect.getdoc(cell.step).partition("\n\nExamples\n")[0]


def section(cell):
    starts = cell.initial_parameters(D, H).items()
    parameters = ", ".join(f"`{name}` {shape(start)}" for name, start in starts)
    states = ", ".join(f"`{name}`" for name in cell.states)
    options = ", ".join(f"`{name}`" for name in cell.options)
    return (
        f"## {cell.__name__}\n\n{text(cell)}\n\n"
        f"States: {states}. Parameters: {parameters}. Options: {options}.\n"
    )


def page():
    notation = inspect.getdoc(cells).split("\n\n")[2].replace("``", "`")
    table = [f"| [`{name}`](#{name}) | {summary(cell)} |" for name, cell in cells.CELLS.items()]
    return "\n".join(
        [
            HEAD,
            "| cell | what it is |",
            "|---|---|",
            *table,
            "",
            notation,
            "",
            "Below, D is `input_size` and H is `hidden_size`. With `bias=False` there are no biases.",
            "",
            *map(section, cells.CELLS.values()),
            "This page is written by `python tests/docs/test_cells_page.py`.\n",
        ]
    )


def test_the_page_shows_every_cell():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "the cells or what is said about them changed; run python tests/docs/test_cells_page.py"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}: {len(cells.CELLS)} cells\n")
