"""A table of a module's layers: names, types, shapes of outputs, counts of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.module import Module, describe
from minigrad.random import noting_draws
from minigrad.tape import no_grad
from minigrad.tensor import Tensor


@dataclass(frozen=True)
class Layer:
    """One line of a `Summary`.

    Attributes
    ----------
    name, type : str
    output : str or None
        The shape of the last output; None if the layer was not called.
    parameters : int
        How many numbers its own parameters hold, without those of an earlier line.
    """

    name: str
    type: str
    output: str | None
    parameters: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; its text is a table.

    Attributes
    ----------
    layers : tuple of Layer
    trainable, frozen, buffers : int
        How many numbers there are in parameters that require a gradient, in the others, and in buffers.
    nbytes : int
        Size of the parameters and buffers.
    """

    layers: tuple[Layer, ...]
    trainable: int
    frozen: int
    buffers: int
    nbytes: int

    def __repr__(self) -> str:
        called = any(layer.output is not None for layer in self.layers)
        rows = [("name", "type", "output", "parameters")]
        rows += [
            (layer.name or "(itself)", layer.type, layer.output or "-", f"{layer.parameters:,}")
            for layer in self.layers
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if not called:
            widths[2] = 0
        lines = [_line(row, widths) for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        lines.append(lines[1])
        lines.append(
            f"parameters: {self.trainable:,} trainable, {self.frozen:,} frozen; "
            f"buffers: {self.buffers:,}; {self.nbytes:,} bytes"
        )
        return "\n".join(lines)


def summary(module: Module, *inputs: Any, **kwargs: Any) -> Summary:
    """Return a table of all layers, with the shapes of their outputs if inputs are given.

    The shapes are those of one call ``module(*inputs, **kwargs)`` in eval mode and without gradients.
    It leaves no trace: attributes, buffers and random generators are put back, also after an error.
    What is shared is counted once.

    Parameters
    ----------
    module : Module
        Any module.
    *inputs : Any
        What ``module`` is called with; without any it is not called.
    **kwargs : Any
        Likewise, by name.

    Returns
    -------
    Summary
        The table; print it.

    Raises
    ------
    ArgumentError
        If ``module`` is no module.

    Examples
    --------
    >>> table = nn.summary(nn.Linear(3, 2), mg.zeros((5, 3)))
    >>> print(table)
    name      type    output  parameters
    ------------------------------------
    (itself)  Linear  (5, 2)           8
    ------------------------------------
    parameters: 8 trainable, 0 frozen; buffers: 0; 32 bytes
    """
    if not isinstance(module, Module):
        raise ArgumentError(f"summary: the first argument must be a module, not {describe(module)}")
    outputs = _outputs(module, inputs, kwargs) if inputs or kwargs else {}
    counted: set[int] = set()
    layers = []
    for name, inner in module.named_modules():
        own = [p for p in inner.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        shapes = outputs.get(id(inner))
        layers.append(Layer(name, type(inner).__name__, shapes, sum(p.size for p in own)))
    parameters, buffers = list(module.parameters()), list(module.buffers())
    return Summary(
        tuple(layers),
        trainable=sum(p.size for p in parameters if p.requires_grad),
        frozen=sum(p.size for p in parameters if not p.requires_grad),
        buffers=sum(b.size for b in buffers),
        nbytes=sum(t.nbytes for t in (*parameters, *buffers)),
    )


def _line(row: tuple[str, str, str, str], widths: list[int]) -> str:
    *texts, number = row
    cells = [text.ljust(width) for text, width in zip(texts, widths, strict=False) if width]
    return "  ".join([*cells, number.rjust(widths[-1])])


def _outputs(module: Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, str]:
    """Call ``module`` and return the text of each module's last output, by id."""
    found: dict[int, str] = {}

    def note(inner: Module, _: Any, output: Any) -> None:
        found[id(inner)] = _shapes(output)

    with _unchanged(module), no_grad(), ExitStack() as hooks:
        for inner in module.modules():
            hooks.callback(inner.register_forward_hook(note).remove)
        module.eval()(*inputs, **kwargs)
    return found


@contextmanager
def _unchanged(module: Module) -> Iterator[None]:
    """Put back what the code inside changes: attributes, buffers, random generators."""
    attributes = [(inner, dict(vars(inner))) for inner in module.modules()]
    contents = [(buffer, buffer._array) for buffer in module.buffers()]
    with noting_draws() as drawn:
        try:
            for buffer, _ in contents:
                buffer._array = buffer.clone()._array  # for the code inside to write to
            yield
        finally:
            for generator, state in drawn.items():
                generator.set_state(state)
            for inner, before in attributes:
                vars(inner).clear()
                vars(inner).update(before)
            for buffer, array in contents:
                buffer._array = array


def _shapes(output: Any) -> str:
    """Return the shapes in ``output``, nested as it is."""
    if isinstance(output, Tensor):
        return str(output.shape)
    if isinstance(output, (list, tuple)):
        return f"[{', '.join(map(_shapes, output))}]"
    if isinstance(output, dict):
        return f"{{{', '.join(f'{key}: {_shapes(value)}' for key, value in output.items())}}}"
    return type(output).__name__
