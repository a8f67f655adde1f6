"""The change of one parameter in one step: its arrays, and the formulas that optimisers share."""

from __future__ import annotations

from typing import Any

from minigrad import memory
from minigrad.backends.base import by_type
from minigrad.dtypes import as_dtype, float32
from minigrad.tensor import leaf


def computing_dtype(dtype: Any) -> Any:
    """Return the dtype that parameters of ``dtype`` are updated in: float32 at least.

    In half precision the squares of small gradients and Adam's ``eps`` are zero.
    """
    dtype = as_dtype(dtype)
    return dtype if dtype.itemsize >= float32.itemsize else float32


class Workspace:
    """Arrays to compute in. Parameters of one dtype on one device share them."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, str, Any], Any] = {}

    def array(self, name: str, like: Any, dtype: Any) -> Any:
        """Return an array of the shape of ``like`` and on its device; it holds anything."""
        backend = by_type[type(like)]
        key = name, backend.device_of(like), dtype
        flat = self._flat.get(key)
        if flat is None or flat.size < like.size:
            flat = self._flat[key] = backend.namespace.empty(like.size, dtype=dtype)
        return flat[: like.size].reshape(like.shape)


class Update:
    """What an optimiser needs to change one parameter in place.

    Attributes
    ----------
    m : module-like
        The array library.
    group : dict
        The options.
    array : array
        The parameter, to be changed in place. In half precision it is a copy in float32, which is
        rounded back at the end.
    """

    def __init__(
        self,
        group: dict[str, Any],
        state: dict[str, Any],
        array: Any,
        gradient: Any,
        workspace: Workspace,
    ) -> None:
        self.m = by_type[type(array)].namespace
        self.group = group
        self._state = state
        self._workspace = workspace
        self._stored = array
        self._dtype = computing_dtype(array.dtype)
        self._converts = array.dtype != self._dtype
        self.array = self._widened("array", array)
        self._gradient = self._widened("gradient", gradient)

    def _widened(self, name: str, array: Any) -> Any:
        if not self._converts:
            return array
        wide = self._workspace.array(name, array, self._dtype)
        wide[...] = array
        return wide

    def finish(self) -> None:
        """Round the parameter to its own dtype, if that is another one."""
        if self._converts:
            self._stored[...] = self.array

    # memory

    @property
    def work(self) -> Any:
        """An array for one intermediate result."""
        return self._workspace.array("work", self._stored, self._dtype)

    @property
    def _own_gradient(self) -> Any:
        return self._workspace.array("gradient", self._stored, self._dtype)

    def has(self, name: str) -> bool:
        """Say whether there is a running array of this name from an earlier step."""
        return name in self._state

    def running(self, name: str, initial: float = 0.0) -> Any:
        """Return an array that lasts from step to step; it begins with ``initial`` everywhere.

        It follows a parameter that was moved to another device or dtype.
        """
        found = self._state.get(name)
        if found is None:
            array = self.m.full(self._stored.shape, initial, dtype=self._dtype)
            found = self._state[name] = leaf(array, False)
        else:
            device = by_type[type(self._stored)].device_of(self._stored)
            if found.dtype != self._dtype or found.device != device:
                found = self._state[name] = found.to(device).astype(self._dtype)
        with memory.writing(found._array) as array:
            return array

    def count(self) -> int:
        """Return the number of this step, which is 1 for the first step of this parameter."""
        step: int = self._state.get("step", 0) + 1
        self._state["step"] = step
        return step

    # formulas

    def gradient(self, weight_decay: float) -> Any:
        """Return the gradient of what is to become smaller, plus a penalty's; not to be written to.

        The penalty is ``weight_decay / 2`` times the sum of the parameter's squares.
        """
        m, gradient = self.m, self._gradient
        if self.group["maximize"]:
            gradient = m.negative(gradient, out=self._own_gradient)
        if weight_decay:
            m.multiply(self.array, weight_decay, out=self.work)
            gradient = m.add(gradient, self.work, out=self._own_gradient)
        return gradient

    def ahead(self, gradient: Any, buffer: Any, momentum: float) -> Any:
        """Return ``gradient + momentum buffer``."""
        self.m.multiply(buffer, momentum, out=self.work)
        return self.m.add(gradient, self.work, out=self._own_gradient)

    def accumulate(self, total: Any, keep: float, part: Any, weight: float = 1.0) -> None:
        """Set ``total = keep total + weight part``; ``part`` may be `work`."""
        if keep != 1:
            self.m.multiply(total, keep, out=total)
        if weight != 1:
            part = self.m.multiply(part, weight, out=self.work)
        self.m.add(total, part, out=total)

    def accumulate_square(self, total: Any, keep: float, part: Any, weight: float) -> None:
        """Set ``total = keep total + weight part²``."""
        scaled = part if weight == 1 else self.m.multiply(part, weight, out=self.work)
        self.accumulate(total, keep, self.m.multiply(scaled, part, out=self.work))

    def approach(self, mean: Any, goal: Any, weight: float) -> None:
        """Set ``mean = mean + weight (goal - mean)``, beginning from the nearer of the two."""
        start, part = (mean, weight) if weight < 0.5 else (goal, weight - 1)
        self.m.subtract(goal, mean, out=self.work)
        self.m.multiply(self.work, part, out=self.work)
        self.m.add(start, self.work, out=mean)

    def divided_by_root(self, numerator: Any, square: Any, eps: float, scale: float = 1.0) -> Any:
        """Return ``numerator / (sqrt(square) / scale + eps)`` in `work`; ``square`` may be there."""
        m, work = self.m, self.work
        m.sqrt(square, out=work)
        if scale != 1:
            m.divide(work, scale, out=work)
        m.add(work, eps, out=work)
        return m.divide(numerator, work, out=work)

    def descend(self, direction: Any, rate: float) -> None:
        """Take ``rate direction`` from the parameter; ``direction`` may be `work`."""
        self.m.multiply(direction, rate, out=self.work)
        self.m.subtract(self.array, self.work, out=self.array)
