"""An import hook that registers tensors with einops, which is not imported here.

einops finds the library of an array among the subclasses of its ``AbstractBackend``. There can be none of
ours before einops is imported, so an import hook adds one right after; it then removes itself.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from minigrad.creation import arange
from minigrad.dtypes import is_floating
from minigrad.ops.linalg import einsum
from minigrad.ops.shape import concat, expand_dims, permute_dims, stack, tile
from minigrad.tensor import Tensor, tensor

_EINOPS = "einops._backends"


def _add_einops_backend(module: ModuleType) -> None:
    """Define our backend for einops, whose module of backends is ``module``."""

    class MinigradBackend(module.AbstractBackend):  # type: ignore[name-defined, misc]
        """The operations that einops is made of. Their gradients flow as always."""

        framework_name = "minigrad"

        def is_appropriate_type(self, x: Any) -> bool:
            return isinstance(x, Tensor)

        def from_numpy(self, x: Any) -> Tensor:
            return tensor(x)

        def to_numpy(self, x: Tensor) -> Any:
            return x.numpy()

        def arange(self, start: int, stop: int) -> Tensor:
            return arange(start, stop)

        def transpose(self, x: Tensor, axes: Sequence[int]) -> Any:
            return permute_dims(x, axes)

        def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Any:
            return stack(tensors, axis=0)

        def add_axis(self, x: Tensor, new_position: int) -> Any:
            return expand_dims(x, axis=new_position)

        def tile(self, x: Tensor, repeats: Sequence[int]) -> Any:
            return tile(x, tuple(repeats))

        def concat(self, tensors: Sequence[Tensor], axis: int) -> Any:
            return concat(list(tensors), axis=axis)

        def is_float_type(self, x: Tensor) -> bool:
            return is_floating(x.dtype)

        def einsum(self, pattern: str, *x: Tensor) -> Any:
            return einsum(pattern, *x)

    module.MinigradBackend = MinigradBackend  # type: ignore[attr-defined]  # a class nobody holds dies


class _AfterEinops(MetaPathFinder, Loader):
    """Find einops' module of backends as Python does, and add ours once it has run."""

    loader: Any = None

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != _EINOPS or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self.loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _add_einops_backend(module)


if _EINOPS in sys.modules:
    _add_einops_backend(sys.modules[_EINOPS])
else:
    sys.meta_path.insert(0, _AfterEinops())
