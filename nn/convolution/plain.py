"""Layers that convolve along one axis or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError, check_choice
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.convolution import PADDING_MODES, bordered, conv1d, conv2d, margins
from minigrad.ops.windows import axis_sizes

Sizes = int | Sequence[int]


class _Convolution(Module):
    rank: ClassVar[int]
    layout: ClassVar[str]
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        in_channels, out_channels, groups = check_counts(
            name, in_channels=in_channels, out_channels=out_channels, groups=groups
        )
        check_flags(name, bias=bias)
        check_choice(name, PADDING_MODES, padding_mode=padding_mode)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and "
                f"out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = axis_sizes(name, "kernel_size", kernel_size, self.rank, 1)
        self.stride = axis_sizes(name, "stride", stride, self.rank, 1)
        self.dilation = axis_sizes(name, "dilation", dilation, self.rank, 1)
        borders = margins(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else tuple(n for n, _ in borders)
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, dtype=dtype, device=device))
        self.bias = Parameter(zeros(out_channels, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.by_fan_in_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        """Return the convolution of ``input`` with the weight, and add the bias.

        Parameters
        ----------
        input : Tensor
            Shape (N, in_channels, *sizes) or (in_channels, *sizes), floating-point.

        Returns
        -------
        Tensor
            Shape (N, out_channels, *sizes) or (out_channels, *sizes); see `minigrad.conv2d`.

        Raises
        ------
        ShapeError
            If ``input`` has another shape, or is smaller than the kernel or than what the padding is
            made of.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        name = type(self).__name__
        input = checked_input(name, input, self.weight)
        shape, axes = tuple(input.shape), self.rank + 1
        if len(shape) not in (axes, axes + 1) or shape[-axes] != self.in_channels:
            raise ShapeError(
                f"{name}: the input has shape {shape}; it must be {self.layout} without a batch, "
                f"with in_channels={self.in_channels}"
            )
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            widths = margins(name, padding, self.kernel_size, self.stride, self.dilation)
            input, padding = bordered(name, input, widths, self.padding_mode), 0
        return type(self).function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        parts = [str(self.in_channels), str(self.out_channels)]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        options = (("padding", zeros), ("dilation", ones), ("groups", 1))
        parts += [
            f"{name}={value}" for name, usual in options if (value := getattr(self, name)) != usual
        ]
        parts += ["bias=False"] * (self.bias is None)
        parts += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return ", ".join(parts)


class Conv1d(_Convolution):
    """Convolve along one axis, without flipping the weight: cross-correlation, as PyTorch.

    Parameters
    ----------
    in_channels : int
        The number of channels of the input, its axis 1.
    out_channels : int
        The number of channels of the result.
    kernel_size : int
        The size of a window.
    stride : int
        How far each window is from the next.
    padding : int, "valid" or "same"
        How many zeros to put on either side. "valid" is none; "same" (for stride 1) keeps the size,
        with the odd zero at the end.
    dilation : int
        How far the elements of a window are from each other.
    groups : int
        The channels are cut into so many groups, which are convolved apart from each other.
    bias : bool
        Whether there is a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding is made of: zeros, or the input as ``c b | a b c | b a``, ``a a | a b c | c c``
        or ``b c | a b c | a b`` goes on.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (out_channels, in_channels / groups, kernel_size); at first evenly distributed between
        ``±1 / sqrt(fan_in)``, as ``bias``. The fan-in is the number of weights of one output.
    bias : Parameter or None
        Shape (out_channels,).

    Raises
    ------
    ArgumentError
        If a number is too small, ``groups`` does not divide the channels, ``padding`` or
        ``padding_mode`` is unknown, or ``bias`` no bool.

    Examples
    --------
    >>> layer = nn.Conv1d(3, 4, kernel_size=3, padding=1)
    >>> layer(mg.ones((2, 3, 8))).shape
    (2, 4, 8)
    """

    rank = 1
    layout = "(N, in_channels, L), or (in_channels, L)"
    function = conv1d


class Conv2d(_Convolution):
    """Convolve along two axes, without flipping the weight: cross-correlation, as PyTorch.

    Parameters
    ----------
    in_channels : int
        The number of channels of the input, its axis 1.
    out_channels : int
        The number of channels of the result.
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int
        How far each window is from the next.
    padding : int or pair of int, "valid" or "same"
        How many zeros to put on either side. "valid" is none; "same" (for stride 1) keeps the size,
        with the odd zero at the end.
    dilation : int or pair of int
        How far the elements of a window are from each other.
    groups : int
        The channels are cut into so many groups, which are convolved apart from each other.
    bias : bool
        Whether there is a bias.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding is made of: zeros, or the input as ``c b | a b c | b a``, ``a a | a b c | c c``
        or ``b c | a b c | a b`` goes on.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (out_channels, in_channels / groups, *kernel_size); at first evenly distributed between
        ``±1 / sqrt(fan_in)``, as ``bias``. The fan-in is the number of weights of one output.
    bias : Parameter or None
        Shape (out_channels,).

    Raises
    ------
    ArgumentError
        If a number is too small, ``groups`` does not divide the channels, ``padding`` or
        ``padding_mode`` is unknown, or ``bias`` no bool.

    Examples
    --------
    >>> layer = nn.Conv2d(3, 4, kernel_size=3, padding=1)
    >>> layer(mg.ones((2, 3, 8, 8))).shape
    (2, 4, 8, 8)
    """

    rank = 2
    layout = "(N, in_channels, H, W), or (in_channels, H, W)"
    function = conv2d
