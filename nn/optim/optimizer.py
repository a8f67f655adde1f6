"""The base of all optimisers: groups of parameters, steps, state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy

from minigrad import memory
from minigrad.backends.base import by_type
from minigrad.creation import zeros_like
from minigrad.errors import ArgumentError, suggestion
from minigrad.nn.constructors import explain_arguments
from minigrad.nn.module import Module
from minigrad.nn.optim import state
from minigrad.nn.optim.options import ONLY_IN_PYTORCH, WRITTEN_BY_SCHEDULES, Rule, plain, usable
from minigrad.nn.optim.update import Update, Workspace
from minigrad.nn.parameter import Parameter
from minigrad.nn.state import copying
from minigrad.tape import enable_grad
from minigrad.tensor import Tensor

Group = dict[str, Any]


class Optimizer:
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

    rules: ClassVar[Mapping[str, Rule]] = {}
    """What each option accepts."""

    running: ClassVar[Mapping[str, str | None]] = {}
    """The arrays in the state of a parameter; each with the option that it depends on."""

    counts_steps: ClassVar[bool] = False
    """Whether the state of a parameter has its number of steps, as ``step``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        explain_arguments(cls)

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = {name: plain(value) for name, value in defaults.items()}
        self.check_options(self.defaults, self.name)
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.has_stepped = False
        self._workspace = Workspace()
        groups = self._listed(params)
        if not groups:
            raise ArgumentError(
                f"{self.name}: there are no parameters to train; if they come from a generator that "
                "was read before, make it again"
            )
        if not any(isinstance(group, Mapping) for group in groups):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

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

    @property
    def name(self) -> str:
        """The name of the class, for messages."""
        return type(self).__name__

    # groups

    def _listed(self, params: Any) -> list[Any]:
        if isinstance(params, Module):
            raise ArgumentError(
                f"{self.name}: parameters must be tensors, in a list for instance, not a "
                f"{type(params).__name__}; pass module.parameters()"
            )
        if isinstance(params, (set, frozenset)):
            raise ArgumentError(
                f"{self.name}: a set has another order in each run, and state is saved by order; "
                "pass a list"
            )
        if not isinstance(params, Iterable) or isinstance(params, (Tensor, Mapping, str)):
            raise ArgumentError(
                f"{self.name}: parameters must be tensors, in a list for instance, not a "
                f"{type(params).__name__}; pass [tensor], or module.parameters()"
            )
        return list(params)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Train more parameters from now on.

        Parameters
        ----------
        param_group : dict
            Tensors under "params", and options that differ from the defaults.

        Raises
        ------
        ArgumentError
            As when the optimiser is made; nothing has changed then.
        """
        where = f"{self.name}, group {len(self.param_groups)}" if self.param_groups else self.name
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise ArgumentError(
                f'{where}: a group is a dict with tensors under "params", not {param_group!r}; pass '
                "either only tensors or only groups"
            )
        given = param_group["params"]
        members = [given] if isinstance(given, Tensor) else self._listed(given)
        named = [isinstance(member, tuple) and len(member) == 2 for member in members]
        if members and all(named):
            names, tensors = [name for name, _ in members], [p for _, p in members]
        else:
            names, tensors = None, members
        first = len(list(self._places()))
        known = {id(p) for _, _, p in self._places()}
        for position, p in enumerate(tensors, start=first):
            self._check_parameter(position, p)
            if id(p) in known:
                raise ArgumentError(
                    f"{self.name}: a parameter is there twice, the second time as number {position}, "
                    "and would change twice in each step; pass it once"
                )
            known.add(id(p))
        if any((names is None) == ("param_names" in group) for group in self.param_groups):
            raise ArgumentError(
                f"{where}: either all groups have names for their parameters or none has; pass "
                "module.named_parameters() for each, or module.parameters()"
            )
        options = {**self.defaults, **usable(param_group)}
        self.check_options(options, where)
        self.param_groups.append(
            {"params": tensors, **options, **({} if names is None else {"param_names": names})}
        )

    def _check_parameter(self, position: int, p: Any) -> None:
        trains = isinstance(p, Tensor) and (p.requires_grad or isinstance(p, Parameter))
        if not trains or not p.is_leaf:
            advice = "; pass module.parameters()" if isinstance(p, (Module, str)) else ""
            raise ArgumentError(
                f"{self.name}: parameter {position} must be a leaf tensor that requires a gradient, "
                f"but is {p!r}{advice}"
            )

    def check_options(self, options: dict[str, Any], where: str) -> None:
        """Refuse unknown options, and values that an option cannot have.

        Parameters
        ----------
        options : dict
            Names and values.
        where : str
            What the message calls them.

        Raises
        ------
        ArgumentError
            If a name is unknown, or a value impossible.
        """
        for complaint in self.complaints(options):
            raise ArgumentError(f"{where}: {complaint}")

    def complaints(self, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with these options.

        Parameters
        ----------
        options : dict
            Names and values.

        Returns
        -------
        iterator of str
            A message for each mistake.
        """
        known = self.defaults.keys() | WRITTEN_BY_SCHEDULES | {"params", "param_names"}
        for name in options:
            if name in known:
                continue
            if name in ONLY_IN_PYTORCH:
                yield f"{name} is on, and minigrad has no such option; set it to False"
            else:
                yield (
                    f"there is no option {name!r}{suggestion(name, self.defaults)}; the options are "
                    f"{', '.join(self.defaults)}"
                )
        for name, rule in self.rules.items():
            if not rule.accepts(options[name]):
                yield f"{name} must be {rule.says}, not {options[name]!r}"

    # steps

    def _places(self) -> Iterator[tuple[int, Group, Tensor]]:
        """Yield each parameter with its group, and with its number among all of them."""
        position = 0
        for group in self.param_groups:
            for p in group["params"]:
                yield position, group, p
                position += 1

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
