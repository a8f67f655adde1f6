"""Show one LSTM at every stage of the compiler, in docs/architecture.md.

    .venv/bin/python scripts/pipeline.py             writes the blocks of the page anew
    .venv/bin/python scripts/pipeline.py --check     fails if they are not what would be written

What is shown passed through `minigrad.kernels.plan.program.make_program`, so that the page cannot tell
another story than the code. A block of the page belongs to the script if a comment before it names the
stage.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigrad.dtypes import float32
from minigrad.graph import Graph, Node, Var
from minigrad.kernels import explain
from minigrad.kernels.cuda.source import cuda_source
from minigrad.kernels.emit.dialect import lowered
from minigrad.kernels.emit.numba_source import numba_source
from minigrad.kernels.frontend.trace import trace
from minigrad.kernels.plan import program
from minigrad.kernels.plan.ir import LoopPlan, Sweep
from minigrad.kernels.plan.printer import describe, numbered, place_text
from minigrad.kernels.plan.program import Program, make_program
from minigrad.nn.cells import lstm

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
BLOCK = re.compile(
    r"(<!-- scripts/pipeline\.py: (\w+) -->\n```[^\n]*\n)(.*?\n)??(```\n)", re.DOTALL
)
INPUTS, HIDDEN, ROWS, LANES = 3, 4, 5, 16


def traced() -> Graph:
    """Return the graph of the step."""
    starts = lstm.initial_parameters(INPUTS, HIDDEN)
    return trace(
        lstm,
        [Var((ROWS, INPUTS), float32, "x")],
        [Var((ROWS, HIDDEN), float32, name) for name in lstm.states],
        {name: Var(tuple(shape), float32, name) for name, shape in starts.items()},
    )


@contextmanager
def watched(*names: str) -> Iterator[dict[str, list[tuple[Any, Any]]]]:
    """Note the arguments and the results of passes that `minigrad.kernels.plan.program` calls."""
    calls: dict[str, list[tuple[Any, Any]]] = {name: [] for name in names}
    originals = {name: getattr(program, name) for name in names}

    def noting(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = originals[name](*arguments, **options)
            calls[name].append((arguments, result))
            return result

        return call

    for name in names:
        setattr(program, name, noting(name))
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(program, name, original)


def stages() -> dict[str, str]:
    """Return the text of each stage."""
    graph = traced()
    wanted = [0, *range(1 + len(lstm.states), len(graph.inputs))]
    with watched("differentiate", "normalize", "choose_kept") as passes:
        made = make_program(graph, 1, len(lstm.states), wanted)
    assert made.backward is not None  # it was asked for
    ((_, derived),) = passes["differentiate"]
    ((_, normal), _) = passes["normalize"]
    ((chosen_from, chosen),) = passes["choose_kept"]
    of_variables = {
        "graph": str(graph),
        "derived": str(derived),
        "normal": str(normal.graph),
        "kept": kept(*chosen_from[1:3], *chosen, {*made.states, *made.outputs}),
        "once": lines(made.once),
        "forward": describe(made.loop),
        "backward": describe(made.backward.loop),
        "sums": row_sums(made.backward.loop),
    }
    return {
        "summary": explain(lstm, INPUTS, HIDDEN, dtype=float32),
        "step": step(),
        **dict(zip(of_variables, numbered(of_variables.values()), strict=True)),
        "calls": calls(made),
        "numba": numba_source(made.loop, LANES).text.strip(),
        "cuda": kernel(made),
    }


def step() -> str:
    """Return the source of the step without its documentation, its types and its decorator."""
    (function,) = ast.parse(inspect.getsource(lstm.step)).body
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list, function.returns, function.body = [], None, function.body[1:]
    for argument in (*function.args.args, *function.args.kwonlyargs):
        argument.annotation = None
    return ast.unparse(function)


def lines(values: Iterable[object]) -> str:
    """Return values one below the other."""
    return "\n".join(map(str, values))


def names(variables: Iterable[Var]) -> str:
    """Return the names of variables."""
    return ", ".join(var.name for var in variables)


def kept(
    needed: Sequence[Var],
    at_hand: Collection[Var],
    kept: Sequence[Var],
    again: Sequence[Node],
    states: Collection[Var],
) -> str:
    """Return what the backward graph reads, and where that comes from."""
    return lines(
        [
            f"read by the backward graph      {names(needed)}",
            f"inputs and parameters, at hand  {names(v for v in needed if v in at_hand)}",
            f"kept, as states of all steps    {names(v for v in kept if v in states)}",
            f"kept beside them                {names(v for v in kept if v not in states)}",
            f"computed again                  {', '.join(map(repr, again))}",
        ]
    )


def row_sums(plan: LoopPlan) -> str:
    """Return the sums over rows of a loop, written with the variables that lie in its buffers."""
    placed = (*plan.read.items(), *plan.stored.items())
    names = {buffer.name: var.name for var, buffer in placed}
    return lines(
        f"{s.result.name} = sum of the rows of {names[s.left.name]}"
        if s.right is None
        else f"{s.result.name} = transposed({names[s.left.name]}) @ {names[s.right.name]}"
        for s in plan.sums
    )


def sweep(made: Program) -> Sweep:
    """Return the only sweep of the forward loop."""
    ((only,),) = (phase.sweeps.values() for phase in made.loop.phases)
    return only


def calls(made: Program) -> str:
    """Return the calls of the sweep."""
    code = lowered(sweep(made))
    return lines(
        [
            *(
                f"{code.names[v]} = {place_text(p, v.shape[1])}"
                for v, p in code.for_columns.items()
            ),
            *(f"{c.result} = {c.function}({', '.join(map(str, c.arguments))})" for c in code.calls),
            *(f"{place_text(p, HIDDEN)} = {code.names[v]}" for v, p in sweep(made).stores),
        ]
    )


def kernel(made: Program) -> str:
    """Return the CUDA text of the sweep, with the functions that it calls."""
    source = cuda_source(made.loop)
    ((wanted,),) = source.phases
    head, *kernels = source.text.split('extern "C" ')
    (text,) = (k for k in kernels if f" {wanted.name}(" in k)
    return f'{head}extern "C" {text}'.strip()


def with_blocks(page: str) -> str:
    """Return a page with the blocks of all stages written anew."""
    texts = stages()
    there = [match[2] for match in BLOCK.finditer(page)]
    if there != list(texts):
        raise SystemExit(
            f"docs/{PAGE.name} has blocks for the stages {there}; there must be one for each of "
            f"{list(texts)}, behind a comment <!-- scripts/pipeline.py: NAME -->"
        )
    return BLOCK.sub(lambda match: f"{match[1]}{texts[match[2]]}\n{match[4]}", page)


def main() -> None:
    """Write the page, or look whether it is up to date."""
    parser = argparse.ArgumentParser(description="Show one LSTM at every stage of the compiler.")
    parser.add_argument("--check", action="store_true", help="fail if the page is not up to date")
    only_check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    wanted = with_blocks(page)
    if not only_check:
        PAGE.write_text(wanted, encoding="utf-8")
    elif page != wanted:
        raise SystemExit(
            f"docs/{PAGE.name} shows another compiler than this one: run python scripts/pipeline.py"
        )


if __name__ == "__main__":
    main()
