"""Functions that make tensors out of sizes and numbers."""

from __future__ import annotations

from typing import Any

import numpy

from minigrad import dtypes, foreign, random
from minigrad.backends import backend_named, parse_device
from minigrad.checks import Shape, check_integer, check_number, sizes_of
from minigrad.conversion import check_fits
from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor, leaf, make, new_tensor, tensor


def full(
    shape: Shape,
    fill_value: float,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of ``shape`` in which every element is ``fill_value``.

    The dtype is that of ``tensor(fill_value)`` unless given.

    Parameters
    ----------
    shape : int or sequence of int
        The sizes of the axes.
    fill_value : bool, int or float
        What every element is.
    dtype : dtype or str, optional
        By default that of ``tensor(fill_value)``.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.
    DtypeError
        If ``dtype`` cannot hold ``fill_value``.

    Examples
    --------
    >>> mg.full((2, 2), 7.0)
    tensor([[7., 7.],
            [7., 7.]])
    """
    sizes = sizes_of(shape)
    scalar = new_tensor("full", fill_value, dtype, device, requires_grad)
    if scalar.ndim:
        raise ShapeError(
            f"full: fill_value has shape {scalar.shape}; give one number, or use broadcast_to"
        )
    name, number = parse_device(scalar.device)
    backend = backend_named(name)
    with backend.place(scalar._array):
        content = backend.namespace.broadcast_to(scalar._array, sizes)
    return leaf(backend.asarray(content, scalar.dtype, number), requires_grad)


def zeros(
    shape: Shape, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of zeros, of the default dtype unless given.

    Parameters
    ----------
    shape : int or sequence of int
        The sizes of the axes.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> mg.zeros(3)
    tensor([0., 0., 0.])
    """
    return full(shape, 0.0, dtype=dtype, device=device, requires_grad=requires_grad)


def empty(
    shape: Shape, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor to be written to; it holds zeros, so that no run depends on old memory.

    Parameters
    ----------
    shape : int or sequence of int
        The sizes of the axes.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> mg.empty((2, 3)).shape
    (2, 3)
    """
    return zeros(shape, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(
    shape: Shape, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of ones, of the default dtype unless given.

    Parameters
    ----------
    shape : int or sequence of int
        The sizes of the axes.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> mg.ones(3)
    tensor([1., 1., 1.])
    """
    return full(shape, 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    x: Tensor, fill_value: float, *, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Return a tensor of the shape, dtype and device of ``x``, filled with ``fill_value``.

    Parameters
    ----------
    x : Tensor
        Any shape.
    fill_value : bool, int or float
        What every element is.
    dtype : dtype or str, optional
        By default that of ``x``.
    device : str, optional
        By default that of ``x``.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    DtypeError
        If there is no such dtype.
    BackendError
        If there is no such device.

    Examples
    --------
    >>> mg.full_like(mg.tensor([1.0, 2.0]), 5.0)
    tensor([5., 5.])
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def zeros_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return zeros of the shape, dtype and device of ``x``.

    Parameters
    ----------
    x : Tensor
        Any shape.
    dtype : dtype or str, optional
        By default that of ``x``.
    device : str, optional
        By default that of ``x``.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    DtypeError
        If there is no such dtype.
    BackendError
        If there is no such device.

    Examples
    --------
    >>> mg.zeros_like(mg.tensor([1, 2]))
    tensor([0, 0])
    """
    return full_like(x, 0, dtype=dtype, device=device)


def empty_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return a tensor to be written to, of the shape, dtype and device of ``x``; it holds zeros.

    Parameters
    ----------
    x : Tensor
        Any shape.
    dtype : dtype or str, optional
        By default that of ``x``.
    device : str, optional
        By default that of ``x``.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    DtypeError
        If there is no such dtype.
    BackendError
        If there is no such device.

    Examples
    --------
    >>> mg.empty_like(mg.tensor([1, 2])).shape
    (2,)
    """
    return zeros_like(x, dtype=dtype, device=device)


def ones_like(x: Tensor, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return ones of the shape, dtype and device of ``x``.

    Parameters
    ----------
    x : Tensor
        Any shape.
    dtype : dtype or str, optional
        By default that of ``x``.
    device : str, optional
        By default that of ``x``.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    DtypeError
        If there is no such dtype.
    BackendError
        If there is no such device.

    Examples
    --------
    >>> mg.ones_like(mg.tensor([1, 2]))
    tensor([1, 1])
    """
    return full_like(x, 1, dtype=dtype, device=device)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return numbers from ``start`` to below ``stop``; int64 if all three are integers.

    With one argument, the numbers from 0 to below it.

    Parameters
    ----------
    start : float
        The first number; the end, if it is the only argument.
    stop : float, optional
        The end, which is left out.
    step : float
        How far each number is from the one before.
    dtype : dtype or str, optional
        By default int64 if all three are integers, else the default dtype.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.

    Returns
    -------
    Tensor
        Shape (ceil((stop - start) / step),).

    Raises
    ------
    ArgumentError
        If ``step`` is 0, or an argument is no finite number.

    Examples
    --------
    >>> mg.arange(3)
    tensor([0, 1, 2])
    >>> mg.arange(1.0, 2.0, 0.5)
    tensor([1. , 1.5])
    """
    if stop is None:
        start, stop = 0, start
    start, stop, step = (
        check_number("arange", name, n, finite=True)
        for name, n in (("start", start), ("stop", stop), ("step", step))
    )
    if step == 0:
        raise ArgumentError("arange: a step of 0 never arrives; use full()")
    whole = all(isinstance(n, int) for n in (start, stop, step))
    kind = dtype or (dtypes.int64 if whole else dtypes.get_default_dtype())
    return new_tensor("arange", numpy.arange(start, stop, step), kind, device)


def linspace(
    start: float,
    stop: float,
    num: int,
    *,
    endpoint: bool = True,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return ``num`` evenly spaced numbers from ``start`` to ``stop``.

    Parameters
    ----------
    start : float
        The first number.
    stop : float
        The last number, or with ``endpoint=False`` the one after it.
    num : int
        How many numbers.
    endpoint : bool
        Whether ``stop`` is among them.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.

    Returns
    -------
    Tensor
        Shape (num,).

    Raises
    ------
    ArgumentError
        If ``num`` is not an integer from 0 on, or ``start`` or ``stop`` no number.

    Examples
    --------
    >>> mg.linspace(0.0, 1.0, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    num = check_integer("linspace", "num", num, low=0)
    start, stop = check_number("linspace", "start", start), check_number("linspace", "stop", stop)
    values = numpy.linspace(start, stop, num, endpoint=endpoint)
    return new_tensor("linspace", values, dtype or dtypes.get_default_dtype(), device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Return a matrix with ones on diagonal ``k`` and zeros elsewhere.

    Parameters
    ----------
    n_rows : int
        The number of rows.
    n_cols : int, optional
        The number of columns; by default as many as rows.
    k : int
        The diagonal: 0 is the main one, 1 the next above it, -1 the next below.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.

    Returns
    -------
    Tensor
        Shape (n_rows, n_cols).

    Raises
    ------
    ArgumentError
        If a number of rows or columns is not an integer from 0 on, or ``k`` no integer.

    Examples
    --------
    >>> mg.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    n_rows = check_integer("eye", "n_rows", n_rows, low=0)
    n_cols = n_rows if n_cols is None else check_integer("eye", "n_cols", n_cols, low=0)
    k = check_integer("eye", "k", k)
    return tensor(numpy.eye(n_rows, n_cols, k=k), dtype or dtypes.get_default_dtype(), device)


def rand(
    *shape: int, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers evenly distributed between 0 and 1, from the global generator.

    Parameters
    ----------
    *shape : int
        The sizes of the axes; or one sequence of them.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape; 0 may be among the numbers, 1 may not.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.
    DtypeError
        If ``dtype`` is not a floating-point one.

    Examples
    --------
    >>> mg.rand(2, 3).shape
    (2, 3)
    """
    t = random.default_generator.uniform(_flat(shape), dtype=dtype, device=device)
    return t.requires_grad_(requires_grad)


def randn(
    *shape: int, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers from the standard normal distribution, from the global generator.

    Parameters
    ----------
    *shape : int
        The sizes of the axes; or one sequence of them.
    dtype : dtype or str, optional
        By default the default dtype, float32.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.
    requires_grad : bool
        Whether gradients flow through the tensor.

    Returns
    -------
    Tensor
        Of this shape, with mean 0 and variance 1.

    Raises
    ------
    ShapeError
        If ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> mg.randn(2, 3).shape
    (2, 3)
    """
    t = random.default_generator.normal(_flat(shape), dtype=dtype, device=device)
    return t.requires_grad_(requires_grad)


def randint(low: int, high: int, shape: Shape = (), *, device: str | None = None) -> Tensor:
    """Return int64 numbers from ``low`` to below ``high``, from the global generator.

    Parameters
    ----------
    low : int
        The smallest number.
    high : int
        The end, which is left out.
    shape : int or sequence of int
        The sizes of the axes.
    device : str, optional
        "cpu" or "cuda:N"; by default where `use_backend` says.

    Returns
    -------
    Tensor
        Of this shape, int64.

    Raises
    ------
    ArgumentError
        If there is no number between ``low`` and ``high``.
    ShapeError
        If ``shape`` holds something other than integers from 0 on.

    Examples
    --------
    >>> dice = mg.randint(1, 7, (100,))
    >>> bool(mg.all(dice >= 1)), bool(mg.all(dice <= 6))
    (True, True)
    """
    return random.default_generator.integers(low, high, shape, device=device)


def _flat(shape: tuple[Any, ...]) -> Shape:
    """Return the shape that ``rand(2, 3)`` or ``rand((2, 3))`` was given."""
    return shape[0] if len(shape) == 1 else shape


def asarray(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Return ``data`` as a tensor: itself if it is one already and nothing else is asked for.

    Parameters
    ----------
    data : array_like
        What `tensor` takes.
    dtype : dtype or str, optional
        By default that of ``data``, as `tensor` has it.
    device : str, optional
        By default that of ``data`` if it is a tensor, else where `use_backend` says.

    Returns
    -------
    Tensor
        The shape of ``data``.

    Raises
    ------
    DtypeError
        If ``data`` holds something other than numbers, or there is no such dtype.
    ShapeError
        If nested lists are ragged.
    BackendError
        If there is no such device.

    Examples
    --------
    >>> x = mg.tensor([1.0, 2.0])
    >>> mg.asarray(x) is x
    True
    """
    if isinstance(data, Tensor):
        t: Tensor = data
        if dtype is not None:
            check_fits("asarray", data._array, dtypes.as_dtype(dtype))
            t = data.astype(dtype)
        return t if device is None else t.to(device)
    return tensor(data, dtype=dtype, device=device)


def from_dlpack(source: Any) -> Tensor:
    """Return a copy of an array of another library (NumPy, CuPy, PyTorch) that speaks DLPack.

    The content is copied, because nobody else may write to a tensor's memory.

    Parameters
    ----------
    source : object with ``__dlpack__``
        An array of any shape.

    Returns
    -------
    Tensor
        The shape of ``source``, its dtype, and its device.

    Raises
    ------
    TypeError
        If ``source`` does not speak DLPack.

    Examples
    --------
    >>> import numpy as np
    >>> mg.from_dlpack(np.array([1.0, 2.0], dtype=np.float32))
    tensor([1., 2.])
    """
    if not hasattr(source, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: a {type(source).__name__} does not speak DLPack; use minigrad.tensor(...)"
        )
    kind = source.__dlpack_device__()[0]
    if kind == 2:  # kDLCUDA
        cupy = backend_named("cupy")
        return make(cupy.copy(cupy.namespace.from_dlpack(source)), None)
    return tensor(foreign.from_dlpack(source))
