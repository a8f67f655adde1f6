"""Values for new parameters, with PyTorch's names: each function writes in place and returns its tensor.

What is random is drawn from ``generator``, by default the global one. The number of inputs of a unit
(fan-in) and of outputs (fan-out) are read from the shape: (outputs, inputs, *kernel).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy

from minigrad import dtypes, random
from minigrad.errors import ArgumentError, DtypeError, ShapeError, check_choice, suggestion
from minigrad.random import Generator
from minigrad.tensor import Tensor

# fixed values


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill ``tensor`` with ``val``.

    Parameters
    ----------
    tensor : Tensor
        Any shape.
    val : float
        What every element is to be.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    TypeError
        If ``tensor`` is none.
    DtypeError
        If the number does not fit the dtype.

    Examples
    --------
    >>> nn.init.constant_(mg.zeros(3), 0.5)
    tensor([0.5, 0.5, 0.5])
    """
    _check_tensor("constant_", tensor)
    return tensor.copy_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill ``tensor`` with zeros.

    Parameters
    ----------
    tensor : Tensor
        Any shape.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    TypeError
        If ``tensor`` is none.

    Examples
    --------
    >>> nn.init.zeros_(mg.ones(3))
    tensor([0., 0., 0.])
    """
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill ``tensor`` with ones.

    Parameters
    ----------
    tensor : Tensor
        Any shape.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    TypeError
        If ``tensor`` is none.

    Examples
    --------
    >>> nn.init.ones_(mg.zeros(3))
    tensor([1., 1., 1.])
    """
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """Write the identity into ``tensor``, a matrix: as many inputs as fit pass unchanged.

    Parameters
    ----------
    tensor : Tensor
        Shape (rows, columns).

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` does not have two axes.

    Examples
    --------
    >>> nn.init.eye_(mg.zeros((2, 3)))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    _check_tensor("eye_", tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: the tensor has shape {tensor.shape}; it must have two axes")
    rows, columns = tensor.shape
    return tensor.copy_(numpy.eye(rows, columns))


# plain distributions


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill ``tensor`` with numbers evenly distributed between ``a`` (included) and ``b`` (excluded).

    Parameters
    ----------
    tensor : Tensor
        Any shape.
    a : float
        The smallest number.
    b : float
        The end, which is left out.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ArgumentError
        If ``a`` is larger than ``b``, or one is not finite.
    DtypeError
        If ``tensor`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.uniform_(mg.zeros(1000), -1.0, 1.0)
    >>> bool(mg.max(mg.abs(weight)) <= 1)
    True
    """
    _check_floating("uniform_", tensor)
    if not (math.isfinite(a) and math.isfinite(b) and a <= b):
        raise ArgumentError(f"uniform_: a={a} and b={b} must be finite, and a not larger than b")
    return tensor.copy_(_drawn(generator).uniform(tensor.shape, a, b, dtype=tensor.dtype))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill ``tensor`` with normally distributed numbers.

    Parameters
    ----------
    tensor : Tensor
        Any shape.
    mean : float
        The mean.
    std : float
        The standard deviation.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ArgumentError
        If ``std`` is negative, or a number is not finite.
    DtypeError
        If ``tensor`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.normal_(mg.zeros(1000), std=0.0, mean=2.0)
    >>> mg.max(weight)
    tensor(2.)
    """
    _check_floating("normal_", tensor)
    if not (math.isfinite(mean) and math.isfinite(std) and std >= 0):
        raise ArgumentError(
            f"normal_: mean={mean} and std={std} must be finite, and std not negative"
        )
    return tensor.copy_(_drawn(generator).normal(tensor.shape, mean, std, dtype=tensor.dtype))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` with normally distributed numbers of which those outside [a, b] are drawn again.

    Parameters
    ----------
    tensor : Tensor
        Any shape.
    mean : float
        The mean of the normal distribution.
    std : float
        Its standard deviation.
    a : float
        The smallest number.
    b : float
        The largest number.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ArgumentError
        If ``std`` is not positive, ``a`` is not smaller than ``b``, or the normal distribution has
        nothing between them.
    DtypeError
        If ``tensor`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.trunc_normal_(mg.zeros(1000), a=-1.0, b=1.0)
    >>> bool(mg.max(mg.abs(weight)) <= 1)
    True
    """
    _check_floating("trunc_normal_", tensor)
    if not (std > 0 and a < b):
        raise ArgumentError(
            f"trunc_normal_: std={std} must be positive, and a={a} smaller than b={b}"
        )
    low, high, sign = (a - mean) / std, (b - mean) / std, 1.0
    if low > 0:  # probabilities are exact below the mean only
        low, high, sign = -high, -low, -1.0
    start, end = _normal_cdf(low), _normal_cdf(high)
    if not start < end:
        raise ArgumentError(
            f"trunc_normal_: a normal distribution with mean={mean} and std={std} has nothing between "
            f"a={a} and b={b}; move them closer to the mean"
        )
    # inverse transform sampling: the quantile of a uniform number
    levels = _drawn(generator).uniform(tensor.shape, start, end, dtype="float64").numpy()
    smallest = numpy.finfo(numpy.float64).tiny
    quantiles = map(NormalDist().inv_cdf, numpy.maximum(levels, smallest).ravel().tolist())
    normal = numpy.fromiter(quantiles, numpy.float64, tensor.size).reshape(tensor.shape)
    return tensor.copy_(numpy.clip(sign * normal * std + mean, a, b))


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


# scaled to the width of a layer


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill ``tensor`` evenly between ``±gain * sqrt(6 / (fan_in + fan_out))`` (Glorot 2010).

    Parameters
    ----------
    tensor : Tensor
        Shape (fan_out, fan_in, ...).
    gain : float
        A factor, for instance of `calculate_gain`.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` has less than two axes.
    DtypeError
        If it does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.xavier_uniform_(mg.zeros((2, 4)))
    >>> bool(mg.max(mg.abs(weight)) <= 1)
    True
    """
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill ``tensor`` normally with std ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot 2010).

    Parameters
    ----------
    tensor : Tensor
        Shape (fan_out, fan_in, ...).
    gain : float
        A factor, for instance of `calculate_gain`.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` has less than two axes.
    DtypeError
        If it does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.xavier_normal_(mg.zeros((2, 4)))
    >>> weight.shape
    (2, 4)
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` evenly between ``±gain * sqrt(3 / fan)`` (He 2015).

    Parameters
    ----------
    tensor : Tensor
        Shape (fan_out, fan_in, ...).
    a : float
        The slope of a ``leaky_relu`` below 0.
    mode : {"fan_in", "fan_out"}
        Whether to keep the variance of activations, or that of gradients.
    nonlinearity : str
        What follows the layer; see `calculate_gain`.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` has less than two axes.
    ArgumentError
        If ``mode`` or ``nonlinearity`` is unknown.
    DtypeError
        If ``tensor`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.kaiming_uniform_(mg.zeros((2, 6)), nonlinearity="relu")
    >>> bool(mg.max(mg.abs(weight)) <= 1)
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` normally with std ``gain / sqrt(fan)`` (He 2015).

    Parameters
    ----------
    tensor : Tensor
        Shape (fan_out, fan_in, ...).
    a : float
        The slope of a ``leaky_relu`` below 0.
    mode : {"fan_in", "fan_out"}
        Whether to keep the variance of activations, or that of gradients.
    nonlinearity : str
        What follows the layer; see `calculate_gain`.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` has less than two axes.
    ArgumentError
        If ``mode`` or ``nonlinearity`` is unknown.
    DtypeError
        If ``tensor`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.kaiming_normal_(mg.zeros((2, 6)), nonlinearity="relu")
    >>> weight.shape
    (2, 6)
    """
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill ``tensor`` with an orthogonal matrix, each equally likely, times ``gain`` (Saxe 2013).

    All axes but the first count as one. The shorter of the two sides is orthonormal.

    Parameters
    ----------
    tensor : Tensor
        Shape (rows, ...).
    gain : float
        A factor, for instance of `calculate_gain`.
    generator : Generator, optional
        What draws the numbers; by default the global one.

    Returns
    -------
    Tensor
        The same tensor, of the shape that it had.

    Raises
    ------
    ShapeError
        If ``tensor`` has less than two axes.
    DtypeError
        If it does not hold floating-point numbers.

    Examples
    --------
    >>> weight = nn.init.orthogonal_(mg.zeros((2, 3)))
    >>> mg.round(mg.abs(weight @ weight.mT))
    tensor([[1., 0.],
            [0., 1.]])
    """
    _check_floating("orthogonal_", tensor)
    _check_fans("orthogonal_", tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    normal = _drawn(generator).normal(tall, dtype="float64").numpy()
    q, r = numpy.linalg.qr(normal)
    q *= numpy.sign(numpy.diagonal(r))  # makes the factors unique, and q evenly distributed
    return tensor.copy_(gain * (q.T if rows < columns else q).reshape(tensor.shape))


_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that makes up for what ``nonlinearity`` does to the spread of its inputs.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv1d" and so on, "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
    param : float, optional
        The slope of "leaky_relu" below 0, by default 0.01.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    ArgumentError
        If ``nonlinearity`` is unknown.

    Examples
    --------
    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: there is no gain for {nonlinearity!r}, only for {', '.join(_GAINS)}"
            f"{suggestion(str(nonlinearity), _GAINS)}"
        )
    if nonlinearity == "leaky_relu" and param is not None:
        return math.sqrt(2 / (1 + param**2))
    return _GAINS[nonlinearity]


def by_fan_in_(weight: Tensor, bias: Tensor | None) -> None:
    """Fill a weight and its bias evenly between ``±1 / sqrt(fan_in)``: PyTorch's default.

    Parameters
    ----------
    weight : Tensor
        Shape (fan_out, fan_in, ...).
    bias : Tensor or None
        Shape (fan_out,).

    Raises
    ------
    DtypeError
        If ``weight`` does not hold floating-point numbers.

    Examples
    --------
    >>> weight = mg.zeros((2, 4))
    >>> nn.init.by_fan_in_(weight, None)
    >>> bool(mg.max(mg.abs(weight)) <= 0.5)
    True
    """
    bound = width_bound(fans(weight)[0])
    for parameter in (weight, bias):
        if parameter is not None:
            uniform_(parameter, -bound, bound)


def width_bound(width: int) -> float:
    """Return ``1 / sqrt(width)``, the bound of PyTorch's default initialisation.

    Parameters
    ----------
    width : int
        How many numbers are summed.

    Returns
    -------
    float
        The bound; 0 for a width of 0.

    Examples
    --------
    >>> nn.init.width_bound(4)
    0.5
    """
    return width**-0.5 if width else 0.0


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs and outputs a unit has: fan-in and fan-out.

    Parameters
    ----------
    tensor : Tensor
        Shape (fan_out, fan_in, ...).

    Returns
    -------
    tuple of int
        The fan-in and the fan-out.

    Examples
    --------
    >>> nn.init.fans(mg.zeros((2, 3, 5)))
    (15, 10)
    """
    outputs, inputs, *kernel = tensor.shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def _drawn(generator: Generator | None) -> Generator:
    return random.default_generator if generator is None else generator


def _check_tensor(of: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{of}: it fills a tensor in place, not a {type(tensor).__name__}")


def _check_floating(of: str, tensor: Tensor) -> None:
    _check_tensor(of, tensor)
    if not dtypes.is_floating(tensor.dtype):
        raise DtypeError(
            f"{of}: the tensor has dtype {tensor.dtype}; it must hold floating-point numbers"
        )


def _check_fans(of: str, tensor: Tensor) -> None:
    _check_tensor(of, tensor)
    if tensor.ndim < 2:
        raise ShapeError(
            f"{of}: the tensor has shape {tensor.shape}; it must have two axes or more, "
            "(outputs, inputs, *kernel)"
        )


def _xavier_std(of: str, tensor: Tensor, gain: float) -> float:
    _check_fans(of, tensor)
    return gain * math.sqrt(2) * width_bound(sum(fans(tensor)))


def _kaiming_std(of: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _check_fans(of, tensor)
    modes = ("fan_in", "fan_out")
    check_choice(of, modes, mode=mode)
    return calculate_gain(nonlinearity, a) * width_bound(fans(tensor)[modes.index(mode)])
