"""The options that several optimisers have."""

from __future__ import annotations

from minigrad.nn.options import NOT_NEGATIVE, option

LR = option("The learning rate.", NOT_NEGATIVE, default=1e-3)
MOMENTUM = option("How much of the last update goes into the next one.", NOT_NEGATIVE, default=0.0)
WEIGHT_DECAY = option(
    "How much of the parameter is added to its gradient.", NOT_NEGATIVE, default=0.0
)
EPS = option("Is added to the root of the mean square.", NOT_NEGATIVE, default=1e-8)
