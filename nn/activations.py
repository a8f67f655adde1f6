"""Functions of each element, or of rows, as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.nn import init
from minigrad.nn.checks import check_counts, checked_input
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import elementwise, network
from minigrad.ops.elementwise import where
from minigrad.promotion import rounded_once


class Activation(Module):
    """The base: a function of the table of ops as a layer, its options as attributes.

    Attributes
    ----------
    function : callable
    options : tuple of str
        The names of the attributes that are options of the function.
    """

    function: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """Return the function of ``input``.

        Parameters
        ----------
        input : Tensor
            Any shape, floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input(type(self).__name__, input)
        return type(self).function(input, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)


class ReLU(Activation):
    """``max(x, 0)``. The gradient at 0 is 0.

    Examples
    --------
    >>> nn.ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    function = elementwise.relu


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> nn.Sigmoid()(mg.tensor([0.0, 2.0]))
    tensor([0.5   , 0.8808])
    """

    function = elementwise.sigmoid


class Tanh(Activation):
    """The hyperbolic tangent.

    Examples
    --------
    >>> nn.Tanh()(mg.tensor([0.0, 1.0]))
    tensor([0.    , 0.7616])
    """

    function = elementwise.tanh


class SiLU(Activation):
    """``x * sigmoid(x)``, also called swish.

    Examples
    --------
    >>> nn.SiLU()(mg.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """

    function = elementwise.silu


class Softsign(Activation):
    """``x / (1 + abs(x))``.

    Examples
    --------
    >>> nn.Softsign()(mg.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """

    function = elementwise.softsign


class Hardsigmoid(Activation):
    """``clip(x / 6 + 1 / 2, 0, 1)``.

    Examples
    --------
    >>> nn.Hardsigmoid()(mg.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """

    function = elementwise.hard_sigmoid


class LeakyReLU(Activation):
    """``x`` where positive, else ``negative_slope * x`` (Maas 2013).

    Parameters
    ----------
    negative_slope : float
        The slope below 0.

    Examples
    --------
    >>> nn.LeakyReLU(0.1)(mg.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    function = elementwise.leaky_relu
    options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class ELU(Activation):
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert 2016).

    Parameters
    ----------
    alpha : float
        Far below 0 the result is ``-alpha``.

    Examples
    --------
    >>> nn.ELU()(mg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """

    function = elementwise.elu
    options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class GELU(Activation):
    """Gaussian error linear unit (Hendrycks 2016): "none" is exact, "tanh" a formula near it.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        Exact, or by the formula with ``tanh``.

    Raises
    ------
    ArgumentError
        If ``approximate`` is neither.

    Examples
    --------
    >>> nn.GELU()(mg.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """

    function = elementwise.gelu
    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        check_choice("GELU", ("none", "tanh"), approximate=approximate)
        self.approximate = approximate


class Hardtanh(Activation):
    """``clip(x, min_val, max_val)``. The gradient at the bounds is 0.

    Parameters
    ----------
    min_val : float
        The lower bound.
    max_val : float
        The upper bound.

    Raises
    ------
    ArgumentError
        If ``min_val`` is not smaller than ``max_val``.

    Examples
    --------
    >>> nn.Hardtanh()(mg.tensor([-4.0, 0.5, 4.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    function = elementwise.hard_tanh
    options = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        if not min_val < max_val:
            raise ArgumentError(
                f"Hardtanh: min_val={min_val} must be smaller than max_val={max_val}"
            )
        self.min_val, self.max_val = min_val, max_val


@rounded_once(promotion="float")
def _softplus(x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return where(scaled > threshold, x, elementwise.softplus(scaled) / beta)


class Softplus(Activation):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x`` is above ``threshold``.

    Parameters
    ----------
    beta : float
        How sharp the bend is; the larger, the nearer to `ReLU`.
    threshold : float
        Above it, ``beta * x`` counts as so large that the result is ``x``.

    Raises
    ------
    ArgumentError
        If ``beta`` is zero.

    Examples
    --------
    >>> nn.Softplus()(mg.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """

    function = _softplus
    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if beta == 0:
            raise ArgumentError("Softplus: beta must not be 0")
        self.beta, self.threshold = beta, threshold


class _AlongAxis(Activation):
    options = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        if dim is None:  # PyTorch guesses, with a warning
            raise ArgumentError(
                f"{type(self).__name__}: give dim, the axis whose elements are to add up to 1; -1 is the "
                "last one"
            )
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Return the function of ``input`` along the axis ``dim``.

        Parameters
        ----------
        input : Tensor
            Any shape, floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        ShapeError
            If ``input`` has no such axis.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input(type(self).__name__, input)
        return type(self).function(input, axis=self.dim)


class Softmax(_AlongAxis):
    """``exp(x) / sum(exp(x))`` along the axis ``dim``, without overflow.

    Parameters
    ----------
    dim : int
        The axis whose elements add up to 1.

    Raises
    ------
    ArgumentError
        If ``dim`` is not given.

    Examples
    --------
    >>> nn.Softmax(-1)(mg.tensor([0.0, 0.0, 0.0, 0.0]))
    tensor([0.25, 0.25, 0.25, 0.25])
    """

    function = network.softmax


class LogSoftmax(_AlongAxis):
    """The logarithm of the softmax along the axis ``dim``, accurate where the softmax is tiny.

    Parameters
    ----------
    dim : int
        The axis along which the softmax adds up to 1.

    Raises
    ------
    ArgumentError
        If ``dim`` is not given.

    Examples
    --------
    >>> nn.LogSoftmax(-1)(mg.tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    function = network.log_softmax


class PReLU(Module):
    """``x`` where positive, else ``weight * x``: a leaky ReLU that learns its slope (He 2015).

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels: the size of axis 1 of the input.
    init : float
        What the slopes are at first.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (num_parameters,).

    Raises
    ------
    ArgumentError
        If ``num_parameters`` is not a positive integer.

    Examples
    --------
    >>> nn.PReLU()(mg.tensor([-1.0, 2.0])).detach()
    tensor([-0.25,  2.  ])
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        (num_parameters,) = check_counts("PReLU", num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(zeros(num_parameters, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to what they were at first."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """Return the function of ``input``.

        Parameters
        ----------
        input : Tensor
            Any shape, or (N, num_parameters, ...), floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        ShapeError
            If there are several slopes and ``input`` does not have as many channels.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input("PReLU", input, self.weight)
        shape, channels = tuple(input.shape), self.num_parameters
        if channels > 1 and (len(shape) < 2 or shape[1] != channels):
            raise ShapeError(
                f"PReLU: the input has shape {shape}; it must be (N, num_parameters, ...) with "
                f"num_parameters={channels}"
            )
        return network.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
