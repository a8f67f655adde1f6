"""Layers that reduce windows of their input to one number each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minigrad.nn.checks import check_flags, checked_input
from minigrad.nn.module import Module
from minigrad.ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    check_divisor,
    max_pool1d,
    max_pool2d,
    pool_sizes,
)

Sizes = int | Sequence[int]


class _Pool(Module):
    rank: ClassVar[int]
    function: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]]

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes = 1
    ) -> None:
        pool_sizes(type(self).__name__, self.rank, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Any) -> Any:
        """Return one number for each window of ``input``.

        Parameters
        ----------
        input : Tensor
            Shape (N, C, *sizes) or (C, *sizes), floating-point.

        Returns
        -------
        Tensor
            Shape (N, C, *sizes) or (C, *sizes), with one size for each axis of windows.

        Raises
        ------
        ShapeError
            If ``input`` has another number of axes, or no window fits it.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input(type(self).__name__, input)
        return type(self).function(input, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.options)


class _MaxPool(_Pool):
    options = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation)
        check_flags(type(self).__name__, ceil_mode=ceil_mode)
        self.dilation, self.ceil_mode = dilation, ceil_mode


class _AvgPool(_Pool):
    options: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
    )

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        check_flags(type(self).__name__, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def extra_repr(self) -> str:
        usual = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
        shown = {name: getattr(self, name) for name in self.options}
        return ", ".join(f"{k}={v}" for k, v in shown.items() if v != usual.get(k, ...))


class MaxPool1d(_MaxPool):
    """The largest element of each window along one axis; see `minigrad.max_pool1d`.

    Parameters
    ----------
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Raises
    ------
    ArgumentError
        If a number is too small, or ``padding`` more than half of ``kernel_size``.

    Examples
    --------
    >>> nn.MaxPool1d(2)(mg.ones((1, 3, 8))).shape
    (1, 3, 4)
    """

    rank = 1
    function = max_pool1d


class MaxPool2d(_MaxPool):
    """The largest element of each window along two axes; see `minigrad.max_pool2d`.

    Parameters
    ----------
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How much of minus infinity to put on either side; at most half of ``kernel_size``.
    dilation : int or pair of int
        How far the elements of a window are from each other.
    ceil_mode : bool
        Whether a last window may stick out of the padded input, if it begins before its end.

    Raises
    ------
    ArgumentError
        If a number is too small, or ``padding`` more than half of ``kernel_size``.

    Examples
    --------
    >>> nn.MaxPool2d(2)(mg.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    rank = 2
    function = max_pool2d


class AvgPool1d(_AvgPool):
    """The mean of each window along one axis; see `minigrad.avg_pool1d`.

    Parameters
    ----------
    kernel_size : int
        The size of a window.
    stride : int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether the last window may reach over the border; what is beyond it never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.

    Raises
    ------
    ArgumentError
        If a number is too small, ``padding`` more than half of ``kernel_size``, or an option has another
        impossible value.

    Examples
    --------
    >>> nn.AvgPool1d(2)(mg.ones((1, 3, 8))).shape
    (1, 3, 4)
    """

    rank = 1
    function = avg_pool1d


class AvgPool2d(_AvgPool):
    """The mean of each window along two axes; see `minigrad.avg_pool2d`.

    Parameters
    ----------
    kernel_size : int or pair of int
        The size of a window.
    stride : int or pair of int, optional
        How far each window is from the next; by default ``kernel_size``.
    padding : int or pair of int
        How many zeros to put on either side; at most half of ``kernel_size``.
    ceil_mode : bool
        Whether the last window may reach over the border; what is beyond it never counts.
    count_include_pad : bool
        Whether the zeros of the padding count.
    divisor_override : int, optional
        What sums are divided by, instead of the number of elements that count.

    Raises
    ------
    ArgumentError
        If a number is too small, ``padding`` more than half of ``kernel_size``, or an option has another
        impossible value.

    Examples
    --------
    >>> nn.AvgPool2d(2)(mg.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    rank = 2
    function = avg_pool2d
    options = (*_AvgPool.options, "divisor_override")

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        check_divisor("AvgPool2d", divisor_override)
        self.divisor_override = divisor_override
