"""Generated text, compared with what is kept in tests/golden; run this file to write it anew."""

from pathlib import Path

import numpy as np
import pytest

from minigrad import nn
from minigrad.graph import Var
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.plan.program import make_program

GOLDEN = Path(__file__).parents[1] / "golden"
CELLS = {"lstm": nn.cells.lstm, "gru": nn.cells.gru}


def sources(name):
    """Return the text of both loops of a cell with 3 inputs and 21 units, for 16 lanes of float32."""
    cell, kind = CELLS[name], np.dtype("float32")
    states = [Var((11, 21), kind, state) for state in cell.states]
    shapes = cell.initial_parameters(3, 21)
    parameters = {name: Var(tuple(shape), kind, name) for name, shape in shapes.items()}
    graph = trace(cell, [Var((11, 3), kind, "x")], states, parameters)
    wanted = [0, *range(1 + len(states), len(graph.inputs))]
    program = make_program(graph, 1, len(states), wanted)
    return {
        f"{name}_forward.txt": numba_source(program.loop, 16).text,
        f"{name}_backward.txt": numba_source(program.backward.loop, 16).text,
    }


@pytest.mark.quick
@pytest.mark.parametrize("name", CELLS)
def test_the_text_is_the_one_that_is_kept(name):
    for file, text in sources(name).items():
        compile(text, file, "exec")
        kept = (GOLDEN / file).read_text(encoding="utf-8")
        assert text == kept, f"{file} changed; if it should, run python tests/kernels/test_emit.py"


if __name__ == "__main__":
    for cell_name in CELLS:
        for file_name, content in sources(cell_name).items():
            (GOLDEN / file_name).write_text(content, encoding="utf-8")
