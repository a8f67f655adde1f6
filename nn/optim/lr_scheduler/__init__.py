"""Schedules of the learning rate, with PyTorch's names, options and results.

A schedule is made from an optimiser and changes ``lr`` in its groups at each ``step()``, which is called
after that of the optimiser. To warm up, begin with another schedule::

    warm_up = LinearLR(optimizer, start_factor=0.01, total_iters=500)
    cooling = CosineAnnealingLR(optimizer, T_max=9500)
    schedule = SequentialLR(optimizer, [warm_up, cooling], milestones=[500])

To go on after a stop, make optimiser and schedule anew and load the state dicts of both.
"""

from minigrad.nn.optim.lr_scheduler.base import LRScheduler as LRScheduler
from minigrad.nn.optim.lr_scheduler.factors import ConstantLR as ConstantLR
from minigrad.nn.optim.lr_scheduler.factors import CosineAnnealingLR as CosineAnnealingLR
from minigrad.nn.optim.lr_scheduler.factors import ExponentialLR as ExponentialLR
from minigrad.nn.optim.lr_scheduler.factors import LinearLR as LinearLR
from minigrad.nn.optim.lr_scheduler.factors import MultiStepLR as MultiStepLR
from minigrad.nn.optim.lr_scheduler.factors import StepLR as StepLR
from minigrad.nn.optim.lr_scheduler.functions import LambdaLR as LambdaLR
from minigrad.nn.optim.lr_scheduler.one_cycle import OneCycleLR as OneCycleLR
from minigrad.nn.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from minigrad.nn.optim.lr_scheduler.restarts import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from minigrad.nn.optim.lr_scheduler.sequential import SequentialLR as SequentialLR
