"""Functions that run before and after a module's ``forward``, and in the backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.backward_hooks import Crossing, Hook
from minigrad.tensor import HookHandle, check_hook


class ModuleHooks:
    """The hooks of one module.

    Attributes
    ----------
    before, after : dict
        By number, in the order in which they run.
    backward : dict
        Those that see gradients, likewise.
    """

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``module.forward`` with the hooks around it."""
        for hook in tuple(self.before.values()):
            args, kwargs = _replaced(module, hook(module, args, kwargs), args, kwargs)
        crossing = Crossing(module, tuple(self.backward.values())) if self.backward else None
        if crossing:
            args = crossing.enter(args)
        output = module.forward(*args, **kwargs)
        for hook in tuple(self.after.values()):
            changed = hook(module, args, kwargs, output)
            output = output if changed is None else changed
        return crossing.leave(output) if crossing else output


def add_hook(hooks: dict[int, Hook], hook: Hook, with_kwargs: bool = True) -> HookHandle:
    """Put ``hook`` in place; a hook of the forward pass without kwargs is called without them.

    Raises
    ------
    ArgumentError
        If ``hook`` cannot be called.
    """
    check_hook(hook)
    return HookHandle(hooks, hook if with_kwargs else partial(_without_kwargs, hook))


def _without_kwargs(hook: Hook, module: Any, args: Any, kwargs: Any, *output: Any) -> Any:
    changed = hook(module, args, *output)
    if output or changed is None:
        return changed
    return changed if isinstance(changed, tuple) else (changed,), kwargs


def _replaced(
    module: Any, changed: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    match changed:
        case None:
            return args, kwargs
        case (tuple(args), dict(kwargs)):
            return args, kwargs
    raise ArgumentError(
        f"a forward pre-hook of {type(module).__name__} with kwargs must return None or a pair "
        f"(args, kwargs) of a tuple and a dict, not {changed!r}"
    )
