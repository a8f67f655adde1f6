"""The tensor: an array that nobody else can write to, and where its gradient goes."""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

import numpy as np

from minigrad import dispatch, dtypes, memory
from minigrad.backends import backend_named, backend_of, parse_device
from minigrad.backends.base import by_type
from minigrad.checks import as_number
from minigrad.conversion import check_fits
from minigrad.dispatch import apply
from minigrad.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    GradientError,
    IndexingError,
    ShapeError,
    TraceError,
    conversion,
    type_name,
    user_line,
)
from minigrad.foreign import as_numpy, to_dlpack
from minigrad.lock import lock
from minigrad.operators import Operators, destination
from minigrad.ops import elementwise, index, shape

_hook_numbers = count().__next__
_LAST = math.inf  # the number of the hook of retain_grad: hooks run in the order of their numbers
_NEVER_SHARED = (
    "a tensor's memory is never shared, so that nothing can change it unseen; leave out copy=False"
)


class Tensor(Operators):
    """An n-dimensional array with a place in the graph of what was computed from what.

    Make tensors with `minigrad.tensor` and the creation functions. The memory of a tensor belongs to
    the engine alone: arrays given are copied, and so are arrays handed out.

    Attributes
    ----------
    requires_grad : bool
        Whether gradients flow through this tensor.
    grad : Tensor or None
        What ``backward`` added up here; for leaves, and after ``retain_grad``.

    Examples
    --------
    >>> x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_hooks", "_node", "_tracked")

    _array: Any
    _node: Any
    _is_parameter: ClassVar[bool] = (
        False  # a module's: it requires gradients whatever it is used for
    )
    _grad: Tensor | None
    _hooks: dict[float, Callable[..., Any]] | None
    _tracked: bool
    # `minigrad.autograd.backward`. It is written in terms of tensors, and puts itself here.
    _backward: ClassVar[Callable[..., None]]

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError("make a tensor with minigrad.tensor(data), not by calling the class")

    # what it is

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Sizes of the axes."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._array.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        return dtypes.as_dtype(self._array.dtype)

    @property
    def device(self) -> str:
        """Where the content is: "cpu" or "cuda:N"."""
        return by_type[type(self._array)].device_of(self._array)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self._node is None

    def __repr__(self) -> str:
        backend = by_type[type(self._array)]
        body = np.array2string(
            np.asarray(backend.to_numpy(self._array)),
            separator=", ",
            precision=4,
            prefix="tensor(",
        )
        notes = []
        if (
            self.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
            or not self.size
        ):
            notes.append(f"dtype={self.dtype}")
        if not self.size:
            notes.append(f"shape={self.shape}")
        if self.device != "cpu":
            notes.append(f"device='{self.device}'")
        if self.requires_grad:
            record = getattr(self._node, "record", self._node)
            notes.append(f"from {record.op.name}" if record is not None else "requires_grad=True")
        return f"tensor({', '.join([body, *notes])})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(str(self), spec)

    # out of the engine

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return a NumPy array with a copy of the content: nobody else can write to a tensor.

        Returns
        -------
        numpy.ndarray
            The shape and dtype of the tensor.

        Raises
        ------
        GradientError
            If the tensor requires a gradient: NumPy would lose it. Call ``detach()`` first.
        BackendError
            If the tensor is not on the CPU. Call ``cpu()`` first.
        """
        if self.requires_grad:
            raise GradientError(
                "this tensor requires a gradient, which NumPy would lose; call .detach().numpy()"
            )
        if not isinstance(self._array, np.ndarray):
            raise BackendError(
                f"this tensor is on {self.device} and NumPy works on the CPU; call .cpu().numpy()"
            )
        copied: np.ndarray[Any, Any] = _copied(self._array)
        return copied

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ArgumentError(_NEVER_SHARED)
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def item(self) -> Any:
        """Return the one element as a Python number.

        Returns
        -------
        bool, int or float
            The element.

        Raises
        ------
        ShapeError
            If there is not just one.
        """
        if self.size != 1:
            raise ShapeError(f"item() needs one element, but the tensor has shape {self.shape}")
        return by_type[type(self._array)].to_numpy(self._array).item()

    def tolist(self) -> Any:
        """Return the content as nested Python lists.

        Returns
        -------
        list, or a number
            Lists in lists, one level for each axis; a number for a tensor without axes.
        """
        return by_type[type(self._array)].to_numpy(self._array).tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"only an integer tensor can be an index, not {self.dtype}")
        return operator.index(self.item())

    def __dlpack__(self, **options: Any) -> Any:
        """Hand the content to another array library, as a copy: nobody else can write to a tensor."""
        if self.requires_grad:
            raise GradientError(
                "this tensor requires a gradient, which another library would lose; call .detach()"
            )
        if options.get("copy") is False:
            raise ArgumentError(_NEVER_SHARED)
        options.pop("copy", None)
        return to_dlpack(_copied(self._array), options)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._array.__dlpack_device__()
        return device

    # moving and converting

    def to(self, target: Any) -> Tensor:
        """Return this tensor on another device or with another dtype; itself if nothing changes.

        Parameters
        ----------
        target : str, dtype or Tensor
            "cpu", "cuda", "cuda:1", a dtype, or a tensor of any shape that has both.

        Returns
        -------
        Tensor
            The shape of this tensor. Gradients flow through, but not to integers and bool.

        Raises
        ------
        ArgumentError
            If ``target`` is neither.
        BackendError
            If there is no such device.
        """
        device, dtype = destination(target)
        moved = self if device is None else self._moved(device)
        return moved if dtype is None else moved.astype(dtype)

    def _moved(self, device: str) -> Tensor:
        name, number = parse_device(device)
        wanted = "cpu" if name == "numpy" else f"cuda:{number}"
        if self.device == wanted:
            return self
        moved: Tensor = apply(shape.transfer, (self,), {"device": wanted, "source": self.device})
        return moved

    def cpu(self) -> Tensor:
        """Return this tensor on the CPU; itself if it is there.

        Returns
        -------
        Tensor
            The shape and dtype of this tensor.
        """
        return self.to("cpu")

    def cuda(self, number: int = 0) -> Tensor:
        """Return this tensor on a GPU; itself if it is there.

        Parameters
        ----------
        number : int
            Which GPU, from 0 on.

        Returns
        -------
        Tensor
            The shape and dtype of this tensor.

        Raises
        ------
        BackendError
            If there is no such device.
        """
        return self.to(f"cuda:{number}")

    def detach(self) -> Tensor:
        """Return a tensor with the same content that no gradient flows through.

        Returns
        -------
        Tensor
            The shape, dtype and memory of this tensor.
        """
        return make(self._array, None)

    def clone(self) -> Tensor:
        """Return a copy with memory of its own; gradients flow through.

        Returns
        -------
        Tensor
            The shape and dtype of this tensor.
        """
        if not self.requires_grad:
            return make(_copied(self._array), None)
        copied: Tensor = apply(elementwise.positive, (self,), {})
        return copied

    def __copy__(self) -> Tensor:
        return self._duplicate(self._array)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = self._duplicate(_copied(self._array))
        if self.grad is not None:
            copied._grad = make(_copied(self.grad._array), None)
        memo[id(self)] = copied
        return copied

    def _duplicate(self, array: Any) -> Tensor:
        if self._node is not None:
            raise GradientError(
                "a tensor computed from others cannot be copied with its history; copy detach() of it"
            )
        return leaf(array, self.requires_grad, type(self))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._node is not None:
            raise GradientError(
                "a tensor computed from others cannot be pickled with its history; pickle detach() of it"
            )
        content = np.asarray(by_type[type(self._array)].to_numpy(self._array))
        return _restore, (type(self), content, self.device, self.requires_grad)

    # writing

    @property
    def data(self) -> Tensor:
        """The same memory without gradients; assigning to it writes the content in place."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self.copy_(value)

    def copy_(self, value: Any) -> Tensor:
        """Write ``value`` into this tensor's memory; a pending backward pass will notice.

        Parameters
        ----------
        value : array_like
            A shape that broadcasts to that of this tensor.

        Returns
        -------
        Tensor
            This tensor, of the shape that it had.

        Raises
        ------
        ShapeError
            If ``value`` does not have this shape or one that broadcasts to it.
        DtypeError
            If this tensor holds integers, and ``value`` others or floating-point numbers.
        GradientError
            If this tensor was computed from others, or a gradient flows through ``value``.
        """
        content = self._as_content(value, "copy_")
        self._fill_in("copy_", (...,), content)
        return self

    def _fill_in(self, doing: str, key: Any, content: Any) -> None:
        backend = by_type[type(self._array)]
        with backend.place(self._array):
            check_fits(doing, content, self.dtype, writing=True)
        try:
            with (
                backend.place(self._array),
                np.errstate(all="ignore"),  # too large for a float is infinity
                self._writing() as array,
            ):
                backend.namespace.scatter_set(array, key, content)
        except IndexError as error:
            raise IndexingError(f"writing to a tensor of shape {self.shape}: {error}") from None
        except ValueError as error:
            raise ShapeError(f"writing to a tensor of shape {self.shape}: {error}") from None

    def _writing(self) -> Any:
        if self._node is not None:
            raise GradientError(
                "a tensor computed from others cannot be written in place; write to clone().detach()"
            )
        if dispatch.current().tracing:
            raise TraceError(f"a traced step cannot write in place, at {user_line()}")
        return memory.writing(self._array)

    def _as_content(self, value: Any, doing: str) -> Any:
        if not isinstance(value, Tensor):
            if isinstance(value, bool) or (number := as_number(value)) is None:
                value = tensor(value)
            else:
                return number
        given = value
        if given.requires_grad and getattr(dispatch.current(), "tracking", False):
            raise GradientError(
                f"{doing}: the value carries a gradient, which a write in place would lose; build a "
                "new tensor with x.at[i].set(v), or write v.detach()"
            )
        return given.detach().to(self.device)._array

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.requires_grad:
            raise GradientError(
                "x[i] = v would change a tensor that gradients flow through; write "
                "x = x.at[i].set(v), or x.data[i] = v to change a parameter outside of the graph"
            )
        content = self._as_content(value, "x[i] = v")
        parts, arrays = index.parse_key(self, key)
        places = [a if isinstance(a, Tensor) else tensor(a, device=self.device) for a in arrays]
        self._fill_in("x[i] = v", index.filled(parts, [p._array for p in places]), content)

    # gradients

    @property
    def grad(self) -> Tensor | None:
        """What ``backward`` added up here, or None; may be set to a tensor like this one."""
        return self._grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is self:
            raise GradientError("a tensor cannot be its own gradient; assign a clone() of it")
        if grad is not None:
            check_gradient("the value assigned to .grad", grad, "the tensor", self)
        self._grad = grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow through this tensor; may be set on leaves."""
        return self._tracked

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self.requires_grad_(requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether gradients flow through this leaf, and return it.

        Parameters
        ----------
        requires_grad : bool
            Whether they flow.

        Returns
        -------
        Tensor
            This tensor, of the shape that it had.

        Raises
        ------
        GradientError
            If an op made this tensor.
        DtypeError
            If it does not hold floating-point numbers.
        """
        if self._node is not None:
            raise GradientError(
                "requires_grad can be changed for leaf tensors only; use detach() to cut the graph"
            )
        if requires_grad:
            _check_floating(self.dtype)
        self._tracked = requires_grad
        return self

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of this tensor with respect to every leaf to the leaf's ``grad``.

        Parameters
        ----------
        gradient : Tensor, optional
            The cotangent of this tensor, of its shape; one if it is a scalar.
        retain_graph : bool, optional
            Keep what was saved, so that backward can run again; by default ``create_graph``.
        create_graph : bool
            Record the backward pass, so that gradients can be differentiated.

        Raises
        ------
        GradientError
            If no gradient can flow, the graph was freed, an array was overwritten since, or the
            tensor is not a scalar and ``gradient`` is missing.
        """
        self._backward((self,), (gradient,), retain_graph=retain_graph, create_graph=create_graph)

    def retain_grad(self) -> Tensor:
        """Let ``backward`` store the gradient of this tensor although it is not a leaf; return it.

        It is the gradient after all hooks, whenever they were registered. A leaf stores it anyhow.

        Returns
        -------
        Tensor
            This tensor, of the shape that it had.

        Raises
        ------
        GradientError
            If no gradient flows through this tensor.
        """
        if not self.requires_grad:
            raise GradientError(
                "retain_grad() needs a tensor that requires a gradient; create what it is computed "
                "from with requires_grad=True, and do not work under no_grad() or detach()"
            )
        if self._node is not None:
            me = weakref.ref(self)

            def store(g: Tensor) -> None:
                tensor = me()
                if tensor is not None:
                    with lock:
                        tensor._grad = g if tensor._grad is None else tensor._grad + g

            with lock:
                self._own_hooks()[_LAST] = store
        return self

    def _own_hooks(self) -> dict[float, Callable[..., Any]]:
        """Return the hooks of this tensor, by number."""
        if self._node is None:
            if self._hooks is None:
                self._hooks = {}
            return self._hooks
        record = getattr(self._node, "record", self._node)
        if record.hooks is None:
            record.hooks = {}
        hooks: dict[float, Callable[..., Any]] = record.hooks.setdefault(
            getattr(self._node, "position", 0), {}
        )
        return hooks

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(gradient)`` when this tensor's gradient is known.

        The result has a method ``remove``. A tensor that the hook returns replaces the gradient.

        Parameters
        ----------
        hook : callable
            Takes the gradient, of the shape of this tensor, and returns None or a tensor of that shape.

        Returns
        -------
        HookHandle
            Its method ``remove`` takes the hook away.

        Raises
        ------
        GradientError
            If no gradient flows through this tensor.
        ArgumentError
            If ``hook`` cannot be called.
        TypeError, GradientError, DtypeError, BackendError
            In the backward pass, if the hook returns something other than None or a tensor of the
            gradient's shape, dtype and device.
        """
        if not self.requires_grad:
            raise GradientError("a hook needs a tensor that requires a gradient")
        check_hook(hook)
        with lock:
            return HookHandle(self._own_hooks(), hook)


class HookHandle:
    """A hook in place, until ``remove`` is called."""

    def __init__(self, hooks: dict[Any, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._number = _hook_numbers()
        hooks[self._number] = hook

    def remove(self) -> None:
        """Call the hook no more."""
        self._hooks.pop(self._number, None)


def check_hook(hook: Any) -> None:
    """Refuse a hook that cannot be called: it may have been called already.

    Raises
    ------
    ArgumentError
    """
    if not callable(hook):
        raise ArgumentError(f"a hook must be a function, not {hook!r}; pass it without calling it")


def check_gradient(what: str, g: Any, of: str, like: Tensor) -> None:
    """Refuse a gradient that does not have the form of what it is a gradient of.

    Parameters
    ----------
    what, of : str
        What the message calls ``g`` and ``like``.
    g : Any
        Must be a tensor of the shape, dtype and device of ``like``.
    like : Tensor

    Raises
    ------
    TypeError, GradientError, DtypeError, BackendError
        By what differs first: the type, the shape, the dtype or the device.
    """
    if not isinstance(g, Tensor):
        raise TypeError(f"{what} must be None or a tensor, but is a {type_name(g)}{conversion(g)}")
    if g.shape != like.shape:
        raise GradientError(
            f"{what} has shape {g.shape}, but {of} has shape {like.shape}; they must be equal"
        )
    if g.dtype != like.dtype:
        raise DtypeError(
            f"{what} has dtype {g.dtype}, but {of} has dtype {like.dtype}; "
            f'convert it with .astype("{like.dtype}")'
        )
    if g.device != like.device:
        raise BackendError(
            f"{what} is on {g.device}, but {of} is on {like.device}; "
            f'move it with .to("{like.device}")'
        )


def _copied(array: Any) -> Any:
    return by_type[type(array)].copy(array)


_new = Tensor.__new__


def make(array: Any, node: Any) -> Tensor:
    """Return a tensor around ``array`` that came from ``node`` of the tape (None: a constant)."""
    t = _new(Tensor)
    t._array = array
    t._node = node
    t._hooks = None
    t._grad = None
    t._tracked = node is not None
    return t


def leaf(array: Any, requires_grad: bool, kind: type[Tensor] = Tensor) -> Tensor:
    """Return a tensor around ``array`` that no op made."""
    t = _new(kind)
    t._array = array
    t._node = t._hooks = t._grad = None
    t._tracked = requires_grad
    return t


def _restore(kind: type[Tensor], content: Any, device: str, requires_grad: bool) -> Tensor:
    name, number = parse_device(device)
    array = backend_named(name).asarray(content, content.dtype, number)
    return leaf(array, requires_grad, kind)


def _check_floating(dtype: Any) -> None:
    if not dtypes.is_floating(dtype):
        raise DtypeError(
            f"only floating-point tensors can require a gradient, not {dtype}; "
            'convert with .astype("float32") first'
        )


def tensor(
    data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor with a copy of ``data``.

    Parameters
    ----------
    data : array_like
        A number, nested lists, a NumPy or CuPy array, or a tensor. Python floats become the default
        dtype, arrays and NumPy's scalars keep theirs, also those in lists.
    dtype : dtype or str, optional
        By default that of ``data``. To integers fractions are cut off. A number that is too large for
        a floating-point dtype becomes infinity.
    device : str, optional
        "cpu", "cuda" or "cuda:N"; by default where ``data`` is, else the default backend's device.
    requires_grad : bool
        Whether gradients flow through it.

    Returns
    -------
    Tensor
        The shape of ``data``.

    Raises
    ------
    DtypeError
        If ``data`` holds something other than numbers, or what an integer ``dtype`` cannot hold, or a
        gradient is wanted for integers.
    ShapeError
        If nested lists are ragged.

    Examples
    --------
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    >>> mg.tensor([1, 2], dtype="uint8")
    tensor([1, 2], dtype=uint8)
    """
    return new_tensor("tensor()", data, dtype, device, requires_grad)


def new_tensor(
    of: str, data: Any, dtype: Any, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return what `tensor` does; ``of`` is what messages begin with."""
    if isinstance(data, Tensor):
        if data.requires_grad:
            raise GradientError(
                f"{of} of a tensor that requires a gradient would lose it; use clone(), or detach()"
            )
        device = device or data.device
        data = data._array
    source = backend_of(data)
    if source is None:
        data, dtype = _from_python(of, data, dtype)
    dtype = dtypes.as_dtype(data.dtype if dtype is None else dtype)
    if requires_grad:
        _check_floating(dtype)
    check_fits(of, data, dtype)
    if device is None and source is not None and not isinstance(data, np.ndarray):
        device = source.device_of(data)
    name, number = parse_device(device)
    backend = backend_named(name)
    if source is not None and source is not backend:
        data = source.to_numpy(data)
    with np.errstate(all="ignore"):  # too large for a float is infinity
        return leaf(backend.asarray(data, dtype, number), requires_grad)


_PLAIN = frozenset((bool, int, float))
_NOT_NUMBERS = {
    "c": "complex numbers", "U": "text", "S": "bytes", "O": "Python objects", "M": "dates",
    "m": "time differences", "V": "records",
}  # fmt: skip


def _from_python(of: str, data: Any, dtype: Any) -> tuple[np.ndarray[Any, Any], Any]:
    found: set[Any] = set()
    if isinstance(data, (list, tuple)):
        data = _lists(of, data, found)
    elif hasattr(data, "__dlpack__"):
        data = as_numpy(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ShapeError(
            f"{of}: nested lists have different lengths; pad them to one length"
        ) from None
    if array.dtype.kind == "O":
        wanted = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
        for value in array.flat:
            if type(value) is int:
                check_fits(of, value, wanted)
        if all(isinstance(value, (bool, int, float)) for value in array.flat):
            array = array.astype(np.float64)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        kind = _NOT_NUMBERS.get(array.dtype.kind, array.dtype.name)
        raise DtypeError(f"{of}: cannot make a tensor of {kind}; give real numbers")
    if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        given = [d for d in found if dtypes.is_floating(d)]
        dtype = np.result_type(*given) if given else dtypes.get_default_dtype()
    return array, dtype


def _lists(of: str, data: Any, found: set[Any]) -> Any:
    """Replace tensors in nested lists by their arrays, and note the dtypes of what has one."""
    if isinstance(data, (list, tuple)):
        if _PLAIN.issuperset(map(type, data)):  # as nearly always, and soon found
            return data
        return [_lists(of, item, found) for item in data]
    if isinstance(data, Tensor):
        if data.requires_grad:
            raise GradientError(
                f"{of} of a list of tensors would lose their gradients; join them with "
                "minigrad.stack, inner lists first"
            )
        data = by_type[type(data._array)].to_numpy(data._array)
    if hasattr(data, "dtype"):
        found.add(dtypes.as_dtype(data.dtype))
    return data


__all__ = ["Tensor", "leaf", "make", "tensor"]
