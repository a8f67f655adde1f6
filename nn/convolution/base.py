"""What layers that convolve have in common: sizes, parameters, the check of an input, the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import init
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.windows import axis_sizes

Sizes = int | Sequence[int]


class Convolution(Module):
    """The base: a weight of one kernel for each pair of channels, and a bias.

    Attributes
    ----------
    rank : int
        How many axes it convolves.
    layout : str
        The shapes of an input, in words.
    function : callable
    usual : tuple of (str, Any)
        What is told in the text unless it has this value, in the order of the text; the value of one
        axis stands for all.
    """

    rank: ClassVar[int]
    layout: ClassVar[str]
    function: ClassVar[Callable[..., Any]]
    usual: ClassVar[tuple[tuple[str, Any], ...]]

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        dilation: Sizes,
        groups: int,
        bias: bool,
    ) -> None:
        name = type(self).__name__
        in_channels, out_channels, groups = check_counts(
            name, in_channels=in_channels, out_channels=out_channels, groups=groups
        )
        check_flags(name, bias=bias)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and "
                f"out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = axis_sizes(name, "kernel_size", kernel_size, self.rank, 1)
        self.stride = axis_sizes(name, "stride", stride, self.rank, 1)
        self.dilation = axis_sizes(name, "dilation", dilation, self.rank, 1)

    def _make(self, channels: tuple[int, int], bias: bool, device: str | None, dtype: Any) -> None:
        """Make the parameters; ``channels`` are the first sizes of the weight."""
        shape = (*channels, *self.kernel_size)
        self.weight = Parameter(zeros(shape, dtype=dtype, device=device))
        self.bias = (
            Parameter(zeros(self.out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.by_fan_in_(self.weight, self.bias)

    def _checked(self, input: Any) -> Any:
        """Return an input of the right shape and kind."""
        name = type(self).__name__
        input = checked_input(name, input, self.weight)
        shape, axes = tuple(input.shape), self.rank + 1
        if len(shape) not in (axes, axes + 1) or shape[-axes] != self.in_channels:
            raise ShapeError(
                f"{name}: the input has shape {shape}; it must be {self.layout} without a batch, "
                f"with in_channels={self.in_channels}"
            )
        return input

    def extra_repr(self) -> str:
        parts = [str(self.in_channels), str(self.out_channels)]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        for name, usual in self.usual:
            value = getattr(self, name)
            if name == "bias":
                parts += ["bias=False"] * (value is None)
            elif value not in (usual, (usual,) * self.rank):
                parts.append(f"{name}={value}")
        return ", ".join(parts)
