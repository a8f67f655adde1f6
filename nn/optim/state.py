"""The state of an optimiser as plain data and tensors, in PyTorch's structure, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.checks import as_number
from minigrad.errors import ArgumentError, MinigradError, suggestion
from minigrad.nn.optim.groups import ParameterGroups, usable
from minigrad.nn.optim.update import computing_dtype
from minigrad.tensor import Tensor, tensor


def packed(optimizer: ParameterGroups, copied: Callable[[Tensor], Any]) -> dict[str, Any]:
    """Return copies of state and options, with numbers in the place of parameters.

    Parameters
    ----------
    optimizer : ParameterGroups
    copied : callable
        What copies a tensor.
    """
    numbers = {id(p): number for number, _, p in optimizer._places()}
    groups = []
    for group in optimizer.param_groups:
        options = usable(group)
        if "param_names" in options:
            options["param_names"] = list(options["param_names"])
        groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
    kept = {
        numbers[id(p)]: {
            name: copied(value) if isinstance(value, Tensor) else value
            for name, value in entry.items()
        }
        for p, entry in optimizer.state.items()
        if entry
    }
    return {"state": dict(sorted(kept.items())), "param_groups": groups}


def unpacked_into(optimizer: ParameterGroups, given: Any) -> dict[Tensor, dict[str, Any]]:
    """Set the options of ``optimizer`` from a state dict, and return the state of its parameters.

    Raises
    ------
    ArgumentError
        With everything that does not fit; nothing has changed then.
    """
    doing = f"{optimizer.name}.load_state_dict"
    if not _is_state_dict(given):
        found = f"a dict with {list(given)}" if isinstance(given, Mapping) else repr(given)
        raise ArgumentError(
            f"{doing}: a state dict is {{'state': {{...}}, 'param_groups': [{{...}}]}}, but here is "
            f"{found}; give what optimizer.state_dict() returned"
        )
    reading = _Reading(optimizer)
    groups = reading.groups(given["param_groups"])
    state = reading.state(given["state"])
    if reading.wrong:
        raise ArgumentError("\n  ".join([f"{doing}:", *reading.wrong]))
    for group, options in zip(optimizer.param_groups, groups, strict=True):
        group.update(options)
    return state


def _is_state_dict(given: Any) -> bool:
    return (
        isinstance(given, Mapping)
        and isinstance(entries := given.get("state"), Mapping)
        and all(isinstance(entry, Mapping) for entry in entries.values())
        and isinstance(groups := given.get("param_groups"), (list, tuple))
        and all(isinstance(group, Mapping) for group in groups)
    )


class _Reading:
    """One reading of a state dict; collects what is wrong with it."""

    def __init__(self, optimizer: ParameterGroups) -> None:
        self.optimizer = optimizer
        self.wrong: list[str] = []
        self._owners: dict[Any, tuple[Tensor, dict[str, Any]]] = {}

    def groups(self, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the options of each group."""
        ours = self.optimizer.param_groups
        if len(given) != len(ours):
            self.wrong.append(f"it has {len(given)} groups, and this optimizer has {len(ours)}")
        read = []
        for number, (group, theirs) in enumerate(zip(ours, given, strict=False)):
            where = f"group {number}"
            members = theirs.get("params", ())
            if len(members) != len(group["params"]):
                self.wrong.append(
                    f"{where} has {len(members)} parameters, and here {len(group['params'])}"
                )
            options = self._options(theirs, where)
            self._owners.update(
                (key, (p, options)) for key, p in zip(members, group["params"], strict=False)
            )
            read.append(options)
        return read

    def _options(self, theirs: Mapping[str, Any], where: str) -> dict[str, Any]:
        optimizer = self.optimizer
        options = usable(theirs)
        if isinstance(rate := options.get("lr"), float) and -1e-12 < rate < 0:
            options["lr"] = 0.0  # where rounding leaves the end of PyTorch's cosine
        for name, default in optimizer.defaults.items():
            if name not in options:
                if not isinstance(default, bool):
                    self.wrong.append(f"{where}: there is no {name!r}")
                # a flag that an older PyTorch did not have is off, or is what makes this optimiser
                known = optimizer.options.get(name)
                off = isinstance(default, bool) and (known is None or known.init)
                options[name] = False if off else default
        self.wrong += optimizer.complaints(options, where)
        return options

    def state(self, given: Mapping[Any, Mapping[str, Any]]) -> dict[Tensor, dict[str, Any]]:
        """Return the state of each parameter."""
        state = {}
        for key, entry in given.items():
            if key not in self._owners:
                self.wrong.append(f"there is state for a parameter {key!r}, which is in no group")
                continue
            p, options = self._owners[key]
            found = {name: value for name, value in entry.items() if value is not None}
            if found:
                state[p] = self._entry(found, p, options, f"parameter {key}")
        return state

    def _entry(
        self, found: Mapping[str, Any], p: Tensor, options: dict[str, Any], where: str
    ) -> dict[str, Any]:
        optimizer = self.optimizer
        read: dict[str, Any] = {}
        needed = [n for n, option in optimizer.running.items() if option is None or options[option]]
        if optimizer.counts_steps:
            needed.append("step")
        self.wrong += [f"{where} has no {name!r}" for name in needed if name not in found]
        for name, value in found.items():
            if name == "step" and optimizer.counts_steps:
                read[name] = self._count(value, where)
            elif name in optimizer.running:
                read[name] = self._array(value, p, f"{where}: {name!r}")
            else:
                known = suggestion(name, optimizer.running)
                self.wrong.append(f"{where}: {optimizer.name} has no {name!r}{known}")
        return read

    def _count(self, value: Any, where: str) -> int:
        scalar = hasattr(value, "item") and getattr(value, "ndim", 0) == 0
        number = as_number(value.item() if scalar else value)
        if number is None or not number >= 0 or number % 1:
            self.wrong.append(f"{where}: 'step' must be a number of steps, not {value!r}")
            return 0
        return int(number)

    def _array(self, value: Any, p: Tensor, where: str) -> Tensor | None:
        try:
            read = tensor(value, dtype=computing_dtype(p.dtype), device=p.device)
        except (MinigradError, TypeError, ValueError) as error:
            self.wrong.append(f"{where} is no array of numbers: {error}")
            return None
        if read.shape != p.shape:
            self.wrong.append(f"{where} has shape {read.shape}, and the parameter has {p.shape}")
        return read
