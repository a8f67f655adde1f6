"""Functions that see the gradients with respect to a module's outputs and inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad import dispatch
from minigrad.errors import ArgumentError
from minigrad.op import Domain, Op
from minigrad.tensor import Tensor, check_gradient, make

Hook = Callable[..., Any]


class Crossing:
    """One call of a module: the gradients that come in by its outputs and go out by its inputs.

    Parameters
    ----------
    module : Module
    hooks : sequence of callable
    """

    def __init__(self, module: Any, hooks: Sequence[Hook]) -> None:
        self._module = module
        self._hooks = hooks
        self._outputs: tuple[Tensor | None, ...] = ()
        self._inputs: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments; gradients with respect to tensors among them are seen by the hooks."""
        self._inputs = self._through(args, self._to_inputs)
        return self._inputs

    def leave(self, output: Any) -> Any:
        """Return the output; gradients with respect to it are noted for the hooks."""
        several = isinstance(output, tuple)
        outputs = self._through(output if several else (output,), self._to_outputs)
        return outputs if several else outputs[0]

    def _through(self, values: tuple[Any, ...], see: Hook) -> tuple[Any, ...]:
        tracked = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if not tracked:
            return values
        tensors = tuple(values[i] for i in tracked)
        passed = dispatch.apply(_GATE, tensors, {"see": lambda g: see(g, tracked, len(values))})
        of = dict(zip(tracked, passed, strict=True))
        return tuple(of.get(i, value) for i, value in enumerate(values))

    def _to_outputs(self, g: tuple[Any, ...], tracked: list[int], count: int) -> tuple[Any, ...]:
        self._outputs = _among(g, tracked, count)
        if not any(isinstance(t, Tensor) and t.requires_grad for t in self._inputs):
            self._call((None,) * len(self._inputs))
        return g

    def _to_inputs(self, g: tuple[Any, ...], tracked: list[int], count: int) -> tuple[Any, ...]:
        found = self._call(_among(g, tracked, count))
        chosen = (found[i] for i in tracked)
        return tuple(chosen) if isinstance(g[0], Tensor) else tuple(t._array for t in chosen)

    def _call(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self._hooks:
            changed = hook(self._module, gradients, self._outputs)
            if changed is not None:
                gradients = self._checked(changed, gradients)
        return gradients

    def _checked(self, changed: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        gradients: tuple[Any, ...] = changed if isinstance(changed, tuple) else (changed,)
        of = f"a backward hook of {type(self._module).__name__}"
        if len(gradients) != len(given):
            raise ArgumentError(
                f"{of} must return None or a gradient for each of {len(given)} arguments, "
                f"but returned {len(gradients)}"
            )
        for position, (g, like) in enumerate(zip(gradients, given, strict=True)):
            if like is not None:
                what = f"what {of} returned for argument {position + 1}"
                check_gradient(what, g, "the gradient", like)
            elif g is not None:
                raise ArgumentError(
                    f"{of} returned a gradient for argument {position + 1}, which has none; "
                    "return None there"
                )
        return gradients


def _among(g: tuple[Any, ...], tracked: list[int], count: int) -> tuple[Tensor | None, ...]:
    """Return gradients as tensors of their own; None for what is not tracked."""
    tensors = (t if isinstance(t, Tensor) else make(t, None).clone() for t in g)
    of = dict(zip(tracked, tensors, strict=True))
    return tuple(of.get(i) for i in range(count))


def _pass(m: Any, *xs: Any, see: Hook) -> tuple[Any, ...]:
    return xs


_GATE = Op(
    "backward_hook",
    _pass,
    lambda m, g, y, *xs, see: see(g),
    domain=Domain(),
    joint=True,
    saves="inputs",
)
