"""The tensors that belong to a module: those that are trained, and those that are only kept."""

from __future__ import annotations

from typing import Any

from minigrad.tensor import Tensor, tensor


class Parameter(Tensor):
    """A tensor to be trained: a leaf that requires a gradient.

    Parameters
    ----------
    data : array_like
        The values, which are copied; any shape.
    requires_grad : bool
        False makes a frozen parameter; may be changed at any time.
    dtype : dtype or str, optional
        By default that of ``data``.

    Raises
    ------
    DtypeError
        If a gradient is wanted for integers.

    Examples
    --------
    >>> nn.Parameter([1.0, 2.0])
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    _is_parameter = True

    def __init__(self, data: Any, requires_grad: bool = True, *, dtype: Any = None) -> None:
        become(self, tensor(data, dtype=dtype, requires_grad=requires_grad))


class Buffer(Tensor):
    """A tensor of a module that is not trained: it is moved and saved with the module.

    Parameters
    ----------
    data : array_like
        The values, which are copied; any shape.
    persistent : bool
        Whether ``state_dict`` has it.

    Raises
    ------
    DtypeError
        If ``data`` holds something other than numbers.
    GradientError
        If ``data`` carries a gradient, which would be lost.

    Examples
    --------
    >>> layer = nn.Linear(3, 2)
    >>> layer.mean = nn.Buffer(mg.zeros(3))
    >>> [name for name, _ in layer.named_buffers()]
    ['mean']
    """

    __slots__ = ("persistent",)

    persistent: bool

    def __init__(self, data: Any, *, persistent: bool = True) -> None:
        become(self, tensor(data))
        self.persistent = persistent

    def _duplicate(self, array: Any) -> Tensor:
        copied = super()._duplicate(array)
        assert isinstance(copied, Buffer)
        copied.persistent = self.persistent
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__(), (None, {"persistent": self.persistent})


def become(made: Tensor, source: Tensor) -> None:
    """Give a new tensor the content and the history of another one."""
    for name in Tensor.__slots__:
        if name != "__weakref__":
            setattr(made, name, getattr(source, name))
