"""The base of all optimisers: steps, and state in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy

from minigrad import memory
from minigrad.backends.base import by_type
from minigrad.creation import zeros_like
from minigrad.errors import ArgumentError
from minigrad.nn.optim import state
from minigrad.nn.optim.groups import Group, ParameterGroups, plain
from minigrad.nn.optim.update import Update, Workspace
from minigrad.nn.options import option
from minigrad.nn.state import copying
from minigrad.tape import enable_grad
from minigrad.tensor import Tensor


class Optimizer(ParameterGroups):
    """The base of all optimisers. A subclass declares its options and defines `update`.

    Parameters
    ----------
    params : iterable of Tensor, of dict, or of (name, Tensor)
        What to train: leaves that require a gradient, or parameters, of which frozen ones are skipped.
        A dict is a group: its tensors under "params", and options that differ from ``defaults``.
    defaults : dict
        The options, for instance ``{"lr": 0.1}``.

    Attributes
    ----------
    param_groups : list of dict
        The groups with all their options, which may be changed at any time:
        ``optimizer.param_groups[0]["lr"] = 0.01``.
    state : dict
        What is kept for each parameter from step to step, for instance ``exp_avg``. Parameters in
        half precision have their state in float32, and are updated in float32.

    Raises
    ------
    ArgumentError
        If there is nothing to train, something is no parameter or is there twice, or an option is
        unknown or has an impossible value.

    Examples
    --------
    >>> class SignDescent(nn.optim.SGD):
    ...     def update(self, u):
    ...         u.descend(u.m.sign(u.gradient(weight_decay=0.0)), u.group["lr"])
    >>> weight = nn.Parameter([1.0, -2.0])
    >>> optimizer = SignDescent([weight], lr=0.25)
    >>> (weight * weight).sum().backward()
    >>> optimizer.step()
    >>> weight.detach()
    tensor([ 0.75, -1.75])
    """

    params: Any = option(
        "What to train; see `Optimizer`.", kind="iterable of Tensor, of dict, or of (name, Tensor)"
    )
    maximize: bool = option("Climb instead of descend.", default=False, kw_only=True)

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        known = self.options.items()
        usual = {n: o.default for n, o in known if n not in defaults and o.default is not o.empty}
        super().__init__(params, {**defaults, **usual})
        self.has_stepped = False
        self._workspace = Workspace()

    def _set_up(self, options: dict[str, Any]) -> None:
        Optimizer.__init__(self, options.pop("params"), options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("defaults", ()):
            raise ArgumentError(
                f"{self.name}.{name} = ... would change nothing; write "
                f"'for group in optimizer.param_groups: group[{name!r}] = ...', or use a schedule of "
                "nn.optim.lr_scheduler"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        parameters = [p for _, _, p in self._places()]
        rates = " and ".join(f"lr={group.get('lr')}" for group in self.param_groups)
        count = sum(p.size for p in parameters)
        return f"{self.name}({count} numbers in {len(parameters)} tensors, {rates})"

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero.

        Parameters
        ----------
        set_to_none : bool
            Whether they become None, not zeros.
        """
        for _, _, p in self._places():
            if p.grad is not None:
                p.grad = None if set_to_none else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change each parameter that has a gradient. A pending backward pass will notice.

        Parameters
        ----------
        closure : callable, optional
            Computes gradients anew and returns the loss.

        Returns
        -------
        Any
            What ``closure`` returned, or None.

        Raises
        ------
        ArgumentError
            If an option was changed to an impossible value. Nothing has changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            group.update({name: plain(group[name]) for name in self.defaults})
            self.check_options(group, f"{self.name}, group {number}")
        for _, group, p in self._places():
            if p.requires_grad and p.grad is not None:
                self._update_one(group, p)
        self.has_stepped = True
        return loss

    def _update_one(self, group: Group, p: Tensor) -> None:
        gradient = p.grad._array if p.grad is not None else None
        with (
            numpy.errstate(all="ignore"),  # what is not finite shows in the result
            by_type[type(p._array)].place(p._array),
            memory.writing(p._array) as array,
        ):
            kept = self.state.setdefault(p, {})
            update = Update(group, kept, array, gradient, self._workspace)
            self.update(update)
            update.finish()

    def update(self, u: Update) -> None:
        """Change the parameter ``u.array`` in place; every optimiser defines its own.

        Parameters
        ----------
        u : Update
            The parameter, its gradient, its state and the options of its group.
        """
        raise NotImplementedError(f"{self.name} has no method update; define it")

    # state in and out

    def state_dict(self, *, arrays: bool | Callable[[Tensor], Any] = False) -> dict[str, Any]:
        """Return a copy of the state and the options, in PyTorch's structure.

        Parameters
        ----------
        arrays : bool or callable
            Whether there are NumPy arrays instead of tensors; or what makes them of tensors:
            ``arrays=torch.from_dlpack`` gives what the PyTorch optimiser of this name loads.

        Returns
        -------
        dict
            ``{"state": {0: {"step": 7, "exp_avg": tensor, ...}, ...}, "param_groups": [{"lr": 0.1, ...,
            "params": [0, 1]}]}``: parameters are numbers.

        Raises
        ------
        ArgumentError
            If ``arrays`` is neither a bool nor a function.
        """
        return state.packed(self, copying(f"{self.name}.state_dict", arrays))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and options from `state_dict`, or from that of PyTorch's optimiser.

        Parameters
        ----------
        state_dict : mapping
            Its tensors may be tensors, NumPy arrays or PyTorch's tensors; they are copied.

        Raises
        ------
        ArgumentError
            If it does not fit this optimiser. The message lists everything that does not, and nothing
            has changed.
        """
        self.state = state.unpacked_into(self, state_dict)
