"""The options that several optimisers have."""

from __future__ import annotations

from minigrad.checks import check_flag
from minigrad.nn.options import NOT_NEGATIVE, option

LR = option(default=1e-3, check=NOT_NEGATIVE, doc="The learning rate.")
MOMENTUM = option(
    default=0.0, check=NOT_NEGATIVE, doc="How much of the last update goes into the next one."
)
WEIGHT_DECAY = option(
    default=0.0, check=NOT_NEGATIVE, doc="How much of the parameter is added to its gradient."
)
EPS = option(default=1e-8, check=NOT_NEGATIVE, doc="Is added to the root of the mean square.")
MAXIMIZE = option(default=False, check=check_flag, doc="Climb instead of descend.", kw_only=True)
