"""Groups of parameters: their options, and what is kept for each parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy

from minigrad.checks import as_number
from minigrad.errors import ArgumentError, suggestion
from minigrad.nn.module import Module
from minigrad.nn.options import Optioned
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

Group = dict[str, Any]

_WRITTEN_BY_SCHEDULES = {"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}
_ONLY_IN_PYTORCH = {
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}  # nothing here they could mean


class ParameterGroups(Optioned):
    """The parameters of an optimiser, in groups."""

    running: ClassVar[Mapping[str, str | None]] = {}
    """The arrays in the state of a parameter; each with the option that it depends on."""

    counts_steps: ClassVar[bool] = False
    """Whether the state of a parameter has its number of steps, as ``step``."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = {name: plain(value) for name, value in defaults.items()}
        self.check_options(self.defaults, self.name)
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
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
        for complaint in self.complaints(options, where):
            raise ArgumentError(complaint)

    def complaints(self, options: Mapping[str, Any], where: str) -> Iterator[str]:
        """Yield what is wrong with these options.

        Parameters
        ----------
        options : dict
            Names and values.
        where : str
            What the messages call them.

        Returns
        -------
        iterator of str
            A message for each mistake.
        """
        known = self.defaults.keys() | _WRITTEN_BY_SCHEDULES | {"params", "param_names"}
        for name in [name for name in options if name not in known]:
            if name in _ONLY_IN_PYTORCH:
                yield f"{where}: {name} is on, and minigrad has no such option; set it to False"
            else:
                yield (
                    f"{where}: there is no option {name!r}{suggestion(name, self.defaults)}; the "
                    f"options are {', '.join(self.defaults)}"
                )
        for name, option in self.options.items():
            try:
                if option.check is not None:
                    option.check(where, name, options[name])
            except ArgumentError as error:
                yield str(error)

    def _places(self) -> Iterator[tuple[int, Group, Tensor]]:
        """Yield each parameter with its group, and with its number among all of them."""
        position = 0
        for group in self.param_groups:
            for p in group["params"]:
                yield position, group, p
                position += 1


def plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, and a list as a tuple, so that they can be saved."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    number = as_number(value)
    if number is not None:
        return number
    return bool(value) if isinstance(value, numpy.bool) else value


def usable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a group without its parameters, and without what PyTorch has turned off."""
    left_out = {"params", *(name for name in _ONLY_IN_PYTORCH if not options.get(name))}
    return {name: plain(value) for name, value in options.items() if name not in left_out}
