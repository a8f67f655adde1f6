"""Layers that give their input a fixed mean and spread."""

from minigrad.nn.normalization.batch import BatchNorm1d as BatchNorm1d
from minigrad.nn.normalization.batch import BatchNorm2d as BatchNorm2d
from minigrad.nn.normalization.group import GroupNorm as GroupNorm
from minigrad.nn.normalization.layer import LayerNorm as LayerNorm
