"""Layers that convolve along one axis or two."""

from __future__ import annotations

from typing import Any

from minigrad.errors import check_choice
from minigrad.nn.convolution.base import Convolution, Sizes
from minigrad.ops.convolution import PADDING_MODES, bordered, conv1d, conv2d, margins


class _Convolution(Convolution):
    usual = (
        ("padding", 0),
        ("dilation", 1),
        ("groups", 1),
        ("bias", True),
        ("padding_mode", "zeros"),
    )

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
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, bias)
        check_choice(name, PADDING_MODES, padding_mode=padding_mode)
        borders = margins(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else tuple(n for n, _ in borders)
        self.padding_mode = padding_mode
        self._make((self.out_channels, self.in_channels // self.groups), bias, device, dtype)

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
        name, input = type(self).__name__, self._checked(input)
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            widths = margins(name, padding, self.kernel_size, self.stride, self.dilation)
            input, padding = bordered(name, input, widths, self.padding_mode), 0
        return type(self).function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


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
