"""Say how the loop of a cell is run: what leaves it, what stays in it, what is kept for the way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from minigrad.checks import listed
from minigrad.dtypes import as_dtype, get_default_dtype, is_floating
from minigrad.errors import ArgumentError
from minigrad.graph import Node
from minigrad.kernels.cell import CellFunction
from minigrad.kernels.frontend.guards import why_unknown
from minigrad.kernels.frontend.traced_step import TracedStep
from minigrad.kernels.frontend.traces import Spec, traced_step
from minigrad.kernels.passes.legalize import Refusal
from minigrad.kernels.plan.ir import LoopPlan
from minigrad.kernels.plan.program import Program
from minigrad.kernels.runtime.programs import program_of
from minigrad.kernels.runtime.switch import switch
from minigrad.tensor import Tensor

_ROWS = 2  # of the trace that is shown: any number


def explain(cell: Any, *sizes: int, dtype: Any = None, **options: Any) -> str:
    """Return how the loop of a cell, or of a recurrent layer, is run.

    Parameters
    ----------
    cell : CellFunction or Module
        A recurrent layer, or a cell with ``params`` and its sizes.
    *sizes : int
        ``input_size`` and ``hidden_size`` of a cell.
    dtype : dtype or str, optional
        By default that of the layer, or the default dtype.
    **options : Any
        As for the ``params`` of the cell.

    Returns
    -------
    str
        A few lines for each loop of the layer, those of layers and directions that are alike only once;
        T is the number of steps and N that of sequences.

    Raises
    ------
    ArgumentError
        If it is neither, or the cell does not say what its parameters look like.

    Examples
    --------
    >>> from minigrad.kernels import explain
    >>> explain(nn.cells.gru, 3, 4).splitlines()[0]
    'gru(x[N,3], h[N,4])   float32'
    """
    if isinstance(cell, CellFunction):
        if len(sizes) != 2:
            raise ArgumentError(
                f"explain: the cell needs input_size and hidden_size, not {sizes or 'nothing'}"
            )
        return _loop(cell, *sizes, as_dtype(dtype or get_default_dtype()), options)
    layer = cell
    if not isinstance(getattr(layer, "cell", None), CellFunction) or sizes or options:
        raise ArgumentError(
            f"explain: a {type(layer).__name__} with sizes {sizes} is neither a recurrent layer nor "
            "a cell; write explain(layer), or explain(cell, input_size, hidden_size)"
        )
    found = dtype or next((p.dtype for p in layer.parameters()), None)
    kind = as_dtype(found or get_default_dtype())
    loops = getattr(layer, "_loops", lambda: {"": (layer.cell, layer.input_size)})()
    names: dict[str, list[str]] = {}  # by what is said of them: many loops are alike
    for name, (one, width) in loops.items():
        text = _loop(one, width, layer.hidden_size, kind, getattr(layer, "options", {}))
        names.setdefault(text, []).append(name)
    if len(loops) == 1:
        return next(iter(names))
    return "\n".join(f"{', '.join(of)}: {text}" for text, of in names.items())


def _loop(cell: CellFunction, width: int, hidden: int, kind: Any, options: dict[str, Any]) -> str:
    """Return how one loop is run."""
    traced = _traced(cell, width, hidden, kind, options)
    arguments = [*traced.inputs, *traced.states]
    shown = ", ".join(f"{v.name}[{','.join(['N', *map(str, v.shape[1:])])}]" for v in arguments)
    head = f"{cell.__name__}({shown})   {kind}"
    if switch.is_off:
        return f"{head}\n  interpreted, because {switch.refusal}"
    if changing := why_unknown(cell):
        head += f"\n  {'traced':<16}at each call, because {changing}"
    wanted = [i for i in range(len(traced.graph.inputs)) if not 0 < i <= len(traced.states)]
    try:
        return "\n".join([head, *_lines(program_of(cell, traced, wanted, broken=False))])
    except Refusal as refusal:
        return f"{head}\n  interpreted, because {refusal}"


def _traced(
    cell: CellFunction, width: int, hidden: int, kind: Any, options: dict[str, Any]
) -> TracedStep:
    starts = cell.initial_parameters(width, hidden, **options)
    widths = cell.state_widths(hidden, **options)
    specs = {name: _spec(start, kind) for name, start in starts.items()}
    inputs = [((_ROWS, width), kind)] * len(cell.inputs)
    return traced_step(cell, inputs, [((_ROWS, *listed(size)), kind) for size in widths], specs)


def _spec(start: tuple[int, ...] | Tensor, kind: Any) -> Spec:
    if not isinstance(start, Tensor):
        return start, kind
    return start.shape, kind if is_floating(start.dtype) else start.dtype


def _lines(program: Program) -> list[str]:
    backward = program.backward
    assert backward is not None  # it was asked for
    loop = program.loop
    kept = [b.width for b in (*loop.states, *loop.stored.values()) if b.kind != "state"]
    rows = [
        ("before the loop", _operations(program.before)),
        ("each step", _inside(loop)),
        (
            "kept",
            f"{_number(len(kept), 'value')} of T*N rows, {sum(kept) * loop.dtype.itemsize} bytes a row",
        ),
        ("each step back", _inside(backward.loop)),
        ("every few steps", _summed(backward.loop)),
        ("after the loop", _operations(backward.after)),
    ]
    return [f"  {name:<16}{text}" for name, text in rows if text]


def _inside(plan: LoopPlan) -> str:
    parts = []
    for phase in plan.phases:
        parts += [
            f"product (N,{p.inner})x({p.inner},{p.width}){' ahead' if p.ahead else ''}"
            for p in phase.products
        ]
        for sweep in phase.sweeps.values():
            text = f"sweep of {_number(len(sweep.nodes), 'operation')}, width {sweep.width}"
            if sweep.reductions:
                text += f", {_number(len(sweep.reductions), 'sum')} over it"
            parts.append(text)
    return "; ".join(parts) or "nothing"


def _summed(plan: LoopPlan) -> str:
    parts = [f"product ({s.outer},T*N)x(T*N,{s.inner})" for s in plan.sums if s.right is not None]
    biases = sum(s.right is None for s in plan.sums)
    if biases:
        parts.append(f"{_number(biases, 'sum')} over T*N rows")
    return "; ".join(parts)


def _operations(nodes: Sequence[Node]) -> str:
    counted = Counter(node.op.name for node in nodes)
    return ", ".join(f"{count} {name}" for name, count in counted.items())


def _number(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"
