"""Layers that give the last axes of their input a fixed mean and spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import check_integers, check_number
from minigrad.errors import ArgumentError
from minigrad.nn.checks import check_flags, checked_input
from minigrad.nn.normalization.base import Normalization
from minigrad.ops.normalization import layer_norm


class LayerNorm(Normalization):
    """Give the last axes mean 0 and variance 1, then scale and shift (Ba 2016).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The shape of the last axes, which mean and variance are taken over.
    eps : float
        Keeps the root away from 0.
    elementwise_affine : bool
        Whether there are ``weight`` and ``bias``.
    bias : bool
        Whether there is a bias, if ``elementwise_affine``.
    device : str, optional
        Where the parameters are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of the parameters; by default the default dtype, float32.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape ``normalized_shape``; at first ones and zeros.

    Raises
    ------
    ArgumentError
        If a size is not a positive integer, ``eps`` is negative, or a flag is no bool.

    Examples
    --------
    >>> nn.LayerNorm(2)(mg.tensor([[1.0, 3.0], [10.0, 30.0]])).detach()
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        sizes = check_integers("LayerNorm", "normalized_shape", normalized_shape, low=1)
        if not sizes:
            raise ArgumentError("LayerNorm: normalized_shape is empty; give one size or more")
        eps = check_number("LayerNorm", "eps", eps, low=0)
        check_flags("LayerNorm", elementwise_affine=elementwise_affine, bias=bias)
        self.normalized_shape = sizes
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(sizes, elementwise_affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        """Return ``input`` normalised.

        Parameters
        ----------
        input : Tensor
            Shape (..., *normalized_shape), floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        ShapeError
            If ``input`` does not end in ``normalized_shape``.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        """
        input = checked_input("LayerNorm", input, self.weight)
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        options = f"eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, {options}, bias={self.bias is not None}"
