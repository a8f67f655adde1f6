"""Values for new parameters, drawn from the global generator."""

from __future__ import annotations

from minigrad import random
from minigrad.nn.module import Parameter


def uniform(*shape: int, bound: float) -> Parameter:
    """Return a parameter with numbers evenly distributed between ``-bound`` and ``bound``."""
    return Parameter(random.default_generator.uniform(shape, -bound, bound))


def normal(*shape: int) -> Parameter:
    """Return a parameter with numbers from the standard normal distribution."""
    return Parameter(random.default_generator.normal(shape))


def width_bound(width: int) -> float:
    """Return ``1 / sqrt(width)``, the bound of PyTorch's default initialisation."""
    return width**-0.5 if width else 0.0
