"""Layers of transposed convolutions: a convolution's way back, which makes an input larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.errors import ShapeError
from minigrad.nn.convolution.base import Convolution, Sizes
from minigrad.ops.convolution_transpose import (
    check_output_padding,
    conv_transpose1d,
    conv_transpose2d,
    least_sizes,
)
from minigrad.ops.windows import axis_sizes


class _ConvTranspose(Convolution):
    usual = (("padding", 0), ("dilation", 1), ("output_padding", 0), ("groups", 1), ("bias", True))

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, bias)
        self.padding = axis_sizes(name, "padding", padding, self.rank, 0)
        self.output_padding = axis_sizes(name, "output_padding", output_padding, self.rank, 0)
        check_output_padding(name, self.output_padding, self.stride, self.dilation)
        self._make((self.in_channels, self.out_channels // self.groups), bias, device, dtype)

    def forward(self, input: Any, output_size: int | Sequence[int] | None = None) -> Any:
        """Return the transposed convolution of ``input`` with the weight, and add the bias.

        Parameters
        ----------
        input : Tensor
            Shape (N, in_channels, *sizes) or (in_channels, *sizes), floating-point.
        output_size : int or sequence of int, optional
            The sizes of the result that are wanted, instead of ``output_padding``; batch and channels
            may stand in front.

        Returns
        -------
        Tensor
            Shape (N, out_channels, *sizes) or (out_channels, *sizes); see `minigrad.conv_transpose1d`.

        Raises
        ------
        ShapeError
            If ``input`` has another shape, nothing is left of the result, or no convolution of a result
            of ``output_size`` has the sizes of ``input``.
        ArgumentError
            If ``output_size`` does not hold one positive integer for each axis.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = self._checked(input)
        beyond = self.output_padding
        if output_size is not None:
            beyond = self._beyond(tuple(input.shape), output_size)
        return type(self).function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            beyond,
            self.groups,
            self.dilation,
        )

    def _beyond(self, shape: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
        """Return the ``output_padding`` that gives a result of ``output_size``."""
        name, size = type(self).__name__, shape[-self.rank :]
        wanted = output_size
        if isinstance(wanted, Sequence) and len(wanted) == len(shape):
            wanted = wanted[-self.rank :]
        wanted = axis_sizes(name, "output_size", wanted, self.rank, 1)
        least = least_sizes(size, self.kernel_size, self.stride, self.padding, self.dilation)
        most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
        if not all(a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ShapeError(
                f"{name}: an input of shape {shape} gives a result of sizes from {least} to {most}, not "
                f"output_size={output_size}"
            )
        return tuple(n - a for n, a in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Spread each element over what a window of a `Conv1d` reads: its adjoint in the input.

    Parameters
    ----------
    in_channels : int
        The number of channels of the input, its axis 1.
    out_channels : int
        The number of channels of the result.
    kernel_size : int
        How many elements of the result each element of the input is spread over.
    stride : int
        How far these are from those of the next one.
    padding : int
        How much of the result is left out on either side.
    output_padding : int
        How much longer the result is at its end; smaller than the stride or the dilation.
    groups : int
        The channels are cut into so many groups, which are treated apart from each other.
    bias : bool
        Whether there is a bias.
    dilation : int
        How far the elements of the kernel are from each other.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (in_channels, out_channels / groups, kernel_size); at first evenly distributed between
        ``±1 / sqrt(out_channels / groups * kernel_size)``, as ``bias``.
    bias : Parameter or None
        Shape (out_channels,).

    Raises
    ------
    ArgumentError
        If a number is too small, ``groups`` does not divide the channels, ``output_padding`` is too
        large, or ``bias`` no bool.

    Examples
    --------
    >>> layer = nn.ConvTranspose1d(3, 4, kernel_size=3, stride=2, padding=1)
    >>> layer(mg.ones((2, 3, 8))).shape, layer(mg.ones((2, 3, 8)), output_size=16).shape
    ((2, 4, 15), (2, 4, 16))
    """

    rank = 1
    layout = "(N, in_channels, L), or (in_channels, L)"
    function = conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Spread each element over what a window of a `Conv2d` reads: its adjoint in the input.

    Parameters
    ----------
    in_channels : int
        The number of channels of the input, its axis 1.
    out_channels : int
        The number of channels of the result.
    kernel_size : int or pair of int
        How many elements of the result each element of the input is spread over.
    stride : int or pair of int
        How far these are from those of the next one.
    padding : int or pair of int
        How much of the result is left out on either side.
    output_padding : int or pair of int
        How much longer the result is at the end of each axis; smaller than the stride or the dilation.
    groups : int
        The channels are cut into so many groups, which are treated apart from each other.
    bias : bool
        Whether there is a bias.
    dilation : int or pair of int
        How far the elements of the kernel are from each other.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight : Parameter
        Shape (in_channels, out_channels / groups, *kernel_size); at first evenly distributed between
        ``±1 / sqrt(fan_in)``, as ``bias``. As in PyTorch the fan-in is the number of the weights of one
        input channel.
    bias : Parameter or None
        Shape (out_channels,).

    Raises
    ------
    ArgumentError
        If a number is too small, ``groups`` does not divide the channels, ``output_padding`` is too
        large, or ``bias`` no bool.

    Examples
    --------
    >>> layer = nn.ConvTranspose2d(3, 4, kernel_size=2, stride=2)
    >>> layer(mg.ones((2, 3, 8, 8))).shape
    (2, 4, 16, 16)
    """

    rank = 2
    layout = "(N, in_channels, H, W), or (in_channels, H, W)"
    function = conv_transpose2d
