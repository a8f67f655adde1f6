"""What layers that normalise have in common: a scale and a shift that change nothing at first."""

from __future__ import annotations

from typing import Any

from minigrad.creation import zeros
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter


class Normalization(Module):
    """The base.

    Attributes
    ----------
    weight, bias : Parameter or None
        At first ones and zeros.
    """

    weight: Parameter | None
    bias: Parameter | None

    def _make(
        self, sizes: tuple[int, ...], affine: bool, bias: bool, device: str | None, dtype: Any
    ) -> None:
        """Make the parameters, of these sizes, if there are any."""

        def parameter(wanted: bool) -> Parameter | None:
            return Parameter(zeros(sizes, dtype=dtype, device=device)) if wanted else None

        self.weight = parameter(affine)
        self.bias = parameter(affine and bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let ``weight`` and ``bias`` change nothing."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)
