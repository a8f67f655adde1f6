"""Layers that reduce windows of their input to one number each."""

from minigrad.nn.pooling.adaptive import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from minigrad.nn.pooling.adaptive import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from minigrad.nn.pooling.windows import AvgPool1d as AvgPool1d
from minigrad.nn.pooling.windows import AvgPool2d as AvgPool2d
from minigrad.nn.pooling.windows import MaxPool1d as MaxPool1d
from minigrad.nn.pooling.windows import MaxPool2d as MaxPool2d
