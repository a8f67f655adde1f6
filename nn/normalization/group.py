"""Layers that give groups of channels a fixed mean and spread."""

from __future__ import annotations

from typing import Any

from minigrad.checks import check_number
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.normalization.base import Normalization
from minigrad.ops.normalization import group_norm


class GroupNorm(Normalization):
    """Give each group of channels mean 0 and variance 1, then scale and shift (Wu 2018).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``, for each example by itself.

    Parameters
    ----------
    num_groups : int
        How many groups of the same size the channels make up.
    num_channels : int
        The number of channels: the size of axis 1 of the input.
    eps : float
        Keeps the root away from 0.
    affine : bool
        Whether there are ``weight`` and ``bias``.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.
    bias : bool
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (num_channels,); at first ones and zeros.

    Raises
    ------
    ArgumentError
        If a number is not a positive integer, ``num_groups`` does not divide ``num_channels``, ``eps`` is
        negative, or a flag is no bool.

    Examples
    --------
    >>> nn.GroupNorm(2, 4)(mg.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
    tensor([[-1.,  1., -1.,  1.]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        num_groups, num_channels = check_counts(
            "GroupNorm", num_groups=num_groups, num_channels=num_channels
        )
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}"
            )
        eps = check_number("GroupNorm", "eps", eps, low=0)
        check_flags("GroupNorm", affine=affine, bias=bias)
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make((num_channels,), affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        """Return ``input`` normalised.

        Parameters
        ----------
        input : Tensor
            Shape (N, num_channels, ...), floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        ShapeError
            If ``input`` has another number of channels, or each group is a single number.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input("GroupNorm", input, self.weight)
        shape = tuple(input.shape)
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: the input has shape {shape}; it must be (N, num_channels, ...) with "
                f"num_channels={self.num_channels}"
            )
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        options = f"eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"
        return f"{self.num_groups}, {self.num_channels}, {options}"
